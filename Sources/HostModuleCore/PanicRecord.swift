// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The hypervisor's panic record as text, for the kernel log and for the tool that turns its
// addresses into files and lines.

/// The words of a panic record, as `HostCall.panicRecord` hands them out three at a time.
public enum PanicRecord {
    /// The first word of a record: "MPAN".
    public static let magic: UInt64 = 0x4D50_414E
    /// Words of a record.
    public static let words = 32
    /// The most frames of a record.
    public static let frames = 16

    private static let header = 8
    private static let message = header + frames

    /// Writes the record as text: a line for the place, then a line for each frame.
    ///
    /// What the words say is EL2's, but the text must stay sane whatever they are: the number
    /// of frames is bounded and the message is printable ASCII.
    ///
    /// - Parameters:
    ///   - word: gives the word at an index below `words`.
    ///   - endLine: called after each line, with the sink, so that the log gets one record a line.
    public static func write<Sink: TextSink & ~Copyable & ~Escapable>(
        to sink: inout Sink, word: (Int) -> UInt64, endLine: (inout Sink) -> Void
    ) {
        sink.write("martlet-panic: elr=")
        sink.write(hexadecimal: word(3))
        sink.write(" esr=")
        sink.write(hexadecimal: word(4))
        sink.write(" far=")
        sink.write(hexadecimal: word(5))
        sink.write(" lr=")
        sink.write(hexadecimal: word(6))
        sink.write(" base=")
        sink.write(hexadecimal: word(1))
        sink.write(" cpu=")
        sink.write(decimal: word(2))
        sink.write(" message=")
        writeMessage(to: &sink, word: word)
        endLine(&sink)
        let count = Int(min(word(7), UInt64(frames)))
        for index in 0..<count {
            sink.write("martlet-panic: frame ")
            sink.write(hexadecimal: word(header + index))
            endLine(&sink)
        }
    }

    private static func writeMessage<Sink: TextSink & ~Copyable & ~Escapable>(
        to sink: inout Sink, word: (Int) -> UInt64
    ) {
        for index in message..<words {
            let letters = word(index)
            for shift in stride(from: UInt64(0), to: 64, by: 8) {
                let byte = UInt8(truncatingIfNeeded: letters >> shift)
                if byte == 0 { return }
                sink.write(byte: byte >= 0x20 && byte < 0x7F ? byte : UInt8(ascii: "?"))
            }
        }
    }
}
