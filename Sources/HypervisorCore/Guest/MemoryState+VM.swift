// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Making VMs and vCPUs, and ending them.

import Arm
import HypervisorInterface
import Machine

/// What a step of ending a VM did.
struct DestroyStep {
    var progress: DestroyProgress
    /// A run of pages that the host owns again.
    var returned: FrameRange<HostPhysical>?
}

extension MemoryState {
    /// A block of host pages, a power of two of them and aligned to its size.
    private func block(alleged first: UInt64, pages: UInt64) throws(CallStatus) -> FrameRange<HostPhysical> {
        guard let range = FrameRange<HostPhysical>(alleged: first, count: pages), pages <= Self.donationLimit,
            pages & (pages &- 1) == 0, first & (pages &- 1) == 0
        else { throw .invalidParameter }
        return range
    }

    /// `HostCall.createVM`.
    mutating func createVM(
        kind: VMKind, inputBits: UInt64, first: UInt64, pages: UInt64, counterOffset: UInt64,
        on processor: some Processor
    ) throws(CallStatus) -> VMHandle {
        guard inputBits >= 32, inputBits <= hostTable.geometry.inputBits,
            let geometry = TranslationGeometry.stage2(physicalAddressBits: inputBits)
        else { throw .invalidParameter }
        let block = try block(alleged: first, pages: pages)
        guard pages > geometry.rootPages else { throw .invalidParameter }
        guard let handle = machines.free() else { throw .busy }
        try takeFromHost(block, on: processor)

        var frame = block.first
        while frame < block.end {
            processor.zeroPage(HypervisorAddressSpace.identity(frame))
            frame = frame.advanced(by: 1)
        }
        let vm = VMPage(block.first.advanced(by: geometry.rootPages))
        vm.store(.root, block.first.number, on: processor)
        vm.store(.inputBits, inputBits, on: processor)
        vm.store(.kind, kind.rawValue, on: processor)
        vm.store(
            .counterOffset, kind == .protected && !isWithout(.countersHaveNoOffset) ? 0 : counterOffset, on: processor)
        frame = vm.frame.advanced(by: 1)
        while frame < block.end {
            VMPool(vm: vm).push(frame, on: processor)
            frame = frame.advanced(by: 1)
        }
        // Walkers must find the root empty, not what the host left in it, before a vCPU runs under
        // it: nothing else may lie between here and that run.
        processor.barrier(.storesBeforeInvalidation)
        machines.fill(handle, vm.frame)
        return handle
    }

    /// The VM of a handle, as long as it is not being ended.
    func activeVM(_ handle: VMHandle, on processor: some Processor) throws(CallStatus) -> VMPage {
        guard let vm = machines[handle] else { throw .notFound }
        guard vm.phase(on: processor) == .active || isWithout(.endingMachinesAreClosed) else { throw .denied }
        return vm
    }

    /// `HostCall.donateToVM`.
    mutating func donate(
        _ range: FrameRange<HostPhysical>, to handle: VMHandle, on processor: some Processor
    ) throws(CallStatus) {
        let vm = try activeVM(handle, on: processor)
        try takeFromHost(range, on: processor)
        var frame = range.first
        while frame < range.end {
            VMPool(vm: vm).push(frame, on: processor)
            frame = frame.advanced(by: 1)
        }
    }

    /// `HostCall.createVCPU`.
    mutating func createVCPU(
        _ handle: VMHandle, index: UInt64, first: UInt64, start: VCPUStart, on processor: some Processor
    ) throws(CallStatus) {
        let vm = try activeVM(handle, on: processor)
        guard index < HostCall.maximumVCPUs else { throw .invalidParameter }
        guard vm.vcpu(index, on: processor) == nil else { throw .denied }
        try checkStart(start, of: index, in: vm, on: processor)
        let block = try block(alleged: first, pages: HostCall.pagesPerVCPU)
        try takeFromHost(block, on: processor)
        var frame = block.first
        while frame < block.end {
            processor.zeroPage(HypervisorAddressSpace.identity(frame))
            frame = frame.advanced(by: 1)
        }
        let vcpu = VCPUPage(block.first)
        vcpu.reset(entry: 0, context: 0, on: processor)
        GuestIdentity.write(to: vcpu, inputBits: vm.load(.inputBits, on: processor), on: processor)
        vcpu.store(.affinity, Self.affinity(of: index), on: processor)
        vcpu.store(.power, VCPUPage.Power(start).rawValue, on: processor)
        vm.store(.vcpus, at: index, vcpu.base.rawValue, on: processor)
    }

