// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab test`: everything that is tested, in one command, from fast to true.

import ArgumentParser
import Foundation
import LabKit
import SystemPackage

struct RunTests: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Run the tests: form, units, machine code, systems.")

    @Flag(help: "Run the full matrix of system tests.")
    var all = false

    @Flag(help: "Run system tests under a hypervisor that checks itself against the specification, and no other tests.")
    var checked = false

    @Option(help: "Run only the system tests whose name contains this text.")
    var filter: String?

    @Option(help: "How many machines run at a time.")
    var machines = min(4, ProcessInfo.processInfo.activeProcessorCount)

    @Option(help: "Write all results to this file as JSON.", completion: .file())
    var json: String?

    func validate() throws {
        guard machines >= 1 else { throw ValidationError("--machines is \(machines): at least one machine has to run") }
    }

    private var isEverything: Bool { filter == nil && !checked }

    func run() async throws {
        let extent: Extent = all ? .full : .short
        let scenarios =
            checked
            ? Scenarios.selectChecked(extent, filter: filter) : Scenarios.select(extent, filter: filter)
        guard !scenarios.isEmpty else {
            throw LabError.unknown(
                kind: "system test", name: filter ?? "", known: Scenarios.all.map(\.identifier))
        }
        var report = TestReport()
        let workspace = try Workspace.current()
        // With a filter, or under another hypervisor, the user wants that one thing.
        if isEverything {
            Progress.say("Form")
            report.add(try await Lint.run(workspace))
            Progress.say("Unit tests")
            report.add(try await UnitTests.run(workspace))
        }
        if all && isEverything {
            Progress.say("Bytes from outside")
            report.add(try await Fuzzing(workspace).run(seconds: 10))
            Progress.say("Programs against the specification")
            report.add(try await Searching(workspace).run(seconds: 40))
        }
        Progress.say("Images")
        let images = try await preparedImages()
        if isEverything {
            Progress.say("Machine code")
            report.add(try await MachineCode.check(images))
        }
        if isEverything {
            Progress.say("Costs, in instructions")
            report.add(try await Benchmark(images: images, machine: .cortexA72).check())
        }
        Progress.say("System tests: \(scenarios.count) machines, \(machines) at a time")
        try await SystemTests(images: images).run(scenarios, machines: machines) { report.add($0) }
        if let json { try report.write(to: FilePath(json)) }
        Progress.say(report.summary)
        if report.count(.failed) > 0 { throw ExitCode.failure }
    }
}

struct RunLint: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lint", abstract: "Check the sources' form: formatter and house rules.")

    func run() async throws {
        var report = TestReport()
        report.add(try await Lint.run(try Workspace.current()))
        Progress.say(report.summary)
        if report.count(.failed) > 0 { throw ExitCode.failure }
    }
}
