// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The guest's virtual timer as an exit reports it, while no CPU runs it.

/// CNTV_CTL_EL0 and CNTV_CVAL_EL0, the latter in the host's count.
public struct GuestTimer: Equatable, Sendable {
    /// CNTV_CTL_EL0.
    public var control: UInt64
    /// The count from which on the timer fires.
    public var compare: UInt64

    /// A timer with these registers.
    public init(control: UInt64, compare: UInt64) {
        self.control = control
        self.compare = compare
    }

    /// Whether it can raise its interrupt at all: ENABLE without IMASK.
    public var isArmed: Bool { control & 3 == 1 }

    /// Whether its interrupt is asserted.
    ///
    /// Counts are compared as hardware does: as the sign of their difference is not, they are unsigned.
    public func isAsserted(at count: UInt64) -> Bool { isArmed && count >= compare }

    /// Nanoseconds until the interrupt is asserted; nil if it never is. At most an hour: whoever sleeps
    /// longer looks again.
    public func delay(from count: UInt64, frequency: UInt64) -> Int64? {
        guard isArmed else { return nil }
        guard count < compare else { return 0 }
        // CNTFRQ_EL0 has 32 bits, so that the rest of the division is small enough for what follows.
        guard frequency > 0, frequency <= UInt64(UInt32.max) else { return GuestTimer.longestDelay }
        let (seconds, rest) = (compare &- count).quotientAndRemainder(dividingBy: frequency)
        guard seconds < 3600 else { return GuestTimer.longestDelay }
        // Rounded up: whoever wakes too early would sleep again.
        return Int64(seconds * 1_000_000_000 + rest * 1_000_000_000 / frequency + 1)
    }

    /// An hour, in nanoseconds.
    static let longestDelay: Int64 = 3_600_000_000_000
}
