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

    @Option(help: "Measure nothing, and show counts that were written before.", completion: .file())
    var from: String?

    @Option(help: "Draw a picture (SVG) of the counts.", completion: .file())
    var picture: String?

    @Flag(help: "Keep the counts in docs/benchmarks, and renew what the documentation quotes.")
    var publish = false

    @Flag(help: "Print the kinds of instructions too.")
    var kinds = false

    @Flag(help: "Measure Martlet twice: both runs must be the same, and no row worse than the baseline.")
    var check = false

    @Flag(help: "Make what is measured now the baseline.")
    var updateBaseline = false

    @Option(help: "Show in which functions a row's instructions are, such as normal/gic-read.")
    var profile: String?

    func validate() throws {
        guard !publish || host.isEmpty else {
            throw ValidationError("--publish is for all hosts together.")
        }
        guard [check, updateBaseline, profile != nil].count(where: \.self) <= 1 else {
            throw ValidationError("--check, --update-baseline and --profile exclude each other.")
        }
    }

    func run() async throws {
        let images = try await preparedImages()
        let benchmark = Benchmark(images: images, machine: cpu)
        if let profile {
            print(try await benchmark.profile(of: profile, on: host.first ?? .martlet))
        } else if check {
            try await compare(benchmark)
        } else if updateBaseline {
            try await renew(benchmark, in: images.workspace)
        } else {
            let report = try await report(benchmark)
            if let json { try report.write(to: FilePath(json)) }
            if let picture { try FilePath(picture).write(BenchmarkPicture(report).svg) }
            if publish {
                let documents = BenchmarkDocuments(images.workspace)
                try report.write(to: documents.counts(of: report.machine))
                try documents.write()
            }
            show(report)
        }
    }

    private func report(_ benchmark: Benchmark) async throws -> BenchmarkReport {
        if let from { return try BenchmarkReport(reading: FilePath(from)) }
        var report = try await benchmark.run(host.isEmpty ? BenchmarkHost.allCases : host)
        if host.isEmpty { try await benchmark.measureReserved(for: &report) }
        return report
    }

    private func show(_ report: BenchmarkReport) {
        let versions = report.versions.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        let table = BenchmarkTable(report)
        print("Executed instructions for an operation, host's side (of it EL2), on \(report.machine.rawValue).")
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

    private func compare(_ benchmark: Benchmark) async throws {
        var report = TestReport()
        let results = try await benchmark.check()
        for result in results where result.verdict == .passed && !result.detail.isEmpty {
            Progress.say("  changed: \(result.detail)")
        }
        report.add(results)
        if let json { try report.write(to: FilePath(json)) }
        Progress.say(report.summary)
        if report.count(.failed) > 0 { throw ExitCode.failure }
    }

    private func renew(_ benchmark: Benchmark, in workspace: Workspace) async throws {
        let (report, isRepeatable) = try await benchmark.runTwice()
        guard isRepeatable else {
            Progress.say("Two runs did not execute the same instructions; no count can be trusted.")
            throw ExitCode.failure
        }
        let baseline = BenchmarkBaseline(report)
        let file = BenchmarkBaseline.file(workspace, machine: cpu)
        try baseline.write(to: file)
        Progress.say("The baseline has \(baseline.rows.count) rows: \(file.string)")
    }
}
