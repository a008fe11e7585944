// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Vector registers of the simulated machine. Moving them at a length leaves whatever is above that
// length as it is, the most that the architecture lets a register remember, except that writing
// v0…v31 clears what is above them. A shorter length may clear it too, if the machine is told so.

public import Arm

/// One CPU's vector registers, at the longest length that there can be.
public struct VectorRegisters: Equatable, Sendable {
    /// FPCR and FPSR.
    public var control: [UInt64]
    /// `z0`…`z31`: 32 words each.
    public var vectors: [[UInt64]]
    /// `p0`…`p15` and FFR: 16 halfwords each.
    public var predicates: [[UInt16]]

    /// What becomes of the parts of registers that a shorter length puts out of reach: the architecture
    /// allows either.
    public enum Shortening: CaseIterable, Sendable {
        /// They are found again behind a longer length.
        case keeps
        /// They are zero then.
        case clears
    }

    /// All bits of every register from one pattern.
    public init(_ pattern: UInt64 = 0) {
        control = [pattern, pattern]
        vectors = Array(repeating: Array(repeating: pattern, count: 32), count: 32)
        predicates = Array(repeating: Array(repeating: UInt16(truncatingIfNeeded: pattern), count: 16), count: 17)
    }

    /// What instructions see with vectors of so many quadwords.
    public func visible(_ quadwords: Int) -> VectorRegisters {
        var seen = self
        for index in vectors.indices { seen.vectors[index] = Array(vectors[index].prefix(2 * quadwords)) }
        for index in predicates.indices { seen.predicates[index] = Array(predicates[index].prefix(quadwords)) }
        return seen
    }

    /// The words of an area behind its first 64 bytes, with registers of so many quadwords.
    func packed(_ quadwords: Int) -> [UInt64] {
        var words = vectors.flatMap { $0.prefix(2 * quadwords) }
        let halves = predicates.flatMap { $0.prefix(quadwords) }
        for first in stride(from: 0, to: halves.count, by: 4) {
            let word = halves[first..<min(first + 4, halves.count)].enumerated().reduce(0 as UInt64) {
                $0 | UInt64($1.element) << UInt64(16 * $1.offset)
            }
            words.append(word)
        }
        return words
    }

    /// How many words `packed` has.
    static func words(_ quadwords: Int) -> Int { 64 * quadwords + (17 * quadwords + 3) / 4 }

    /// Takes registers of so many quadwords.
    mutating func unpack(_ words: [UInt64], _ quadwords: Int) {
        for index in 0..<32 * 2 * quadwords {
            vectors[index / (2 * quadwords)][index % (2 * quadwords)] = words[index]
        }
        for index in 0..<17 * quadwords {
            let word = words[64 * quadwords + index / 4] >> UInt64(16 * (index % 4))
            predicates[index / quadwords][index % quadwords] = UInt16(truncatingIfNeeded: word)
        }
    }
}

extension SimulatedMachine {
    /// Quadwords of a vector with a value of ZCR_EL2: what it asks for, or the next shorter length.
    func quadwords(_ cpu: Int, _ control: UInt64) -> Int {
        let lengths = configuration.vectorLengths
        let own = lengths[min(cpu, lengths.count - 1)]
        return 64 - (own & (2 << (control & 0xF) - 1)).leadingZeroBitCount
    }

    /// ZCR_EL2 has changed.
    func changeVectorLength(_ cpu: Int, from old: UInt64, to new: UInt64) {
        let length = quadwords(cpu, new)
        guard configuration.shorterVectors == .clears, length < quadwords(cpu, old) else { return }
        var cleared = VectorRegisters()
        cleared.control = vectors[cpu].control
        cleared.unpack(vectors[cpu].packed(length), length)
        vectors[cpu] = cleared
    }
}

extension SimulatedCPU {
    private var quadwords: Int { machine.quadwords(index, read(.zcrEL2)) }

    private enum Kind: UInt64 {
        /// CPTR_EL2.TFP.
        case simd = 0x400
        /// The same, and CPTR_EL2.TZ.
        case scalable = 0x500
    }

    /// A trap at EL2 would be a panic.
    private func use(_ kind: Kind) {
        if read(.cptrEL2) & kind.rawValue != 0 {
            machine.report(.undefinedRegister, cpu: index, "EL2 uses vector registers that CPTR_EL2 traps")
        }
    }

    /// Bytes of a vector.
    public func scalableVectorBytes() -> UInt64 {
        use(.scalable)
        return UInt64(quadwords * 16)
    }

    /// Stores `v0`…`v31`.
    public func saveVectors(to area: Address<HypervisorVirtual>) {
        use(.simd)
        saveControl(area)
        for (word, value) in machine.vectors[index].vectors.flatMap({ $0.prefix(2) }).enumerated() {
            store64(area.advanced(by: 64 + UInt64(word) * 8), value)
        }
    }

    /// Loads them.
    public func restoreVectors(from area: Address<HypervisorVirtual>) {
        use(.simd)
        restoreControl(area)
        for register in 0..<32 {
            let at = area.advanced(by: 64 + UInt64(register) * 16)
            machine.vectors[index].vectors[register] =
                [load64(at), load64(at.advanced(by: 8))] + Array(repeating: 0, count: 30)
        }
    }

    /// Stores scalable registers.
    public func saveScalableVectors(to area: Address<HypervisorVirtual>) {
        use(.scalable)
        saveControl(area)
        for (word, value) in machine.vectors[index].packed(quadwords).enumerated() {
            store64(area.advanced(by: 64 + UInt64(word) * 8), value)
        }
    }

    /// Loads them.
    public func restoreScalableVectors(from area: Address<HypervisorVirtual>) {
        use(.scalable)
        restoreControl(area)
        let words = (0..<VectorRegisters.words(quadwords)).map { load64(area.advanced(by: 64 + UInt64($0) * 8)) }
        machine.vectors[index].unpack(words, quadwords)
    }

    private func saveControl(_ area: Address<HypervisorVirtual>) {
        for word in 0..<2 { store64(area.advanced(by: UInt64(word) * 8), machine.vectors[index].control[word]) }
    }

    private func restoreControl(_ area: Address<HypervisorVirtual>) {
        for word in 0..<2 { machine.vectors[index].control[word] = load64(area.advanced(by: UInt64(word) * 8)) }
    }
}
