// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab replay`: a saved trace, or a made-up program, on the hypervisor in QEMU.

import ArgumentParser
import LabKit
import SystemPackage

struct RunReplay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Play a saved trace, or a random program, at EL2 in QEMU.")

    @Argument(help: "The trace; a random program if there is none.", completion: .file())
    var file: String?

    @Option(help: "The machine's processor.")
    var cpu = MachineConfiguration.CPU.cortexA72

    @Option(help: "What the random program is made from.")
    var seed: UInt64 = 1

    @Option(help: "Steps of the random program.")
    var steps = 1500

    func run() async throws {
        let images = try await preparedImages()
        let source = file.map { Replay.Source.file(FilePath($0)) } ?? .random(seed: seed, steps: steps)
        let scenario = Scenarios.replay("replay-by-hand", source, cpu: cpu, extent: .full)
        var report = TestReport()
        let results = try await SystemTests(images: images).run(scenario)
        for result in results where result.name.hasSuffix("/agrees") { Progress.say("  \(result.detail)") }
        report.add(results)
        Progress.say(report.summary)
        if report.count(.failed) > 0 { throw ExitCode.failure }
    }
}
