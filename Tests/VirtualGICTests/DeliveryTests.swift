// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The life of an interrupt from its line to its end, on one vCPU.

import Testing
import VirtualGIC

@Suite struct DeliveryTests {
    @Test func levelInterruptFollowsItsLine() throws {
        var bench = try Bench(vcpus: 1)
        bench.configure(40)
        try bench.setSPI(40, .high)
        #expect(bench.kicked.contains(VCPUIndex(0)))
        #expect(bench.acknowledge(0) == 40)
        // The line is still high: again, but not before the end.
        #expect(bench.acknowledge(0) == nil)
        bench.end(0, 40)
        #expect(bench.acknowledge(0) == 40)
        try bench.setSPI(40, .low)
        bench.end(0, 40)
        #expect(bench.acknowledge(0) == nil)
    }

    @Test func levelInterruptThatGoesAwayIsNotDelivered() throws {
        var bench = try Bench(vcpus: 1)
        bench.configure(40)
        try bench.setSPI(40, .high)
        #expect(bench.interfaces[0].pending == 40)
        try bench.setSPI(40, .low)
        #expect(bench.interfaces[0].pending == nil)
    }

    @Test func lowSoftwareLevelRegistersAskForMaintenanceAtTheirEnd() throws {
        var bench = try Bench(vcpus: 1)
        bench.configure(40, priority: 0x58)
        try bench.setSPI(40, .high)
        // State pending, group 1, priority, EOI, vINTID.
        #expect(bench.interfaces[0].registers[0] == 1 << 62 | 1 << 60 | 0x58 << 48 | 1 << 41 | 40)
        #expect(bench.interfaces[0].registers[1...].allSatisfy { $0 == 0 })
    }

    @Test func edgeIsDeliveredOnce() throws {
        var bench = try Bench(vcpus: 1)
        bench.configure(41, edge: true)
        try bench.setSPI(41, .high)
        #expect(bench.interfaces[0].registers[0] == 1 << 62 | 1 << 60 | 0xA0 << 48 | 41)
        try bench.setSPI(41, .low)
        #expect(bench.acknowledge(0) == 41)
        bench.end(0, 41)
        #expect(bench.acknowledge(0) == nil)
    }

    @Test func edgeWhileActiveIsDeliveredAgain() throws {
        var bench = try Bench(vcpus: 1)
        bench.configure(41, edge: true)
        try bench.setSPI(41, .high)
        #expect(bench.acknowledge(0) == 41)
        try bench.setSPI(41, .high)
        // Pending and active: no exit is needed between the end and the next acknowledgement.
        #expect(bench.interfaces[0].registers[0] >> 62 == 3)
        bench.end(0, 41)
        #expect(bench.interfaces[0].exits == 0)
        #expect(bench.acknowledge(0) == 41)
        bench.end(0, 41)
        #expect(bench.acknowledge(0) == nil)
    }

    @Test func edgesMergeWhilePending() throws {
        var bench = try Bench(vcpus: 1)
        bench.configure(41, edge: true)
        bench.exit(VCPUIndex(0))
        for _ in 0..<3 { _ = try bench.gic.setLine(.shared(intid: 41), to: .high) }
        bench.enter(VCPUIndex(0))
        #expect(bench.acknowledge(0) == 41)
        bench.end(0, 41)
        #expect(bench.acknowledge(0) == nil)
    }

    @Test func softwareMakesALevelInterruptPending() throws {
        var bench = try Bench(vcpus: 1)
        bench.configure(40)
        bench.write(0, .distributor, 0x204, 1 << 8)
        #expect(bench.read(0, .distributor, 0x204) == 1 << 8)
        #expect(bench.acknowledge(0) == 40)
        bench.end(0, 40)
        #expect(bench.acknowledge(0) == nil)
        // Clearing takes the latch away, not the line.
        try bench.setSPI(40, .high)
        bench.write(0, .distributor, 0x204, 1 << 8)
        bench.write(0, .distributor, 0x284, 1 << 8)
        #expect(bench.read(0, .distributor, 0x284) == 1 << 8)
        try bench.setSPI(40, .low)
        #expect(bench.read(0, .distributor, 0x204) == 0)
        #expect(bench.acknowledge(0) == nil)
    }

