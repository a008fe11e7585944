// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Telling kernels apart, good and bad.

import Testing
import VMMBoot

/// The first bytes of files that only look like kernels.
enum Sample {
    static func put(_ bytes: [UInt8], at offset: Int, in file: inout [UInt8]) {
        for (index, byte) in bytes.enumerated() { file[offset + index] = byte }
    }

    static func little(_ value: UInt64, bytes: Int) -> [UInt8] {
        (0..<bytes).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
    }

    /// An arm64 Image whose two PE sections end at `fileEnd`.
    static func image(
        size: UInt64 = 0x20_0000, textOffset: UInt64 = 0, flags: UInt64 = 0xA, fileEnd: UInt32 = 0x10000
    ) -> [UInt8] {
        var file = [UInt8](repeating: 0, count: 4096)
        put([0x4D, 0x5A, 0x40, 0xFA], at: 0, in: &file)
        put(little(textOffset, bytes: 8), at: 8, in: &file)
        put(little(size, bytes: 8), at: 16, in: &file)
        put(little(flags, bytes: 8), at: 24, in: &file)
        put(Array("ARMd".utf8), at: 56, in: &file)
        put(little(64, bytes: 4), at: 60, in: &file)
        put([0x50, 0x45, 0, 0, 0x64, 0xAA], at: 64, in: &file)
        put(little(2, bytes: 2), at: 70, in: &file)
        put(little(160, bytes: 2), at: 84, in: &file)
        let table = 64 + 24 + 160
        put(little(0x8000, bytes: 4), at: table + 16, in: &file)
        put(little(0x1000, bytes: 4), at: table + 20, in: &file)
        put(little(UInt64(fileEnd) - 0x9000, bytes: 4), at: table + 56, in: &file)
        put(little(0x9000, bytes: 4), at: table + 60, in: &file)
        return file
    }

    static func blank(_ bytes: [UInt8], at offset: Int = 0, count: Int = 4096) -> [UInt8] {
        var file = [UInt8](repeating: 0, count: count)
        put(bytes, at: offset, in: &file)
        return file
    }

    static func zboot(_ compression: String, offset: UInt64 = 4096, size: UInt64 = 1000) -> [UInt8] {
        var file = blank([0x4D, 0x5A, 0, 0] + Array("zimg".utf8) + little(offset, bytes: 4) + little(size, bytes: 4))
        put(Array(compression.utf8), at: 24, in: &file)
        // The magic of an Image stands in a zboot file too.
        put(Array("ARMd".utf8), at: 56, in: &file)
        return file
    }
}

private func refusal(_ file: [UInt8], size: UInt64? = nil) -> KernelError? {
    do throws(KernelError) {
        _ = try KernelFormat(prefix: file.span, fileSize: size ?? UInt64(file.count))
        return nil
    } catch {
        return error
    }
}

@Suite struct KernelFormatTests {
    @Test func anImage() throws {
        let file = Sample.image(size: 0x223_0000)
        guard case .image(let header) = try KernelFormat(prefix: file.span, fileSize: 0x10000) else {
            Issue.record("not told to be an Image")
            return
        }
        #expect(header.imageSize == 0x223_0000)
        #expect(header.textOffset == 0)
        #expect(header.fileEnd == 0x10000)
    }

    @Test func anImageWithoutPEHeader() throws {
        var file = Sample.image(textOffset: 0x8_0000)
        Sample.put([0, 0, 0, 0], at: 0, in: &file)
        guard case .image(let header) = try KernelFormat(prefix: file.span, fileSize: 4096) else {
            Issue.record("not told to be an Image")
            return
        }
        #expect(header.textOffset == 0x8_0000)
        #expect(header.fileEnd == nil)
    }

    @Test func aTruncatedImage() {
        #expect(refusal(Sample.image(fileEnd: 0x10000), size: 0xFFFF) == .truncated(present: 0xFFFF, promised: 0x10000))
        #expect(KernelError.truncated(present: 10, promised: 20).why == "it is truncated: 10 of 20 bytes are there")
        #expect(refusal(Array(Sample.image()[..<63])) == .tooShort)
        #expect(refusal(Array(Sample.image()[..<40])) == .tooShort)
        #expect(refusal([0x4D]) == .tooShort)
        #expect(refusal([]) == .empty)
    }

