// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// More interrupts than list registers.

import Testing
import VirtualGIC

@Suite struct OverflowTests {
    @Test(arguments: [1, 2, 4]) func allPendingInterruptsComeInOrder(listRegisters: Int) throws {
        var bench = try Bench(vcpus: 1, listRegisters: listRegisters)
        for intid in 40..<60 {
            bench.configure(intid, priority: UInt64(0x10 + (59 - intid) / 2 * 8), edge: intid % 2 == 0)
            try bench.setSPI(intid, .high)
        }
        var order: [Int] = []
        while let intid = bench.acknowledge(0) {
            order.append(intid)
            try bench.setSPI(intid, .low)
            bench.end(0, intid)
        }
        #expect(order.count == 20)
        #expect(order.map { $0 / 2 } == order.map { $0 / 2 }.sorted(by: >))
        #expect(Set(order) == Set(40..<60))
    }

    @Test func maintenanceIsAskedForOnlyWhenSomethingIsLeft() throws {
        var bench = try Bench(vcpus: 1, listRegisters: 2)
        func control() -> HypervisorControl {
            var registers: [UInt64] = [0, 0]
            var span = registers.mutableSpan
            bench.exit(VCPUIndex(0))
            let result = bench.gic.flush(VCPUIndex(0), into: &span, control: bench.interfaces[0].control)
            bench.interfaces[0].enter(registers, result)
            return result.control
        }
        for intid in 40..<43 { bench.configure(intid, edge: true) }
        #expect(control() == .enabled)
        try bench.setSPI(40, .high)
        try bench.setSPI(41, .high)
        #expect(control() == .enabled)
        try bench.setSPI(42, .high)
        #expect(control().contains(.onNonePending))
        #expect(!control().contains(.onMissingEntry))
    }

    @Test(arguments: [1, 2, 4]) func nestedActiveInterruptsBeyondTheListRegistersEnd(listRegisters: Int) throws {
        var bench = try Bench(vcpus: 1, listRegisters: listRegisters)
        // Each preempts the one before.
        for intid in 40..<52 {
            bench.configure(intid, priority: UInt64(0xF0 - (intid - 40) * 8), edge: true)
            try bench.setSPI(intid, .high)
            #expect(bench.acknowledge(0) == intid)
        }
        for intid in (40..<52).reversed() { bench.end(0, intid) }
        #expect(bench.read(0, .distributor, 0x304) == 0)
        for intid in 40..<52 {
            try bench.setSPI(intid, .high)
            #expect(bench.acknowledge(0) == intid)
            bench.end(0, intid)
        }
    }

    @Test func activeInterruptsThatFillTheListRegistersHideNothing() throws {
        var bench = try Bench(vcpus: 1, listRegisters: 2)
        for intid in 40..<46 { bench.configure(intid, edge: true) }
        bench.write(0, .distributor, 0x304, 0xF << 8)
        try bench.setSPI(45, .high)
        #expect(bench.acknowledge(0) == 45)
        bench.end(0, 45)
        try bench.setSPI(44, .high)
        #expect(bench.acknowledge(0) == 44)
    }

    @Test func interruptsOfADisabledGroupMakeWay() throws {
        var bench = try Bench(vcpus: 1, listRegisters: 2)
        bench.interfaces[0].control = VirtualMachineControl(bits: 0xF8 << 24 | 2)
        for intid in 40..<44 { bench.configure(intid, priority: 0x20, edge: true) }
        bench.configure(44, priority: 0xC0, edge: true)
        bench.write(0, .distributor, 0x084, 0xFFFF_F0FF)
        for intid in 40..<45 { try bench.setSPI(intid, .high) }
        #expect(bench.acknowledge(0) == 44)
        // And come as soon as the guest enables their group.
        bench.interfaces[0].control = VirtualMachineControl(bits: 0xF8 << 24 | 3)
        bench.maintain(0)
        for intid in 40..<44 {
            #expect(bench.acknowledge(0) == intid)
            bench.end(0, intid)
        }
    }

