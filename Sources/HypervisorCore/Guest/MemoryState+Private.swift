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
        guard content == .zero || vm.load(.hasRun, on: processor) == 0 else { throw .denied }
        guard ledger.all(pages.host, are: .exclusiveToHost, on: processor) else { throw .denied }
        for page in pages.guest.first..<pages.guest.end {
            guard table.lookup(page, on: processor).descriptor == .invalid, !vm.isWindow(page, on: processor) else {
                throw .denied
            }
        }
        guard pool.canChangeOwnership(withGuestPages: guestPages &+ count),
            vm.load(.freeCount, on: processor) >= Self.tablesPerChange
        else { throw .noMemory }

        ledger.record(
            .guest(slot: UInt8(truncatingIfNeeded: handle.slot), .nothing), of: pages.host, on: processor)
        guestPages &+= count
        pool.keepForSinks(guestPages)
        takeFromHostTable(pages.host, on: processor)
        // What the host wrote last, by whatever alias, is in memory; no line of it stays in a cache
        // where the guest could find it, or lose to it, with its caches off.
        prepare(pages.host, content, on: processor)
        withVMID(of: handle, table, on: processor) {
            var tables = VMPool(vm: vm)
            do throws(TableError) {
                try table.assign(
                    pages.guest.input, .pages(from: pages.host.first, Stage2Attributes(.writeBack, .all)),
                    tablesFrom: &tables, on: processor)
            } catch {
                processor.panic("a VM's table pages did not suffice for a donation")
            }
        }
    }

    private mutating func takeFromHostTable(_ range: FrameRange<HostPhysical>, on processor: some Processor) {
        pool.purpose = .ownershipChange
        do throws(TableError) {
            try hostTable.assign(InputRange(range), .nothing, tablesFrom: &pool, on: processor)
        } catch {
            processor.panic("the reserve of the page pool did not suffice for a donation")
        }
    }

    /// Maps up to 512 pages into EL2's window for the moment, and does something with each.
    private mutating func throughWindow<P: Processor>(
        _ range: FrameRange<HostPhysical>, on processor: P, _ body: (Frame<HypervisorVirtual>) -> Void
    ) {
        let first = Address<HypervisorVirtual>(HypervisorAddressSpace.window).frame
        let window = InputRange(FrameRange(first, pages: range.count))
        pool.purpose = .ownershipChange
        do throws(TableError) {
            try hypervisorTable.assign(
                window, .pages(from: range.first, Stage1Attributes(.data)), tablesFrom: &pool, on: processor)
            var page = first
            while page < first.advanced(by: range.count) {
                body(page)
                page = page.advanced(by: 1)
            }
            processor.barrier(.cacheMaintenanceComplete)
            try hypervisorTable.assign(window, .nothing, tablesFrom: &pool, on: processor)
        } catch {
            processor.panic("the reserve of the page pool did not suffice for the window")
        }
    }

    private mutating func prepare(
        _ range: FrameRange<HostPhysical>, _ content: GuestContent, on processor: some GuestProcessor
    ) {
        throughWindow(range, on: processor) { page in
            if content == .zero { processor.zeroPage(page) }
            processor.cleanAndInvalidatePage(page)
        }
        if content == .kept { processor.invalidateInstructionCaches() }
    }

    /// Pages come back from a guest that cannot reach them any more: zeroed, in memory and not only
    /// in a cache, before the host can look.
    mutating func returnFromGuest(_ range: FrameRange<HostPhysical>, on processor: some Processor) {
        throughWindow(range, on: processor) { page in
            processor.zeroPage(page)
            processor.cleanAndInvalidatePage(page)
        }
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

    /// `HostCall.allowMMIO`.
    func allowMMIO(
        _ handle: VMHandle, first: UInt64, count: UInt64, on processor: some Processor
    ) throws(CallStatus) {
        let (vm, table) = try vm(handle, of: .protected, on: processor)
        guard vm.load(.hasRun, on: processor) == 0 else { throw .denied }
        let range = try GuestRange(alleged: first, count: count, in: table)
        // Nothing may become a window that has memory: accesses there never leave the guest.
        var page = range.first
        while page < range.end {
            let found = table.lookup(page, on: processor)
            guard found.descriptor == .invalid else { throw .denied }
            page = (page & ~(found.level.entryPages &- 1)) &+ found.level.entryPages
        }
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