    @Test func everyPrefixOfAnImageIsRefusedOrTold() {
        let file = Sample.image()
        for count in 0..<file.count {
            let error = refusal(Array(file[..<count]))
            // The section table is complete from its end on, and from then on a short file is known to be short.
            if count >= 64 + 24 + 160 + 80 { #expect(error == .truncated(present: UInt64(count), promised: 0x10000)) }
            if count < 64 { #expect(error != nil) }
        }
    }

    @Test func gzip() throws {
        #expect(
            try KernelFormat(prefix: Sample.blank([0x1F, 0x8B]).span, fileSize: 777) == .gzip(offset: 0, count: 777))
    }

    @Test func zboot() throws {
        let file = Sample.zboot("gzip")
        #expect(try KernelFormat(prefix: file.span, fileSize: 6000) == .gzip(offset: 4096, count: 1000))
        #expect(refusal(file, size: 5095) == .truncated(present: 5095, promised: 5096))
        #expect(refusal(Sample.zboot("zstd22"), size: 6000) == .compressed(.zstd))
        #expect(refusal(Sample.zboot("xzkern"), size: 6000) == .compressed(.xz))
        #expect(refusal(Sample.zboot("lzma"), size: 6000) == .compressed(.lzma))
        #expect(refusal(Sample.zboot("lz4"), size: 6000) == .compressed(.lz4))
        #expect(refusal(Sample.zboot("what"), size: 6000) == .notAKernel)
        #expect(
            refusal(Sample.zboot("gzip", offset: 0xFFFF_FFFF, size: 0xFFFF_FFFF), size: 6000)
                == .truncated(present: 6000, promised: 0x1_FFFF_FFFE))
    }

    @Test func otherKernels() {
        var x86 = Sample.blank(Array("HdrS".utf8), at: 0x202)
        #expect(refusal(x86) == .otherArchitecture(.x86))
        Sample.put([0x4D, 0x5A], at: 0, in: &x86)
        #expect(refusal(x86) == .otherArchitecture(.x86))
        #expect(refusal(Sample.blank([0x52, 0x53, 0x43, 0x05], at: 56)) == .otherArchitecture(.riscv))
        #expect(refusal(Sample.blank([0x18, 0x28, 0x6F, 0x01], at: 0x24)) == .otherArchitecture(.arm32))
        #expect(refusal(Sample.blank([0x7F, 0x45, 0x4C, 0x46])) == .elf)
        #expect(KernelError.otherArchitecture(.x86).why == "it is an x86 kernel")
        #expect(
            KernelError.otherArchitecture(.x86).next
                == "give an arm64 Image, such as /boot/vmlinuz of an arm64 distribution")
    }

    @Test func otherCompressions() {
        let samples: [([UInt8], ForeignCompression)] = [
            ([0xFD, 0x37, 0x7A, 0x58, 0x5A], .xz), ([0x28, 0xB5, 0x2F, 0xFD], .zstd),
            ([0x04, 0x22, 0x4D, 0x18], .lz4), ([0x02, 0x21, 0x4C, 0x18], .lz4),
            (Array("BZh9".utf8), .bzip2), ([0x5D, 0, 0, 0x80], .lzma),
        ]
        for (bytes, compression) in samples {
            #expect(refusal(Sample.blank(bytes)) == .compressed(compression))
        }
        #expect(KernelError.compressed(.xz).why == "it is compressed with xz")
        #expect(KernelError.compressed(.xz).next == "unpack it first, for example with `xz -d`")
    }

    @Test func badHeaders() {
        #expect(refusal(Sample.image(flags: 1), size: 0x10000) == .bigEndian)
        #expect(refusal(Sample.image(size: 0), size: 0x10000) == .tooOld)
        #expect(refusal(Sample.image(size: 63), size: 0x10000) == .notAKernel)
        #expect(refusal(Sample.image(size: .max), size: 0x10000) == .notAKernel)
        #expect(refusal(Sample.image(textOffset: 0x20_0000), size: 0x10000) == .notAKernel)
        #expect(refusal(Sample.image(textOffset: 3), size: 0x10000) == .notAKernel)
        #expect(refusal(Sample.blank(Array("#!/bin/sh\n".utf8))) == .notAKernel)
    }

    @Test func noBytesMakeItTrap() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<5000 {
            var file = Sample.image()
            for _ in 0..<4 {
                file[Int.random(in: 0..<400, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = refusal(Array(file[..<Int.random(in: 0...file.count, using: &generator)]))
        }
    }
}
