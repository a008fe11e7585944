// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a guest has in its registers, with no regard to where the hypervisor keeps it.

public import HypervisorInterface

/// Features of the machine's CPUs that change what a guest finds.
public struct ProcessorFeatures: Equatable, Sendable {
    /// FEAT_PAN.
    public var hasPAN = false
    /// FEAT_SSBS.
    public var hasSSBS = false
    /// FEAT_MTE2: PSTATE.TCO.
    public var hasMTE = false
    /// FEAT_NMI: PSTATE.ALLINT.
    public var hasNMI = false
    /// Pointer authentication, so that there are keys.
    public var hasPointerAuthentication = false
    /// ID_AA64PFR0_EL1.CSV2: branch predictions of one context do not steer another.
    public var isFreeOfSpectreV2 = false
    /// Calls of `Function` that firmware said it has.
    public var firmwareCalls: Set<UInt32> = []

    /// A CPU with none of them.
    public init() {}
}

/// The registers of one vCPU.
public struct GuestRegisters: Equatable, Sendable {
    /// `x0`…`x30`.
    public var general: [UInt64]
    /// Where the guest goes on.
    public var programCounter: UInt64
    /// PSTATE, as SPSR_EL2 shows it.
    public var processorState: UInt64
    /// SP_EL0.
    public var stackPointerEL0: UInt64 = 0
    /// EL1's registers by `VCPURegister.System`, but for MPIDR_EL1, which nobody writes.
    public var system: [UInt64]
    /// The five keys of pointer authentication, low halves first.
    public var keys: [UInt64]
    /// FPCR and FPSR.
    public var vectorStatus: [UInt64] = [0, 0]
    /// Quadwords of the longest scalable vector; 0 without scalable vectors. A vCPU has it for life.
    public var vectorLength: UInt64
    /// ZCR_EL1, with scalable vectors.
    public var vectorControl: UInt64 = 0
    /// `v0`…`v31` or, with scalable vectors, `z0`…`z31`: doublewords, low ones first.
    public var vectors: [UInt64]
    /// `p0`…`p15` and FFR, with scalable vectors: halfwords, low ones first.
    public var predicates: [UInt16]
    /// CNTV_CTL_EL0, with ISTATUS as the guest left it.
    public var timerControl: UInt64 = 0
    /// CNTV_CVAL_EL0.
    public var timerCompare: UInt64 = 0
    /// ICH_VMCR_EL2: priority mask, binary points, groups enabled.
    public var interface: UInt64 = 0
    /// ICH_AP0R0…3_EL2, then ICH_AP1R0…3_EL2.
    public var activePriorities: [UInt64]

    /// The registers of a vCPU that starts: the MMU and caches off, interrupts masked, everything
    /// else zero (DEN0022, 6.4).
    public init(entry: UInt64, context: UInt64, vectorLength: UInt64 = 0) {
        self.vectorLength = vectorLength
        vectors = Array(repeating: 0, count: 64 * max(1, Int(vectorLength)))
        predicates = Array(repeating: 0, count: 17 * Int(vectorLength))
        general = [context] + Array(repeating: 0, count: 30)
        programCounter = entry
        processorState = Self.maskedEL1
        system = Array(repeating: 0, count: Int(VCPURegister.System.mpidr.rawValue))
        keys = Array(repeating: 0, count: 10)
        activePriorities = Array(repeating: 0, count: 8)
        self[.sctlr] = 0x30D0_0800
    }

    /// EL1h with D, A, I and F set.
    static let maskedEL1: UInt64 = 0x3C5

    /// One of EL1's registers, not MPIDR_EL1.
    public subscript(register: VCPURegister.System) -> UInt64 {
        get { system[Int(register.rawValue)] }
        set { system[Int(register.rawValue)] = newValue }
    }

    /// A general register as an instruction names it: 31 reads as zero.
    func operand(_ index: UInt64) -> UInt64 { index < 31 ? general[Int(index)] : 0 }

    /// Writes one as an instruction does: 31 is no register.
    mutating func setOperand(_ index: UInt64, _ value: UInt64) {
        if index < 31 { general[Int(index)] = value }
    }

    /// The guest takes an exception to its own EL1 (DDI 0487, AArch64.TakeException).
    mutating func take(_ syndrome: UInt64, faultAddress: UInt64? = nil, _ features: ProcessorFeatures) {
        let from = processorState
        self[.esr] = syndrome
        self[.elr] = programCounter
        self[.spsr] = from
        if let faultAddress { self[.far] = faultAddress }
        let vector: UInt64 = from & 0xF == 0 ? 0x400 : from & 1 == 0 ? 0 : 0x200
        programCounter = self[.vbar] &+ vector
        // N, Z, C, V and DIT stay as they are.
        var state = Self.maskedEL1 | from & 0xF100_0000
        let panBit: UInt64 = 1 << 22
        if features.hasPAN { state |= self[.sctlr] & (1 << 23) == 0 ? panBit : from & panBit }
        if features.hasSSBS, self[.sctlr] & (1 << 44) != 0 { state |= 1 << 12 }
        if features.hasMTE { state |= 1 << 25 }
        if features.hasNMI, self[.sctlr] & (1 << 62) == 0 { state |= 1 << 13 }
        processorState = state
    }

    /// The access fails: a synchronous external abort (DFSC or IFSC 0x10), from EL0 or from EL1. IL is set.
    mutating func takeExternalAbort(isFetch: Bool, at address: UInt64, _ features: ProcessorFeatures) {
        let isSame: UInt64 = processorState & 0xF == 0 ? 0 : 1
        take(((isFetch ? 0x20 : 0x24) | isSame) << 26 | 1 << 25 | 0x10, faultAddress: address, features)
    }

    /// The guest's instruction is undefined: an exception of unknown reason, with a 32-bit instruction.
    mutating func takeUndefined(_ features: ProcessorFeatures) { take(1 << 25, features) }

    /// Two sets of registers, for a CPU with or without keys. Names the first difference.
    public func difference(from due: GuestRegisters) -> String? {
        for index in 0..<31 where general[index] != due.general[index] {
            return "x\(index) is \(hex(general[index])) where \(hex(due.general[index])) is due"
        }
        for name in VCPURegister.System.allCases where name != .mpidr && self[name] != due[name] {
            return "\(name) is \(hex(self[name])) where \(hex(due[name])) is due"
        }
        let pairs: [(String, UInt64, UInt64)] = [
            ("PC", programCounter, due.programCounter), ("PSTATE", processorState, due.processorState),
            ("SP_EL0", stackPointerEL0, due.stackPointerEL0), ("CNTV_CTL_EL0", timerControl, due.timerControl),
            ("CNTV_CVAL_EL0", timerCompare, due.timerCompare), ("ICH_VMCR_EL2", interface, due.interface),
            ("FPCR", vectorStatus[0], due.vectorStatus[0]), ("FPSR", vectorStatus[1], due.vectorStatus[1]),
            ("ZCR_EL1", vectorControl, due.vectorControl),
        ]
        for (name, seen, due) in pairs where seen != due { return "\(name) is \(hex(seen)) where \(hex(due)) is due" }
        if keys != due.keys { return "the keys are others" }
        if vectors != due.vectors { return "the vector registers are others" }
        if predicates != due.predicates { return "the predicates are others" }
        if activePriorities != due.activePriorities { return "the active priorities are others" }
        return nil
    }
}
