// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Loads and stores of EL2: translated by EL2's own stage-1 as its tables in memory say, checked,
// and, for stores to live tables, handed to the break-before-make rules.

import Arm
import TableWalker

extension SimulatedMachine {
    /// The slot that EL2 reaches at a virtual address; nil, and a report, if it may not.
    @inline(__always)
    func translate(_ cpu: Int, _ address: UInt64, writing: Bool) -> PhysicalMemory.Slot? {
        let page = address >> pageShift
        let cached = cpus[cpu].walks[Int(page & 63)]
        if cached.page == page, cached.epoch == hypervisorEpoch, cached.writable || !writing {
            return PhysicalMemory.Slot(index: cached.slot)
        }
        return translateSlowly(cpu, address, writing: writing)
    }

    private func translateSlowly(_ cpu: Int, _ address: UInt64, writing: Bool) -> PhysicalMemory.Slot? {
        let page = address >> pageShift
        var frame = page
        var writable = true
        if cpus[cpu].hasStage1 {
            guard let tree = cpus[cpu].hypervisorTree else {
                report(.hypervisorAbort, cpu: cpu, "EL2 data abort at \(hex(address)): no legal root")
                return nil
            }
            let result = walk(tree, page)
            guard case .leaf(let leaf, _) = result else {
                report(
                    .hypervisorAbort, cpu: cpu,
                    "EL2 data abort at \(hex(address)): \(result) in the tree at \(hex(trees[tree].shape.root << 12))")
                return nil
            }
            frame = leaf.frame
            // SCTLR_EL2.WXN makes every writable page execute-never; it never takes write away.
            writable = leaf.writable
            guard writable || !writing else {
                report(.hypervisorAbort, cpu: cpu, "EL2 writes to the read-only page at \(hex(address))")
                return nil
            }
            checkStaleHypervisorTranslation(cpu, page, leaf)
        }
        guard let slot = memory.slot(frame) else {
            report(
                .externalAbort, cpu: cpu,
                "EL2 reaches physical address \(hex(frame << 12)), where there is no RAM, at \(hex(address))")
            return nil
        }
        cpus[cpu].walks[Int(page & 63)] = CPUState.CachedWalk(
            page: page, epoch: hypervisorEpoch, frame: frame, slot: slot.index, writable: writable)
        return slot
    }

    /// Reports an access that a stale entry, or another tree that is still cached, would send
    /// elsewhere.
    private func checkStaleHypervisorTranslation(_ cpu: Int, _ page: UInt64, _ leaf: Reading.Leaf) {
        let bit = cpus[cpu].bit
        for entry in stale where entry.regime == .hypervisor && entry.cpus & bit != 0 {
            guard entry.covers(page), case .leaf(let old) = entry.target else { continue }
            if old.frame + (page - entry.input) != leaf.frame || (old.writable != leaf.writable && !entry.isBenign) {
                report(
                    .staleHypervisorTranslation, cpu: cpu,
                    "page \(hex(page)) may still be translated to frame \(hex(old.frame + (page - entry.input)))")
            }
        }
        for index in trees.indices where trees[index].regime == .hypervisor && trees[index].cached & bit != 0 {
            guard index != cpus[cpu].hypervisorTree, case .leaf(let old, _) = walk(index, page) else { continue }
            if old.frame != leaf.frame {
                report(
                    .staleHypervisorTranslation, cpu: cpu,
                    "page \(hex(page)) may still be translated by the tree at \(hex(trees[index].shape.root << 12))")
            }
        }
    }

    func load(_ cpu: Int, _ address: UInt64, size: UInt64) -> UInt64 {
        guard address & (size - 1) == 0 else {
            report(.misaligned, cpu: cpu, "load of \(size) bytes at \(hex(address))")
            return 0
        }
        guard let slot = translate(cpu, address, writing: false) else { return 0 }
        let word = memory.word(slot, Int(address & 0xFFF) >> 3)
        if order != nil { orderLoad(cpu, memory.frames[slot.index] << pageShift | address & 0xFF8) }
        if size == 8 { return word }
        return address & 4 == 0 ? word & 0xFFFF_FFFF : word >> 32
    }

    func store(_ cpu: Int, _ address: UInt64, _ value: UInt64, size: UInt64) {
        guard address & (size - 1) == 0 else {
            report(.misaligned, cpu: cpu, "store of \(size) bytes at \(hex(address))")
            return
        }
        guard let slot = translate(cpu, address, writing: true) else { return }
        let index = Int(address & 0xFFF) >> 3
        let old = memory.word(slot, index)
        var new = value
        if size == 4 {
            new =
                address & 4 == 0
                ? old & 0xFFFF_FFFF_0000_0000 | value : old & 0xFFFF_FFFF | value << 32
        }
        storeWord(cpu, slot, index, old: old, new: new)
        markDirty(cpu, slot)
    }

    /// A page that is a table only of trees that nobody walks can be written like any other.
    private func settleIfUnused(_ slot: PhysicalMemory.Slot) {
        guard memory.states[slot.index].isTable, let record = tables[memory.frames[slot.index]],
            trees[record.tree].active == 0
        else { return }
        settle(record.tree)
    }

    private func storeWord(_ cpu: Int, _ slot: PhysicalMemory.Slot, _ index: Int, old: UInt64, new: UInt64) {
        settleIfUnused(slot)
        if order != nil { orderStore(cpu, memory.frames[slot.index] << pageShift | UInt64(index) << 3) }
        writtenWords?.append(memory.frames[slot.index] << pageShift | UInt64(index) << 3)
        memory.setWord(slot, index, new)
        if memory.states[slot.index].isTable {
            tableStore(cpu, frame: memory.frames[slot.index], index: index, old: old, new: new)
        }
    }

    private func markDirty(_ cpu: Int, _ slot: PhysicalMemory.Slot, isWholePage: Bool = false) {
        let bit: UInt64 = 1 << UInt64(cpu)
        let isFirst = memory.withState(slot) { state in
            // A CPU that overwrites the whole page has got it from the others in an orderly way; of
            // what they stored, nothing can be seen behind its own stores.
            if isWholePage { state.unpublishedBy &= bit }
            state.isDirtyInCache = true
            state.isCleaning = false
            defer { state.unpublishedBy |= bit }
            return state.unpublishedBy & bit == 0
        }
        if isFirst { cpus[cpu].unpublishedSlots.append(slot.index) }
    }

    func zeroPage(_ cpu: Int, _ address: UInt64) {
        guard let slot = translate(cpu, address, writing: true) else { return }
        let frame = memory.frames[slot.index]
        settleIfUnused(slot)
        order?.storePage(frame, by: cpu)
        writtenWords?.append(frame << pageShift)
        if memory.states[slot.index].isTable {
            report(.tableReused, cpu: cpu, "page \(hex(frame)) is zeroed while walkers may read it as a table")
            for index in 0..<512 {
                storeWord(cpu, slot, index, old: memory.word(slot, index), new: 0)
            }
        } else {
            memory.zero(slot)
        }
        markDirty(cpu, slot, isWholePage: true)
    }

    func cleanPage(_ cpu: Int, _ address: UInt64) {
        guard let slot = translate(cpu, address, writing: false) else { return }
        memory.withState(slot) { $0.isCleaning = true }
        cleanDeparted(memory.frames[slot.index])
        cpus[cpu].cleaningSlots.append(slot.index)
    }
}
