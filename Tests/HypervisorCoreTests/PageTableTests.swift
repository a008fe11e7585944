// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Trees of tables by themselves: random assignments against a plain dictionary, with all that the
// simulated machine checks about breaks, invalidations and freed tables.

import Arm
import Machine
import SearchKit
import SimulatedMachine
import Specification
import Testing

@testable import HypervisorCore

/// Hands out zeroed pages from a range, and notices pages that come back twice or not at all.
struct CountingFrames: FrameSource {
    var free: [UInt64]
    var taken: Set<UInt64> = []

    init(_ range: Range<UInt64>) { free = range.reversed() }

    mutating func takeTable(on processor: some Processor) -> Frame<HostPhysical>? {
        guard let frame = free.popLast() else { return nil }
        taken.insert(frame)
        processor.zeroPage(Frame(frame))
        return Frame(frame)
    }

    mutating func returnTable(_ frame: Frame<HostPhysical>, on processor: some Processor) {
        #expect(taken.remove(frame.number) != nil, "a table is returned that was not taken")
        free.append(frame.number)
        // Whoever gets the page next writes to it: the machine objects if a walker may still read it.
        processor.store64(Address(frame.number << pageShift), 0xBAD)
    }
}

@Suite("Page tables")
struct PageTableTests {
    static let memory = Stage2Attributes(.writeBack, .all)
    static let device = Stage2Attributes(.nonCacheable, .data)

    /// A machine whose CPUs all live under one stage-2 tree that is being changed.
    private final class Stage2Bench {
        let machine: SimulatedMachine
        let cpu: SimulatedCPU
        var table: PageTable<Stage2Attributes>
        var frames: CountingFrames

        init(bits: UInt64, tables: UInt64 = 3000) throws {
            machine = SimulatedMachine()
            cpu = machine[cpu: 0]
            let geometry = try #require(TranslationGeometry.stage2(physicalAddressBits: bits))
            let root = Frame<HostPhysical>(0x40010)
            frames = CountingFrames(0x40100..<0x40100 + tables)
            table = PageTable(root: root, geometry: geometry, regime: .stage2)
            for each in machine.allCPUs {
                machine.powerOn(each)
                each.invalidateLocalTLB()
            }
            for page in 0..<geometry.rootPages { cpu.zeroPage(Frame(root.number + page)) }
            cpu.barrier(.storesBeforeInvalidation)
            for each in machine.allCPUs {
                each.write(.vtcrEL2, Stage2Control.bits(geometry, physicalAddressBits: bits, hasVMID16: false))
                each.write(.vttbrEL2, Stage2Base.bits(root: root, vmid: 5))
                each.write(.hcrEL2, 1 << 31 | 1)
                each.invalidateLocalTLB()
            }
        }

        func assign(_ first: UInt64, _ count: UInt64, _ mapping: Mapping<Stage2Attributes>) throws {
            try table.assign(
                InputRange(first: first, end: first + count), mapping, tablesFrom: &frames, on: cpu)
            machine.returnToHost(cpu)
        }

        /// What the host reaches, page by page, as runs.
        func expect(_ plain: [UInt64: UInt64], _ note: String) {
            let mapped = machine.hostMapping(machine[cpu: 1]) ?? []
            var pages = 0 as UInt64
            for run in mapped {
                pages += run.pages
                for page in run.input..<run.end {
                    let due = plain[page]
                    let type: UInt64 = UInt64(run.memory)
                    if due != (run.isIdentity ? type : nil) {
                        Issue.record(
                            "\(note): page \(hex(page)) maps to type \(type), due is \(String(describing: due))")
                        return
                    }
                }
            }
            #expect(pages == UInt64(plain.count), "\(note)")
            if let first = machine.violations.first { Issue.record("\(note): \(first)") }
        }
    }

