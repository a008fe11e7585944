// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// From bytes on standard input to bytes at the serial port.

public import VMMDevices

/// Who types: a person at a terminal, who may use the escape keys, or a file or pipe, whose every byte is data.
public enum ConsoleKind: Equatable, Sendable {
    /// A terminal in raw mode.
    case terminal
    /// Anything else.
    case stream
}

/// The way of the console's input.
public struct ConsoleInput: Sendable {
    /// What the loop around the console has to do besides.
    public enum Action: Equatable, Sendable {
        /// Print the help.
        case help
        /// Stop the machine.
        case leave
    }

    private let kind: ConsoleKind
    private var escape = ConsoleEscape()

    /// How many bytes are read at once. Reading waits until the port has room for all of them, since some may turn
    /// out to be escapes but none may be lost.
    public static let chunk = 64

    /// The input of such a console.
    public init(_ kind: ConsoleKind) {
        self.kind = kind
    }

    /// Whether `port` has room for the next chunk.
    public func wantsInput(_ port: borrowing SerialPort) -> Bool {
        port.input.room >= ConsoleInput.chunk
    }

    /// Takes `bytes`, at most a chunk, to `port` and returns what else is to be done.
    public mutating func take(_ bytes: Span<UInt8>, to port: inout SerialPort) -> [Action] {
        var actions: [Action] = []
        for index in bytes.indices {
            switch meaning(of: bytes[index]) {
            case .pass(let byte): _ = port.deliver(byte)
            case .nothing: break
            case .help: actions.append(.help)
            case .leave: actions.append(.leave)
            }
        }
        return actions
    }

    private mutating func meaning(of byte: UInt8) -> ConsoleEscape.Meaning {
        switch kind {
        case .terminal: escape.consume(byte)
        case .stream: .pass(byte)
        }
    }
}
