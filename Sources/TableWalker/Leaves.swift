// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Going through a tree of tables as a walker would, leaf by leaf, wherever its words lie.

/// Where a walker reads tables.
public protocol TableMemory {
    /// What finds the words of one table.
    associatedtype Table
    /// The table in a frame; nil where there is no memory.
    func table(_ frame: UInt64) -> Table?
    /// One of its 512 words, as a walker reads it.
    func word(_ table: Table, _ index: Int) -> UInt64
}

extension TableMemory {
    /// The leaves of a tree that reach into some input pages, in ascending order.
    ///
    /// - Parameters:
    ///   - foundTable: hears of each table's frame before its leaves.
    ///   - body: takes the leaf's first input page, the leaf and its level; false ends the walk.
    /// - Returns: false if `body` ended the walk.
    @inlinable
    @discardableResult
    public func forEachLeaf(
        of shape: WalkShape, _ regime: Regime, in pages: Range<UInt64>, foundTable: (UInt64) -> Void = { _ in },
        _ body: (UInt64, Reading.Leaf, UInt8) -> Bool
    ) -> Bool {
        let shift = WalkShape.entryShift(shape.startLevel) + 9
        for page in 0..<shape.rootPages where page << shift < pages.upperBound && (page + 1) << shift > pages.lowerBound
        {
            guard visit(shape.root + page, shape.startLevel, page << shift, regime, pages, foundTable, body) else {
                return false
            }
        }
        return true
    }

    @usableFromInline
    func visit(
        _ frame: UInt64, _ level: UInt8, _ input: UInt64, _ regime: Regime, _ pages: Range<UInt64>,
        _ foundTable: (UInt64) -> Void, _ body: (UInt64, Reading.Leaf, UInt8) -> Bool
    ) -> Bool {
        guard let table = table(frame) else { return true }
        foundTable(frame)
        let shift = WalkShape.entryShift(level)
        let from = pages.lowerBound > input ? min(512, (pages.lowerBound - input) >> shift) : 0
        let to = min(512, (pages.upperBound - input + (1 << shift) - 1) >> shift)
        var index = from
        while index < to {
            let first = input + index << shift
            let bits = word(table, Int(truncatingIfNeeded: index))
            index += 1
            guard bits & 1 == 1 else { continue }
            switch Reading(bits, level: level, regime: regime) {
            case .fault: break
            case .table(let next, _):
                guard visit(next, level + 1, first, regime, pages, foundTable, body) else { return false }
            case .leaf(let leaf):
                guard !leaf.accessFlag || body(first, leaf, level) else { return false }
            }
        }
        return true
    }
}
