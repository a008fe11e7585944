// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// How a walker reads control registers: DDI 0487, D8.2 and D24.2.

/// Where a walk starts and how it proceeds, read from the control registers.
@frozen
public struct WalkShape: Equatable, Sendable {
    /// Frame of the first root table.
    public var root: UInt64
    /// Bits of an input address.
    public var inputBits: UInt64
    /// The level of the root.
    public var startLevel: UInt8
    /// Concatenated tables at the start level.
    public var rootPages: UInt64

    /// Binary logarithm of the pages that an entry of `level` covers.
    @inlinable
    public static func entryShift(_ level: UInt8) -> UInt64 { 27 - 9 * UInt64(level) }

    /// EL2's stage-1, from TTBR0_EL2 and TCR_EL2; nil if the granule is not 4 KiB or the size is
    /// out of range.
    @inlinable
    public init?(ttbr: UInt64, tcr: UInt64) {
        let t0sz = tcr & 0x3F
        guard tcr >> 14 & 0b11 == 0, t0sz >= 16, t0sz <= 39 else { return nil }
        inputBits = 64 - t0sz
        startLevel = inputBits > 39 ? 0 : inputBits > 30 ? 1 : 2
        rootPages = 1
        root = (ttbr & 0x0000_FFFF_FFFF_F000) >> 12
    }

    /// Stage-2, from VTTBR_EL2 and VTCR_EL2; nil if the combination of start level and size is
    /// one that the manual makes a fault of every walk (D8.2.3).
    @inlinable
    public init?(vttbr: UInt64, vtcr: UInt64) {
        let t0sz = vtcr & 0x3F
        guard vtcr >> 14 & 0b11 == 0, t0sz >= 16, t0sz <= 39 else { return nil }
        inputBits = 64 - t0sz
        switch vtcr >> 6 & 0b11 {
        case 0: startLevel = 2
        case 1: startLevel = 1
        case 2: startLevel = 0
        default: return nil
        }
        // Bits that the start level alone resolves; up to 4 more by concatenation.
        let resolved = 39 - 9 * UInt64(startLevel) + 9
        guard inputBits > resolved - 9, inputBits <= resolved + (startLevel == 0 ? 0 : 4) else { return nil }
        // A level-0 start needs more than 43 bits of input and as many of output.
        let outputBits: UInt64 = [32, 36, 40, 42, 44, 48, 52, 48][Int(vtcr >> 16 & 0b111)]
        guard startLevel != 0 || inputBits >= 44, inputBits <= outputBits else { return nil }
        rootPages = inputBits > resolved ? 1 << (inputBits - resolved) : 1
        root = (vttbr & 0x0000_FFFF_FFFF_F000) >> 12
        // The root is aligned to its size; lower bits of BADDR are RES0.
        root &= ~(rootPages - 1)
    }
}
