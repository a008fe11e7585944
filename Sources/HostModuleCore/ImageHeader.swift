// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The flat image of the hypervisor: its header, checked before anything is copied, and its
// relocations, applied to the copy at its physical address.

internal import CBootProtocol

/// What is wrong with an image.
public enum ImageDefect: Equatable, Sendable {
    /// Shorter than a header, or not a whole number of words.
    case size
    /// The first word is another one.
    case magic
    /// It speaks another boot protocol.
    case `protocol`
    /// It was built for per-CPU areas of another size.
    case perCPUSize
    /// The header gives another length than the image has.
    case fileSize
    /// The memory size is unaligned, too small, or larger than two superpages.
    case memorySize
    /// Text and read-only data do not follow each other page by page.
    case segments
    /// The entry lies outside the text.
    case entry
    /// The relocation table lies outside the image.
    case relocationTable
    /// A relocation is of another type, or reaches outside the image.
    case relocation

    /// What is wrong, as part of a sentence.
    public var text: StaticString {
        switch self {
        case .size: "it is too short or not a whole number of words"
        case .magic: "it does not begin with MARTLET2"
        case .protocol: "it speaks another version of the boot protocol"
        case .perCPUSize: "it was built for per-CPU areas of another size"
        case .fileSize: "its header gives another length than it has"
        case .memorySize: "its memory size is wrong"
        case .segments: "its segments are out of order"
        case .entry: "its entry lies outside its text"
        case .relocationTable: "its relocation table lies outside of it"
        case .relocation: "it has a relocation that cannot be applied"
        }
    }
}

/// The checked header of an image. Offsets are from the image's start, in bytes.
public struct ImageHeader: Equatable, Sendable {
    /// Bytes of the flat image.
    public let fileSize: UInt64
    /// Bytes in memory, with zero-filled data; whole pages, at most two superpages, which is what can be had in one piece.
    public let memorySize: UInt64
    /// Where the kernel's stub branches to.
    public let enter: UInt64
    /// The relocation records.
    let relocations: Range<UInt64>

    /// Checks the header of the image that `words` is, without its zero-filled tail.
    public init(checking words: Span<UInt64>) throws(Refusal) {
        let headerWords = MemoryLayout<martlet_image_header>.size / 8
        guard words.count > headerWords, words.count <= Int(Limits.superpageSize) / 8 else { throw .image(.size) }
        guard words[0] == UInt64(MARTLET_MAGIC) else { throw .image(.magic) }
        guard UInt32(truncatingIfNeeded: words[1]) == UInt32(MARTLET_BOOT_PROTOCOL) else { throw .image(.protocol) }
        guard words[1] >> 32 == Limits.perCPUSize else { throw .image(.perCPUSize) }
        fileSize = words[2]
        guard fileSize == UInt64(words.count) * 8 else { throw .image(.fileSize) }
        memorySize = words[3]
        let pageMask = Limits.pageSize - 1
        guard memorySize >= fileSize, memorySize <= 2 * Limits.superpageSize, memorySize & pageMask == 0 else {
            throw .image(.memorySize)
        }
        let textEnd = words[4]
        let rodataEnd = words[5]
        guard textEnd > 0, textEnd <= rodataEnd, rodataEnd <= memorySize, (textEnd | rodataEnd) & pageMask == 0 else {
            throw .image(.segments)
        }
        enter = words[6]
        guard enter >= UInt64(headerWords) * 8, enter < min(textEnd, fileSize), enter & 3 == 0 else {
            throw .image(.entry)
        }
        let start = words[7]
        let end = words[8]
        guard start <= end, end <= fileSize, start & 7 == 0, (end - start) % Self.recordBytes == 0 else {
            throw .image(.relocationTable)
        }
        relocations = start..<end
    }

    /// Bytes of an Elf64_Rela record: offset, info, addend.
    private static let recordBytes: UInt64 = 24
    /// R_AARCH64_RELATIVE with symbol 0 (ELF for the Arm 64-bit Architecture, 5.7.16).
    private static let relative: UInt64 = 1027

    /// Applies the relocations to the image in `memory` for the physical address `base`.
    ///
    /// Every record is checked before it is followed, for the records are data of the image and
    /// the words they name lie in memory that will be EL2's.
    ///
    /// - Parameter memory: the copy with its zero-filled tail, `memorySize` bytes.
    @_lifetime(memory: copy memory)
    public func relocate(_ memory: inout MutableSpan<UInt64>, base: UInt64) throws(Refusal) {
        guard UInt64(memory.count) * 8 >= memorySize else { throw .image(.memorySize) }
        var record = relocations.lowerBound
        while record < relocations.upperBound {
            let word = Int(record / 8)
            let offset = memory[word]
            let addend = memory[word + 2]
            guard memory[word + 1] == Self.relative, offset & 7 == 0, offset < memorySize, addend <= memorySize,
                !relocations.contains(offset)
            else { throw .image(.relocation) }
            memory[Int(offset / 8)] = base &+ addend
            record += Self.recordBytes
        }
    }
}
