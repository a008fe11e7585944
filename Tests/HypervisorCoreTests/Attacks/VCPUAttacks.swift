// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// C. The host against vCPUs, time and interrupts.

import Arm
import HypervisorInterface
import Machine
import SimulatedMachine

@testable import HypervisorCore

extension SimulatedAttack {
    static let vcpus: [SimulatedAttack] = registers + answers + residues + interrupts

    private static let registers: [SimulatedAttack] = [
        SimulatedAttack(id: "C01") { bench in
            let vm = try bench.victim()
            bench.machine.guest = ScriptedGuest([
                { cpu, vcpu in
                    vcpu.setGeneral(5, 0x5EC2E7, on: cpu)
                    return .interrupt
                }
            ])
            _ = bench.run(vm)
            let read = bench.wide(.getRegister, [vm, 0, 5])
            if read[0] == 0 || read[1] != 0 { return "x5 is \(hex(read[1]))" }
            for register: VCPURegister in [.general(0), .programCounter, .processorState, .vector(0), .system(2)] {
                if let gain = bench.gain("\(register) is the host's", .setRegister, [vm, 0, register.number, 1]) {
                    return gain
                }
            }
            return nil
        },
        SimulatedAttack(id: "C02") { bench in
            let vm = try bench.makeVM(.normal)
            for state: UInt64 in [0x3C9, 0x3C8, 0x3CD, 0x1D3] {
                if let gain = bench.gain(
                    "a vCPU is in \(hex(state))", .setRegister, [vm, 0, VCPURegister.processorState.number, state])
                {
                    return gain
                }
            }
            return nil
        },
        SimulatedAttack(id: "C12") { bench in
            let vm = try bench.makeVM(.protected)
            return bench.gain("a second vCPU is on", .createVCPU, [vm, 1, HostBench.vcpuBlock + 16, 1])
                ?? bench.gain("the first is new", .resetVCPU, [vm, 1, 1])
        },
        SimulatedAttack(id: "C14") { bench in
            let vm = try bench.victim()
            bench.machine.guest = ScriptedGuest([
                { cpu, vcpu in
                    vcpu.setState(ProcessorState(bits: 0x10), on: cpu)
                    return ScriptedGuest.trap(0x01 << 26 | 1 << 25, on: cpu)
                }
            ])
            _ = bench.run(vm)
            return bench.run(vm).exit == .interrupt ? "it runs on" : nil
        },
        SimulatedAttack(id: "C17") { bench in
            let vm = try bench.makeVM(.protected)
            bench.machine.guest = ScriptedGuest([ScriptedGuest.hvc([0x8400_0008])])
            _ = bench.run(vm)
            // The host does what turns a normal VM on again; the guest's own power state is written by
            // whoever could.
            let cpu = bench.machine[cpu: 0]
            bench.hypervisor.memory.withLock(on: cpu) { state in
                guard let handle = VMHandle(alleged: vm), let page = state.machines[handle] else { return }
                page.vcpu(0, on: cpu)?.store(.power, VCPUPage.Power.on.rawValue, on: cpu)
            }
            return bench.run(vm).exit == .interrupt ? "it runs again" : nil
        },
    ]

    private static let answers: [SimulatedAttack] = [
        SimulatedAttack(id: "C03") { bench in
            let vm = try bench.makeVM(.normal)
            bench.machine.guest = ScriptedGuest([ScriptedGuest.access(0x900_0000, bytes: 8, target: 7)])
            _ = bench.run(vm)
            _ = bench.run(vm, request: .completes, value: 0x11)
            _ = bench.run(vm, request: .completes, value: 0xBAD)
            return bench.wide(.getRegister, [vm, 0, 7])[1] == 0xBAD ? "x7 was answered twice" : nil
        },
        SimulatedAttack(id: "C04") { bench in
            let vm = try bench.makeVM(.normal)
            _ = bench.run(vm)
            let before = bench.wide(.getRegister, [vm, 0, VCPURegister.programCounter.number])[1]
            _ = bench.run(vm, request: .injectExternalAbort)
            let after = bench.wide(.getRegister, [vm, 0, VCPURegister.programCounter.number])[1]
            return before == after ? nil : "the guest is in its handler at \(hex(after))"
        },
        SimulatedAttack(id: "C15") { bench in
            let vm = try bench.victim()
            bench.machine.guest = ScriptedGuest([
                { cpu, vcpu in
                    vcpu.setProgramCounter(0x8000_5EC2, on: cpu)
                    cpu.write(.farEL2, 0x5EC2E7)
                    return .systemError
                }
            ])
            let answer = bench.run(vm)
            return answer.x3 | answer.x4 == 0 ? nil : "FAR and PC are \(hex(answer.x3)) and \(hex(answer.x4))"
        },
        SimulatedAttack(id: "C16") { bench in
            let vm = try bench.victim()
            bench.machine.guest = ScriptedGuest([
                { cpu, _ in
                    cpu.write(.cntvCvalEL0, 0x5EC2E7)
                    cpu.write(.cntvCtlEL0, 1)
                    return .interrupt
                }
            ])
            let answer = bench.run(vm)
            return answer.timer.1 == 0 ? nil : "the timer is set to \(hex(answer.timer.1))"
        },
    ]

