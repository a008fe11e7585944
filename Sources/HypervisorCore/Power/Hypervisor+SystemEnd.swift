// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The host ends the machine. Before firmware hears of it, what protected guests had is gone from memory: whatever
// starts next would find it otherwise, and it may have no hypervisor.

import Arm
import HypervisorInterface
import Machine

extension Hypervisor {
    /// How often EL2 looks whether guests have stopped. One that has lost its memory stops at its next
    /// instruction, so that this is long.
    private static var looks: Int { 4096 }

    /// SYSTEM_OFF and SYSTEM_RESET (DEN0022, sections 5.10 and 5.11).
    ///
    /// - Returns: firmware's answer. It does not come unless firmware refuses; protected guests never go on then.
    func endSystem(_ call: PSCIFunction, on processor: P) -> UInt64 {
        var looks = 0
        while true {
            let answer: UInt64? = memory.withLock(on: processor) { state in
                if !isWithout(.endsWipeGuests) {
                    looks &+= 1
                    guard state.stopGuests(again: looks > 1, on: processor) || looks >= Self.looks else { return nil }
                    state.wipeGuests(on: processor)
                }
                // The lock is held over the call: meanwhile nobody makes a guest or gives it memory, and of the
                // protected ones none runs.
                return processor.callFirmware(FirmwareRegisters(FunctionID(call.rawValue))).x0
            }
            if let answer { return answer }
        }
    }
}

extension MemoryState {
    /// Ends all protected guests. One that runs on another CPU finds no memory any more, and so leaves.
    ///
    /// - Parameter again: those that are over have been seen to already.
    /// - Returns: whether none runs.
    mutating func stopGuests(again: Bool, on processor: some GuestProcessor) -> Bool {
        var isQuiet = true
        var slot: UInt64 = 0
        while slot < HostCall.maximumVMs {
            // Of one that is on its way back to the host nothing runs, and its root may be the host's already.
            if let (handle, vm) = machines.machine(in: slot), vm.kind(on: processor) == .protected,
                vm.phase(on: processor) != .returning, let table = vm.table(on: processor)
            {
                if !again || vm.load(.isOver, on: processor) == 0 {
                    vm.end(on: processor)
                    withVMID(of: handle, table, on: processor) { table.cutRoot(on: processor) }
                }
                // All are looked at: who keeps a claim of one loses it.
                if vm.isRunning(on: processor) { isQuiet = false }
            }
            slot &+= 1
        }
        return isQuiet
    }

    /// Zeroes, in memory, the registers of protected guests and all pages that the ledger says they own. Their
    /// tables are of no use any more.
    mutating func wipeGuests(on processor: some Processor) {
        var slot: UInt64 = 0
        while slot < HostCall.maximumVMs {
            if let (_, vm) = machines.machine(in: slot), vm.kind(on: processor) == .protected {
                wipeRegisters(of: vm, on: processor)
            }
            slot &+= 1
        }
        var index = 0
        while guestPages > 0, let entry = map.entry(index, on: processor) {
            if entry.kind == .ram { wipeGuests(in: entry.range, on: processor) }
            index &+= 1
        }
        processor.barrier(.cacheMaintenanceComplete)
    }

    /// They are in the vCPUs' pages; when these are on their way back to the host, among the VM's unused ones.
    private func wipeRegisters(of vm: VMPage, on processor: some Processor) {
        var index: UInt64 = 0
        while index < HostCall.maximumVCPUs {
            if let vcpu = vm.vcpu(index, on: processor) {
                // If firmware refuses, a CPU that has not left it has the claim still.
                let runner = vcpu.load(.runner, on: processor)
                processor.wipe(FrameRange(vcpu.base.frame, pages: HostCall.pagesPerVCPU))
                vcpu.store(.runner, runner, on: processor)
            }
            index &+= 1
        }
        if vm.phase(on: processor) != .returning { return }
        while let pages = VMPool(vm: vm).popRun(on: processor) {
            processor.wipe(FrameRange(HypervisorAddressSpace.identity(pages.first), pages: pages.count))
        }
    }

    private mutating func wipeGuests(in range: FrameRange<HostPhysical>, on processor: some Processor) {
        var frame = range.first
        while frame < range.end {
            let first = frame
            var count: UInt64 = 0
            // Fewer than a block at once: no table is needed but the window's own.
            while frame < range.end, count < pagesPerSuperpage / 2, ledger.isGuests(frame, on: processor) {
                count &+= 1
                frame = frame.advanced(by: 1)
            }
            if count > 0 {
                let window = openWindow(FrameRange(first, pages: count), on: processor)
                processor.wipe(window)
                closeWindow(window, on: processor)
            } else {
                frame = frame.advanced(by: 1)
            }
        }
    }
}

extension Ledger {
    /// Whether a protected guest owns a page of RAM.
    fileprivate func isGuests(_ frame: Frame<HostPhysical>, on processor: some Processor) -> Bool {
        if case .guest = PageState(bits: processor.load32(Self.entryAddress(of: frame))) { return true }
        return false
    }
}

extension PageTable {
    /// Takes everything out of the tree. No CPU uses any of it when the call returns.
    fileprivate func cutRoot(on processor: some Processor) {
        var index: UInt64 = 0
        while index < geometry.rootPages &* entriesPerTable {
            processor.store64(HypervisorAddressSpace.identity(root.address).advanced(by: index &* 8), 0)
            index &+= 1
        }
        invalidateAll(on: processor)
    }
}
