// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Memory that protected guests own.

import Arm
import HypervisorInterface
import Machine

extension MemoryState {
    /// `HostCall.donateToGuest`. Everything is checked before anything changes.
    mutating func donateToGuest(
        _ handle: VMHandle, guest: UInt64, host: UInt64, count: UInt64, content: GuestContent,
        on processor: some GuestProcessor
    ) throws(CallStatus) {
        var (vm, table) = try vm(handle, of: .protected, on: processor)
        let pages = try GuestPages(alleged: guest, host: host, count: count, in: table, map, on: processor)
        // After the first run nothing that the host wrote enters the guest.
        guard content == .zero || vm.load(.hasRun, on: processor) == 0 || isWithout(.contentComesFirst) else {
            throw .denied
        }
        guard isWithout(.donatedPagesAreExclusive) || ledger.all(pages.host, are: .exclusiveToHost, on: processor),
            table.isEmpty(pages.guest.input, on: processor), !vm.hasWindow(in: pages.guest, on: processor)
        else { throw .denied }
        guard pool.canChangeOwnership(withGuestPages: guestPages &+ count),
            vm.load(.freeCount, on: processor) >= Self.tablesPerChange
        else { throw .noMemory }

        ledger.record(
            .guest(slot: UInt8(truncatingIfNeeded: handle.slot), .nothing), of: pages.host, on: processor)
        guestPages &+= count
        pool.keepForSinks(guestPages)
        if !isWithout(.donatedPagesLeaveHost) { takeFromHostTable(pages.host, on: processor) }
        prepare(pages.host, content, on: processor)
        add(
            pages.guest.input, .pages(from: pages.host.first, guestMemory(.all)), to: &table, vm, handle, on: processor)
    }

    /// The host loses pages, and every TLB forgets them.
    ///
    /// A table stays even if nothing is left in it. So the host has a table for each 2 MiB of which guests own a part:
    /// only where a guest got all of a block at once there is none, and one in 512 pages is what `keepForSinks` keeps.
    mutating func takeFromHostTable(_ range: FrameRange<HostPhysical>, on processor: some Processor) {
        pool.purpose = .ownershipChange
        do throws(TableError) {
            try hostTable.assign(InputRange(range), .nothing, emptied: .kept, tablesFrom: &pool, on: processor)
        } catch {
            processor.panic("the reserve of the page pool did not suffice for a donation")
        }
    }

    /// What the host wrote last, by whatever alias, is in memory; no line of it stays in a cache where the guest
    /// could find it, or lose to it, with its caches off. Where stage-2 forces write-back, and fetches find what is in
    /// caches, a guest's accesses never go around them, so that zeroes may stay there: the host has lost the pages, and
    /// what it invalidates behind a stage-2 is cleaned as well (HCR_EL2.VM). They are cleaned when the pages go back.
    /// What the host executed there no instruction cache keeps.
    private mutating func prepare(
        _ range: FrameRange<HostPhysical>, _ content: GuestContent, on processor: some GuestProcessor
    ) {
        let window = openWindow(range, on: processor)
        switch content {
        case .zero:
            if isWithout(.guestPagesAreZeroed) { break }
            if features.fetchesFindData {
                processor.zeroPages(window)
            } else {
                processor.zeroAndCleanPages(window)
            }
        case .kept:
            var page = window.first
            while page < window.end {
                processor.cleanAndInvalidatePage(page)
                page = page.advanced(by: 1)
            }
        }
        processor.barrier(.cacheMaintenanceComplete)
        closeWindow(window, on: processor)
        processor.invalidateInstructionCaches()
    }

    /// Pages come back from a guest that cannot reach them any more, and have been wiped.
    private mutating func returnFromGuest(_ range: FrameRange<HostPhysical>, on processor: some Processor) {
        guestPages &-= range.count
        pool.keepForSinks(guestPages)
        ledger.record(.exclusiveToHost, of: range, on: processor)
        pool.purpose = .ownershipChange
        do throws(TableError) {
            try hostTable.assign(
                InputRange(range), .identity(Self.hostMemory, largest: .two), tablesFrom: &pool, on: processor)
        } catch {
            processor.panic("the reserve of the page pool did not suffice for a return")
        }
    }

