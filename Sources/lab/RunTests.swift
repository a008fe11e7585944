// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab test`: everything that is tested, in one command.

import ArgumentParser
import LabKit

struct RunTests: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Run the system tests.")

    @Flag(help: "Run the full matrix.")
    var all = false

    @Option(help: "Run only the scenarios whose name contains this text.")
    var filter: String?

    func run() async throws {
        let images = try await preparedImages()
        let results = try await SystemTests(images: images).run(Scenarios.select(all ? .full : .short, filter: filter))
        let failed = results.count { $0.verdict == .failed }
        print("\(results.count - failed) passed, \(failed) failed")
        if failed > 0 { throw ExitCode.failure }
    }
}
