// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a guest reads from and writes to the distributor and to redistributors.

import Testing
import VirtualGIC

/// SGI_base within a redistributor.
private let sgiBase: UInt64 = 0x1_0000

@Suite struct RegisterTests {
    @Test func distributorIdentifiesItself() throws {
        var bench = try Bench(vcpus: 2, interrupts: 256)
        // DS, ARE, both groups.
        #expect(bench.read(0, .distributor, 0x0000) == 0x53)
        // No1N, ten INTID bits, 256 interrupts.
        #expect(bench.read(0, .distributor, 0x0004) == 1 << 25 | 9 << 19 | 7)
        #expect(bench.read(0, .distributor, 0x0008) == 0x4D00_1000)
        #expect(bench.read(0, .distributor, 0xFFE8) & 0xF0 == 0x30)
        var largest = try Bench(vcpus: 1, interrupts: 1024)
        #expect(largest.read(0, .distributor, 0x0004) & 0x1F == 31)
    }

    @Test func onlyTheGroupEnablesOfControlAreWritable() throws {
        var bench = try Bench(vcpus: 1)
        bench.write(0, .distributor, 0, 0xFFFF_FFFF)
        #expect(bench.read(0, .distributor, 0) == 0x53)
        bench.write(0, .distributor, 0, 0)
        #expect(bench.read(0, .distributor, 0) == 0x50)
    }

    @Test func redistributorsNameTheirVCPU() throws {
        var bench = try Bench(vcpus: 3, ids: [0, 17, 0x1234])
        func type(_ vcpu: Int, _ position: RedistributorPosition, _ width: AccessWidth, _ offset: UInt64 = 8) -> UInt64
        {
            bench.gic.readRegister(.redistributor(VCPUIndex(vcpu), position), offset: offset, width: width)
        }
        #expect(type(0, .followed, .doubleword) == 0)
        #expect(type(1, .followed, .doubleword) == 0x0101 << 32 | 17 << 8)
        #expect(type(2, .last, .doubleword) == 0x01_2304 << 32 | 0x1234 << 8 | 1 << 4)
        #expect(type(2, .last, .word) == 0x1234 << 8 | 1 << 4)
        #expect(type(2, .last, .word, 12) == 0x01_2304)
        #expect(type(2, .last, .word, 0xFFE8) & 0xF0 == 0x30)
        #expect(type(2, .last, .word, 4) == 0x4D00_1000)
        // GICR_WAKER: awake, and a guest that asks for sleep is told so.
        bench.write(2, .redistributor(2), 0x14, 2)
        #expect(type(2, .last, .word, 0x14) == 0)
        // GICR_CTLR: no LPIs.
        bench.write(2, .redistributor(2), 0, 1)
        #expect(type(2, .last, .word, 0) == 0)
    }

    @Test func stateAfterReset() throws {
        var bench = try Bench(vcpus: 2)
        for vcpu in 0..<2 {
            let region = GICRegion.redistributor(vcpu)
            #expect(bench.read(0, region, sgiBase + 0x080) == 0xFFFF_FFFF)
            #expect(bench.read(0, region, sgiBase + 0x100) == 0x0000_FFFF)
            #expect(bench.read(0, region, sgiBase + 0x200) == 0)
            #expect(bench.read(0, region, sgiBase + 0x300) == 0)
            #expect(bench.read(0, region, sgiBase + 0x400) == 0)
            #expect(bench.read(0, region, sgiBase + 0xC00) == 0xAAAA_AAAA)
            #expect(bench.read(0, region, sgiBase + 0xC04) == 0)
        }
        #expect(bench.read(0, .distributor, 0x084) == 0xFFFF_FFFF)
        #expect(bench.read(0, .distributor, 0x104) == 0)
        #expect(bench.read(0, .distributor, 0xC08) == 0)
        #expect(bench.read(0, .distributor, 0x6100, .doubleword) == 0)
    }

    @Test(arguments: [GICRegion.distributor, .redistributor(1)])
    func setAndClearRegisters(region: GICRegion) throws {
        var bench = try Bench(vcpus: 2)
        bench.write(0, .distributor, 0, 0)
        let base = region == .distributor ? 4 : sgiBase
        for (set, clear) in [(0x100, 0x180), (0x200, 0x280), (0x300, 0x380)] as [(UInt64, UInt64)] {
            bench.write(0, region, base + clear, 0xFFFF_FFFF)
            bench.write(0, region, base + set, 0x8421_0001)
            bench.write(0, region, base + set, 0x0000_1000)
            #expect(bench.read(0, region, base + set) == 0x8421_1001)
            #expect(bench.read(0, region, base + clear) == 0x8421_1001)
            bench.write(0, region, base + clear, 0x8000_1000)
            #expect(bench.read(0, region, base + set) == 0x0421_0001)
            #expect(bench.gic.readRegister(.redistributor(0), offset: sgiBase + set, width: .word) & 0xFFFF_0000 == 0)
        }
        bench.write(0, region, base + 0x080, 0x1234_5678)
        #expect(bench.read(0, region, base + 0x080) == 0x1234_5678)
    }

