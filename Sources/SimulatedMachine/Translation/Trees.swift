// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Which trees are live: which CPUs' registers point to a root with translation on, which CPUs may
// still hold entries of a root that they left, and which pages are tables of such a tree.

import Arm
import TableWalker

extension SimulatedMachine {
    /// Looks at a CPU's registers after one that matters was written.
    func updateTrees(_ cpu: Int) {
        let state = cpus[cpu]
        var hypervisorShape: WalkShape?
        if state.isOn, state.hasStage1 {
            hypervisorShape = WalkShape(ttbr: state[.ttbr0EL2], tcr: state[.tcrEL2])
        }
        let before = state.hypervisorTree
        state.hypervisorTree = move(cpu, from: before, to: hypervisorShape, .hypervisor, vmid: 0)
        if state.hypervisorTree != before || hypervisorShape == nil { hypervisorEpoch &+= 1 }

        var stage2Shape: WalkShape?
        if state.isOn, state.hasStage2, !state.hasWalksOff {
            stage2Shape = WalkShape(vttbr: state[.vttbrEL2], vtcr: state[.vtcrEL2])
        }
        state.stage2Tree = move(cpu, from: state.stage2Tree, to: stage2Shape, .stage2, vmid: state.vmid)

        if state.isOn, !state.hasStage2 {
            // EL1 and EL0 run without stage-2; what they cache carries this VMID (D8.14.4).
            state.bypassVMID = state.vmid
        }
        if state.isOn, state.hasUnknownTLB, state.hasStage1 || state.hasStage2 {
            report(
                .unknownTLB, cpu: cpu,
                "translation is turned on, but the TLB was not invalidated since the CPU got its power")
            state.hasUnknownTLB = false
        }
    }

    private func move(_ cpu: Int, from old: Int?, to shape: WalkShape?, _ regime: Regime, vmid: UInt16) -> Int? {
        let bit = cpus[cpu].bit
        if let old {
            let tree = trees[old]
            if let shape, tree.shape == shape, tree.vmid == vmid { return old }
            trees[old].active &= ~bit
        }
        guard let shape else { return nil }

        for index in trees.indices
        where trees[index].isTracked && trees[index].regime == regime && trees[index].vmid == vmid
            && trees[index].shape != shape
        {
            if trees[index].active == 0 {
                settle(index)
            } else if regime == .stage2 {
                report(
                    .rootReplaced, cpu: cpu,
                    "VMID \(vmid) gets the root at \(hex(shape.root << 12)) while another CPU uses it with the root at \(hex(trees[index].shape.root << 12))"
                )
            }
        }
        if let index = trees.firstIndex(where: {
            $0.isTracked && $0.regime == regime && $0.shape == shape && $0.vmid == vmid
        }) {
            trees[index].active |= bit
            trees[index].cached |= bit
            return index
        }
        var tree = Tree(regime: regime, shape: shape, vmid: vmid)
        tree.active = bit
        tree.cached = bit
        let index = trees.firstIndex { $0.isDropped } ?? trees.count
        if index == trees.count { trees.append(tree) } else { trees[index] = tree }
        for page in 0..<shape.rootPages {
            let covered = page << (WalkShape.entryShift(shape.startLevel) + 9)
            attach(cpu, shape.root + page, tree: index, level: shape.startLevel, input: covered)
        }
        checkLeftovers(cpu, index)
        return index
    }

    /// Nobody walks a tree any more, and its pages are about to become something else, or its VMID
    /// another tree's. All that it offered may still be cached, and is so remembered.
    func settle(_ index: Int) {
        let regime = trees[index].regime
        for (frame, record) in tables where record.tree == index {
            guard record.detachedBy == nil, let slot = memory.existingSlot(frame) else { continue }
            for place in 0..<512 {
                let word = memory.word(slot, place)
                guard word & 1 == 1 else { continue }
                let input = record.input + UInt64(place) << WalkShape.entryShift(record.level)
                switch Reading(word, level: record.level, regime: regime) {
                case .fault: break
                case .table(let next, _):
                    _ = breakTranslation(nil, tree: index, input: input, level: record.level, .table(next))
                case .leaf(let leaf):
                    _ = breakTranslation(nil, tree: index, input: input, level: record.level, .leaf(leaf))
                }
            }
        }
        trees[index].active = 0
        trees[index].cached = 0
        dropUnusedTrees()
    }

