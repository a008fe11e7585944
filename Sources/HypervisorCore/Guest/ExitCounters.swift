// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// How often vCPUs have left their guests for the host, by reason.

import HypervisorInterface

/// A count for each `RunExit`.
struct ExitCounters: ~Copyable, Sendable {
    private var counts: InlineArray<13, UInt64> = InlineArray(repeating: 0)

    /// Counts an exit.
    mutating func add(_ exit: RunExit) {
        let place = Int(truncatingIfNeeded: exit.rawValue)
        guard counts.indices.contains(place) else { return }
        counts[place] &+= 1
    }

    /// What a counter of exits shows; 0 for all others.
    func count(of counter: Counter) -> UInt64 {
        // The counters lie in the order of the exits.
        let place = Int(truncatingIfNeeded: counter.rawValue &- Counter(of: .interrupt).rawValue)
        return counts.indices.contains(place) ? counts[place] : 0
    }
}
