// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Translation table descriptors of the 4 KiB granule, as values (DDI 0487, D8.3). Code decodes a
// descriptor once and switches over what it is; no caller tests bits.

/// What a leaf maps to and how, in one stage of translation.
public protocol LeafAttributes: Equatable, Sendable {
    /// Bits 63:50 and 11:2 of a leaf descriptor.
    var bits: UInt64 { get }
    init(bits: UInt64)
}

/// One entry of a translation table.
public enum Descriptor<Attributes: LeafAttributes>: Equatable, Sendable {
    /// Translation faults.
    case invalid
    /// Points to a table of the next level.
    case table(Frame<HostPhysical>)
    /// A block (levels 1 and 2) or a page (level 3).
    case leaf(Frame<HostPhysical>, Attributes)

    /// Bits 47:12, the output address of the 4 KiB granule without FEAT_LPA2.
    @inlinable
    static var addressMask: UInt64 { 0x0000_FFFF_FFFF_F000 }

    /// Decodes the 64 bits found in a table of `level`.
    @inlinable
    public init(bits: UInt64, level: Level) {
        guard bits & 1 == 1 else {
            self = .invalid
            return
        }
        let frame = Frame<HostPhysical>((bits & Self.addressMask) >> pageShift)
        let isTableOrPage = bits & 2 != 0
        switch (level, isTableOrPage) {
        case (.three, true), (.one, false), (.two, false):
            self = .leaf(frame, Attributes(bits: bits & ~Self.addressMask & ~3))
        case (.three, false), (.zero, false):
            // Reserved encodings fault like an invalid descriptor.
            self = .invalid
        case (_, true):
            self = .table(frame)
        }
    }

    /// The table that the 64 bits of an entry above level 3 point to; nil if they say something else.
    @inlinable
    @inline(__always)
    public static func table(behind bits: UInt64) -> Frame<HostPhysical>? {
        bits & 3 == 3 ? Frame((bits & addressMask) >> pageShift) : nil
    }

    /// The 64 bits to store in a table of `level`.
    @inlinable
    public func bits(level: Level) -> UInt64 {
        switch self {
        case .invalid: 0
        case .table(let frame): frame.address.rawValue | 3
        case .leaf(let frame, let attributes):
            frame.address.rawValue | attributes.bits | (level == .three ? 3 : 1)
        }
    }
}

/// What stage-2 says of a leaf (DDI 0487, D8.3.1; memory types without HCR_EL2.FWB, but for one).
public struct Stage2Attributes: LeafAttributes {
    /// The attribute fields, in their places.
    public let bits: UInt64

    /// From the parts.
    @inlinable
    public init(bits: UInt64) { self.bits = bits }

    /// The stage-2 memory type; stage-1 may make it stricter, never looser (D8.6.5).
    public enum MemoryType: UInt64, CaseIterable, Sendable {
        /// Device-nGnRE.
        case device = 0b0001
        /// Normal, inner and outer non-cacheable.
        case nonCacheable = 0b0101
        /// Normal, inner and outer write-back.
        case writeBack = 0b1111
        /// Normal, inner and outer write-back whatever stage-1 says. Only with HCR_EL2.FWB (D8.6.6).
        case forcedWriteBack = 0b0110
    }

    /// Who may do what through the leaf.
    public struct Access: Equatable, Sendable {
        /// Loads.
        public let readable: Bool
        /// Stores.
        public let writable: Bool
        /// Fetches.
        public let executable: Bool

        /// From the parts.
        @inlinable
        public init(readable: Bool, writable: Bool, executable: Bool) {
            self.readable = readable
            self.writable = writable
            self.executable = executable
        }

        /// Everything.
        public static let all = Access(readable: true, writable: true, executable: true)
        /// Loads and stores.
        public static let data = Access(readable: true, writable: true, executable: false)
    }

    /// A leaf of the given type and access, inner shareable, with its access flag set.
    @inlinable
    public init(_ type: MemoryType, _ access: Access) {
        let innerShareable: UInt64 = 0b11 << 8
        let accessFlag: UInt64 = 1 << 10
        let executeNever: UInt64 = 0b10 << 53
        bits =
            type.rawValue << 2
            | (access.readable ? 1 << 6 : 0)
            | (access.writable ? 1 << 7 : 0)
            | innerShareable
            | accessFlag
            | (access.executable ? 0 : executeNever)
    }

    /// The memory type, or nil for a code that this package never writes.
    @inlinable
    public var memoryType: MemoryType? { MemoryType(rawValue: (bits >> 2) & 0b1111) }

    /// The access rights.
    @inlinable
    public var access: Access {
        Access(
            readable: bits & (1 << 6) != 0,
            writable: bits & (1 << 7) != 0,
            executable: (bits >> 53) & 0b11 == 0b00)
    }
}

/// What EL2's own stage-1 says of a leaf (DDI 0487, D8.3.1, a regime with one privilege level).
public struct Stage1Attributes: LeafAttributes {
    /// The attribute fields, in their places.
    public let bits: UInt64

    /// From the parts.
    @inlinable
    public init(bits: UInt64) { self.bits = bits }

    /// What EL2 may do with the page. Nothing is both writable and executable.
    public enum Access: Sendable {
        case code
        case readOnly
        case data
    }

    /// Normal write-back memory (attribute index 0 of `MemoryAttributes.el2`), inner shareable.
    @inlinable
    public init(_ access: Access) {
        let innerShareable: UInt64 = 0b11 << 8
        let accessFlag: UInt64 = 1 << 10
        // AP[2] (bit 7) is read-only; AP[1] (bit 6) is RES1 in a regime with one privilege level.
        let reserved: UInt64 = 1 << 6
        let readOnly: UInt64 = 1 << 7
        let executeNever: UInt64 = 1 << 54
        bits =
            switch access {
            case .code: innerShareable | accessFlag | reserved | readOnly
            case .readOnly: innerShareable | accessFlag | reserved | readOnly | executeNever
            case .data: innerShareable | accessFlag | reserved | executeNever
            }
    }

    /// Whether EL2 may store.
    @inlinable
    public var isWritable: Bool { bits & (1 << 7) == 0 }

    /// Whether EL2 may fetch.
    @inlinable
    public var isExecutable: Bool { bits & (1 << 54) == 0 }
}
