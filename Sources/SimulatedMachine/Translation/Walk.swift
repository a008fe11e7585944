// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The walker: from a root and an input page to a leaf, through the words that lie in memory.

import Arm
import TableWalker

/// What a walk found.
enum WalkResult {
    /// The page that the input page maps to, and the level of the leaf.
    case leaf(Reading.Leaf, level: UInt8)
    /// A translation fault at a level.
    case translationFault(level: UInt8)
    /// A leaf whose access flag is clear.
    case accessFlagFault(level: UInt8)
}

extension SimulatedMachine {
    /// What walkers read at a word of a table: not the latest store, but the latest published one.
    @inline(__always)
    func walkerWord(table frame: UInt64, index: UInt64) -> UInt64 {
        if !pending.isEmpty, let store = pending[frame << pageShift | index << 3] { return store.old }
        guard let slot = memory.existingSlot(frame) else { return 0 }
        return memory.word(slot, Int(index))
    }

    /// Walks a tree for one input page.
    func walk(_ tree: Int, _ input: UInt64) -> WalkResult {
        let shape = trees[tree].shape
        guard input >> (shape.inputBits - pageShift) == 0 else {
            return .translationFault(level: 0)
        }
        var level = shape.startLevel
        var frame = shape.root
        // The start level's index may be wider than a table: concatenated roots.
        var index = input >> WalkShape.entryShift(level)
        frame += index >> 9
        var readOnly = false
        var executeNever = false
        while true {
            index &= 511
            switch Reading(walkerWord(table: frame, index: index), level: level, regime: trees[tree].regime) {
            case .fault:
                return .translationFault(level: level)
            case .table(let next, let limits):
                readOnly = readOnly || limits.readOnly
                executeNever = executeNever || limits.executeNever
                level += 1
                frame = next
                index = input >> WalkShape.entryShift(level)
            case .leaf(var leaf):
                guard leaf.accessFlag else { return .accessFlagFault(level: level) }
                leaf.frame += input & ((1 << WalkShape.entryShift(level)) - 1)
                leaf.writable = leaf.writable && !readOnly
                leaf.executable = leaf.executable && !executeNever
                return .leaf(leaf, level: level)
            }
        }
    }
}
