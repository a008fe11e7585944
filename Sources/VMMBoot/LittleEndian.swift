// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Reading numbers out of a file's first bytes without ever leaving them.

extension Span<UInt8> {
    /// The 16-bit little-endian number at `offset`; nil where the bytes end before it.
    func littleEndian16(at offset: Int) -> UInt16? {
        guard let low = byte(at: offset), let high = byte(at: offset + 1) else { return nil }
        return UInt16(low) | UInt16(high) << 8
    }

    /// The 32-bit little-endian number at `offset`; nil where the bytes end before it.
    func littleEndian32(at offset: Int) -> UInt32? {
        guard let low = littleEndian16(at: offset), let high = littleEndian16(at: offset + 2) else { return nil }
        return UInt32(low) | UInt32(high) << 16
    }

    /// The 64-bit little-endian number at `offset`; nil where the bytes end before it.
    func littleEndian64(at offset: Int) -> UInt64? {
        guard let low = littleEndian32(at: offset), let high = littleEndian32(at: offset + 4) else { return nil }
        return UInt64(low) | UInt64(high) << 32
    }

    /// The byte at `offset`; nil outside.
    func byte(at offset: Int) -> UInt8? {
        offset >= 0 && offset < count ? self[offset] : nil
    }

    /// Whether these bytes stand at `offset`.
    func holds(_ bytes: [UInt8], at offset: Int = 0) -> Bool {
        guard offset >= 0, offset <= count, count - offset >= bytes.count else { return false }
        for index in 0..<bytes.count where self[offset + index] != bytes[index] { return false }
        return true
    }
}
