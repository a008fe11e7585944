// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Virtual CPUs, abstractly: whether each is on, who runs it, and what its last exit left open.

import HypervisorInterface

/// What a vCPU does, for the PSCI of its guest.
public enum VCPUPower: Equatable, Sendable {
    /// Waits for another vCPU's CPU_ON.
    case off
    /// Another vCPU has called CPU_ON: the next run starts here, with this in x0.
    case starting(entry: UInt64, context: UInt64)
    /// Runs whenever the host lets it.
    case on
}

/// What the last exit left to the next run. Whatever the next run does, it is gone then.
public enum Pending: Equatable, Sendable {
    /// A load that the host may answer.
    case load(Load, faultAddress: UInt64)
    /// A store that the host may have carried out.
    case store(faultAddress: UInt64)
    /// Cache maintenance by address, which the host may have the guest step over.
    case maintenance(faultAddress: UInt64)
    /// A data access that needs memory, of which nothing can be completed.
    case fault(faultAddress: UInt64)
    /// A fetch likewise.
    case fetch(faultAddress: UInt64)

    /// How a load brings its value to a register.
    public struct Load: Equatable, Sendable {
        /// Number of the register; 31 is none.
        public let register: UInt64
        /// 1, 2, 4 or 8.
        public let bytes: UInt64
        /// Whether the value's sign fills the register.
        public let isSigned: Bool
        /// Whether the register is an X rather than a W.
        public let isWide: Bool

        /// A load.
        public init(register: UInt64, bytes: UInt64, isSigned: Bool, isWide: Bool) {
            self.register = register
            self.bytes = bytes
            self.isSigned = isSigned
            self.isWide = isWide
        }

        /// What the register holds when memory, or a device, has answered.
        func result(_ value: UInt64) -> UInt64 {
            let shift = 64 - bytes * 8
            let extended =
                isSigned
                ? UInt64(bitPattern: Int64(bitPattern: value << shift) >> Int64(shift)) : (value << shift) >> shift
            return isWide ? extended : extended & 0xFFFF_FFFF
        }
    }

    var faultAddress: UInt64 {
        switch self {
        case .load(_, let address), .store(let address), .maintenance(let address), .fault(let address),
            .fetch(let address):
            address
        }
    }
}

/// What of a general register EL2 may choose.
public struct Choice: Equatable, Sendable {
    /// The bits that may be anything.
    public let free: UInt64
    /// The others.
    public let fixed: UInt64

    /// The bits that may be anything, and what the others are.
    public init(free: UInt64, fixed: UInt64 = 0) {
        self.free = free
        self.fixed = fixed
    }
}

/// One virtual CPU.
public struct VCPU: Equatable, Sendable {
    /// Off, on, or between.
    public internal(set) var power: VCPUPower
    /// The CPU that runs it.
    public internal(set) var runner: Int?
    /// CNTVOFF_EL2 of its last run: the host may change the VM's in the middle of it.
    public internal(set) var counterOffset: UInt64 = 0
    /// What the guest finds when it goes on.
    public internal(set) var registers = GuestRegisters(entry: 0, context: 0)
    /// General registers of which only a part is certain, until the guest has seen them.
    public internal(set) var choices: [Int: Choice] = [:]
    /// What its last exit left open.
    public internal(set) var pending: Pending?

    init(_ start: VCPUStart) { power = start == .on ? .on : .off }
}

/// Names a vCPU.
public struct VCPUName: Hashable, Sendable, CustomStringConvertible {
    /// The VM's handle.
    public let machine: UInt64
    /// Its index in the VM.
    public let index: UInt64

    /// The vCPU of a VM with an index.
    public init(_ machine: UInt64, _ index: UInt64) {
        self.machine = machine
        self.index = index
    }

    /// For messages.
    public var description: String { "vCPU \(index) of VM \(hex(machine))" }

    /// The affinity that the guest reads in MPIDR_EL1 and names the vCPU by: 16 to a cluster, as
    /// ICC_SGI1R_EL1 counts.
    public var affinity: UInt64 { index % 16 | (index / 16) << 8 }
}

extension AbstractState {
    /// A vCPU; nil if there is none of that name.
    public func vcpu(_ name: VCPUName) -> VCPU? { machines[name.machine]?.vcpus[name.index] }

    /// Changes a vCPU that exists.
    mutating func change(_ name: VCPUName, _ body: (inout VCPU) -> Void) {
        guard var vcpu = vcpu(name) else { return }
        body(&vcpu)
        machines[name.machine]?.vcpus[name.index] = vcpu
    }

    /// All vCPUs that a CPU runs, by CPU.
    public var running: [Int: VCPUName] {
        var result: [Int: VCPUName] = [:]
        for (handle, machine) in machines {
            for (index, vcpu) in machine.vcpus {
                if let runner = vcpu.runner { result[runner] = VCPUName(handle, index) }
            }
        }
        return result
    }
}
