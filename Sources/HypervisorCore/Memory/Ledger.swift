// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The ledger: one entry of 4 bytes a page of RAM says who owns the page. Page tables are derived
// from it and never disagree with it.

public import Arm
public import Machine

/// Who owns a page, and for the hypervisor's own pages what they are used for.
public enum PageState: Equatable, Sendable {
    /// The host owns it and has lent it to normal VMs that many times.
    case host(lent: UInt32)
    /// The hypervisor owns it.
    case hypervisor(HypervisorUse)
    /// The protected guest in this slot of the VM table owns it.
    case guest(slot: UInt8, HostView)

    /// What the host finds where it lost a page.
    public enum HostView: UInt32, Sendable {
        /// Nothing: its accesses abort.
        case nothing = 0
        /// The sink: it reads what was last written there by itself.
        case sink = 1
    }

    /// What the hypervisor does with one of its pages.
    public enum HypervisorUse: Equatable, Sendable {
        /// Image, per-CPU areas, ledger, tables: in use.
        case occupied(Origin)
        /// First page of a free block of 2^order pages in the pool.
        case free(Origin, order: UInt8)
        /// A page inside a free block, not its first.
        case freeTail(Origin)
    }

    /// Where a page of the hypervisor came from.
    public enum Origin: UInt32, Sendable {
        /// One of the superpages that the hypervisor was installed with. Never given back.
        case superpage = 0
        /// Donated later; goes back to the host when it is free and the host asks.
        case toppedUp = 1
    }

    /// What one time more of lending adds to an entry.
    static let lentOnce: UInt32 = 1 << 8
    /// The most times that one page can be lent.
    public static let maximumLent: UInt32 = (1 << 24) - 1
    /// The host owns it, alone.
    public static let exclusiveToHost = PageState.host(lent: 0)

    /// The entry as it is stored.
    @inlinable
    var bits: UInt32 {
        switch self {
        case .host(let lent): 1 | lent << 8
        case .hypervisor(.occupied(let origin)): 2 | origin.rawValue << 4
        case .hypervisor(.free(let origin, let order)): 3 | origin.rawValue << 4 | UInt32(order) << 8
        case .hypervisor(.freeTail(let origin)): 4 | origin.rawValue << 4
        case .guest(let slot, let view): 5 | view.rawValue << 4 | UInt32(slot) << 8
        }
    }

    /// The state that an entry stores; nil for bits that are never written.
    @inlinable
    init?(bits: UInt32) {
        let origin: Origin = bits & (1 << 4) == 0 ? .superpage : .toppedUp
        switch bits & 0xF {
        case 1: self = .host(lent: bits >> 8)
        case 2: self = .hypervisor(.occupied(origin))
        case 3: self = .hypervisor(.free(origin, order: UInt8(truncatingIfNeeded: bits >> 8)))
        case 4: self = .hypervisor(.freeTail(origin))
        case 5:
            self = .guest(
                slot: UInt8(truncatingIfNeeded: bits >> 8), bits & (1 << 4) == 0 ? .nothing : .sink)
        default: return nil
        }
    }
}

/// The ledger's entries, reached through EL2's map of them. Entries exist for the pages of RAM
/// ranges only; a caller asks the memory map first.
public struct Ledger: Sendable {
    /// Bytes of one entry.
    public static let entrySize: UInt64 = 4

    /// The ledger; its entries are mapped by whoever owns the tables.
    @inlinable
    public init() {}

    /// Where the entry of a frame lies.
    @inlinable
    public static func entryAddress(of frame: Frame<HostPhysical>) -> Address<HypervisorVirtual> {
        Address(HypervisorAddressSpace.ledgerBase &+ frame.number &* entrySize)
    }

    /// Whether the frame is RAM. May be asked of frames that share 4 MiB with RAM: a page of the
    /// ledger describes that much, and entries of frames that are no RAM stay zero.
    @inlinable
    public func hasEntry(for frame: Frame<HostPhysical>, on processor: some Processor) -> Bool {
        processor.load32(Self.entryAddress(of: frame)) != 0
    }

