// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The physical map: rounding, order, merging, and precedence where kinds overlap.

import HostModuleCore
import Testing

@Suite struct RangeListTests {
    private func list(
        _ ranges: [PhysicalRange], capacity: Int = 128
    ) throws(Refusal) -> [PhysicalRange] {
        var storage = [PhysicalRange](
            repeating: PhysicalRange(base: 0, end: 0, kind: .ram), count: capacity)
        var list = RangeList(storage: storage.mutableSpan)
        for range in ranges { try list.insert(range) }
        return (0..<list.count).map { list[$0] }
    }

    private func range(_ base: UInt64, _ end: UInt64, _ kind: RangeKind) -> PhysicalRange {
        PhysicalRange(base: base << 12, end: end << 12, kind: kind)
    }

    @Test func ramIsRoundedInwardsAndTheRestOutwards() {
        #expect(
            PhysicalRange(rounding: 0x1800, through: 0x47FF, kind: .ram)
                == PhysicalRange(base: 0x2000, end: 0x4000, kind: .ram))
        #expect(
            PhysicalRange(rounding: 0x1800, through: 0x47FF, kind: .firmware)
                == PhysicalRange(base: 0x1000, end: 0x5000, kind: .firmware))
        #expect(PhysicalRange(rounding: 0x1800, through: 0x27FF, kind: .ram) == nil)
        #expect(
            PhysicalRange(rounding: 0x1FFF, through: 0x1FFF, kind: .deny)
                == PhysicalRange(base: 0x1000, end: 0x2000, kind: .deny))
    }

    @Test(arguments: RangeKind.allCases) func nonsenseHasNoRange(kind: RangeKind) {
        #expect(PhysicalRange(rounding: 0x2000, through: 0x1000, kind: kind) == nil)
        #expect(PhysicalRange(rounding: 0, through: .max, kind: kind) == nil)
        #expect(PhysicalRange(rounding: 1 << 52, through: 1 << 52, kind: kind) == nil)
    }

    @Test func neighboursMergeAndOrderIsKept() throws {
        #expect(
            try list([range(8, 9, .ram), range(1, 2, .ram), range(2, 3, .ram), range(3, 4, .firmware)])
                == [range(1, 3, .ram), range(3, 4, .firmware), range(8, 9, .ram)])
    }

    @Test func theStricterKindWins() throws {
        let expected = [range(0, 4, .ram), range(4, 6, .firmware), range(6, 10, .ram)]
        #expect(try list([range(0, 10, .ram), range(4, 6, .firmware)]) == expected)
        #expect(try list([range(4, 6, .firmware), range(0, 10, .ram)]) == expected)
        #expect(
            try list([range(0, 4, .ram), range(6, 8, .firmware), range(2, 7, .deny)])
                == [range(0, 2, .ram), range(2, 7, .deny), range(7, 8, .firmware)])
    }

    @Test func aFullListIsRefused() {
        #expect(throws: Refusal.tooManyRanges) {
            try list((0..<4).map { range(2 * $0, 2 * $0 + 1, .ram) }, capacity: 3)
        }
    }

    @Test func ledgerCountsMemoryOnly() throws {
        var storage = [PhysicalRange](repeating: range(0, 0, .ram), count: 8)
        var list = RangeList(storage: storage.mutableSpan)
        for new in [range(0, 10, .ram), range(10, 13, .firmware), range(20, 30, .deny)] { try list.insert(new) }
        #expect(list.ledgerPages == 13)
    }

    /// Random insertions against a page-by-page map.
    @Test func agreesWithAMapOfPages() throws {
        let seed = UInt64.random(in: 0...(.max))
        var state = seed
        func next(_ bound: UInt64) -> UInt64 {
            // xorshift64*, enough for a test and the same everywhere.
            state ^= state >> 12
            state ^= state << 25
            state ^= state >> 27
            return (state &* 0x2545_F491_4F6C_DD1D) >> 33 % bound
        }
        state |= 1
        for _ in 0..<300 {
            var map = [RangeKind?](repeating: nil, count: 64)
            var inserted: [PhysicalRange] = []
            for _ in 0..<next(12) {
                let base = next(60)
                let end = base + 1 + next(64 - base - 1)
                let kind = RangeKind.allCases[Int(next(3))]
                inserted.append(range(base, end, kind))
                for page in base..<end {
                    let old = map[Int(page)]
                    if old == nil || old!.rawValue < kind.rawValue { map[Int(page)] = kind }
                }
            }
            let result = try list(inserted)
            var covered = [RangeKind?](repeating: nil, count: 64)
            for (index, piece) in result.enumerated() {
                #expect(piece.base < piece.end, "seed \(seed)")
                if index > 0 {
                    let before = result[index - 1]
                    #expect(before.end <= piece.base, "seed \(seed)")
                    #expect(before.end < piece.base || before.kind != piece.kind, "seed \(seed)")
                }
                for page in (piece.base >> 12)..<(piece.end >> 12) { covered[Int(page)] = piece.kind }
            }
            #expect(covered == map, "seed \(seed): \(inserted)")
        }
    }
}

@Suite struct ResourceTests {
    @Test func onlyTopLevelReservedIsFirmware() {
        #expect(ResourceClass(hasSystemRAMFlag: 1, isNamedReserved: 0, depth: 0).rangeKind == .ram)
        #expect(ResourceClass(hasSystemRAMFlag: 1, isNamedReserved: 0, depth: 2).rangeKind == .ram)
        #expect(ResourceClass(hasSystemRAMFlag: 0, isNamedReserved: 1, depth: 0).rangeKind == .firmware)
        #expect(ResourceClass(hasSystemRAMFlag: 0, isNamedReserved: 1, depth: 1).rangeKind == nil)
        #expect(ResourceClass(hasSystemRAMFlag: 0, isNamedReserved: 0, depth: 0).rangeKind == nil)
    }

    @Test(arguments: [
        ("arm,coresight-etm4x", true), ("arm,coresight-cpu-debug", true), ("arm,coresight-cti", true),
        ("arm,coresight-", true), ("arm,coresight", false), ("arm,primecell", false), ("", false),
        ("xarm,coresight-etm4x", false),
    ])
    func deniedDevices(compatible: String, isDenied: Bool) {
        let bytes = Array(compatible.utf8)
        #expect(DeniedDevice.matches(compatible: bytes.span) == isDenied)
    }
}
