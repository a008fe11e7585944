// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The ways in which EL2's vectors keep branch predictions of lower levels away from EL2.

/// The mitigation on entry to EL2 from a lower exception level.
public enum BranchMitigation: Equatable, Sendable {
    /// The CPU needs none.
    case none
    /// The CLRBHB instruction.
    case clearBranchHistory
    /// A loop of this many taken branches overwrites the history.
    case loop(UInt64)
    /// SMCCC_ARCH_WORKAROUND_3, which includes the first workaround.
    case firmware3
    /// SMCCC_ARCH_WORKAROUND_1.
    case firmware1
}
