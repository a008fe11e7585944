// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// D. Guests, and what they must not show or see.

import Arm
import HypervisorInterface
import Machine
import SimulatedMachine

@testable import HypervisorCore

extension SimulatedAttack {
    private static let page = HostBench.guestPages

    static let guests: [SimulatedAttack] = [
        SimulatedAttack(id: "D04") { bench in
            let vm = try bench.victim()
            bench.machine.guest = ScriptedGuest([
                { cpu, vcpu in
                    vcpu.setGeneral(3, 0x5EC2E7, on: cpu)
                    return ScriptedGuest.access(0xA00_0010, bytes: 8, target: 3, isWrite: true)(cpu, vcpu)
                }
            ])
            let answer = bench.run(vm)
            return answer.x4 == 0x5EC2E7 ? "the host reads what the guest stores" : nil
        },
        SimulatedAttack(id: "D04b") { bench in
            let vm = try bench.victim()
            if let gain = bench.gain("the guest's memory is a window", .allowMMIO, [vm, 0x80000, 1]) { return gain }
            _ = bench.run(vm)
            return bench.gain("a window comes later", .allowMMIO, [vm, 0x9000, 1])
        },
        SimulatedAttack(id: "D04c") { bench in
            let vm = try bench.makeVM(.protected)
            _ = bench.status(.allowMMIO, [vm, 0x9000, 1])
            // It begins in the page before, of which the CPU says nothing.
            let virtual = SimulatedCPU.normalMemory
            bench.machine.guest = ScriptedGuest([
                { cpu, vcpu in
                    vcpu.setGeneral(3, 0x5EC2E7, on: cpu)
                    return ScriptedGuest.access(
                        0x900_0000, bytes: 8, target: 3, isWrite: true, virtual: virtual)(cpu, vcpu)
                }
            ])
            return bench.run(vm).x4 == 0x5EC2E7 ? "the host reads what the guest stores in its memory" : nil
        },
        SimulatedAttack(id: "D05") { try traps($0, of: .hcrEL2, bits: 1 << 19, "SMC reaches EL3") },
        SimulatedAttack(id: "D06") {
            try traps($0, of: .mdcrEL2, bits: 1 << 5 | 1 << 6, "the counters are the guest's")
        },
        SimulatedAttack(id: "D06b") { bench in
            let vm = try bench.victim()
            var counter: UInt64 = 0
            bench.machine.guest = ScriptedGuest([
                { cpu, vcpu in
                    vcpu.setProgramCounter(0x8000_0000, on: cpu)
                    // MSR PMCR_EL0, x0: op0 3, op1 3, CRn 9, CRm 12, op2 0.
                    let iss: UInt64 = 3 << 20 | 0 << 17 | 3 << 14 | 9 << 10 | 0 << 5 | 12 << 1
                    return ScriptedGuest.trap(0x18 << 26 | 1 << 25 | iss, on: cpu)
                },
                { cpu, vcpu in
                    counter = vcpu.programCounter(on: cpu)
                    return .interrupt
                },
            ])
            _ = bench.run(vm)
            return counter == 0x8000_0004 ? "the instruction is done with" : nil
        },
        SimulatedAttack(id: "D07") { bench in
            // TIDCP, TACR, TSW.
            try traps(bench, of: .hcrEL2, bits: 7 << 20, "instructions for the whole machine do not trap")
        },
        SimulatedAttack(id: "D11") { bench in
            let vm = try bench.makeVM(.protected)
            bench.machine.poke(Address(page << 12), 0x5EC2E7)
            _ = bench.status(.donateToGuest, [vm, 0x80000, page, 1, GuestContent.zero.rawValue])
            return bench.word(page) == 0x5EC2E7 ? "the guest finds a word that is not its own" : nil
        },
        SimulatedAttack(id: "D12") { bench in
            let vm = try bench.makeVM(.normal, vcpus: 2)
            _ = bench.status(.setRegister, [vm, 1, VCPURegister.power.number, 1])
            _ = bench.run(vm, 0)
            _ = bench.run(vm, 1)
            return bench.found(.sharedTranslations)
        },
    ]

    /// Whether a guest runs with all of these bits of a register.
    private static func traps(
        _ bench: HostBench, of register: SystemRegister, bits: UInt64, _ meaning: String
    ) throws -> String? {
        let vm = try bench.victim()
        var value: UInt64 = 0
        bench.machine.guest = ScriptedGuest([
            { cpu, _ in
                value = cpu.read(register)
                return .interrupt
            }
        ])
        _ = bench.run(vm)
        return value & bits == bits ? nil : meaning
    }
}
