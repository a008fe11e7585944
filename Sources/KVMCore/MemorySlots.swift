// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Which memory of the process is the guest's, and where the guest sees it.

/// Pages of 4 KiB, and how many one call to EL2 takes.
public enum PageUnit {
    /// Binary logarithm of a page's bytes.
    public static let shift: UInt64 = 12
    /// Bytes of a page.
    public static let size: UInt64 = 1 << shift
    /// Most pages of one call.
    public static let perCall: UInt64 = 512
}

/// A run of guest pages.
public struct GuestRun: Equatable, Sendable {
    /// Number of the first guest frame.
    public var first: UInt64
    /// Pages; never 0.
    public var pages: UInt64

    /// A run of pages.
    public init(first: UInt64, pages: UInt64) {
        self.first = first
        self.pages = pages
    }

    /// Takes off what lies before a guest frame; false, and nothing has changed, unless that is a part of the run.
    public mutating func advance(to frame: UInt64) -> Bool {
        guard frame > first, frame &- first <= pages else { return false }
        pages &-= frame &- first
        first = frame
        return true
    }

    /// Adds the rest of the blocks of 2 MiB that the run is in, below `limit`; false if there is no more.
    public mutating func growToBlocks(limit: UInt64) -> Bool {
        let mask = PageUnit.perCall &- 1
        let start = first & ~mask
        let end = min((first &+ pages &+ mask) & ~mask, limit)
        guard start < first || end > first &+ pages else { return false }
        first = start
        pages = end &- start
        return true
    }
}

/// The part of a private-memory descriptor that is a slot's memory.
public struct PrivateSource: Equatable, BitwiseCopyable, Sendable {
    /// What the kernel knows the descriptor's memory by; never 0.
    public var object: UInt64
    /// Index of the first page.
    public var firstPage: UInt64

    /// A part by its fields.
    public init(object: UInt64, firstPage: UInt64) {
        self.object = object
        self.firstPage = firstPage
    }
}

/// One memory slot.
public struct MemorySlot: Equatable, BitwiseCopyable, Sendable {
    /// Slots that a VM can have.
    public static let capacity = 128
    /// Most pages of a slot, as on Linux.
    static let maximumPages: UInt64 = (1 << 31) - 1

    /// The process's number for it.
    public var number: UInt32
    /// The first guest frame.
    public var firstFrame: UInt64
    /// Pages; 0 in a place of the table that no slot has.
    public var pages: UInt64
    /// Address of the first page in the process.
    public var userAddress: UInt64
    /// The private memory that the guest gets instead of the process's.
    public var source: PrivateSource?

    /// A slot by its fields.
    public init(
        number: UInt32, firstFrame: UInt64, pages: UInt64, userAddress: UInt64, source: PrivateSource? = nil
    ) {
        self.number = number
        self.firstFrame = firstFrame
        self.pages = pages
        self.userAddress = userAddress
        self.source = source
    }

    /// All guest pages.
    public var run: GuestRun { GuestRun(first: firstFrame, pages: pages) }

    /// Whether the slot has a guest frame.
    public func contains(_ frame: UInt64) -> Bool { frame >= firstFrame && frame &- firstFrame < pages }

    /// Where the process has a guest frame; nil if it is not in this slot.
    public func userAddress(of frame: UInt64) -> UInt64? {
        guard contains(frame) else { return nil }
        return userAddress &+ (frame &- firstFrame) << PageUnit.shift
    }

    /// The pages around a guest frame that can be lent at once when the process has a frame by a block
    /// of 2 MiB: the whole block if guest, process and machine divide it alike and all of it is
    /// in the slot, else the page alone. As the first guest frame and how many.
    public func block(around frame: UInt64, backedBy host: UInt64, isHuge: Bool) -> GuestRun {
        let offset = frame & (PageUnit.perCall &- 1)
        let first = frame &- offset
        guard isHuge, host & (PageUnit.perCall &- 1) == offset, first >= firstFrame,
            first &+ PageUnit.perCall <= firstFrame &+ pages,
            (userAddress >> PageUnit.shift) & (PageUnit.perCall &- 1) == firstFrame & (PageUnit.perCall &- 1)
        else { return GuestRun(first: frame, pages: 1) }
        return GuestRun(first: first, pages: PageUnit.perCall)
    }

