// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Where random tests take their seeds from: some that never change, and one that does, unless
// MARTLET_SEED names the only one to run.

import SimulatedMachine

#if canImport(Glibc)
import Glibc
#endif

/// The seeds that a random test runs with.
enum Seeds {
    /// `count` fixed seeds and a fresh one; or the one in MARTLET_SEED.
    static func few(_ count: UInt64) -> [UInt64] {
        if let text = unsafe getenv("MARTLET_SEED"), let seed = unsafe UInt64(String(cString: text)) { return [seed] }
        return Array(1...count) + [UInt64.random(in: 1000...UInt64.max)]
    }
}
