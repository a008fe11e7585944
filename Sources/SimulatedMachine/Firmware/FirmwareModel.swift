// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What answers SMC in the simulated machine: PSCI (DEN0022) and the SMCCC calls (DEN0028), with a
// record of everything that reached it.

public import Arm

/// Something that answers SMC.
public protocol FirmwareModel: AnyObject {
    /// A call by code at EL2 on a CPU.
    func call(_ registers: FirmwareRegisters, from cpu: SimulatedCPU) -> FirmwareRegisters
}

/// PSCI 1.1 with SMCCC 1.1, as far as Martlet relays it.
///
/// A CPU that turns itself off, or loses its power in a suspend, does not come back from its
/// call. The model says so with `whenParked`: a test that runs CPUs as threads ends or parks the
/// thread there. Without it the call comes back, as a call that firmware refused would.
public final class PSCIFirmware: FirmwareModel {
    /// Where a CPU was told to start.
    public struct Start: Equatable, Sendable {
        /// The address of the first instruction.
        public let entry: UInt64
        /// What `x0` holds there.
        public let context: UInt64

        /// A start at an address with a context.
        public init(entry: UInt64, context: UInt64) {
            self.entry = entry
            self.context = context
        }
    }

    /// What became of the machine as a whole.
    public enum SystemState: Equatable, Sendable {
        case running
        case off
        case reset
        /// SYSTEM_RESET2 with its type and cookie.
        case reset2(UInt64, UInt64)
        /// All CPUs wait for a wake-up that starts the named one.
        case suspended(cpu: Int)
    }

    /// Every call that reached firmware, in order, with the CPU that made it.
    public private(set) var calls: [(cpu: Int, registers: FirmwareRegisters)] = []
    /// What became of the machine as a whole.
    public private(set) var system = SystemState.running
    /// CPUs that were told to start and have not been picked up by `takeStart`.
    public private(set) var starts: [Int: Start] = [:]

    /// What PSCI_VERSION answers.
    public var version: UInt64 = 0x1_0001
    /// What SMCCC_VERSION answers.
    public var smcccVersion: UInt64 = 0x1_0001
    /// Answers that take precedence over everything, for calls under test.
    public var overrides: [UInt32: FirmwareRegisters] = [:]
    /// Architecture workarounds that firmware implements: function and what ARCH_FEATURES answers.
    public var architectureFeatures: [UInt32: UInt64] = [:]
    /// Functions that PSCI_FEATURES denies.
    public var missing: Set<UInt32> = []
    /// A suspend to a state without power comes back at once, as with a pending interrupt.
    public var wakesAtOnce = false
    /// Called when the CPU's call will not come back; should not return.
    public var whenParked: ((SimulatedCPU) -> Void)?

    private let machine: SimulatedMachine

    /// Firmware of a machine. Install it with `machine.firmware = …`.
    public init(_ machine: SimulatedMachine) { self.machine = machine }

    /// Where a CPU is to start, once: the machine gives it its power, and the caller runs the code
    /// at the entry.
    public func takeStart(_ cpu: SimulatedCPU) -> Start? {
        guard let start = starts.removeValue(forKey: cpu.index) else { return nil }
        if case .suspended(let sleeping) = system, sleeping == cpu.index { system = .running }
        machine.powerOn(cpu)
        return start
    }

    /// The identifiers of all calls so far.
    public var functions: [UInt32] { calls.map { UInt32(truncatingIfNeeded: $0.registers.x0) } }

    /// Answers a call, and does to the machine what it asks for.
    public func call(_ registers: FirmwareRegisters, from cpu: SimulatedCPU) -> FirmwareRegisters {
        calls.append((cpu.index, registers))
        let number = UInt32(truncatingIfNeeded: registers.x0)
        if let answer = overrides[number] { return answer }
        switch FunctionID(number) {
        case .version: return FirmwareRegisters(smcccVersion)
        case .archFeatures:
            let asked = UInt32(truncatingIfNeeded: registers.x1)
            if asked == FunctionID.version.rawValue || asked == FunctionID.archFeatures.rawValue {
                return FirmwareRegisters(0)
            }
            return FirmwareRegisters(architectureFeatures[asked] ?? SMCCCStatus.notSupported)
        default:
            break
        }
        if architectureFeatures[number] != nil { return FirmwareRegisters(0) }
        guard let function = PSCIFunction(rawValue: number), !missing.contains(number) else {
            return FirmwareRegisters(SMCCCStatus.notSupported)
        }
        return FirmwareRegisters(psci(function, registers, cpu))
    }

