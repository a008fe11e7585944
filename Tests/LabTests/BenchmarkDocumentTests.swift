// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the documentation quotes of the benchmark, and its picture.

import Foundation
import SystemPackage
import Testing

@testable import LabKit

@Suite("Benchmark documents")
struct BenchmarkDocumentTests {
    @Test("quotations are replaced, all else stays")
    func filled() throws {
        let text =
            "a\n<!-- benchmark: x max -->\nold\nold\n<!-- end of benchmark -->\nb\n<!-- benchmark: y max -->"
            + "<!-- end of benchmark -->c"
        let filled = try BenchmarkDocuments.filled(text, file: "page") { "new \($0.joined(separator: "+"))" }
        #expect(
            filled == "a\n<!-- benchmark: x max -->\nnew x+max\n<!-- end of benchmark -->\nb\n"
                + "<!-- benchmark: y max -->\nnew y+max\n<!-- end of benchmark -->c")
        #expect(try BenchmarkDocuments.filled(filled, file: "page") { "new \($0.joined(separator: "+"))" } == filled)
    }

    @Test(
        "quotations that nobody can write",
        arguments: ["<!-- benchmark: x", "<!-- benchmark: x -->", "<!-- benchmark: z --><!-- end of benchmark -->"])
    func bad(text: String) {
        #expect(throws: LabError.self) {
            try BenchmarkDocuments.filled(text, file: "page") { $0 == ["x"] ? "" : nil }
        }
    }

    @Test("the axis is logarithmic")
    func axis() {
        let positions = [100.0, 1000, 10_000, 100_000, 1_000_000].map(BenchmarkPicture.position)
        let steps = zip(positions, positions.dropFirst()).map { $1 - $0 }
        #expect(steps.allSatisfy { abs($0 - steps[0]) <= 1 } && steps[0] > 40)
        let half = BenchmarkPicture.position(316.228)
        #expect(abs(half - (positions[0] + positions[1]) / 2) <= 1)
    }

    @Test("a picture has a line for each operation that costs something on both sides")
    func picture() throws {
        var report = BenchmarkReport(machine: .max, versions: ["linux": "<7>"], date: "2026-01-01")
        report.hosts[.martlet] = [
            "normal/gic-read": try BenchmarkTests.measurement([8: 1200, 16: 600]),
            "normal/counter": try BenchmarkTests.measurement([8: 1]),
            "protected/gic-read": try BenchmarkTests.measurement([8: 1200, 16: 610]),
        ]
        report.hosts[.linuxNVHE] = [
            "normal/gic-read": try BenchmarkTests.measurement([8: 1800]),
            "normal/counter": try BenchmarkTests.measurement([8: 1]),
        ]
        let svg = BenchmarkPicture(report).svg
        #expect(svg.components(separatedBy: "kernel's GIC").count == 2)
        #expect(!svg.contains("CNTVCT") && svg.contains("Linux &lt;7>:"))
        #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n"))
        // The title, two rows of text each, the axis, and nothing that is not closed.
        for element in ["svg", "text", "title"] {
            let (begun, ended) = ("<\(element)", "</\(element)>")
            #expect(svg.components(separatedBy: begun).count == svg.components(separatedBy: ended).count)
        }
        #expect(svg.components(separatedBy: "<circle ").count - 1 == 4)
    }

    @Test("a report can be read again")
    func report() throws {
        var report = BenchmarkReport(machine: .max, versions: ["linux": "7"], date: "2026-01-01")
        report.hosts[.martlet] = ["normal/a": try BenchmarkTests.measurement([8: 5], operations: 2)]
        report.sizes = ["normal/page": 8.5]
        let path = FilePath(NSTemporaryDirectory()).appending("martlet-report-\(UUID().uuidString).json")
        defer { try? path.remove() }
        try report.write(to: path)
        let again = try BenchmarkReport(reading: path)
        #expect(again.hosts == report.hosts && again.sizes == report.sizes && again.date == report.date)
        try path.write("{}")
        #expect(throws: LabError.self) { try BenchmarkReport(reading: path) }
    }
}
