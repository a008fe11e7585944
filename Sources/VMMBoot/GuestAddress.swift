// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Guest-physical addresses and ranges of them.

/// A guest-physical address (Arm: intermediate physical address).
public struct GuestAddress: Equatable, Comparable, Hashable, Sendable {
    /// The address as a number.
    public let value: UInt64

    /// The address of this number.
    public init(_ value: UInt64) { self.value = value }

    /// Whether `left` lies below `right`.
    public static func < (left: GuestAddress, right: GuestAddress) -> Bool { left.value < right.value }

    /// The address `count` bytes further. The sums of this program stay far below 2^64, since sizes are checked.
    public func advanced(by count: UInt64) -> GuestAddress { GuestAddress(value + count) }

    /// The next address that is a multiple of `alignment`, a power of two.
    func alignedUp(to alignment: UInt64) -> GuestAddress {
        GuestAddress((value + alignment - 1) & ~(alignment - 1))
    }

    /// The address in hexadecimal.
    public var description: String { "0x" + String(value, radix: 16) }
}

/// A range of guest-physical addresses.
public struct GuestRange: Equatable, Sendable {
    /// The first address.
    public let start: GuestAddress
    /// The number of bytes.
    public let count: UInt64

    /// A range of `count` bytes from `start` on.
    public init(start: GuestAddress, count: UInt64) {
        self.start = start
        self.count = count
    }

    /// The address behind the last byte.
    public var end: GuestAddress { start.advanced(by: count) }

    /// The distance of `address` from the start; nil if it lies outside.
    public func offset(of address: GuestAddress) -> UInt64? {
        address >= start && address.value - start.value < count ? address.value - start.value : nil
    }

    /// Whether all of `other` lies within.
    public func contains(_ other: GuestRange) -> Bool {
        guard let offset = offset(of: other.start) else { return false }
        return other.count <= count - offset
    }
}