    private static let residues: [SimulatedAttack] = [
        SimulatedAttack(id: "C05") { bench in
            let vm = try bench.victim()
            let host = VectorRegisters(0x4057)
            bench.machine.vectors[0] = host
            bench.machine.guest = ScriptedGuest([
                FirstUse.simd.step,
                { _, _ in
                    bench.machine.vectors[0] = VectorRegisters(0x5EC2E7)
                    return .interrupt
                },
            ])
            _ = bench.run(vm)
            let left = bench.machine.vectors[0].visible(1).vectors
            return left == host.visible(1).vectors ? nil : "the host finds the guest's vectors"
        },
        SimulatedAttack(id: "C05b") { bench in
            let vm = try bench.victim()
            bench.machine.guest = ScriptedGuest([
                { cpu, _ in
                    for register in [SystemRegister.tpidrEL0, .elrEL1, .ttbr0EL1] { cpu.write(register, 0x5EC2E7) }
                    return .interrupt
                }
            ])
            _ = bench.run(vm)
            let cpu = bench.machine[cpu: 0]
            let left = [SystemRegister.tpidrEL0, .elrEL1, .ttbr0EL1].filter { cpu.read($0) == 0x5EC2E7 }
            return left.isEmpty ? nil : "the host finds the guest's \(left)"
        },
        SimulatedAttack(id: "C07") { bench in
            bench.machine[cpu: 0].write(.cntpctEL0, 0x1234)
            let vm = try bench.victim()
            _ = bench.status(.setRegister, [vm, 0, VCPURegister.timerCount.number, 0x99])
            var offset: UInt64 = 0
            bench.machine.guest = ScriptedGuest([
                { cpu, _ in
                    offset = cpu.read(.cntvoffEL2)
                    return .interrupt
                }
            ])
            _ = bench.run(vm)
            return offset == 0 ? nil : "the guest's time is \(hex(offset)) off"
        },
    ]

    private static let pending: UInt64 = 1 << 62 | 1 << 60 | 0xA0 << 48

    /// What a run with these list registers loads.
    private static func loaded(_ bench: HostBench, _ lists: [UInt64]) throws -> [UInt64] {
        let vm = try bench.victim()
        var loaded: [UInt64] = []
        bench.machine.guest = ScriptedGuest([
            { cpu, _ in
                loaded = GuestView.lists.map { cpu.read($0) }
                return .interrupt
            }
        ])
        _ = bench.run(vm, lists: lists)
        return loaded
    }

    private static let interrupts: [SimulatedAttack] = [
        SimulatedAttack(id: "C08") { bench in
            let lists = try loaded(bench, [1020, 1023, 8192].map { pending | $0 })
            return lists == [0, 0, 0, 0] ? nil : "the guest has list registers \(lists.map(hex))"
        },
        SimulatedAttack(id: "C09") { bench in
            let hardware: UInt64 = 1 << 61
            let lists = try loaded(bench, [pending | hardware | 33 << 32 | 33])
            return lists[0] & hardware == 0 ? nil : "the guest's EOI ends interrupt 33 of the machine"
        },
        SimulatedAttack(id: "C10") { bench in
            _ = try loaded(bench, [pending | 40])
            let cpu = bench.machine[cpu: 0]
            let left = (GuestView.lists + [.ichHcrEL2]).filter { cpu.read($0) != 0 }
            return left.isEmpty ? nil : "\(left) are not empty"
        },
    ]
}
