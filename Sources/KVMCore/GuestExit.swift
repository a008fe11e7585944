// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a run of a vCPU came back with, decoded from registers into what there is to do.

public import HypervisorInterface

/// An access of the guest to an address where EL2 found nothing that it allows.
public struct GuestAccessFault: Equatable, Sendable {
    /// The guest physical address.
    public let address: UInt64
    /// What the guest did.
    public let kind: FaultKind

    /// What becomes of an access where the VM has no memory and no device that it can be told to.
    public enum Outcome: Equatable, Sendable {
        /// The guest gets an external abort.
        case abort
        /// The guest steps over it.
        case skip
        /// The process is told that nobody can do it.
        case refuse
    }

    /// The outcome outside of all memory slots. As in Linux, a fetch and a walk of the guest's tables are
    /// the guest's own mistake, and cache maintenance has nothing to do; a load or a store that cannot
    /// be decoded is refused. Of a protected guest nothing can be decoded but at its devices.
    public func outcomeWithoutMemory(in vm: VMKind) -> Outcome {
        switch kind {
        case .fetch, .walk: .abort
        case .maintenance: .skip
        case .read, .write: vm == .protected ? .abort : .refuse
        }
    }
}

/// A load or a store that can be done for the guest.
public struct DeviceAccess: Equatable, Sendable {
    /// What the guest does.
    public enum Direction: Equatable, Sendable {
        case read
        case write(UInt64)
    }

    /// The guest physical address.
    public let address: UInt64
    /// Bytes: 1, 2, 4 or 8.
    public let bytes: UInt64
    /// What the guest does.
    public let direction: Direction

    /// What of a value the access carries.
    public func truncated(_ value: UInt64) -> UInt64 {
        bytes >= 8 ? value : value & ((1 << (bytes &* 8)) &- 1)
    }

    /// The same as a fault of memory, for the case that there is memory.
    public var asFault: GuestAccessFault {
        switch direction {
        case .read: GuestAccessFault(address: address, kind: .read)
        case .write: GuestAccessFault(address: address, kind: .write)
        }
    }

    /// An access.
    public init(address: UInt64, bytes: UInt64, direction: Direction) {
        self.address = address
        self.bytes = bytes
        self.direction = direction
    }
}

/// What KVM_RUN tells about a machine's end, with Linux's numbers (KVM_SYSTEM_EVENT_*).
public enum SystemEvent: UInt32, Sendable {
    case shutdown = 1
    case reset = 2
}

/// Why the guest is not running any more, and what there is to do.
public enum ExitEvent: Equatable, Sendable {
    /// The host has something to do; the guest goes on by itself.
    case again
    /// The guest waits for an interrupt.
    case waitForInterrupt
    /// The guest lets others go first.
    case yield
    /// Memory is missing, or forbids what the guest did.
    case memory(GuestAccessFault)
    /// A device register is accessed, unless there is memory to be mapped.
    case device(DeviceAccess)
    /// ICC_SGI1R_EL1 was written.
    case softwareInterrupt(UInt64)
    /// ICC_DIR_EL1 was written.
    case deactivation(UInt64)
    /// Another vCPU is ready to be run.
    case cpuOn(UInt64)
    /// This vCPU is off.
    case cpuOff
    /// The machine ends.
    case system(SystemEvent)
    /// The guest cannot go on. ESR_EL2, FAR_EL2, PC.
    case unsupported(UInt64, UInt64, UInt64)
    /// EL2 did not run the vCPU.
    case refused(Int64)

    /// Decodes x0…x4 of the answer to `HostCall.runVCPU`.
    public init(status: UInt64, _ exit: UInt64, _ second: UInt64, _ third: UInt64, _ fourth: UInt64) {
        let status = Int64(bitPattern: status)
        guard status == CallStatus.success.rawValue, let exit = RunExit(rawValue: exit) else {
            self = .refused(status)
            return
        }
        switch exit {
        case .interrupt: self = .again
        case .waitForInterrupt: self = .waitForInterrupt
        case .yield: self = .yield
        case .memoryFault:
            self = .memory(GuestAccessFault(address: second, kind: FaultKind(rawValue: third) ?? .read))
        case .mmioRead: self = .device(DeviceAccess(address: second, bytes: third, direction: .read))
        case .mmioWrite: self = .device(DeviceAccess(address: second, bytes: third, direction: .write(fourth)))
        case .softwareInterrupt: self = .softwareInterrupt(second)
        case .deactivation: self = .deactivation(second)
        case .cpuOn: self = .cpuOn(second)
        case .cpuOff: self = .cpuOff
        case .systemOff: self = .system(.shutdown)
        case .systemReset: self = .system(.reset)
        case .unsupported: self = .unsupported(second, third, fourth)
        }
    }
}

/// What the next run completes.
public enum Completion: Equatable, Sendable {
    /// Nothing: the guest goes on, or makes its access again.
    case none
    /// A store that somebody has performed, or an instruction that there is no more to do about.
    case written
    /// A load that yields this.
    case value(UInt64)
    /// The access fails, and the guest hears of it.
    case aborted

    /// The bits of x3 of the run and its x4.
    public var request: (RunRequest, UInt64) {
        switch self {
        case .none: ([], 0)
        case .written: (.completes, 0)
        case .value(let value): (.completes, value)
        case .aborted: (.injectExternalAbort, 0)
        }
    }
}

extension GuestAccess {
    /// The rights with which a page is lent.
    ///
    /// A page is executable only when the guest has fetched from it, because only then the instruction
    /// cache has been looked after; where that follows writes by itself, at once.
    public init(after kind: FaultKind, isWritable: Bool, fetchFollowsWrites: Bool) {
        self = isWritable ? .write : []
        if kind == .fetch || fetchFollowsWrites { insert(.execute) }
    }
}
