// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Descriptors and geometries against values worked out by hand from the manual.

import Arm
import Testing

@Suite("Descriptors")
struct DescriptorTests {
    @Test("of stage-2 have the bits that the manual gives them")
    func stage2() {
        let memory = Stage2Attributes(.writeBack, .all)
        #expect(Descriptor.leaf(Frame(0x40005), memory).bits(level: .three) == 0x4000_57FF)
        #expect(Descriptor.leaf(Frame(0x40200), memory).bits(level: .two) == 0x4020_07FD)
        let device = Stage2Attributes(.nonCacheable, .data)
        #expect(Descriptor.leaf(Frame(0x9000), device).bits(level: .three) == 0x0040_0000_0900_07D7)
        #expect(Descriptor<Stage2Attributes>.table(Frame(0x40013)).bits(level: .one) == 0x4001_3003)
        #expect(Descriptor<Stage2Attributes>.invalid.bits(level: .three) == 0)
    }

    @Test("of EL2's stage-1 never allow writing and executing together")
    func stage1() {
        #expect(Descriptor.leaf(Frame(1), Stage1Attributes(.code)).bits(level: .three) == 0x17C3)
        #expect(Descriptor.leaf(Frame(1), Stage1Attributes(.readOnly)).bits(level: .three) == 0x40_0000_0000_17C3)
        #expect(Descriptor.leaf(Frame(1), Stage1Attributes(.data)).bits(level: .three) == 0x40_0000_0000_1743)
        for access in [Stage1Attributes.Access.code, .readOnly, .data] {
            let attributes = Stage1Attributes(access)
            #expect(!(attributes.isWritable && attributes.isExecutable))
        }
    }

    @Test("come back from their bits", arguments: Level.allCases)
    func roundTrip(_ level: Level) {
        for type in Stage2Attributes.MemoryType.allCases {
            for access in 0..<8 {
                let attributes = Stage2Attributes(
                    type, .init(readable: access & 1 != 0, writable: access & 2 != 0, executable: access & 4 != 0))
                #expect(attributes.memoryType == type)
                #expect(attributes.access.writable == (access & 2 != 0))
                guard level.allowsLeaf else { continue }
                let leaf = Descriptor.leaf(Frame(0xA_3454_0000), attributes)
                #expect(Descriptor(bits: leaf.bits(level: level), level: level) == leaf)
            }
        }
        guard level != .three else { return }
        let table = Descriptor<Stage2Attributes>.table(Frame(0xF_FFFF_FFFF))
        #expect(Descriptor(bits: table.bits(level: level), level: level) == table)
    }

    @Test("with reserved encodings are invalid")
    func reserved() {
        #expect(Descriptor<Stage2Attributes>(bits: 0x4000_0401, level: .three) == .invalid)
        #expect(Descriptor<Stage2Attributes>(bits: 0x4000_0401, level: .zero) == .invalid)
        #expect(Descriptor<Stage2Attributes>(bits: 0xFFFF_FFFF_FFFF_FFFE, level: .two) == .invalid)
    }
}

@Suite("Translation geometry")
struct GeometryTests {
    @Test(
        "of stage-2 follows the width of physical addresses",
        arguments: [
            (32 as UInt64, Level.one, 1 as UInt64, 32 as UInt64), (36, .one, 1, 36), (40, .one, 2, 40),
            (42, .one, 8, 42),
            (44, .zero, 1, 44), (48, .zero, 1, 48), (52, .zero, 1, 48),
        ])
    func stage2(_ bits: UInt64, _ level: Level, _ pages: UInt64, _ used: UInt64) throws {
        let geometry = try #require(TranslationGeometry.stage2(physicalAddressBits: bits))
        #expect(geometry.inputBits == used && geometry.rootLevel == level && geometry.rootPages == pages)
        #expect(geometry.frames == 1 << (used - 12))
        #expect(geometry.contains(geometry.frames - 1) && !geometry.contains(geometry.frames))
    }

    @Test("refuses fewer than 32 bits")
    func tooNarrow() { #expect(TranslationGeometry.stage2(physicalAddressBits: 31) == nil) }

    @Test("indexes past 511 only at a concatenated root")
    func index() throws {
        let geometry = try #require(TranslationGeometry.stage2(physicalAddressBits: 40))
        let last = geometry.frames - 1
        #expect(geometry.index(of: last, at: .one) == 1023)
        #expect(geometry.index(of: last, at: .two) == 511)
        #expect(geometry.index(of: last, at: .three) == 511)
        #expect(geometry.index(of: 0x40000, at: .one) == 1)
    }

    @Test("makes VTCR_EL2 what the manual asks for")
    func vtcr() throws {
        let narrow = try #require(TranslationGeometry.stage2(physicalAddressBits: 40))
        #expect(Stage2Control.bits(narrow, physicalAddressBits: 40, hasVMID16: false) == 0x8002_3558)
        #expect(Stage2Control.bits(narrow, physicalAddressBits: 44, hasVMID16: false) == 0x8004_3558)
        let wide = try #require(TranslationGeometry.stage2(physicalAddressBits: 48))
        #expect(Stage2Control.bits(wide, physicalAddressBits: 52, hasVMID16: true) == 0x800D_3590)
    }
}

@Suite("Frame ranges")
struct FrameRangeTests {
    @Test("are never empty and never wrap")
    func alleged() {
        #expect(FrameRange<HostPhysical>(alleged: 0, count: 0) == nil)
        #expect(FrameRange<HostPhysical>(alleged: 1 << 40, count: 1) == nil)
        #expect(FrameRange<HostPhysical>(alleged: (1 << 40) - 1, count: 2) == nil)
        #expect(FrameRange<HostPhysical>(alleged: UInt64.max, count: UInt64.max) == nil)
        #expect(FrameRange<HostPhysical>(alleged: 5, count: UInt64.max - 3) == nil)
        #expect(FrameRange<HostPhysical>(alleged: 0, count: 1 << 40)?.end.number == 1 << 40)
    }

    @Test("know what they contain and overlap")
    func relations() throws {
        let range = try #require(FrameRange<HostPhysical>(alleged: 10, count: 5))
        #expect(range.contains(Frame(10)) && range.contains(Frame(14)) && !range.contains(Frame(15)))
        let inner = try #require(FrameRange<HostPhysical>(alleged: 14, count: 1))
        let next = try #require(FrameRange<HostPhysical>(alleged: 15, count: 1))
        #expect(range.contains(inner) && range.overlaps(inner) && !range.overlaps(next) && !range.contains(next))
    }
}