    @Test("hold what was assigned to them, whatever it was", arguments: [40 as UInt64, 44, 48], Seeds.few(2))
    func random(_ bits: UInt64, _ seed: UInt64) throws {
        let bench = try Stage2Bench(bits: bits)
        var random = SeededGenerator(seed: seed)
        var plain: [UInt64: UInt64] = [:]
        for step in 0..<120 {
            // Around a border of 1 GiB, so that tables of all levels come and go.
            let border: UInt64 = 0x80000
            var first = border - 1100 + random.next() % 2200
            var count = 1 + random.next() % (random.next() % 3 == 0 ? 1100 : 40)
            if random.next() % 3 == 0 {
                first &= ~511
                count = 512 * (1 + random.next() % 2)
            }
            let mapping: Mapping<Stage2Attributes>
            switch random.next() % 5 {
            case 0, 1: mapping = .nothing
            case 2: mapping = .identity(Self.device, largest: .two)
            default: mapping = .identity(Self.memory, largest: random.next() % 4 == 0 ? .three : .two)
            }
            try bench.assign(first, count, mapping)
            for page in first..<first + count {
                switch mapping {
                case .nothing: plain[page] = nil
                case .identity(let attributes, _): plain[page] = attributes.bits >> 2 & 0xF
                case .pages: break
                }
            }
            bench.expect(plain, "seed \(seed), step \(step), \(hex(first)) + \(count), \(mapping)")
            for page in [first, first + count - 1, first - 1, first + count] {
                let found = bench.table.lookup(page, on: bench.cpu).descriptor
                #expect((found != .invalid) == (plain[page] != nil))
            }
            guard bench.machine.violations.isEmpty else { return }
        }
        try bench.assign(0x80000 - 2048, 4096 + 1024, .nothing)
        #expect(bench.frames.taken.isEmpty, "seed \(seed): \(bench.frames.taken.count) tables were not freed")
    }

    @Test("split a block for one page and put it together again")
    func splitAndCoalesce() throws {
        let bench = try Stage2Bench(bits: 44)
        try bench.assign(0x80000, 1024, .identity(Self.memory, largest: .two))
        #expect(bench.machine.hostLeaves(bench.cpu) == leaves(pages: 0, blocks: 2))
        try bench.assign(0x80007, 1, .nothing)
        #expect(bench.machine.hostLeaves(bench.cpu) == leaves(pages: 511, blocks: 1))
        #expect(bench.table.splits == 1)
        try bench.assign(0x80007, 1, .identity(Self.memory, largest: .two))
        #expect(bench.machine.hostLeaves(bench.cpu) == leaves(pages: 0, blocks: 2))
        #expect(bench.table.coalesced == 1)
        // A single device page keeps a block apart.
        try bench.assign(0x80200, 1, .identity(Self.device, largest: .two))
        try bench.assign(0x80201, 1, .identity(Self.memory, largest: .two))
        #expect(bench.machine.hostLeaves(bench.cpu) == leaves(pages: 512, blocks: 1))
        #expect(bench.machine.violations.isEmpty)
    }

    private func leaves(pages: Int, blocks: Int) -> LeafCount {
        LeafCount(pages: pages, blocks2M: blocks)
    }

