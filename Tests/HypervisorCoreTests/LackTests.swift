// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Calls that lack pages for tables, and faults and requests that are over or mean nothing.

import Arm
import CBootProtocol
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Testing

@testable import HypervisorCore

@Suite("What is missing") struct LackTests {
    let bench: HostBench

    init() throws { bench = try HostBench.finalised() }

    @Test("for a block that is split is asked for before anything changes")
    func splitting() throws {
        let vm = try bench.makeVM(.normal)
        let cpu = bench.machine[cpu: 0]
        #expect(bench.status(.mapGuest, [vm, 0x80000, HostBench.guestPages, 512, 3]) == .success)
        var kept: [Frame<HostPhysical>] = []
        try bench.hypervisor.memory.withLock(on: cpu) { state in
            let handle = try #require(VMHandle(alleged: vm))
            let pool = VMPool(vm: try #require(state.machines[handle]))
            while let frame = pool.pop(on: cpu) { kept.append(frame) }
        }
        #expect(bench.status(.unmapGuest, [vm, 0x80007, 1]) == .noMemory)
        #expect(bench.status(.topUp, [HostBench.guestPages + 7, 1]) == .denied, "it is lent still")
        try bench.hypervisor.memory.withLock(on: cpu) { state in
            let handle = try #require(VMHandle(alleged: vm))
            let pool = VMPool(vm: try #require(state.machines[handle]))
            for frame in kept { pool.push(frame, on: cpu) }
        }
        #expect(bench.status(.unmapGuest, [vm, 0x80007, 1]) == .success)
        bench.expectNoViolations()
    }

    @Test("for a change of ownership is asked for before anything changes")
    func ownership() throws {
        let vm = try bench.makeVM(.normal)
        let cpu = bench.machine[cpu: 0]
        bench.hypervisor.memory.withLock(on: cpu) { state in
            while state.pool.canTake { _ = state.pool.takeTable(on: cpu) }
        }
        #expect(bench.status(.donateToVM, [vm, HostBench.guestPages, 1]) == .noMemory)
        #expect(bench.report(HostBench.guestPages) == .host)
        #expect(bench.status(.topUp, [HostBench.guestPages + 512, 64]) == .success)
        #expect(bench.status(.donateToVM, [vm, HostBench.guestPages, 1]) == .success)
        bench.expectNoViolations()
    }

    @Test("is no exit any more when it is there by the time that EL2 looks")
    func mappedMeanwhile() throws {
        let vm = try bench.makeVM(.normal)
        #expect(bench.status(.mapGuest, [vm, 0x80000, HostBench.guestPages, 1, 3]) == .success)
        let guest = ScriptedGuest([ScriptedGuest.access(0x8000_0000, bytes: 8, target: 1)])
        bench.machine.guest = guest
        #expect(bench.run(vm).exit == .interrupt)
        #expect(guest.entries == 2, "the guest makes the access again")
    }

    @Test("is no exit any more when a device's page has become memory, and one again when it is no memory")
    func deviceBecomesMemory() throws {
        let vm = try bench.makeVM(.normal)
        let guest = ScriptedGuest(
            Array(repeating: ScriptedGuest.access(0x8000_0000, bytes: 8, target: 1), count: 3))
        bench.machine.guest = guest
        for _ in 0..<2 { #expect(bench.run(vm).exit == .mmioRead) }
        #expect(bench.status(.mapGuest, [vm, 0x80000, HostBench.guestPages, 1, 3]) == .success)
        #expect(bench.run(vm).exit == .interrupt)
        #expect(guest.entries == 4, "the guest makes the access again")
        #expect(bench.status(.unmapGuest, [vm, 0x80000, 1]) == .success)
        bench.machine.guest = ScriptedGuest([ScriptedGuest.access(0x8000_0000, bytes: 8, target: 1)])
        #expect(bench.run(vm).exit == .mmioRead)
    }

    @Test("in the meaning of a request is refused")
    func requests() throws {
        let vm = try bench.makeVM(.normal)
        for bits: UInt64 in [1 << 32, 1 << 63, 1 << 2, 1 << 12, 5 << 8, 1 << 16] {
            #expect(bench.status(.runVCPU, [vm, 0, bits]) == .invalidParameter, "x3 = \(hex(bits))")
        }
        #expect(bench.status(.runVCPU, [vm, 0, 0]) == .success)
    }

    @Test("during a guest's run is a host to return to")
    func noHost() throws {
        let vm = try bench.makeVM(.normal)
        let cpu = bench.machine[cpu: 0]
        let flag = HypervisorAddressSpace.identity(bench.hypervisor.boot.dataPage(of: 0))
            .advanced(by: UInt64(MARTLET_PERCPU_HAS_HOST))
        cpu.store64(flag, 1)
        var inGuest: UInt64?
        bench.machine.guest = ScriptedGuest([
            { cpu, _ in
                inGuest = cpu.load64(flag)
                return .interrupt
            }
        ])
        #expect(bench.run(vm).exit == .interrupt)
        #expect(inGuest == 0)
        #expect(cpu.load64(flag) != 0)
    }
}
