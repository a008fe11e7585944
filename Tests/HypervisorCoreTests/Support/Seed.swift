// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Where random tests take their seeds from: some that never change, and one that does, unless
// MARTLET_SEED names the only one to run.

import Foundation

/// The seeds that a random test runs with.
enum Seeds {
    /// `count` fixed seeds and a fresh one; or the one in MARTLET_SEED.
    static func few(_ count: UInt64) -> [UInt64] {
        if let seed = ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap(UInt64.init) { return [seed] }
        return Array(1...count) + [UInt64.random(in: 1000...UInt64.max)]
    }
}