    @Test func disabledInterruptStaysPending() throws {
        var bench = try Bench(vcpus: 1)
        bench.configure(41, edge: true)
        bench.write(0, .distributor, 0x184, 1 << 9)
        try bench.setSPI(41, .high)
        #expect(bench.acknowledge(0) == nil)
        #expect(bench.read(0, .distributor, 0x204) == 1 << 9)
        bench.write(0, .distributor, 0x104, 1 << 9)
        #expect(bench.acknowledge(0) == 41)
        bench.end(0, 41)
        // Nor does a group that the distributor holds back lose anything.
        bench.write(0, .distributor, 0, 1)
        try bench.setSPI(41, .high)
        #expect(bench.acknowledge(0) == nil)
        bench.write(0, .distributor, 0, 2)
        #expect(bench.acknowledge(0) == 41)
    }

    @Test func priorityDecidesAndPreempts() throws {
        var bench = try Bench(vcpus: 1)
        for (intid, priority) in [(40, 0x80), (41, 0x40), (42, 0xC0), (43, 0x40)] as [(Int, UInt64)] {
            bench.configure(intid, priority: priority, edge: true)
            try bench.setSPI(intid, .high)
        }
        #expect(bench.acknowledge(0) == 41)
        #expect(bench.acknowledge(0) == nil)
        bench.configure(44, priority: 0x20, edge: true)
        try bench.setSPI(44, .high)
        #expect(bench.acknowledge(0) == 44)
        bench.end(0, 44)
        bench.end(0, 41)
        for expected in [43, 40, 42] {
            #expect(bench.acknowledge(0) == expected)
            bench.end(0, expected)
        }
    }

    @Test func timerIsBackedByHardware() throws {
        var bench = try Bench(vcpus: 1)
        bench.write(0, .redistributor(0), 0x1_0100, 1 << 27)
        #expect(bench.gic.physicalState(ppi: 27, of: VCPUIndex(0)) == .inactive)
        bench.setTimer(0, .high)
        #expect(bench.interfaces[0].registers[0] == 1 << 62 | 1 << 61 | 1 << 60 | 27 << 32 | 27)
        #expect(bench.gic.physicalState(ppi: 27, of: VCPUIndex(0)) == .active)
        #expect(bench.acknowledge(0) == 27)
        // The guest sets the next deadline, and ends the interrupt.
        bench.setTimer(0, .low)
        #expect(bench.interfaces[0].registers[0] >> 61 == 5)  // Active, HW.
        #expect(bench.gic.physicalState(ppi: 27, of: VCPUIndex(0)) == .active)
        bench.end(0, 27)
        #expect(bench.acknowledge(0) == nil)
        #expect(bench.gic.physicalState(ppi: 27, of: VCPUIndex(0)) == .inactive)
        // A deadline in the past fires again at once.
        bench.setTimer(0, .high)
        #expect(bench.acknowledge(0) == 27)
        bench.end(0, 27)
        #expect(bench.acknowledge(0) == 27)
    }

    @Test func devicesCannotDriveTheTimer() throws {
        var bench = try Bench(vcpus: 1)
        bench.write(0, .redistributor(0), 0x1_0100, 1 << 27 | 1 << 26)
        try bench.setLine(.perVCPU(intid: 27, vcpuID: 0), .high)
        #expect(bench.kicked.isEmpty)
        #expect(bench.acknowledge(0) == nil)
        // And the other way round.
        #expect(bench.gic.setConnectedLine(ppi: 26, of: VCPUIndex(0), to: .high).isEmpty)
        #expect(bench.gic.setConnectedLine(ppi: 40, of: VCPUIndex(0), to: .high).isEmpty)
        #expect(throws: GICError.invalid) { try bench.gic.connect(ppi: 15, of: VCPUIndex(0), toPhysical: 27) }
        #expect(throws: GICError.invalid) { try bench.gic.connect(ppi: 27, of: VCPUIndex(1), toPhysical: 27) }
        #expect(throws: GICError.invalid) { try bench.gic.connect(ppi: 32, of: VCPUIndex(0), toPhysical: 27) }
        #expect(throws: GICError.invalid) { try bench.gic.connect(ppi: 27, of: VCPUIndex(0), toPhysical: 1020) }
    }

