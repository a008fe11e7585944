// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What Martlet cost when somebody last looked, and which rows have become worse.

import Foundation
public import SystemPackage

/// Instructions of Martlet's rows, for one operation.
public struct BenchmarkBaseline: Codable, Equatable, Sendable {
    /// The versions with which they were measured.
    public var versions: [String: String]
    /// By row: all instructions on the host's side, and the kinds of EL2's when it executed least. How often the
    /// host's kernel cleans a line or takes an interrupt meanwhile is not Martlet's, nor where its memory is.
    public var rows: [String: [InstructionCounts.Kind: Double]]

    /// From a report.
    public init(_ report: BenchmarkReport) {
        versions = report.versions
        rows = [:]
        for (name, measurement) in report.hosts[.martlet] ?? [:] {
            var kinds: [InstructionCounts.Kind: Double] = [:]
            for kind in InstructionCounts.Kind.allCases where kind == .any || BenchmarkRow.comparesKinds(of: name) {
                let value = kind == .any ? measurement.hostSide() : measurement.leastOfEL2(kind)
                let count = (value * 100).rounded() / 100
                if count != 0 { kinds[kind] = count }
            }
            rows[name] = kinds
        }
    }

    /// A row that is not what it was.
    public struct Change: Equatable, Sendable {
        /// The row.
        public let row: String
        /// The kind of instructions.
        public let kind: InstructionCounts.Kind
        /// How many there were for an operation.
        public let before: Double
        /// How many there are now; nil if the row is not there.
        public let now: Double?

        /// Whether it costs more now, or cannot be told.
        public var isWorse: Bool { now.map { $0 > before } ?? true }

        /// The change in words.
        public var description: String {
            guard let now else { return "\(row) is not measured any more" }
            let percent = before == 0 ? "" : " (\(BenchmarkTable.fixed(now / before * 100 - 100, digits: 1)) %)"
            return "\(row), \(kind.title): \(BenchmarkTable.number(before)) and now "
                + "\(BenchmarkTable.number(now))\(percent)"
        }
    }

    /// The rows that have changed by more than their tolerance.
    public func changes(to now: BenchmarkBaseline) -> [Change] {
        rows.keys.sorted().flatMap { row -> [Change] in
            guard let news = now.rows[row] else { return [Change(row: row, kind: .any, before: 0, now: nil)] }
            return InstructionCounts.Kind.allCases.compactMap { kind in
                let before = rows[row]?[kind] ?? 0
                let after = news[kind] ?? 0
                let tolerance = BenchmarkRow.tolerance(of: row)
                let slack = max(before * tolerance, 0.5)
                return abs(after - before) > slack ? Change(row: row, kind: kind, before: before, now: after) : nil
            }
        }
    }

    /// One result a row: it failed if it became worse, or if the baseline does not know it. With another
    /// kernel or emulator than the baseline's a change says nothing, and only a lost row fails.
    public func results(of now: BenchmarkBaseline) -> [CheckResult] {
        let changes = Dictionary(grouping: changes(to: now), by: \.row)
        return Set(rows.keys).union(now.rows.keys).sorted().map { row in
            let worse = (changes[row] ?? []).filter(\.isWorse)
            let detail = (changes[row] ?? []).map(\.description).joined(separator: "; ")
            if rows[row] == nil { return CheckResult("bench/\(row)", .failed, "it is not in the baseline") }
            let isComparable = versions == now.versions || now.rows[row] == nil
            return CheckResult("bench/\(row)", worse.isEmpty || !isComparable ? .passed : .failed, detail)
        }
    }

    /// Where the baseline of a machine is.
    public static func file(_ workspace: Workspace, machine: BenchmarkMachine) -> FilePath {
        workspace.root.appending("Tests/Bench/baseline-\(machine.rawValue).json")
    }

    /// Reads a baseline.
    ///
    /// - Throws: ``LabError`` when it is not there or not one.
    public init(reading path: FilePath) throws(LabError) {
        guard path.exists else { throw .missingFile(path, madeBy: "lab bench --update-baseline") }
        let bytes = try path.readBytes()
        do {
            self = try JSONDecoder().decode(BenchmarkBaseline.self, from: bytes)
        } catch {
            throw .malformed(file: path.string, why: "it is not a baseline")
        }
    }

    /// Writes the baseline.
    public func write(to path: FilePath) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try path.write(try encoder.encode(self) + Data("\n".utf8))
    }
}
