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
    /// The address of the entry of level 2 for an input page; nil if there is no table that it could be in.
    func branchEntry(of page: UInt64, on processor: some Processor) -> Address<HypervisorVirtual>? {
        guard geometry.contains(page) else { return nil }
        var table = root
        var level = geometry.rootLevel
        while level < .two {
            let bits = processor.load64(entry(table, level, for: page))
            guard case .table(let child) = Descriptor<Attributes>(bits: bits, level: level), let below = level.next
            else { return nil }
            table = child
            level = below
        }
        return entry(table, level, for: page)
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
                return .nothing(until: (page & ~(level.entryPages &- 1)) &+ level.entryPages)
            }
        }
        return .nothing(until: page &+ 1)
    }

    /// Takes what is below the entry of level 2 out of the tree. No CPU can use it any more, nor the table
    /// that was there, when the call returns.
    func cutBranch(of page: UInt64, on processor: some Processor) {
        guard let at = branchEntry(of: page, on: processor) else { return }
        processor.store64(at, 0)
        invalidateAll(on: processor)
    }

    /// Takes the tables out of the tree that only have entries for pages before `page`, of which none is valid any
    /// more, and hands them to `frames`.
    mutating func prune<Frames: FrameSource & ~Copyable>(
        before page: UInt64, tablesTo frames: inout Frames, on processor: some Processor
    ) {
        guard page > 0, geometry.contains(page &- 1) else { return }
        var table = root
        var level = geometry.rootLevel
        while level < .two, let below = level.next {
            let at = entry(table, level, for: page &- 1)
            guard case .table(let child) = Descriptor<Attributes>(bits: processor.load64(at), level: level)
            else { return }
            if page & (level.entryPages &- 1) == 0 {
                processor.store64(at, 0)
                invalidateAll(on: processor)
                free(child, level, &frames, processor)
                return
            }
            table = child
            level = below
        }
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
