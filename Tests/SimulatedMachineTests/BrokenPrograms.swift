// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Programs that use tables wrongly. Each breaks one rule, and the machine must name that rule.

import Arm
import Machine
import SimulatedMachine
import Testing

private let page = Bench.base + 5

let brokenPrograms: [TableProgram] = [
    TableProgram("unmapped, not invalidated", breaks: .missingInvalidation) { bench in
        bench.store(Bench.level3, 5, 0)
        bench.publish()
        bench.returnToHost()
    },
    TableProgram("TLBI before the store is published", breaks: .missingInvalidation) { bench in
        bench.store(Bench.level3, 5, 0)
        bench.cpu.invalidate(.wholeVMID)
        bench.complete()
        bench.returnToHost()
    },
    TableProgram("TLBI without a DSB behind it", breaks: .incompleteInvalidation) { bench in
        bench.store(Bench.level3, 5, 0)
        bench.publish()
        bench.cpu.invalidate(.wholeVMID)
        bench.returnToHost()
    },
    TableProgram("DSB ISHST taken for the completion of a TLBI", breaks: .incompleteInvalidation) { bench in
        bench.store(Bench.level3, 5, 0)
        bench.publish()
        bench.cpu.invalidate(.wholeVMID)
        bench.publish()
        bench.returnToHost()
    },
    TableProgram("combined entries forgotten", breaks: .missingInvalidation) { bench in
        bench.store(Bench.level3, 5, 0)
        bench.publish()
        bench.cpu.invalidate(.stage2(Frame(page)))
        bench.complete()
        bench.returnToHost()
    },
    TableProgram("combined entries invalidated before stage-2 entries are gone", breaks: .missingInvalidation) {
        bench in
        bench.store(Bench.level3, 5, 0)
        bench.publish()
        bench.cpu.invalidate(.stage2(Frame(page)))
        bench.cpu.invalidate(.combined)
        bench.complete()
        bench.returnToHost()
    },
    TableProgram("the neighbour's page invalidated", breaks: .missingInvalidation) { bench in
        bench.store(Bench.level3, 5, 0)
        bench.invalidatePage(page + 1)
        bench.returnToHost()
    },
    TableProgram("another VMID invalidated", breaks: .missingInvalidation) { bench in
        let vttbr = bench.cpu.read(.vttbrEL2)
        bench.store(Bench.level3, 5, 0)
        bench.publish()
        // The VMID changes for the TLBI, and with it what the TLBI is about.
        bench.cpu.write(.hcrEL2, 1 << 31)
        bench.cpu.write(.vttbrEL2, 4 << 48)
        bench.cpu.invalidate(.wholeVMID)
        bench.complete()
        bench.cpu.write(.vttbrEL2, vttbr)
        bench.cpu.write(.hcrEL2, 1 << 31 | 1)
        bench.returnToHost()
    },
    TableProgram("EL2's own entries invalidated for a stage-2 change", breaks: .missingInvalidation) { bench in
        bench.store(Bench.level3, 5, 0)
        bench.publish()
        bench.cpu.invalidate(.wholeHypervisor)
        bench.complete()
        bench.returnToHost()
    },
    TableProgram("output changed without a break", breaks: .missingBreak) { bench in
        bench.store(Bench.level3, 5, Bench.spare << 12 | Bench.page)
        bench.invalidateWhole()
    },
    TableProgram("memory type changed without a break", breaks: .missingBreak) { bench in
        bench.store(Bench.level3, 5, page << 12 | Bench.page & ~(0b1010 << 2))
        bench.invalidateWhole()
    },
    TableProgram("permission taken away without a break", breaks: .missingBreak) { bench in
        bench.store(Bench.level3, 5, page << 12 | Bench.page & ~(1 << 7))
        bench.invalidateWhole()
    },
    TableProgram("block replaced by a table without a break", breaks: .missingBreak) { bench in
        bench.cpu.zeroPage(Frame(Bench.spare))
        bench.publish()
        bench.store(Bench.level2, 1, Bench.spare << 12 | 3)
        bench.invalidateWhole()
    },
    TableProgram("made again before the invalidation", breaks: .makeBeforeInvalidation) { bench in
        bench.store(Bench.level3, 5, 0)
        bench.publish()
        bench.store(Bench.level3, 5, Bench.spare << 12 | Bench.page)
        bench.invalidateWhole()
    },
    TableProgram("made again between TLBI and DSB", breaks: .makeBeforeInvalidation) { bench in
        bench.store(Bench.level3, 5, 0)
        bench.publish()
        bench.cpu.invalidate(.wholeVMID)
        bench.store(Bench.level3, 5, Bench.spare << 12 | Bench.page)
        bench.complete()
    },
    TableProgram("block split with a TLBI outside the block", breaks: .makeBeforeInvalidation) { bench in
        bench.cpu.zeroPage(Frame(Bench.spare))
        bench.store(Bench.level2, 1, 0)
        bench.invalidatePage(Bench.base + 511)
        bench.store(Bench.level2, 1, Bench.spare << 12 | 3)
    },
    TableProgram("table coalesced after one page's TLBI", breaks: .makeBeforeInvalidation) { bench in
        bench.store(Bench.level2, 0, 0)
        bench.invalidatePage(page)
        bench.store(Bench.level2, 0, Bench.base << 12 | Bench.block)
    },
    TableProgram("table linked before its content is published", breaks: .unpublishedTable) { bench in
        bench.cpu.zeroPage(Frame(Bench.spare))
        bench.store(Bench.level2, 5, Bench.spare << 12 | 3)
        bench.publish()
        bench.returnToHost()
    },
    TableProgram("unlinked table zeroed before the invalidation", breaks: .tableReused) { bench in
        bench.store(Bench.level2, 0, 0)
        bench.publish()
        bench.cpu.zeroPage(Frame(Bench.level3))
        bench.invalidateWhole()
    },
    TableProgram("unlinked table written before the DSB", breaks: .tableReused) { bench in
        bench.store(Bench.level2, 0, 0)
        bench.publish()
        bench.cpu.invalidate(.wholeVMID)
        bench.store(Bench.level3, 7, 42)
        bench.complete()
    },
    TableProgram("unlinked table linked elsewhere too early", breaks: .tableReused) { bench in
        bench.store(Bench.level2, 0, 0)
        bench.publish()
        bench.store(Bench.level2, 6, Bench.level3 << 12 | 3)
        bench.invalidateWhole()
    },
    TableProgram("live table zeroed", breaks: .tableReused) { bench in
        bench.cpu.zeroPage(Frame(Bench.level3))
        bench.invalidateWhole()
    },
    TableProgram("one table linked twice", breaks: .tableLink) { bench in
        bench.store(Bench.level2, 6, Bench.level3 << 12 | 3)
        bench.publish()
    },
    TableProgram("table pointer to where no RAM is", breaks: .tableLink) { bench in
        bench.store(Bench.level2, 6, 0x10 << 12 | 3)
        bench.publish()
    },
    TableProgram("mapped, not published", breaks: .unpublishedStore) { bench in
        bench.store(Bench.level3, 300, (Bench.base + 300) << 12 | Bench.page)
        bench.returnToHost()
    },
    TableProgram("stage-2 on, what was cached before left alone", breaks: .bypassCached, stage2: false) { bench in
        bench.buildStage2()
        bench.cpu.write(.vtcrEL2, 1 << 31 | 2 << 16 | 3 << 12 | 1 << 10 | 1 << 8 | 1 << 6 | 25)
        bench.cpu.write(.vttbrEL2, Bench.root << 12)
        bench.cpu.write(.hcrEL2, 1 << 31 | 1)
        bench.returnToHost()
    },
    TableProgram("invalidated before stage-2 is on", breaks: .bypassCached, stage2: false) { bench in
        bench.buildStage2()
        bench.cpu.write(.vtcrEL2, 1 << 31 | 2 << 16 | 3 << 12 | 1 << 10 | 1 << 8 | 1 << 6 | 25)
        bench.cpu.write(.vttbrEL2, Bench.root << 12)
        bench.cpu.invalidate(.wholeVMID)
        bench.complete()
        bench.cpu.write(.hcrEL2, 1 << 31 | 1)
        bench.returnToHost()
    },
    TableProgram("another root under the same VMID", breaks: .rootReplaced) { bench in
        bench.cpu.zeroPage(Frame(Bench.spare))
        bench.publish()
        bench.cpu.write(.vttbrEL2, Bench.vmid << 48 | Bench.spare << 12)
    },
    TableProgram("a VMID that is used again with what it held before", breaks: .rootReplaced) { bench in
        for each in [bench.cpu, bench.other] { each.write(.hcrEL2, 1 << 31) }
        bench.cpu.zeroPage(Frame(Bench.spare))
        bench.publish()
        bench.cpu.write(.vttbrEL2, Bench.vmid << 48 | Bench.spare << 12)
        bench.cpu.write(.hcrEL2, 1 << 31 | 1)
    },
    TableProgram("tables changed while nobody walked them, and not invalidated", breaks: .rootReplaced) { bench in
        for each in [bench.cpu, bench.other] { each.write(.hcrEL2, 1 << 31) }
        bench.store(Bench.level3, 5, 0)
        bench.store(Bench.level3, 6, 0)
        bench.invalidatePage(page)
        for each in [bench.cpu, bench.other] { each.write(.hcrEL2, 1 << 31 | 1) }
    },
    TableProgram("stage-2 on with the TLB as power left it", breaks: .unknownTLB) { bench in
        bench.machine.powerOff(bench.other)
        bench.machine.powerOn(bench.other)
        bench.other.write(.vtcrEL2, 1 << 31 | 2 << 16 | 3 << 12 | 1 << 10 | 1 << 8 | 1 << 6 | 25)
        bench.other.write(.vttbrEL2, Bench.vmid << 48 | Bench.root << 12)
        bench.other.write(.hcrEL2, 1 << 31 | 1)
    },
    TableProgram("page given back with EL2's stores in the cache", breaks: .notCleaned) { bench in
        bench.cpu.zeroPage(Frame(Bench.base + 300))
        bench.publish()
        bench.store(Bench.level3, 300, (Bench.base + 300) << 12 | Bench.page)
        bench.publish()
        bench.returnToHost()
    },
    TableProgram("page cleaned, but the cleaning not completed", breaks: .notCleaned) { bench in
        bench.cpu.zeroPage(Frame(Bench.base + 300))
        bench.cpu.cleanAndInvalidatePage(Frame(Bench.base + 300))
        bench.complete()
        bench.store(Bench.level3, 300, (Bench.base + 300) << 12 | Bench.page)
        bench.publish()
    },
    TableProgram("the host writes to a table", breaks: .hostWroteTable) { bench in
        bench.cpu.cleanAndInvalidatePage(Frame(Bench.root))
        bench.cpu.barrier(.cacheMaintenanceComplete)
        bench.store(Bench.level3, 300, Bench.root << 12 | Bench.page)
        bench.publish()
        try? bench.machine.hostStore(bench.other, Address((Bench.base + 300) << 12), 1)
    },
    TableProgram("EL2 reaches what it has not mapped", breaks: .hypervisorAbort, stage2: false) { bench in
        bench.startHypervisorTables()
        _ = bench.load(bench.window, 0)
    },
    TableProgram("EL2 writes to what it mapped read-only", breaks: .hypervisorAbort, stage2: false) { bench in
        bench.startHypervisorTables()
        bench.store(bench.windowTable, 0, bench.windowLeaf(Bench.spare, readOnly: true))
        bench.publish()
        bench.store(bench.window, 0, 1)
    },
    TableProgram("EL2's window used before its entry is published", breaks: .hypervisorAbort, stage2: false) {
        bench in
        bench.startHypervisorTables()
        bench.store(bench.windowTable, 0, bench.windowLeaf(Bench.spare))
        bench.store(bench.window, 0, 1)
    },
    TableProgram("EL2's window moved without invalidation", breaks: .makeBeforeInvalidation, stage2: false) { bench in
        bench.startHypervisorTables()
        bench.store(bench.windowTable, 0, bench.windowLeaf(Bench.spare))
        bench.publish()
        bench.store(bench.windowTable, 0, 0)
        bench.publish()
        bench.store(bench.windowTable, 0, bench.windowLeaf(Bench.spare + 1))
        bench.publish()
    },
    TableProgram("EL2's window left open", breaks: .missingInvalidation, stage2: false) { bench in
        bench.startHypervisorTables()
        bench.store(bench.windowTable, 0, bench.windowLeaf(Bench.spare))
        bench.publish()
        bench.store(bench.windowTable, 0, 0)
        bench.publish()
        bench.cpu.invalidate(.hypervisor(Frame(bench.window + 1)))
        bench.complete()
        bench.returnToHost()
    },
    TableProgram("EL2's root replaced without invalidation", breaks: .rootReplaced, stage2: false) { bench in
        bench.startHypervisorTables()
        let copy = Bench.spare + 30
        bench.cpu.zeroPage(Frame(copy))
        bench.store(copy, 0, (Bench.spare + 31) << 12 | 3)
        bench.cpu.zeroPage(Frame(Bench.spare + 31))
        bench.store(Bench.spare + 31, 1, Bench.base << 12 | 0b11 << 8 | 1 << 10 | 1 << 6 | 1 << 54 | 1)
        bench.publish()
        bench.cpu.write(.ttbr0EL2, copy << 12)
        bench.returnToHost()
    },
    TableProgram("a register that this CPU lacks", breaks: .undefinedRegister, stage2: false) { bench in
        _ = bench.cpu.read(.zcrEL2)
    },
    TableProgram("a load across its alignment", breaks: .misaligned, stage2: false) { bench in
        _ = bench.cpu.load64(Address(0x4000_0004))
    },
    TableProgram("EL2 reaches where no RAM is", breaks: .externalAbort, stage2: false) { bench in
        _ = bench.cpu.load64(Address(0x1000))
    },
]

