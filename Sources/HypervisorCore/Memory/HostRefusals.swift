// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// How often a CPU of the host was refused one page in a row, by which a loop of its kernel that never
// ends is told from an access that fails.

import Arm

/// For each CPU the page that it was refused last, and how often in a row.
///
/// Each CPU has a count of its own, shared only with CPUs 32 further: processes on several CPUs that
/// touch different pages would begin each other's count anew for ever.
struct HostRefusals: ~Copyable, Sendable {
    // The frame's number above, how often in the low 8 bits.
    private var last: InlineArray<32, UInt64> = InlineArray(repeating: 0)

    /// Refusals of one page in a row after which the host gets a sink there.
    private static var limit: UInt64 { 16 }

    /// Counts a refusal; whether it is one too many.
    mutating func isTooMany(_ frame: Frame<HostPhysical>, cpu: Int) -> Bool {
        let place = cpu & 31
        let times = last[place] >> 8 == frame.number ? last[place] & 0xFF : 0
        last[place] = frame.number << 8 | min(times &+ 1, 0xFF)
        return times >= Self.limit
    }
}
