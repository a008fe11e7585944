// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The fuzzer for everything that reads bytes from outside, for a given time.

import Foundation
import SystemPackage

/// Runs libFuzzer with each of the targets in FuzzTargets.
public struct Fuzzing: Sendable {
    private let workspace: Workspace

    /// Fuzzing of the project's sources.
    public init(_ workspace: Workspace) { self.workspace = workspace }

    /// The targets: one text file each, with inputs that have to be right for ever.
    public var targets: [String] {
        workspace.root.appending("Tests/Fuzz").entries.filter { $0.hasSuffix(".txt") }.map { String($0.dropLast(4)) }
    }

    private var scratch: FilePath { workspace.root.appending(".build-fuzz") }
    private var folder: FilePath { workspace.cache.appending("fuzz") }

    /// Builds the fuzzer and runs each target for so many seconds. What it finds out about the targets stays in
    /// the lab's cache and is where the next run begins.
    ///
    /// - Parameter only: this target alone.
    public func run(seconds: Int, only: String? = nil) async throws -> [CheckResult] {
        if let only, !targets.contains(only) { throw LabError.unknown(kind: "target", name: only, known: targets) }
        try await Progress.step("building the fuzzer") {
            // In the debug configuration, whose modules open what is internal to tests; and optimised.
            try await Tool(
                "swift",
                ["build", "--product", "Fuzzer", "--scratch-path", scratch.string, "-Xswiftc", "-O"],
                environment: ["MARTLET_WORLD": "fuzz"], folder: workspace.root
            ).run(log: workspace.logs.appending("fuzz-build.log"))
        }
        var results: [CheckResult] = []
        for target in targets where only == nil || only == target {
            results.append(
                try await Progress.step("fuzzing \(target) for \(seconds) s") {
                    try await fuzz(target, seconds: seconds)
                })
        }
        return results
    }

    private func fuzz(_ target: String, seconds: Int) async throws -> CheckResult {
        let corpus = folder.appending(target)
        let seeds = folder.appending("\(target)-seeds")
        let found = folder.appending("\(target)-found")
        for place in [corpus, found] { try place.makeFolder() }
        try seeds.remove()
        try seeds.makeFolder()
        let text = try workspace.root.appending("Tests/Fuzz/\(target).txt").readText()
        for (number, input) in Self.inputs(in: text).enumerated() {
            try seeds.appending("\(number)").write(Data(input))
        }
        for old in found.files() { try old.remove() }
        let log = workspace.logs.appending("fuzz-\(target).log")
        do {
            try await Tool(
                scratch.appending("debug/Fuzzer").string,
                [
                    "-max_total_time=\(seconds)", "-max_len=4096", "-timeout=20", "-rss_limit_mb=1024",
                    "-print_final_stats=1", "-artifact_prefix=\(found.string)/", corpus.string, seeds.string,
                ], environment: ["SWIFT_BACKTRACE": "enable=no", "MARTLET_FUZZ_TARGET": target]
            ).run(log: log)
        } catch {
            // The line of the text file that keeps what was found.
            let lines = try found.files().map { file in try file.readBytes().map(Self.hexadecimal).joined() }
            let reason = try log.readText().split(separator: "\n").first { $0.contains("Fatal error") } ?? "see \(log)"
            return CheckResult("fuzz/\(target)", .failed, "\(reason); input \(lines.joined(separator: ", "))")
        }
        return CheckResult("fuzz/\(target)", .passed, Self.account(in: try log.readText()))
    }

    /// Inputs in a text file: a line each, in hexadecimal digits, with what it is behind a `#`.
    static func inputs(in text: String) -> [[UInt8]] {
        text.split(separator: "\n").compactMap { line in
            let digits = line.prefix { $0 != "#" }.filter { !$0.isWhitespace }
            guard !digits.isEmpty, digits.count.isMultiple(of: 2) else { return nil }
            let pairs = stride(from: 0, to: digits.count, by: 2).map { digits.dropFirst($0).prefix(2) }
            let bytes = pairs.compactMap { UInt8($0, radix: 16) }
            return bytes.count == pairs.count ? bytes : nil
        }
    }

    static func hexadecimal(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }

    /// How many inputs were tried, and how many parts of the code they reached.
    static func account(in log: String) -> String {
        func number(behind mark: String) -> String? {
            log.ranges(of: mark).last.map { mark in
                String(log[mark.upperBound...].drop { $0 == " " }.prefix { $0.isNumber })
            }
        }
        let inputs = number(behind: "stat::number_of_executed_units:") ?? "no"
        return "\(inputs) inputs, \(number(behind: " cov:") ?? "0") edges of the code"
    }
}
