// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A guest's synchronous exceptions: what EL2 answers itself, and what the host is told.

import Arm
import HypervisorInterface
import Machine

extension Hypervisor {
    /// Answers a synchronous exception.
    @inline(__always)
    func answer(
        _ guest: inout RunningGuest, _ data: Address<HypervisorVirtual>, on processor: P
    ) -> GuestTrapOutcome {
        let syndrome = ExceptionSyndrome(bits: processor.read(.esrEL2))
        if syndrome.isDataAbortLower { return dataAbort(syndrome, &guest, on: processor) }
        return answerOther(syndrome, &guest, data, on: processor)
    }

    /// Everything but aborts of data accesses, which are what devices live by.
    @inline(never)
    private func answerOther(
        _ syndrome: ExceptionSyndrome, _ guest: inout RunningGuest, _ data: Address<HypervisorVirtual>,
        on processor: P
    ) -> GuestTrapOutcome {
        let vcpu = guest.vcpu
        switch syndrome.exceptionClass {
        case .wfx:
            vcpu.skipInstruction(on: processor)
            // TI: 0 and 2 are WFI and WFIT.
            return guest.leave(syndrome.bits & 1 == 0 ? .waitForInterrupt : .yield)
        case .vectorRegisters:
            giveVectors(&guest, data, on: processor)
            return .resumes
        case .scalableVectors where !guest.hasVectors && vcpu.vectorLength(on: processor) > 0:
            giveVectors(&guest, data, on: processor)
            return .resumes
        case .hvc64:
            return guestCall(&guest, on: processor)
        case .smc64:
            vcpu.skipInstruction(on: processor)
            return guestCall(&guest, on: processor)
        case .systemRegister:
            return registerAccess(syndrome, &guest, on: processor)
        case .instructionAbortLower:
            return fetchAbort(syndrome, &guest, on: processor)
        case .scalableVectors, .unknown, .instructionAbortSame, .dataAbortLower, .dataAbortSame, nil:
            injectUndefined(vcpu, on: processor)
            return .resumes
        }
    }

    /// Takes the guest to its own EL1 with an exception of unknown reason.
    func injectUndefined(_ vcpu: VCPUPage, on processor: P) {
        inject(.undefined, farEL1: nil, vcpu, on: processor)
    }

    /// A synchronous external abort for the guest's last access (AArch64.TakeException; DDI 0487, D1.4).
    func injectExternalAbort(_ kind: AbortKind, _ vcpu: VCPUPage, on processor: P) {
        let isSame = vcpu.state(on: processor).mode != .el0
        let exceptionClass: ExceptionSyndrome.Class =
            switch kind {
            case .data: isSame ? .dataAbortSame : .dataAbortLower
            case .fetch: isSame ? .instructionAbortSame : .instructionAbortLower
            }
        inject(
            .abort(exceptionClass, status: ExceptionSyndrome.externalAbort),
            farEL1: vcpu.load(.pendingDetail, on: processor), vcpu, on: processor)
    }

    /// The guest's EL1 registers are loaded; its PC and PSTATE are in its page.
    private func inject(
        _ syndrome: ExceptionSyndrome, farEL1: UInt64?, _ vcpu: VCPUPage, on processor: P
    ) {
        let state = vcpu.state(on: processor)
        processor.write(.esrEL1, syndrome.bits)
        processor.write(.elrEL1, vcpu.programCounter(on: processor))
        processor.write(.spsrEL1, state.bits)
        if let farEL1 { processor.write(.farEL1, farEL1) }
        vcpu.setProgramCounter(processor.read(.vbarEL1) &+ state.synchronousVectorOffset, on: processor)
        vcpu.setState(
            state.enteringEL1(
                systemControl: processor.read(.sctlrEL1), features: features.processorStateFeatures),
            on: processor)
    }

    /// The guest physical address of an abort. Nil if it can't be found any more: the guest makes
    /// the access again.
    @inline(__always)
    private func faultAddress(_ syndrome: ExceptionSyndrome, _ far: UInt64, on processor: P) -> UInt64? {
        if syndrome.isPermissionFault, !syndrome.isOnTableWalk {
            // HPFAR_EL2 is not valid for these (DDI 0487, D24.2.66).
            return processor.translateWithStage1(far).map { $0.page | far & (pageSize &- 1) }
        }
        return address(faultPage(on: processor), far)
    }

    /// The guest page of a fault of which HPFAR_EL2 holds it.
    @inline(__always)
    private func faultPage(on processor: P) -> UInt64 { (processor.read(.hpfarEL2) >> 4) & ((1 << 40) &- 1) }

    /// The guest physical address of a byte whose virtual address is known too.
    @inline(__always)
    private func address(_ page: UInt64, _ far: UInt64) -> UInt64 { page << pageShift | far & (pageSize &- 1) }

    /// Whether a translation fault is over: another CPU was between break and make.
    private func isMappedNow(_ page: UInt64, _ vcpu: VCPUPage, on processor: P) -> Bool {
        memory.withLock(on: processor) { _ in vcpu.isMapped(page, on: processor) }
    }

    /// A data abort. Most go where an earlier one went, to a device whose page the vCPU remembers.
    @inline(__always)
    private func dataAbort(
        _ syndrome: ExceptionSyndrome, _ guest: inout RunningGuest, on processor: P
    ) -> GuestTrapOutcome {
        let far = processor.read(.farEL2)
        let page = faultPage(on: processor)
        guard syndrome.isTranslationFault, !syndrome.isCacheMaintenance, let access = DecodedAccess(syndrome),
            isKnownDevice(page, guest, on: processor)
        else { return memoryAbort(syndrome, .data, &guest, on: processor) }
        return deviceAccess(access, syndrome, at: address(page, far), far, &guest, on: processor)
    }

