// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A part that makes a large value stay where it is.

public import Synchronization

/// A part without content by which the compiler handles a structure through its address.
///
/// Of a structure that consists of plain fields, however many, methods that do not change it may be given a
/// copy, which costs time and stack. One that has an atomic part cannot be copied, and is borrowed instead.
public struct Stationary: ~Copyable, Sendable {
    @usableFromInline let part = Atomic<UInt8>(0)

    /// The part.
    @inlinable
    public init() {}
}
