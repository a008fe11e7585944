// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// How a walker reads descriptors. Written from the manual (DDI 0487, D8.3) and on purpose without the
// decoders of the Arm module: what the hypervisor writes with one reading of the manual is read here
// with another.

/// The two regimes whose tables the hypervisor writes.
@frozen
public enum Regime: UInt8, Equatable, Sendable {
    /// EL2's own stage-1 (HCR_EL2.E2H = 0).
    case hypervisor
    /// Stage-2 of EL1 and EL0.
    case stage2
}

/// What a walker makes of the 64 bits of one descriptor.
@frozen
public enum Reading: Equatable, Sendable {
    /// Nothing that translates.
    case fault
    /// A next-level table at a frame, with the limits that its descriptor sets on what lies below.
    case table(UInt64, TableLimits)
    /// A block or page.
    case leaf(Leaf)

    /// Bits 63:59 of a stage-1 table descriptor, as far as they matter to EL2.
    @frozen
    public struct TableLimits: Equatable, Sendable {
        /// APTable[1]: nothing below is writable.
        public var readOnly = false
        /// XNTable: nothing below is executable.
        public var executeNever = false

        /// No limits.
        @inlinable
        public init() {}
    }

    /// A block or page.
    @frozen
    public struct Leaf: Equatable, Sendable {
        /// First output frame.
        public var frame: UInt64
        /// Loads are allowed.
        public var readable: Bool
        /// Stores are allowed.
        public var writable: Bool
        /// Fetches are allowed.
        public var executable: Bool
        /// MemAttr at stage-2, AttrIndx at stage-1.
        public var memory: UInt8
        /// SH.
        public var shareability: UInt8
        /// AF.
        public var accessFlag: Bool

        @inlinable
        init(
            frame: UInt64, readable: Bool, writable: Bool, executable: Bool, memory: UInt8, shareability: UInt8,
            accessFlag: Bool
        ) {
            self.frame = frame
            self.readable = readable
            self.writable = writable
            self.executable = executable
            self.memory = memory
            self.shareability = shareability
            self.accessFlag = accessFlag
        }

        /// Whether turning `self` into `new` only gives more permission.
        @inlinable
        public func isRelaxed(to new: Leaf) -> Bool {
            new.frame == frame && new.memory == memory && new.shareability == shareability
                && (new.readable || !readable) && (new.writable || !writable)
                && (new.executable || !executable) && (new.accessFlag || !accessFlag)
        }
    }

    /// Reads a descriptor found in a table of `level` (0…3), 4 KiB granule, 48-bit output.
    @inlinable
    public init(_ bits: UInt64, level: UInt8, regime: Regime) {
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
                    executable: bits >> 54 & 1 == 0, memory: UInt8(truncatingIfNeeded: bits >> 2 & 0b111),
                    shareability: UInt8(truncatingIfNeeded: bits >> 8 & 0b11), accessFlag: bits >> 10 & 1 == 1))
        case .stage2:
            // XN[1:0]: without FEAT_XNX bit 54 alone forbids execution; with it 01 and 11 forbid
            // one of the levels. Only 00 lets both EL1 and EL0 execute.
            self = .leaf(
                Leaf(
                    frame: frame, readable: bits >> 6 & 1 == 1, writable: bits >> 7 & 1 == 1,
                    executable: bits >> 53 & 0b11 == 0 && bits >> 6 & 1 == 1,
                    memory: UInt8(truncatingIfNeeded: bits >> 2 & 0b1111),
                    shareability: UInt8(truncatingIfNeeded: bits >> 8 & 0b11), accessFlag: bits >> 10 & 1 == 1))
        }
    }
}