    /// Of a protected VM, the guest decides when its other vCPUs start; how many there are, and with
    /// which registers, is fixed before it runs.
    func checkStart(
        _ start: VCPUStart, of index: UInt64, in vm: VMPage, on processor: some Processor
    ) throws(CallStatus) {
        guard vm.kind(on: processor) == .protected, !isWithout(.startsAreTheGuests) else { return }
        guard vm.load(.hasRun, on: processor) == 0, start == .off || index == 0 else { throw .denied }
    }

    /// The affinity of a vCPU as Linux's KVM numbers it: Aff0 counts to 16, for ICC_SGI1R_EL1.
    static func affinity(of index: UInt64) -> UInt64 { index & 0xF | (index >> 4) << 8 }

    /// `HostCall.destroyVM`: one bounded step.
    mutating func destroyVM(_ handle: VMHandle, on processor: some GuestProcessor) throws(CallStatus) -> DestroyStep {
        guard let vm = machines[handle], var table = vm.table(on: processor) else { throw .notFound }
        switch vm.phase(on: processor) {
        case .active:
            guard !vm.isRunning(on: processor) || isWithout(.runsHoldMachines) else { throw .busy }
            vm.store(.phase, VMPage.Phase.unmapping.rawValue, on: processor)
            return DestroyStep(progress: .more, returned: nil)
        case .unmapping:
            guard try takeBackStep(vm, &table, handle, on: processor) else {
                return DestroyStep(progress: .more, returned: nil)
            }
            collectPages(vm, table, on: processor)
            vm.store(.phase, VMPage.Phase.returning.rawValue, on: processor)
            return DestroyStep(progress: .more, returned: nil)
        case .returning:
            guard pool.canChangeOwnership else { throw .noMemory }
            if let pages = VMPool(vm: vm).popRun(on: processor) {
                giveToHost(pages, on: processor)
                return DestroyStep(progress: .more, returned: pages)
            }
            machines.empty(handle)
            giveToHost(FrameRange(vm.frame), on: processor)
            return DestroyStep(progress: .done, returned: FrameRange(vm.frame))
        }
    }

    /// Takes at most 512 pages back from the guest; true when nothing is mapped any more.
    private mutating func takeBackStep(
        _ vm: VMPage, _ table: inout PageTable<Stage2Attributes>, _ handle: VMHandle,
        on processor: some GuestProcessor
    ) throws(CallStatus) -> Bool {
        var page = vm.load(.cursor, on: processor)
        let kind = vm.kind(on: processor)
        var budget = Self.donationLimit
        while page < table.geometry.frames, budget > 0 {
            let branch = table.branch(of: page, on: processor)
            if case .nothing(let until) = branch {
                page = until
                budget &-= Self.costOfNothing < budget ? Self.costOfNothing : budget
            } else {
                switch kind {
                case .normal: returnBranch(branch, vm, &table, page, handle, on: processor)
                case .protected: try wipeBranch(branch, vm, &table, page, handle, on: processor)
                }
                page &+= pagesPerSuperpage
                budget = 0
            }
            if page & (Level.one.entryPages &- 1) == 0 {
                withVMID(of: handle, table, on: processor) {
                    var tables = VMPool(vm: vm)
                    table.prune(before: page, tablesTo: &tables, on: processor)
                }
            }
            vm.store(.cursor, page, on: processor)
        }
        return page >= table.geometry.frames
    }

    /// Takes back all of a protected guest's pages that are below one entry of level 2.
    private mutating func wipeBranch(
        _ branch: Branch, _ vm: VMPage, _ table: inout PageTable<Stage2Attributes>, _ page: UInt64, _ handle: VMHandle,
        on processor: some GuestProcessor
    ) throws(CallStatus) {
        // The host has tables for pages that it lost singly (`takeFromHostTable`), and two blocks at most can have
        // parts in one table of the guest.
        guard pool.canChangeOwnership else { throw .noMemory }
        // The guest loses the pages before EL2 wipes them.
        withVMID(of: handle, table, on: processor) { table.cutBranch(of: page, on: processor) }
        switch branch {
        case .nothing: break
        case .block(let first): returnBlock(first, on: processor)
        case .table(let child):
            returnPages(of: child, on: processor)
            VMPool(vm: vm).push(child, on: processor)
        }
    }

    /// The root and the vCPUs' pages join the VM's unused pages; all of them go back to the host.
    private func collectPages(
        _ vm: VMPage, _ table: PageTable<Stage2Attributes>, on processor: some Processor
    ) {
        for index in 0..<table.geometry.rootPages {
            VMPool(vm: vm).push(table.root.advanced(by: index), on: processor)
        }
        for index in 0..<HostCall.maximumVCPUs {
            guard let vcpu = vm.vcpu(index, on: processor) else { continue }
            vm.store(.vcpus, at: index, 0, on: processor)
            for page in 0..<HostCall.pagesPerVCPU {
                VMPool(vm: vm).push(vcpu.frame.advanced(by: page), on: processor)
            }
        }
    }
}
