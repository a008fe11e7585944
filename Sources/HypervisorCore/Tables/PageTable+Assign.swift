// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Changing what a range translates to.

public import Arm
public import Machine

extension PageTable {
    /// Makes `range` translate as `mapping` says, with the largest leaves it allows, and returns
    /// when no CPU can use what was there before.
    ///
    /// A block that is only partly in the range is split; a table whose entries have become one
    /// block, or all invalid, is put together again. Tables come from `frames`.
    /// - Parameter range: input pages, inside the geometry.
    public mutating func assign<Frames: FrameSource & ~Copyable>(
        _ range: InputRange, _ mapping: Mapping<Attributes>, tablesFrom frames: inout Frames,
        on processor: some Processor
    ) throws(TableError) {
        var stale = StaleEntries()
        // Whatever was broken is invalidated even when a table page is missing half-way.
        defer { finish(stale, on: processor) }
        try assign(
            range, mapping.shifted(to: range.first), in: root, geometry.rootLevel,
            &stale, &frames, processor)
    }

    private mutating func assign<Frames: FrameSource & ~Copyable, P: Processor>(
        _ range: InputRange, _ mapping: Mapping<Attributes>.From, in table: Frame<HostPhysical>,
        _ level: Level, _ stale: inout StaleEntries, _ frames: inout Frames, _ processor: P
    ) throws(TableError) {
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
                    InputRange(first: page, end: end), mapping, in: child, below, &stale, &frames, processor)
                collapse(child, at, level, start, changed: page, &stale, &frames, processor)
            }
            page = end
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
            var index: UInt64 = 0
            while index < entriesPerTable {
                let part = Descriptor<Attributes>.leaf(
                    output.advanced(by: index &* below.entryPages), attributes)
                processor.store64(
                    HypervisorAddressSpace.identity(child.address).advanced(by: index &* 8),
                    part.bits(level: below))
                index &+= 1
            }
            // Block to table needs break-before-make (DDI 0487, D8.16.1).
            breakEntry(at, at: start, on: processor)
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
        _ child: Frame<HostPhysical>, _ at: Address<HypervisorVirtual>, _ level: Level, _ start: UInt64,
        changed page: UInt64, _ stale: inout StaleEntries, _ frames: inout Frames, _ processor: P
    ) {
        guard let below = level.next, let whole = common(child, below, near: page, processor) else { return }
        var new = Descriptor<Attributes>.invalid
        if case .leaf = whole {
            // EL2's own tables are in use by CPUs that hold no lock: an entry of theirs is never
            // broken while pages below it are mapped.
            guard case .stage2 = regime, level.allowsLeaf, level >= .two else { return }
            new = whole
        }
        // Table to block: the entries of all 512 pages must be gone from every TLB before the
        // block is made (DDI 0487, D8.16.1), and with them those noted as stale.
        processor.store64(at, 0)
        invalidateAll(on: processor)
        if case .leaf = new {
            processor.store64(at, new.bits(level: level))
            stale.hasNewEntries = true
            coalesced &+= 1
        }
        frames.returnTable(child, on: processor)
    }

    /// What one entry could say instead of all entries of a table: `.invalid`, the block that they
    /// map piecewise, or nil if no one entry can.
    private func common<P: Processor>(
        _ table: Frame<HostPhysical>, _ level: Level, near page: UInt64, _ processor: P
    ) -> Descriptor<Attributes>? {
        let base = HypervisorAddressSpace.identity(table.address)
        func at(_ index: UInt64) -> UInt64 { processor.load64(base.advanced(by: index &* 8)) }
        let first = at(0)
        // The entry that has just changed and its neighbour settle most cases without a scan.
        let changed = geometry.index(of: page, at: level) & (entriesPerTable &- 1)
        if (at(changed) & 1) != (at(changed ^ 1) & 1) { return nil }
        guard first & 1 == 1 else {
            var index: UInt64 = 0
            while index < entriesPerTable {
                if at(index) & 1 == 1 { return nil }
                index &+= 1
            }
            return .invalid
        }
        guard case .leaf(let output, let attributes) = Descriptor<Attributes>(bits: first, level: level),
            output.number & (entriesPerTable &* level.entryPages &- 1) == 0
        else { return nil }
        let stride = level.entryPages << pageShift
        var index: UInt64 = 1
        while index < entriesPerTable {
            if at(index) != first &+ index &* stride { return nil }
            index &+= 1
        }
        return .leaf(output, attributes)
    }

    /// Frees a table and all below it. No walker can reach them any more.
    private func free<Frames: FrameSource & ~Copyable, P: Processor>(
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

/// A run of input pages, which is not empty.
public struct InputRange: Equatable, Sendable {
    /// The first page.
    public let first: UInt64
    /// The page behind the last.
    public let end: UInt64

    @inlinable
    init(first: UInt64, end: UInt64) {
        self.first = first
        self.end = end
    }

    /// Input pages with the numbers of physical frames, for an identity map.
    @inlinable
    public init(_ range: FrameRange<HostPhysical>) {
        first = range.first.number
        end = range.end.number
    }

    /// Input pages that are EL2's virtual pages.
    @inlinable
    public init(_ range: FrameRange<HypervisorVirtual>) {
        first = range.first.number
        end = range.end.number
    }
}

extension Mapping {
    /// A mapping bound to the input page that it starts at.
    struct From {
        let mapping: Mapping
        let first: UInt64

        /// The one descriptor of `level` for the entry that starts at `start`; nil if the mapping
        /// needs smaller leaves.
        func descriptor(for start: UInt64, at level: Level) -> Descriptor<Attributes>? {
            switch mapping {
            case .nothing:
                return .invalid
            case .identity(let attributes, let largest):
                guard level >= largest else { return nil }
                return .leaf(Frame(start), attributes)
            case .pages(let base, let attributes):
                let output = base.advanced(by: start &- first)
                guard level >= .two, output.number & (level.entryPages &- 1) == 0 else { return nil }
                return .leaf(output, attributes)
            }
        }

        /// Whether an entry already says, for its whole range, what the mapping wants of a part.
        func agrees(with old: Descriptor<Attributes>, at level: Level, start: UInt64) -> Bool {
            switch (mapping, old) {
            case (.nothing, .invalid): true
            case (.identity(let attributes, _), .leaf(let output, let present)):
                output.number == start && present == attributes
            default: false
            }
        }
    }

    func shifted(to first: UInt64) -> From { From(mapping: self, first: first) }
}
