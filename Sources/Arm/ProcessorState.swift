// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// PSTATE as it is saved in SPSR_ELx (DDI 0487, C5.2.19), and how an exception changes it.

/// A saved processor state.
public struct ProcessorState: Equatable, Sendable {
    /// The register.
    public let bits: UInt64

    /// From the register.
    @inlinable
    public init(bits: UInt64) { self.bits = bits }

    /// EL1 with its own stack pointer and D, A, I and F masked: how a CPU starts at EL1.
    public static let startOfEL1 = ProcessorState(bits: 0x3C5)

    /// The mode that the exception came from.
    public enum Mode: Equatable, Sendable {
        case el0, el1t, el1h
        /// Any AArch32 mode; the host's EL0 may be in one.
        case aarch32
        /// EL2, EL3 or reserved.
        case forbidden
    }

    /// Whether the exception came from AArch32 (M[4]).
    @inlinable
    public var isAArch32: Bool { bits & (1 << 4) != 0 }

    /// The mode in M[4:0].
    @inlinable
    public var mode: Mode {
        if bits & (1 << 4) != 0 { return .aarch32 }
        return switch bits & 0xF {
        case 0b0000: .el0
        case 0b0100: .el1t
        case 0b0101: .el1h
        default: .forbidden
        }
    }

    /// Offset from VBAR_EL1 of the synchronous vector for an exception taken from this state.
    @inlinable
    public var synchronousVectorOffset: UInt64 {
        switch mode {
        case .el1t: 0x000
        case .el1h: 0x200
        case .el0: 0x400
        case .aarch32, .forbidden: 0x600
        }
    }

    /// The state in which EL1's handler starts when an exception is taken to it from this state
    /// (AArch64.TakeException): DAIF masked, EL1h, PAN set unless SCTLR_EL1.SPAN, SSBS from
    /// SCTLR_EL1.DSSBS, TCO set if memory tagging exists, everything else clear but NZCV and DIT.
    @inlinable
    public func enteringEL1(systemControl sctlr: UInt64, features: Features) -> ProcessorState {
        var new: UInt64 = 0x3C5
        if mode != .aarch32 {
            new |= bits & 0xF000_0000  // N, Z, C, V
        }
        new |= bits & (1 << 24)  // DIT
        if features.hasPAN {
            new |= bits & (1 << 22)
            if sctlr & (1 << 23) == 0 { new |= 1 << 22 }
        }
        if features.hasSSBS, sctlr & (1 << 44) != 0 { new |= 1 << 12 }
        if features.hasMTE { new |= 1 << 25 }  // TCO
        if features.hasNMI, sctlr & (1 << 62) == 0 { new |= 1 << 13 }  // ALLINT
        return ProcessorState(bits: new)
    }

    /// Which PSTATE fields this CPU has.
    public struct Features: Equatable, Sendable {
        /// FEAT_PAN.
        public let hasPAN: Bool
        /// FEAT_SSBS.
        public let hasSSBS: Bool
        /// FEAT_MTE2.
        public let hasMTE: Bool
        /// FEAT_NMI.
        public let hasNMI: Bool

        /// From the register.
        @inlinable
        public init(hasPAN: Bool, hasSSBS: Bool, hasMTE: Bool, hasNMI: Bool) {
            self.hasPAN = hasPAN
            self.hasSSBS = hasSSBS
            self.hasMTE = hasMTE
            self.hasNMI = hasNMI
        }
    }
}
