// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The TLB maintenance of a tree of tables: which instructions, in which order, and why.

import Arm
import HypervisorInterface
import Machine

/// Input pages whose old translations may still be in a TLB, gathered over one change.
struct StaleEntries {
    /// Beyond this many the whole regime is invalidated: one instruction instead of many, and
    /// each of them is a broadcast to all CPUs.
    static let limit: UInt64 = 8

    // Entries of one change follow one another at one distance, or are too many to be listed.
    private(set) var first: UInt64 = 0
    private(set) var distance: UInt64 = 0
    private(set) var count: UInt64 = 0
    private var isIrregular = false
    /// Entries were made valid; walkers must see them before the caller goes on.
    var hasNewEntries = false

    /// Notes that the entry starting at this page was made invalid.
    mutating func insert(_ page: UInt64) {
        switch count {
        case 0: first = page
        case 1: distance = page &- first
        default: if page != first &+ count &* distance { isIrregular = true }
        }
        count &+= 1
    }

    /// Whether the entries cannot be listed.
    var isOverflown: Bool { isIrregular || count > Self.limit }
}

extension PageTable {
    /// The break of break-before-make for one leaf: no CPU uses the old translation afterwards.
    func breakEntry(_ at: Address<HypervisorVirtual>, at page: UInt64, on processor: some Processor) {
        processor.store64(at, 0)
        var stale = StaleEntries()
        stale.insert(page)
        finish(stale, on: processor)
    }

    /// Drops everything that TLBs hold of this tree.
    func invalidateAll(on processor: some Processor) {
        // The invalid entry must be visible to walkers before the TLBI looks for old ones.
        processor.barrier(.storesBeforeInvalidation)
        switch regime {
        case .hypervisor: processor.invalidate(.wholeHypervisor)
        case .stage2: processor.invalidate(.wholeVMID)
        }
        processor.barrier(.invalidationComplete)
        processor.barrier(.contextSynchronisation)
    }

    /// Drops what TLBs hold of the given entries, and makes new entries visible.
    func finish(_ stale: StaleEntries, on processor: some Processor) {
        if isWithout(.changesAreInvalidated) { return }
        guard stale.count > 0 else {
            if stale.hasNewEntries {
                // A walk that follows, on this CPU or after a hand-over, finds the new entries.
                processor.barrier(.storesBeforeInvalidation)
                processor.barrier(.contextSynchronisation)
            }
            return
        }
        if stale.isOverflown {
            invalidateAll(on: processor)
            return
        }
        processor.barrier(.storesBeforeInvalidation)
        var index: UInt64 = 0
        while index < stale.count {
            let page = stale.first &+ index &* stale.distance
            switch regime {
            case .hypervisor: processor.invalidate(.hypervisor(Frame(page)))
            case .stage2: processor.invalidate(.stage2(Frame(page)))
            }
            index &+= 1
        }
        processor.barrier(.invalidationComplete)
        if case .stage2 = regime {
            // Combined entries of both stages carry no intermediate address, so the invalidation
            // by address does not reach them (DDI 0487, D8.14.5).
            processor.invalidate(.combined)
            processor.barrier(.invalidationComplete)
        }
        processor.barrier(.contextSynchronisation)
    }
}
