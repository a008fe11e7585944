// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Lending host pages to normal VMs.

import Arm
import HypervisorInterface
import Machine

extension FrameRange {
    /// The frames of one leaf.
    init(_ first: Frame<Space>, pages: UInt64) {
        self = FrameRange(from: first, to: first.advanced(by: pages)) ?? FrameRange(first)
    }
}

extension MemoryState {
    /// What passing over a part of a table in which nothing is mapped counts as, in pages, of the work of one call.
    static let costOfNothing: UInt64 = 8

    /// Table pages that one change of a VM's stage-2 may need: two a level below the root.
    static let tablesPerChange: UInt64 = 6

    /// `HostCall.mapGuest`. Everything is checked before anything changes.
    mutating func mapGuest(
        _ handle: VMHandle, guest: UInt64, host: UInt64, count: UInt64, access: GuestAccess,
        on processor: some GuestProcessor
    ) throws(CallStatus) {
        var (vm, table) = try vm(handle, of: .normal, on: processor)
        let pages = try GuestPages(alleged: guest, host: host, count: count, in: table, map, on: processor)
        guard vm.load(.freeCount, on: processor) >= Self.tablesPerChange else { throw .noMemory }
        let mapping = Mapping.pages(
            from: pages.host.first,
            guestMemory(
                .init(readable: true, writable: access.contains(.write), executable: access.contains(.execute))))
        if table.isEmpty(pages.guest.input, on: processor), !isWithout(.lentPagesAreTheHosts) {
            guard ledger.canLend(pages.host, on: processor) else { throw .denied }
            ledger.lend(pages.host, on: processor)
        } else {
            try lendRest(of: pages, table, on: processor)
        }
        add(pages.guest.input, mapping, to: &table, vm, handle, on: processor)
    }

    /// Lends pages some of which the guest may have already.
    private func lendRest(
        of pages: GuestPages, _ table: PageTable<Stage2Attributes>, on processor: some Processor
    ) throws(CallStatus) {
        var index: UInt64 = 0
        while index < pages.guest.count {
            try checkLend(pages.guest.first &+ index, pages.host.first.advanced(by: index), table, on: processor)
            index &+= 1
        }
        index = 0
        while index < pages.guest.count {
            lend(pages.guest.first &+ index, pages.host.first.advanced(by: index), table, on: processor)
            index &+= 1
        }
    }

    /// Maps pages for a guest. Nothing may be missing any more.
    func add(
        _ range: InputRange, _ mapping: Mapping<Stage2Attributes>, to table: inout PageTable<Stage2Attributes>,
        _ vm: VMPage, _ handle: VMHandle, on processor: some GuestProcessor
    ) {
        // What vCPUs know to be absent may be there from here on.
        processor.storeRelease64(vm.address(.additions), vm.load(.additions, on: processor) &+ 1)
        // Where nothing was no TLB has anything, and none is invalidated.
        if table.add(range, mapping, on: processor) { return }
        change(vm, &table, range, mapping, handle, on: processor)
    }

    /// A page may be lent if the host owns it and the guest page maps nothing, or the same.
    private func checkLend(
        _ guest: UInt64, _ frame: Frame<HostPhysical>, _ table: PageTable<Stage2Attributes>,
        on processor: some Processor
    ) throws(CallStatus) {
        if isWithout(.lentPagesAreTheHosts) { return }
        guard case .host(let lent) = ledger.state(of: frame, on: processor) else { throw .denied }
        if let present = output(guest, table, on: processor) {
            guard present == frame else { throw .denied }
        } else {
            guard lent < PageState.maximumLent else { throw .denied }
        }
    }

    private func lend(
        _ guest: UInt64, _ frame: Frame<HostPhysical>, _ table: PageTable<Stage2Attributes>,
        on processor: some Processor
    ) {
        guard output(guest, table, on: processor) == nil,
            case .host(let lent) = ledger.state(of: frame, on: processor)
        else { return }
        ledger.record(.host(lent: lent &+ 1), of: frame, on: processor)
    }

    /// The host frame behind a guest page.
    private func output(
        _ guest: UInt64, _ table: PageTable<Stage2Attributes>, on processor: some Processor
    ) -> Frame<HostPhysical>? {
        let found = table.lookup(guest, on: processor)
        guard case .leaf(let first, _) = found.descriptor else { return nil }
        return first.advanced(by: guest & (found.level.entryPages &- 1))
    }

