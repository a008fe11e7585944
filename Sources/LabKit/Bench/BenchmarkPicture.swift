// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The benchmark as a picture: what each operation costs on Martlet and on Linux, on a logarithmic axis.

/// A report as a picture in SVG, readable on light and on dark ground.
public struct BenchmarkPicture {
    private let report: BenchmarkReport

    /// Shows a report.
    public init(_ report: BenchmarkReport) {
        self.report = report
    }

    /// One operation in one kind of VM.
    private struct Line {
        let title: String
        let martlet: Double
        let linux: Double
    }

    // Grey and colours of middle lightness stand out from white as from black.
    private static let grey = "#7a838d"
    private static let martlet = "#e8590c"
    private static let linux = "#3f8fdb"

    private static let width = 920
    private static let left = 360
    private static let right = 28
    private static let top = 66
    private static let step = 20

    /// Instructions at both ends of the axis, as powers of ten.
    private static let first = 2
    private static let last = 9

    /// The rows that cost something on both sides, first those of normal VMs.
    private func lines(_ kind: String) -> [Line] {
        BenchmarkRow.all.filter { $0.part != .host }.compactMap { row in
            let linux =
                kind == "normal"
                ? report.bestLinux(row.name)?.row : report.measurement(.linuxProtected, "protected", row.name)
            guard let martlet = report.measurement(.martlet, kind, row.name)?.hostSide(),
                let linux = linux?.hostSide(), martlet >= 10, linux >= 10
            else { return nil }
            return Line(title: row.title, martlet: martlet, linux: linux)
        }
    }

    /// Where on the axis a count is. The logarithm is taken in steps of a thousandth of a power of ten, so that
    /// every machine draws the same.
    static func position(_ count: Double) -> Int {
        var thousandths = 0
        var rest = max(count, 1)
        while rest >= 10 {
            rest /= 10
            thousandths += 1000
        }
        // 10^0.001, exact enough for a pixel after a thousand multiplications.
        var power = 1.0
        while power * 1.002305238077899 <= rest {
            power *= 1.002305238077899
            thousandths += 1
        }
        let span = (last - first) * 1000
        return left + (thousandths - first * 1000) * (width - left - right) / span
    }

    /// The picture.
    public var svg: String {
        let groups = [("Normal VM", lines("normal")), ("Protected VM", lines("protected"))]
        let height = Self.top + groups.reduce(0) { $0 + ($1.1.count + 2) * Self.step } + 8
        var parts = [
            """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(Self.width)" height="\(height)" \
            viewBox="0 0 \(Self.width) \(height)" font-family="sans-serif" font-size="12">
            """,
            "<title>Executed instructions for an operation, \(report.machine.rawValue): Martlet and Linux</title>",
            Self.text(
                0, 16, "Executed instructions for an operation, host's side, \(report.machine.rawValue)", size: 14),
            Self.dot(6, 35, Self.martlet), Self.text(16, 39, "Martlet"), Self.dot(86, 35, Self.linux),
            Self.text(96, 39, "Linux \(report.versions["linux"] ?? ""): the cheapest mode, and pKVM for protected VMs"),
        ]
        for power in Self.first...Self.last {
            let x = Self.position(Self.power(power))
            parts.append(
                """
                <line x1="\(x)" y1="\(Self.top)" x2="\(x)" y2="\(height - 8)" stroke="\(Self.grey)" \
                stroke-opacity="0.3"/>
                """)
            parts.append(Self.text(x, Self.top - 6, Self.axis[power - Self.first], anchor: "middle"))
        }
        var y = Self.top
        for (title, lines) in groups {
            y += Self.step
            parts.append(Self.text(0, y, title, weight: "bold"))
            for line in lines {
                y += Self.step
                let (mine, other) = (Self.position(line.martlet), Self.position(line.linux))
                parts.append(Self.text(12, y, line.title))
                parts.append(
                    """
                    <line x1="\(mine)" y1="\(y - 4)" x2="\(other)" y2="\(y - 4)" stroke="\(Self.grey)" \
                    stroke-width="2"/>
                    """)
                parts += [Self.dot(other, y - 4, Self.linux), Self.dot(mine, y - 4, Self.martlet)]
            }
            y += Self.step
        }
        return (parts + ["</svg>"]).joined(separator: "\n") + "\n"
    }

    private static let axis = ["100", "1 000", "10 000", "100 000", "1 M", "10 M", "100 M", "1 000 M"]

    private static func power(_ exponent: Int) -> Double { (0..<exponent).reduce(1) { value, _ in value * 10 } }

    private static func dot(_ x: Int, _ y: Int, _ colour: String) -> String {
        "<circle cx=\"\(x)\" cy=\"\(y)\" r=\"5\" fill=\"\(colour)\"/>"
    }

    private static func text(
        _ x: Int, _ y: Int, _ text: String, size: Int = 12, weight: String = "normal", anchor: String = "start"
    ) -> String {
        let escaped = text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
        return """
            <text x="\(x)" y="\(y)" fill="\(grey)" font-size="\(size)" font-weight="\(weight)" \
            text-anchor="\(anchor)">\(escaped)</text>
            """
    }
}
