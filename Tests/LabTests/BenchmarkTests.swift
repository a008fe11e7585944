// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Reading what the counter and the probe write, and comparing it.

import Foundation
import SystemPackage
import Testing

@testable import LabKit

@Suite("Benchmark")
struct BenchmarkTests {
    /// The counter's numbers with these at some places.
    static func line(_ values: [Int: Int] = [:]) -> String {
        (0..<40).map { "\(values[$0] ?? 0)" }.joined(separator: " ")
    }

    static func measurement(_ values: [Int: Int], operations: Int = 1) throws -> CountedRow {
        let counts = try #require(InstructionCounts((0..<40).map { values[$0] ?? 0 }))
        return CountedRow(operations: operations, counts: counts)
    }

    @Test("rows of a log: several measurements count as their median, nested rows are kept apart")
    func log() throws {
        let text = [
            "begin 3 \(Self.line())", "end 3 \(Self.line([0: 5]))", "end 0 \(Self.line())",
            "begin 3 \(Self.line([0: 10, 16: 20]))", "begin 4 \(Self.line([0: 11, 16: 20]))",
            "end 4 \(Self.line([0: 11, 16: 50, 22: 2]))", "end 3 \(Self.line([0: 12, 16: 50, 22: 2, 32: 7]))",
            "begin 3 \(Self.line())", "end 3 \(Self.line([0: 1_000_000]))",
            "block 2 40001000 30", "block 1 ffff800080000000 2",
            "step 2 40001000 2 40002000 3", "step 1 40001000 2 40002000 1", "total 0 \(Self.line([0: 99]))",
        ].joined(separator: "\n")
        let log = try CounterLog(text: text, file: "counts")
        let row = try #require(log.rows[3])
        // Three: 5 at the host's EL0, then 32 with EL2's, then much.
        #expect(row[.hostEL0] == 6 && row[.el2] == 90 && row[.el2, .tlbi] == 6 && row[.guestEL1] == 21)
        #expect(row.hostSide() == 96 && row.hostSide(.tlbi) == 6)
        // In the first one EL2 did nothing.
        let least = try #require(log.least[3])
        #expect(least.hostSide() == 15 && least[.el2, .tlbi] == 0)
        #expect(log.rows[4]?.hostSide() == 30 && log.rows.count == 2)
        #expect(log.steps == [.init(executor: .el2, from: 0x4000_1000, to: 0x4000_2000, count: 3)])
        #expect(
            log.blocks == [
                .init(executor: .el2, address: 0x4000_1000, instructions: 30),
                .init(executor: .hostEL1, address: 0xFFFF_8000_8000_0000, instructions: 2),
            ])
    }

    @Test(
        "logs that are none",
        arguments: [
            "begin 3 \(line())", "total 0 1 2 3", "end 3 \(line())\ntotal 0 \(line())",
            "else 0 \(line())\ntotal 0 \(line())", "block 9 1 1\ntotal 0 \(line())",
            "step 1 2 3\ntotal 0 \(line())", "",
        ])
    func badLogs(text: String) {
        #expect(throws: LabError.self) { try CounterLog(text: text, file: "counts") }
    }

    @Test("a console: rows, counters, failures")
    func console() {
        let console = BenchmarkConsole(
            """
            [    1.0] words MARTLET-ROW 3 normal/power-version 4096\r
            MARTLET-ROW 258 protected/power-version 4096\r
            MARTLET-ROW 4 normal/broken 0\r
            MARTLET-SIZE normal/page 40960 4096\r
            MARTLET-BENCH-FAILED KVM_RUN: Input/output error\r
            MARTLET-SYMBOLS-BEGIN\r
            QUJD\r
            REVG\r
            MARTLET-SYMBOLS-END\r
            """)
        #expect(console.rows["normal/power-version"] == .init(number: 3, operations: 4096))
        #expect(console.rows.count == 2)
        #expect(console.sizes == ["normal/page": 10])
        #expect(console.failures.count == 2)
        #expect(console.symbols == "QUJDREVG")
    }

    @Test("every row of the table is the probe's, and has a number of its own")
    func rows() throws {
        let folder = FilePath(#filePath).removingLastComponent().removingLastComponent()
        let numbers = BenchmarkRow.numbers(header: try folder.appending("Bench/probe/rows.h").readText())
        #expect(numbers["normal/nothing"] == 0 && numbers["normal/empty-loop"] == 1)
        #expect(numbers["protected/empty-loop"] == 257)
        for host in BenchmarkHost.allCases {
            for name in BenchmarkRow.expected(of: host) { #expect(numbers[name] != nil, "\(name)") }
        }
        #expect(Set(numbers.values).count == numbers.count)
        #expect(BenchmarkRow.expected(of: .linuxProtected).contains("protected/destroy"))
        #expect(!BenchmarkRow.expected(of: .bare).contains { $0.contains("destroy") || $0.contains("host-call") })
    }

    @Test("machines: the same every time, the model with host extensions only where they are needed")
    func machines() {
        func words(_ machine: BenchmarkMachine, _ host: BenchmarkHost) -> String {
            machine.arguments(
                for: host, kernel: "/k", ramDisk: "/r", counter: "/c,out=/l", parameters: ["lab.rows=all"]
            )
            .joined(separator: " ")
        }
        let martlet = words(.cortexA72, .martlet)
        for word in ["-cpu cortex-a72", "shift=0,sleep=off", "-seed 1", "clock=vm", "dtb-randomness=off", "nokaslr"] {
            #expect(martlet.contains(word))
        }
        #expect(martlet.contains("kvm-arm.mode=none id_aa64mmfr1.vh=0") && martlet.contains("lab.martlet=product"))
        #expect(words(.cortexA72, .linuxVHE).contains("-cpu neoverse-n1"))
        #expect(words(.max, .linuxVHE).contains("-cpu max,pauth-impdef=on"))
        #expect(words(.cortexA72, .linuxProtected).contains("kvm-arm.mode=protected"))
        #expect(words(.cortexA72, .bare).contains("lab.martlet=off"))
    }

    @Test("a baseline names what became worse, better, lost and new")
    func baseline() throws {
        var before = BenchmarkReport(machine: .cortexA72, versions: [:], date: "2026-01-01")
        before.hosts[.martlet] = [
            "normal/a": try Self.measurement([16: 100_000, 22: 10], operations: 10),
            "normal/b": try Self.measurement([16: 1000]), "normal/c": try Self.measurement([16: 1000]),
            "normal/d": try Self.measurement([0: 1000]),
        ]
        var after = before
        after.hosts[.martlet] = [
            "normal/a": try Self.measurement([16: 100_900, 22: 30], operations: 10),
            "normal/b": try Self.measurement([16: 1011]), "normal/c": try Self.measurement([16: 900]),
            "normal/e": try Self.measurement([16: 1]),
        ]
        let baseline = BenchmarkBaseline(before)
        let changes = baseline.changes(to: BenchmarkBaseline(after))
        #expect(changes.map(\.row) == ["normal/a", "normal/b", "normal/c", "normal/d"])
        #expect(changes.map(\.kind) == [.tlbi, .any, .any, .any])
        #expect(changes.map(\.isWorse) == [true, true, false, true])
        #expect(changes[1].description == "normal/b, all: 1000 and now 1011 (1.1 %)")
        let results = baseline.results(of: BenchmarkBaseline(after))
        #expect(results.map(\.name) == ["a", "b", "c", "d", "e"].map { "bench/normal/\($0)" })
        #expect(results.map(\.verdict) == [.failed, .failed, .passed, .failed, .failed])
        after.versions = ["qemu": "another"]
        #expect(
            baseline.results(of: BenchmarkBaseline(after)).map(\.verdict) == [
                .passed, .passed, .passed, .failed, .failed,
            ])
        #expect(baseline.changes(to: baseline).isEmpty)
        // Where a row was measured several times, its kinds are those of the time when EL2 executed least.
        var split = before
        split.hosts[.martlet]?["normal/a"]?.least = before.hosts[.martlet]?["normal/a"]?.counts
        split.hosts[.martlet]?["normal/a"]?.counts = try Self.measurement([16: 100_400, 22: 30], operations: 10).counts
        #expect(baseline.changes(to: BenchmarkBaseline(split)).isEmpty)
        let decoded = try JSONDecoder().decode(BenchmarkBaseline.self, from: JSONEncoder().encode(baseline))
        #expect(decoded == baseline)
    }

    @Test("a table has ratios to the best of Linux' modes, and goals")
    func table() throws {
        var report = BenchmarkReport(machine: .cortexA72, versions: [:], date: "2026-01-01")
        report.hosts[.martlet] = [
            "normal/power-version": try Self.measurement([16: 500]),
            "protected/power-version": try Self.measurement([16: 100]),
            "normal/gic-read": try Self.measurement([8: 1200, 16: 600]),
            "protected/gic-read": try Self.measurement([8: 1200, 16: 610]),
        ]
        report.hosts[.linuxVHE] = ["normal/power-version": try Self.measurement([16: 1000])]
        report.hosts[.linuxNVHE] = [
            "normal/power-version": try Self.measurement([8: 500, 16: 1500]),
            "normal/gic-read": try Self.measurement([8: 1800, 16: 1200]),
        ]
        report.hosts[.linuxProtected] = ["protected/power-version": try Self.measurement([16: 200])]
        func cells(_ title: String) -> [String] {
            let found = BenchmarkTable(report).comparison.split(separator: "\n").first { $0.contains(title) } ?? ""
            return found.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
        #expect(
            cells("PSCI_VERSION").dropFirst() == [
                "500 (500)", "1000 (1000) VHE", "0.50", "100 (100)", "200 (200)", "0.50", "≤ 130", "no",
            ])
        #expect(
            cells("kernel's GIC").dropFirst() == [
                "1800 (600)", "3000 (1200) nVHE", "0.60", "1810 (610)", "–", "–", "≤ 2000", "yes",
            ])
        #expect(cells("EL2's share").dropFirst() == ["600", "1200 nVHE", "0.50", "610", "–", "–", "≤ 650", "yes"])
    }

    @Test("numbers that can be read")
    func numbers() {
        #expect(
            [0, 2.04, 9.96, 569.4, 99_999, 123_456, 9_999_999, 312_340_000].map(BenchmarkTable.number)
                == ["0", "2.0", "10.0", "569", "99999", "123k", "10000k", "312.3M"])
        #expect(BenchmarkTable.fixed(0.05, digits: 2) == "0.05" && BenchmarkTable.fixed(1.999, digits: 2) == "2.00")
    }

    @Test("a profile: functions, what was inlined, and where an image lies")
    func profile() throws {
        let symbols = KernelSymbols(
            table: "ffff800080001000 T second\nffff800080000000 t first\t[martlet]\n0000000000000000 T nothing\n")
        #expect(symbols.function(at: 0xFFFF_8000_8000_0FFC) == "first [martlet]")
        #expect(symbols.function(at: 0xFFFF_8000_8000_1000) == "second")
        #expect(symbols.function(at: 0xFFFF_7FFF_FFFF_FFFF) == nil)
        #expect(symbols.isStart(0xFFFF_8000_8000_0000) && !symbols.isStart(0xFFFF_8000_8000_0004))

        var profile = BenchmarkProfile()
        profile.add(.init(executor: .el2, function: "run", inlined: "load"), 60)
        profile.add(.init(executor: .el2, function: "run", inlined: "run"), 30)
        profile.add(.init(executor: .hostEL1, function: "ioctl", inlined: "ioctl"), 10)
        profile.add(.init(executor: .el2, function: "run", caller: "trap"), 20)
        profile.add(.init(executor: .hostEL1, function: "run", caller: "other"), 20)
        let lines = profile.text(operations: 10).split(separator: "\n").map { $0.split(separator: " ") }
        #expect(
            lines == [
                ["10.0", "in", "all"], ["9.0", "el2", "run"], ["6.0", "load"], ["2.0", "calls", "from", "trap"],
                ["1.0", "hostEL1", "ioctl"],
            ])

        let functions: Set<UInt64> = [0x0, 0x800, 0x1240, 0x3010]
        let blocks: [UInt64] = [0x4123_4800, 0x4123_5240, 0x4123_7010, 0x4123_7020]
        #expect(BenchmarkProfile.base(blocks: blocks, functions: functions) == 0x4123_4000)
        #expect(BenchmarkProfile.base(blocks: [], functions: functions) == nil)
    }
}
