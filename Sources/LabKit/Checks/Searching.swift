// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The searches on the simulated machine, in the tool's release form.

import Foundation
import SystemPackage

/// Runs the searches of docs/search.md.
public struct Searching: Sendable {
    private let workspace: Workspace

    /// Searches with the project's sources.
    public init(_ workspace: Workspace) { self.workspace = workspace }

    /// The tool's arguments, for searches that take so many seconds each, or as long as they have to.
    static func commands(seconds: Int) -> [(name: String, arguments: [String])] {
        let time = ["--seconds", "\(seconds)"]
        return [
            ("random", ["random"] + time),
            ("random-2-cpus", ["random", "--cpus", "2", "--coverage"] + time),
            ("interleaved", ["interleaved"] + time),
            ("interleaved-3-cpus", ["interleaved", "--cpus", "3"] + time),
            ("exhaustive-1-vm", ["exhaustive", "--machines", "1", "--guest-pages", "2", "--gifts"]),
            ("exhaustive-2-vms", ["exhaustive", "--machines", "2"]),
        ]
    }

    /// Builds the tool and makes each search. One that finds something fails, with the program in its detail and in
    /// a trace that `search replay` plays; one that is to be exhaustive fails if it is not.
    public func run(seconds: Int) async throws -> [CheckResult] {
        let scratch = workspace.root.appending(".build-search")
        try await Progress.step("building the search") {
            // The lab and the tests check exclusivity.
            try await Tool(
                "swift",
                [
                    "build", "-c", "release", "--product", "search", "--scratch-path", scratch.string,
                    "-Xswiftc", "-cross-module-optimization", "-Xswiftc", "-enforce-exclusivity=unchecked",
                ], folder: workspace.root
            ).run(log: workspace.logs.appending("search-build.log"))
        }
        let tool = scratch.appending("release/search").string
        var results: [CheckResult] = []
        for (name, arguments) in Self.commands(seconds: seconds) {
            results.append(try await Progress.step("search \(name)") { try await search(tool, name, arguments) })
        }
        return results
    }

    func search(_ tool: String, _ name: String, _ arguments: [String]) async throws -> CheckResult {
        let log = workspace.logs.appending("search-\(name).log")
        let trace = workspace.logs.appending("search-\(name).trace")
        do {
            try await Tool(tool, arguments + ["--trace", trace.string]).run(log: log)
        } catch {
            let lines = (try? log.readText())?.split(separator: "\n").suffix(12).joined(separator: " | ")
            return CheckResult("search/\(name)", .failed, "\(lines ?? "\(error)"); see \(log) and \(trace)")
        }
        return CheckResult("search/\(name)", .passed, Self.account(in: try log.readText()))
    }

    /// What a search says of itself: the line with how much it did.
    static func account(in log: String) -> String {
        log.split(separator: "\n").map(String.init).last { $0.hasSuffix(" a second") } ?? ""
    }
}
