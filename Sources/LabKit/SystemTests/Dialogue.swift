// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A person at a machine's console, as a script: what is typed, and what has to appear.

import SystemPackage

/// What is typed at a console and seen on it, in order.
struct Dialogue: Equatable, Sendable {
    /// One line of the script.
    enum Line: Equatable, Sendable {
        /// Text is typed.
        case type(String)
        /// The console shows a text, behind what was seen before.
        case see(String)
    }

    /// The script.
    let lines: [Line]

    /// Reads a script: lines that begin with `type ` and `see `, comments and empty lines.
    ///
    /// - Throws: ``LabError/malformed(file:why:)`` for a line that is none of these.
    init(_ text: String, file: String) throws(LabError) {
        var lines: [Line] = []
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            if line.hasPrefix("type ") {
                guard let typed = Self.unescape(line.dropFirst(5)) else {
                    throw .malformed(file: file, why: "`\(line)` has an unknown escape")
                }
                lines.append(.type(typed))
            } else if line.hasPrefix("see ") {
                lines.append(.see(String(line.dropFirst(4))))
            } else {
                throw .malformed(file: file, why: "`\(line)` is neither typed nor seen")
            }
        }
        self.lines = lines
    }

    /// Replaces `\r` and `\xNN` by the single bytes that they stand for; other backslashes stay.
    private static func unescape(_ text: Substring) -> String? {
        var result = ""
        var rest = text
        while let character = rest.popFirst() {
            guard character == "\\", let kind = rest.first, kind == "r" || kind == "x" else {
                result.append(character)
                continue
            }
            rest.removeFirst()
            if kind == "r" {
                result.append("\r")
                continue
            }
            guard let byte = UInt8(rest.prefix(2), radix: 16), byte < 0x80, rest.count >= 2 else { return nil }
            result.unicodeScalars.append(Unicode.Scalar(byte))
            rest.removeFirst(2)
        }
        return result
    }

    /// Plays the script.
    ///
    /// - Throws: ``LabError/machine(_:console:)`` when something does not appear.
    func play(on machine: VirtualMachine, patience: Patience) async throws {
        for line in lines {
            switch line {
            case .type(let text): try await machine.type(text)
            case .see(let text): try await machine.console.expect([text], patience: patience)
            }
        }
    }
}
