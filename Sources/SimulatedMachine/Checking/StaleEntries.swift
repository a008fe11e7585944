// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What TLBs may still hold of translations that the tables no longer offer, and how barriers and
// TLB invalidations end it (DDI 0487, D8.14 and D8.16).

import Arm
import Machine
import TableWalker

/// A broken translation that TLBs may still hold.
struct StaleEntry {
    enum Target: Equatable {
        case leaf(Reading.Leaf)
        /// A walk cache's pointer to a table.
        case table(UInt64)
    }

    let serial: UInt64
    let regime: Regime
    let vmid: UInt16
    /// The input frames that the entry translates.
    let input: UInt64
    let pages: UInt64
    let level: UInt8
    let target: Target
    /// CPUs that may hold it.
    var cpus: UInt64
    /// It may be held as an entry of its own stage.
    var isHeld = true
    /// It may be held combined with a stage-1 translation (stage-2 only).
    var isCombined: Bool
    /// CPUs with a TLBI under way that ends `isHeld` or `isCombined`.
    var endingHeld: UInt64 = 0
    var endingCombined: UInt64 = 0
    /// The CPU that broke it, and whether its store has been published: before that a walk may
    /// fetch the old translation again, so an invalidation achieves nothing. Nil if the entry is
    /// left from a tree that nobody walks any more.
    let brokenBy: Int?
    var isPublished: Bool
    /// Only permissions were relaxed: the entry can cause an abort more, never an access more.
    let isBenign: Bool

    func covers(_ frame: UInt64) -> Bool { frame >= input && frame - input < pages }

    func overlaps(_ first: UInt64, _ count: UInt64) -> Bool {
        first < input + pages && input < first + count
    }
}

extension SimulatedMachine {
    /// Remembers a translation that a store has just ended.
    func breakTranslation(
        _ cpu: Int?, tree: Int, input: UInt64, level: UInt8, _ target: StaleEntry.Target, benign: Bool = false
    ) -> UInt64 {
        let serial = nextSerial
        nextSerial += 1
        if case .leaf(let leaf) = target, trees[tree].regime == .stage2, !benign {
            noteDeparture(leaf, pages: 1 << WalkShape.entryShift(level), of: trees[tree].vmid)
        }
        stale.append(
            StaleEntry(
                serial: serial, regime: trees[tree].regime, vmid: trees[tree].vmid,
                input: input, pages: 1 << WalkShape.entryShift(level), level: level, target: target,
                cpus: trees[tree].active | trees[tree].cached,
                isCombined: trees[tree].regime == .stage2, brokenBy: cpu,
                isPublished: cpu == nil, isBenign: benign))
        return serial
    }

    func barrier(_ cpu: Int, _ barrier: Barrier) {
        let number: UInt64 =
            switch barrier {
            case .storesBeforeInvalidation: 0
            case .invalidationComplete: 1
            case .contextSynchronisation: 2
            case .cacheMaintenanceComplete: 3
            }
        trace.record(Event(kind: .barrier, cpu: UInt8(cpu), detail: number))
        switch barrier {
        case .contextSynchronisation:
            return
        case .storesBeforeInvalidation:
            publishStores(cpu)
        case .invalidationComplete:
            completeInvalidations(cpu)
            publishStores(cpu)
        case .cacheMaintenanceComplete:
            completeInvalidations(cpu)
            publishStores(cpu)
            for index in cpus[cpu].cleaningSlots {
                memory.withState(PhysicalMemory.Slot(index: index)) { state in
                    if state.isCleaning { state.isDirtyInCache = false }
                    state.isCleaning = false
                }
                departures.finishCleaning(memory.frames[index])
            }
            cpus[cpu].cleaningSlots.removeAll(keepingCapacity: true)
        }
    }

    /// Every DSB makes this CPU's earlier stores visible to all walkers.
    private func publishStores(_ cpu: Int) {
        let bit = cpus[cpu].bit
        if !cpus[cpu].unpublishedSlots.isEmpty {
            for index in cpus[cpu].unpublishedSlots {
                memory.withState(PhysicalMemory.Slot(index: index)) { $0.unpublishedBy &= ~bit }
            }
            cpus[cpu].unpublishedSlots.removeAll(keepingCapacity: true)
        }
        if !pending.isEmpty {
            for (key, store) in pending where store.cpu == cpu {
                pending[key] = nil
                if let record = tables[key >> pageShift], trees[record.tree].regime == .hypervisor {
                    hypervisorEpoch &+= 1
                }
            }
        }
        for index in stale.indices where stale[index].brokenBy == cpu { stale[index].isPublished = true }
    }

