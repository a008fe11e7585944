// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab fuzz`: bytes from outside, made up by a fuzzer that sees what they reach.

import ArgumentParser
import LabKit

struct Fuzz: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look for bytes from outside for which something does not hold that must.")

    @Option(help: "Only this target.")
    var target: String?

    @Option(help: "Seconds for each target.")
    var seconds = 300

    func validate() throws {
        guard seconds >= 1 else { throw ValidationError("--seconds is \(seconds): at least one second is needed") }
    }

    func run() async throws {
        var report = TestReport()
        let results = try await Fuzzing(try Workspace.current()).run(seconds: seconds, only: target)
        for result in results where result.verdict == .passed { Progress.say("  \(result.name): \(result.detail)") }
        report.add(results)
        Progress.say(report.summary)
        if report.count(.failed) > 0 { throw ExitCode.failure }
    }
}
