// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Running the benchmark: each host once in QEMU with the counter, and what it counted.

import Foundation
import SystemPackage

/// Measures hosts on a machine.
public struct Benchmark: Sendable {
    let images: Images
    let machine: BenchmarkMachine

    /// Uses built images; what only the benchmark needs is built when it runs.
    public init(images: Images, machine: BenchmarkMachine) {
        self.images = images
        self.machine = machine
    }

    /// A run's rows, and where its files are.
    struct Run: Sendable {
        let measurements: [String: CountedRow]
        let console: BenchmarkConsole
        let log: CounterLog
        let folder: FilePath
    }

    /// Measures hosts, one after another.
    ///
    /// - Throws: ``LabError/malformed(file:why:)`` when a host did not report every row.
    public func run(_ hosts: [BenchmarkHost]) async throws -> BenchmarkReport {
        try await images.buildBenchmark()
        let today = Date().formatted(.iso8601.year().month().day())
        var report = BenchmarkReport(machine: machine, versions: try await versions(hosts), date: today)
        for host in hosts {
            let run = try await run(host, parameters: host.parameters)
            report.hosts[host] = run.measurements
            for (name, bytes) in run.console.sizes where name != "reserved" { report.sizes[name] = bytes }
        }
        report.sizes["text"] = Double(try await SectionSizes.of(images.hypervisorELF()).text)
        return report
    }

    /// Adds what EL2 keeps of machines of several sizes.
    public func measureReserved(for report: inout BenchmarkReport) async throws {
        for (host, name) in [(BenchmarkHost.martlet, "reserved"), (.linuxProtected, "linux")] {
            for gibibytes in [1, 4, 8] {
                let run = try await run(host, parameters: ["lab.rows=none"], gibibytes: gibibytes)
                guard let bytes = run.console.sizes["reserved"] else {
                    throw LabError.machine(
                        "The host \(host.rawValue) did not tell what EL2 keeps",
                        console: run.folder.appending("console.log"))
                }
                report.sizes["\(name)/\(gibibytes)"] = bytes
            }
        }
    }

    /// Measures Martlet twice.
    ///
    /// - Returns: the report, and whether both runs executed the same, to the last instruction.
    public func runTwice() async throws -> (report: BenchmarkReport, isRepeatable: Bool) {
        let report = try await run([.martlet])
        let log = folder(of: .martlet).appending("counts")
        let first = try log.readBytes()
        _ = try await run([.martlet])
        return (report, try log.readBytes() == first)
    }

    /// Measures Martlet twice and compares with the baseline.
    ///
    /// - Returns: whether it can be repeated, and each row.
    public func check() async throws -> [CheckResult] {
        let (report, isRepeatable) = try await runTwice()
        let baseline = try BenchmarkBaseline(
            reading: BenchmarkBaseline.file(images.workspace, machine: machine))
        let repeatable = CheckResult(
            "bench/repeatable", isRepeatable ? .passed : .failed,
            isRepeatable ? "" : "two runs did not execute the same instructions; no count can be trusted")
        return [repeatable] + baseline.results(of: BenchmarkBaseline(report))
    }

    /// Where a host's run is kept.
    func folder(of host: BenchmarkHost) -> FilePath {
        images.workspace.runs.appending("bench-\(machine.rawValue)-\(host.rawValue)")
    }

    /// Runs one host.
    ///
    /// - Parameters:
    ///   - parameters: further words of the kernel's command line.
    ///   - profiled: the number of the row whose profile is wanted. Then only some rows are there.
    ///   - gibibytes: the machine's memory, if only the host's start is wanted.
    func run(
        _ host: BenchmarkHost, parameters: [String], profiled: Int? = nil, gibibytes: Int? = nil
    ) async throws -> Run {
        let isWhole = profiled == nil && gibibytes == nil
        let suffix = profiled != nil ? "-profile" : gibibytes.map { "-\($0)g" } ?? ""
        let folder = FilePath(folder(of: host).string + suffix)
        let counts = folder.appending("counts")
        let kernel =
            switch host.kernel {
            case .stock: images.hostKernel
            case .newest: try await ComparisonKernel(images.workspace).fetch()
            }
        let profile = profiled.map { ",profile=\($0)" } ?? ""
        let arguments = machine.arguments(
            for: host, kernel: kernel, ramDisk: images.benchmarkRAMDisk, gibibytes: gibibytes ?? 1,
            counter: "\(images.counter.string),out=\(counts.string)\(profile)", parameters: parameters)
        try folder.makeFolder()
        try counts.remove()
        // A host is silent while its minute passes and while guests boot in it.
        let patience = Patience(silence: .seconds(900), total: .seconds(3600))
        try await Progress.step("\(machine.rawValue) \(host.rawValue)\(suffix)") {
            try await VirtualMachine.run(arguments: arguments, folder: folder) { machine in
                try await machine.console.expect(["MARTLET-END", "Kernel panic - not syncing"], patience: patience)
                try await machine.console.expectEnd(patience: patience)
            }
        }
        let file = folder.appending("console.log")
        let console = BenchmarkConsole(try file.readText())
        let log = try CounterLog(text: try counts.readText(), file: counts.string)
        var measurements: [String: CountedRow] = [:]
        for (name, row) in console.rows {
            if let counts = log.rows[row.number] {
                measurements[name] = CountedRow(
                    operations: row.operations, counts: counts, least: log.least[row.number])
            }
        }
        let missing = isWhole ? BenchmarkRow.expected(of: host).filter { measurements[$0] == nil } : []
        guard console.failures.isEmpty, missing.isEmpty, !measurements.isEmpty || gibibytes != nil else {
            let why = (console.failures + missing.map { "no row \($0)" }).prefix(4).joined(separator: "; ")
            throw LabError.machine("The host \(host.rawValue) was not measured: \(why)", console: file)
        }
        return Run(measurements: measurements, console: console, log: log, folder: folder)
    }

    private func versions(_ hosts: [BenchmarkHost]) async throws -> [String: String] {
        let qemu = try await Tool("qemu-system-aarch64", ["--version"]).capture()
        var versions = ["host": images.lock.kernel, "guest": images.lock.kernel]
        versions["qemu"] = qemu.split(separator: "\n").first.map {
            String($0).replacing("QEMU emulator version ", with: "")
        }
        if hosts.contains(where: { $0.kernel == .newest }) {
            versions["linux"] = try await ComparisonKernel(images.workspace).release()
        }
        return versions
    }
}
