// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab bench`: what Martlet costs beside Linux' own KVM, in executed instructions.

public import ArgumentParser
public import LabKit
import SystemPackage

extension BenchmarkMachine: ExpressibleByArgument {}
extension BenchmarkHost: ExpressibleByArgument {}

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Count the instructions of single operations, of Martlet and of Linux' KVM.")

    @Option(help: "The machine's processor.")
    var cpu = BenchmarkMachine.cortexA72

    @Option(help: "Only these hosts.")
    var host: [BenchmarkHost] = []

    @Option(help: "Write all counts to this file as JSON.", completion: .file())
    var json: String?

    @Flag(help: "Print the kinds of instructions too.")
    var kinds = false

    @Flag(help: "Measure Martlet twice: both runs must be the same, and no row worse than the baseline.")
    var check = false

    @Flag(help: "Make what is measured now the baseline.")
    var updateBaseline = false

    @Option(help: "Show in which functions a row's instructions are, such as normal/gic-read.")
    var profile: String?

    func validate() throws {
        guard [check, updateBaseline, profile != nil].count(where: \.self) <= 1 else {
            throw ValidationError("--check, --update-baseline and --profile exclude each other.")
        }
    }

    func run() async throws {
        let images = try await preparedImages()
        let benchmark = Benchmark(images: images, machine: cpu)
        if let profile {
            print(try await benchmark.profile(of: profile, on: host.first ?? .martlet))
        } else if check || updateBaseline {
            try await compare(benchmark, in: images.workspace)
        } else {
            let report = try await benchmark.run(host.isEmpty ? BenchmarkHost.allCases : host)
            if let json { try report.write(to: FilePath(json)) }
            show(report)
        }
    }

    private func show(_ report: BenchmarkReport) {
        let versions = report.versions.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        let table = BenchmarkTable(report)
        print("Executed instructions for an operation, host's side (of it EL2), on \(cpu.rawValue).")
        print("Versions: \(versions.joined(separator: "; ")).\n")
        print(table.comparison + "\n")
        print(table.host + "\n")
        if kinds {
            for host in BenchmarkHost.allCases where report.hosts[host] != nil {
                print("Kinds of instructions, \(host.rawValue)\n\n\(table.kinds(of: host))\n")
            }
        }
        print(table.sizes)
    }

    private func compare(_ benchmark: Benchmark, in workspace: Workspace) async throws {
        let file = BenchmarkBaseline.file(workspace, machine: cpu)
        let (report, isRepeatable) = try await benchmark.runTwice()
        if let json { try report.write(to: FilePath(json)) }
        guard isRepeatable else {
            Progress.say("Two runs did not execute the same instructions; no count can be trusted.")
            throw ExitCode.failure
        }
        Progress.say("Two runs executed the same, to the last instruction.")
        let now = BenchmarkBaseline(report)
        if updateBaseline {
            try now.write(to: file)
            return Progress.say("The baseline has \(now.rows.count) rows: \(file.string)")
        }
        let baseline = try BenchmarkBaseline(reading: file)
        if baseline.versions != now.versions {
            Progress.say("The baseline is of other versions, which may explain a change: \(baseline.versions)")
        }
        let changes = baseline.changes(to: now)
        for change in changes where !change.isWorse { Progress.say("  better: \(change.description)") }
        for change in changes where change.isWorse { Progress.say("  WORSE: \(change.description)") }
        for row in baseline.news(in: now) { Progress.say("  new, not in the baseline: \(row)") }
        let worse = Set(changes.filter(\.isWorse).map(\.row))
        Progress.say("\(now.rows.count) rows, \(worse.count) of them worse by more than their tolerance")
        if !worse.isEmpty { throw ExitCode.failure }
    }
}