@Suite("Programs that use tables wrongly")
struct BrokenProgramTests {
    @Test("is caught, by name", arguments: brokenPrograms + brokenCachePrograms + brokenOrderPrograms)
    func isCaught(_ program: TableProgram) throws {
        let bench = Bench(stage2: program.hasStage2)
        #expect(bench.machine.violations.isEmpty)
        program.body(bench)
        let first = try #require(bench.machine.violations.first, "nothing was reported")
        #expect(first.rule == program.rule, "\(first)")
        #expect(!first.trace.isEmpty)
    }

    @Test("A forgotten invalidation lets another CPU go on reaching the page")
    func staleReach() {
        let bench = Bench()
        bench.store(Bench.level3, 5, 0)
        bench.publish()
        #expect(bench.reaches(page) == page)
        bench.cpu.invalidate(.stage2(Frame(page)))
        bench.complete()
        #expect(bench.reaches(page) == page, "combined entries are still there")
        bench.cpu.invalidate(.combined)
        #expect(bench.reaches(page) == page, "the TLBI may not have happened yet")
        bench.complete()
        #expect(bench.reaches(page) == nil)
        bench.returnToHost()
        #expect(bench.machine.violations.isEmpty)
    }

    @Test("A local invalidation helps the CPU that makes it, and only that one")
    func localInvalidation() {
        let bench = Bench()
        bench.store(Bench.level3, 5, 0)
        bench.publish()
        bench.other.invalidateLocalTLB()
        #expect(bench.reaches(page, on: bench.other) == nil)
        #expect(bench.reaches(page, on: bench.cpu) == page)
    }
}
