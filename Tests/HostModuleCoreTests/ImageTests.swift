// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The image header and the relocations: good ones are applied, damaged ones refused.

import HostModuleCore
import Testing

@Suite struct ImageTests {
    /// An image of two pages in the file and three in memory, with one relocation.
    private static var words: [UInt64] {
        var words = [UInt64](repeating: 0, count: 0x2000 / 8)
        words[0] = 0x3254_454c_5452_414d
        words[1] = Limits.perCPUSize << 32 | 1
        words[2] = 0x2000
        words[3] = 0x3000
        words[4] = 0x1000
        words[5] = 0x2000
        words[6] = 0x80
        words[7] = 0x1000
        words[8] = 0x1018
        words[0x200] = 0x2008
        words[0x201] = 1027
        words[0x202] = 0x123
        return words
    }

    private func defect(_ change: (inout [UInt64]) -> Void) -> ImageDefect? {
        var words = Self.words
        change(&words)
        do throws(Refusal) {
            let header = try ImageHeader(checking: words.span)
            var memory = words + [UInt64](repeating: 0, count: Int(header.memorySize) / 8 - words.count)
            var span = memory.mutableSpan
            try header.relocate(&span, base: 0x4000_0000)
            return nil
        } catch {
            if case .image(let defect) = error { return defect }
            Issue.record("\(error)")
            return nil
        }
    }

    @Test func relocationsAreApplied() throws {
        let header = try ImageHeader(checking: Self.words.span)
        #expect(header.enter == 0x80 && header.memorySize == 0x3000 && header.fileSize == 0x2000)
        var memory = Self.words + [UInt64](repeating: 0, count: 0x1000 / 8)
        var span = memory.mutableSpan
        try header.relocate(&span, base: 0x8000_0000)
        #expect(memory[0x2008 / 8] == 0x8000_0123)
        var expected = Self.words + [UInt64](repeating: 0, count: 0x1000 / 8)
        expected[0x2008 / 8] = 0x8000_0123
        #expect(memory == expected)
    }

    @Test func damagedImagesAreRefused() {
        #expect(defect { _ in } == nil)
        #expect(defect { $0 = Array($0.prefix(9)) } == .size)
        #expect(defect { $0 += [UInt64](repeating: 0, count: 1 << 18) } == .size)
        #expect(defect { $0[0] ^= 1 } == .magic)
        #expect(defect { $0[1] += 1 } == .protocol)
        #expect(defect { $0[1] += 1 << 32 } == .perCPUSize)
        #expect(defect { $0[2] += 8 } == .fileSize)
        #expect(defect { $0.removeLast() } == .fileSize)
        for size: UInt64 in [0x1000, 0x3001, 0x40_1000, .max] { #expect(defect { $0[3] = size } == .memorySize) }
        for end: UInt64 in [0, 0x1001, 0x3000, .max] { #expect(defect { $0[4] = end } == .segments) }
        for end: UInt64 in [0, 0x2001, 0x4000, .max] { #expect(defect { $0[5] = end } == .segments) }
        for entry: UInt64 in [0, 0x82, 0x1000, .max] { #expect(defect { $0[6] = entry } == .entry) }
        #expect(defect { $0[7] = 0x1004 } == .relocationTable)
        #expect(defect { $0[7] = 0x1020 } == .relocationTable)
        #expect(defect { $0[8] = 0x1019 } == .relocationTable)
        #expect(defect { $0[8] = .max } == .relocationTable)
    }

    @Test func badRelocationsAreRefused() {
        #expect(defect { $0[0x201] = 1025 } == .relocation)
        #expect(defect { $0[0x201] = 1027 | 1 << 32 } == .relocation)
        for offset: UInt64 in [0x2004, 0x3000, .max & ~7, 0x1008] {
            #expect(defect { $0[0x200] = offset } == .relocation)
        }
        for addend: UInt64 in [0x3001, .max] { #expect(defect { $0[0x202] = addend } == .relocation) }
    }
}
