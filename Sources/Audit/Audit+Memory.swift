// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The ledger, the host's tables and EL2's own, page by page, against what each page is.

import Arm
import HypervisorCore
import Machine
import Specification
import TableWalker

extension Audit {
    /// Compares everything with everything.
    func checkAll<P: GuestProcessor>(_ hypervisor: borrowing Hypervisor<P>, on processor: P) throws(Difference) {
        for block in blocks { try check(block..<block + 512, on: processor) }
        try checkElsewhere(on: processor)
        let own = hypervisor.ownPages(on: processor)
        let free = hypervisor.freePages(on: processor)
        if free > own { throw Difference("more pages are free than EL2 has:", free) }
        for handle in core.machines.keys { try checkGuest(handle, hypervisor, on: processor) }
        counts.all += 1
    }

    /// Compares some pages, within one 2 MiB.
    func check<P: GuestProcessor>(_ pages: Range<UInt64>, on processor: P) throws(Difference) {
        let host = try seeHost(pages, on: processor)
        let own = try seeOwn(pages, on: processor)
        counts.pages += UInt64(pages.count)
        // Most of memory is the host's alone and mapped by blocks.
        if host == .memory, own == .nothing, owners.areNeverLent(pages), areHosts(pages, on: processor) { return }
        for page in pages {
            let place = Int(truncatingIfNeeded: page & 511)
            if let host { hostSights[place] = host }
            if let own { ownSights[place] = own }
        }
        for frame in pages { try check(frame, on: processor) }
    }

    /// Whether the ledger says of each page that it is the host's and not lent.
    private func areHosts<P: GuestProcessor>(_ pages: Range<UInt64>, on processor: P) -> Bool {
        guard pages.lowerBound & 1 == 0, pages.upperBound & 1 == 0 else { return false }
        let due: UInt64 = 1 << 32 | 1
        let first = Ledger.entryAddress(of: Frame(pages.lowerBound))
        var offset: UInt64 = 0
        while offset < UInt64(pages.count) * Ledger.entrySize {
            guard processor.load64(first.advanced(by: offset)) == due else { return false }
            offset += 8
        }
        return true
    }

    private func check<P: GuestProcessor>(_ frame: UInt64, on processor: P) throws(Difference) {
        let place = Int(truncatingIfNeeded: frame & 511)
        let page: Page
        var isSunk = false
        if let owner = owners[frame] {
            page = owner.page
            if case .guest(_, .sink) = try check(owner, of: frame, on: processor) { isSunk = true }
        } else {
            page = self.page(frame)
        }
        let host = hostSights[place]
        let isRight =
            switch page {
            case .host, .firmware: host == .memory
            case .device: host == .nothing || host == .device
            case .guest: host == (isSunk ? .sink : .nothing)
            case .denied, .installed, .donated, .machine: host == .nothing
            }
        guard isRight else { throw Difference("\(page.name), not in the host's tables:", frame) }
        let isOwn: Bool =
            switch page {
            case .installed, .donated, .machine: !guards.contains(frame)
            default: false
            }
        guard (ownSights[place] == .memory) == isOwn else {
            throw Difference("\(page.name), not in EL2's tables:", frame)
        }
    }

    /// Compares one page of RAM with the ledger.
    @discardableResult
    func check<P: GuestProcessor>(_ owner: Owner, of frame: UInt64, on processor: P) throws(Difference) -> PageState {
        let seen = Ledger().state(of: Frame(frame), on: processor)
        guard owner.page.agrees(with: seen, lent: owner.lent, slot: owner.slot) else {
            throw Difference("\(owner.page.name) in the specification, not in the ledger:", frame)
        }
        return seen
    }

    /// What all of some pages are for the host; nil if not all are the same: `hostSights` has each then.
    private func seeHost<P: GuestProcessor>(_ pages: Range<UInt64>, on processor: P) throws(Difference) -> Sight? {
        var same: Sight? = .nothing
        var wrong: UInt64?
        OwnTables(processor: processor).forEachLeaf(of: hostShape, .stage2, in: pages) { input, leaf, level in
            guard let sight = sight(of: leaf, at: input) else {
                wrong = input
                return false
            }
            Self.note(sight, input..<input + 1 << WalkShape.entryShift(level), of: pages, &same, &hostSights)
            return true
        }
        if let wrong { throw Difference("the host maps in no way that is due:", wrong) }
        return same
    }

