// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// One JSON object on one line, which is all that `--json` needs.

/// A flat JSON object, written member by member and rendered as one line.
public struct JSONObject: Sendable {
    private var body: String = ""

    /// An empty object.
    public init() {}

    private mutating func key(_ name: String) {
        if !body.isEmpty { body += "," }
        body += "\"\(JSONObject.escaped(name))\":"
    }

    /// Adds a string member.
    public mutating func add(_ name: String, _ value: String) {
        key(name)
        body += "\"\(JSONObject.escaped(value))\""
    }

    /// Adds a number member.
    public mutating func add(_ name: String, _ value: UInt64) {
        key(name)
        body += String(value)
    }

    /// The object, ended by a newline.
    public var line: String { "{\(body)}\n" }

    /// `text` with what JSON does not allow in a string replaced by escapes (RFC 8259, section 7).
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            default:
                if scalar.value < 0x20 {
                    let digits = String(scalar.value, radix: 16)
                    result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result
    }
}
