// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The host's calls, once the hypervisor is initialised. The table is closed: what is not in it, or
// not in this phase, is answered with NOT_SUPPORTED and changes nothing.

import Arm
import HypervisorInterface
import Machine
import Synchronization

/// What the image must do after a host call, beyond returning to the host.
public enum HostCallOutcome: Sendable {
    /// The registers hold the answer.
    case answered
    /// This CPU is behind the host's stage-2 now; the registers hold the answer.
    case confined
    /// This CPU gives EL2 back to the kernel's stub.
    case withdraw
    /// The host wants the panic record, which the image keeps.
    case panicRecord
}

/// The kernel stub's SOFT_RESTART, which its kexec code calls (arch/arm64/include/asm/virt.h).
let stubSoftRestart: UInt64 = 1

extension Hypervisor {
    /// Answers HVC from the host.
    /// - Parameter cpu: index of the calling CPU.
    public func hostCall(_ cpu: Int, _ frame: inout HostFrame, immediate: UInt16, on processor: P) -> HostCallOutcome {
        #if MARTLET_FAULT_PANIC
        if frame.x[0] == Self.provokedPanic { provokePanic(frame.x[1]) }
        #endif
        #if MARTLET_FAULT_SWITCHES && hasFeature(Embedded)
        if frame.x[0] == Self.provokedFaults {
            provokeFaults(frame.x[1])
            frame.x[0] = 0
            return .answered
        }
        #endif
        if frame.x[0] == stubSoftRestart, phase == .finalised {
            softRestart(&frame)
            return .answered
        }
        guard immediate == 0 || isWithout(.immediatesAreZero),
            let call = HostCall(rawValue: FunctionID(register: frame.x[0]).rawValue)
        else {
            frame.x[0] = UInt64(bitPattern: CallStatus.notSupported.rawValue)
            return .answered
        }
        let arguments = (frame.x[1], frame.x[2])
        do throws(CallStatus) {
            if try performGuestCall(call, &frame, on: processor) {
                frame.x[0] = UInt64(bitPattern: CallStatus.success.rawValue)
                return .answered
            }
            var results = CallResults()
            let outcome = try perform(call, arguments, cpu, &results, on: processor)
            frame.x[0] = UInt64(bitPattern: CallStatus.success.rawValue)
            frame.x[1] = results.x1
            frame.x[2] = results.x2
            frame.x[3] = results.x3
            return outcome
        } catch {
            frame.x[0] = UInt64(bitPattern: error.rawValue)
            frame.x[1] = 0
            frame.x[2] = 0
            frame.x[3] = 0
            return .answered
        }
    }

    /// Results in registers, zero unless set, so that none carries anything of EL2.
    struct CallResults {
        var x1: UInt64 = 0
        var x2: UInt64 = 0
        var x3: UInt64 = 0
    }

    private func perform(
        _ call: HostCall, _ arguments: (UInt64, UInt64), _ cpu: Int, _ results: inout CallResults, on processor: P
    ) throws(CallStatus) -> HostCallOutcome {
        let phase = phase
        switch call {
        case .version:
            results.x1 = interfaceVersion
            results.x2 = phase.rawValue
            results.x3 = guestVectorLengths.bits
        case .initialise:
            throw .notSupported
        case .withdraw:
            guard phase == .initialised || isWithout(.phasesAreKeptApart) else { throw .notSupported }
            return .withdraw
        case .deprivilege:
            guard phase != .finalised else { throw .notSupported }
            results.x1 = try deprivilege(cpu, on: processor)
            return .confined
        case .topUp, .reclaimPool, .counter, .panicRecord, .pageReport:
            guard phase == .finalised else { throw .notSupported }
            return try performRuntime(call, arguments, &results, on: processor)
        case .createVM, .donateToVM, .createVCPU, .destroyVM, .mapGuest, .unmapGuest, .donateToGuest, .allowMMIO,
            .resetVCPU, .runVCPU, .getRegister, .setRegister, .quiesce:
            throw .notSupported
        }
        return .answered
    }