    /// Keeps what a leaf says of some pages.
    private static func note(
        _ sight: Sight, _ leaf: Range<UInt64>, of pages: Range<UInt64>, _ same: inout Sight?, _ sights: inout [Sight]
    ) {
        let covered = leaf.clamped(to: pages)
        guard covered != pages else {
            same = sight
            return
        }
        if same != nil {
            same = nil
            for page in pages { sights[Int(truncatingIfNeeded: page & 511)] = .nothing }
        }
        for page in covered { sights[Int(truncatingIfNeeded: page & 511)] = sight }
    }

    /// What a leaf of the host's tables is; nil if it is nothing that there may be.
    private func sight(of leaf: Reading.Leaf, at input: UInt64) -> Sight? {
        guard leaf.readable, leaf.writable else { return nil }
        if leaf.frame == input {
            if leaf.memory == 0b1111, leaf.executable { return .memory }
            return leaf.memory == 0b0101 && !leaf.executable ? .device : nil
        }
        // A sink is a page of EL2's that nobody executes.
        let target = page(leaf.frame)
        return !leaf.executable && (target == .installed || target == .donated) ? .sink : nil
    }

    /// What all of some pages are for EL2; nil if not all are the same: `ownSights` has each then.
    private func seeOwn<P: GuestProcessor>(_ pages: Range<UInt64>, on processor: P) throws(Difference) -> Sight? {
        var same: Sight? = .nothing
        var wrong: UInt64?
        // Behind that lies the ledger.
        let mapped = pages.clamped(to: 0..<HypervisorAddressSpace.identityLimit >> pageShift)
        OwnTables(processor: processor).forEachLeaf(of: ownShape, .hypervisor, in: mapped) { input, leaf, level in
            guard leaf.frame == input, !(leaf.writable && leaf.executable) else {
                wrong = input
                return false
            }
            Self.note(.memory, input..<input + 1 << WalkShape.entryShift(level), of: pages, &same, &ownSights)
            return true
        }
        if let wrong { throw Difference("EL2 maps in no way that is due:", wrong) }
        return same
    }

    /// What lies where there is neither RAM nor anything forbidden: devices for the host, and of EL2 the ledger.
    private func checkElsewhere<P: GuestProcessor>(on processor: P) throws(Difference) {
        var wrong: UInt64?
        let tables = OwnTables(processor: processor)
        tables.forEachLeaf(of: hostShape, .stage2, in: 0..<1 << (hostShape.inputBits - 12)) { input, leaf, _ in
            guard !isBlock(input & ~511), sight(of: leaf, at: input) != .device else { return true }
            wrong = input
            return false
        }
        if let wrong { throw Difference("the host maps what is no device:", wrong) }
        let identity = HypervisorAddressSpace.identityLimit >> pageShift
        let window = HypervisorAddressSpace.window >> pageShift
        tables.forEachLeaf(of: ownShape, .hypervisor, in: 0..<1 << 36) { input, leaf, level in
            if input < identity, isBlock(input & ~511) { return true }
            // The ledger is EL2's since the installation; the window is closed.
            let isLedger =
                input >= identity && input < window && level == 3 && !leaf.executable && page(leaf.frame) == .installed
            if !isLedger { wrong = input }
            return isLedger
        }
        if let wrong { throw Difference("EL2 maps what is not its own:", wrong) }
    }

    private func isBlock(_ first: UInt64) -> Bool {
        var low = 0
        var high = blocks.count
        while low < high {
            let middle = (low + high) / 2
            if blocks[middle] < first { low = middle + 1 } else { high = middle }
        }
        return low < blocks.count && blocks[low] == first
    }
}

extension Page {
    /// What a message calls it.
    var name: String {
        switch self {
        case .device: "a device"
        case .denied: "denied"
        case .host: "the host's"
        case .installed: "installed"
        case .donated: "donated"
        case .firmware: "firmware's"
        case .machine: "a VM's own"
        case .guest: "a guest's"
        }
    }
}
