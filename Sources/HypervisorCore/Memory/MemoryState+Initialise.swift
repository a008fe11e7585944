// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Building EL2's tables, the ledger, the pool and the host's stage-2 from the boot block.

public import Arm
public import HypervisorInterface
public import Machine

extension MemoryState {
    /// Takes over memory as the boot block describes it. On return this CPU runs on EL2's final
    /// tables, the ledger says who owns what, and the host's stage-2 is complete but not in use.
    /// - Throws: `invalidParameter` for a block that contradicts itself or the machine, `noMemory`
    ///   if the superpages don't suffice. EL2 may then run on its final tables or on the temporary
    ///   ones; both are good enough for `withdraw`.
    public static func make(
        boot: BootBlock, features: CPUFeatures, on processor: some Processor
    ) throws(CallStatus) -> MemoryState {
        let map = try boot.memoryMap(on: processor)
        guard let geometry = TranslationGeometry.stage2(physicalAddressBits: features.physicalAddressBits),
            features.hasGranule4K
        else { throw .notSupported }
        var index = 0
        while let entry = map.entry(index, on: processor) {
            guard geometry.contains(entry.range.end.number &- 1) else { throw .invalidParameter }
            index &+= 1
        }
        var early = EarlyFrames(boot)
        guard let root = early.takeTable(on: processor) else { throw .noMemory }
        var table = PageTable<Stage1Attributes>(root: root, geometry: .stage1, regime: .hypervisor)
        let ledgerBytes: UInt64
        do throws(TableError) {
            try mapHypervisor(boot, into: &table, &early, on: processor)
            ledgerBytes = try mapLedger(map, into: &table, &early, on: processor)
        } catch {
            throw .noMemory
        }
        // A concatenated root is aligned to its size (DDI 0487, D8.2.6).
        guard let hostRoot = early.takeRoot(pages: geometry.rootPages, on: processor) else { throw .noMemory }
        processor.adoptHypervisorRoot(root)
        let ledger = Ledger()
        var state = MemoryState(
            features: features, map: map, ledger: ledger, pool: PagePool(ledger: ledger), hypervisorTable: table,
            hostTable: PageTable(root: hostRoot, geometry: geometry, regime: .stage2), hypervisorPages: 0,
            ledgerBytes: ledgerBytes)
        state.recordOwners(boot, on: processor)
        while let rest = early.takeRest(on: processor) {
            state.pool.add(rest, origin: .superpage, on: processor)
        }
        try state.buildHostTable(on: processor)
        return state
    }

    /// Image, boot block, per-CPU areas without the stacks' guard pages, and all superpages.
    private static func mapHypervisor(
        _ boot: BootBlock, into table: inout PageTable<Stage1Attributes>, _ early: inout EarlyFrames,
        on processor: some Processor
    ) throws(TableError) {
        func map(
            _ first: Frame<HostPhysical>, _ end: Frame<HostPhysical>, _ access: Stage1Attributes.Access,
            _ table: inout PageTable<Stage1Attributes>, _ early: inout EarlyFrames
        ) throws(TableError) {
            guard let range = FrameRange(from: first, to: end) else { return }
            try table.assign(
                InputRange(range), .identity(Stage1Attributes(access), largest: .two), tablesFrom: &early,
                on: processor)
        }
        try map(boot.imageBase, boot.textEnd, .code, &table, &early)
        try map(boot.textEnd, boot.readOnlyEnd, .readOnly, &table, &early)
        try map(boot.readOnlyEnd, boot.perCPUBase, .data, &table, &early)
        var area = boot.perCPUBase
        var cpu = 0
        while cpu < boot.cpuCount {
            let end = area.advanced(by: BootBlock.perCPUPages)
            try map(area.advanced(by: 1), end, .data, &table, &early)
            area = end
            cpu &+= 1
        }
        try map(area, boot.poolEnd, .data, &table, &early)
        var index = 0
        while let superpage = boot.superpageBehindImage(index, on: processor) {
            try map(superpage, superpage.advanced(by: pagesPerSuperpage), .data, &table, &early)
            index &+= 1
        }
    }

