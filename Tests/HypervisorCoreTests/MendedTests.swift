// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Mistakes that were made once: each of these tests fails when its mending is taken out.

import Arm
import CBootProtocol
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Testing

@testable import HypervisorCore

struct MendedTests {
    /// EL2's tables are in use by CPUs that hold no lock: whatever one CPU changes in them, another one
    /// reaches what was mapped before and after at every moment between.
    @Test(arguments: [0 as UInt64, 496])
    func `a page of EL2 stays mapped for other CPUs while its neighbours come and go`(_ later: UInt64) throws {
        let bench = try HostBench.finalised()
        let machine = bench.machine
        let first: UInt64 = 0x42000
        let probed = first + 509
        let probe = HypervisorAddressSpace.identity(Frame<HostPhysical>(probed).address)
        // 2 MiB, at once or not.
        #expect(bench.status(.topUp, [first + later, 512 - later]) == .success)
        var looks = 0
        machine.beforeStep = { cpu in
            guard cpu.index == 0 else { return }
            looks += 1
            _ = machine[cpu: 1].load64(probe)
        }
        // All of them could be one block now; then pages of it go back one by one.
        if later > 0 { #expect(bench.status(.topUp, [first, later]) == .success) }
        for _ in 0..<8 {
            let answer = bench.call(.reclaimPool)
            #expect(answer.x0 == 0 && answer.x1 != probed)
        }
        machine.beforeStep = nil
        #expect(looks > 200)
        bench.expectNoViolations()
    }

    /// As soon as a claim ends, another CPU may end the VM and its pages may be the host's.
    @Test func `nothing of a vCPU is read once its claim has ended`() throws {
        let bench = try HostBench.finalised()
        let machine = bench.machine
        let vm = try bench.makeVM(.normal)
        let runner = Address<HostPhysical>(HostBench.vcpuBlock << pageShift + VCPUPage.Field.runner.rawValue)
        func isKept() -> Bool {
            let data = machine.peek(runner) ?? 0
            return data == 0 || machine.peek(Address(data + UInt64(MARTLET_PERCPU_CLAIM_KEPT))) != 0
        }
        var wasRunning = false
        var isGone = false
        func endIfIdle() {
            guard wasRunning, !isGone, isKept() else { return }
            isGone = true
            _ = bench.destroy(vm, on: 1)
        }
        machine.beforeStep = { cpu in
            guard cpu.index == 0 else { return }
            if !isKept() { wasRunning = true }
            endIfIdle()
        }
        #expect(bench.run(vm).exit == .interrupt)
        machine.beforeStep = nil
        // Usually nothing is left to be done on the first CPU, so that the end comes after it.
        endIfIdle()
        #expect(isGone)
        #expect(bench.report(HostBench.vcpuBlock) == .host)
        bench.expectNoViolations()
    }

    /// Records go to addresses of the host's choice, by the tables of the moment.
    @Test func `profiling, trace and branch records are written before translation changes`() throws {
        var plan = Plan()
        plan.identification.dfr0 = 1 << 32 | 1 << 40 | 1 << 52
        let bench = try HostBench.finalised(plan)
        let cpu = bench.machine[cpu: 0]
        let vm = try bench.makeVM(.normal)
        let units: [SystemRegister] = [.pmscrEL1, .trfcrEL1, .brbcrEL1]
        for unit in units { cpu.write(unit, 3) }
        var inGuest: [UInt64] = []
        bench.machine.guest = ScriptedGuest([
            { cpu, _ in
                inGuest = units.map { cpu.read($0) }
                return .interrupt
            }
        ])
        #expect(bench.run(vm).exit == .interrupt)
        #expect(inGuest == [0, 0, 0])
        #expect(units.map { cpu.read($0) } == [3, 3, 3], "the host's own go on")
        #expect(bench.status(.mapGuest, [vm, 0x80000, HostBench.guestPages, 1, 3]) == .success)
        #expect(bench.status(.unmapGuest, [vm, 0x80000, 1]) == .success)
        #expect(units.map { cpu.read($0) } == [3, 3, 3])
        bench.expectNoViolations()
    }

    /// A count of instructions or branches between two exits says much about what a guest does.
    @Test(arguments: [VMKind.normal, .protected])
    func `the host's counters stand still while a protected guest runs`(_ kind: VMKind) throws {
        var plan = Plan()
        plan.identification.dfr0 = 1 << 8
        let bench = try HostBench.finalised(plan)
        let cpu = bench.machine[cpu: 0]
        let vm = try bench.makeVM(kind)
        // E, LC and N, as a host that counts has them.
        let counting: UInt64 = 6 << 11 | 1 << 6 | 1
        cpu.write(.pmcrEL0, counting)
        var inGuest: [UInt64] = []
        func note(_ cpu: SimulatedCPU) { inGuest += [cpu.read(.pmcrEL0), cpu.read(.mdcrEL2)] }
        bench.machine.guest = ScriptedGuest([
            { cpu, _ in
                note(cpu)
                // EL2 answers, and goes back into the guest.
                return ScriptedGuest.trap(0x17 << 26 | 1 << 25, on: cpu)
            },
            { cpu, _ in
                note(cpu)
                return .interrupt
            },
        ])
        #expect(bench.run(vm).exit == .interrupt)
        #expect(inGuest.count == 4)
        let left: UInt64 = kind == .protected ? counting - 1 : counting
        for index in stride(from: 0, to: inGuest.count, by: 2) {
            #expect(inGuest[index] == left)
            // HPME is zero, for counters from HPMN on; TPMCR and TPM keep the guest away; HPMN is the kernel's.
            let bits: UInt64 = inGuest[index + 1] & 0xFF
            #expect(bits == 0x66)
        }
        #expect(cpu.read(.pmcrEL0) == counting, "and go on afterwards")
        bench.expectNoViolations()
    }

    /// All vCPUs of a VM have one VMID, and each has stage-1 tables of its own.
    @Test func `vCPUs that take turns on a CPU share no translations`() throws {
        let bench = try HostBench.finalised()
        let vm = try bench.makeVM(.normal, vcpus: 2)
        #expect(bench.status(.setRegister, [vm, 1, VCPURegister.power.number, 1]) == .success)
        for (vcpu, cpu) in [(0, 0), (1, 0), (0, 0), (0, 1), (1, 0), (1, 1), (0, 1), (0, 0)] as [(UInt64, Int)] {
            #expect(bench.run(vm, vcpu, on: cpu).exit == .interrupt)
        }
        bench.expectNoViolations()
    }
}
