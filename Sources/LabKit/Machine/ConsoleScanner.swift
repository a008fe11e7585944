// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Trouble in a console: what a kernel prints when something went wrong, whoever noticed.

/// Something in a machine's console that must not be there.
public struct ConsoleFinding: Equatable, Sendable {
    /// The kinds of trouble.
    public enum Kind: String, CaseIterable, Sendable {
        /// The kernel gave up.
        case panic = "kernel panic"
        /// The kernel met an exception that it could not handle.
        case oops = "oops"
        /// A consistency check of the kernel failed.
        case warning = "warning"
        /// A check that the kernel takes for a bug of its own.
        case bug = "bug"
        /// A processor or task made no progress.
        case lockup = "lockup"
        /// The hypervisor gave up.
        case hypervisorPanic = "hypervisor panic"
    }

    /// What it is.
    public let kind: Kind
    /// The line that says so.
    public let line: String
}

/// Looks for trouble in a console.
public enum ConsoleScanner {
    /// Texts by which each kind is known; the first that matches a line decides.
    private static let marks: [(ConsoleFinding.Kind, [String])] = [
        (.hypervisorPanic, ["martlet-panic:"]),
        (.panic, ["Kernel panic - not syncing"]),
        (
            .lockup,
            [
                "soft lockup", "hard LOCKUP", "detected stall", "self-detected stall", "blocked for more than",
                "stuck for", "workqueue lockup",
            ]
        ),
        (
            .oops,
            [
                "Internal error:", "Unable to handle kernel", "Oops", "Bad mode in", "SError Interrupt",
                "Unexpected kernel BRK exception",
            ]
        ),
        (.warning, ["WARNING: "]),
        (.bug, ["kernel BUG at", "BUG: "]),
    ]

    /// All trouble in a console, in order.
    public static func scan(_ console: String) -> [ConsoleFinding] {
        console.split(whereSeparator: \.isNewline).compactMap { line in
            for (kind, texts) in marks where texts.contains(where: line.contains) {
                return ConsoleFinding(kind: kind, line: String(line))
            }
            return nil
        }
    }
}
