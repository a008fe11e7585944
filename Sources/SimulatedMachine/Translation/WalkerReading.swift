// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// How the simulated walker reads descriptors and control registers. Written from the manual
// (DDI 0487, D8.2, D8.3 and D24.2) and on purpose without the decoders of the Arm module: what
// the hypervisor writes with one reading of the manual is read here with another.

import Arm

/// The two regimes whose tables the hypervisor writes.
enum Regime: UInt8, Equatable {
    /// EL2's own stage-1 (HCR_EL2.E2H = 0).
    case hypervisor
    /// Stage-2 of EL1 and EL0.
    case stage2
}

/// What a walker makes of the 64 bits of one descriptor.
enum Reading: Equatable {
    case fault
    /// A next-level table at a frame, with the limits that its descriptor sets on what lies below.
    case table(UInt64, TableLimits)
    case leaf(Leaf)

    /// Bits 63:59 of a stage-1 table descriptor, as far as they matter to EL2.
    struct TableLimits: Equatable {
        var readOnly = false
        var executeNever = false
    }

    /// A block or page.
    struct Leaf: Equatable {
        /// First output frame.
        var frame: UInt64
        var readable: Bool
        var writable: Bool
        var executable: Bool
        /// MemAttr at stage-2, AttrIndx at stage-1.
        var memory: UInt8
        var shareability: UInt8
        var accessFlag: Bool

        /// Whether turning `self` into `new` only gives more permission.
        func isRelaxed(to new: Leaf) -> Bool {
            new.frame == frame && new.memory == memory && new.shareability == shareability
                && (new.readable || !readable) && (new.writable || !writable)
                && (new.executable || !executable) && (new.accessFlag || !accessFlag)
        }
    }

    /// Reads a descriptor found in a table of `level` (0…3), 4 KiB granule, 48-bit output.
    init(_ bits: UInt64, level: UInt8, regime: Regime) {
        let isPageOrTable = bits & 0b10 != 0
        guard bits & 0b01 != 0 else {
            self = .fault
            return
        }
        if isPageOrTable && level < 3 {
            var limits = TableLimits()
            if regime == .hypervisor {
                limits.readOnly = bits >> 62 & 1 == 1  // APTable[1]
                limits.executeNever = bits >> 60 & 1 == 1  // XNTable
            }
            self = .table((bits << 16) >> 28, limits)
            return
        }
        // A page needs both bits at level 3; a block exists at levels 1 and 2 only.
        guard isPageOrTable == (level == 3), level > 0 else {
            self = .fault
            return
        }
        // Output address bits below the block's size are RES0; the walker ignores them.
        let pagesBelow: UInt64 = level == 1 ? 1 << 18 : level == 2 ? 1 << 9 : 1
        let frame = ((bits << 16) >> 28) & ~(pagesBelow - 1)
        switch regime {
        case .hypervisor:
            self = .leaf(
                Leaf(
                    frame: frame, readable: true, writable: bits >> 7 & 1 == 0,
                    executable: bits >> 54 & 1 == 0, memory: UInt8(bits >> 2 & 0b111),
                    shareability: UInt8(bits >> 8 & 0b11), accessFlag: bits >> 10 & 1 == 1))
        case .stage2:
            // XN[1:0]: without FEAT_XNX bit 54 alone forbids execution; with it 01 and 11 forbid
            // one of the levels. Only 00 lets both EL1 and EL0 execute.
            self = .leaf(
                Leaf(
                    frame: frame, readable: bits >> 6 & 1 == 1, writable: bits >> 7 & 1 == 1,
                    executable: bits >> 53 & 0b11 == 0 && bits >> 6 & 1 == 1,
                    memory: UInt8(bits >> 2 & 0b1111),
                    shareability: UInt8(bits >> 8 & 0b11), accessFlag: bits >> 10 & 1 == 1))
        }
    }
}

/// Where a walk starts and how it proceeds, read from the control registers.
struct WalkShape: Equatable {
    /// Frame of the first root table.
    var root: UInt64
    var inputBits: UInt64
    var startLevel: UInt8
    /// Concatenated tables at the start level.
    var rootPages: UInt64

    /// Binary logarithm of the pages that an entry of `level` covers.
    static func entryShift(_ level: UInt8) -> UInt64 { 27 - 9 * UInt64(level) }

    /// EL2's stage-1, from TTBR0_EL2 and TCR_EL2; nil if the granule is not 4 KiB or the size is
    /// out of range.
    init?(ttbr: UInt64, tcr: UInt64) {
        let t0sz = tcr & 0x3F
        guard tcr >> 14 & 0b11 == 0, t0sz >= 16, t0sz <= 39 else { return nil }
        inputBits = 64 - t0sz
        startLevel = inputBits > 39 ? 0 : inputBits > 30 ? 1 : 2
        rootPages = 1
        root = (ttbr & 0x0000_FFFF_FFFF_F000) >> 12
    }

    /// Stage-2, from VTTBR_EL2 and VTCR_EL2; nil if the combination of start level and size is
    /// one that the manual makes a fault of every walk (D8.2.3).
    init?(vttbr: UInt64, vtcr: UInt64) {
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
