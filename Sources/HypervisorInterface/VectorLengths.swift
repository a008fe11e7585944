// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Lengths of scalable vectors, counted in quadwords of 128 bits as the architecture does.

/// A set of lengths of scalable vectors.
public struct VectorLengths: Equatable, Sendable {
    /// Bit n stands for n + 1 quadwords; a vector has at most 16.
    public let bits: UInt64

    /// From the bits; those that stand for no length are dropped.
    public init(bits: UInt64) { self.bits = bits & 0xFFFF }

    /// No length: there are no scalable vectors.
    public static let none = VectorLengths(bits: 0)

    /// Quadwords of the longest; 0 if there is none.
    public var longest: UInt64 { UInt64(truncatingIfNeeded: 64 &- bits.leadingZeroBitCount) }

    /// Whether a vector may have so many quadwords.
    public func contains(_ quadwords: UInt64) -> Bool {
        (1...16).contains(quadwords) && bits >> (quadwords &- 1) & 1 == 1
    }

    /// Those of at most so many quadwords.
    public func upTo(_ quadwords: UInt64) -> VectorLengths {
        VectorLengths(bits: quadwords < 16 ? bits & ((1 << quadwords) &- 1) : bits)
    }

    /// What a guest can be given that runs on either of two CPUs: below the shortest length that only
    /// one of them has, they do not differ.
    public func virtualisable(with other: VectorLengths) -> VectorLengths {
        let difference = bits ^ other.bits
        return VectorLengths(bits: bits & ((difference & (0 &- difference)) &- 1))
    }
}
