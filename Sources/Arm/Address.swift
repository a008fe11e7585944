// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Addresses and page frames that know which space they belong to, so that a guest's number can
// never be used where the machine's is meant. A bare UInt64 lives only in codecs.

/// Bytes in a page of the 4 KiB granule.
public let pageSize: UInt64 = 4096
/// Binary logarithm of `pageSize`.
public let pageShift: UInt64 = 12
/// Pages in a 2 MiB block.
public let pagesPerSuperpage: UInt64 = 512

/// A space that addresses belong to. Only used as a type.
public protocol AddressSpace: Sendable {}
/// Physical addresses of the machine. The host's stage-2 is an identity map, so the host's
/// intermediate physical addresses are in this space too.
public enum HostPhysical: AddressSpace {}
/// Addresses that a guest takes for physical: the input of its stage-2.
public enum GuestPhysical: AddressSpace {}
/// Virtual addresses of EL2's own stage-1.
public enum HypervisorVirtual: AddressSpace {}

/// An address in `Space`, in bytes.
public struct Address<Space: AddressSpace>: Hashable, Comparable, Sendable {
    /// The address, in bytes.
    public let rawValue: UInt64

    /// From a number that has been checked.
    @inlinable
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// By number.
    @inlinable
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    /// The address `bytes` further on. Wraps: a caller that takes `bytes` from outside checks first.
    @inlinable
    public func advanced(by bytes: UInt64) -> Self { Self(rawValue &+ bytes) }

    /// Whether the address is a multiple of the page size.
    @inlinable
    public var isPageAligned: Bool { rawValue & (pageSize &- 1) == 0 }

    /// The frame that holds this address.
    @inlinable
    public var frame: Frame<Space> { Frame(rawValue >> pageShift) }
}

/// The number of a 4 KiB page in `Space`.
public struct Frame<Space: AddressSpace>: Hashable, Comparable, Sendable {
    /// The address divided by the page size.
    public let number: UInt64

    /// From a number that has been checked.
    @inlinable
    public init(_ number: UInt64) { self.number = number }

    /// By number.
    @inlinable
    public static func < (a: Self, b: Self) -> Bool { a.number < b.number }

    /// Address of the first byte.
    @inlinable
    public var address: Address<Space> { Address(number << pageShift) }

    /// The frame `pages` further on. Wraps, like `Address.advanced(by:)`.
    @inlinable
    public func advanced(by pages: UInt64) -> Self { Self(number &+ pages) }

    /// Whether a 2 MiB block may start here.
    @inlinable
    public var isSuperpageAligned: Bool { number & (pagesPerSuperpage &- 1) == 0 }
}

/// A run of frames that is not empty and does not wrap.
public struct FrameRange<Space: AddressSpace>: Hashable, Sendable {
    /// The first frame.
    public let first: Frame<Space>
    /// Pages; at least 1.
    public let count: UInt64

    /// The range, or nil if it is empty or reaches past the last frame of a 52-bit address.
    @inlinable
    public init?(alleged first: UInt64, count: UInt64) {
        let limit: UInt64 = 1 << 40
        guard count > 0, first < limit, count <= limit &- first else { return nil }
        self.first = Frame(first)
        self.count = count
    }

    /// One page.
    @inlinable
    public init(_ frame: Frame<Space>) {
        first = frame
        count = 1
    }

    /// The range between two frames; `last` is not part of it and must lie behind `first`.
    @inlinable
    public init?(from first: Frame<Space>, to end: Frame<Space>) {
        guard first < end else { return nil }
        self.first = first
        self.count = end.number &- first.number
    }

    /// The frame just behind the range.
    @inlinable
    public var end: Frame<Space> { first.advanced(by: count) }

    /// Whether all of it lies in this range.
    @inlinable
    public func contains(_ frame: Frame<Space>) -> Bool { first <= frame && frame < end }

    /// Whether all of it lies in this range.
    @inlinable
    public func contains(_ other: Self) -> Bool { first <= other.first && other.end <= end }

    /// Whether any frame is in both.
    @inlinable
    public func overlaps(_ other: Self) -> Bool { first < other.end && other.first < end }
}