    private func psci(_ function: PSCIFunction, _ registers: FirmwareRegisters, _ cpu: SimulatedCPU) -> UInt64 {
        switch function {
        case .version: return version
        case .cpuOn, .cpuOn32: return turnOn(registers)
        case .cpuOff:
            machine.powerOff(cpu)
            whenParked?(cpu)
            return PSCIStatus.denied.register
        case .affinityInfo, .affinityInfo32: return affinity(registers)
        case .migrateInfoType: return 2
        case .systemOff:
            system = .off
            whenParked?(cpu)
            return PSCIStatus.internalFailure.register
        case .systemReset:
            system = .reset
            whenParked?(cpu)
            return PSCIStatus.internalFailure.register
        case .systemReset2, .systemReset2x32:
            system = .reset2(registers.x1, registers.x2)
            whenParked?(cpu)
            return PSCIStatus.internalFailure.register
        case .features: return features(registers)
        case .cpuSuspend, .cpuSuspend32:
            // Bit 30 of the original format, bit 16 of the extended one: here the original,
            // where bit 16 is StateType, 1 for power-down (DEN0022, 5.4.2).
            guard registers.x1 >> 16 & 1 == 1, !wakesAtOnce else { return PSCIStatus.success.register }
            machine.powerOff(cpu)
            starts[cpu.index] = Start(entry: registers.x2, context: registers.x3)
            whenParked?(cpu)
            return PSCIStatus.success.register
        case .systemSuspend, .systemSuspend32:
            guard machine.allCPUs.allSatisfy({ $0.index == cpu.index || !machine.isOn($0) }) else {
                return PSCIStatus.denied.register
            }
            guard !wakesAtOnce else { return PSCIStatus.success.register }
            machine.powerOff(cpu)
            system = .suspended(cpu: cpu.index)
            starts[cpu.index] = Start(entry: registers.x1, context: registers.x2)
            whenParked?(cpu)
            return PSCIStatus.success.register
        case .setSuspendMode: return PSCIStatus.notSupported.register
        }
    }

    private func turnOn(_ registers: FirmwareRegisters) -> UInt64 {
        guard let target = find(registers.x1) else { return PSCIStatus.invalidParameters.register }
        guard !machine.isOn(target) else { return PSCIStatus.alreadyOn.register }
        guard starts[target.index] == nil else { return PSCIStatus.onPending.register }
        guard registers.x2 & 3 == 0, machine.memory.contains(registers.x2 >> pageShift) else {
            return PSCIStatus.invalidAddress.register
        }
        starts[target.index] = Start(entry: registers.x2, context: registers.x3)
        return PSCIStatus.success.register
    }

    private func affinity(_ registers: FirmwareRegisters) -> UInt64 {
        guard registers.x2 == 0, let target = find(registers.x1) else {
            return PSCIStatus.invalidParameters.register
        }
        if machine.isOn(target) { return AffinityInfo.on.rawValue }
        return (starts[target.index] == nil ? AffinityInfo.off : .onPending).rawValue
    }

    private func features(_ registers: FirmwareRegisters) -> UInt64 {
        let asked = UInt32(truncatingIfNeeded: registers.x1)
        if missing.contains(asked) { return PSCIStatus.notSupported.register }
        if asked == FunctionID.version.rawValue { return 0 }
        return PSCIFunction(rawValue: asked) == nil || asked == PSCIFunction.setSuspendMode.rawValue
            ? PSCIStatus.notSupported.register : 0
    }

    private func find(_ affinity: UInt64) -> SimulatedCPU? {
        machine.allCPUs.first { $0.read(.mpidrEL1) & Affinity.mask == affinity }
    }
}
