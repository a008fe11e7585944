// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Style and rules: the formatter in lint mode, then the house rules, then what the
// documentation quotes.

import Foundation

/// Checks the sources' form.
public enum Lint {
    /// Runs all checks, printing each violation, and gives one result a rule.
    public static func run(_ workspace: Workspace) async throws -> [CheckResult] {
        var results: [CheckResult] = []
        let folders = ["Package.swift", "Sources", "Tests"]
        let isFormatted = try await Tool(
            "swift", ["format", "lint", "--strict", "--recursive", "--parallel"] + folders, folder: workspace.root
        ).runOnTerminal()
        results.append(CheckResult("lint/format", isFormatted ? .passed : .failed))
        let violations = try HouseRule.check(workspace)
        for violation in violations {
            Progress.say("\(violation.file):\(violation.line): \(violation.rule.rawValue): \(violation.text)")
        }
        for rule in HouseRule.allCases {
            let count = violations.count { $0.rule == rule }
            results.append(
                CheckResult(
                    "lint/\(rule.rawValue)", count == 0 ? .passed : .failed, count == 0 ? "" : "\(count) violations"))
        }
        let stale = try BenchmarkDocuments(workspace).stale()
        let detail = "not what the counts say, see lab bench --publish: \(stale.joined(separator: ", "))"
        results.append(
            CheckResult(
                "lint/benchmark-quotations", stale.isEmpty ? .passed : .failed,
                stale.isEmpty ? "" : detail))
        return results
    }
}
