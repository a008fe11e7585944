// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The attacks as tables: for the documentation, and with results for a terminal.

/// Tables of attacks.
public enum AttackTable {
    /// The table of docs/attacks.md.
    public static var markdown: String {
        var lines = [
            "| | attacker | does what | against | tried |", "|---|---|---|---|---|",
        ]
        for attack in Attacks.all {
            let places = [
                attack.simulated.isEmpty ? nil : "simulated machine", attack.emulated.isEmpty ? nil : "QEMU",
            ].compactMap(\.self)
            let tried = attack.waitsFor.map { "waits for \($0)" } ?? places.joined(separator: ", ")
            lines.append("| \(attack.id) | \(attack.attacker) | \(attack.title) | \(attack.defence) | \(tried) |")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// One line an outcome, and one for each attack that waits.
    public static func lines(_ outcomes: [AttackOutcome]) -> [String] {
        var lines = [row("attack", "attacker", "where", "without", "with", "seconds", "what, against what")]
        for outcome in outcomes {
            guard let attack = Attacks.all.first(where: { $0.id == outcome.id }) else { continue }
            let tenths = Int((outcome.seconds * 10).rounded())
            lines.append(
                row(
                    outcome.id, attack.attacker.rawValue, outcome.place, outcome.faulty.rawValue,
                    outcome.real.rawValue, "\(tenths / 10).\(tenths % 10)", "\(attack.title); \(attack.defence)"))
        }
        let waiting = Attacks.all.filter { $0.waitsFor != nil }
        lines += waiting.map { row($0.id, $0.attacker.rawValue, "", "", "", "", "waits for \($0.waitsFor ?? "")") }
        return lines
    }

    private static func row(_ columns: String...) -> String {
        let widths = [7, 9, 10, 10, 10, 8]
        return zip(columns, widths).map { text, width in
            text + String(repeating: " ", count: max(1, width - text.count))
        }.joined() + (columns.last ?? "")
    }
}
