// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// How a mapping that is being made notices that the process's memory changes under it: the
// protocol of Linux' MMU notifiers.

/// What a fault remembers before it asks the kernel for the page.
public struct InvalidationTicket: Equatable, Sendable {
    let sequence: UInt64
}

/// Changes of the process's memory that are under way, and how many there have been.
///
/// A fault takes a ticket, gets the page without the lock, takes the lock, and maps only if
/// `allows`. A change calls `begin` under the lock, unmaps, lets the kernel change the process's
/// page table, and calls `end`. So a page is either mapped before `begin`, and then unmapped, or not
/// mapped at all. A value whose bytes are all zero is the initial one.
public struct Invalidation: Sendable {
    private var underWay: UInt64 = 0
    private var sequence: UInt64 = 0
    // Covers all changes that are under way.
    private var start: UInt64 = 0
    private var end: UInt64 = 0

    /// No change so far.
    public init() {}

    /// Where a fault starts.
    public var ticket: InvalidationTicket { InvalidationTicket(sequence: sequence) }

    /// User addresses `start ..< end` are about to change.
    public mutating func begin(_ start: UInt64, _ end: UInt64) {
        if underWay == 0 {
            self.start = start
            self.end = end
        } else {
            self.start = min(self.start, start)
            self.end = max(self.end, end)
        }
        underWay &+= 1
    }

    /// They have changed. A fault that overlapped with it may have seen the old page.
    public mutating func end(_ start: UInt64, _ end: UInt64) {
        sequence &+= 1
        // An end without a beginning is nobody's; it must not make the count wrap.
        if underWay > 0 { underWay &-= 1 }
    }

    /// The slots have changed: no fault that has begun may go on.
    public mutating func cut() { sequence &+= 1 }

    /// Whether pages at user addresses that were got since `ticket` may be mapped.
    public func allows(_ address: UInt64, bytes: UInt64 = 1, since ticket: InvalidationTicket) -> Bool {
        if underWay > 0, address &+ bytes > start, address < end { return false }
        return ticket.sequence == sequence
    }
}
