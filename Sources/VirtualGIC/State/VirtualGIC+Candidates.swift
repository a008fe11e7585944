// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The interrupts that a vCPU has to think about, as a bitmap in its block.

extension VirtualGIC {
    mutating func insertCandidate(_ intid: Int, of vcpu: VCPUIndex) {
        guard shape.has(vcpu) else { return }
        let block = shape.block(vcpu)
        let index = intid &>> 6 & (GICShape.candidateWords &- 1)
        store[block &+ GICShape.candidateWord &+ index] |= 1 &<< UInt64(truncatingIfNeeded: intid & 63)
        store[block &+ GICShape.summaryWord] |= 1 &<< UInt64(truncatingIfNeeded: index)
    }

    mutating func removeCandidate(_ intid: Int, of vcpu: VCPUIndex) {
        guard shape.has(vcpu) else { return }
        let block = shape.block(vcpu)
        let index = intid &>> 6 & (GICShape.candidateWords &- 1)
        let word = block &+ GICShape.candidateWord &+ index
        store[word] &= ~(1 &<< UInt64(truncatingIfNeeded: intid & 63))
        if store[word] == 0 {
            store[block &+ GICShape.summaryWord] &= ~(1 &<< UInt64(truncatingIfNeeded: index))
        }
    }

    /// The first candidate whose INTID is at least `intid`, in ascending order; nil if there is none.
    func candidate(of vcpu: VCPUIndex, from intid: Int) -> InterruptPlace? {
        guard shape.has(vcpu), intid < 1024 else { return nil }
        let block = shape.block(vcpu)
        var index = intid &>> 6
        var word =
            store[block &+ GICShape.candidateWord &+ index] & (~0 &<< UInt64(truncatingIfNeeded: intid & 63))
        if word == 0 {
            // Shifted in two steps: all bits up to `index`, which is at most 15.
            let later = (store[block &+ GICShape.summaryWord] &>> UInt64(truncatingIfNeeded: index)) &>> 1
            guard later != 0 else { return nil }
            index &+= 1 &+ later.trailingZeroBitCount
            guard index < GICShape.candidateWords else { return nil }
            word = store[block &+ GICShape.candidateWord &+ index]
            guard word != 0 else { return nil }
        }
        return shape.place(of: index &<< 6 | word.trailingZeroBitCount, seenBy: vcpu)
    }

    /// Whether a vCPU has any candidate, without which list registers have nothing to tell.
    func hasCandidates(_ vcpu: VCPUIndex) -> Bool {
        shape.has(vcpu) && store[shape.block(vcpu) &+ GICShape.summaryWord] != 0
    }
}