    /// A tree comes into use: what its VMID's entries may still hold must be what it says itself.
    private func checkLeftovers(_ cpu: Int, _ index: Int) {
        let tree = trees[index]
        guard tree.regime == .stage2 else { return }
        var isReported = false
        stale.removeAll { entry in
            guard entry.regime == .stage2, entry.vmid == tree.vmid, !entry.isBenign else { return false }
            switch entry.target {
            case .leaf(let old):
                if case .leaf(let new, let level) = walk(index, entry.input), new == old, level == entry.level {
                    trees[index].cached |= entry.cpus
                    return true
                }
            case .table(let frame):
                if let record = tables[frame], record.tree == index, record.input == entry.input,
                    record.level == entry.level + 1
                {
                    trees[index].cached |= entry.cpus
                    return true
                }
            }
            if entry.cpus & cpus[cpu].bit != 0, !isReported {
                isReported = true
                report(
                    .rootReplaced, cpu: cpu,
                    "VMID \(tree.vmid) is used with the root at \(hex(tree.shape.root << 12)), but \(describe(entry))")
            }
            return false
        }
    }

    /// Registers a page as a live table, and all tables below it.
    func attach(_ cpu: Int, _ frame: UInt64, tree: Int, level: UInt8, input: UInt64) {
        guard let slot = memory.slot(frame) else {
            report(.tableLink, cpu: cpu, "a table at frame \(hex(frame)), where there is no RAM")
            return
        }
        if let record = tables[frame] {
            if record.detachedBy != nil {
                report(.tableReused, cpu: cpu, "frame \(hex(frame)) is linked again before its invalidation completed")
            } else {
                report(.tableLink, cpu: cpu, "frame \(hex(frame)) is linked as a table twice")
            }
            if record.tree == tree { return }
        }
        if memory.state(slot).unpublishedBy != 0 {
            report(
                .unpublishedTable, cpu: cpu,
                "frame \(hex(frame)) becomes reachable as a table before a DSB has published its content")
        }
        tables[frame] = TableRecord(tree: tree, level: level, input: input)
        memory.withState(slot) { $0.isTable = true }
        let regime = trees[tree].regime
        for index in 0..<UInt64(512) {
            let word = memory.word(slot, Int(index))
            guard word & 1 == 1 else { continue }
            let first = input + index << WalkShape.entryShift(level)
            switch Reading(word, level: level, regime: regime) {
            case .fault: break
            case .table(let next, _): attach(cpu, next, tree: tree, level: level + 1, input: first)
            case .leaf(let leaf):
                if regime == .stage2 { checkGiven(cpu, leaf, pages: 1 << WalkShape.entryShift(level), tree: tree) }
            }
        }
    }

    /// Forgets a page as a table.
    func detach(_ frame: UInt64) {
        tables[frame] = nil
        if let slot = memory.existingSlot(frame) { memory.withState(slot) { $0.isTable = false } }
        // The page's words are no longer descriptors; nothing of them is pending for a walker.
        if !pending.isEmpty {
            for key in pending.keys where key >> pageShift == frame { pending[key] = nil }
        }
    }

    /// Drops trees that no CPU uses or may have cached.
    func dropUnusedTrees() {
        for index in trees.indices where !trees[index].isTracked && !trees[index].isDropped {
            trees[index].isDropped = true
            hypervisorEpoch &+= 1
            for (frame, record) in tables where record.tree == index { detach(frame) }
        }
    }

    /// A host leaf became valid: what EL2 itself wrote there must have left the caches, because the
    /// host may map the page non-cacheable (D8.6.5 only ever makes a type stricter).
    func checkGiven(_ cpu: Int, _ leaf: Reading.Leaf, pages: UInt64, tree: Int) {
        guard configuration.checksCacheMaintenance else { return }
        // With HCR_EL2.FWB and such a leaf nobody reads or writes around the caches. Whoever maps it for a guest does
        // that with the host's HCR_EL2; the guest's entry sees whether the bit is set then (`noteEntry`).
        if leaf.isForcedWriteBack {
            if cpus[cpu][.hcrEL2] >> 46 & 1 == 1 { return }
            if features.hasForcedWriteBack, trees[tree].vmid != 0 {
                trees[tree].needsForcedWriteBack = true
                return
            }
        }
        checkDepartures(cpu, leaf, pages: pages, for: trees[tree].vmid)
        func check(_ index: Int) {
            guard memory.states[index].isDirtyInCache else { return }
            report(
                .notCleaned, cpu: cpu,
                "frame \(hex(memory.frames[index])) is mapped for the host, and EL2's stores to it may be in a cache only"
            )
            memory.withState(PhysicalMemory.Slot(index: index)) { $0.isDirtyInCache = false }
        }
        if pages <= 512 {
            for frame in leaf.frame..<leaf.frame + pages {
                if let slot = memory.existingSlot(frame) { check(slot.index) }
            }
        } else {
            for (index, frame) in memory.frames.enumerated()
            where frame >= leaf.frame && frame < leaf.frame + pages { check(index) }
        }
    }
}
