// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The benchmark's tables, as Markdown that can be read as it is.

/// A report as tables.
public struct BenchmarkTable {
    private let report: BenchmarkReport

    /// Shows a report.
    public init(_ report: BenchmarkReport) {
        self.report = report
    }

    /// Martlet beside Linux: instructions of the host's side for an operation, EL2's in brackets.
    public var comparison: String {
        var rows = [
            ["operation", "normal VM", "best Linux", "ratio", "protected VM", "Linux", "ratio", "goal", ""]
        ]
        for row in BenchmarkRow.all where row.part != .host {
            let normal = report.measurement(.martlet, "normal", row.name)
            let best = report.bestLinux(row.name)
            let protected = report.measurement(.martlet, "protected", row.name)
            let other = report.measurement(.linuxProtected, "protected", row.name)
            rows.append([
                row.title, cell(normal), best.map { "\(cell($0.1)) \($0.0.mode)" } ?? "–", ratio(normal, best?.1),
                cell(protected), cell(other), ratio(protected, other),
                row.limit(kind: "protected", on: report.machine).map { "≤ \(Self.number(Double($0)))" } ?? "",
                verdict(row),
            ])
        }
        rows.append(roundTrip)
        return Self.markdown(rows)
    }

    /// EL2's share of a way from a guest to the host's kernel and back.
    private var roundTrip: [String] {
        func share(_ host: BenchmarkHost, _ kind: String) -> Double? {
            report.measurement(host, kind, "gic-read")?.share(of: .el2)
        }
        let normal = share(.martlet, "normal"), protected = share(.martlet, "protected")
        let linux = share(.linuxNVHE, "normal"), other = share(.linuxProtected, "protected")
        func ratio(_ mine: Double?, _ others: Double?) -> String {
            guard let mine, let others, others > 0 else { return "–" }
            return Self.fixed(mine / others, digits: 2)
        }
        func cell(_ value: Double?) -> String { value.map(Self.number) ?? "–" }
        let worst = [normal, protected].compactMap(\.self).max()
        return [
            "EL2's share of guest → host kernel → guest", cell(normal), linux.map { "\(Self.number($0)) nVHE" } ?? "–",
            ratio(normal, linux), cell(protected), cell(other), ratio(protected, other), "≤ 650",
            worst.map { $0 <= 650 ? "yes" : "no" } ?? "",
        ]
    }

    /// A host by itself, with and without Martlet, and what a call to EL2 costs it.
    public var host: String {
        var rows = [["operation", "with Martlet", "same kernel without", "its KVM, nVHE", "its pKVM", "ratio"]]
        for row in BenchmarkRow.all where row.part == .host {
            let hosts = [BenchmarkHost.martlet, .bare, .stockNVHE, .stockProtected]
            let values = hosts.map { report.measurement($0, "normal", row.name) }
            let isCall = row.name == "host-call"
            rows.append(
                [row.title] + values.map { cell($0) }
                    + [ratio(values[0], isCall ? values[3] : values[1], digits: isCall ? 2 : 3)])
        }
        return Self.markdown(rows)
    }

    /// The kinds of instructions of EL2 and the host's kernel that cost more than one on silicon.
    public func kinds(of host: BenchmarkHost) -> String {
        let kinds = InstructionCounts.Kind.allCases.filter { $0 != .any }
        var rows = [["operation", "VM", "VMM", "host EL1", "EL2"] + kinds.map(\.title)]
        for row in BenchmarkRow.all {
            for kind in ["normal", "protected"] {
                guard let measurement = report.measurement(host, kind, row.name) else { continue }
                rows.append(
                    [row.title, row.part == .host ? "" : kind]
                        + InstructionCounts.Executor.host.map { Self.number(measurement.share(of: $0)) }
                        + kinds.map { Self.number(measurement.hostSide($0)) })
            }
        }
        return Self.markdown(rows)
    }

    /// Memory and code.
    public var sizes: String {
        func mebibytes(_ name: String) -> String {
            report.sizes[name].map { "\(Self.fixed($0 / 1_048_576, digits: 1)) MiB" } ?? "–"
        }
        func bytes(_ name: String) -> String { report.sizes[name].map { Self.number($0) } ?? "–" }
        var rows = [["what EL2 keeps", "Martlet", "Linux' pKVM", "goal"]]
        for (gibibytes, goal) in [(1, 5), (4, 12), (8, 22)] {
            rows.append([
                "of a machine with \(gibibytes) GiB", mebibytes("reserved/\(gibibytes)"),
                mebibytes("linux/\(gibibytes)"), "≤ \(goal) MiB",
            ])
        }
        rows.append(["text, in bytes", bytes("text"), "106952", "≤ 98304"])
        if let less = report.sizes["reserved/4"], let more = report.sizes["reserved/8"] {
            // 4 GiB of 4 KiB each.
            let pages = 1_048_576.0
            rows.append(["for a page of RAM, in bytes, between these", Self.number((more - less) / pages), "", ""])
        }
        for (name, title) in [
            ("vm", "a VM"), ("vcpu", "a vCPU"), ("pages", "a VM whose guest has 16 MiB by 4 KiB"),
            ("superpages", "a VM whose guest has 64 MiB by 2 MiB"),
        ] {
            let values = ["normal", "protected"].map { kind in
                report.sizes["\(kind)/\(name)"].map { "\(Self.number($0 / 1024)) KiB" } ?? "–"
            }
            rows.append(["\(title): normal, protected", values.joined(separator: ", "), "", ""])
        }
        return Self.markdown(rows)
    }