    /// A block comes back from a guest that cannot reach it any more: zeroed, in memory and not only in a cache,
    /// before the host can look.
    mutating func returnBlock(_ first: Frame<HostPhysical>, on processor: some Processor) {
        let range = FrameRange(first, pages: pagesPerSuperpage)
        let window = openWindow(range, on: processor)
        processor.wipe(window)
        processor.barrier(.cacheMaintenanceComplete)
        closeWindow(window, on: processor)
        returnFromGuest(range, on: processor)
    }

    /// The pages of a table come back likewise, all through the window at once. The table is not part of a tree any
    /// more.
    mutating func returnPages(of table: Frame<HostPhysical>, on processor: some Processor) {
        var open: UInt64 = 0
        var next: UInt64 = 0
        while let (index, frames) = PageTable<Stage2Attributes>.run(from: next, of: table, on: processor) {
            next = index &+ frames.count
            openWindow(frames, at: open, on: processor)
            open &+= frames.count
        }
        guard open > 0 else { return }
        let window = FrameRange(Self.windowPage, pages: open)
        processor.wipe(window)
        processor.barrier(.cacheMaintenanceComplete)
        closeWindow(window, on: processor)
        next = 0
        while let (index, frames) = PageTable<Stage2Attributes>.run(from: next, of: table, on: processor) {
            next = index &+ frames.count
            returnFromGuest(frames, on: processor)
        }
    }

    /// `HostCall.allowMMIO`.
    func allowMMIO(
        _ handle: VMHandle, first: UInt64, count: UInt64, on processor: some Processor
    ) throws(CallStatus) {
        let (vm, table) = try vm(handle, of: .protected, on: processor)
        guard vm.load(.hasRun, on: processor) == 0 || isWithout(.windowsAreFixed) else { throw .denied }
        let range = try GuestRange(alleged: first, count: count, in: table)
        // Nothing may become a window that has memory: accesses there never leave the guest.
        guard table.isEmpty(range.input, on: processor) || isWithout(.windowsAreFixed) else { throw .denied }
        let index = vm.load(.windowCount, on: processor)
        guard index < HostCall.maximumWindows else { throw .noMemory }
        vm.store(.windows, at: index &* 2, first, on: processor)
        vm.store(.windows, at: index &* 2 &+ 1, count, on: processor)
        vm.store(.windowCount, index &+ 1, on: processor)
    }

    /// Gives the host a sink where it lost a page to a guest, so that a kernel access without a way
    /// out of a fault ends: it reads what it wrote there itself, and executes nothing.
    mutating func sink(_ frame: Frame<HostPhysical>, on processor: some Processor) -> Bool {
        // Only RAM has entries in the ledger; the host may name any frame.
        guard hostTable.geometry.contains(frame.number), map.kind(of: frame, on: processor) == .ram,
            case .guest(let slot, _) = ledger.state(of: frame, on: processor)
        else { return false }
        pool.purpose = .sink
        defer { pool.purpose = .ownershipChange }
        if sinkPage == nil, let page = pool.takeTable(on: processor) {
            // The host must not find what the page held before, by an alias that goes around the caches.
            processor.cleanAndInvalidatePage(HypervisorAddressSpace.identity(page))
            processor.barrier(.cacheMaintenanceComplete)
            sinkPage = page
        }
        guard let sinkPage else { return false }
        do throws(TableError) {
            try hostTable.assign(
                InputRange(FrameRange(frame)), .pages(from: sinkPage, Stage2Attributes(.writeBack, .data)),
                tablesFrom: &pool, on: processor)
        } catch {
            return false
        }
        ledger.record(.guest(slot: slot, .sink), of: frame, on: processor)
        hostFaults.sunk &+= 1
        return true
    }
}
