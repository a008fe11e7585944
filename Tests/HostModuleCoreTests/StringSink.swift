// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The tests' text sink.

import HostModuleCore

/// Text as a String.
struct StringSink: TextSink {
    var text = ""
    mutating func write(_ text: StaticString) { self.text += text.description }
    mutating func write(byte: UInt8) { text.unicodeScalars.append(Unicode.Scalar(byte)) }
}

extension Refusal {
    /// The refusal's line.
    var line: String {
        var sink = StringSink()
        describe(to: &sink)
        return sink.text
    }
}