    /// Backs the ledger's entries for all RAM; each page of it describes 4 MiB.
    /// - Returns: the bytes of ledger that were mapped.
    private static func mapLedger(
        _ map: MemoryMap, into table: inout PageTable<Stage1Attributes>, _ early: inout EarlyFrames,
        on processor: some Processor
    ) throws(TableError) -> UInt64 {
        var bytes: UInt64 = 0
        var behindLast: UInt64 = 0
        var index = 0
        while let entry = map.entry(index, on: processor) {
            index &+= 1
            guard entry.kind == .ram else { continue }
            var page = Ledger.entryAddress(of: entry.range.first).frame.number
            let last = Ledger.entryAddress(of: Frame(entry.range.end.number &- 1)).frame.number
            if page < behindLast { page = behindLast }
            while page <= last {
                guard let backing = early.takeTable(on: processor) else { throw .outOfFrames }
                try table.assign(
                    InputRange(first: page, end: page &+ 1),
                    .pages(from: backing, Stage1Attributes(.data)), tablesFrom: &early, on: processor)
                bytes &+= pageSize
                page &+= 1
            }
            behindLast = last &+ 1
        }
        return bytes
    }

    /// Everything in RAM belongs to the host but the superpages, which are the hypervisor's.
    private mutating func recordOwners(_ boot: BootBlock, on processor: some Processor) {
        var index = 0
        while let entry = map.entry(index, on: processor) {
            if entry.kind == .ram { ledger.record(.exclusiveToHost, of: entry.range, on: processor) }
            index &+= 1
        }
        func own(_ first: Frame<HostPhysical>, _ end: Frame<HostPhysical>) {
            guard let range = FrameRange(from: first, to: end) else { return }
            ledger.record(.hypervisor(.occupied(.superpage)), of: range, on: processor)
            hypervisorPages &+= range.count
        }
        own(boot.imageBase, boot.poolEnd)
        index = 0
        while let superpage = boot.superpageBehindImage(index, on: processor) {
            own(superpage, superpage.advanced(by: pagesPerSuperpage))
            index &+= 1
        }
    }

    /// Maps all RAM that is the host's, and firmware's RAM, in blocks of up to 2 MiB. Devices
    /// follow on demand.
    private mutating func buildHostTable(on processor: some Processor) throws(CallStatus) {
        var index = 0
        while let entry = map.entry(index, on: processor) {
            index &+= 1
            guard entry.kind != .deny else { continue }
            do throws(TableError) {
                var page = entry.range.first
                while page < entry.range.end {
                    let run = hostRun(from: page, in: entry, on: processor)
                    if let mapped = FrameRange(from: page, to: run.end), run.isHost {
                        try hostTable.assign(
                            InputRange(mapped), .identity(Self.hostMemory, largest: .two), tablesFrom: &pool,
                            on: processor)
                    }
                    page = run.end
                }
            } catch {
                throw .noMemory
            }
        }
    }

    /// The longest run of pages from `first` on, within `entry`, that the host either may or may
    /// not reach.
    private func hostRun(
        from first: Frame<HostPhysical>, in entry: MemoryMap.Entry, on processor: some Processor
    ) -> (end: Frame<HostPhysical>, isHost: Bool) {
        guard entry.kind == .ram else { return (entry.range.end, true) }
        func isHosts(_ page: Frame<HostPhysical>) -> Bool {
            isWithout(.carveOutIsHidden) || ledger.state(of: page, on: processor) == .exclusiveToHost
        }
        let isHost = isHosts(first)
        var page = first
        while page < entry.range.end, isHosts(page) == isHost {
            page = page.advanced(by: 1)
        }
        return (page, isHost)
    }

    /// The temporary tables become free pages, once no CPU uses them.
    mutating func releaseTemporaryFrames(_ range: FrameRange<HostPhysical>, on processor: some Processor) {
        pool.add(range, origin: .superpage, on: processor)
    }
}