    /// A guest that masks by priority, as Linux does with pseudo-NMIs: what was pending and active must
    /// not come before what is of higher priority but in no list register.
    @Test func priorityMaskDoesNotChangeTheOrder() throws {
        var bench = try Bench(vcpus: 1, listRegisters: 2)
        bench.configure(40, priority: 0x80, edge: true)
        bench.configure(41, priority: 0x50, edge: true)
        bench.configure(42, priority: 0x60, edge: true)
        try bench.setSPI(40, .high)
        #expect(bench.acknowledge(0) == 40)
        bench.interfaces[0].control = VirtualMachineControl(bits: 0x40 << 24 | 3)
        for intid in 40...42 { try bench.setSPI(intid, .high) }
        bench.end(0, 40)
        bench.interfaces[0].control = VirtualMachineControl(bits: 0xF8 << 24 | 3)
        for intid in [41, 42, 40] {
            #expect(bench.acknowledge(0) == intid)
            bench.end(0, intid)
        }
    }

    /// A guest whose ends only drop the priority: what it has not deactivated stays active, wherever it is.
    @Test(arguments: [1, 2, 4]) func endsAndDeactivationsApart(listRegisters: Int) throws {
        var bench = try Bench(vcpus: 1, listRegisters: listRegisters)
        bench.interfaces[0].control = VirtualMachineControl(bits: 0xF8 << 24 | 1 << 9 | 3)
        bench.outside(0) { _ in VCPUSet() }
        for intid in 40..<48 {
            bench.configure(intid, priority: UInt64(0xF0 - (intid - 40) * 8), edge: true)
            try bench.setSPI(intid, .high)
            #expect(bench.acknowledge(0) == intid)
        }
        for intid in (40..<48).reversed() { bench.end(0, intid) }
        #expect(bench.read(0, .distributor, 0x304) == 0xFF << 8)
        // In another order than that of the ends.
        for intid in 40..<48 {
            bench.deactivate(0, intid)
            #expect(bench.read(0, .distributor, 0x304) == (0xFF << 8) & ~((1 << (UInt64(intid) - 31)) - 1))
        }
        try bench.setSPI(40, .high)
        #expect(bench.acknowledge(0) == 40)
    }

    @Test func aResetForgetsTheTimer() throws {
        var bench = try Bench(vcpus: 2)
        for vcpu in 0..<2 { bench.write(vcpu, .redistributor(vcpu), 0x1_0100, 1 << 27) }
        for vcpu in 0..<2 { bench.setTimer(vcpu, .high) }
        #expect(bench.acknowledge(1) == 27)
        for vcpu in 0..<2 { bench.timers[vcpu] = .low }
        for vcpu in 0..<2 {
            bench.exit(VCPUIndex(vcpu))
            bench.gic.resetConnectedLine(ppi: 27, of: VCPUIndex(vcpu))
            #expect(bench.gic.physicalState(ppi: 27, of: VCPUIndex(vcpu)) == .inactive)
            for offset: UInt64 in [0x1_0200, 0x1_0300] {
                #expect(bench.gic.readRegister(.redistributor(vcpu), offset: offset, width: .word) == 0)
            }
            bench.enter(VCPUIndex(vcpu))
        }
        // It fires as before.
        bench.setTimer(0, .high)
        #expect(bench.acknowledge(0) == 27)
    }

    @Test func deactivationByName() throws {
        var bench = try Bench(vcpus: 1)
        bench.configure(40, edge: true)
        bench.write(0, .distributor, 0x304, 1 << 8)
        #expect(bench.read(0, .distributor, 0x304) == 1 << 8)
        try bench.setSPI(40, .high)
        #expect(bench.acknowledge(0) == nil)
        bench.outside(0) { $0.deactivate(40, by: VCPUIndex(0)) }
        #expect(bench.acknowledge(0) == 40)
        #expect(bench.gic.deactivate(1020, by: VCPUIndex(0)).isEmpty)
        #expect(bench.gic.deactivate(UInt64.max, by: VCPUIndex(9)).isEmpty)
    }
}
