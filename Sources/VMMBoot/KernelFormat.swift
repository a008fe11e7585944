// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What kind of file a kernel is, told from its first bytes.

/// A way to reach an arm64 Image in a file.
public enum KernelFormat: Equatable, Sendable {
    /// The file is the Image.
    case image(ImageHeader)
    /// A gzip stream from `offset` on, of at most `count` bytes, holds the Image.
    case gzip(offset: UInt64, count: UInt64)

    /// Tells the format of a file of `fileSize` bytes from its first bytes (`ImageHeader.prefixSize` of them, or the
    /// whole file if it is shorter).
    public init(prefix: Span<UInt8>, fileSize: UInt64) throws(KernelError) {
        guard fileSize > 0 else { throw .empty }
        // The x86 and zboot forms are looked for first: both start with the same "MZ" as an arm64 Image.
        if prefix.holds(Array("HdrS".utf8), at: 0x202) { throw .otherArchitecture(.x86) }
        if prefix.holds([0x4D, 0x5A, 0, 0]), prefix.holds(Array("zimg".utf8), at: 4) {
            self = try KernelFormat.zboot(prefix, fileSize: fileSize)
            return
        }
        if ImageHeader.isPresent(in: prefix) {
            let header = try ImageHeader(prefix)
            try header.checkComplete(count: fileSize)
            self = .image(header)
            return
        }
        if prefix.holds([0x1F, 0x8B]) {
            self = .gzip(offset: 0, count: fileSize)
            return
        }
        try KernelFormat.refuseKnown(prefix)
        throw prefix.count < ImageHeader.size ? .tooShort : .notAKernel
    }

    /// The EFI zboot wrapper (Linux, drivers/firmware/efi/libstub/zboot-header.S): payload offset at 8, payload size at
    /// 12, the name of the compression at 24.
    private static func zboot(_ prefix: Span<UInt8>, fileSize: UInt64) throws(KernelError) -> KernelFormat {
        guard let offset = prefix.littleEndian32(at: 8), let size = prefix.littleEndian32(at: 12) else {
            throw .tooShort
        }
        let end = UInt64(offset) + UInt64(size)
        guard end <= fileSize else { throw .truncated(present: fileSize, promised: end) }
        if prefix.holds(Array("gzip".utf8), at: 24) { return .gzip(offset: UInt64(offset), count: UInt64(size)) }
        if prefix.holds(Array("zstd".utf8), at: 24) { throw .compressed(.zstd) }
        if prefix.holds(Array("lzma".utf8), at: 24) { throw .compressed(.lzma) }
        if prefix.holds(Array("xz".utf8), at: 24) { throw .compressed(.xz) }
        if prefix.holds(Array("lz4".utf8), at: 24) { throw .compressed(.lz4) }
        throw .notAKernel
    }

    private static func refuseKnown(_ prefix: Span<UInt8>) throws(KernelError) {
        if prefix.holds([0x7F, 0x45, 0x4C, 0x46]) { throw .elf }
        if prefix.holds([0x52, 0x53, 0x43, 0x05], at: 56) { throw .otherArchitecture(.riscv) }
        if prefix.littleEndian32(at: 0x24) == 0x016F_2818 { throw .otherArchitecture(.arm32) }
        if prefix.holds([0xFD, 0x37, 0x7A, 0x58, 0x5A]) { throw .compressed(.xz) }
        if prefix.holds([0x28, 0xB5, 0x2F, 0xFD]) { throw .compressed(.zstd) }
        if prefix.holds([0x04, 0x22, 0x4D, 0x18]) || prefix.holds([0x02, 0x21, 0x4C, 0x18]) {
            throw .compressed(.lz4)
        }
        if prefix.holds(Array("BZh".utf8)) { throw .compressed(.bzip2) }
        if prefix.holds([0x5D, 0, 0]) { throw .compressed(.lzma) }
    }
}

/// An instruction set that is not arm64.
public enum ForeignArchitecture: Equatable, Sendable {
    /// x86, 32 or 64 bits.
    case x86
    /// RISC-V.
    case riscv
    /// 32-bit Arm.
    case arm32

    var name: String {
        switch self {
        case .x86: "an x86"
        case .riscv: "a RISC-V"
        case .arm32: "a 32-bit Arm"
        }
    }
}

/// A compression that `martlet` does not undo.
public enum ForeignCompression: Equatable, Sendable {
    /// `xz`.
    case xz
    /// `zstd`.
    case zstd
    /// `lz4`.
    case lz4
    /// `bzip2`.
    case bzip2
    /// `lzma`.
    case lzma

    var name: String {
        switch self {
        case .xz: "xz"
        case .zstd: "zstd"
        case .lz4: "lz4"
        case .bzip2: "bzip2"
        case .lzma: "lzma"
        }
    }
}
