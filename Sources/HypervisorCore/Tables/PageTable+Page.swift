// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// One entry at a time, which is most changes: straight to it, and whether the table around it
// has become one block, or empty, without reading all of it.

import Arm
import Machine

/// What all entries of a table have to be for one entry of the level above to say the same.
struct EntryPattern {
    /// What the table's first entry has to be, and how far each is from the one before.
    let first: UInt64
    let distance: UInt64

    /// The pattern that an entry fits into; nil if no entry above can replace such a table.
    init?(_ bits: UInt64, at index: UInt64, level: Level, _ regime: TranslationRegime, _ emptied: EmptiedTables) {
        guard bits & 1 == 1 else {
            guard case .freed = emptied else { return nil }
            first = 0
            distance = 0
            return
        }
        // EL2's own tables are in use by CPUs that hold no lock: an entry of theirs is never
        // broken while pages below it are mapped.
        guard case .stage2 = regime, level == .three,
            bits >> pageShift & (entriesPerTable &- 1) == index
        else { return nil }
        first = bits &- index << pageShift
        distance = pageSize
    }

    /// Whether entries around one of them fit, as those of most tables that are not uniform do not: the one beside
    /// it, and those at every larger power of two.
    func seemsCommon(in table: Frame<HostPhysical>, _ index: UInt64, on processor: some Processor) -> Bool {
        let base = HypervisorAddressSpace.identity(table.address)
        var step: UInt64 = 1
        while step < entriesPerTable {
            let other = index ^ step
            if processor.load64(base.advanced(by: other &* 8)) != first &+ other &* distance { return false }
            step <<= 1
        }
        return true
    }

    /// Whether all entries fit.
    func isCommon(in table: Frame<HostPhysical>, on processor: some Processor) -> Bool {
        var at = HypervisorAddressSpace.identity(table.address)
        let end = at.advanced(by: pageSize)
        var due = first
        while at < end {
            if processor.load64(at) != due { return false }
            due &+= distance
            at = at.advanced(by: 8)
        }
        return true
    }
}

extension PageTable {
    /// Changes one page whose table exists, and stays.
    /// - Returns: false, and nothing has changed, if there is more to be done.
    mutating func assignPage(
        _ page: UInt64, _ mapping: Mapping<Attributes>, _ emptied: EmptiedTables, on processor: some Processor
    ) -> Bool {
        guard let at = entry(of: page, at: .three, on: processor),
            let new = mapping.shifted(to: page).descriptor(for: page, at: .three)?.bits(level: .three)
        else { return false }
        let old = processor.load64(at)
        guard old != new else { return true }
        guard staysTable(at, page, new, emptied, on: processor) else { return false }
        if old & 1 == 1 { breakEntry(at, at: page, on: processor) }
        if new != 0 { publish(new, at, on: processor) }
        return true
    }

    /// Changes the 512 pages of one entry of level 2 whose table exists, and stays.
    /// - Returns: false, and nothing has changed, if there is more to be done.
    mutating func assignBlock(
        _ first: UInt64, _ mapping: Mapping<Attributes>, _ emptied: EmptiedTables, on processor: some Processor
    ) -> Bool {
        guard first & (Level.two.entryPages &- 1) == 0, let at = entry(of: first, at: .two, on: processor),
            let new = mapping.shifted(to: first).descriptor(for: first, at: .two)?.bits(level: .two)
        else { return false }
        let old = processor.load64(at)
        guard old != new else { return true }
        // A table of pages goes, or one of blocks may have to: entries of level 2 never become one of level 1.
        guard Descriptor<Attributes>.table(behind: old) == nil, new != 0 || emptied == .kept else { return false }
        if old & 1 == 1 { breakEntry(at, at: first, on: processor) }
        if new != 0 { publish(new, at, on: processor) }
        return true
    }

    /// Whether a table would still be needed if a page's entry were changed.
    private func staysTable(
        _ at: Address<HypervisorVirtual>, _ page: UInt64, _ bits: UInt64, _ emptied: EmptiedTables,
        on processor: some Processor
    ) -> Bool {
        let index = page & (entriesPerTable &- 1)
        guard let pattern = EntryPattern(bits, at: index, level: .three, regime, emptied) else { return true }
        return !pattern.seemsCommon(in: Frame(at.frame.number), index, on: processor)
    }

    /// Makes an entry valid that was not.
    private func publish(_ bits: UInt64, _ at: Address<HypervisorVirtual>, on processor: some Processor) {
        processor.store64(at, bits)
        // A walk that follows, on this CPU or after a hand-over, finds the new entry.
        processor.barrier(.storesBeforeInvalidation)
        processor.barrier(.contextSynchronisation)
    }

    /// Maps a page, or the 512 of one entry, where nothing is mapped: then no TLB has anything of them, and
    /// no invalidation is needed, nor the tree's VMID.
    /// - Returns: false, and nothing has changed, if tables have to be made or would become a block.
    mutating func add(
        _ range: InputRange, _ mapping: Mapping<Attributes>, on processor: some Processor
    ) -> Bool {
        let from = mapping.shifted(to: range.first)
        if range.end &- range.first == 1 {
            guard let at = entry(of: range.first, at: .three, on: processor),
                let new = from.descriptor(for: range.first, at: .three)?.bits(level: .three)
            else { return false }
            guard processor.load64(at) == 0, staysTable(at, range.first, new, .kept, on: processor)
            else { return false }
            publish(new, at, on: processor)
            return true
        }
        guard range.end &- range.first == Level.two.entryPages, range.first & (Level.two.entryPages &- 1) == 0,
            let new = from.descriptor(for: range.first, at: .two),
            let at = self.entry(of: range.first, at: .two, on: processor), processor.load64(at) == 0
        else { return false }
        publish(new.bits(level: .two), at, on: processor)
        return true
    }
}
