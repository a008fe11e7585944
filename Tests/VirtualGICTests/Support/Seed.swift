// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Random numbers that a seed repeats, and where seeds come from: some that never change, and one
// that does, unless MARTLET_SEED names the only one to run.

#if canImport(Glibc)
import Glibc
#endif

/// SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

enum Seeds {
    /// `count` fixed seeds and a fresh one; or the one in MARTLET_SEED.
    static func few(_ count: UInt64) -> [UInt64] {
        if let text = unsafe getenv("MARTLET_SEED"), let seed = unsafe UInt64(String(cString: text)) { return [seed] }
        return Array(1...count) + [UInt64.random(in: 1000...UInt64.max)]
    }
}
