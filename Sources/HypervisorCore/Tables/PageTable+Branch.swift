// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Two MiB at a time: what is below one entry of level 2, and cutting it off as a whole.

import Arm
import Machine

/// What a tree has below the entry of level 2 for an input page.
enum Branch: Equatable {
    /// Nothing is mapped, nor is anything up to this page.
    case nothing(until: UInt64)
    /// A block of 2 MiB.
    case block(Frame<HostPhysical>)
    /// A table of pages.
    case table(Frame<HostPhysical>)
}

extension PageTable {
    /// The address of the entry of a level for an input page; nil if there is no table that it could be in.
    func entry(of page: UInt64, at last: Level, on processor: some Processor) -> Address<HypervisorVirtual>? {
        guard geometry.contains(page) else { return nil }
        var at = entry(root, geometry.rootLevel, for: page)
        var shift = geometry.rootLevel.entryShift &- pageShift
        let lastShift = last.entryShift &- pageShift
        while shift > lastShift {
            guard let child = Descriptor<Attributes>.table(behind: processor.load64(at)) else { return nil }
            shift &-= entriesShift
            let index = page &>> shift & (entriesPerTable &- 1)
            at = HypervisorAddressSpace.identity(child.address).advanced(by: index &* 8)
        }
        return at
    }

    /// What is below the entry of level 2 for an input page. The tree has no larger leaves than 2 MiB.
    func branch(of page: UInt64, on processor: some Processor) -> Branch {
        var table = root
        var level = geometry.rootLevel
        while geometry.contains(page) {
            let bits = processor.load64(entry(table, level, for: page))
            switch Descriptor<Attributes>(bits: bits, level: level) {
            case .table(let child):
                guard let below = level.next, level < .two else { return .table(child) }
                table = child
                level = below
            case .leaf(let output, _):
                return .block(output)
            case .invalid:
                return .nothing(until: nextEntry(behind: page, in: table, level, on: processor))
            }
        }
        return .nothing(until: page &+ 1)
    }

    /// The first page behind the entry for `page` that has an entry in the same table, or else the first page behind
    /// all that the table is for.
    private func nextEntry(
        behind page: UInt64, in table: Frame<HostPhysical>, _ level: Level, on processor: some Processor
    ) -> UInt64 {
        let rootEntries = geometry.frames &>> (level.entryShift &- pageShift)
        let entries = level == geometry.rootLevel ? rootEntries : entriesPerTable
        var at = entry(table, level, for: page).advanced(by: 8)
        var next = (page & ~(level.entryPages &- 1)) &+ level.entryPages
        // A root of concatenated tables is consecutive, too.
        var index = geometry.index(of: page, at: level) &+ 1
        while index < entries, processor.load64(at) == 0 {
            at = at.advanced(by: 8)
            next &+= level.entryPages
            index &+= 1
        }
        return next
    }

    /// Takes what is below the entry of level 2 out of the tree. No CPU can use it any more, nor the table
    /// that was there, when the call returns.
    func cutBranch(of page: UInt64, on processor: some Processor) {
        guard let at = entry(of: page, at: .two, on: processor) else { return }
        processor.store64(at, 0)
        invalidateAll(on: processor)
    }

    /// Takes the tables out of the tree that only have entries for pages before `page`, of which none is valid any
    /// more, and hands them to `frames`.
    mutating func prune<Frames: FrameSource & ~Copyable>(
        before page: UInt64, tablesTo frames: inout Frames, on processor: some Processor
    ) {
        prune(.one, before: page, &frames, processor)
        prune(.zero, before: page, &frames, processor)
    }

    private mutating func prune<Frames: FrameSource & ~Copyable, P: Processor>(
        _ level: Level, before page: UInt64, _ frames: inout Frames, _ processor: P
    ) {
        guard level >= geometry.rootLevel, page & (level.entryPages &- 1) == 0,
            let at = entry(of: page &- 1, at: level, on: processor),
            case .table(let child) = Descriptor<Attributes>(bits: processor.load64(at), level: level)
        else { return }
        processor.store64(at, 0)
        invalidateAll(on: processor)
        frames.returnTable(child, on: processor)
    }

    /// The frame that an entry of a table of pages maps; nil if it maps nothing.
    static func frame(
        at index: UInt64, of table: Frame<HostPhysical>, on processor: some Processor
    ) -> Frame<HostPhysical>? {
        let bits = processor.load64(HypervisorAddressSpace.identity(table.address).advanced(by: index &* 8))
        guard case .leaf(let frame, _) = Descriptor<Attributes>(bits: bits, level: .three) else { return nil }
        return frame
    }

    /// The first run of consecutive frames that a table of pages maps from `index` on, as the index of its first
    /// entry and its frames; nil if there are no more.
    static func run(
        from index: UInt64, of table: Frame<HostPhysical>, on processor: some Processor
    ) -> (index: UInt64, frames: FrameRange<HostPhysical>)? {
        var first = index
        while first < entriesPerTable {
            if let frame = frame(at: first, of: table, on: processor) {
                var count: UInt64 = 1
                while first &+ count < entriesPerTable,
                    self.frame(at: first &+ count, of: table, on: processor) == frame.advanced(by: count)
                {
                    count &+= 1
                }
                return (first, FrameRange(frame, pages: count))
            }
            first &+= 1
        }
        return nil
    }
}
