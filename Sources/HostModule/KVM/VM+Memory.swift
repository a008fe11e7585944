// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The guest's memory: slots, pages that the guest touches, and changes of the process's mappings.

internal import CHostKernel
internal import HostModuleCore
internal import HypervisorInterface
internal import KVMCore

extension VM {
    /// KVM_SET_USER_MEMORY_REGION2, whose memory may be a descriptor's.
    func setRegion(_ argument: PrivateRegionArgument) throws(LinuxError) {
        guard argument.isPrivate else { return try setRegion(argument.region, source: nil) }
        guard facts.kind == .protected else { throw .invalid }
        let file = try PrivateFile.open(argument.descriptor, for: handle)
        do throws(LinuxError) {
            let source = file.source(from: try argument.firstPage(of: file.pages))
            try setRegion(argument.region, source: source)
        } catch {
            file.put()
            throw error
        }
    }

    /// KVM_SET_USER_MEMORY_REGION. A slot that comes to be takes over the source's reference.
    func setRegion(_ region: MemoryRegionArgument, source: PrivateSource?) throws(LinuxError) {
        let limits = RegionLimits(addressBits: facts.addressBits, userLimit: facts.machine.userLimit)
        try withConfiguration { (configuration) throws(LinuxError) in
            let rules = ProtectedRules(facts.kind, configuration.progress)
            try rules.checkFlags(region.flags)
            // A protected guest's memory does not change under it.
            try rules.checkMakeup()
            let result = withMemory { memory -> Result<SlotChange, LinuxError> in
                do throws(LinuxError) {
                    let change = try memory.slots.change(region, source: source, limits: limits)
                    memory.invalidation.cut()
                    countSlotChange()
                    return .success(change)
                } catch {
                    return .failure(error)
                }
            }
            switch result {
            case .success(.removed(let run)):
                // Until it is done, whoever takes the process's pages away finds them here.
                unmap(run, .maySleep)
                withMemory { $0.slots.hasLeft() }
            case .success(.released(_, let source)):
                withMemory { $0.slots.hasLeft() }
                PrivateFile(source).put()
            case .success(.added), .success(.none): break
            case .failure(let error): throw error
            }
        }
    }

    /// What became of a guest's access.
    enum MapResult {
        /// The guest may try again.
        case tryAgain
        /// There is no memory at that address.
        case notMemory
    }

    /// Gives the guest the page that it touched, or the block of pages that the process has around it.
    func map(_ fault: GuestAccessFault) throws(LinuxError) -> MapResult {
        let frame = fault.address >> PageUnit.shift
        let (found, ticket) = withMemory { memory in (memory.slots.slot(of: frame), memory.invalidation.ticket) }
        guard let slot = found, let address = slot.userAddress(of: frame) else { return .notMemory }
        if facts.kind == .protected { return try donate(frame, of: slot) }
        var page = martlet_user_page()
        // Safety: the structure is this function's own.
        let error = unsafe martlet_kernel_user_page_get(address, fault.kind == .write ? 1 : 0, &page)
        guard error == 0 else {
            // A signal, or a page that is on its way: the run loop looks at signals.
            if -error == LinuxError.interrupted.rawValue || error == -11 { return .tryAgain }
            throw .fault
        }
        let isWritable = page.is_writable != 0
        // A block that is not writable may consist of pages that are each copied when written.
        let run = slot.block(around: frame, backedBy: page.frame, isHuge: page.is_huge != 0 && isWritable)
        let status = lend(run, page.frame &- (frame &- run.first), fault.kind, isWritable) { memory in
            memory.invalidation.allows(
                address &- (frame &- run.first) << PageUnit.shift, bytes: run.pages << PageUnit.shift, since: ticket)
        }
        // Safety: the reference of above.
        unsafe martlet_kernel_user_page_put(
            &page, status == CallStatus.success.rawValue && isWritable ? 1 : 0)
        switch status.map({ CallStatus(rawValue: $0) }) {
        case .none, .success: return .tryAgain
        case .noMemory:
            try donateTables(order: tableOrder)
            return .tryAgain
        // The page is EL2's or another guest's own, or is lent too often.
        case .denied: throw .fault
        default: throw LinuxError(el2: status ?? 0)
        }
    }

