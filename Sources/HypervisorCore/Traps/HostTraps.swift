// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Everything that brings the host to EL2 by a synchronous exception.

public import Arm
import HypervisorInterface
import Machine
import Synchronization

extension Hypervisor {
    /// Handles a synchronous exception from the host's EL1 or EL0.
    ///
    /// - Parameters:
    ///   - cpu: index of the CPU.
    ///   - data: its data page.
    public func hostTrap(
        _ cpu: Int, data: Address<HypervisorVirtual>, _ frame: inout HostFrame, on processor: P
    ) -> HostCallOutcome {
        guard isRun(frame) else { return otherHostTrap(cpu, &frame, on: processor) }
        tryToRun(cpu, data, &frame, on: processor)
        return .answered
    }

    /// Whether the host makes `HostCall.runVCPU`, by HVC #0.
    @inline(__always)
    public func isRun(_ frame: HostFrame) -> Bool {
        FunctionID(register: frame.x[0]).rawValue == HostCall.runVCPU.rawValue
            && ExceptionSyndrome(bits: frame.syndrome).isPlainHypervisorCall
    }

    /// Answers `HostCall.runVCPU`.
    @inline(__always)
    public func tryToRun(
        _ cpu: Int, _ data: Address<HypervisorVirtual>, _ frame: inout HostFrame, on processor: P
    ) {
        do throws(CallStatus) {
            try run(cpu, data, &frame, on: processor)
            frame.x[0] = UInt64(bitPattern: CallStatus.success.rawValue)
        } catch {
            frame.x[0] = UInt64(bitPattern: error.rawValue)
            for index in 1..<4 { frame.x[index] = 0 }
        }
    }

    /// Handles everything but `HostCall.runVCPU`.
    public func otherHostTrap(_ cpu: Int, _ frame: inout HostFrame, on processor: P) -> HostCallOutcome {
        let syndrome = ExceptionSyndrome(bits: frame.syndrome)
        switch syndrome.exceptionClass {
        case .hvc64:
            return hostCall(cpu, &frame, immediate: syndrome.immediate, on: processor)
        case .smc64:
            firmwareCall(cpu, &frame, immediate: syndrome.immediate, on: processor)
        case .dataAbortLower, .instructionAbortLower:
            hostAbort(syndrome, cpu, &frame, on: processor)
        case .systemRegister where frame.isInterruptInterfaceEnable:
            frame.answerInterruptInterfaceEnable(processor.read(.iccSreEL1))
        case .systemRegister, .wfx, .vectorRegisters, .scalableVectors, .unknown, .instructionAbortSame, .dataAbortSame,
            nil:
            // Implementation defined and auxiliary registers (HCR_EL2.TIDCP, TACR), and anything
            // that only a host which meddles with its own controls could bring here.
            refusedRegisterAccesses.wrappingAdd(1, ordering: .relaxed)
            frame.inject(.undefined, features: features, on: processor)
        }
        return .answered
    }

    /// A stage-2 abort.
    private func hostAbort(
        _ syndrome: ExceptionSyndrome, _ cpu: Int, _ frame: inout HostFrame, on processor: P
    ) {
        switch syndrome.faultStatus {
        case .translation, .accessFlag:
            // HPFAR_EL2 holds the page for these (DDI 0487, D24.2.66): bits 43:4 are IPA bits 51:12.
            let page = Frame<HostPhysical>((processor.read(.hpfarEL2) >> 4) & ((1 << 40) &- 1))
            let access = accessKind(syndrome, frame, on: processor)
            let answer = memory.withLock(on: processor) { state in
                state.answerHostFault(at: page, by: access, of: cpu, on: processor)
            }
            switch answer {
            case .mapped, .spurious, .sunk: return
            case .refused: break
            }
        case .other(let status) where status == tlbConflict:
            // Allowed while a block is split or put together; invalidating resolves it.
            processor.invalidate(.wholeVMID)
            processor.barrier(.invalidationComplete)
            return
        case .permission, .other:
            // Fetching from a device, or an access that no table allows.
            memory.withLock(on: processor) { $0.noteRefusedAccess() }
        }
        frame.inject(.refusedAccess(syndrome), features: features, on: processor)
    }

    private func accessKind(
        _ syndrome: ExceptionSyndrome, _ frame: HostFrame, on processor: P
    ) -> HostAccessKind {
        let state = frame.processorState.mode
        guard syndrome.exceptionClass == .dataAbortLower, !syndrome.isOnTableWalk, state == .el1h || state == .el1t
        else { return .other }
        // Bit 55 tells the kernel's half of the address space.
        return processor.read(.farEL2) & (1 << 55) != 0 ? .kernelData : .other
    }

    /// DFSC of a TLB conflict abort.
    private var tlbConflict: UInt64 { 0x30 }
}

extension HostFrame {
    /// Whether the host read or wrote ICC_SRE_EL1.
    public var isInterruptInterfaceEnable: Bool {
        let syndrome = ExceptionSyndrome(bits: syndrome)
        return syndrome.exceptionClass == .systemRegister
            && RegisterAccess(bits: syndrome.bits).isInterruptInterfaceEnable
    }

    /// Answers that access, which a kernel makes when a CPU starts or wakes: system registers only, always.
    public mutating func answerInterruptInterfaceEnable(_ value: UInt64) {
        let access = RegisterAccess(bits: syndrome)
        if access.isRead, access.target < 31 { x[Int(truncatingIfNeeded: access.target)] = value }
        skipInstruction()
    }
}

extension MemoryState {
    /// Counts an access that was refused without a look at the tables.
    mutating func noteRefusedAccess() { hostFaults.refused &+= 1 }
}
