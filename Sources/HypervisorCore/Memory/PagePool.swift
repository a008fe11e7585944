// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The hypervisor's page pool: a buddy allocator. A free block's order stands in the ledger; its
// list links stand in the block's own first page.

public import Arm
public import Machine

/// Free pages of the hypervisor, in blocks of 2^0…2^9 pages.
///
/// Pages that came with the installation and pages that the host donated later are kept apart and
/// never merge: the latter can go back to the host.
public struct PagePool: ~Copyable, Sendable {
    /// The largest block: 2 MiB.
    public static let maximumOrder: UInt8 = 9
    /// The most table pages that one change of ownership can need: two for the host's stage-2, six
    /// for EL2's own tables or three for the window.
    static let worstChange: UInt64 = 8
    /// Pages that device mappings leave alone.
    public static let reserve: UInt64 = 16
    /// Free pages below which ownership does not change, so that two changes more are possible.
    static let ownershipThreshold: UInt64 = reserve + worstChange

    /// The most table pages that the host's device mappings may hold.
    public static let deviceTableLimit: UInt64 = 64

    /// What a page is allocated for.
    public enum Purpose: Sendable {
        /// Tables of a donation or a return, which may use the reserve.
        case ownershipChange
        /// Tables for the host's device mappings, which have a limit of their own.
        case deviceMapping
        /// Tables for sinks where the host lost pages. Donations have left pages for them.
        case sink
    }

    private let ledger: Ledger
    /// What `takeTable` is asked for at the moment.
    public var purpose: Purpose = .ownershipChange
    /// Table pages taken for device mappings since they were last dropped.
    private var deviceTables: UInt64 = 0
    private var heads: InlineArray<32, UInt64> = InlineArray(repeating: 0)
    /// Pages that nothing uses.
    public private(set) var freePages: UInt64 = 0
    /// Pages that are kept for sinks, so that nothing but a return takes them.
    private var keptForSinks: UInt64 = 0

    /// An empty pool.
    public init(ledger: Ledger) { self.ledger = ledger }

    // A link is a frame number plus one; 0 ends a list. Orders are at most 9, so that the mask changes none.
    private static func slot(_ origin: PageState.Origin, _ order: UInt8) -> Int {
        (origin == .superpage ? 0 : 16) | Int(order & 15)
    }

    private func nextLink(_ frame: Frame<HostPhysical>) -> Address<HypervisorVirtual> {
        HypervisorAddressSpace.identity(frame.address)
    }

    private func previousLink(_ frame: Frame<HostPhysical>) -> Address<HypervisorVirtual> {
        HypervisorAddressSpace.identity(frame.address).advanced(by: 8)
    }

    private mutating func push(
        _ frame: Frame<HostPhysical>, _ origin: PageState.Origin, _ order: UInt8, on processor: some Processor
    ) {
        let slot = Self.slot(origin, order)
        let head = heads[slot]
        processor.store64(nextLink(frame), head)
        processor.store64(previousLink(frame), 0)
        if head != 0 { processor.store64(previousLink(Frame(head &- 1)), frame.number &+ 1) }
        heads[slot] = frame.number &+ 1
        ledger.record(.hypervisor(.free(origin, order: order)), of: frame, on: processor)
    }

    private mutating func remove(
        _ frame: Frame<HostPhysical>, _ origin: PageState.Origin, _ order: UInt8, on processor: some Processor
    ) {
        let next = processor.load64(nextLink(frame))
        let previous = processor.load64(previousLink(frame))
        if previous == 0 {
            heads[Self.slot(origin, order)] = next
        } else {
            processor.store64(nextLink(Frame(previous &- 1)), next)
        }
        if next != 0 { processor.store64(previousLink(Frame(next &- 1)), previous) }
    }

    /// Adds pages that the hypervisor owns, that it has mapped and that nothing uses.
    public mutating func add(
        _ range: FrameRange<HostPhysical>, origin: PageState.Origin, on processor: some Processor
    ) {
        var frame = range.first
        while frame < range.end {
            ledger.record(.hypervisor(.freeTail(origin)), of: frame, on: processor)
            frame = frame.advanced(by: 1)
        }
        frame = range.first
        while frame < range.end {
            free(frame, order: 0, origin: origin, on: processor)
            frame = frame.advanced(by: 1)
        }
    }