    /// Whether a page was a device's and still is. Where nothing was mapped there is nothing to break, as long as
    /// the VM has got no page since: that is counted before it is done, so that whoever meets the page finds it
    /// counted. Windows of a protected VM stay.
    @inline(__always)
    private func isKnownDevice(_ page: UInt64, _ guest: borrowing RunningGuest, on processor: P) -> Bool {
        let (known, since) = processor.loadPair64(guest.vcpu.address(.device))
        return known == page &+ 1 && since == processor.loadAcquire64(guest.vm.address(.additions))
    }

    @inline(never)
    private func fetchAbort(
        _ syndrome: ExceptionSyndrome, _ guest: inout RunningGuest, on processor: P
    ) -> GuestTrapOutcome { memoryAbort(syndrome, .fetch, &guest, on: processor) }

    /// An abort at stage-2.
    @inline(never)
    private func memoryAbort(
        _ syndrome: ExceptionSyndrome, _ kind: AbortKind, _ guest: inout RunningGuest, on processor: P
    ) -> GuestTrapOutcome {
        // Only those that come from the stage-2 tables have a page in HPFAR_EL2 or a walk.
        guard syndrome.isTableFault else { return unsupported(&guest, syndrome.bits, on: processor) }
        let far = processor.read(.farEL2)
        guard let address = faultAddress(syndrome, far, on: processor) else { return .resumes }
        let vcpu = guest.vcpu
        let page = address >> pageShift
        guard page >> (vcpu.inputBits(on: processor) &- pageShift) == 0 else {
            // The VM has no such address, so that there is nothing to ask the host about.
            vcpu.store(.pendingDetail, far, on: processor)
            injectExternalAbort(kind, vcpu, on: processor)
            return .resumes
        }
        let additions = processor.loadAcquire64(guest.vm.address(.additions))
        if syndrome.isTranslationFault, isMappedNow(page, vcpu, on: processor) { return .resumes }
        vcpu.store(.pendingDetail, far, on: processor)
        if kind == .fetch { return memoryFault(address, .fetch, .fault(.fetch), &guest, on: processor) }
        let access = FaultKind(ofDataAbort: syndrome)
        // Of a protected guest, only what was fixed before the first run is a device.
        guard syndrome.isTranslationFault,
            guest.kind(on: processor) == .normal || guest.vm.isWindow(page, on: processor)
                || isWithout(.onlyWindowsAreDevices)
        else { return memoryFault(address, access, .fault(.data), &guest, on: processor) }
        if access == .maintenance { return memoryFault(address, access, .maintenance, &guest, on: processor) }
        guard let decoded = DecodedAccess(syndrome) else {
            return memoryFault(address, access, .fault(.data), &guest, on: processor)
        }
        processor.storePair64(vcpu.address(.device), page &+ 1, additions)
        return deviceAccess(decoded, syndrome, at: address, far, &guest, on: processor)
    }

    /// Only the host can help.
    @inline(never)
    private func memoryFault(
        _ address: UInt64, _ kind: FaultKind, _ pending: PendingAccess, _ guest: inout RunningGuest, on processor: P
    ) -> GuestTrapOutcome {
        guest.vcpu.store(.pending, pending.bits, on: processor)
        let shown = guest.kind(on: processor) == .protected ? address & ~(pageSize &- 1) : address
        return guest.leave(.memoryFault, shown, kind.rawValue)
    }

    /// Whether what a protected guest does at an address is all that its instruction does. A part of a value that is
    /// not aligned may belong to memory next to the window. A CPU tells of an access that comes from the page before
    /// by the first byte of this page; only where the guest's stage-1 has Device memory is there no such access
    /// (DDI 0487, B2.8.2).
    @inline(__always)
    private func isWhole(_ access: DecodedAccess, at address: UInt64, _ far: UInt64, on processor: P) -> Bool {
        if isWithout(.accessesAreWhole) { return true }
        guard address & (access.bytes &- 1) == 0 else { return false }
        return address & (pageSize &- 1) != 0 || access.bytes == 1 || isDeviceMemory(far, on: processor)
    }

    @inline(never)
    private func isDeviceMemory(_ far: UInt64, on processor: P) -> Bool {
        processor.translateWithStage1(far)?.isDevice ?? false
    }

    /// An access to a device: what it leaves to be done, and what the host is told of it.
    @inline(__always)
    private func deviceAccess(
        _ access: DecodedAccess, _ syndrome: ExceptionSyndrome, at address: UInt64, _ far: UInt64,
        _ guest: inout RunningGuest, on processor: P
    ) -> GuestTrapOutcome {
        let vcpu = guest.vcpu
        vcpu.store(.pendingDetail, far, on: processor)
        guard guest.kind(on: processor) == .normal || isWhole(access, at: address, far, on: processor) else {
            return memoryFault(address, FaultKind(ofDataAbort: syndrome), .fault(.data), &guest, on: processor)
        }
        if !access.isWrite {
            vcpu.store(.pending, PendingAccess.load(access).bits, on: processor)
            return guest.leave(.mmioRead, address, access.bytes)
        }
        let value = access.truncated(vcpu.general(access.register, on: processor))
        vcpu.store(.pending, PendingAccess.store.bits, on: processor)
        return guest.leave(.mmioWrite, address, access.bytes, value)
    }
}
