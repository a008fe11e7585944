// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Interrupts between vCPUs: SGIs, routing, and changes to what another vCPU holds.

import Testing
import VirtualGIC

@Suite struct MultipleVCPUTests {
    private func sgi(
        _ intid: UInt64, list: UInt64 = 0, aff1: UInt64 = 0, aff2: UInt64 = 0, aff3: UInt64 = 0, range: UInt64 = 0
    )
        -> UInt64
    {
        aff3 << 48 | range << 44 | aff2 << 32 | intid << 24 | aff1 << 16 | list
    }

    /// Who has an SGI pending, acknowledges and ends it.
    private func receivers(_ intid: Int, _ bench: inout Bench) -> [Int] {
        var receivers: [Int] = []
        for vcpu in bench.interfaces.indices {
            guard let got = bench.acknowledge(vcpu) else { continue }
            #expect(got == intid)
            bench.end(vcpu, got)
            receivers.append(vcpu)
        }
        return receivers
    }

    @Test func targetLists() throws {
        var bench = try Bench(vcpus: 4)
        bench.sendSGI(0, sgi(5, list: 0b1010))
        #expect(receivers(5, &bench) == [1, 3])
        bench.sendSGI(2, sgi(15, list: 0b0100))
        #expect(receivers(15, &bench) == [2])
        bench.sendSGI(2, sgi(1, list: 0xFFF0))
        #expect(receivers(1, &bench) == [])
        bench.sendSGI(2, sgi(0))
        #expect(receivers(0, &bench) == [])
    }

    @Test func allButTheSender() throws {
        var bench = try Bench(vcpus: 4)
        bench.sendSGI(1, sgi(3) | 1 << 40)
        #expect(bench.kicked.bits == 0b1101)
        #expect(receivers(3, &bench) == [0, 2, 3])
    }

    @Test func affinities() throws {
        var bench = try Bench(vcpus: 5, ids: [0, 15, 16, 33, 0x1000])
        bench.sendSGI(0, sgi(2, list: 0x8001))
        #expect(receivers(2, &bench) == [0, 1])
        bench.sendSGI(0, sgi(2, list: 0x0001, aff1: 1))
        #expect(receivers(2, &bench) == [2])
        bench.sendSGI(0, sgi(2, list: 0x0002, aff1: 2))
        #expect(receivers(2, &bench) == [3])
        bench.sendSGI(0, sgi(2, list: 0x0001, aff2: 1))
        #expect(receivers(2, &bench) == [4])
        bench.sendSGI(0, sgi(2, list: 0xFFFF, aff3: 1))
        bench.sendSGI(0, sgi(2, list: 0xFFFF, range: 1))
        #expect(receivers(2, &bench) == [])
    }

    @Test func groupsDecideWhichRegisterReaches() throws {
        var bench = try Bench(vcpus: 2)
        bench.sendSGI(0, sgi(4, list: 2), .groupZero)
        bench.sendSGI(0, sgi(4, list: 2), .otherGroupOne)
        #expect(receivers(4, &bench) == [])
        bench.write(0, .redistributor(1), 0x1_0080, ~(1 << 4))
        for register in [SGIRegister.groupZero, .otherGroupOne, .groupOne] {
            bench.sendSGI(0, sgi(4, list: 2), register)
            #expect(bench.interfaces[1].registers[0] >> 60 & 1 == 0)
            #expect(receivers(4, &bench) == [1])
        }
    }

    @Test func sgiToOneselfAndAgainWhileActive() throws {
        var bench = try Bench(vcpus: 2)
        bench.sendSGI(0, sgi(7, list: 1))
        #expect(bench.acknowledge(0) == 7)
        bench.sendSGI(1, sgi(7, list: 1))
        bench.sendSGI(1, sgi(7, list: 1))
        #expect(bench.acknowledge(0) == nil)
        bench.end(0, 7)
        #expect(bench.acknowledge(0) == 7)
        bench.end(0, 7)
        #expect(bench.acknowledge(0) == nil)
    }

    @Test func sharedInterruptsGoWhereTheyAreRouted() throws {
        var bench = try Bench(vcpus: 3, ids: [0, 1, 16])
        bench.configure(40, edge: true, route: 0x100)
        try bench.setSPI(40, .high)
        #expect(bench.kicked.bits == 0b100)
        #expect(bench.acknowledge(2) == 40)
        bench.end(2, 40)
        // Nobody is there: it waits.
        bench.write(0, .distributor, 0x6000 + 8 * 40, 0x200, .doubleword)
        try bench.setSPI(40, .high)
        #expect(bench.kicked.isEmpty)
        #expect((0..<3).allSatisfy { bench.interfaces[$0].pending == nil })
        bench.write(0, .distributor, 0x6000 + 8 * 40, 1, .doubleword)
        #expect(bench.acknowledge(1) == 40)
    }

