// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A guest's synchronous exceptions: what EL2 answers itself, and what the host is told.

import Arm
import HypervisorInterface
import Machine

extension Hypervisor {
    /// Answers a synchronous exception; nil if the guest goes on.
    func answer(
        _ guest: inout RunningGuest, _ data: Address<HypervisorVirtual>, on processor: P
    ) -> RunReport? {
        let vcpu = guest.vcpu
        let syndrome = ExceptionSyndrome(bits: processor.read(.esrEL2))
        switch syndrome.exceptionClass {
        case .wfx:
            vcpu.skipInstruction(on: processor)
            // TI: 0 and 2 are WFI and WFIT.
            return RunReport(syndrome.bits & 1 == 0 ? .waitForInterrupt : .yield)
        case .vectorRegisters:
            giveVectors(&guest, data, on: processor)
            return nil
        case .scalableVectors where !guest.hasVectors && vcpu.vectorLength(on: processor) > 0:
            giveVectors(&guest, data, on: processor)
            return nil
        case .hvc64:
            return guestCall(guest, on: processor)
        case .smc64:
            vcpu.skipInstruction(on: processor)
            return guestCall(guest, on: processor)
        case .systemRegister:
            return registerAccess(syndrome, guest, on: processor)
        case .dataAbortLower:
            return memoryAbort(syndrome, .data, guest, on: processor)
        case .instructionAbortLower:
            return memoryAbort(syndrome, .fetch, guest, on: processor)
        case .scalableVectors, .unknown, .instructionAbortSame, .dataAbortSame, nil:
            injectUndefined(vcpu, on: processor)
            return nil
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
    private func faultAddress(_ syndrome: ExceptionSyndrome, on processor: P) -> UInt64? {
        let far = processor.read(.farEL2)
        if case .permission = syndrome.faultStatus, !syndrome.isOnTableWalk {
            // HPFAR_EL2 is not valid for these (DDI 0487, D24.2.66).
            return processor.translateWithStage1(far)?.rawValue
        }
        let page = (processor.read(.hpfarEL2) >> 4) & ((1 << 40) &- 1)
        return page << pageShift | far & (pageSize &- 1)
    }

    /// Whether the abort came from the stage-2 tables, so that HPFAR_EL2 or a walk tells its page.
    private func isTranslationFault(_ syndrome: ExceptionSyndrome) -> Bool {
        switch syndrome.faultStatus {
        case .translation, .accessFlag, .permission: true
        case .other: false
        }
    }

    /// Whether a translation fault is over: another CPU was between break and make.
    private func isMappedNow(
        _ address: UInt64, _ syndrome: ExceptionSyndrome, _ guest: RunningGuest, on processor: P
    ) -> Bool {
        guard case .translation = syndrome.faultStatus else { return false }
        return memory.withLock(on: processor) { _ in
            guest.table.lookup(address >> pageShift, on: processor).descriptor != .invalid
        }
    }

    private func memoryFault(_ address: UInt64, _ kind: FaultKind, _ guest: RunningGuest) -> RunReport {
        let shown = guest.kind == .protected ? address & ~(pageSize &- 1) : address
        return RunReport(.memoryFault, shown, kind.rawValue)
    }

    /// An abort at stage-2.
    private func memoryAbort(
        _ syndrome: ExceptionSyndrome, _ kind: AbortKind, _ guest: RunningGuest, on processor: P
    ) -> RunReport? {
        guard isTranslationFault(syndrome) else { return RunReport(.unsupported, syndrome.bits) }
        guard let address = faultAddress(syndrome, on: processor) else { return nil }
        if isMappedNow(address, syndrome, guest, on: processor) { return nil }
        let vcpu = guest.vcpu
        vcpu.store(.pendingDetail, processor.read(.farEL2), on: processor)
        guard address >> pageShift < guest.table.geometry.frames else {
            // The VM has no such address, so that there is nothing to ask the host about.
            injectExternalAbort(kind, vcpu, on: processor)
            return nil
        }
        let (pending, report) =
            kind == .fetch
            ? (.fault(.fetch), memoryFault(address, .fetch, guest))
            : dataAccess(syndrome, at: address, guest, on: processor)
        vcpu.store(.pending, pending.bits, on: processor)
        return report
    }

    /// What a data access leaves to be done, and what the host is told of it.
    private func dataAccess(
        _ syndrome: ExceptionSyndrome, at address: UInt64, _ guest: RunningGuest, on processor: P
    ) -> (PendingAccess, RunReport) {
        let kind = FaultKind(ofDataAbort: syndrome)
        let onlyMemory = (PendingAccess.fault(.data), memoryFault(address, kind, guest))
        // Of a protected guest, only what was fixed before the first run is a device.
        guard case .translation = syndrome.faultStatus,
            guest.kind == .normal || guest.vm.isWindow(address >> pageShift, on: processor)
        else { return onlyMemory }
        if kind == .maintenance { return (.maintenance, memoryFault(address, kind, guest)) }
        guard let access = DecodedAccess(syndrome) else { return onlyMemory }
        // A part of a value that is not aligned may belong to memory next to the window.
        guard guest.kind == .normal || address & (access.bytes &- 1) == 0 else { return onlyMemory }
        if kind == .read { return (.load(access), RunReport(.mmioRead, address, access.bytes)) }
        let value = access.truncated(guest.vcpu.general(access.register, on: processor))
        return (.store, RunReport(.mmioWrite, address, access.bytes, value))
    }
}
