// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Changing what a range translates to.

import Arm
import HypervisorInterface
public import Machine

extension PageTable {
    /// Makes `range` translate as `mapping` says, with the largest leaves it allows, and returns
    /// when no CPU can use what was there before.
    ///
    /// A block that is only partly in the range is split; a table whose entries have become one
    /// block, or all invalid, is put together again. Tables come from `frames`.
    /// - Parameter range: input pages, inside the geometry.
    /// - Parameter emptied: what becomes of a table in which the change leaves nothing, unless an entry above it is
    ///   replaced as a whole.
    public mutating func assign<Frames: FrameSource & ~Copyable>(
        _ range: InputRange, _ mapping: Mapping<Attributes>, emptied: EmptiedTables = .freed,
        tablesFrom frames: inout Frames, on processor: some Processor
    ) throws(TableError) {
        let count = range.end &- range.first
        if count == 1, assignPage(range.first, mapping, emptied, on: processor) { return }
        if count == Level.two.entryPages, assignBlock(range.first, mapping, emptied, on: processor) { return }
        var stale = StaleEntries()
        // Whatever was broken is invalidated even when a table page is missing half-way.
        defer { finish(stale, on: processor) }
        try assign(
            range, mapping.shifted(to: range.first), emptied, in: root, geometry.rootLevel,
            &stale, &frames, processor)
    }

    private mutating func assign<Frames: FrameSource & ~Copyable, P: Processor>(
        _ range: InputRange, _ mapping: Mapping<Attributes>.From, _ emptied: EmptiedTables,
        in table: Frame<HostPhysical>, _ level: Level, _ stale: inout StaleEntries, _ frames: inout Frames,
        _ processor: P
    ) throws(TableError) {
        if level == .three {
            assignPages(range, mapping, in: table, &stale, processor)
            return
        }
        var page = range.first
        while page < range.end {
            let start = page & ~(level.entryPages &- 1)
            let next = start &+ level.entryPages
            let end = next < range.end ? next : range.end
            let at = entry(table, level, for: page)
            let old = Descriptor<Attributes>(bits: processor.load64(at), level: level)
            let coversEntry = page == start && end == next
            if coversEntry, let new = mapping.descriptor(for: start, at: level) {
                replace(old, by: new, at, level, start, &stale, &frames, processor)
            } else if let below = level.next, !mapping.agrees(with: old, at: level, start: start) {
                let child = try descend(old, at, level, start, &stale, &frames, processor)
                try assign(
                    InputRange(first: page, end: end), mapping, emptied, in: child, below, &stale, &frames, processor)
                collapse(child, at, level, changed: page, emptied, &stale, &frames, processor)
            }
            page = end
        }
    }

    /// The entries of one table of pages.
    private func assignPages<P: Processor>(
        _ range: InputRange, _ mapping: Mapping<Attributes>.From, in table: Frame<HostPhysical>,
        _ stale: inout StaleEntries, _ processor: P
    ) {
        guard let first = mapping.descriptor(for: range.first, at: .three) else { return }
        var new = first.bits(level: .three)
        let distance = new == 0 ? 0 : pageSize
        var at = entry(table, .three, for: range.first)
        var page = range.first
        while page < range.end {
            let old = processor.load64(at)
            if old != new {
                if old & 1 == 1 {
                    if new == 0 {
                        // Invalidated together with the range's other entries, before the call returns.
                        stale.insert(page)
                        processor.store64(at, 0)
                    } else {
                        breakEntry(at, at: page, on: processor)
                    }
                }
                if new != 0 {
                    processor.store64(at, new)
                    stale.hasNewEntries = true
                }
            }
            new &+= distance
            at = at.advanced(by: 8)
            page &+= 1
        }
    }

