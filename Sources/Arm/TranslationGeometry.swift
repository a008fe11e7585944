// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The shape of a translation table tree with the 4 KiB granule (DDI 0487, D8.2): how many levels,
// how wide the root, and which level covers how much.

/// A level of lookup: 0 is the root of a four-level tree, 3 holds pages.
public enum Level: UInt8, CaseIterable, Comparable, Sendable {
    case zero = 0
    case one = 1
    case two = 2
    case three = 3

    /// Closer to the root is less.
    @inlinable
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    /// Binary logarithm of the bytes that one entry covers.
    @inlinable
    @inline(__always)
    public var entryShift: UInt64 { 39 &- 9 &* UInt64(rawValue) }

    /// Pages that one entry covers.
    @inlinable
    public var entryPages: UInt64 { 1 << (entryShift &- pageShift) }

    /// The level of the tables that this level's entries point to; nil at level 3.
    @inlinable
    public var next: Level? {
        switch self {
        case .zero: .one
        case .one: .two
        case .two: .three
        case .three: nil
        }
    }

    /// Whether an entry of this level may be a block or a page. Level 0 blocks need FEAT_LPA2 and
    /// are never used here.
    @inlinable
    public var allowsLeaf: Bool { self != .zero }
}

/// Entries in one table.
public let entriesPerTable: UInt64 = 512
/// Its binary logarithm.
public let entriesShift: UInt64 = 9

/// The tree's input size and where lookups start.
public struct TranslationGeometry: Equatable, Sendable {
    // Small, because whoever passes a tree on may have to copy it.
    @usableFromInline let narrowInputBits: UInt8
    @usableFromInline let narrowRootPages: UInt8
    /// The level of the root.
    public let rootLevel: Level

    /// Bits of the input address, 25…48.
    @inlinable
    @inline(__always)
    public var inputBits: UInt64 { UInt64(narrowInputBits) }

    /// Consecutive pages that form the root: 1…16 (more than one only at stage-2).
    @inlinable
    @inline(__always)
    public var rootPages: UInt64 { UInt64(narrowRootPages) }

    private init(inputBits: UInt64, rootLevel: Level, rootPages: UInt64) {
        narrowInputBits = UInt8(truncatingIfNeeded: inputBits)
        narrowRootPages = UInt8(truncatingIfNeeded: rootPages)
        self.rootLevel = rootLevel
    }

    /// The geometry of a stage-1 for EL2: 48 bits, four levels.
    public static let stage1 = TranslationGeometry(inputBits: 48, rootLevel: .zero, rootPages: 1)

    /// The geometry of a stage-2 whose input is as wide as the machine's physical addresses.
    ///
    /// A level-0 start is legal only from 44 bits on (DDI 0487, D8.2.3, on VTCR_EL2.SL0); below,
    /// lookups start at level 1 with up to 16 concatenated tables.
    /// - Parameter bits: physical address bits, 32…52. More than 48 are cut to 48, which needs no
    ///   FEAT_LPA2; nil below 32.
    public static func stage2(physicalAddressBits bits: UInt64) -> TranslationGeometry? {
        guard bits >= 32 else { return nil }
        let used = bits < 48 ? bits : 48
        if used >= 44 {
            return TranslationGeometry(inputBits: used, rootLevel: .zero, rootPages: 1)
        }
        let pages: UInt64 = used <= 39 ? 1 : 1 << (used &- 39)
        return TranslationGeometry(inputBits: used, rootLevel: .one, rootPages: pages)
    }

    /// Index of the entry for `frameNumber` in a table of `level`; at the root it may exceed 511
    /// when tables are concatenated.
    @inlinable
    @inline(__always)
    public func index(of frameNumber: UInt64, at level: Level) -> UInt64 {
        let index = frameNumber >> (level.entryShift &- pageShift)
        if level == rootLevel {
            let bits = inputBits &- level.entryShift
            return index & ((1 << bits) &- 1)
        }
        return index & (entriesPerTable &- 1)
    }

    /// Whether the frame lies inside the input range.
    @inlinable
    public func contains(_ frameNumber: UInt64) -> Bool {
        frameNumber >> (inputBits &- pageShift) == 0
    }

    /// The number of frames of the input range.
    @inlinable
    public var frames: UInt64 { 1 << (inputBits &- pageShift) }
}