    /// The guest pages behind user addresses `start ..< end`; nil if there are none.
    func run(behind start: UInt64, _ end: UInt64) -> GuestRun? {
        guard pages > 0, source == nil else { return nil }
        let ownEnd = userAddress &+ pages << PageUnit.shift
        let from = max(start & ~(PageUnit.size &- 1), userAddress)
        let to = min(end, ownEnd)
        guard from < to else { return nil }
        let first = (from &- userAddress) >> PageUnit.shift
        // A page that is concerned in part is concerned.
        let last = (to &- 1 &- userAddress) >> PageUnit.shift
        return GuestRun(first: firstFrame &+ first, pages: last &- first &+ 1)
    }
}

/// What a change of the table means for the guest.
public enum SlotChange: Equatable, Sendable {
    /// Nothing.
    case none
    /// There is memory where nothing was.
    case added
    /// These pages are no longer where they were.
    case removed(GuestRun)
    /// The same, and the slot's part of private memory is free.
    case released(GuestRun, PrivateSource)
}

/// What a region must keep to.
public struct RegionLimits: Equatable, Sendable {
    /// Bits of a guest physical address.
    public let addressBits: UInt64
    /// The first address that is not a process's.
    public let userLimit: UInt64

    /// These limits.
    public init(addressBits: UInt64, userLimit: UInt64) {
        self.addressBits = addressBits
        self.userLimit = userLimit
    }
}

/// Memory for a VM's slots: `MemorySlot.capacity` places, too much for a kernel stack.
///
/// The places need no initial value. Nobody else writes them.
public protocol SlotStore {
    /// A place. `MemorySlots` only asks for places in `0 ..< MemorySlot.capacity`.
    subscript(place: Int) -> MemorySlot { get set }
}

/// The memory slots of a VM.
///
/// A slot keeps its place as long as it exists: a walk over the places that lets go of the lock in
/// between still meets every slot that was there all the time. What a change has taken out is met behind them
/// (`leavingRun`) until its pages are taken from the guest (`hasLeft`); there is one change at a time.
public struct MemorySlots<Store: SlotStore>: ~Copyable {
    private var places: Store
    /// Places from here on have never been used.
    public private(set) var end = 0
    // What has no place any more, and may still be mapped.
    private var leaving = MemorySlot(number: 0, firstFrame: 0, pages: 0, userAddress: 0)

    /// An empty table.
    public init(store: consuming Store) { places = store }

    /// The slot at a place; nil if there is none.
    public subscript(place place: Int) -> MemorySlot? {
        guard place >= 0, place < end, places[place].pages > 0 else { return nil }
        return places[place]
    }

    /// The first run of guest frames from `frame` on that no slot has, below `limit`; nil if there is
    /// none.
    public func gap(from frame: UInt64, limit: UInt64) -> GuestRun? {
        var first = frame
        while first < limit, let slot = slot(of: first) { first = slot.firstFrame &+ slot.pages }
        guard first < limit else { return nil }
        var next = limit
        for place in 0..<end where places[place].pages > 0 && places[place].firstFrame > first {
            next = min(next, places[place].firstFrame)
        }
        return GuestRun(first: first, pages: next &- first)
    }

    /// The slot that has a guest frame.
    public func slot(of frame: UInt64) -> MemorySlot? {
        for place in 0..<end where places[place].contains(frame) { return places[place] }
        return nil
    }

    /// The guest pages behind user addresses `start ..< end` of the slot at a place; nil if there are
    /// none, or no slot.
    public func run(at place: Int, behind start: UInt64, _ end: UInt64) -> GuestRun? {
        guard place >= 0, place < self.end else { return nil }
        return places[place].run(behind: start, end)
    }

