// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A fault that is put into the hypervisor's core on purpose, to see whether a unit test notices.

/// One seeded fault: a piece of a source file, and what stands there instead.
public struct Mutant: Sendable {
    /// What the changed code is responsible for.
    public enum Area: String, Sendable, CaseIterable {
        /// Who owns a page, and when it changes hands.
        case ownership
        /// What the tables say.
        case table
        /// What TLBs may still hold.
        case tlb
        /// What lies in memory and what only in a cache.
        case cache
        /// What passes between host and guest.
        case worldSwitch = "world-switch"
        /// What is checked of a value from outside.
        case validation

        /// Whether a survivor fails the run: here every fault can give a guest's memory away.
        public var mustDie: Bool { self == .ownership || self == .tlb }
    }

    /// What the piece is, by which the two versions are put side by side in one program.
    enum Form: Sendable {
        /// A value: becomes a conditional expression.
        case expression
        /// Whole statements: they become the branches of an `if`.
        case statement
    }

    /// A word or a few, unique among all.
    public let name: String
    /// The file, below Sources/HypervisorCore.
    public let file: String
    /// What the code is responsible for.
    public let area: Area
    let form: Form
    /// Text that occurs once in the file. The piece that is replaced stands between « and »; all of it
    /// is if there are none.
    let pattern: String
    /// What stands there instead.
    let replacement: String
    /// What goes wrong, and so what a test has to notice.
    public let harm: String

    private init(
        _ name: String, _ file: String, _ area: Area, _ form: Form, _ pattern: String, _ replacement: String,
        _ harm: String
    ) {
        self.name = name
        self.file = file
        self.area = area
        self.form = form
        self.pattern = pattern
        self.replacement = replacement
        self.harm = harm
    }

    /// A value that is another.
    static func value(
        _ name: String, _ area: Area, _ file: String, _ pattern: String, is replacement: String, _ harm: String
    ) -> Mutant {
        Mutant(name, file, area, .expression, pattern, replacement, harm)
    }

    /// A check that always passes.
    static func unchecked(_ name: String, _ area: Area, _ file: String, _ pattern: String, _ harm: String) -> Mutant {
        Mutant(name, file, area, .expression, pattern, "true", harm)
    }

    /// Statements that do something else; nothing, unless said.
    static func left(
        _ name: String, _ area: Area, _ file: String, out pattern: String, doing replacement: String = "",
        _ harm: String
    ) -> Mutant {
        Mutant(name, file, area, .statement, pattern, replacement, harm)
    }

    /// The pattern without marks.
    var text: String { pattern.filter { $0 != "«" && $0 != "»" } }

    /// The piece that is replaced.
    var original: String {
        guard let start = pattern.firstIndex(of: "«"), let end = pattern.firstIndex(of: "»") else { return pattern }
        return String(pattern[pattern.index(after: start)..<end])
    }

    /// What of the pattern stands before the piece.
    var prefix: String { pattern.contains("«") ? String(pattern.prefix { $0 != "«" }) : "" }
}
