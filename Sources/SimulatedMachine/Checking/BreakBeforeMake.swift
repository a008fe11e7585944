// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a store to a live table means (DDI 0487, D8.16.1): a break, a make, a relaxation that needs
// neither, or a mistake. Stricter than the manual in one point: taking permissions away without a
// break is a mistake here too, because this project never wants it.

import Arm
import TableWalker

extension SimulatedMachine {
    /// A word of a page that walkers may read as a table has changed.
    func tableStore(_ cpu: Int, frame: UInt64, index: Int, old: UInt64, new: UInt64) {
        guard old != new, let record = tables[frame] else { return }
        let address = frame << pageShift | UInt64(index) << 3
        trace.record(Event(kind: .tableStore, cpu: UInt8(cpu), detail: address, old: old, new: new))

        // Walkers read the old word until this CPU's DSB; if several stores are under way, the
        // oldest value is the one that is certainly still around.
        if pending[address] == nil { pending[address] = PendingStore(old: old, cpu: cpu) }
        if trees[record.tree].regime == .hypervisor { hypervisorEpoch &+= 1 }

        guard record.detachedBy == nil else {
            report(
                .tableReused, cpu: cpu,
                "a store to \(hex(address)), in a table that walks may still reach until its invalidation completes")
            return
        }
        let level = record.level
        let regime = trees[record.tree].regime
        let input = record.input + UInt64(index) << WalkShape.entryShift(level)
        let before = Reading(old, level: level, regime: regime)
        let after = Reading(new, level: level, regime: regime)
        switch (before, after) {
        case (.fault, .fault):
            break
        case (.fault, _):
            make(cpu, record, input: input, after, address: address)
        case (_, .fault):
            breakEntry(cpu, record, input: input, before)
        case (.leaf(let was), .leaf(let now)) where was.isRelaxed(to: now):
            if was != now {
                _ = breakTranslation(cpu, tree: record.tree, input: input, level: level, .leaf(was), benign: true)
            }
            if regime == .stage2 { checkGiven(cpu, now, pages: 1 << WalkShape.entryShift(level), tree: record.tree) }
        case (.table(let was, let limits), .table(let now, let newLimits)) where was == now && limits == newLimits:
            break
        default:
            report(
                .missingBreak, cpu: cpu,
                "\(hex(address)) changes from \(hex(old)) to \(hex(new)) at level \(level) without a break")
            breakEntry(cpu, record, input: input, before)
            make(cpu, record, input: input, after, address: address, isReported: .already)
        }
    }

    private enum Reported { case notYet, already }

    private func make(
        _ cpu: Int, _ record: TableRecord, input: UInt64, _ reading: Reading, address: UInt64,
        isReported: Reported = .notYet
    ) {
        let pages: UInt64 = 1 << WalkShape.entryShift(record.level)
        let regime = trees[record.tree].regime
        // What may still be cached for these pages is harmless only if it is the very same leaf.
        var conflict: StaleEntry?
        stale.removeAll { entry in
            guard entry.regime == regime, entry.vmid == trees[record.tree].vmid, entry.overlaps(input, pages)
            else { return false }
            if case .leaf(let leaf) = reading, entry.target == .leaf(leaf), entry.level == record.level {
                return true
            }
            if !entry.isBenign { conflict = entry }
            return false
        }
        if let conflict, isReported == .notYet {
            report(
                .makeBeforeInvalidation, cpu: cpu,
                "\(hex(address)) is made valid for page \(hex(input)) while \(describe(conflict))")
        }
        switch reading {
        case .fault: break
        case .leaf(let leaf):
            if regime == .stage2 { checkGiven(cpu, leaf, pages: pages, tree: record.tree) }
        case .table(let next, _):
            attach(cpu, next, tree: record.tree, level: record.level + 1, input: input)
        }
    }

    private func breakEntry(_ cpu: Int, _ record: TableRecord, input: UInt64, _ reading: Reading) {
        switch reading {
        case .fault: break
        case .leaf(let leaf):
            _ = breakTranslation(cpu, tree: record.tree, input: input, level: record.level, .leaf(leaf))
        case .table(let frame, _):
            // A walk cache holds the pointer for the whole range that it covers.
            let serial = breakTranslation(
                cpu, tree: record.tree, input: input, level: record.level, .table(frame))
            breakBelow(cpu, frame, serial)
        }
    }

    /// All that a table offered is broken with the pointer to it, and each part of it may be cached
    /// by itself.
    private func breakBelow(_ cpu: Int, _ frame: UInt64, _ serial: UInt64) {
        guard var record = tables[frame], record.detachedBy == nil, let slot = memory.existingSlot(frame) else {
            return
        }
        record.detachedBy = serial
        tables[frame] = record
        for index in 0..<512 {
            let word = memory.word(slot, index)
            guard word & 1 == 1 else { continue }
            let input = record.input + UInt64(index) << WalkShape.entryShift(record.level)
            switch Reading(word, level: record.level, regime: trees[record.tree].regime) {
            case .fault: break
            case .leaf(let leaf):
                _ = breakTranslation(cpu, tree: record.tree, input: input, level: record.level, .leaf(leaf))
            case .table(let next, _):
                let inner = breakTranslation(
                    cpu, tree: record.tree, input: input, level: record.level, .table(next))
                breakBelow(cpu, next, inner)
            }
        }
    }

    func describe(_ entry: StaleEntry) -> String {
        let what =
            switch entry.target {
            case .leaf(let leaf): "the leaf to frame \(hex(leaf.frame))"
            case .table(let frame): "the pointer to the table at frame \(hex(frame))"
            }
        let held =
            switch (entry.isHeld, entry.isCombined) {
            case (true, _): entry.regime == .hypervisor ? "EL2's" : "stage-2"
            case (false, _): "combined"
            }
        return "\(what) for \(entry.pages) pages from \(hex(entry.input)) may be in \(held) TLB entries"
    }

    /// EL2 returns to the host on a CPU: everything that the CPU began must be complete.
    public func returnToHost(_ cpu: SimulatedCPU) {
        let index = cpu.index
        let state = cpus[index]
        trace.record(Event(kind: .hostReturn, cpu: UInt8(index)))
        expectNoLocks(index, at: "a return to the host")
        if state.hasOutstandingInvalidation {
            report(.incompleteInvalidation, cpu: index, "a TLBI has no DSB behind it")
        }
        if let (address, _) = pending.first(where: { $0.value.cpu == index }) {
            report(.unpublishedStore, cpu: index, "the store to the live table word at \(hex(address)) has no DSB")
        }
        if let entry = stale.first(where: { $0.brokenBy == index && !$0.isBenign }) {
            report(.missingInvalidation, cpu: index, "\(describe(entry))")
        }
        if state.hasStage2, state.bypassVMID != nil {
            report(.bypassCached, cpu: index, "the host may run on translations made before its stage-2")
        }
        if let tree = trees.first(where: {
            $0.regime == .hypervisor && $0.cached & state.bit != 0 && $0.active & state.bit == 0
        }) {
            report(.rootReplaced, cpu: index, "EL2's TLB may hold entries of the tree at \(hex(tree.shape.root << 12))")
        }
        if let entry = stale.first(where: {
            $0.regime == .hypervisor && $0.brokenBy == nil && $0.cpus & state.bit != 0
        }) {
            report(.rootReplaced, cpu: index, "\(describe(entry))")
        }
    }
}
