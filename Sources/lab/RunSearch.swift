// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab search`: programs of a hostile host against the specification, on the simulated machine.

import ArgumentParser
import LabKit

struct RunSearch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "search", abstract: "Random, interleaved and exhaustive programs against the specification.")

    @Option(help: "Seconds for each search that has no end of its own.")
    var seconds = 60

    func validate() throws {
        guard seconds >= 1 else { throw ValidationError("--seconds is \(seconds): at least one second is needed") }
    }

    func run() async throws {
        var report = TestReport()
        let results = try await Searching(try Workspace.current()).run(seconds: seconds)
        for result in results where result.verdict == .passed { Progress.say("  \(result.name): \(result.detail)") }
        report.add(results)
        Progress.say(report.summary)
        if report.count(.failed) > 0 { throw ExitCode.failure }
    }
}
