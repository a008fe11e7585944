// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The header of an arm64 Image (Linux, Documentation/arch/arm64/booting.rst, section 4).

/// What the 64-byte header of an arm64 kernel Image says.
public struct ImageHeader: Equatable, Sendable {
    /// The distance of the Image from a 2 MiB boundary, in bytes.
    public let textOffset: UInt64
    /// The memory that the kernel needs from its first byte on, its BSS included.
    public let imageSize: UInt64
    /// The end of the last section of the file, if the Image is an EFI application too: a shorter file is truncated.
    public let fileEnd: UInt64?

    /// How many bytes of a file suffice to read everything here.
    public static let prefixSize = 4096

    /// The size of the header.
    static let size = 64
    private static let magic: UInt32 = 0x644D_5241

    /// Whether `prefix` has the Image's magic number.
    static func isPresent(in prefix: Span<UInt8>) -> Bool {
        prefix.littleEndian32(at: 56) == magic
    }

    /// Reads the header at the start of `prefix`.
    public init(_ prefix: Span<UInt8>) throws(KernelError) {
        guard let textOffset = prefix.littleEndian64(at: 8), let imageSize = prefix.littleEndian64(at: 16),
            let flags = prefix.littleEndian64(at: 24), let magic = prefix.littleEndian32(at: 56)
        else { throw .tooShort }
        guard magic == ImageHeader.magic else { throw .notAKernel }
        guard flags & 1 == 0 else { throw .bigEndian }
        // Before Linux 3.17 the size was zero and the rest could not be trusted either.
        guard imageSize != 0 else { throw .tooOld }
        // A header may claim anything; no kernel is larger than 4 GiB, and later sums must not overflow.
        guard imageSize >= UInt64(ImageHeader.size), imageSize <= 4 << 30, textOffset < 2 << 20, textOffset % 4096 == 0
        else { throw .notAKernel }
        self.textOffset = textOffset
        self.imageSize = imageSize
        self.fileEnd = ImageHeader.fileEnd(in: prefix)
    }

    /// The end of the file according to the PE/COFF section table; nil if there is none in reach.
    private static func fileEnd(in prefix: Span<UInt8>) -> UInt64? {
        guard prefix.holds([0x4D, 0x5A]), let peOffset = prefix.littleEndian32(at: 60) else { return nil }
        let pe = Int(peOffset)
        guard prefix.holds([0x50, 0x45, 0, 0], at: pe),
            let sections = prefix.littleEndian16(at: pe + 6),
            let optionalHeaderSize = prefix.littleEndian16(at: pe + 20)
        else { return nil }
        let table = pe + 24 + Int(optionalHeaderSize)
        var end: UInt64 = 0
        for section in 0..<Int(sections) {
            let entry = table + section * 40
            guard let size = prefix.littleEndian32(at: entry + 16), let start = prefix.littleEndian32(at: entry + 20)
            else { return nil }
            end = max(end, UInt64(size) + UInt64(start))
        }
        return end
    }

    /// Throws if a kernel of `count` bytes is shorter than its own section table says.
    public func checkComplete(count: UInt64) throws(KernelError) {
        if count < UInt64(ImageHeader.size) { throw .tooShort }
        if let fileEnd, count < fileEnd { throw .truncated(present: count, promised: fileEnd) }
    }
}
