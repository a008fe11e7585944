// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The platform checks as a function from facts to a decision. The kernel binding gathers the
// facts and changes nothing; here it is decided whether EL2 may be taken, and first of all
// whether it may be spoken to.

internal import HypervisorInterface

/// At which exception level firmware entered the kernel.
public enum KernelEntry: Equatable, Sendable {
    /// The kernel's record could not be read.
    case unknown
    /// Every CPU was entered at EL1.
    case el1
    /// Every CPU was entered at EL2, so that the kernel's stub is installed on each.
    case el2
    /// The CPUs differ.
    case mixed

    /// Reads the kernel's `__boot_cpu_mode`.
    ///
    /// The kernel starts with the words 0xe12 and 0xe11. A CPU that is entered at EL1 writes
    /// 0xe11 to the first, one that is entered at EL2 writes 0xe12 to the second; so that two
    /// equal words mean that all CPUs agree (arm64 `asm/virt.h`).
    public init(bootModeWords first: UInt32, _ second: UInt32) {
        self =
            switch (first, second) {
            case (0xE12, 0xE12): .el2
            case (0xE11, 0xE11): .el1
            case (0xE11, 0xE12): .mixed
            default: .unknown
            }
    }
}

/// What was read on one CPU.
public struct CPUFacts: Equatable, Sendable {
    /// The kernel's number of the CPU.
    public var id: UInt32
    /// The affinity fields of `MPIDR_EL1`.
    public var affinity: UInt64
    /// `CurrentEL` as the kernel runs: 1 or 2.
    public var exceptionLevel: UInt32
    /// Whether the GIC is driven by system registers (`ICC_SRE_EL1.SRE`).
    public var gicSystemRegisters: UInt32

    /// The facts of one CPU.
    public init(id: UInt32, affinity: UInt64, exceptionLevel: UInt32, gicSystemRegisters: UInt32) {
        self.id = id
        self.affinity = affinity
        self.exceptionLevel = exceptionLevel
        self.gicSystemRegisters = gicSystemRegisters
    }
}

/// What was read of the whole machine.
public struct MachineFacts: Equatable, Sendable {
    /// Bytes of the kernel's pages.
    public var pageSize: UInt64
    /// How firmware entered the kernel.
    public var entry: KernelEntry
    /// CPUs that are online; may be more than were recorded.
    public var onlineCPUs: UInt32
    /// The first CPU that is present and offline.
    public var offlineCPU: UInt32?

    /// The facts of one machine.
    public init(pageSize: UInt64, entry: KernelEntry, onlineCPUs: UInt32, offlineCPU: UInt32?) {
        self.pageSize = pageSize
        self.entry = entry
        self.onlineCPUs = onlineCPUs
        self.offlineCPU = offlineCPU
    }

    /// Decides from what can be read at EL1 alone. Only if this succeeds, `hvc` is defined on
    /// every CPU and reaches the kernel's stub or what has replaced it.
    ///
    /// The order puts causes before consequences: a kernel at EL2 would also fail what follows.
    ///
    /// - Parameter cpu: the facts of the recorded CPU with this index, below
    ///   `min(onlineCPUs, Limits.cpus)`.
    public func check(cpu: (Int) -> CPUFacts) throws(Refusal) {
        guard pageSize == Limits.pageSize else { throw .pageSize(pageSize) }
        let recorded = min(Int(onlineCPUs), Limits.cpus)
        for index in 0..<recorded where cpu(index).exceptionLevel != 1 { throw .kernelAtEL2 }
        switch entry {
        case .unknown: throw .entryUnknown
        case .el1: throw .notEnteredAtEL2
        case .mixed: throw .enteredAtDifferentLevels
        case .el2: break
        }
        if let offlineCPU { throw .cpuOffline(offlineCPU) }
        guard onlineCPUs > 0, Int(onlineCPUs) <= Limits.cpus else { throw .tooManyCPUs(onlineCPUs) }
        for index in 0..<recorded {
            let facts = cpu(index)
            if facts.gicSystemRegisters == 0 { throw .noGICv3(cpu: facts.id) }
            for other in 0..<index where cpu(other).affinity == facts.affinity {
                throw .duplicateCPU(facts.id)
            }
        }
    }
}

/// Who answered `HostCall.version` at EL2, before anything was installed.
public enum EL2Owner: Equatable, Sendable {
    /// The kernel's stub: EL2 is free to take.
    case stub
    /// A hypervisor that follows the SMC calling convention and does not know the call: KVM.
    case anotherHypervisor
    /// Martlet.
    case martlet
    /// None of them.
    case unknown(UInt64)

    /// Reads the answer in x0. The stub answers 0xbadca11 to every number that it does not
    /// know, and `HostCall.version` is none of its four; KVM at EL2 answers NOT_SUPPORTED.
    public init(answer: UInt64) {
        self =
            switch answer {
            case 0xBAD_CA11: .stub
            case UInt64(bitPattern: CallStatus.notSupported.rawValue): .anotherHypervisor
            case UInt64(bitPattern: CallStatus.success.rawValue): .martlet
            default: .unknown(answer)
            }
    }

    /// Decides whether EL2 of this CPU may be taken.
    public func check(cpu: UInt32) throws(Refusal) {
        switch self {
        case .stub: break
        case .anotherHypervisor: throw .ownedByAnother(cpu: cpu)
        case .martlet: throw .alreadyInstalled
        case .unknown(let answer): throw .unknownAnswer(cpu: cpu, answer: answer)
        }
    }
}
