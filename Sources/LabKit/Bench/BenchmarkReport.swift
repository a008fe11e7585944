// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What was measured, for programs.

import Foundation
public import SystemPackage

/// One row of one host.
public struct CountedRow: Codable, Equatable, Sendable {
    /// How often the operation was done.
    public var operations: Int
    /// What was executed meanwhile, for all of them.
    public var counts: InstructionCounts
    /// The same when EL2 executed least; nil in a report of one measurement a row.
    public var least: InstructionCounts?

    /// Instructions on the host's side for one operation.
    public func hostSide(_ kind: InstructionCounts.Kind = .any) -> Double {
        Double(counts.hostSide(kind)) / Double(operations)
    }

    /// Instructions of one executor for one operation.
    public func share(of executor: InstructionCounts.Executor, _ kind: InstructionCounts.Kind = .any) -> Double {
        Double(counts[executor, kind]) / Double(operations)
    }

    /// EL2's instructions for one operation, when they were fewest.
    func leastOfEL2(_ kind: InstructionCounts.Kind) -> Double {
        Double((least ?? counts)[.el2, kind]) / Double(operations)
    }
}

/// All that was measured on one machine.
public struct BenchmarkReport: Codable, Sendable {
    /// The machine.
    public var machine: BenchmarkMachine
    /// Versions of QEMU and the kernels.
    public var versions: [String: String]
    /// The rows of each host by the probe's names.
    public var hosts: [BenchmarkHost: [String: CountedRow]] = [:]
    /// The day, as year, month and day.
    public var date: String
    /// Bytes: `text` is EL2's, `reserved/4` its memory on a machine of 4 GiB before there is a VM, `linux/4` the
    /// same of Linux' protected KVM, and `normal/vm` what a normal VM takes of it.
    public var sizes: [String: Double] = [:]

    /// One measurement, if there is it.
    func measurement(_ host: BenchmarkHost, _ kind: String, _ row: String) -> CountedRow? {
        hosts[host]?["\(kind)/\(row)"]
    }

    /// The cheapest of Linux' modes for a row of a normal VM.
    func bestLinux(_ row: String) -> (host: BenchmarkHost, row: CountedRow)? {
        [BenchmarkHost.linuxVHE, .linuxNVHE, .linuxProtected].compactMap { host in
            measurement(host, "normal", row).map { (host, $0) }
        }.min { $0.1.hostSide() < $1.1.hostSide() }
    }

    /// Reads a report.
    ///
    /// - Throws: ``LabError`` when it is not there or not one.
    public init(reading path: FilePath) throws(LabError) {
        guard path.exists else { throw .missingFile(path, madeBy: "lab bench --json") }
        let bytes = try path.readBytes()
        do {
            self = try JSONDecoder().decode(BenchmarkReport.self, from: bytes)
        } catch {
            throw .malformed(file: path.string, why: "it is not a report of the benchmark")
        }
    }

    /// A report without rows.
    init(machine: BenchmarkMachine, versions: [String: String], date: String) {
        self.machine = machine
        self.versions = versions
        self.date = date
    }

    /// Writes the report for programs.
    public func write(to path: FilePath) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try path.write(try encoder.encode(self) + Data("\n".utf8))
    }
}

/// What a measured host prints on its console.
struct BenchmarkConsole: Equatable, Sendable {
    /// A row that was measured.
    struct Row: Equatable, Sendable {
        let number: Int
        let operations: Int
    }

    /// The rows by name.
    private(set) var rows: [String: Row] = [:]
    /// What went wrong.
    private(set) var failures: [String] = []
    /// Bytes of EL2's memory, by what they are for, for one of its kind.
    private(set) var sizes: [String: Double] = [:]
    /// Functions of the kernel and their addresses, compressed and encoded.
    private(set) var symbols = ""

    /// Reads a console.
    init(_ console: String) {
        var isInSymbols = false
        failures = ConsoleScanner.scan(console).map(\.line)
        for line in console.split(whereSeparator: \.isNewline) {
            if line.hasPrefix("MARTLET-SYMBOLS-END") { isInSymbols = false }
            if isInSymbols { symbols += line }
            // Kernel messages may share a line with a report, so the mark may be anywhere.
            guard let mark = line.firstRange(of: "MARTLET-") else { continue }
            let words = line[mark.lowerBound...].split(separator: " ")
            switch words[0] {
            case "MARTLET-ROW":
                guard words.count == 4, let number = Int(words[1]), let operations = Int(words[3]), operations > 0
                else {
                    failures.append(String(line))
                    continue
                }
                rows[String(words[2])] = Row(number: number, operations: operations)
            case "MARTLET-SIZE":
                guard words.count == 4, let bytes = Double(words[2]), let count = Double(words[3]), count > 0 else {
                    failures.append(String(line))
                    continue
                }
                sizes[String(words[1])] = bytes / count
            case "MARTLET-BENCH-FAILED": failures.append(String(line[mark.lowerBound...]))
            case "MARTLET-TEST": failures.append(String(line[mark.lowerBound...]))
            case "MARTLET-SYMBOLS-BEGIN": isInSymbols = true
            default: break
            }
        }
    }
}