    func invalidate(_ cpu: Int, _ kind: TLBInvalidation) {
        let bit = cpus[cpu].bit
        let vmid = cpus[cpu].vmid
        cpus[cpu].hasOutstandingInvalidation = true
        var number: UInt64 = 0
        var page: UInt64 = 0

        func mark(_ regime: Regime, page: UInt64?, held: Bool, combined: Bool) {
            for index in stale.indices
            where stale[index].regime == regime && (regime == .hypervisor || stale[index].vmid == vmid)
                && stale[index].isPublished
            {
                if let page, !stale[index].covers(page) { continue }
                if held { stale[index].endingHeld |= bit }
                // A combined entry can be put together again as long as the stage-2 entry is there,
                // so it ends only if that one is gone, or goes with the same instruction.
                if combined, held || !stale[index].isHeld { stale[index].endingCombined |= bit }
            }
        }

        switch kind {
        case .stage2(let frame):
            page = frame.number
            mark(.stage2, page: page, held: true, combined: false)
        case .combined:
            number = 1
            mark(.stage2, page: nil, held: false, combined: true)
            endBypass(cpu, vmid)
        case .wholeVMID:
            number = 2
            mark(.stage2, page: nil, held: true, combined: true)
            endBypass(cpu, vmid)
            for index in trees.indices
            where trees[index].regime == .stage2 && trees[index].vmid == vmid { trees[index].ending |= bit }
        case .hypervisor(let frame):
            number = 3
            page = frame.number
            mark(.hypervisor, page: page, held: true, combined: false)
        case .wholeHypervisor:
            number = 4
            mark(.hypervisor, page: nil, held: true, combined: false)
            for index in trees.indices where trees[index].regime == .hypervisor { trees[index].ending |= bit }
        }
        trace.record(
            Event(kind: .invalidation, cpu: UInt8(cpu), detail: number, old: UInt64(vmid), new: page))
    }

    /// A broadcast TLBI of this VMID also ends what other CPUs hold from before their stage-2.
    private func endBypass(_ cpu: Int, _ vmid: UInt16) {
        for other in cpus.indices where cpus[other].bypassVMID == vmid && cpus[other].hasStage2 {
            cpus[other].endingBypass |= cpus[cpu].bit
        }
    }

    /// A DSB ISH (or SY) after TLBIs: they have taken effect on every CPU.
    private func completeInvalidations(_ cpu: Int) {
        guard cpus[cpu].hasOutstandingInvalidation else { return }
        cpus[cpu].hasOutstandingInvalidation = false
        let bit = cpus[cpu].bit
        for index in stale.indices {
            if stale[index].endingHeld & bit != 0 { stale[index].isHeld = false }
            if stale[index].endingCombined & bit != 0 { stale[index].isCombined = false }
            stale[index].endingHeld &= ~bit
            stale[index].endingCombined &= ~bit
        }
        removeEndedEntries()
        for index in trees.indices where trees[index].ending & bit != 0 {
            trees[index].ending &= ~bit
            trees[index].cached &= trees[index].active
        }
        for other in cpus.indices where cpus[other].endingBypass & bit != 0 {
            cpus[other].endingBypass &= ~bit
            if cpus[other].hasStage2 { cpus[other].bypassVMID = nil }
        }
        dropUnusedTrees()
    }

    /// TLBI ALLE1 and ALLE2, not broadcast, with the DSB NSH and ISB that belong to them.
    func invalidateLocal(_ cpu: Int) {
        let bit = cpus[cpu].bit
        trace.record(Event(kind: .localInvalidation, cpu: UInt8(cpu)))
        cpus[cpu].translationsOf = [:]
        for index in stale.indices where stale[index].isPublished { stale[index].cpus &= ~bit }
        removeEndedEntries()
        for index in trees.indices where trees[index].active & bit == 0 { trees[index].cached &= ~bit }
        if cpus[cpu].hasStage2 { cpus[cpu].bypassVMID = nil }
        cpus[cpu].hasUnknownTLB = false
        dropUnusedTrees()
    }

    /// The MMU goes off, this CPU's EL2 entries are dropped, and the MMU comes on with another root
    /// and with SCTLR_EL2.WXN: what `Processor.adoptHypervisorRoot` promises.
    func adoptHypervisorRoot(_ cpu: Int, _ root: UInt64) {
        let bit = cpus[cpu].bit
        let sctlr = cpus[cpu][.sctlrEL2]
        writeRegister(cpu, .sctlrEL2, sctlr & ~1)
        trace.record(Event(kind: .localInvalidation, cpu: UInt8(cpu)))
        for index in stale.indices where stale[index].regime == .hypervisor { stale[index].cpus &= ~bit }
        removeEndedEntries()
        for index in trees.indices where trees[index].regime == .hypervisor { trees[index].cached &= ~bit }
        dropUnusedTrees()
        writeRegister(cpu, .ttbr0EL2, root << pageShift)
        writeRegister(cpu, .sctlrEL2, sctlr | 1 | 1 << 19)
    }

    /// Removes entries that no CPU can hold any longer, and frees the tables they kept.
    func removeEndedEntries() {
        guard !stale.isEmpty else { return }
        var ended: [UInt64] = []
        stale.removeAll { entry in
            guard entry.cpus == 0 || (!entry.isHeld && !entry.isCombined) else { return false }
            if case .table = entry.target { ended.append(entry.serial) }
            if entry.regime == .hypervisor { hypervisorEpoch &+= 1 }
            return true
        }
        guard !ended.isEmpty else { return }
        for (frame, record) in tables {
            if let serial = record.detachedBy, ended.contains(serial) { detach(frame) }
        }
    }
}
