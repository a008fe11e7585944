// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Running the unit tests against each mutant, until the first test fails.

import Foundation
import Subprocess
import SystemPackage

/// What became of a mutant.
public struct MutantResult: Codable, Equatable, Sendable {
    /// How it ended.
    public enum Fate: String, Codable, Sendable {
        /// A test failed, or the tests crashed or did not end.
        case killed
        /// All tests passed.
        case survived
        /// Its replacement does not compile.
        case notBuilt = "not-built"
    }

    /// The mutant.
    public let name: String
    /// `Mutant.Area`.
    public let area: String
    /// How it ended.
    public let fate: Fate
    /// The test that noticed, or what else there is to say.
    public let detail: String
    /// How long that took.
    public let seconds: Int
}

/// Builds all mutants and runs the tests of the hypervisor's core against each.
public struct MutantRun {
    private let workspace: Workspace

    /// Prepares runs.
    public init(_ workspace: Workspace) { self.workspace = workspace }

    /// Tests that do one thing come first: most mutants do not get further.
    private static let stages = [["--skip", "Random"], ["--filter", "Random"]]

    /// Runs the tests against the mutants that a filter selects.
    ///
    /// - Parameter report: called with each result as soon as it is there.
    /// - Throws: ``LabError`` if the code as it is does not build or does not pass.
    public func run(filter: String?, report: (MutantResult) -> Void) async throws {
        let package = MutantPackage(workspace)
        let selected = Mutants.select(filter)
        let broken = try await Progress.step("building \(Mutants.all.count) mutants in one program") {
            // All of them, whatever is selected: so that the next selection needs no build.
            try await package.build(Mutants.select(nil))
        }
        let start = ContinuousClock.now
        if let failure = try await failure(of: 0, package.tests, limit: .seconds(1800)) {
            throw LabError.programFailed(
                command: package.tests.string, status: "fails without any mutant", tail: failure, log: nil)
        }
        // Generous: the machine may be busier later.
        let limit = max(.seconds(60), (ContinuousClock.now - start) * 5)
        for (number, mutant) in selected {
            let start = ContinuousClock.now
            var fate = MutantResult.Fate.notBuilt
            var detail = ""
            if !broken.contains(number) {
                let failure = try await failure(of: number, package.tests, limit: limit)
                fate = failure == nil ? .survived : .killed
                detail = failure ?? mutant.harm
            }
            report(
                MutantResult(
                    name: mutant.name, area: mutant.area.rawValue, fate: fate, detail: detail,
                    seconds: Progress.seconds(since: start)))
        }
    }

    /// Runs the tests with a mutant.
    ///
    /// - Returns: what failed first; nil if nothing did.
    private func failure(of number: Int, _ tests: FilePath, limit: Duration) async throws -> String? {
        for stage in Self.stages {
            let tool = Tool(
                tests.string, ["--testing-library", "swift-testing"] + stage,
                // A crash is an answer; how it came about would take seconds to say.
                environment: [MutatedSources.variable: String(number), "SWIFT_BACKTRACE": "enable=no"])
            if let failure = try await firstFailure(tool, limit: limit) { return failure }
        }
        return nil
    }

    private func firstFailure(_ tool: Tool, limit: Duration) async throws -> String? {
        let result = try await Subprocess.run(
            tool.configuration(), input: .none, output: .sequence, error: .combinedWithOutput
        ) { execution in
            let end: @Sendable () async -> Void = {
                await execution.teardown(using: [.gracefulShutDown(allowedDurationToNextStep: .seconds(1))])
            }
            let timer = Task {
                try await Task.sleep(for: limit)
                await end()
                return true
            }
            var failure: String?
            for try await line in execution.standardOutput.strings() {
                if failure == nil, let found = Self.failure(in: line) {
                    failure = found
                    await end()
                }
            }
            timer.cancel()
            let isLate = (try? await timer.value) ?? false
            return failure ?? (isLate ? "the tests did not end" : nil)
        }
        if let failure = result.closureResult { return failure }
        return result.terminationStatus.isSuccess ? nil : "the tests crashed: \(result.terminationStatus)"
    }

    /// The name of a test that a line of the tests' output calls failed.
    static func failure(in line: String) -> String? {
        guard line.contains("✘"), let start = line.range(of: "Test ") else { return nil }
        let words = line[start.upperBound...]
        let end = words.firstRange(of: " recorded an issue")?.lowerBound ?? words.endIndex
        return String(words[..<end])
    }
}
