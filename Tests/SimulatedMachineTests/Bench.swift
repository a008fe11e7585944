// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A small machine with hand-written tables, for programs that use the architecture rightly or
// wrongly. Descriptors are written here as bare bits on purpose: these tests judge the judge.

import Arm
import Machine
import SimulatedMachine
import Testing

/// A two-CPU machine whose host has a stage-2, and short words for what table code does.
///
/// Stage-2: 39 bits from level 1, VMID 3. Input 0x4000_0000 and following:
/// a table at level 2 with entry 0 = table of 512 pages (pages 0…255 mapped), entry 1 = 2 MiB
/// block, entry 2 = 2 MiB block, the rest invalid.
/// EL2's MMU is off unless `startHypervisorTables` is called.
struct Bench {
    let machine: SimulatedMachine
    let cpu: SimulatedCPU
    let other: SimulatedCPU

    static let root: UInt64 = 0x40010
    static let level2: UInt64 = 0x40011
    static let level3: UInt64 = 0x40012
    /// Pages that no table uses.
    static let spare: UInt64 = 0x40020
    static let vmid: UInt64 = 3
    /// First page of the host's RAM that the tables map.
    static let base: UInt64 = 0x40000

    static let page: UInt64 = 0b11 | 0b1111 << 2 | 0b11 << 6 | 0b11 << 8 | 1 << 10
    static let block: UInt64 = 0b01 | 0b1111 << 2 | 0b11 << 6 | 0b11 << 8 | 1 << 10

    init(stage2: Bool = true) {
        machine = SimulatedMachine()
        cpu = machine[cpu: 0]
        other = machine[cpu: 1]
        for each in machine.allCPUs {
            machine.powerOn(each)
            each.invalidateLocalTLB()
        }
        guard stage2 else { return }
        buildStage2()
        for each in machine.allCPUs { enableStage2(each) }
    }

    func buildStage2() {
        for table in [Self.root, Self.level2, Self.level3] { cpu.zeroPage(Frame(table)) }
        store(Self.root, 1, Self.level2 << 12 | 3)
        store(Self.level2, 0, Self.level3 << 12 | 3)
        store(Self.level2, 1, (Self.base + 512) << 12 | Self.block)
        store(Self.level2, 2, (Self.base + 1024) << 12 | Self.block)
        for index in 0..<UInt64(256) where !(0x10...0x2F).contains(index) {
            store(Self.level3, index, (Self.base + index) << 12 | Self.page)
        }
        cpu.barrier(.storesBeforeInvalidation)
    }

    func enableStage2(_ on: SimulatedCPU) {
        on.write(.vtcrEL2, 1 << 31 | 2 << 16 | 3 << 12 | 1 << 10 | 1 << 8 | 1 << 6 | 25)
        on.write(.vttbrEL2, Self.vmid << 48 | Self.root << 12)
        on.write(.hcrEL2, 1 << 31 | 1)
        on.barrier(.contextSynchronisation)
        on.invalidate(.wholeVMID)
        on.barrier(.invalidationComplete)
    }

    /// EL2's stage-1: four levels, identity for 2 MiB blocks of all RAM, and a table of pages at
    /// `window`, all invalid.
    func startHypervisorTables() {
        let root = Self.spare + 16, level1 = Self.spare + 17, level2 = Self.spare + 18
        for table in [root, level1, level2, windowTable] { cpu.zeroPage(Frame(table)) }
        store(root, 0, level1 << 12 | 3)
        store(level1, 1, level2 << 12 | 3)
        for index in 0..<UInt64(32) {
            store(level2, index, (Self.base + index * 512) << 12 | 0b11 << 8 | 1 << 10 | 1 << 6 | 1 << 54 | 1)
        }
        store(level2, 100, windowTable << 12 | 3)
        cpu.barrier(.storesBeforeInvalidation)
        cpu.write(.tcrEL2, 1 << 31 | 1 << 23 | 4 << 16 | 3 << 12 | 1 << 10 | 1 << 8 | 16)
        cpu.write(.ttbr0EL2, root << 12)
        cpu.write(.sctlrEL2, 1)
        cpu.barrier(.contextSynchronisation)
    }

    var windowTable: UInt64 { Self.spare + 19 }
    /// Virtual page of the window's entry 0.
    var window: UInt64 { 0x40000 + 100 * 512 }
    /// A leaf of the window: data, or read-only.
    func windowLeaf(_ frame: UInt64, readOnly: Bool = false) -> UInt64 {
        frame << 12 | 0b11 << 8 | 1 << 10 | 1 << 6 | (readOnly ? 1 << 7 : 0) | 1 << 54 | 3
    }

    func store(_ table: UInt64, _ index: UInt64, _ value: UInt64) {
        cpu.store64(Address(table << 12 | index << 3), value)
    }

    func load(_ table: UInt64, _ index: UInt64) -> UInt64 {
        cpu.load64(Address(table << 12 | index << 3))
    }

    func publish() { cpu.barrier(.storesBeforeInvalidation) }
    func complete() { cpu.barrier(.invalidationComplete) }

    /// The whole sequence for one stage-2 leaf that was made invalid.
    func invalidatePage(_ page: UInt64) {
        publish()
        cpu.invalidate(.stage2(Frame(page)))
        complete()
        cpu.invalidate(.combined)
        complete()
    }

    func invalidateWhole() {
        publish()
        cpu.invalidate(.wholeVMID)
        complete()
    }

    /// Whether the host's CPU can reach a page.
    func reaches(_ page: UInt64, on: SimulatedCPU? = nil) -> UInt64? {
        machine.hostAccess(on ?? other, Address(page << 12), .write).frame?.number
    }

    func returnToHost() { machine.returnToHost(cpu) }
}

/// A program with a name.
struct TableProgram: CustomTestStringConvertible, Sendable {
    let name: String
    let rule: Violation.Rule?
    let hasStage2: Bool
    let body: @Sendable (Bench) -> Void

    init(
        _ name: String, breaks rule: Violation.Rule? = nil, stage2: Bool = true,
        _ body: @escaping @Sendable (Bench) -> Void
    ) {
        self.name = name
        self.rule = rule
        hasStage2 = stage2
        self.body = body
    }

    var testDescription: String { name }
}
