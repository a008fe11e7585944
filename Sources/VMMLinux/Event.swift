// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A flag that one thread raises to wake another out of poll.

internal import CLinux
public import VMMConfiguration

/// An event that a waiting thread can be woken by.
public struct Event: ~Copyable, Sendable {
    let descriptor: Descriptor

    /// An event that has not happened.
    public init() throws(SystemError) {
        descriptor = try Descriptor(owning: clinux_event_create())
    }

    /// Wakes whoever waits. Raising it twice is as good as once.
    public func raise() {
        var one: UInt64 = 1
        // Safety: the pointer is to a live local of the size given. A full counter cannot happen before 2^64 calls.
        _ = unsafe clinux_write(descriptor.number, &one, 8)
    }

    /// Makes the event one that has not happened.
    public func clear() {
        var count: UInt64 = 0
        // Safety: as above; a counter of zero makes the read fail, which changes nothing.
        _ = unsafe clinux_read(descriptor.number, &count, 8)
    }
}
