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
        let attributes = Stage2Attributes(
            .writeBack,
            .init(readable: true, writable: access.contains(.write), executable: access.contains(.execute)))
        var index: UInt64 = 0
        while index < count {
            try checkLend(guest &+ index, pages.host.first.advanced(by: index), table, on: processor)
            index &+= 1
        }
        index = 0
        while index < count {
            lend(guest &+ index, pages.host.first.advanced(by: index), table, on: processor)
            index &+= 1
        }
        withVMID(of: handle, table, on: processor) {
            var tables = VMPool(vm: vm)
            do throws(TableError) {
                try table.assign(
                    pages.guest.input, .pages(from: pages.host.first, attributes), tablesFrom: &tables,
                    on: processor)
            } catch {
                processor.panic("a VM's table pages did not suffice for a mapping")
            }
        }
    }

    /// A page may be lent if the host owns it and the guest page maps nothing, or the same.
    private func checkLend(
        _ guest: UInt64, _ frame: Frame<HostPhysical>, _ table: PageTable<Stage2Attributes>,
        on processor: some Processor
    ) throws(CallStatus) {
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

    /// `HostCall.unmapGuest`.
    mutating func unmapGuest(
        _ handle: VMHandle, guest: UInt64, count: UInt64, on processor: some GuestProcessor
    ) throws(CallStatus) {
        // While the VM ends, `destroyVM` takes its pages back.
        var (vm, table) = try vm(handle, of: .normal, on: processor)
        let range = try GuestRange(alleged: guest, count: count, limit: Self.donationLimit, in: table)
        // A block that loses only a part needs a table of its own for the rest.
        let splits =
            isInsideBlock(range.first, table, on: processor) &+ isInsideBlock(range.end, table, on: processor)
        guard vm.load(.freeCount, on: processor) >= splits else { throw .noMemory }
        var page = range.first
        var isAnyMapped = false
        while page < range.end {
            let found = table.lookup(page, on: processor)
            let next = (page & ~(found.level.entryPages &- 1)) &+ found.level.entryPages
            let last = next < range.end ? next : range.end
            if case .leaf(let first, _) = found.descriptor {
                let offset = page & (found.level.entryPages &- 1)
                returnLent(FrameRange(first.advanced(by: offset), pages: last &- page), on: processor)
                isAnyMapped = true
            }
            page = last
        }
        if isAnyMapped {
            unmapAll(vm, &table, range.input, handle, on: processor)
        }
    }

    /// 1 if a boundary before this guest page cuts a block, 0 otherwise.
    private func isInsideBlock(
        _ page: UInt64, _ table: PageTable<Stage2Attributes>, on processor: some Processor
    ) -> UInt64 {
        let found = table.lookup(page, on: processor)
        guard case .leaf = found.descriptor else { return 0 }
        return page & (found.level.entryPages &- 1) == 0 ? 0 : 1
    }

    /// Counts pages as lent once less. The guest loses them before the lock is released.
    func returnLent(_ range: FrameRange<HostPhysical>, on processor: some Processor) {
        var frame = range.first
        while frame < range.end {
            guard case .host(let lent) = ledger.state(of: frame, on: processor), lent > 0 else {
                processor.panic("a guest had a page that the ledger does not call lent")
            }
            ledger.record(.host(lent: lent &- 1), of: frame, on: processor)
            frame = frame.advanced(by: 1)
        }
    }

    func unmapAll(
        _ vm: VMPage, _ table: inout PageTable<Stage2Attributes>, _ range: InputRange, _ handle: VMHandle,
        on processor: some GuestProcessor
    ) {
        withVMID(of: handle, table, on: processor) {
            var tables = VMPool(vm: vm)
            do throws(TableError) {
                try table.assign(range, .nothing, tablesFrom: &tables, on: processor)
            } catch {
                processor.panic("a VM's table pages did not suffice for taking memory back")
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
        let profiling = ProfilingControls(stoppedOn: processor, features)
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
        profiling.resume(on: processor, features)
    }
}