    /// The table below an entry, made if there is none.
    private mutating func descend<Frames: FrameSource & ~Copyable, P: Processor>(
        _ old: Descriptor<Attributes>, _ at: Address<HypervisorVirtual>, _ level: Level, _ start: UInt64,
        _ stale: inout StaleEntries, _ frames: inout Frames, _ processor: P
    ) throws(TableError) -> Frame<HostPhysical> {
        if case .table(let child) = old { return child }
        guard let child = frames.takeTable(on: processor), let below = level.next else { throw .outOfFrames }
        if case .leaf(let output, let attributes) = old {
            let distance = below.entryPages << pageShift
            var part = Descriptor<Attributes>.leaf(output, attributes).bits(level: below)
            var place = HypervisorAddressSpace.identity(child.address)
            let end = place.advanced(by: pageSize)
            while place < end {
                processor.store64(place, part)
                part &+= distance
                place = place.advanced(by: 8)
            }
            // Block to table needs break-before-make (DDI 0487, D8.16.1).
            if !isWithout(.blocksAreBroken) { breakEntry(at, at: start, on: processor) }
            splits &+= 1
        }
        // The table's contents must be visible to walkers before the entry that points to it.
        processor.barrier(.storesBeforeInvalidation)
        processor.store64(at, Descriptor<Attributes>.table(child).bits(level: level))
        stale.hasNewEntries = true
        return child
    }

    /// Replaces an entry whose whole input range gets one new descriptor.
    private mutating func replace<Frames: FrameSource & ~Copyable, P: Processor>(
        _ old: Descriptor<Attributes>, by new: Descriptor<Attributes>, _ at: Address<HypervisorVirtual>,
        _ level: Level, _ start: UInt64, _ stale: inout StaleEntries, _ frames: inout Frames, _ processor: P
    ) {
        guard old != new else { return }
        switch old {
        case .invalid:
            break
        case .leaf where new == .invalid:
            // Invalidated together with the range's other entries, before the call returns.
            processor.store64(at, 0)
            stale.insert(start)
            return
        case .leaf:
            breakEntry(at, at: start, on: processor)
        case .table(let child):
            processor.store64(at, 0)
            invalidateAll(on: processor)
            free(child, level, &frames, processor)
        }
        guard new != .invalid else { return }
        processor.store64(at, new.bits(level: level))
        stale.hasNewEntries = true
    }

    /// Replaces the table below an entry by what its entries amount to, if they amount to one.
    private mutating func collapse<Frames: FrameSource & ~Copyable, P: Processor>(
        _ child: Frame<HostPhysical>, _ at: Address<HypervisorVirtual>, _ level: Level, changed page: UInt64,
        _ emptied: EmptiedTables, _ stale: inout StaleEntries, _ frames: inout Frames, _ processor: P
    ) {
        guard let below = level.next else { return }
        let index = geometry.index(of: page, at: below) & (entriesPerTable &- 1)
        let bits = processor.load64(HypervisorAddressSpace.identity(child.address).advanced(by: index &* 8))
        guard let pattern = EntryPattern(bits, at: index, level: below, regime, emptied),
            pattern.seemsCommon(in: child, index, on: processor),
            pattern.isCommon(in: child, on: processor) || pattern.distance != 0 && isWithout(.blocksAreWhole)
        else { return }
        // Table to block: the entries of all 512 pages must be gone from every TLB before the
        // block is made (DDI 0487, D8.16.1), and with them those noted as stale.
        processor.store64(at, 0)
        invalidateAll(on: processor)
        if case .leaf(let output, let attributes) = Descriptor<Attributes>(bits: pattern.first, level: below) {
            processor.store64(at, Descriptor<Attributes>.leaf(output, attributes).bits(level: level))
            stale.hasNewEntries = true
            coalesced &+= 1
        }
        frames.returnTable(child, on: processor)
    }

    /// Frees a table and all below it. No walker can reach them any more.
    func free<Frames: FrameSource & ~Copyable, P: Processor>(
        _ table: Frame<HostPhysical>, _ parent: Level, _ frames: inout Frames, _ processor: P
    ) {
        if let level = parent.next, level.next != nil {
            var index: UInt64 = 0
            while index < entriesPerTable {
                let address = HypervisorAddressSpace.identity(table.address).advanced(by: index &* 8)
                if case .table(let child) = Descriptor<Attributes>(bits: processor.load64(address), level: level) {
                    free(child, level, &frames, processor)
                }
                index &+= 1
            }
        }
        frames.returnTable(table, on: processor)
    }
}
