// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Pages that change hands between the host and the hypervisor's pool.

import Arm
import HypervisorInterface
import Machine

/// What becomes of pages that the hypervisor takes from the host.
enum Taking {
    /// They join the page pool.
    case forPool
    /// They are used up: by a VM, a vCPU, tables.
    case forUse
}

extension MemoryState {
    /// The most pages that one call may donate.
    public static let donationLimit: UInt64 = 512

    /// The host gives pages to the pool. Everything is checked before anything changes.
    /// - Throws: as `takeFromHost`; but a call that gives as many pages as the pool may lack is
    ///   never refused for a lack of pages, so that the host can always help.
    mutating func topUp(
        _ range: FrameRange<HostPhysical>, on processor: some Processor
    ) throws(CallStatus) {
        try takeFromHost(range, purpose: .forPool, on: processor)
        pool.add(range, origin: .toppedUp, on: processor)
    }

    /// Makes pages of the host the hypervisor's, mapped at EL2 and of no use yet.
    /// - Throws: `invalidParameter` for too many at once; `denied` if a page is not RAM that the
    ///   host alone owns; `noMemory` if the pool has sunk below what the tables of the change may
    ///   need. Nothing has changed then.
    mutating func takeFromHost(
        _ range: FrameRange<HostPhysical>, purpose: Taking = .forUse,
        on processor: some Processor
    ) throws(CallStatus) {
        guard range.count <= Self.donationLimit else { throw .invalidParameter }
        guard map.covers(range, with: .ram, on: processor) || isWithout(.onlyMemoryIsGiven),
            range.end.address.rawValue <= HypervisorAddressSpace.identityLimit
        else { throw .denied }
        guard isWithout(.takenPagesAreExclusive) || ledger.all(range, are: .exclusiveToHost, on: processor) else {
            throw .denied
        }
        guard purpose == .forPool ? pool.canTopUp(range.count) : pool.canTake else { throw .noMemory }

        // The host loses the pages, and every TLB forgets them, before EL2 uses one.
        if !isWithout(.takenPagesLeaveHost) { takeFromHostTable(range, on: processor) }
        do throws(TableError) {
            try hypervisorTable.assign(
                InputRange(range), .identity(Stage1Attributes(.data), largest: .three), tablesFrom: &pool,
                on: processor)
        } catch {
            processor.panic("the reserve of the page pool did not suffice for a donation")
        }
        ledger.record(.hypervisor(.occupied(.toppedUp)), of: range, on: processor)
        hypervisorPages &+= range.count
    }

    /// The host gets one unused page of the pool back, zeroed.
    /// - Throws: `notFound` if the pool has none that came from the host; `noMemory` if the pool
    ///   could not make the tables.
    mutating func reclaimPool(on processor: some Processor) throws(CallStatus) -> Frame<HostPhysical> {
        guard pool.canTake, pool.freePages > PagePool.ownershipThreshold else {
            throw pool.hasToppedUpPages ? .noMemory : .notFound
        }
        guard let frame = pool.takeToppedUp(on: processor) else { throw .notFound }
        giveToHost(FrameRange(frame), on: processor)
        return frame
    }

    /// Makes pages that came from the host the host's again, zeroed. The pool can change ownership.
    mutating func giveToHost(_ frames: FrameRange<HostPhysical>, on processor: some Processor) {
        let pages = FrameRange(HypervisorAddressSpace.identity(frames.first), pages: frames.count)
        // The host may map the pages without caches: the zeroes must be in memory, and no line of
        // EL2's may be written back over the host's data later.
        processor.wipe(pages)
        processor.barrier(.cacheMaintenanceComplete)

        pool.purpose = .ownershipChange
        do throws(TableError) {
            try hypervisorTable.assign(InputRange(pages), .nothing, tablesFrom: &pool, on: processor)
            ledger.record(.exclusiveToHost, of: frames, on: processor)
            try hostTable.assign(
                InputRange(frames), .identity(Self.hostMemory, largest: .two), tablesFrom: &pool, on: processor)
        } catch {
            processor.panic("the reserve of the page pool did not suffice for a return")
        }
        hypervisorPages &-= frames.count
    }

    /// What the ledger says of a frame, as the host may know it.
    func report(_ frame: Frame<HostPhysical>, on processor: some Processor) -> PageReport {
        switch map.kind(of: frame, on: processor) {
        case .device, .deny: .notMemory
        case .firmware: .firmware
        case .ram:
            switch ledger.state(of: frame, on: processor) {
            case .host: .host
            case .hypervisor: .hypervisor
            case .guest: .guest
            }
        }
    }
}