    /// Puts a block into its list, merged with its buddies as long as they are free.
    private mutating func free(
        _ block: Frame<HostPhysical>, order: UInt8, origin: PageState.Origin, on processor: some Processor
    ) {
        freePages &+= 1 << UInt64(order)
        var frame = block
        var order = order
        while order < Self.maximumOrder {
            let buddy = Frame<HostPhysical>(frame.number ^ (1 << UInt64(order)))
            // The buddy lies in the same 2 MiB, so its entry lies in the same page of the ledger
            // and can be read; the entry of a frame that is no RAM is zero.
            guard ledger.hasEntry(for: buddy, on: processor),
                ledger.state(of: buddy, on: processor) == .hypervisor(.free(origin, order: order))
            else { break }
            remove(buddy, origin, order, on: processor)
            ledger.record(.hypervisor(.freeTail(origin)), of: buddy, on: processor)
            ledger.record(.hypervisor(.freeTail(origin)), of: frame, on: processor)
            frame = frame < buddy ? frame : buddy
            order &+= 1
        }
        push(frame, origin, order, on: processor)
    }

    private mutating func take(
        _ origin: PageState.Origin, on processor: some Processor
    ) -> Frame<HostPhysical>? {
        var order: UInt8 = 0
        while order <= Self.maximumOrder {
            let head = heads[Self.slot(origin, order)]
            if head != 0 {
                let frame = Frame<HostPhysical>(head &- 1)
                remove(frame, origin, order, on: processor)
                // Split: the upper halves go back to the lists below.
                while order > 0 {
                    order &-= 1
                    push(frame.advanced(by: 1 << UInt64(order)), origin, order, on: processor)
                }
                freePages &-= 1
                ledger.record(.hypervisor(.occupied(origin)), of: frame, on: processor)
                return frame
            }
            order &+= 1
        }
        return nil
    }

    /// Whether tables for one more ownership change can be had.
    public var canChangeOwnership: Bool { freePages >= Self.ownershipThreshold }

    /// The pages that sinks can need while guests own so many pages. The host may touch all of them: then each
    /// 2 MiB needs a table, and the sink is a page too.
    private static func sinks(guestPages: UInt64) -> UInt64 {
        guestPages == 0 ? 0 : (guestPages &+ pagesPerSuperpage &- 1) / pagesPerSuperpage &+ 1
    }

    /// Guests own so many pages from now on.
    mutating func keepForSinks(_ guestPages: UInt64) { keptForSinks = Self.sinks(guestPages: guestPages) }

    /// Whether tables for one more ownership change can be had, and what is kept for sinks stays.
    var canTake: Bool { freePages >= Self.ownershipThreshold &+ keptForSinks }

    /// The same when guests own so many pages.
    func canChangeOwnership(withGuestPages guestPages: UInt64) -> Bool {
        freePages >= Self.ownershipThreshold &+ Self.sinks(guestPages: guestPages)
    }

    /// Whether so many pages can join the pool. A donation of `reserve` pages or more gives back
    /// more than its tables take, so it only needs those tables; the threshold above keeps them.
    func canTopUp(_ count: UInt64) -> Bool {
        freePages >= Self.worstChange && (count >= Self.reserve || canChangeOwnership)
    }

    /// Whether any free page came from the host.
    public var hasToppedUpPages: Bool {
        var order: UInt8 = 0
        while order <= Self.maximumOrder {
            if heads[Self.slot(.toppedUp, order)] != 0 { return true }
            order &+= 1
        }
        return false
    }

    /// All device mappings are gone, and with them their tables.
    public mutating func forgetDeviceTables() { deviceTables = 0 }

    /// Takes one free page that the host donated earlier; nil if there is none.
    public mutating func takeToppedUp(on processor: some Processor) -> Frame<HostPhysical>? {
        take(.toppedUp, on: processor)
    }
}

extension PagePool: FrameSource {
    /// A zeroed page for the current purpose; pages that can never go back to the host come first.
    public mutating func takeTable(on processor: some Processor) -> Frame<HostPhysical>? {
        switch purpose {
        case .ownershipChange: break
        case .sink: guard freePages > Self.reserve else { return nil }
        case .deviceMapping:
            guard freePages > Self.reserve &+ keptForSinks, deviceTables < Self.deviceTableLimit else { return nil }
            deviceTables &+= 1
        }
        // Pages that can never go back to the host are used first.
        guard let frame = take(.superpage, on: processor) ?? take(.toppedUp, on: processor) else { return nil }
        processor.zeroPage(HypervisorAddressSpace.identity(frame))
        return frame
    }

    /// Takes a page back.
    public mutating func returnTable(_ frame: Frame<HostPhysical>, on processor: some Processor) {
        guard case .hypervisor(.occupied(let origin)) = ledger.state(of: frame, on: processor) else {
            processor.panic("a page was returned to the pool that was not in use")
        }
        free(frame, order: 0, origin: origin, on: processor)
    }
}
