// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The machine's end: nothing of protected guests is in memory when firmware hears of it.

import Arm
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Specification
import Testing

@testable import HypervisorCore

struct SystemEndTests {
    let bench: HostBench
    let page = HostBench.guestPages

    init() throws { bench = try HostBench.finalised() }

    private func word(_ frame: UInt64, _ index: UInt64 = 0) -> UInt64 {
        bench.machine.peek(Address(frame << 12 | index * 8)) ?? 0
    }

    /// Gives a guest pages with something in each.
    private func give(_ vm: UInt64, _ guest: UInt64, _ first: UInt64, _ count: UInt64) {
        for frame in first..<first + count { bench.machine.poke(Address(frame << 12), 0x5EC2E7) }
        let content = GuestContent.kept.rawValue
        #expect(bench.status(.donateToGuest, [vm, guest, first, count, content]) == .success)
    }

    /// How many of some pages are not zero.
    private func left(in frames: some Sequence<UInt64>) -> Int {
        frames.count { frame in (0..<512 as Range<UInt64>).contains { word(frame, $0) != 0 } }
    }

    @Test(arguments: [0x8400_0008 as UInt64, 0x8400_0009, 0x8400_0012, 0xC400_0012])
    func `firmware ends a machine in which guests' memory and registers are wiped`(_ call: UInt64) throws {
        let vm = try bench.makeVM(.protected)
        give(vm, 0x80000, page, 3)
        give(vm, 0x80200, page + 512, 512)
        give(vm, 0x80007, page + 7, 1)
        bench.machine.guest = ScriptedGuest([
            { cpu, vcpu in
                vcpu.setGeneral(7, 0x5EC2E7, on: cpu)
                return .interrupt
            }
        ])
        #expect(bench.run(vm).exit == .interrupt)
        let registers = HostBench.vcpuBlock..<HostBench.vcpuBlock + 4
        let memory = Array(page..<page + 3) + [page + 7] + Array(page + 512..<page + 1024)
        #expect(left(in: registers) > 0 && left(in: memory) == memory.count)
        // What is lent is the host's.
        let block = HostBench.vmBlock + 0x40
        let normal = try bench.makeVM(.normal, block: block)
        bench.machine.poke(Address((page + 5) << 12), 0xC0FFEE)
        #expect(bench.status(.mapGuest, [normal, 0x80000, page + 5, 1, 3]) == .success)

        var hasEnded = false
        bench.firmware.whenParked = { _ in
            hasEnded = true
            #expect(left(in: memory) == 0)
            #expect(left(in: registers) == 0)
            #expect(word(page + 5) == 0xC0FFEE)
        }
        _ = bench.smc(CallRegisters(call))
        #expect(hasEnded && bench.firmware.system == (call == 0x8400_0008 ? .off : .reset))
        // Where firmware refuses, the guest has ended all the same; the other one goes on.
        bench.machine.guest = ScriptedGuest([{ _, _ in .interrupt }])
        #expect(bench.run(vm).exit == .cpuOff)
        #expect(bench.run(normal).exit == .interrupt)
        bench.expectNoViolations()
    }

    @Test func `a guest that runs meanwhile has no memory any more, and what it holds leaves with it`() throws {
        let vm = try bench.makeVM(.protected)
        give(vm, 0x80000, page, 1)
        var reached: Frame<HostPhysical>??
        bench.machine.guest = ScriptedGuest([
            { cpu, _ in
                _ = bench.smc(CallRegisters(0x8400_0009), on: 1)
                // EL2 has waited for this vCPU, and not for ever.
                #expect(bench.firmware.system == .reset && word(page) == 0)
                reached = .some(cpu.machine.hostAccess(cpu, Address(0x8000_0000), .write).frame)
                return .interrupt
            }
        ])
        _ = bench.run(vm)
        #expect(try #require(reached) == nil)
        bench.expectNoViolations()
    }

    @Test func `a claim of a vCPU that was wiped while it ran ends with its VM, where firmware refuses`() throws {
        let vm = try bench.makeVM(.protected)
        bench.machine.guest = ScriptedGuest([
            { _, _ in
                _ = bench.smc(CallRegisters(0x8400_0009), on: 1)
                return .interrupt
            },
            { _, _ in .interrupt },
        ])
        _ = bench.run(vm)
        #expect(!bench.destroy(vm).isEmpty)
        // Its pages are another one's.
        let next = try bench.makeVM(.protected)
        #expect(bench.run(next, on: 1).exit == .interrupt)
        #expect(bench.run(vm).status == .notFound)
        bench.expectNoViolations()
    }

    @Test func `registers of a VM that is half-way back to the host are wiped as well`() throws {
        let vm = try bench.makeVM(.protected, vcpus: 3)
        give(vm, 0x80000, page, 1)
        bench.machine.guest = ScriptedGuest([
            { cpu, vcpu in
                vcpu.setGeneral(7, 0x5EC2E7, on: cpu)
                return .interrupt
            }
        ])
        #expect(bench.run(vm).exit == .interrupt)
        let registers = HostBench.vcpuBlock..<HostBench.vcpuBlock + 12
        while word(page) != 0 { _ = bench.wide(.destroyVM, [vm]) }
        // The vCPUs' pages are among the VM's unused ones now, or on their way there.
        _ = bench.wide(.destroyVM, [vm])
        #expect(left(in: registers) > 0)
        bench.firmware.whenParked = { _ in #expect(left(in: registers) == 0) }
        _ = bench.smc(CallRegisters(0x8400_0009))
        #expect(bench.firmware.system == .reset)
        bench.expectNoViolations()
    }

    @Test(arguments: 0..<12)
    func `a VM that is on its way back to the host does not keep the others from being wiped`(_ steps: Int) throws {
        let leaving = try bench.makeVM(.protected, vcpus: 2)
        give(leaving, 0x80000, page + 16, 2)
        let vm = try bench.makeVM(.protected, block: HostBench.vmBlock + 0x40)
        give(vm, 0x80000, page, 1)
        for _ in 0..<steps {
            // It may be gone before.
            _ = bench.wide(.destroyVM, [leaving])
        }
        bench.firmware.whenParked = { _ in #expect(left(in: [page, page + 16, page + 17]) == 0) }
        _ = bench.smc(CallRegisters(0x8400_0009))
        #expect(bench.firmware.system == .reset)
        bench.expectNoViolations()
    }

    @Test func `a machine without protected guests ends as it always did`() throws {
        _ = try bench.makeVM(.normal)
        let before = bench.firmware.calls.count
        _ = bench.smc(CallRegisters(0x8400_0008))
        #expect(bench.firmware.calls[before...].map(\.registers) == [FirmwareRegisters(0x8400_0008)])
        bench.expectNoViolations()
    }
}
