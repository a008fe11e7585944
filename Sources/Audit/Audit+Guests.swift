// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Guests' tables against what each guest must reach.

import HypervisorCore
import HypervisorInterface
import Machine
import Specification
import TableWalker

extension Audit {
    /// A VM's tables; nil while it has none: the root goes back to the host like any other page.
    func shape<P: GuestProcessor>(
        of handle: UInt64, _ hypervisor: borrowing Hypervisor<P>, on processor: P
    ) -> WalkShape? {
        guard let vm = core.machines[handle], hypervisor.hasTables(handle, on: processor) else { return nil }
        return WalkShape(guestRoot: vm.root, inputBits: vm.inputBits)
    }

    /// What a guest maps in a range, from its first page on, as its tables say.
    /// - Parameter limit: how many pages are enough.
    func read<P: GuestProcessor>(
        _ shape: WalkShape, _ pages: Range<UInt64>, limit: Int, on processor: P
    ) -> [UInt64: Specification.Machine.Mapping] {
        var found: [UInt64: Specification.Machine.Mapping] = [:]
        OwnTables(processor: processor).forEachLeaf(of: shape, .stage2, in: pages) { input, leaf, level in
            for page in (input..<input + 1 << WalkShape.entryShift(level)).clamped(to: pages) {
                guard found.count < limit else { return false }
                found[page] = leaf.mapping(from: page - input)
            }
            return true
        }
        return found
    }

    /// Compares all that a guest maps.
    func checkGuest<P: GuestProcessor>(
        _ handle: UInt64, _ hypervisor: borrowing Hypervisor<P>, on processor: P
    ) throws(Difference) {
        let due = guests[handle] ?? GuestMemory()
        guard let shape = shape(of: handle, hypervisor, on: processor) else {
            if due.pages != 0 { throw Difference("a guest lost its tables before its memory:", handle) }
            return
        }
        let seen = try sums(shape, 0..<1 << (shape.inputBits - 12), of: handle, hypervisor, on: processor)
        guard seen != due.branches else { return }
        for (branch, sum) in seen where sum != due.due(branch) { throw Self.wrong(branch) }
        for branch in due.branches.keys where seen[branch] == nil { throw Self.wrong(branch) }
    }

    /// Compares what a guest maps in 2 MiB.
    func checkBranch<P: GuestProcessor>(
        _ branch: UInt64, of handle: UInt64, _ hypervisor: borrowing Hypervisor<P>, on processor: P
    ) throws(Difference) {
        guard let shape = shape(of: handle, hypervisor, on: processor) else { return }
        let seen = try sums(shape, branch << 9..<(branch + 1) << 9, of: handle, hypervisor, on: processor)
        guard seen[branch] ?? PageSum() == guests[handle]?.due(branch) ?? PageSum() else { throw Self.wrong(branch) }
    }

    private static func wrong(_ branch: UInt64) -> Difference {
        Difference("a guest's tables are wrong in 2 MiB from", branch << 9)
    }

    private func sums<P: GuestProcessor>(
        _ shape: WalkShape, _ pages: Range<UInt64>, of handle: UInt64, _ hypervisor: borrowing Hypervisor<P>,
        on processor: P
    ) throws(Difference) -> [UInt64: PageSum] {
        guard let vm = core.machines[handle], let slot = Hypervisor<P>.slot(of: handle) else { return [:] }
        var wrong: Difference?
        var result: [UInt64: PageSum] = [:]
        var branch: UInt64 = 0
        var sum = PageSum()
        let own = Owner(.machine, slot: slot)
        let guest = Owner(.guest, slot: slot)
        OwnTables(processor: processor).forEachLeaf(of: shape, .stage2, in: pages) { table in
            if owners[table] != own { wrong = Difference("a guest's table is no page of its VM:", table) }
        } _: { input, leaf, level in
            guard leaf.readable, leaf.memory == guestMemoryType else {
                wrong = Difference("a guest maps in no way that is due:", input)
                return false
            }
            for page in (input..<input + 1 << WalkShape.entryShift(level)).clamped(to: pages) {
                let mapping = leaf.mapping(from: page - input)
                let owner = owners[mapping.frame]
                guard vm.kind == .normal ? owner?.lent ?? 0 > 0 : owner == guest else {
                    wrong = Difference("a guest maps what is not its own:", mapping.frame)
                    return false
                }
                if page >> 9 != branch {
                    if sum.pages > 0 { result[branch] = sum }
                    (branch, sum) = (page >> 9, PageSum())
                }
                sum.add(page, mapping)
                counts.guestPages += 1
            }
            return true
        }
        if let wrong { throw wrong }
        if sum.pages > 0 { result[branch] = sum }
        return result
    }
}

extension Reading.Leaf {
    /// What a page of it maps to.
    func mapping(from offset: UInt64) -> Specification.Machine.Mapping {
        var access: GuestAccess = []
        if writable { access.insert(.write) }
        if executable { access.insert(.execute) }
        return .init(frame: frame + offset, access: access)
    }
}