    /// Looks after the caches and maps pages from a host frame on; nil if they may not be mapped any more.
    private func lend(
        _ run: GuestRun, _ host: UInt64, _ kind: FaultKind, _ isWritable: Bool, if allowed: (borrowing VMMemory) -> Bool
    ) -> Int64? {
        let machine = facts.machine
        if machine.needsClean { martlet_kernel_pages_clean(host, run.pages) }
        if machine.needsFetchSync, kind == .fetch { martlet_kernel_pages_sync_fetch(host, run.pages) }
        let access = GuestAccess(after: kind, isWritable: isWritable, fetchFollowsWrites: !machine.needsFetchSync)
        return withMemory { memory -> Int64? in
            guard allowed(memory) else { return nil }
            return EL2.call(
                .mapGuest, vm: handle,
                GuestCallArguments(second: run.first, third: host, fourth: run.pages, fifth: access.rawValue)
            ).status
        }
    }

    /// 32 tables map 64 MiB in pages, and are more than any single change needs.
    var tableOrder: UInt32 { 5 }

    /// Whether the caller may sleep.
    enum Context {
        case maySleep, mustNotSleep
    }

    /// Takes pages back from the guest; afterwards it reaches none of them. EL2 says after each call how far it
    /// came, and it passes over what is not mapped.
    func unmap(_ run: GuestRun, _ context: Context) {
        var rest = run
        while rest.pages > 0 {
            let answer = EL2.call(.unmapGuest, vm: handle, GuestCallArguments(second: rest.first, third: rest.pages))
            switch CallStatus(rawValue: answer.status) {
            case .success where rest.advance(to: answer.first): break
            // EL2 has no table to split a block with, and here is no place to wait for memory. So the guest
            // loses whole blocks, and touches what it still has anew.
            case .noMemory where rest.growToBlocks(limit: frames): break
            // The VM ends, or EL2 does nothing any more.
            default: return
            }
            if context == .maySleep { martlet_kernel_pause() }
        }
    }

    /// A guest that starts anew has its caches off, or reads other instructions than before: it gets its
    /// pages again one by one, and each is looked after.
    func forgetCaches() {
        guard facts.machine.needsClean || facts.machine.needsFetchSync else { return }
        if facts.kind == .normal { unmap(behind: 0, .max, .maySleep) }
    }

    /// Takes all pages back behind user addresses `start ..< end`.
    func unmap(behind start: UInt64, _ end: UInt64, _ context: Context) {
        var place = 0
        while place < withMemory({ $0.slots.end }) {
            let run = withMemory { $0.slots.run(at: place, behind: start, end) }
            if let run { unmap(run, context) }
            place += 1
        }
        if let run = withMemory({ $0.slots.leavingRun(behind: start, end) }) { unmap(run, context) }
    }
}

/// User addresses `start ..< end` of the VM's process are about to change.
@c(martlet_kvm_invalidate_begin)
public func kvmInvalidateBegin(object: OpaquePointer, start: UInt64, end: UInt64, maySleep: UInt32) {
    let vm = unsafe VM(object)
    vm.withMemory { $0.invalidation.begin(start, end) }
    vm.unmap(behind: start, end, maySleep != 0 ? .maySleep : .mustNotSleep)
}

/// They have changed.
@c(martlet_kvm_invalidate_end)
public func kvmInvalidateEnd(object: OpaquePointer, start: UInt64, end: UInt64) {
    unsafe VM(object).withMemory { $0.invalidation.end(start, end) }
}

/// The process's memory is gone; no thread of it runs a vCPU any more.
@c(martlet_kvm_release)
public func kvmRelease(object: OpaquePointer) {
    unsafe VM(object).unmap(behind: 0, .max, .maySleep)
}