    @Test func reroutingTakesAPendingInterruptAway() throws {
        var bench = try Bench(vcpus: 2)
        bench.configure(40, edge: true)
        try bench.setSPI(40, .high)
        #expect(bench.interfaces[0].pending == 40)
        bench.write(1, .distributor, 0x6000 + 8 * 40, 1, .doubleword)
        #expect(bench.interfaces[0].pending == nil)
        #expect(bench.interfaces[1].pending == 40)
    }

    @Test func anActiveInterruptStaysWithItsVCPU() throws {
        var bench = try Bench(vcpus: 2)
        bench.configure(40, edge: true)
        try bench.setSPI(40, .high)
        #expect(bench.acknowledge(0) == 40)
        bench.write(1, .distributor, 0x6000 + 8 * 40, 1, .doubleword)
        try bench.setSPI(40, .high)
        #expect(bench.acknowledge(1) == nil)
        bench.end(0, 40)
        #expect(bench.interfaces[0].pending == nil)
        #expect(bench.acknowledge(1) == 40)
    }

    @Test func activeStateOfWhatAnotherVCPUHolds() throws {
        var bench = try Bench(vcpus: 2)
        bench.configure(40, edge: true)
        try bench.setSPI(40, .high)
        #expect(bench.acknowledge(0) == 40)
        // Exact once the holder is out.
        #expect(bench.gic.holders(of: .distributor, offset: 0x304, width: .word).bits == 0b01)
        #expect(bench.gic.holders(of: .distributor, offset: 0x308, width: .word).isEmpty)
        #expect(bench.gic.holders(of: .distributor, offset: 0x104, width: .word).isEmpty)
        bench.handle(bench.gic.holders(of: .distributor, offset: 0x304, width: .word))
        #expect(bench.read(1, .distributor, 0x304) == 1 << 8)
        // A write needs no such wait.
        let kicks = bench.gic.writeRegister(.distributor, offset: 0x384, width: .word, value: 1 << 8)
        #expect(kicks.bits == 0b01)
        #expect(bench.gic.readRegister(.distributor, offset: 0x304, width: .word) == 0)
        bench.handle(kicks)
        #expect(bench.read(1, .distributor, 0x304) == 0)
        try bench.setSPI(40, .high)
        bench.interfaces[0].end(40)
        #expect(bench.acknowledge(0) == 40)
    }

    @Test func activeIsSetWhileHeld() throws {
        var bench = try Bench(vcpus: 2)
        bench.configure(40, edge: true)
        try bench.setSPI(40, .high)
        bench.write(1, .distributor, 0x304, 1 << 8)
        #expect(bench.interfaces[0].pending == nil)
        #expect(bench.read(1, .distributor, 0x304) == 1 << 8)
        #expect(bench.read(1, .distributor, 0x204) == 1 << 8)
        bench.write(1, .distributor, 0x384, 1 << 8)
        #expect(bench.acknowledge(0) == 40)
    }

    @Test func enablingTheDistributorKicksThoseWhoWait() throws {
        var bench = try Bench(vcpus: 3)
        bench.write(0, .distributor, 0, 0)
        bench.sendSGI(0, sgi(1, list: 0b100))
        #expect(bench.interfaces[2].pending == nil)
        bench.write(0, .distributor, 0, 2)
        #expect(bench.kicked.bits == 0b100)
        #expect(bench.acknowledge(2) == 1)
    }

    @Test func sixtyFourVCPUs() throws {
        var bench = try Bench(vcpus: 64)
        bench.sendSGI(63, sgi(9) | 1 << 40)
        #expect(bench.kicked.bits == UInt64.max >> 1)
        #expect(receivers(9, &bench) == Array(0..<63))
        #expect(GICShape(vcpus: 65, interrupts: 64) == nil)
        #expect(GICShape(vcpus: 1, interrupts: 32) == nil)
        #expect(GICShape(vcpus: 1, interrupts: 65) == nil)
        #expect(GICShape(vcpus: 1, interrupts: 1056) == nil)
    }

    @Test func aStoreThatIsTooSmallIsRefused() throws {
        let shape = try #require(GICShape(vcpus: 2, interrupts: 64))
        let ids: [UInt32] = [0, 1]
        let few: [UInt32] = [0]
        for (ids, words) in [(ids, shape.words - 1), (few, shape.words)] {
            var isRefused = false
            if VirtualGIC(shape: shape, vcpuIDs: ids.span, store: ArrayStore(count: words)) == nil { isRefused = true }
            #expect(isRefused)
        }
    }
}
