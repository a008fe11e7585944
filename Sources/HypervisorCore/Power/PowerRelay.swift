// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The PSCI calls of the host that start, stop or suspend CPUs. EL2 stands in between: a CPU that
// starts does so in EL2, which then sends it to where the host wanted it, at EL1.

import Arm
import HypervisorInterface
import Machine

/// Physical addresses of EL2's entry points for firmware; both expect the address of the CPU's
/// data page in `x0`.
public struct FirmwareEntryPoints: Sendable {
    /// Where CPU_ON starts a CPU.
    public let cpuOn: UInt64
    /// Where a CPU resumes that lost its state in a suspension.
    public let resume: UInt64

    /// The physical addresses of the two entries.
    public init(cpuOn: UInt64, resume: UInt64) {
        self.cpuOn = cpuOn
        self.resume = resume
    }
}

extension Hypervisor {
    /// Whether the host could run code at this physical address: one of its own pages, or
    /// firmware's.
    private func isHostCode(_ address: UInt64, on processor: P) -> Bool {
        guard address & 3 == 0 else { return false }
        if isWithout(.entriesAreTheHosts) { return true }
        let frame = Address<HostPhysical>(address).frame
        return memory.withLock(on: processor) { state in
            switch state.report(frame, on: processor) {
            case .host, .firmware: true
            case .hypervisor, .guest, .notMemory: false
            }
        }
    }

    /// CPU_ON (DEN0022, section 5.6).
    func cpuOn(target: UInt64, start: StartPoint, on processor: P) -> UInt64 {
        guard let affinity = Affinity(argument: target) else { return PSCIStatus.invalidParameters.register }
        guard isHostCode(start.entry, on: processor) else { return PSCIStatus.invalidAddress.register }
        return power.withLock(on: processor) { state in
            guard let cpu = state.index(of: affinity, on: processor) else {
                return PSCIStatus.invalidParameters.register
            }
            switch state.state(of: cpu, on: processor) {
            case .on, .suspending: return PSCIStatus.alreadyOn.register
            case .onPending: return PSCIStatus.onPending.register
            case .off: break
            }
            state.record(.onPending(start), of: cpu, on: processor)
            // The lock is held over the call: the target waits for it before it looks.
            let answer = processor.callFirmware(
                FirmwareRegisters(
                    FunctionID(PSCIFunction.cpuOn.rawValue), affinity.rawValue,
                    isWithout(.startsPassEL2) ? start.entry : entryPoints.cpuOn,
                    boot.dataPage(of: cpu).rawValue))
            if answer.x0 != PSCIStatus.success.register { state.record(.off, of: cpu, on: processor) }
            return answer.x0
        }
    }

    /// CPU_OFF: returns only if firmware refuses.
    func cpuOff(_ cpu: Int, on processor: P) -> UInt64 {
        power.withLock(on: processor) { state in state.record(.off, of: cpu, on: processor) }
        let answer = processor.callFirmware(FirmwareRegisters(FunctionID(PSCIFunction.cpuOff.rawValue)))
        power.withLock(on: processor) { state in
            // Another CPU may have tried to start this one meanwhile and been told ALREADY_ON.
            state.record(.on, of: cpu, on: processor)
        }
        return answer.x0
    }

    /// AFFINITY_INFO, for single CPUs that are ours.
    func affinityInfo(target: UInt64, level: UInt64, on processor: P) -> UInt64 {
        guard let affinity = Affinity(argument: target), level == 0 else {
            return PSCIStatus.invalidParameters.register
        }
        return power.withLock(on: processor) { state in
            guard let cpu = state.index(of: affinity, on: processor) else {
                return PSCIStatus.invalidParameters.register
            }
            switch state.state(of: cpu, on: processor) {
            case .on, .suspending: return AffinityInfo.on.rawValue
            case .onPending: return AffinityInfo.onPending.rawValue
            case .off:
                // Off for the relay may still be on its way down; firmware knows.
                return processor.callFirmware(
                    FirmwareRegisters(FunctionID(PSCIFunction.affinityInfo.rawValue), affinity.rawValue, 0)
                ).x0
            }
        }
    }

    /// CPU_SUSPEND and SYSTEM_SUSPEND. Returns if the CPU kept its state or firmware refused;
    /// otherwise the CPU comes back through the resume entry.
    /// - Parameter powerState: CPU_SUSPEND's argument; nil for SYSTEM_SUSPEND.
    func suspend(_ cpu: Int, powerState: UInt64?, start: StartPoint, on processor: P) -> UInt64 {
        guard isHostCode(start.entry, on: processor) else { return PSCIStatus.invalidAddress.register }
        power.withLock(on: processor) { state in state.record(.suspending(start), of: cpu, on: processor) }
        let page = boot.dataPage(of: cpu).rawValue
        let registers: FirmwareRegisters
        if let powerState {
            registers = FirmwareRegisters(
                FunctionID(PSCIFunction.cpuSuspend.rawValue), powerState, entryPoints.resume, page)
        } else {
            registers = FirmwareRegisters(
                FunctionID(PSCIFunction.systemSuspend.rawValue), entryPoints.resume, page)
        }
        let answer = processor.callFirmware(registers)
        power.withLock(on: processor) { state in state.record(.on, of: cpu, on: processor) }
        return answer.x0
    }

    /// A CPU has come up at one of the firmware entries and runs on EL2's tables: gives it the
    /// host's control registers and confinement, and says where at EL1 it goes on.
    ///
    /// - Returns: the frame to return to EL1 with. A CPU that nobody asked for does not get one:
    ///   it is switched off again.
    public func arrive(_ cpu: Int, on processor: P) -> HostFrame {
        let start: StartPoint? = power.withLock(on: processor) { state in
            guard cpu >= 0, cpu < state.count else { return nil }
            switch state.state(of: cpu, on: processor) {
            case .onPending(let start), .suspending(let start):
                state.record(.on, of: cpu, on: processor)
                state.arrivals &+= 1
                return start
            case .on, .off:
                return nil
            }
        }
        guard let start else {
            _ = processor.callFirmware(FirmwareRegisters(FunctionID(PSCIFunction.cpuOff.rawValue)))
            processor.panic("a CPU arrived that nobody had started, and could not be switched off")
        }
        confine(.arriving, on: processor)
        // EL1 starts with its MMU and caches off, little-endian (DEN0022, section 6.4).
        processor.write(.sctlrEL1, 0x30D0_0800)
        var frame = HostFrame()
        frame.x[0] = start.context
        frame.programCounter = start.entry
        frame.processorState = .startOfEL1
        return frame
    }
}
