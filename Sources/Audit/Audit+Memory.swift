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
        try seeHost(pages, on: processor)
        try seeOwn(pages, on: processor)
        for frame in pages { try check(frame, on: processor) }
        counts.pages += UInt64(pages.count)
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

    private func seeHost<P: GuestProcessor>(_ pages: Range<UInt64>, on processor: P) throws(Difference) {
        for page in pages { hostSights[Int(truncatingIfNeeded: page & 511)] = .nothing }
        var wrong: UInt64?
        OwnTables(processor: processor).forEachLeaf(of: hostShape, .stage2, in: pages) { input, leaf, level in
            guard let sight = sight(of: leaf, at: input) else {
                wrong = input
                return false
            }
            for page in (input..<input + 1 << WalkShape.entryShift(level)).clamped(to: pages) {
                hostSights[Int(truncatingIfNeeded: page & 511)] = sight
            }
            return true
        }
        if let wrong { throw Difference("the host maps in no way that is due:", wrong) }
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

    private func seeOwn<P: GuestProcessor>(_ pages: Range<UInt64>, on processor: P) throws(Difference) {
        for page in pages { ownSights[Int(truncatingIfNeeded: page & 511)] = .nothing }
        var wrong: UInt64?
        // Behind that lies the ledger.
        let pages = pages.clamped(to: 0..<HypervisorAddressSpace.identityLimit >> pageShift)
        OwnTables(processor: processor).forEachLeaf(of: ownShape, .hypervisor, in: pages) { input, leaf, level in
            guard leaf.frame == input, !(leaf.writable && leaf.executable) else {
                wrong = input
                return false
            }
            for page in (input..<input + 1 << WalkShape.entryShift(level)).clamped(to: pages) {
                ownSights[Int(truncatingIfNeeded: page & 511)] = .memory
            }
            return true
        }
        if let wrong { throw Difference("EL2 maps in no way that is due:", wrong) }
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
