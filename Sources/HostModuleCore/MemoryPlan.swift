// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// How much memory the hypervisor gets and what lies where in it. The module asks the kernel for
// superpages; only the first one or two have to be contiguous.

/// What the size of the hypervisor's memory depends on.
public struct MemoryDemand: Equatable, Sendable {
    /// CPUs that get an area.
    public var cpus: UInt64
    /// Bytes of the image in memory.
    public var imageSize: UInt64
    /// Pages that the ledger describes.
    public var ledgerPages: UInt64
    /// Physical ranges of the boot block.
    public var ranges: UInt64

    /// A demand.
    public init(cpus: UInt64, imageSize: UInt64, ledgerPages: UInt64, ranges: UInt64) {
        self.cpus = cpus
        self.imageSize = imageSize
        self.ledgerPages = ledgerPages
        self.ranges = ranges
    }

    /// Pages of the ledger: 4 bytes an entry, and each range may begin a page of its own.
    var ledgerSize: UInt64 { pages(ledgerPages * 4) + ranges }

    /// Pages that EL2 needs for its tables until the host tops its pool up.
    ///
    /// - EL2's stage 1: the ledger is mapped page by page, one table for 2 MiB of it; the upper
    ///   levels, the image, stacks and per-CPU windows take a table for each 512 pages of them
    ///   and a fixed sixteen.
    /// - The host's stage 2: one level-2 table for each GiB that holds RAM, and no level-3 table
    ///   for whole superpages; a level-3 table at both ends of each range, whose ends need not
    ///   be aligned; roots and level-1 tables, up to sixteen each.
    /// - Devices on demand: sixty-four tables, each for 2 MiB of device addresses.
    /// - Blocks that are split at run time before the host tops up: 256.
    public var poolPages: UInt64 {
        let ownTables = ledgerSize / 512 + cpus / 32 + 16
        let gibibytes = ledgerPages / 262_144 + 2 * ranges
        let hostTables = gibibytes + 2 * ranges + 32
        return ownTables + hostTables + 64 + 256
    }

    private func pages(_ bytes: UInt64) -> UInt64 { (bytes + Limits.pageSize - 1) / Limits.pageSize }
}

/// How many superpages to ask the kernel for.
public struct MemoryPlan: Equatable, Sendable {
    /// All superpages.
    public let superpages: UInt64
    /// Superpages that must be contiguous, 1 or 2: the kernel's largest blocks have 4 MiB.
    public let contiguousSuperpages: UInt64

    /// Plans for a demand.
    ///
    /// The temporary tables are counted at their most: a level-2 table for each superpage, as if
    /// each lay in a GiB of its own, a level-1 table for each 512 of these or each superpage,
    /// and the root.
    public init(_ demand: MemoryDemand) throws(Refusal) {
        let pagesPerSuperpage = Limits.superpageSize / Limits.pageSize
        let fixed =
            demand.imageSize / Limits.pageSize + Limits.bootBlockPages
            + demand.cpus * (Limits.perCPUSize / Limits.pageSize)
        var total: UInt64 = 1
        var tables = Self.mostTables(superpages: total)
        // More superpages need more tables, which may need one superpage more; it ends because
        // a superpage holds far more tables than it needs.
        while true {
            let pages = fixed + tables + demand.ledgerSize + demand.poolPages
            let needed = (pages + pagesPerSuperpage - 1) / pagesPerSuperpage
            if needed <= total { break }
            total = needed
            tables = Self.mostTables(superpages: total)
        }
        guard total <= UInt64(Limits.superpages) else { throw .tooManySuperpages(total) }
        let contiguous = (fixed + tables + pagesPerSuperpage - 1) / pagesPerSuperpage
        guard contiguous <= 2 else { throw .contiguousPartTooLarge(pages: fixed + tables) }
        contiguousSuperpages = contiguous
        superpages = max(total, contiguous)
    }

    /// The most temporary tables that so many superpages can need.
    static func mostTables(superpages: UInt64) -> UInt64 { 1 + 2 * superpages }
}

/// What lies where in the contiguous part. Offsets are in bytes from its start, page-aligned.
public struct ContiguousLayout: Equatable, Sendable {
    /// The boot block; the image lies before it, from 0.
    public let bootBlock: UInt64
    /// The temporary tables, the level-0 table first.
    public let tables: UInt64
    /// Pages of temporary tables.
    public let tablePages: UInt64
    /// The CPUs' areas.
    public let perCPU: UInt64
    /// The first byte that nothing of these uses.
    public let poolStart: UInt64
    /// The end of the contiguous part.
    public let poolEnd: UInt64

    /// Lays out what `plan` was made for.
    ///
    /// - Parameter tablePages: the tables that the superpages really need.
    public init(demand: MemoryDemand, plan: MemoryPlan, tablePages: UInt64) {
        bootBlock = demand.imageSize
        tables = bootBlock + Limits.bootBlockPages * Limits.pageSize
        self.tablePages = tablePages
        perCPU = tables + tablePages * Limits.pageSize
        poolStart = perCPU + demand.cpus * Limits.perCPUSize
        poolEnd = plan.contiguousSuperpages * Limits.superpageSize
        precondition(tablePages <= MemoryPlan.mostTables(superpages: plan.superpages) && poolStart <= poolEnd)
    }
}
