// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Text without allocation: the module writes its log lines and reports into a bounded buffer,
// and the tests write the very same text into a String.

/// Something that text can be written to, piece by piece.
///
/// A sink has a bound of its own choosing; what does not fit is dropped, never an error, because
/// a cut log line is better than a module that stops on its way to reporting something else.
public protocol TextSink: ~Copyable, ~Escapable {
    /// Appends fixed text.
    mutating func write(_ text: StaticString)
    /// Appends one ASCII byte.
    mutating func write(byte: UInt8)
}

extension TextSink where Self: ~Copyable & ~Escapable {
    /// Appends an unsigned number in decimal.
    public mutating func write(decimal value: UInt64) {
        var divisor: UInt64 = 1
        while value / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            write(byte: UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / divisor % 10))
            divisor /= 10
        }
    }

    /// Appends a signed number in decimal.
    public mutating func write(signed value: Int64) {
        if value < 0 { write(byte: UInt8(ascii: "-")) }
        write(decimal: value.magnitude)
    }

    /// Appends a number in hexadecimal with its prefix, without leading zeroes.
    public mutating func write(hexadecimal value: UInt64) {
        write("0x")
        var shift = 60
        while shift > 0, value >> UInt64(shift) == 0 { shift -= 4 }
        while shift >= 0 {
            write(nibble: UInt8(truncatingIfNeeded: value >> UInt64(shift)))
            shift -= 4
        }
    }

    /// Appends one byte as two hexadecimal digits, as digests are written.
    public mutating func write(digestByte byte: UInt8) {
        write(nibble: byte >> 4)
        write(nibble: byte)
    }

    private mutating func write(nibble: UInt8) {
        let digit = nibble & 0xF
        write(byte: digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + (digit - 10))
    }
}