    @Test func prioritiesHaveFiveBitsAndTakeBytes() throws {
        var bench = try Bench(vcpus: 1)
        bench.write(0, .distributor, 0x420, 0xFF12_0780)
        #expect(bench.read(0, .distributor, 0x420) == 0xF810_0080)
        bench.write(0, .distributor, 0x421, 0xA0, .byte)
        #expect(bench.read(0, .distributor, 0x421, .byte) == 0xA0)
        #expect(bench.read(0, .distributor, 0x420) == 0xF810_A080)
        bench.write(0, .redistributor(0), sgiBase + 0x41B, 0x20, .byte)
        #expect(bench.read(0, .redistributor(0), sgiBase + 0x418) == 0x2000_0000)
    }

    @Test func configurationOfPrivateInterruptsIsFixed() throws {
        var bench = try Bench(vcpus: 1)
        bench.write(0, .distributor, 0xC08, 0xFFFF_FFFF)
        #expect(bench.read(0, .distributor, 0xC08) == 0xAAAA_AAAA)
        bench.write(0, .redistributor(0), sgiBase + 0xC00, 0)
        bench.write(0, .redistributor(0), sgiBase + 0xC04, 0xFFFF_FFFF)
        #expect(bench.read(0, .redistributor(0), sgiBase + 0xC00) == 0xAAAA_AAAA)
        #expect(bench.read(0, .redistributor(0), sgiBase + 0xC04) == 0)
    }

    @Test func routingTakesHalvesAndIgnoresAff3AndIRM() throws {
        var bench = try Bench(vcpus: 2)
        let route: UInt64 = 0x6000 + 8 * 40
        bench.write(0, .distributor, route, 0xFF_8001_0203, .doubleword)
        #expect(bench.read(0, .distributor, route, .doubleword) == 0x01_0203)
        #expect(bench.read(0, .distributor, route) == 0x01_0203)
        #expect(bench.read(0, .distributor, route + 4) == 0)
        bench.write(0, .distributor, route + 4, 0xFF)
        bench.write(0, .distributor, route, 1)
        #expect(bench.read(0, .distributor, route, .doubleword) == 1)
        // SGIs and PPIs have none, nor have the special INTIDs.
        for intid in [0, 31, 1020, 1023] as [UInt64] {
            bench.write(0, .distributor, 0x6000 + 8 * intid, 1, .doubleword)
            #expect(bench.read(0, .distributor, 0x6000 + 8 * intid, .doubleword) == 0)
        }
    }

    @Test func privateInterruptsAreNotInTheDistributor() throws {
        var bench = try Bench(vcpus: 1)
        for offset in [0x080, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0x41C, 0xC00, 0xC04] as [UInt64] {
            bench.write(0, .distributor, offset, 0xFFFF_FFFF)
            #expect(bench.read(0, .distributor, offset) == 0)
        }
        #expect(bench.read(0, .redistributor(0), sgiBase + 0x100) == 0xFFFF)
        // And SPIs not in a redistributor.
        for offset in [0x084, 0x104, 0x420, 0xC08] as [UInt64] {
            bench.write(0, .redistributor(0), sgiBase + offset, 0xFFFF_FFFF)
            #expect(bench.read(0, .redistributor(0), sgiBase + offset) == 0)
        }
        #expect(bench.read(0, .distributor, 0x104) == 0)
    }

    @Test func interruptsBeyondTheLastDoNotExist() throws {
        var bench = try Bench(vcpus: 1, interrupts: 64)
        bench.write(0, .distributor, 0x108, 0xFFFF_FFFF)
        #expect(bench.read(0, .distributor, 0x108) == 0)
        #expect(throws: GICError.invalid) { _ = try bench.gic.setLine(.shared(intid: 64), to: .high) }
        var largest = try Bench(vcpus: 1, interrupts: 1024)
        largest.write(0, .distributor, 0x17C, 0xFFFF_FFFF)
        #expect(largest.read(0, .distributor, 0x17C) == 0x0FFF_FFFF)
        #expect(throws: GICError.invalid) { _ = try largest.gic.setLine(.shared(intid: 1020), to: .high) }
        #expect(throws: Never.self) { _ = try largest.gic.setLine(.shared(intid: 1019), to: .high) }
    }

    /// Whatever a guest does, it gets a value or nothing happens; and no register but its own changes.
    @Test(arguments: [GICRegion.distributor, .redistributor(0), .redistributor(5), .redistributor(-1)])
    func everyAccessIsHarmless(region: GICRegion) throws {
        var bench = try Bench(vcpus: 2, interrupts: 1024)
        for width in [AccessWidth.byte, .halfword, .word, .doubleword] {
            for offset in stride(from: 0 as UInt64, to: 0x2_0010, by: 1) {
                let before = bench.gic.readRegister(region, offset: offset, width: width)
                _ = bench.gic.writeRegister(region, offset: offset, width: width, value: UInt64.max)
                _ = bench.gic.holders(of: region, offset: offset, width: width)
                if width == .halfword || offset % UInt64(width.rawValue) != 0 { #expect(before == 0) }
            }
        }
        for offset in [UInt64.max, 1 << 63, 0xFFFF_FFFF] {
            #expect(bench.gic.readRegister(region, offset: offset, width: .word) == 0)
            #expect(bench.gic.writeRegister(region, offset: offset, width: .word, value: 1).isEmpty)
        }
    }
}
