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

    /// Instructions on the host's side for one operation.
    public func hostSide(_ kind: InstructionCounts.Kind = .any) -> Double {
        Double(counts.hostSide(kind)) / Double(operations)
    }

    /// Instructions of one executor for one operation.
    public func share(of executor: InstructionCounts.Executor, _ kind: InstructionCounts.Kind = .any) -> Double {
        Double(counts[executor, kind]) / Double(operations)
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
    /// Bytes: EL2's text, and memory that EL2 has before there is a VM.
    public var sizes: [String: Int] = [:]

    /// One measurement, if there is it.
    func measurement(_ host: BenchmarkHost, _ kind: String, _ row: String) -> CountedRow? {
        hosts[host]?["\(kind)/\(row)"]
    }

    /// Writes the report for programs.
    public func write(to path: FilePath) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try path.write(try encoder.encode(self))
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
    /// What the module counts, by name, as of the host's start.
    private(set) var counters: [String: Int] = [:]
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
            case "MARTLET-COUNTER" where words.count == 3:
                counters[String(words[1])] = Int(words[2])
            case "MARTLET-BENCH-FAILED": failures.append(String(line[mark.lowerBound...]))
            case "MARTLET-TEST": failures.append(String(line[mark.lowerBound...]))
            case "MARTLET-SYMBOLS-BEGIN": isInSymbols = true
            default: break
            }
        }
    }
}
