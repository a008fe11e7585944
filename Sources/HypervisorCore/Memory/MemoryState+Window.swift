// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The window: how EL2 reaches pages that are not its own, for the moment.

import Arm
import Machine

extension MemoryState {
    /// The first page of the window.
    static var windowPage: Frame<HypervisorVirtual> {
        Address<HypervisorVirtual>(HypervisorAddressSpace.window).frame
    }

    /// Maps up to 512 consecutive pages: 2 MiB as a block, at an address of its own. The tables stay from one use to
    /// the next.
    mutating func openWindow(
        _ range: FrameRange<HostPhysical>, on processor: some Processor
    ) -> FrameRange<HypervisorVirtual> {
        let isBlock = range.count == pagesPerSuperpage && range.first.number & (pagesPerSuperpage &- 1) == 0
        guard isBlock else { return openWindow(range, at: 0, on: processor) }
        let block = Address<HypervisorVirtual>(HypervisorAddressSpace.blockWindow).frame
        let window = FrameRange(block, pages: range.count)
        mapWindow(window, .pages(from: range.first, Stage1Attributes(.data)), on: processor)
        return window
    }

    /// Maps pages at a place of the window: `at` and their count are at most 512 together. They are not 512 that
    /// could be one block.
    @discardableResult
    mutating func openWindow(
        _ range: FrameRange<HostPhysical>, at place: UInt64, on processor: some Processor
    ) -> FrameRange<HypervisorVirtual> {
        let window = FrameRange(Self.windowPage.advanced(by: place), pages: range.count)
        mapWindow(window, .pages(from: range.first, Stage1Attributes(.data)), on: processor)
        return window
    }

    /// Unmaps what was opened: no CPU reaches the pages through the window any more.
    mutating func closeWindow(_ window: FrameRange<HypervisorVirtual>, on processor: some Processor) {
        // In two parts, where all of it would be one entry, so that the table stays.
        let half = pagesPerSuperpage / 2
        if window.first == Self.windowPage, window.count > half {
            mapWindow(FrameRange(window.first, pages: half), .nothing, on: processor)
            mapWindow(
                FrameRange(window.first.advanced(by: half), pages: window.count &- half), .nothing, on: processor)
        } else {
            mapWindow(window, .nothing, on: processor)
        }
    }

    private mutating func mapWindow(
        _ window: FrameRange<HypervisorVirtual>, _ mapping: Mapping<Stage1Attributes>, on processor: some Processor
    ) {
        pool.purpose = .ownershipChange
        do throws(TableError) {
            try hypervisorTable.assign(InputRange(window), mapping, emptied: .kept, tablesFrom: &pool, on: processor)
        } catch {
            processor.panic("the reserve of the page pool did not suffice for the window")
        }
    }
}
