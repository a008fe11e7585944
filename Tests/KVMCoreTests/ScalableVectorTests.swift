// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Scalable vectors as a process chooses and reads them.

import HypervisorInterface
import KVMCore
import Testing

@Suite struct ScalableVectorTests {
    private let all = VectorLengths(bits: 0x808B)

    private func words(_ first: UInt64, _ last: UInt64 = 0) -> InlineArray<8, UInt64> {
        var words = InlineArray<8, UInt64>(repeating: 0)
        words[0] = first
        words[7] = last
        return words
    }

    @Test func lengths() {
        #expect(all.longest == 16 && VectorLengths.none.longest == 0)
        #expect([0, 1, 2, 3, 4, 8, 16, 17, .max].filter(all.contains) == [1, 2, 4, 8, 16])
        #expect(all.upTo(4).bits == 0xB && all.upTo(3).bits == 3 && all.upTo(16) == all)
        #expect(VectorLengths(bits: .max).bits == 0xFFFF)
        #expect(all.virtualisable(with: all) == all)
        #expect(all.virtualisable(with: VectorLengths(bits: 0x8F)) == VectorLengths(bits: 3))
        #expect(all.virtualisable(with: .none) == .none)
    }

    @Test func aMachineOffersThemOrNot() throws {
        func limits(_ lengths: VectorLengths) -> MachineLimits {
            MachineLimits(physicalBits: 48, hostCPUs: 1, vcpus: 1, vectorLengths: lengths)
        }
        for asked in [MachineLimits.Answerer.system, .normalVM, .protectedVM] {
            #expect(limits(all).answer(to: 170, of: asked) == 1)
            #expect(limits(.none).answer(to: 170, of: asked) == 0)
        }
        let argument: InlineArray<4, UInt64> = [5 | 0x14 << 32, 0, 0, 0]
        #expect(try VCPUInitArgument(argument, vectors: all).features == [.psci, .scalableVectors])
        #expect(throws: LinuxError.invalid) { try VCPUInitArgument(argument, vectors: .none) }
        // PMU and pointer authentication are still refused.
        #expect(throws: LinuxError.invalid) { try VCPUInitArgument([5 | 0x1C << 32, 0, 0, 0], vectors: all) }
    }

    @Test func aVCPUWithoutThem() throws {
        var vectors = ScalableVectors([.psci], all: all)
        #expect(vectors == .absent)
        try vectors.checkFixed()
        #expect(throws: LinuxError.invalid) { try vectors.finalised(4) }
        #expect(throws: LinuxError.noEntry) { try vectors.lengths() }
        #expect(throws: LinuxError.noEntry) { try vectors.length() }
        #expect(throws: LinuxError.noEntry) { try vectors.choose(words(1), all: all) }
    }

    @Test func choosingAndFixing() throws {
        var vectors = ScalableVectors([.psci, .scalableVectors], all: all)
        #expect(throws: LinuxError.notPermitted) { try vectors.checkFixed() }
        #expect(throws: LinuxError.notPermitted) { try vectors.length() }
        #expect(try vectors.lengths() == all)
        // None, one that is missing below, one that there is not, and beyond 2048 bits.
        for wrong: UInt64 in [0, 2, 9, 0xF, 0x7, 0x1_008B] {
            #expect(throws: LinuxError.invalid) { try vectors.choose(words(wrong), all: all) }
        }
        #expect(throws: LinuxError.invalid) { try vectors.choose(words(3, 1), all: all) }
        try vectors.choose(words(1), all: all)
        try vectors.choose(words(0xB), all: all)
        #expect(try vectors.lengths().bits == 0xB)
        for other: UInt32 in [0, 3, 5, .max] {
            #expect(throws: LinuxError.invalid) { try vectors.finalised(other) }
        }
        #expect(try vectors.finalised(ScalableVectors.feature).longest == 4)
        vectors = .fixed(try vectors.finalised(4))
        try vectors.checkFixed()
        #expect(try vectors.length() == 4)
        #expect(throws: LinuxError.notPermitted) { try vectors.finalised(4) }
        #expect(throws: LinuxError.notPermitted) { try vectors.choose(words(1), all: all) }
        #expect(try vectors.lengths().bits == 0xB)
    }

    @Test(arguments: [1, 2, 4, 16] as [UInt64])
    func registersHaveTheirPlaces(length: UInt64) throws {
        // EL2's area: the registers without gaps, each byte telling where it is.
        let bytes = Int(VCPURegister.scalableDoublewords(length)) * 8
        var area = (0..<bytes).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }
        func load(_ word: UInt64) -> UInt64 {
            (0..<8).reduce(0) { $0 | UInt64(area[Int(word) * 8 + $1]) << UInt64($1 * 8) }
        }
        func store(_ word: UInt64, _ value: UInt64) {
            for byte in 0..<8 { area[Int(word) * 8 + byte] = UInt8(truncatingIfNeeded: value >> UInt64(byte * 8)) }
        }
        func read(_ register: ScalableRegister) throws -> [UInt8] {
            try (0..<register.words).flatMap { index in
                let word = try register.word(index, length: length, load: load)
                return (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64($0 * 8)) }
            }
        }
        let vectorBytes = Int(length) * 16, predicateBytes = Int(length) * 2
        let registers =
            (0..<32).map { (ScalableRegister.vector($0), Int($0) * vectorBytes, vectorBytes) }
            + (0...16).map { (.predicate($0), 32 * vectorBytes + Int($0) * predicateBytes, predicateBytes) }
        for (register, start, count) in registers {
            let seen = try read(register)
            #expect(Array(seen.prefix(count)) == Array(area[start..<start + count]))
            #expect(seen.dropFirst(count).allSatisfy { $0 == 0 })
            // Writing changes this register and nothing beside it.
            let before = area
            for index in 0..<register.words {
                try register.setWord(index, 0x5A5A_5A5A_5A5A_5A5A, length: length, load: load, store: store)
            }
            #expect(area[start..<start + count].allSatisfy { $0 == 0x5A })
            area.replaceSubrange(start..<start + count, with: before[start..<start + count])
            #expect(area == before)
        }
    }
}
