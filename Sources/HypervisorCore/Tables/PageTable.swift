// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A tree of translation tables, for EL2's own stage-1 or for a stage-2: looking up, and assigning
// ranges. All maintenance that a change needs (break-before-make, TLBI, barriers) happens here.

public import Arm
public import Machine

/// What a tree of tables translates for, which decides how its TLB entries are invalidated.
public enum TranslationRegime: Sendable {
    /// EL2's own stage-1.
    case hypervisor
    /// A stage-2; its VMID is the current one whenever the tree is changed.
    case stage2
}

/// Why a tree could not be changed.
public enum TableError: Error {
    /// The frame source had no page left. What had been assigned before stays assigned.
    case outOfFrames
}

/// What becomes of a table whose entries have all become invalid.
public enum EmptiedTables: Sendable {
    /// Its page goes back to where it came from.
    case freed
    /// It stays, for what comes next.
    case kept
}

/// A tree of translation tables.
public struct PageTable<Attributes: LeafAttributes>: Sendable {
    /// First page of the root.
    public let root: Frame<HostPhysical>
    /// Its input size and where lookups start.
    public let geometry: TranslationGeometry
    /// What it translates for.
    public let regime: TranslationRegime
    /// Blocks that were split into a table since the tree was made, from 0 again after 32 bits.
    public internal(set) var splits: UInt32 = 0
    /// Tables that were put together into a block again, likewise.
    public internal(set) var coalesced: UInt32 = 0

    /// A tree around an existing root: zeroed, or with the entries of the same regime.
    public init(root: Frame<HostPhysical>, geometry: TranslationGeometry, regime: TranslationRegime) {
        self.root = root
        self.geometry = geometry
        self.regime = regime
    }

    /// What an input page finds.
    public struct Found: Equatable, Sendable {
        /// `.invalid` or `.leaf`.
        public let descriptor: Descriptor<Attributes>
        /// The level at which the walk ended.
        public let level: Level
    }

    /// Where the entry for an input page lies in a table of `level`.
    func entry(
        _ table: Frame<HostPhysical>, _ level: Level, for page: UInt64
    ) -> Address<HypervisorVirtual> {
        HypervisorAddressSpace.identity(table.address).advanced(by: geometry.index(of: page, at: level) &* 8)
    }

    /// Walks the tables for an input page, as the CPU would.
    public func lookup(_ page: UInt64, on processor: some Processor) -> Found {
        guard geometry.contains(page) else { return Found(descriptor: .invalid, level: geometry.rootLevel) }
        var table = root
        var level = geometry.rootLevel
        while true {
            let descriptor = Descriptor<Attributes>(
                bits: processor.load64(entry(table, level, for: page)), level: level)
            guard case .table(let next) = descriptor, let below = level.next else {
                return Found(descriptor: descriptor, level: level)
            }
            table = next
            level = below
        }
    }

    /// Whether no page of a range translates to anything.
    func isEmpty(_ range: InputRange, on processor: some Processor) -> Bool {
        var page = range.first
        while page < range.end {
            let found = lookup(page, on: processor)
            guard found.descriptor == .invalid else { return false }
            page = (page & ~(found.level.entryPages &- 1)) &+ found.level.entryPages
        }
        return true
    }
}
