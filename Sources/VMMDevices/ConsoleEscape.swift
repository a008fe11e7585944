// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The keys by which a person at a raw terminal talks to the VMM and not to the guest.

/// Separates the escape sequences from what goes to the guest.
public struct ConsoleEscape: Sendable {
    private enum State {
        case plain
        case prefixed
    }

    private var state: State = .plain

    /// Control-A, which starts a sequence.
    public static let prefix: UInt8 = 0x01

    /// The line that announces the sequence.
    public static let announcement = "martlet: this terminal is the guest's console; Ctrl-A x leaves, Ctrl-A h helps\n"
    /// The lines that Ctrl-A h prints. The terminal is raw, so each ends with a carriage return too.
    public static let help =
        "\r\nmartlet: Ctrl-A x       leave, ending the guest\r\n"
        + "martlet: Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n"
        + "martlet: Ctrl-A h       this help\r\n"

    /// What a key means.
    public enum Meaning: Equatable, Sendable {
        /// The byte goes to the guest.
        case pass(UInt8)
        /// The byte was part of a sequence, and nothing is to be done.
        case nothing
        /// Leave, ending the guest.
        case leave
        /// Print the help.
        case help
    }

    /// A filter that has seen nothing.
    public init() {}

    /// What the next byte means.
    public mutating func consume(_ byte: UInt8) -> Meaning {
        switch state {
        case .plain:
            guard byte == ConsoleEscape.prefix else { return .pass(byte) }
            state = .prefixed
            return .nothing
        case .prefixed:
            state = .plain
            switch byte {
            case UInt8(ascii: "x"), UInt8(ascii: "X"): return .leave
            case UInt8(ascii: "h"), UInt8(ascii: "?"): return .help
            case ConsoleEscape.prefix, UInt8(ascii: "a"): return .pass(ConsoleEscape.prefix)
            default: return .nothing
            }
        }
    }
}