    /// The guest pages behind user addresses `start ..< end` that a change has taken out and that the guest may still
    /// have; nil if there are none. A walk asks for them last: what it did not meet at its place is here, or has left.
    public func leavingRun(behind start: UInt64, _ end: UInt64) -> GuestRun? {
        leaving.run(behind: start, end)
    }

    /// The guest has nothing of it any more.
    public mutating func hasLeft() { leaving.pages = 0 }

    /// KVM_SET_USER_MEMORY_REGION and KVM_SET_USER_MEMORY_REGION2: creates, moves or deletes a slot. Checks and
    /// errors are Linux's; neither dirty logs nor read-only slots are offered (`ProtectedRules`).
    /// - Parameter source: the private memory that the region names.
    public mutating func change(
        _ region: MemoryRegionArgument, source: PrivateSource? = nil, limits: RegionLimits
    ) throws(LinuxError) -> SlotChange {
        let offset = PageUnit.size &- 1
        guard region.flags & ~(source == nil && region.size > 0 ? 0 : MemoryRegionArgument.privateFlag) == 0 else {
            throw .invalid
        }
        guard region.size & offset == 0, region.guestAddress & offset == 0, region.userAddress & offset == 0,
            region.userAddress <= limits.userLimit, region.size <= limits.userLimit &- region.userAddress
        else { throw .invalid }
        guard region.slot < MemorySlot.capacity else { throw .invalid }
        guard region.guestAddress &+ region.size >= region.guestAddress else { throw .invalid }
        let slot = MemorySlot(
            number: region.slot, firstFrame: region.guestAddress >> PageUnit.shift,
            pages: region.size >> PageUnit.shift, userAddress: region.userAddress, source: source)
        guard slot.pages <= MemorySlot.maximumPages else { throw .invalid }
        let old = place(of: region.slot)
        guard slot.pages > 0 else {
            guard let old else { throw .invalid }
            let run = places[old].run
            leaving = places[old]
            var gone = places[old]
            gone.pages = 0
            gone.source = nil
            let source = places[old].source
            places[old] = gone
            return source.map { .released(run, $0) } ?? .removed(run)
        }
        if let old {
            // A slot of private memory can only be deleted.
            guard source == nil, places[old].source == nil else { throw .invalid }
            guard places[old].pages == slot.pages, places[old].userAddress == slot.userAddress else { throw .invalid }
            if places[old].firstFrame == slot.firstFrame { return .none }
        }
        guard !overlaps(slot, except: old) else { throw .exists }
        // Linux' arm64 code looks at the guest's address space last, and calls it a fault.
        let frames: UInt64 = 1 << (limits.addressBits &- PageUnit.shift)
        guard slot.firstFrame < frames, slot.pages <= frames &- slot.firstFrame else { throw .fault }
        if let old {
            let run = places[old].run
            leaving = places[old]
            places[old] = slot
            return .removed(run)
        }
        // There are as many places as numbers.
        places[freePlace()] = slot
        return .added
    }

    private func place(of number: UInt32) -> Int? {
        for place in 0..<end where places[place].pages > 0 && places[place].number == number { return place }
        return nil
    }

    private func overlaps(_ slot: MemorySlot, except own: Int?) -> Bool {
        for place in 0..<end where place != own && places[place].pages > 0 {
            let other = places[place]
            if slot.firstFrame < other.firstFrame &+ other.pages, other.firstFrame < slot.firstFrame &+ slot.pages {
                return true
            }
            // Nor can one page of private memory be at two places of the guest.
            if let source = slot.source, let taken = other.source, source.object == taken.object,
                source.firstPage < taken.firstPage &+ other.pages, taken.firstPage < source.firstPage &+ slot.pages
            {
                return true
            }
        }
        return false
    }

    private mutating func freePlace() -> Int {
        for place in 0..<end where places[place].pages == 0 { return place }
        end &+= 1
        return end &- 1
    }
}
