// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Everything that can be wrong with a kernel file's content.

/// Why a file cannot be booted as a kernel.
public enum KernelError: Error, Equatable, Sendable {
    /// The file has no bytes.
    case empty
    /// The file ends within the header.
    case tooShort
    /// The file ends before its own header says that it does.
    case truncated(present: UInt64, promised: UInt64)
    /// Nothing in the file looks like a kernel.
    case notAKernel
    /// A kernel for another instruction set.
    case otherArchitecture(ForeignArchitecture)
    /// An ELF file, such as `vmlinux`.
    case elf
    /// A compression that `martlet` does not undo.
    case compressed(ForeignCompression)
    /// A kernel for big-endian CPUs.
    case bigEndian
    /// A kernel from before Linux 3.17.
    case tooOld
    /// A gzip stream that is cut short.
    case gzipTruncated
    /// A gzip stream whose content or checksum is wrong.
    case gzipDamaged
    /// A gzip stream that does not hold an arm64 Image.
    case gzipWithoutImage

    /// The reason, as a clause.
    public var why: String {
        switch self {
        case .empty: "it is empty"
        case .tooShort: "it ends within the 64-byte header of an arm64 Image"
        case .truncated(let present, let promised): "it is truncated: \(present) of \(promised) bytes are there"
        case .notAKernel: "it is not an arm64 kernel Image"
        case .otherArchitecture(let architecture): "it is \(architecture.name) kernel"
        case .elf: "it is an ELF file, not an arm64 kernel Image"
        case .compressed(let compression): "it is compressed with \(compression.name)"
        case .bigEndian: "it is a big-endian kernel"
        case .tooOld: "it is older than Linux 3.17 and does not say how much memory it needs"
        case .gzipTruncated: "it is compressed with gzip and truncated"
        case .gzipDamaged: "it is compressed with gzip and damaged"
        case .gzipWithoutImage: "it is compressed with gzip and what is inside is not an arm64 kernel Image"
        }
    }

    /// The next step, as a clause.
    public var next: String {
        switch self {
        case .empty, .tooShort, .truncated, .gzipTruncated, .gzipDamaged: "copy or build the file again"
        case .compressed(let compression): "unpack it first, for example with `\(compression.name) -d`"
        case .elf: "give arch/arm64/boot/Image of the same build"
        case .notAKernel, .otherArchitecture, .bigEndian, .tooOld, .gzipWithoutImage:
            "give an arm64 Image, such as /boot/vmlinuz of an arm64 distribution"
        }
    }
}
