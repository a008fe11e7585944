// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Progress on the terminal: whatever takes longer than two seconds says that it is alive.

import Foundation

/// Prints the name of a step, that it goes on, and how long it took.
public enum Progress {
    /// Prints one line at once, also when the output is a pipe.
    public static func say(_ line: String) {
        FileHandle.standardOutput.write(Data((line + "\n").utf8))
    }

    /// Runs a step. A step shorter than two seconds prints nothing; a longer one announces itself
    /// after two seconds, says every half minute that it still runs, and ends with its duration.
    public static func step<Result: Sendable>(
        _ name: String, _ body: () async throws -> Result
    ) async throws -> Result {
        let start = ContinuousClock.now
        let ticker = Task {
            try await Task.sleep(for: quiet)
            say("  \(name) …")
            while true {
                try await Task.sleep(for: .seconds(30))
                say("  \(name): \(seconds(since: start)) s so far")
            }
        }
        defer { ticker.cancel() }
        let result = try await body()
        if ContinuousClock.now - start >= quiet {
            say("  \(name): done in \(seconds(since: start)) s")
        }
        return result
    }

    /// A step that is over before this has passed needs no words.
    private static let quiet = Duration.seconds(2)

    /// Whole seconds since a moment, rounded.
    public static func seconds(since start: ContinuousClock.Instant) -> Int {
        Int(((ContinuousClock.now - start) / .seconds(1)).rounded())
    }
}