    /// The state of a page of RAM.
    @inlinable
    public func state(of frame: Frame<HostPhysical>, on processor: some Processor) -> PageState {
        guard let state = PageState(bits: processor.load32(Self.entryAddress(of: frame))) else {
            processor.panic("a ledger entry holds a value that is never written")
        }
        return state
    }

    /// Records the state of a page of RAM.
    @inlinable
    public func record(_ state: PageState, of frame: Frame<HostPhysical>, on processor: some Processor) {
        processor.store32(Self.entryAddress(of: frame), state.bits)
    }

    // Entries are read and written by fours where a range has as many: two of them are an aligned doubleword, and
    // two doublewords are moved at once.

    /// Records one state for every page of a range of RAM.
    public func record(
        _ state: PageState, of range: FrameRange<HostPhysical>, on processor: some Processor
    ) {
        let pair = UInt64(state.bits) << 32 | UInt64(state.bits)
        var frame = range.first
        while frame < range.end {
            if let end = Self.endOfFours(from: frame, to: range.end) {
                var at = Self.entryAddress(of: frame)
                let last = Self.entryAddress(of: end)
                while at < last {
                    processor.storePair64(at, pair, pair)
                    at = at.advanced(by: 16)
                }
                frame = end
            } else {
                record(state, of: frame, on: processor)
                frame = frame.advanced(by: 1)
            }
        }
    }

    /// Where whole fours end that begin with a frame; nil if none does.
    private static func endOfFours(
        from frame: Frame<HostPhysical>, to end: Frame<HostPhysical>
    ) -> Frame<HostPhysical>? {
        let last = Frame<HostPhysical>(end.number & ~3)
        return frame.number & 3 == 0 && frame < last ? last : nil
    }

    /// Whether every page of a range of RAM has the given state.
    public func all(
        _ range: FrameRange<HostPhysical>, are state: PageState, on processor: some Processor
    ) -> Bool {
        let pair = UInt64(state.bits) << 32 | UInt64(state.bits)
        var frame = range.first
        while frame < range.end {
            if let end = Self.endOfFours(from: frame, to: range.end) {
                var at = Self.entryAddress(of: frame)
                let last = Self.entryAddress(of: end)
                while at < last {
                    let (first, second) = processor.loadPair64(at)
                    guard first == pair, second == pair else { return false }
                    at = at.advanced(by: 16)
                }
                frame = end
            } else {
                guard processor.load32(Self.entryAddress(of: frame)) == state.bits else { return false }
                frame = frame.advanced(by: 1)
            }
        }
        return true
    }

    /// Whether every page of a range of RAM is the host's and can be lent once more.
    func canLend(_ range: FrameRange<HostPhysical>, on processor: some Processor) -> Bool {
        var frame = range.first
        while frame < range.end {
            let bits = processor.load32(Self.entryAddress(of: frame))
            guard bits & 0xFF == PageState.exclusiveToHost.bits, bits >> 8 < PageState.maximumLent else { return false }
            frame = frame.advanced(by: 1)
        }
        return true
    }

    /// Counts pages as lent once more, of which `canLend` is true.
    func lend(_ range: FrameRange<HostPhysical>, on processor: some Processor) {
        var frame = range.first
        while frame < range.end {
            let at = Self.entryAddress(of: frame)
            processor.store32(at, processor.load32(at) &+ PageState.lentOnce)
            frame = frame.advanced(by: 1)
        }
    }

    /// Counts pages as lent once less.
    func returnLent(_ range: FrameRange<HostPhysical>, on processor: some Processor) {
        var frame = range.first
        while frame < range.end {
            let at = Self.entryAddress(of: frame)
            let bits = processor.load32(at)
            guard bits & 0xFF == PageState.exclusiveToHost.bits, bits >> 8 > 0 else {
                processor.panic("a guest had a page that the ledger does not call lent")
            }
            processor.store32(at, bits &- PageState.lentOnce)
            frame = frame.advanced(by: 1)
        }
    }
}
