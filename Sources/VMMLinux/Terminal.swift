// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The terminal that is the guest's console.

internal import CLinux
public import VMMConfiguration
public import VMMRun

/// Standard input in the mode that a console needs. The mode before comes back when the owner is gone; should the
/// process die of a fault, a signal handler sees to it.
public struct Terminal: ~Copyable {
    /// What standard input is.
    public let kind: ConsoleKind
    /// Standard output, opened again so that writing to it never blocks.
    private let unblocked: Descriptor?

    /// Looks at standard input and changes nothing.
    public init() {
        kind = clinux_is_terminal(Terminal.input) != 0 ? .terminal : .stream
        do throws(SystemError) {
            unblocked = try Descriptor(owning: clinux_reopen_for_writing(Terminal.output))
        } catch {
            // A regular file never blocks. Without /proc a terminal can, which is the lesser evil.
            unblocked = nil
        }
    }

    deinit { clinux_terminal_restore() }

    /// The file to write the guest's output to.
    var guestOutput: Int32 {
        switch unblocked {
        case .some(let descriptor): descriptor.number
        case .none: Terminal.output
        }
    }

    static let input: Int32 = 0
    static let output: Int32 = 1
    static let messages: Int32 = 2

    /// Switches to raw mode, if standard input is a terminal.
    public func makeRaw() throws(HostFailure) {
        guard kind == .terminal else { return }
        let result = clinux_terminal_make_raw(Terminal.input)
        guard result == 0 else { throw .step(.terminal, SystemError(result)) }
    }

    /// Goes back to the mode before.
    public func restore() { clinux_terminal_restore() }

    /// Writes a message to standard error.
    public static func say(_ text: String) { Descriptor.write(text, to: messages) }

    /// Writes what the person asked for to standard output.
    public static func answer(_ text: String) { Descriptor.write(text, to: output) }
}
