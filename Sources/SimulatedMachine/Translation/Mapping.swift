// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// All that a CPU's live tables map, read from memory as a walker would: for tests that compare the
// tables really written with what they should say.

public import Arm
public import TableWalker

/// A run of input pages that live tables map to consecutive frames with equal attributes.
public struct MappedRun: Equatable, Sendable {
    /// The first input page.
    public let input: UInt64
    /// The frame that it maps to.
    public let frame: UInt64
    /// How many pages follow one another.
    public internal(set) var pages: UInt64
    /// Loads are allowed.
    public let readable: Bool
    /// Stores are allowed.
    public let writable: Bool
    /// Fetches are allowed.
    public let executable: Bool
    /// MemAttr (stage-2) or AttrIndx (stage-1).
    public let memory: UInt8

    /// Whether every page maps to the frame of its own number.
    public var isIdentity: Bool { input == frame }
    /// The page behind the last.
    public var end: UInt64 { input + pages }
}

/// How many leaves of each size a tree has.
public struct LeafCount: Equatable, Sendable {
    /// Leaves of level 3.
    public internal(set) var pages: Int
    /// Leaves of level 2.
    public internal(set) var blocks2M: Int
    /// Leaves of level 1.
    public internal(set) var blocks1G: Int

    /// A count.
    public init(pages: Int = 0, blocks2M: Int = 0, blocks1G: Int = 0) {
        self.pages = pages
        self.blocks2M = blocks2M
        self.blocks1G = blocks1G
    }
}

extension SimulatedMachine {
    /// What the host's stage-2 maps on a CPU; nil while it has none.
    public func hostMapping(_ cpu: SimulatedCPU) -> [MappedRun]? {
        cpus[cpu.index].stage2Tree.map { mapping($0) }
    }

    /// What EL2's stage-1 maps on a CPU; nil while its MMU is off.
    public func hypervisorMapping(_ cpu: SimulatedCPU) -> [MappedRun]? {
        cpus[cpu.index].hypervisorTree.map { mapping($0) }
    }

    /// What a stage-2 maps, given as VTTBR_EL2 and VTCR_EL2 would have it, whether it is in use or
    /// not; nil for a combination that no walk accepts.
    public func stage2Mapping(vttbr: UInt64, vtcr: UInt64) -> [MappedRun]? {
        guard let shape = WalkShape(vttbr: vttbr, vtcr: vtcr) else { return nil }
        return mapping(shape, .stage2)
    }

    /// The leaves of a stage-2 that reach into some input pages, one by one, as `stage2Mapping`.
    /// - Returns: the frames of the tables that were read.
    @discardableResult
    public func visitStage2(
        vttbr: UInt64, vtcr: UInt64, pages: Range<UInt64>, _ body: (MappedRun) -> Void
    ) -> [UInt64] {
        guard let shape = WalkShape(vttbr: vttbr, vtcr: vtcr) else { return [] }
        return visitStage2(shape, pages: pages, body)
    }

    /// The same for a root and a shape.
    @discardableResult
    public func visitStage2(_ shape: WalkShape, pages: Range<UInt64>, _ body: (MappedRun) -> Void) -> [UInt64] {
        visitLeaves(shape, .stage2, pages, body)
    }

    /// The leaves of EL2's stage-1 on a CPU that reach into some input pages.
    public func visitHypervisor(_ cpu: SimulatedCPU, pages: Range<UInt64>, _ body: (MappedRun) -> Void) {
        guard let tree = cpus[cpu.index].hypervisorTree else { return }
        visitLeaves(trees[tree].shape, .hypervisor, pages, body)
    }

    @discardableResult
    private func visitLeaves(
        _ shape: WalkShape, _ regime: Regime, _ pages: Range<UInt64>, _ body: (MappedRun) -> Void
    ) -> [UInt64] {
        var read: [UInt64] = []
        forEachLeaf(of: shape, regime, in: pages, foundTable: { read.append($0) }) { input, leaf, level in
            body(
                MappedRun(
                    input: input, frame: leaf.frame, pages: 1 << WalkShape.entryShift(level),
                    readable: leaf.readable, writable: leaf.writable, executable: leaf.executable,
                    memory: leaf.memory))
            return true
        }
        return read
    }

    /// The leaves of the host's stage-2, by size.
    public func hostLeaves(_ cpu: SimulatedCPU) -> LeafCount? {
        guard let tree = cpus[cpu.index].stage2Tree else { return nil }
        var count = LeafCount()
        forEachLeaf(trees[tree].shape, .stage2) { _, _, level in
            switch level {
            case 3: count.pages += 1
            case 2: count.blocks2M += 1
            default: count.blocks1G += 1
            }
        }
        return count
    }

    /// Pages that are live tables now.
    public var liveTables: [Frame<HostPhysical>] { tables.keys.map { Frame($0) } }

    private func mapping(_ tree: Int) -> [MappedRun] { mapping(trees[tree].shape, trees[tree].regime) }

    private func mapping(_ shape: WalkShape, _ regime: Regime) -> [MappedRun] {
        var runs: [MappedRun] = []
        forEachLeaf(shape, regime) { input, leaf, level in
            let run = MappedRun(
                input: input, frame: leaf.frame, pages: 1 << WalkShape.entryShift(level),
                readable: leaf.readable, writable: leaf.writable, executable: leaf.executable,
                memory: leaf.memory)
            if let last = runs.last, last.end == input, last.frame + last.pages == run.frame,
                last.readable == run.readable, last.writable == run.writable,
                last.executable == run.executable, last.memory == run.memory
            {
                runs[runs.count - 1].pages += run.pages
            } else {
                runs.append(run)
            }
        }
        return runs
    }

    private func forEachLeaf(
        _ shape: WalkShape, _ regime: Regime, _ body: (UInt64, Reading.Leaf, UInt8) -> Void
    ) {
        forEachLeaf(of: shape, regime, in: 0..<1 << (shape.inputBits - pageShift)) { input, leaf, level in
            body(input, leaf, level)
            return true
        }
    }
}

extension SimulatedMachine: TableMemory {
    /// Where the words of a table lie.
    public struct Table {
        let frame: UInt64
        let slot: PhysicalMemory.Slot
    }

    /// The table in a frame of RAM.
    public func table(_ frame: UInt64) -> Table? {
        memory.existingSlot(frame).map { Table(frame: frame, slot: $0) }
    }

    /// What walkers read there: not the latest store, but the latest published one.
    public func word(_ table: Table, _ index: Int) -> UInt64 {
        if !pending.isEmpty { return walkerWord(table: table.frame, index: UInt64(index)) }
        return memory.word(table.slot, index)
    }
}