    /// When, and with what.
    public var origin: String {
        func version(_ name: String) -> String { report.versions[name] ?? "–" }
        let qemu = version("qemu").split(separator: " ").first.map(String.init) ?? "–"
        return """
            Measured on \(report.date), `-cpu \(report.machine.rawValue)`: Martlet on Debian's \(version("host")), Linux
            \(version("linux")) (Debian), guest \(version("guest")), QEMU \(qemu).
            """
    }

    /// The rows that tell most, for those who read one table only.
    public var summary: String {
        var rows = [["instructions for", "normal VM", "best Linux", "protected VM", "Linux' pKVM"]]
        func cell(_ row: CountedRow?) -> String { row.map { Self.number($0.hostSide()) } ?? "–" }
        for row in BenchmarkRow.all where Self.main.contains(row.name) {
            rows.append([
                row.title, cell(report.measurement(.martlet, "normal", row.name)),
                cell(report.bestLinux(row.name)?.row), cell(report.measurement(.martlet, "protected", row.name)),
                cell(report.measurement(.linuxProtected, "protected", row.name)),
            ])
        }
        return Self.markdown(rows)
    }

    private static let main: Set = [
        "power-version", "device-read", "gic-read", "sgi-self", "timer-running", "run-immediate", "page-present",
        "superpage-fresh", "create-to-first", "destroy", "guest-boot",
    ]

    private func verdict(_ row: BenchmarkRow) -> String {
        let verdicts = ["normal", "protected"].compactMap { kind -> Bool? in
            guard let limit = row.limit(kind: kind, on: report.machine),
                let measurement = report.measurement(.martlet, kind, row.name)
            else { return nil }
            return measurement.hostSide() <= Double(limit)
        }
        return verdicts.isEmpty ? "" : verdicts.allSatisfy(\.self) ? "yes" : "no"
    }

    private func cell(_ measurement: CountedRow?) -> String {
        guard let measurement else { return "–" }
        return "\(Self.number(measurement.hostSide())) (\(Self.number(measurement.share(of: .el2))))"
    }

    private func ratio(_ mine: CountedRow?, _ other: CountedRow?, digits: Int = 2) -> String {
        // Of less than this it would say nothing.
        guard let mine, let other, other.hostSide() >= 10 else { return "–" }
        return Self.fixed(mine.hostSide() / other.hostSide(), digits: digits)
    }

    /// A count that can be read: small ones with a decimal, large ones in thousands and millions.
    static func number(_ value: Double) -> String {
        switch value {
        case ..<10: value.rounded() == value ? "\(Int(value))" : fixed(value, digits: 1)
        case ..<100_000: "\(Int(value.rounded()))"
        case ..<10_000_000: "\(Int((value / 1000).rounded()))k"
        default: "\(fixed(value / 1_000_000, digits: 1))M"
        }
    }

    /// A number with so many digits behind the point.
    static func fixed(_ value: Double, digits: Int) -> String {
        let scale = (0..<digits).reduce(1) { scale, _ in scale * 10 }
        let rounded = Int((value * Double(scale)).rounded())
        let fraction = "\(abs(rounded) % scale)"
        return "\(rounded / scale)." + String(repeating: "0", count: digits - fraction.count) + fraction
    }

    /// Rows as a table whose columns are as wide as they have to be.
    static func markdown(_ rows: [[String]]) -> String {
        guard let header = rows.first else { return "" }
        let widths = header.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        func line(_ row: [String]) -> String {
            let cells = row.enumerated().map { column, cell in
                cell.padded(to: widths[column], side: column == 0 ? .right : .left)
            }
            return "| \(cells.joined(separator: " | ")) |"
        }
        let rule = widths.enumerated().map { column, width in
            column == 0 ? String(repeating: "-", count: width) : String(repeating: "-", count: max(1, width - 1)) + ":"
        }
        return ([line(header), "| \(rule.joined(separator: " | ")) |"] + rows.dropFirst().map(line)).joined(
            separator: "\n")
    }
}

extension BenchmarkHost {
    /// The mode of Linux' KVM, for a table.
    var mode: String {
        switch self {
        case .martlet: "Martlet"
        case .bare: "none"
        case .linuxVHE: "VHE"
        case .linuxNVHE, .stockNVHE: "nVHE"
        case .linuxProtected, .stockProtected: "pKVM"
        }
    }
}