    private func performRuntime(
        _ call: HostCall, _ arguments: (UInt64, UInt64), _ results: inout CallResults, on processor: P
    ) throws(CallStatus) -> HostCallOutcome {
        switch call {
        case .topUp:
            guard let range = FrameRange<HostPhysical>(alleged: arguments.0, count: arguments.1) else {
                throw .invalidParameter
            }
            try memory.withLock(on: processor) { state throws(CallStatus) in
                try state.topUp(range, on: processor)
            }
        case .reclaimPool:
            results.x1 = try memory.withLock(on: processor) { state throws(CallStatus) in
                try state.reclaimPool(on: processor).number
            }
        case .counter:
            guard let counter = Counter(rawValue: arguments.0) else { throw .invalidParameter }
            results.x1 = value(of: counter, on: processor)
        case .panicRecord:
            return .panicRecord
        case .pageReport:
            guard let range = FrameRange<HostPhysical>(alleged: arguments.0, count: 1) else {
                throw .invalidParameter
            }
            results.x1 = memory.withLock(on: processor) { state in
                state.report(range.first, on: processor).rawValue
            }
        default:
            throw .notSupported
        }
        return .answered
    }

    /// Confines the calling CPU. The last one finalises.
    /// - Returns: how many CPUs are still outside.
    private func deprivilege(_ cpu: Int, on processor: P) throws(CallStatus) -> UInt64 {
        // EL2 uses this CPU's registers by what the first one has.
        guard CPUFeatures(of: processor) == features else { throw .notSupported }
        let isNew = inside.withLock(on: processor) { $0.insert(cpu) }
        guard isNew else { throw .denied }
        processor.adoptHypervisorRoot(memory.withLock(on: processor) { $0.hypervisorTable.root })
        noteVectorLengths(cpu, on: processor)
        confine(.running, on: processor)
        let left = outside.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue
        if left == 0, let temporary = boot.temporaryFrames {
            memory.withLock(on: processor) { $0.releaseTemporaryFrames(temporary, on: processor) }
        }
        return UInt64(truncatingIfNeeded: left)
    }

    /// The kernel is about to start another one (kdump's path: an orderly kexec never comes here,
    /// the module turns it into a reboot). It goes on at EL1, where it is: the second kernel stays
    /// behind the stage-2, and finds no EL2 to use.
    private func softRestart(_ frame: inout HostFrame) {
        frame.programCounter = frame.x[1]
        frame.x[0] = frame.x[2]
        frame.x[1] = frame.x[3]
        frame.x[2] = frame.x[4]
        frame.processorState = ProcessorState(
            bits: isWithout(.restartsStayAtEL1) ? 0x3C9 : ProcessorState.startOfEL1.bits)
    }

    private func value(of counter: Counter, on processor: P) -> UInt64 {
        switch counter {
        case .firmwareCallsRefused: return refusedFirmwareCalls.load(ordering: .relaxed)
        case .hostSystemRegistersRefused: return refusedRegisterAccesses.load(ordering: .relaxed)
        case .cpusRelayed: return power.withLock(on: processor) { $0.arrivals }
        case .textBytes: return textPages << pageShift
        case .exitsInterrupt, .exitsWaitForInterrupt, .exitsMemoryFault, .exitsMMIORead, .exitsMMIOWrite,
            .exitsSoftwareInterrupt, .exitsCPUOn, .exitsCPUOff, .exitsSystemOff, .exitsSystemReset,
            .exitsUnsupported, .exitsYield, .exitsDeactivation:
            var sum: UInt64 = 0
            var cpu = 0
            while cpu < boot.cpuCount {
                let data = HypervisorAddressSpace.identity(boot.dataPage(of: cpu))
                sum &+= ExitCounters(data).count(of: counter, on: processor)
                cpu &+= 1
            }
            return sum
        default:
            return memory.withLock(on: processor) { $0.value(of: counter) }
        }
    }
}

extension MemoryState {
    /// The counters that belong to memory; 0 for the others.
    func value(of counter: Counter) -> UInt64 {
        switch counter {
        case .hypervisorPages: hypervisorPages
        case .freePages: pool.freePages
        case .hostFaultsMapped: hostFaults.mapped
        case .hostFaultsSpurious: hostFaults.spurious
        case .hostFaultsRefused: hostFaults.refused
        case .sunkPages: hostFaults.sunk
        case .guestPages: guestPages
        case .blocksSplit: UInt64(hostTable.splits)
        case .blocksCoalesced: UInt64(hostTable.coalesced)
        case .ledgerBytes: ledgerBytes
        case .firmwareCallsRefused, .textBytes, .cpusRelayed, .hostSystemRegistersRefused,
            .exitsInterrupt, .exitsWaitForInterrupt, .exitsMemoryFault, .exitsMMIORead, .exitsMMIOWrite,
            .exitsSoftwareInterrupt, .exitsCPUOn, .exitsCPUOff, .exitsSystemOff, .exitsSystemReset,
            .exitsUnsupported, .exitsYield, .exitsDeactivation:
            0
        }
    }
}
