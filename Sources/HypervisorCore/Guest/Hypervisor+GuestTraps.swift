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
            return dataAbort(syndrome, guest, on: processor)
        case .instructionAbortLower:
            guard isTranslationFault(syndrome) else { return RunReport(.unsupported, syndrome.bits) }
            guard let address = faultAddress(syndrome, on: processor) else { return nil }
            return isMappedNow(address, syndrome, guest, on: processor) ? nil : memoryFault(address, .fetch, guest)
        case .scalableVectors, .unknown, .instructionAbortSame, .dataAbortSame, nil:
            injectUndefined(vcpu, on: processor)
            return nil
        }
    }

    /// Takes the guest to its own EL1 with an exception of unknown reason.
    func injectUndefined(_ vcpu: VCPUPage, on processor: P) {
        inject(.undefined, farEL1: nil, vcpu, on: processor)
    }

    /// A synchronous external abort for the guest's last data access.
    func injectExternalAbort(_ vcpu: VCPUPage, on processor: P) {
        let isSame = vcpu.state(on: processor).mode != .el0
        inject(
            .abort(isSame ? .dataAbortSame : .dataAbortLower, status: ExceptionSyndrome.externalAbort),
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

    private func dataAbort(
        _ syndrome: ExceptionSyndrome, _ guest: RunningGuest, on processor: P
    ) -> RunReport? {
        guard isTranslationFault(syndrome) else { return RunReport(.unsupported, syndrome.bits) }
        guard let address = faultAddress(syndrome, on: processor) else { return nil }
        if isMappedNow(address, syndrome, guest, on: processor) { return nil }
        let isWrite = syndrome.bits & (1 << 6) != 0
        let isMaintenance = syndrome.bits & (1 << 8) != 0
        let vcpu = guest.vcpu
        vcpu.store(.pendingDetail, processor.read(.farEL2), on: processor)
        let hasSyndrome = syndrome.bits & (1 << 24) != 0
        guard case .translation = syndrome.faultStatus, hasSyndrome, !isMaintenance, !syndrome.isOnTableWalk else {
            let kind: FaultKind = (isWrite && !isMaintenance) || syndrome.isOnTableWalk ? .write : .read
            vcpu.store(.pending, Self.pendingFault, on: processor)
            return memoryFault(address, kind, guest)
        }
        if guest.kind == .protected, !guest.vm.isWindow(address >> pageShift, on: processor) {
            // Only what was fixed before the first run is a device; all else is memory.
            vcpu.store(.pending, Self.pendingFault, on: processor)
            return memoryFault(address, isWrite ? .write : .read, guest)
        }
        let bytes: UInt64 = 1 << ((syndrome.bits >> 22) & 3)
        if guest.kind == .protected, address & (bytes &- 1) != 0 {
            // A part of the value may belong to memory next to the window.
            vcpu.store(.pending, Self.pendingFault, on: processor)
            return memoryFault(address, isWrite ? .write : .read, guest)
        }
        // SRT, SAS, SSE and SF, as `complete` reads them.
        vcpu.store(.pending, 1 << 32 | (syndrome.bits & 0x01FF_FFFF) | (isWrite ? 1 << 33 : 0), on: processor)
        guard isWrite else { return RunReport(.mmioRead, address, bytes) }
        let value = vcpu.general((syndrome.bits >> 16) & 0x1F, on: processor)
        return RunReport(.mmioWrite, address, bytes, bytes == 8 ? value : value & ((1 << (bytes &* 8)) &- 1))
    }

    /// The last exit was a data access that only the host can help; nothing of it can be completed.
    private static var pendingFault: UInt64 { 1 << 34 }

    /// Whether the last exit was about a data access of the guest.
    func hasPendingAccess(_ vcpu: VCPUPage, on processor: P) -> Bool {
        vcpu.load(.pending, on: processor) != 0
    }

    /// Completes the MMIO access that the last exit was about, if the host says so; forgets it
    /// otherwise. It can be completed once.
    func complete(_ arguments: RunArguments, _ vcpu: VCPUPage, on processor: P) {
        let pending = vcpu.load(.pending, on: processor)
        vcpu.store(.pending, 0, on: processor)
        guard pending >> 32 & 1 == 1, !arguments.request.contains(.injectExternalAbort),
            arguments.request.contains(.completes)
        else { return }
        vcpu.skipInstruction(on: processor)
        guard pending >> 33 & 1 == 0 else { return }
        let bits: UInt64 = 8 << ((pending >> 22) & 3)
        var value = arguments.completion
        if bits < 64 {
            value &= (1 << bits) &- 1
            let isSigned = pending & (1 << 21) != 0
            if isSigned, value >> (bits &- 1) == 1 { value |= ~0 << bits }
        }
        let is64Bit = pending & (1 << 15) != 0
        vcpu.setGeneral((pending >> 16) & 0x1F, is64Bit ? value : value & 0xFFFF_FFFF, on: processor)
    }
}
