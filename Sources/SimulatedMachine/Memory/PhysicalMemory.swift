// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The RAM of the simulated machine: sparse, one slot for each page that was ever touched. A page
// that nobody wrote holds junk, so that code which forgets to zero a page is found out.

import Arm

/// RAM as 4 KiB pages that come into being when they are first touched. A class, because a copy of
/// it would never be meant.
final class PhysicalMemory {
    /// What the machine remembers of a page besides its words.
    struct PageState {
        /// Live tables reach this page: its words are descriptors that a walker may read.
        var isTable = false
        /// EL2 wrote to the page since it was last cleaned to the point of coherency.
        var isDirtyInCache = false
        /// `isDirtyInCache` was cleaned, but the barrier that completes the cleaning is missing.
        var isCleaning = false
        /// CPUs whose latest stores to this page no barrier has made visible to walkers yet.
        var unpublishedBy: UInt64 = 0
    }

    /// Where a page is kept.
    struct Slot { let index: Int }

    private let regions: [FrameRange<HostPhysical>]
    /// For each superpage of the address space, its place in `chunks`, or -1.
    private var superpages: [Int32]
    /// 512 slot numbers for each touched superpage; -1 where the page was never touched.
    private var chunks: [Int32] = []
    private var words: [UInt64] = []
    private(set) var states: [PageState] = []
    /// What words held before, in the order in which they changed; only kept while somebody may want to go back.
    private var changes: [Change] = []
    private(set) var keepsChanges = false

    private struct Change {
        var place: Int
        var old: UInt64
    }

    private(set) var frames: [UInt64] = []

    /// RAM at the given ranges.
    init(_ regions: [FrameRange<HostPhysical>]) {
        self.regions = regions
        let end = regions.map { $0.end.number }.max() ?? 0
        superpages = Array(repeating: -1, count: Int((end + pagesPerSuperpage - 1) / pagesPerSuperpage))
    }

    /// Whether there is RAM at `frame`.
    func contains(_ frame: UInt64) -> Bool {
        for region in regions where frame >= region.first.number && frame < region.end.number {
            return true
        }
        return false
    }

    /// The slot of a page that was touched before, or nil.
    func existingSlot(_ frame: UInt64) -> Slot? {
        let superpage = Int(truncatingIfNeeded: frame >> 9)
        guard superpage < superpages.count, superpages[superpage] >= 0 else { return nil }
        let slot = chunks[Int(superpages[superpage]) + Int(frame & 511)]
        return slot >= 0 ? Slot(index: Int(slot)) : nil
    }

    /// The slot of a page of RAM; nil if there is no RAM at `frame`.
    func slot(_ frame: UInt64) -> Slot? {
        if let slot = existingSlot(frame) { return slot }
        guard contains(frame) else { return nil }
        let superpage = Int(frame >> 9)
        if superpages[superpage] < 0 {
            superpages[superpage] = Int32(chunks.count)
            chunks.append(contentsOf: repeatElement(-1, count: 512))
        }
        let index = states.count
        chunks[Int(superpages[superpage]) + Int(frame & 511)] = Int32(index)
        states.append(PageState())
        frames.append(frame)
        words.append(contentsOf: Self.junkPage)
        return Slot(index: index)
    }

    /// What every word of an untouched page holds: it looks like a valid descriptor of somewhere.
    private static let junk: UInt64 = 0xDEAD_9E37_79B9_7403
    private static let junkPage = [UInt64](repeating: junk, count: 512)
    private static let zeroPage = [UInt64](repeating: 0, count: 512)

    /// Makes all words of a page zero.
    func zero(_ slot: Slot) {
        if keepsChanges {
            for place in slot.index << 9..<(slot.index + 1) << 9 where words[place] != 0 {
                changes.append(Change(place: place, old: words[place]))
            }
        }
        words.replaceSubrange(slot.index << 9..<(slot.index + 1) << 9, with: Self.zeroPage)
    }

    func word(_ slot: Slot, _ index: Int) -> UInt64 { words[slot.index << 9 | index] }

    func setWord(_ slot: Slot, _ index: Int, _ value: UInt64) {
        let place = slot.index << 9 | index
        if keepsChanges { changes.append(Change(place: place, old: words[place])) }
        words[place] = value
    }

    func state(_ slot: Slot) -> PageState { states[slot.index] }

    func withState<Result>(_ slot: Slot, _ body: (inout PageState) -> Result) -> Result {
        body(&states[slot.index])
    }

    /// The word at a physical address that is a multiple of 8; junk or nothing is never created.
    func peek(_ address: UInt64) -> UInt64? {
        guard contains(address >> pageShift) else { return nil }
        guard let slot = existingSlot(address >> pageShift) else { return Self.junk }
        return word(slot, Int(address & 0xFFF) >> 3)
    }

    /// What is needed to come back to a moment.
    struct Moment {
        fileprivate let changes: Int
        fileprivate let states: [PageState]
    }

    /// Remembers this moment.
    func mark() -> Moment {
        keepsChanges = true
        return Moment(changes: changes.count, states: states)
    }

    /// All words are what they were at a moment, which must lie before all others that are still wanted.
    /// Pages touched since then hold junk again.
    func goBack(to moment: Moment) {
        while changes.count > moment.changes {
            let change = changes.removeLast()
            words[change.place] = change.old
        }
        let touched = states.count
        states = moment.states
        if states.count < touched {
            states.append(contentsOf: repeatElement(PageState(), count: touched - states.count))
        }
    }
}
