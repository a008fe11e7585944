// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Normal VMs: lending, running, ending.

import Arm
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Testing

@testable import HypervisorCore

struct NormalVMTests {
    let bench: HostBench

    init() throws { bench = try HostBench.finalised() }

    @Test func `the VM's pages are taken at creation and all of them come back at the end`() throws {
        let vm = try bench.makeVM(.normal, vcpus: 2)
        for frame in HostBench.vmBlock..<HostBench.vmBlock + 24 { #expect(bench.report(frame) == .hypervisor) }
        #expect(bench.touch(HostBench.vmBlock << 12) == nil)
        let returned = Set(bench.destroy(vm))
        #expect(returned == Set(HostBench.vmBlock..<HostBench.vmBlock + 24))
        for frame in returned { #expect(bench.report(frame) == .host) }
        #expect(bench.touch(HostBench.vmBlock << 12, .write) == HostBench.vmBlock)
        #expect(bench.status(.runVCPU, [vm, 0, 0, 0]) == .notFound)
        bench.expectNoViolations()
    }

    @Test func `a block that is misaligned, too small, not a power of two or not the host's is refused`() {
        let kind = VMKind.normal.rawValue
        #expect(bench.status(.createVM, [kind, 40, HostBench.vmBlock + 1, 16]) == .invalidParameter)
        #expect(bench.status(.createVM, [kind, 40, HostBench.vmBlock, 2]) == .invalidParameter)
        #expect(bench.status(.createVM, [kind, 40, HostBench.vmBlock, 12]) == .invalidParameter)
        #expect(bench.status(.createVM, [kind, 60, HostBench.vmBlock, 16]) == .invalidParameter)
        #expect(bench.status(.createVM, [7, 40, HostBench.vmBlock, 16]) == .invalidParameter)
        #expect(bench.status(.createVM, [kind, 40, 1 << 30, 16]) == .denied)
        #expect(bench.status(.createVM, [kind, 40, UInt64.max & ~15, 16]) == .invalidParameter)
        #expect(bench.report(HostBench.vmBlock) == .host)
    }

    @Test func `forged and dead handles name nothing`() throws {
        let vm = try bench.makeVM(.normal)
        for forged in [0, 1, vm ^ 1, vm + (1 << 8), vm | 1 << 63, vm & 0xFF, UInt64.max, vm | 0x40] {
            #expect(bench.status(.runVCPU, [forged, 0, 0, 0]) == .notFound, "handle \(hex(forged))")
            #expect(bench.status(.destroyVM, [forged]) == .notFound)
        }
        _ = bench.destroy(vm)
        let second = try bench.makeVM(.normal)
        #expect(second != vm)
        #expect(bench.status(.destroyVM, [vm]) == .notFound)
    }

    @Test func `a lent page cannot be donated until it is taken back as often as it was lent`() throws {
        let vm = try bench.makeVM(.normal)
        let page = HostBench.guestPages
        #expect(bench.status(.mapGuest, [vm, 0x80000, page, 1, 3]) == .success)
        #expect(bench.status(.mapGuest, [vm, 0x80001, page, 1, 1]) == .success)
        #expect(bench.status(.mapGuest, [vm, 0x80001, page, 1, 3]) == .success, "the same mapping with other rights")
        #expect(bench.status(.topUp, [page, 1]) == .denied)
        #expect(bench.touch(page << 12, .write) == page, "the host keeps what it lends")
        #expect(bench.status(.unmapGuest, [vm, 0x80000, 1]) == .success)
        #expect(bench.status(.topUp, [page, 1]) == .denied)
        #expect(bench.status(.unmapGuest, [vm, 0x80001, 1]) == .success)
        #expect(bench.status(.unmapGuest, [vm, 0x80001, 1]) == .success, "nothing there: nothing happens")
        #expect(bench.status(.topUp, [page, 1]) == .success)
        bench.expectNoViolations()
    }

    @Test func `a guest page that maps one frame never silently maps another`() throws {
        let vm = try bench.makeVM(.normal)
        #expect(bench.status(.mapGuest, [vm, 0x80000, HostBench.guestPages, 1, 3]) == .success)
        #expect(bench.status(.mapGuest, [vm, 0x80000, HostBench.guestPages + 1, 1, 3]) == .denied)
        #expect(bench.status(.mapGuest, [vm, 0x80000, HostBench.vmBlock, 1, 3]) == .denied, "EL2's own page")
        #expect(bench.status(.mapGuest, [vm, 0x80000, 0x9000, 1, 3]) == .denied, "a device")
        #expect(bench.status(.mapGuest, [vm, (1 << 28) - 1, HostBench.guestPages, 2, 3]) == .invalidParameter)
        #expect(bench.status(.mapGuest, [vm, UInt64.max, HostBench.guestPages, 2, 3]) == .invalidParameter)
        #expect(bench.status(.mapGuest, [vm, 0, HostBench.guestPages, 513, 3]) == .invalidParameter)
        #expect(bench.status(.mapGuest, [vm, 0, HostBench.guestPages, 1, 4]) == .invalidParameter)
    }

    @Test func `a page is lent no more often than the ledger can count`() throws {
        let vm = try bench.makeVM(.normal)
        let (page, cpu) = (HostBench.guestPages, bench.machine[cpu: 0])
        bench.hypervisor.memory.withLock(on: cpu) { state in
            state.ledger.record(.host(lent: PageState.maximumLent - 1), of: Frame(page), on: cpu)
        }
        #expect(bench.status(.mapGuest, [vm, 0x80000, page, 1, 3]) == .success)
        #expect(bench.status(.mapGuest, [vm, 0x80001, page, 1, 3]) == .denied)
        // Nor with a page before it that the guest has already.
        #expect(bench.status(.mapGuest, [vm, 0x80010, page - 1, 1, 3]) == .success)
        #expect(bench.status(.mapGuest, [vm, 0x80010, page - 1, 2, 3]) == .denied)
        #expect(bench.status(.topUp, [page, 1]) == .denied)
        #expect(bench.status(.unmapGuest, [vm, 0x80000, 1]) == .success)
        #expect(bench.status(.mapGuest, [vm, 0x80001, page, 1, 3]) == .success)
    }

    @Test(arguments: [0, 1, 511] as [UInt64])
    func `each guest page gets its own frame, however the frames are aligned`(_ offset: UInt64) throws {
        let vm = try bench.makeVM(.normal)
        let first = HostBench.guestPages + offset
        #expect(bench.status(.mapGuest, [vm, 0x80000, first, 512, 3]) == .success)
        let cpu = bench.machine[cpu: 0]
        try bench.hypervisor.memory.withLock(on: cpu) { state in
            let handle = try #require(VMHandle(alleged: vm))
            let table = try #require(state.machines[handle]?.table(on: cpu))
            for page: UInt64 in [0, 1, 255, 511] {
                let found = table.lookup(0x80000 + page, on: cpu)
                guard case .leaf(let frame, _) = found.descriptor else {
                    Issue.record("page \(page) maps nothing")
                    continue
                }
                #expect(frame.number + page % found.level.entryPages == first + page)
                // What a larger entry has below its own size the CPU does not see.
                #expect(frame.number % found.level.entryPages == 0, "page \(page)")
            }
        }
        bench.expectNoViolations()
    }

    @Test func `a page that a guest uses gets other rights by break and make`() throws {
        let vm = try bench.makeVM(.normal)
        #expect(bench.status(.mapGuest, [vm, 0x80000, HostBench.guestPages, 2, 3]) == .success)
        #expect(bench.run(vm, on: 1).exit == .interrupt)
        for access: UInt64 in [0, 3, 1] {
            #expect(bench.status(.mapGuest, [vm, 0x80000, HostBench.guestPages, 1, access]) == .success)
            bench.expectNoViolations()
        }
    }

    /// Nothing else that this CPU does may be what shows walkers the empty root.
    @Test func `a VM that one CPU makes runs on another at once`() throws {
        let made = bench.wide(.createVM, [VMKind.normal.rawValue, 40, HostBench.vmBlock, 16], on: 1)
        #expect(made[0] == 0)
        let vm = made[1]
        #expect(bench.status(.createVCPU, [vm, 0, HostBench.vmBlock + 16, 1]) == .success)
        #expect(bench.run(vm).exit == .interrupt)
        bench.expectNoViolations()
    }

    @Test func `512 aligned pages are one block, and one of them taken back splits it`() throws {
        let vm = try bench.makeVM(.normal)
        #expect(bench.status(.mapGuest, [vm, 0x80000, HostBench.guestPages - 0x200 + 0x200, 512, 3]) == .success)
        #expect(bench.status(.unmapGuest, [vm, 0x80007, 1]) == .success)
        #expect(bench.status(.topUp, [HostBench.guestPages + 7, 1]) == .success)
        #expect(bench.status(.topUp, [HostBench.guestPages + 8, 1]) == .denied)
        _ = bench.destroy(vm)
        #expect(bench.status(.topUp, [HostBench.guestPages + 8, 1]) == .success)
        bench.expectNoViolations()
    }

    @Test func `all of an address space is taken back in few calls, each of them bounded`() throws {
        let vm = try bench.makeVM(.normal)
        let page = HostBench.guestPages
        let end: UInt64 = 1 << 28
        let lent: [(guest: UInt64, host: UInt64, count: UInt64)] = [
            (0, page + 512, 1), (0x80000, page, 512), (0x80203, page + 520, 3), (end - 1, page + 530, 1),
        ]
        for part in lent { #expect(bench.status(.mapGuest, [vm, part.guest, part.host, part.count, 3]) == .success) }
        var next: UInt64 = 0
        var calls = 0
        while next < end {
            let answer = bench.wide(.unmapGuest, [vm, next, end - next])
            #expect(answer[0] == 0 && answer[1] > next && answer[1] <= end)
            guard answer[1] > next else { break }
            next = answer[1]
            calls += 1
        }
        #expect(next == end)
        #expect(calls > 1 && calls < 12, "\(calls) calls")
        for part in lent { #expect(bench.status(.topUp, [part.host, part.count]) == .success, "none is lent") }
        #expect(bench.status(.unmapGuest, [vm, 0, end + 1]) == .invalidParameter)
        #expect(bench.status(.unmapGuest, [vm, 0, 0]) == .invalidParameter)
        #expect(bench.status(.unmapGuest, [vm, 1, .max]) == .invalidParameter)
        _ = bench.destroy(vm)
        bench.expectNoViolations()
    }

    @Test(arguments: [1, 7, 8, 511] as [UInt64])
    func `a call that begins in the middle of a table ends as soon as another`(_ offset: UInt64) throws {
        let vm = try bench.makeVM(.normal)
        let page = HostBench.guestPages
        // A table, nothing, and then more than one call may take.
        let lent: [UInt64] = [0x80000 + offset] + (2..<20).map { 0x80000 + UInt64($0) * 512 }
        #expect(bench.status(.donateToVM, [vm, page + 512, 64]) == .success)
        for (index, guest) in lent.enumerated() {
            #expect(bench.status(.mapGuest, [vm, guest, page + UInt64(index), 1, 3]) == .success)
        }
        let answer = bench.wide(.unmapGuest, [vm, lent[0], 0x90000 - lent[0]])
        #expect(answer[0] == 0 && answer[1] > lent[0] && answer[1] <= 0x80000 + 3 * 512, "up to \(hex(answer[1]))")
        _ = bench.destroy(vm)
        bench.expectNoViolations()
    }

    @Test func `a timer is told in the count that the guest had, whatever becomes of the VM's meanwhile`() throws {
        let vm = try bench.makeVM(.normal, vcpus: 2)
        let cpu = bench.machine[cpu: 0]
        let count = VCPURegister.timerCount.number
        #expect(bench.status(.setRegister, [vm, 0, count, 1000]) == .success)
        var offset: UInt64 = 0
        bench.machine.guest = ScriptedGuest([
            { cpu, _ in
                offset = cpu.read(.cntvoffEL2)
                cpu.write(.cntvCvalEL0, 5000)
                // Of the VM, by another vCPU that does not run.
                #expect(bench.status(.setRegister, [vm, 1, count, 1 << 40], on: 1) == .success)
                return .interrupt
            }
        ])
        #expect(bench.run(vm).timer.1 == offset &+ 5000)
        #expect(cpu.read(.cntvoffEL2) != offset, "the host's again")
        bench.expectNoViolations()
    }

    @Test func `an MMIO read ends in the register that asked, once, with its size and sign`() throws {
        let vm = try bench.makeVM(.normal)
        var seen: [UInt64] = []
        bench.machine.guest = ScriptedGuest([
            ScriptedGuest.access(0x900_0004, bytes: 4, target: 7),
            { cpu, vcpu in
                seen = [vcpu.general(7, on: cpu), vcpu.programCounter(on: cpu)]
                return .interrupt
            },
        ])
        #expect(bench.status(.setRegister, [vm, 0, VCPURegister.programCounter.number, 0x8000_0000]) == .success)
        let first = bench.run(vm)
        #expect(first.exit == .mmioRead && first.x2 == 0x900_0004 && first.x3 == 4)
        let second = bench.run(vm, request: .completes, value: 0xFFFF_FFFF_1234_5678)
        #expect(second.exit == .interrupt)
        #expect(seen == [0x1234_5678, 0x8000_0004])
        // Nothing is pending any more: completing again changes nothing.
        _ = bench.run(vm, request: .completes, value: 0xBAD)
        #expect(bench.wide(.getRegister, [vm, 0, 7])[1] == 0x1234_5678)
        #expect(bench.wide(.getRegister, [vm, 0, VCPURegister.programCounter.number])[1] == 0x8000_0004)
    }

    @Test func `PSCI is answered at EL2 and only a CPU_ON of the guest starts a vCPU`() throws {
        let vm = try bench.makeVM(.normal, vcpus: 2)
        var answers: [UInt64] = []
        func note(_ cpu: SimulatedCPU, _ vcpu: VCPUPage) { answers.append(vcpu.general(0, on: cpu)) }
        var started: [UInt64] = []
        bench.machine.guest = ScriptedGuest([
            ScriptedGuest.hvc([0x8400_0000]),
            { cpu, vcpu in
                note(cpu, vcpu)
                return ScriptedGuest.hvc([0xC400_0003, 1, 0x8000_1000, 42])(cpu, vcpu)
            },
            { cpu, vcpu in
                started = [vcpu.programCounter(on: cpu), vcpu.general(0, on: cpu), vcpu.state(on: cpu).bits]
                return .interrupt
            },
            { cpu, vcpu in
                note(cpu, vcpu)
                return ScriptedGuest.hvc([0xC400_0003, 1, 0, 0])(cpu, vcpu)
            },
            { cpu, vcpu in
                note(cpu, vcpu)
                return ScriptedGuest.hvc([0xC400_0003, 9, 0, 0])(cpu, vcpu)
            },
            { cpu, vcpu in
                note(cpu, vcpu)
                return .interrupt
            },
        ])
        #expect(bench.run(vm, 1).exit == .cpuOff)
        let on = bench.run(vm, 0)
        #expect(on.exit == .cpuOn && on.x2 == 1)
        #expect(bench.run(vm, 1, on: 1).exit == .interrupt)
        #expect(started == [0x8000_1000, 42, 0x3C5])
        #expect(bench.run(vm, 0).exit == .interrupt)
        // VERSION 1.1, SUCCESS, ALREADY_ON, INVALID_PARAMETERS.
        #expect(answers == [0x1_0001, 0, UInt64(bitPattern: -4), UInt64(bitPattern: -2)])
    }

    @Test func `list registers are checked: no foreign physical number, no special number, no duplicate`() throws {
        let vm = try bench.makeVM(.normal)
        let pending: UInt64 = 1 << 62 | 1 << 60 | 0xA0 << 48
        let hardware: UInt64 = 1 << 61
        var loaded: [UInt64] = []
        bench.machine.guest = ScriptedGuest([
            { cpu, _ in
                loaded = [SystemRegister.ichLr0EL2, .ichLr1EL2, .ichLr2EL2, .ichLr3EL2].map { cpu.read($0) }
                return .interrupt
            }
        ])
        let run = bench.run(
            vm,
            lists: [pending | 34, pending | hardware | 33 << 32 | 33, pending | 34 | 1 << 59, pending | 1021])
        #expect(run.status == .success)
        #expect(loaded == [pending | 34, pending | 33, 0, 0])
        // Only what the CPU has list registers for is ever written; all are zero while the host runs.
        for register in [SystemRegister.ichLr0EL2, .ichLr1EL2, .ichHcrEL2, .ichVmcrEL2] {
            #expect(bench.machine[cpu: 0].read(register) == 0)
        }
    }

    @Test func `one vCPU is run by one CPU, and a VM that runs does not end`() throws {
        let vm = try bench.makeVM(.normal)
        var inner: [CallStatus?] = []
        bench.machine.guest = ScriptedGuest([
            { _, _ in
                inner = [
                    bench.status(.runVCPU, [vm, 0, 0, 0], on: 1), bench.status(.destroyVM, [vm], on: 1),
                    bench.status(.getRegister, [vm, 0, 0], on: 1), bench.status(.setRegister, [vm, 0, 0, 1], on: 1),
                ]
                return .interrupt
            }
        ])
        #expect(bench.run(vm).exit == .interrupt)
        #expect(inner == [.busy, .busy, .busy, .busy])
    }

    @Test func `a state that is not EL1 or EL0 in AArch64 cannot be set`() throws {
        let vm = try bench.makeVM(.normal)
        for state: UInt64 in [0x3C9, 0x3CD, 0x1D3, 0x10, 0x3C8] {
            #expect(bench.status(.setRegister, [vm, 0, VCPURegister.processorState.number, state]) == .denied)
        }
        for state: UInt64 in [0x3C5, 0x3C4, 0x0, 0x6000_0000] {
            #expect(bench.status(.setRegister, [vm, 0, VCPURegister.processorState.number, state]) == .success)
        }
    }

    @Test func `what a guest reads of its identity its host reads too, and nobody changes it`() throws {
        let vm = try bench.makeVM(.normal)
        for index: UInt64 in 0x08...0x3F {
            var seen: UInt64 = 0xBAD
            // MRS x5 with op0 = 3, op1 = 0, CRn = 0.
            let syndrome: UInt64 = 0x18 << 26 | 1 << 25 | 3 << 20 | (index & 7) << 17 | 5 << 5 | (index >> 3) << 1 | 1
            bench.machine.guest = ScriptedGuest([
                { cpu, _ in ScriptedGuest.trap(syndrome, on: cpu) },
                { cpu, vcpu in
                    seen = vcpu.general(5, on: cpu)
                    return .interrupt
                },
            ])
            #expect(bench.run(vm).exit == .interrupt)
            let register = VCPURegister.identity(UInt8(index)).number
            #expect(bench.wide(.getRegister, [vm, 0, register])[1] == seen)
            #expect(bench.status(.setRegister, [vm, 0, register, seen]) == .denied)
        }
        #expect(bench.wide(.getRegister, [vm, 0, VCPURegister.identity(0x20).number])[1] & 0xFF == 0x11)
        for number: UInt64 in [0x400, 0x407, 0x440] {
            #expect(bench.status(.getRegister, [vm, 0, number]) == .invalidParameter)
        }
    }

    @Test func `the host's registers come back after a run, and the guest's are gone`() throws {
        let vm = try bench.makeVM(.normal)
        let registers: [SystemRegister] = [
            .sctlrEL1, .ttbr0EL1, .ttbr1EL1, .vbarEL1, .tpidrEL1, .tpidrEL0, .spEL0, .spEL1, .mairEL1,
            .cpacrEL1,
            .contextidrEL1, .cntkctlEL1, .mdscrEL1,
        ]
        let cpu = bench.machine[cpu: 0]
        for (index, register) in registers.enumerated() { cpu.write(register, 0x1000 + UInt64(index)) }
        // What exceptions write.
        let status: [SystemRegister] = [.esrEL1, .farEL1, .elrEL1, .spsrEL1, .parEL1]
        for register in status { cpu.write(register, 0x1000) }
        let controls: [SystemRegister] = [.hcrEL2, .vttbrEL2, .vtcrEL2, .cptrEL2, .mdcrEL2, .cnthctlEL2, .cntvoffEL2]
        let before = controls.map { cpu.read($0) }
        var atEntry: [UInt64] = []
        bench.machine.guest = ScriptedGuest([
            { cpu, _ in
                atEntry = (registers + status).map { cpu.read($0) }
                for register in registers + status { cpu.write(register, 0xDEAD) }
                return .interrupt
            },
            { cpu, _ in
                atEntry = (registers + status).map { cpu.read($0) }
                return .interrupt
            },
        ])
        #expect(bench.run(vm).exit == .interrupt)
        #expect(atEntry.allSatisfy { $0 < 0x1000 || $0 == 0x30D0_0800 }, "nothing of the host is in them")
        for (index, register) in registers.enumerated() { #expect(cpu.read(register) == 0x1000 + UInt64(index)) }
        for register in status { #expect(cpu.read(register) == 0) }
        #expect(controls.map { cpu.read($0) } == before)
        _ = bench.run(vm)
        #expect(atEntry.allSatisfy { $0 == 0xDEAD }, "the guest finds its own again")
    }
}
