// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The memory plan, the layout, and the temporary tables.

import HostModuleCore
import Testing

@Suite struct MemoryPlanTests {
    private func demand(gibibytes: UInt64, cpus: UInt64 = 4, image: UInt64 = 256 << 10) -> MemoryDemand {
        MemoryDemand(cpus: cpus, imageSize: image, ledgerPages: gibibytes << 18, ranges: 12)
    }

    /// What the hypervisor may cost: MiB for GiB of RAM.
    @Test(arguments: [(1, 4), (4, 8), (8, 12)] as [(UInt64, UInt64)])
    func staysSmall(gibibytes: UInt64, mebibytes: UInt64) throws {
        let plan = try MemoryPlan(demand(gibibytes: gibibytes))
        #expect(plan.superpages * 2 <= mebibytes)
        #expect(plan.contiguousSuperpages == 1)
    }

    @Test(arguments: [1, 4, 8, 64, 256] as [UInt64], [1, 4, 32, 64] as [UInt64])
    func holdsWhatWasAskedFor(gibibytes: UInt64, cpus: UInt64) throws {
        let demand = demand(gibibytes: gibibytes, cpus: cpus)
        let plan = try MemoryPlan(demand)
        let layout = ContiguousLayout(demand: demand, plan: plan, tablePages: 1 + 2 * plan.superpages)
        let ledgerPages = (demand.ledgerPages * 4 + 4095) / 4096
        let rest = plan.superpages * 512 - layout.poolStart / 4096
        #expect(rest >= ledgerPages + demand.poolPages)
        #expect(layout.bootBlock == demand.imageSize)
        #expect(layout.tables == layout.bootBlock + Limits.bootBlockPages * 4096)
        #expect(layout.perCPU == layout.tables + layout.tablePages * 4096)
        #expect(layout.poolStart == layout.perCPU + cpus * Limits.perCPUSize)
        #expect(layout.poolEnd == plan.contiguousSuperpages * Limits.superpageSize)
    }

    @Test func manyCPUsTakeALargerBlockAndTooManyAreRefused() throws {
        let cpusOfOneSuperpage = Limits.superpageSize / Limits.perCPUSize
        #expect(try MemoryPlan(demand(gibibytes: 8, cpus: cpusOfOneSuperpage)).contiguousSuperpages == 2)
        #expect {
            try MemoryPlan(demand(gibibytes: 8, cpus: 2 * cpusOfOneSuperpage))
        } throws: {
            if case .contiguousPartTooLarge(let pages) = $0 as? Refusal { pages > 1024 } else { false }
        }
    }

    @Test func moreMemoryThanTheProtocolCarriesIsRefused() {
        #expect {
            try MemoryPlan(demand(gibibytes: 4096))
        } throws: {
            if case .tooManySuperpages = $0 as? Refusal { true } else { false }
        }
    }
}

@Suite struct TemporaryTableTests {
    /// Walks the tables as hardware does.
    private func translate(_ address: UInt64, _ memory: [UInt64], base: UInt64) -> UInt64? {
        var table = base
        for shift in [39, 30, 21] as [UInt64] {
            let entry = memory[Int((table - base) / 8 + address >> shift & 511)]
            switch entry & 3 {
            case 3 where shift > 21: table = entry & 0x0000_FFFF_FFFF_F000
            case 1 where shift == 21:
                // AttrIndx 0, AP[1] set and the rest writable, inner shareable, accessed, executable.
                guard entry & 0xFFF == 0x741, entry >> 48 == 0 else { return nil }
                return entry & 0x0000_FFFF_FFE0_0000 | address & 0x1F_FFFF
            default: return nil
            }
        }
        return nil
    }

    @Test(
        arguments: [
            [0x4000_0000], [0x4000_0000, 0x4020_0000, 0x1_4000_0000], [0x80_4000_0000, 0x4000_0000, 0xFFFF_FFE0_0000],
        ] as [[UInt64]])
    func mapsTheSuperpagesAndNothingElse(superpages: [UInt64]) throws {
        let base: UInt64 = superpages[0] + 0x5000
        let pages = TemporaryTables.pages(for: superpages.span)
        var memory = [UInt64](repeating: 0, count: Int(pages) * 512)
        var span = memory.mutableSpan
        let used = try TemporaryTables.build(in: &span, base: base, superpages: superpages.span)
        #expect(used == pages)
        for superpage in superpages {
            for offset in [0, 0x1234, 0x1F_FFFF] as [UInt64] {
                #expect(translate(superpage + offset, memory, base: base) == superpage + offset)
            }
            for other in [superpage &- 1, superpage + 0x20_0000] where !superpages.contains(other & ~0x1F_FFFF) {
                guard other < 1 << 48 else { continue }
                #expect(translate(other, memory, base: base) == nil)
            }
        }
    }

    @Test func addressesBeyondTheTablesAreRefused() {
        let superpages: [UInt64] = [0x4000_0000, 1 << 48]
        var memory = [UInt64](repeating: 0, count: 512 * 8)
        #expect(throws: Refusal.superpageTooHigh(1 << 48)) {
            var span = memory.mutableSpan
            _ = try TemporaryTables.build(in: &span, base: 0x4000_0000, superpages: superpages.span)
        }
    }
}