    @Test func sleepersWakeForWhatWouldBeSignalled() throws {
        var bench = try Bench(vcpus: 2)
        let vcpu = VCPUIndex(0)
        let open = VirtualMachineControl(bits: 0xF8 << 24 | 3)
        func wakes(_ control: VirtualMachineControl, _ vcpu: Int = 0) -> Bool {
            bench.gic.hasDeliverable(to: VCPUIndex(vcpu), control: control)
        }
        bench.configure(40, priority: 0x80)
        bench.exit(vcpu)
        #expect(!wakes(open))
        _ = try bench.gic.setLine(.shared(intid: 40), to: .high)
        #expect(wakes(open))
        #expect(!wakes(open, 1))
        #expect(!wakes(open, 2))
        #expect(!wakes(VirtualMachineControl(bits: 0x80 << 24 | 3)))
        #expect(wakes(VirtualMachineControl(bits: 0x88 << 24 | 3)))
        #expect(!wakes(VirtualMachineControl(bits: 0xF8 << 24 | 1)))
        _ = bench.gic.writeRegister(.distributor, offset: 0, width: .word, value: 1)
        #expect(!wakes(open))
    }

    @Test func aRunThatDoesNotTakePlaceLosesNothing() throws {
        var bench = try Bench(vcpus: 1)
        bench.configure(41, edge: true)
        bench.exit(VCPUIndex(0))
        _ = try bench.gic.setLine(.shared(intid: 41), to: .high)
        for _ in 0..<3 { bench.enter(VCPUIndex(0)) }
        #expect(bench.interfaces[0].pending == 41)
        #expect(bench.acknowledge(0) == 41)
        bench.end(0, 41)
        #expect(bench.acknowledge(0) == nil)
    }

    @Test func whatListRegistersSayOfOtherInterruptsIsNotBelieved() throws {
        var bench = try Bench(vcpus: 2)
        bench.configure(40, edge: true, route: 1)
        bench.exit(VCPUIndex(0))
        bench.exit(VCPUIndex(1))
        _ = try bench.gic.setLine(.shared(intid: 40), to: .high)
        bench.enter(VCPUIndex(0))
        bench.enter(VCPUIndex(1))
        // vCPU 1 has 40; vCPU 0 claims it, INTIDs that do not exist, and SPIs that nobody has.
        let lies: [UInt64] = [3 << 62 | 40, 3 << 62 | 0xFFFF_FFFF, 3 << 62 | 1020, 2 << 62 | 50, UInt64.max]
        #expect(
            bench.gic.fold(
                VCPUIndex(0), from: lies.span, endCount: 31, control: VirtualMachineControl(bits: 0xF8 << 24 | 3)
            ).isEmpty)
        #expect(bench.gic.readRegister(.distributor, offset: 0x304, width: .word) == 0)
        #expect(
            bench.gic.fold(
                VCPUIndex(7), from: lies.span, endCount: 31, control: VirtualMachineControl(bits: 0xF8 << 24 | 3)
            ).isEmpty)
        #expect(bench.acknowledge(1) == 40)
    }

    @Test func aListRegisterThatIsMissingComesBackPending() throws {
        var bench = try Bench(vcpus: 1)
        bench.configure(41, edge: true)
        try bench.setSPI(41, .high)
        let none: [UInt64] = []
        _ = bench.gic.fold(
            VCPUIndex(0), from: none.span, endCount: 0, control: VirtualMachineControl(bits: 0xF8 << 24 | 3))
        #expect(bench.gic.readRegister(.distributor, offset: 0x204, width: .word) == 1 << 9)
    }
}
