// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The outcome of a test run, for people and for programs.

import Foundation
public import SystemPackage

/// All results of a run.
public struct TestReport: Codable, Sendable {
    /// The results, in the order in which they came.
    public private(set) var results: [CheckResult] = []

    /// An empty report.
    public init() {}

    /// Adds results, printing those that failed.
    public mutating func add(_ news: [CheckResult]) {
        for result in news where result.verdict == .failed {
            Progress.say("  FAILED \(result.name)\(result.detail.isEmpty ? "" : ": \(result.detail)")")
        }
        results += news
    }

    /// How many results have a verdict.
    public func count(_ verdict: CheckResult.Verdict) -> Int { results.count { $0.verdict == verdict } }

    /// The one line that a run ends with.
    public var summary: String { "\(count(.passed)) passed, \(count(.failed)) failed" }

    /// Writes the report for programs.
    public func write(to path: FilePath) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try path.write(try encoder.encode(self))
    }
}