    /// `HostCall.unmapGuest`: one bounded step. Blocks that are only in part in the range are split.
    /// - Returns: the guest page to go on with, which is the end of the range when nothing is left.
    mutating func unmapGuest(
        _ handle: VMHandle, guest: UInt64, count: UInt64, on processor: some GuestProcessor
    ) throws(CallStatus) -> UInt64 {
        // While the VM ends, `destroyVM` takes its pages back.
        var (vm, table) = try vm(handle, of: .normal, on: processor)
        let range = try GuestRange(alleged: guest, count: count, in: table)
        // A block that loses only a part needs a table of its own for the rest.
        let splits =
            isInsideBlock(range.first, table, on: processor) &+ isInsideBlock(range.end, table, on: processor)
        guard vm.load(.freeCount, on: processor) >= splits else { throw .noMemory }
        var page = range.first
        var budget = Self.donationLimit
        while page < range.end, budget > 0 {
            let branch = table.branch(of: page, on: processor)
            if case .nothing(let until) = branch {
                page = until < range.end ? until : range.end
                budget &-= Self.costOfNothing < budget ? Self.costOfNothing : budget
                continue
            }
            let next = (page & ~(pagesPerSuperpage &- 1)) &+ pagesPerSuperpage
            let last = next < range.end ? next : range.end
            let part = InputRange(first: page, end: last)
            if last &- page == pagesPerSuperpage {
                returnBranch(branch, vm, &table, page, handle, on: processor)
            } else if returnLent(part, table, on: processor) {
                change(vm, &table, part, .nothing, handle, on: processor)
            }
            budget &-= last &- page < budget ? last &- page : budget
            page = last
        }
        return page
    }

    /// Takes back all that is below one entry of level 2.
    func returnBranch(
        _ branch: Branch, _ vm: VMPage, _ table: inout PageTable<Stage2Attributes>, _ page: UInt64, _ handle: VMHandle,
        on processor: some GuestProcessor
    ) {
        withVMID(of: handle, table, on: processor) { table.cutBranch(of: page, on: processor) }
        switch branch {
        case .nothing: break
        case .block(let first): ledger.returnLent(FrameRange(first, pages: pagesPerSuperpage), on: processor)
        case .table(let child):
            var next: UInt64 = 0
            while let (index, frames) = PageTable<Stage2Attributes>.run(from: next, of: child, on: processor) {
                ledger.returnLent(frames, on: processor)
                next = index &+ frames.count
            }
            VMPool(vm: vm).push(child, on: processor)
        }
    }

    /// Counts the pages of a range as lent once less; false if there are none. The guest loses them before the lock
    /// is released.
    private func returnLent(
        _ range: InputRange, _ table: PageTable<Stage2Attributes>, on processor: some Processor
    ) -> Bool {
        var isAnyMapped = false
        var page = range.first
        while page < range.end {
            let found = table.lookup(page, on: processor)
            let offset = page & (found.level.entryPages &- 1)
            let next = page &- offset &+ found.level.entryPages
            let last = next < range.end ? next : range.end
            if case .leaf(let first, _) = found.descriptor {
                ledger.returnLent(FrameRange(first.advanced(by: offset), pages: last &- page), on: processor)
                isAnyMapped = true
            }
            page = last
        }
        return isAnyMapped
    }

    /// 1 if a boundary before this guest page cuts a block, 0 otherwise.
    private func isInsideBlock(
        _ page: UInt64, _ table: PageTable<Stage2Attributes>, on processor: some Processor
    ) -> UInt64 {
        let found = table.lookup(page, on: processor)
        guard case .leaf = found.descriptor else { return 0 }
        return page & (found.level.entryPages &- 1) == 0 ? 0 : 1
    }

    /// Changes a guest's memory. Nothing may be missing any more.
    func change(
        _ vm: VMPage, _ table: inout PageTable<Stage2Attributes>, _ range: InputRange,
        _ mapping: Mapping<Stage2Attributes>, _ handle: VMHandle, on processor: some GuestProcessor
    ) {
        withVMID(of: handle, table, on: processor) {
            var tables = VMPool(vm: vm)
            do throws(TableError) {
                try table.assign(range, mapping, tablesFrom: &tables, on: processor)
            } catch {
                processor.panic("a VM's table pages did not suffice for a change of its memory")
            }
        }
    }

    /// Makes a VM's VMID current, so that TLB maintenance acts on it, and the host's again.
    ///
    /// EL1's registers are the host's meanwhile. No walk may combine them with the guest's stage-2,
    /// speculatively or not (Cortex-A57 1319537, Cortex-A72 1319367): stage-1 walks are off, and the
    /// MMU is on. With the MMU off every address would be an intermediate one, and would be walked
    /// in the guest's tables as the host's VTCR_EL2 describes tables: one level out of step, where
    /// the content of pages passes for descriptors.
    func withVMID(
        of handle: VMHandle, _ table: PageTable<Stage2Attributes>, on processor: some GuestProcessor,
        _ body: () -> Void
    ) {
        let groups = RegisterGroups(features)
        let profiling = ProfilingControls(stoppedOn: processor, groups)
        let host = processor.read(.vttbrEL2)
        let tcr = processor.read(.tcrEL1)
        let sctlr = processor.read(.sctlrEL1)
        processor.write(.tcrEL1, tcr | WorldSwitch.noWalks)
        processor.barrier(.contextSynchronisation)
        processor.write(.sctlrEL1, sctlr | 1)
        processor.barrier(.contextSynchronisation)
        processor.write(.vttbrEL2, Stage2Base.bits(root: table.root, vmid: handle.vmid))
        processor.barrier(.contextSynchronisation)
        body()
        processor.write(.vttbrEL2, host)
        processor.barrier(.contextSynchronisation)
        processor.write(.sctlrEL1, sctlr)
        processor.barrier(.contextSynchronisation)
        processor.write(.tcrEL1, tcr)
        processor.barrier(.contextSynchronisation)
        profiling.resume(on: processor, groups)
    }
}
