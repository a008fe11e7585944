// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Which words EL2 has written, and what those of tables translate: so that a test need not look at
// everything after every step.

import Arm
import TableWalker

/// What a word of a live table says something about.
public struct TableWord: Equatable, Sendable {
    /// First frame of the tree's root.
    public let root: UInt64
    /// Whether the tree is EL2's own.
    public let isHypervisors: Bool
    /// The first input page.
    public let input: UInt64
    /// How many input pages.
    public let pages: UInt64
}

extension SimulatedMachine {
    /// Writes of EL2 are logged from here on.
    public func logWrites() { writtenWords = [] }

    /// Gives the physical addresses of words that EL2 wrote since the last time; of a page that it zeroed,
    /// the first. Meanwhile EL2 does nothing.
    public func takeWrites(_ body: (UInt64) -> Void = { _ in }) {
        // The array stays this one's alone, and so keeps its room.
        let count = writtenWords?.count ?? 0
        for index in 0..<count { if let word = writtenWords?[index] { body(word) } }
        writtenWords?.removeAll(keepingCapacity: true)
    }

    /// What a word of memory translates, if it lies in a live table.
    public func tableWord(at address: UInt64) -> TableWord? {
        guard let record = tables[address >> pageShift], record.detachedBy == nil else { return nil }
        let shift = WalkShape.entryShift(record.level)
        return TableWord(
            root: trees[record.tree].shape.root, isHypervisors: trees[record.tree].regime == .hypervisor,
            input: record.input + ((address & 0xFFF) >> 3) << shift, pages: 1 << shift)
    }
}
