// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Programs that use tables rightly. The machine must have nothing to say about them.

import Arm
import Machine
import SimulatedMachine
import Testing

private let page = Bench.base + 5

let correctPrograms: [TableProgram] = [
    TableProgram("a page is mapped") { bench in
        bench.store(Bench.level3, 300, (Bench.base + 300) << 12 | Bench.page)
        bench.publish()
        #expect(bench.reaches(Bench.base + 300) == Bench.base + 300)
    },
    TableProgram("a page is unmapped by address") { bench in
        bench.store(Bench.level3, 5, 0)
        bench.invalidatePage(page)
        #expect(bench.reaches(page) == nil)
    },
    TableProgram("several pages are unmapped, the combined entries last") { bench in
        for index in UInt64(1)..<8 { bench.store(Bench.level3, index, 0) }
        bench.publish()
        for index in UInt64(1)..<8 { bench.cpu.invalidate(.stage2(Frame(Bench.base + index))) }
        bench.complete()
        bench.cpu.invalidate(.combined)
        bench.complete()
    },
    TableProgram("many pages are unmapped with the whole VMID") { bench in
        for index in UInt64(0)..<200 { bench.store(Bench.level3, index, 0) }
        bench.invalidateWhole()
    },
    TableProgram("an output is changed by break and make") { bench in
        bench.store(Bench.level3, 5, 0)
        bench.invalidatePage(page)
        bench.store(Bench.level3, 5, (Bench.spare + 3) << 12 | Bench.page)
        bench.publish()
        #expect(bench.reaches(page) == Bench.spare + 3)
    },
    TableProgram("the same leaf comes back before anything was invalidated") { bench in
        let old = bench.load(Bench.level3, 5)
        bench.store(Bench.level3, 5, 0)
        bench.publish()
        bench.store(Bench.level3, 5, old)
        bench.publish()
    },
    TableProgram("a block is split") { bench in
        for index in 0..<UInt64(512) {
            bench.store(Bench.spare, index, (Bench.base + 512 + index) << 12 | Bench.page)
        }
        bench.store(Bench.level2, 1, 0)
        bench.invalidatePage(Bench.base + 512 + 77)
        bench.store(Bench.level2, 1, Bench.spare << 12 | 3)
        bench.publish()
        #expect(bench.reaches(Bench.base + 1000) == Bench.base + 1000)
    },
    TableProgram("a table is coalesced with the whole VMID and reused as data") { bench in
        bench.store(Bench.level2, 0, 0)
        bench.invalidateWhole()
        bench.cpu.zeroPage(Frame(Bench.level3))
        bench.cpu.cleanAndInvalidatePage(Frame(Bench.level3))
        for table in [Bench.root, Bench.level2] { bench.cpu.cleanAndInvalidatePage(Frame(table)) }
        bench.cpu.barrier(.cacheMaintenanceComplete)
        bench.store(Bench.level2, 0, Bench.base << 12 | Bench.block)
        bench.publish()
    },
    TableProgram("a table is coalesced page by page") { bench in
        bench.store(Bench.level2, 0, 0)
        bench.publish()
        for index in 0..<UInt64(512) { bench.cpu.invalidate(.stage2(Frame(Bench.base + index))) }
        bench.complete()
        bench.cpu.invalidate(.combined)
        bench.complete()
        for table in [Bench.root, Bench.level2, Bench.level3] {
            bench.cpu.cleanAndInvalidatePage(Frame(table))
        }
        bench.cpu.barrier(.cacheMaintenanceComplete)
        bench.store(Bench.level2, 0, Bench.base << 12 | Bench.block)
        bench.publish()
    },
    TableProgram("an empty table is unlinked by one address and freed") { bench in
        bench.cpu.zeroPage(Frame(Bench.spare))
        bench.publish()
        bench.store(Bench.level2, 5, Bench.spare << 12 | 3)
        bench.publish()
        bench.store(Bench.level2, 5, 0)
        bench.invalidatePage(Bench.base + 5 * 512 + 99)
        bench.store(Bench.spare, 0, 0xDEAD_BEEF)
    },
    TableProgram("permissions are given without a break") { bench in
        let bits = bench.load(Bench.level3, 5)
        bench.store(Bench.level3, 5, 0)
        bench.invalidatePage(page)
        bench.store(Bench.level3, 5, bits & ~(1 << 7))
        bench.publish()
        bench.store(Bench.level3, 5, bits)
        bench.invalidatePage(page)
    },
    TableProgram("software bits change under way") { bench in
        bench.store(Bench.level3, 5, bench.load(Bench.level3, 5) | 1 << 55)
        bench.publish()
    },
    TableProgram("an invalid entry is annotated") { bench in
        bench.store(Bench.level3, 400, 0x1230)
        bench.store(Bench.level3, 400, 0)
        bench.publish()
    },
    TableProgram("stage-2 comes on, then the CPU drops its own TLB", stage2: false) { bench in
        bench.buildStage2()
        bench.cpu.write(.vtcrEL2, 1 << 31 | 2 << 16 | 3 << 12 | 1 << 10 | 1 << 8 | 1 << 6 | 25)
        bench.cpu.write(.vttbrEL2, Bench.root << 12)
        bench.cpu.write(.hcrEL2, 1 << 31 | 1)
        bench.cpu.barrier(.contextSynchronisation)
        bench.cpu.invalidateLocalTLB()
    },
    TableProgram("a tree is left, invalidated and freed") { bench in
        bench.cpu.write(.hcrEL2, 1 << 31)
        bench.other.write(.hcrEL2, 1 << 31)
        bench.cpu.invalidate(.wholeVMID)
        bench.complete()
        for table in [Bench.root, Bench.level2, Bench.level3] { bench.cpu.zeroPage(Frame(table)) }
    },
    TableProgram("a tree is changed while nobody walks it, invalidated and used again") { bench in
        for each in [bench.cpu, bench.other] { each.write(.hcrEL2, 1 << 31) }
        bench.store(Bench.level3, 5, 0)
        bench.store(Bench.level3, 300, (Bench.base + 300) << 12 | Bench.page)
        bench.invalidatePage(page)
        for each in [bench.cpu, bench.other] { bench.enableStage2(each) }
        #expect(bench.reaches(page) == nil)
        #expect(bench.reaches(page + 1) == page + 1)
    },
    TableProgram("a VMID moves to another tree") { bench in
        for each in [bench.cpu, bench.other] { each.write(.hcrEL2, 1 << 31) }
        bench.cpu.zeroPage(Frame(Bench.spare))
        bench.publish()
        bench.cpu.invalidate(.wholeVMID)
        bench.complete()
        bench.cpu.write(.vttbrEL2, Bench.vmid << 48 | Bench.spare << 12)
        bench.enableStage2(bench.other)
        bench.cpu.write(.vttbrEL2, 9 << 48 | Bench.spare << 12)
        bench.cpu.write(.hcrEL2, 1 << 31 | 1)
        bench.cpu.barrier(.contextSynchronisation)
        bench.cpu.invalidate(.wholeVMID)
        bench.complete()
    },
    TableProgram("another tree's VMID is current while EL1 walks nothing") { bench in
        bench.cpu.write(.sctlrEL1, 1)
        bench.cpu.zeroPage(Frame(Bench.spare))
        bench.publish()
        let (vttbr, tcr) = (bench.cpu.read(.vttbrEL2), bench.cpu.read(.tcrEL1))
        bench.cpu.write(.tcrEL1, tcr | 1 << 7 | 1 << 23)
        bench.cpu.write(.vttbrEL2, 7 << 48 | (Bench.spare + 40) << 12)
        bench.cpu.invalidate(.wholeVMID)
        bench.complete()
        bench.cpu.write(.vttbrEL2, vttbr)
        bench.cpu.write(.tcrEL1, tcr)
    },
    TableProgram("a page is given back cleaned") { bench in
        bench.cpu.zeroPage(Frame(Bench.base + 300))
        bench.cpu.cleanAndInvalidatePage(Frame(Bench.base + 300))
        bench.cpu.barrier(.cacheMaintenanceComplete)
        bench.store(Bench.level3, 300, (Bench.base + 300) << 12 | Bench.page)
        bench.publish()
    },
    TableProgram("EL2's window opens, closes and moves", stage2: false) { bench in
        bench.startHypervisorTables()
        for frame in UInt64(0)..<4 {
            bench.store(bench.windowTable, 0, bench.windowLeaf(Bench.spare + frame))
            bench.publish()
            bench.store(bench.window, 1, 0x1000 + frame)
            #expect(bench.load(Bench.spare + frame, 1) == 0x1000 + frame)
            bench.store(bench.windowTable, 0, 0)
            bench.publish()
            bench.cpu.invalidate(.hypervisor(Frame(bench.window)))
            bench.complete()
        }
    },
    TableProgram("EL2 adopts another root", stage2: false) { bench in
        bench.startHypervisorTables()
        let root = Bench.spare + 30, level1 = Bench.spare + 31
        for table in [root, level1] { bench.cpu.zeroPage(Frame(table)) }
        bench.store(root, 0, level1 << 12 | 3)
        bench.store(level1, 1, Bench.base << 12 | 0b11 << 8 | 1 << 10 | 1 << 6 | 1 << 54 | 1)
        bench.publish()
        bench.cpu.adoptHypervisorRoot(Frame(root))
        // The old tables are data now.
        bench.store(Bench.spare + 16, 3, 7)
    },
    TableProgram("a CPU comes up, drops its TLB and follows") { bench in
        bench.machine.powerOff(bench.other)
        bench.store(Bench.level3, 5, 0)
        bench.invalidatePage(page)
        bench.machine.powerOn(bench.other)
        bench.other.invalidateLocalTLB()
        bench.enableStage2(bench.other)
        bench.machine.returnToHost(bench.other)
        #expect(bench.reaches(page) == nil)
    },
]

@Suite("Programs that use tables rightly")
struct CorrectProgramTests {
    @Test("is left alone", arguments: correctPrograms + correctCachePrograms + correctOrderPrograms)
    func passes(_ program: TableProgram) {
        let bench = Bench(stage2: program.hasStage2)
        program.body(bench)
        bench.returnToHost()
        #expect(
            bench.machine.violations.isEmpty, "\(bench.machine.violations.map(\.description).joined(separator: "\n"))")
    }
}
