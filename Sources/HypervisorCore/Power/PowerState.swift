// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The CPUs' power states, as far as the relay between the host and firmware must know them.

public import Arm
import CBootProtocol
public import Machine

/// Where a CPU goes on at EL1 once EL2 has brought it up.
public struct StartPoint: Equatable, Sendable {
    /// Physical address of the first instruction at EL1.
    public let entry: UInt64
    /// What `x0` holds there.
    public let context: UInt64

    /// Where a CPU goes on, and with what in `x0`.
    public init(entry: UInt64, context: UInt64) {
        self.entry = entry
        self.context = context
    }
}

/// What one CPU is doing, from PSCI's point of view (DEN0022, section 6.6).
public enum CPUPower: Equatable, Sendable {
    /// Runs the host.
    case on
    /// Has been asked to start and has not arrived at EL2 yet.
    case onPending(StartPoint)
    /// Is off, or about to be.
    case off
    /// Has called for suspension and goes on there if it lost its state.
    case suspending(StartPoint)
}

/// All CPUs that the hypervisor was installed on. No other CPU is ever started.
///
/// Each CPU's state stands in its own data page, its affinity in the boot block.
public struct PowerState: Lockable, Sendable {
    /// Its place among the locks.
    public static var lockRank: LockRank { .power }
    private let boot: BootBlock
    /// CPUs that have come up through the relay.
    public internal(set) var arrivals: UInt64 = 0

    /// All CPUs of the boot block run the host; nil if two of them have one affinity.
    init?(_ boot: BootBlock, on processor: some Processor) {
        self.boot = boot
        var cpu = 0
        while cpu < boot.cpuCount {
            guard index(of: boot.affinity(cpu, on: processor), on: processor) == cpu else { return nil }
            record(.on, of: cpu, on: processor)
            cpu &+= 1
        }
    }

    /// The number of CPUs.
    public var count: Int { boot.cpuCount }

    /// The index of a CPU, nil if it is not one of ours.
    public func index(of affinity: Affinity, on processor: some Processor) -> Int? {
        var cpu = 0
        while cpu < boot.cpuCount {
            if boot.affinity(cpu, on: processor) == affinity { return cpu }
            cpu &+= 1
        }
        return nil
    }

    private func field(_ offset: Int32, of cpu: Int) -> Address<HypervisorVirtual> {
        HypervisorAddressSpace.identity(boot.dataPage(of: cpu)).advanced(by: UInt64(offset))
    }

    /// What a CPU is doing. The index is one of ours.
    public func state(of cpu: Int, on processor: some Processor) -> CPUPower {
        let start = StartPoint(
            entry: processor.load64(field(MARTLET_PERCPU_POWER_ENTRY, of: cpu)),
            context: processor.load64(field(MARTLET_PERCPU_POWER_CONTEXT, of: cpu)))
        return switch processor.load64(field(MARTLET_PERCPU_POWER, of: cpu)) {
        case 1: .on
        case 2: .onPending(start)
        case 3: .suspending(start)
        default: .off
        }
    }

    /// Records what a CPU is doing.
    func record(_ state: CPUPower, of cpu: Int, on processor: some Processor) {
        let code: UInt64
        switch state {
        case .off: code = 0
        case .on: code = 1
        case .onPending(let start):
            code = 2
            store(start, of: cpu, on: processor)
        case .suspending(let start):
            code = 3
            store(start, of: cpu, on: processor)
        }
        processor.store64(field(MARTLET_PERCPU_POWER, of: cpu), code)
    }

    private func store(_ start: StartPoint, of cpu: Int, on processor: some Processor) {
        processor.store64(field(MARTLET_PERCPU_POWER_ENTRY, of: cpu), start.entry)
        processor.store64(field(MARTLET_PERCPU_POWER_CONTEXT, of: cpu), start.context)
    }
}