    @Test("say so when tables run out, and leave nothing half done that a TLB could see")
    func outOfFrames() throws {
        let bench = try Stage2Bench(bits: 44, tables: 3)
        try bench.assign(0x80000, 512, .identity(Self.memory, largest: .two))
        #expect(bench.frames.free.count == 1)
        try bench.assign(0x80003, 1, .nothing)
        #expect(throws: TableError.outOfFrames) {
            try bench.assign(0x80400, 3, .identity(Self.memory, largest: .two))
        }
        bench.machine.returnToHost(bench.cpu)
        #expect(bench.machine.hostLeaves(bench.cpu) == leaves(pages: 511, blocks: 0))
        // Making the block whole again frees its table for the next.
        try bench.assign(0x80003, 1, .identity(Self.memory, largest: .two))
        try bench.assign(0x80400, 3, .identity(Self.memory, largest: .two))
        #expect(bench.machine.violations.isEmpty)
    }

    @Test("free all tables below one that goes, and know nothing behind their end")
    func tablesBelow() throws {
        let bench = try Stage2Bench(bits: 40)
        let gibibyte: UInt64 = 1 << 18
        // Pages at both ends of a GiB: a table of level 2, and two below it.
        try bench.assign(gibibyte, 3, .identity(Self.memory, largest: .three))
        try bench.assign(gibibyte * 2 - 3, 3, .identity(Self.memory, largest: .three))
        #expect(bench.frames.taken.count == 3)
        #expect(bench.table.lookup(gibibyte, on: bench.cpu).descriptor != .invalid)
        #expect(bench.table.lookup(gibibyte + bench.table.geometry.frames, on: bench.cpu).descriptor == .invalid)
        try bench.assign(gibibyte, gibibyte, .nothing)
        #expect(bench.frames.taken.isEmpty)
        #expect(bench.machine.violations.isEmpty)
    }

    @Test("lose an empty table above others only when no walker can follow it any more")
    func prune() throws {
        let bench = try Stage2Bench(bits: 40)
        let gibibyte: UInt64 = 1 << 18
        try bench.assign(gibibyte, 1, .identity(Self.memory, largest: .three))
        guard case .table(let child) = bench.table.branch(of: gibibyte, on: bench.cpu) else {
            Issue.record("there is no table of pages")
            return
        }
        bench.table.cutBranch(of: gibibyte, on: bench.cpu)
        bench.frames.returnTable(child, on: bench.cpu)
        bench.table.prune(before: gibibyte * 2, tablesTo: &bench.frames, on: bench.cpu)
        bench.machine.returnToHost(bench.cpu)
        #expect(bench.frames.taken.isEmpty)
        #expect(bench.machine.violations.isEmpty)
    }

    @Test("change nothing when there is nothing to change")
    func idempotence() throws {
        let bench = try Stage2Bench(bits: 44)
        try bench.assign(0x80000, 512, .identity(Self.memory, largest: .two))
        try bench.assign(0x80000, 512, .identity(Self.memory, largest: .two))
        try bench.assign(0x80011, 7, .identity(Self.memory, largest: .two))
        #expect(bench.table.splits == 0)
        try bench.assign(0x90000, 300, .nothing)
        #expect(bench.machine.violations.isEmpty)
    }

    @Test("of EL2 itself change while EL2 lives under them", arguments: Seeds.few(2))
    func hypervisor(_ seed: UInt64) throws {
        let bench = try HostBench.finalised()
        let cpu = bench.machine[cpu: 0]
        var random = SeededGenerator(seed: seed)
        var plain: [UInt64: UInt64] = [:]
        for step in 0..<80 {
            // A part of the address space that nothing uses; frames of EL2's own.
            let first: UInt64 = 1 << 34 | 500 + random.next() % 24
            let count = 1 + random.next() % 20
            let base = bench.plan.imageBase + random.next() % 400
            let isMapped = random.next() % 3 != 0
            bench.hypervisor.memory.withLock(on: cpu) { state in
                do {
                    try state.hypervisorTable.assign(
                        InputRange(first: first, end: first + count),
                        isMapped ? .pages(from: Frame(base), Stage1Attributes(.readOnly)) : .nothing,
                        tablesFrom: &state.pool, on: cpu)
                } catch {
                    Issue.record("seed \(seed), step \(step): out of tables")
                }
            }
            bench.machine.returnToHost(cpu)
            for page in 0..<count { plain[first + page] = isMapped ? base + page : nil }
            for (page, frame) in plain {
                let found = cpu.load64(Address(page << pageShift | 8))
                #expect(found == bench.machine.peek(Address(frame << pageShift | 8)))
            }
        }
        bench.expectNoViolations()
    }
}
