// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The ends and new beginnings of vCPUs, aborts that guests get, and the interrupt interface's controls.

import Arm
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Testing

@testable import HypervisorCore

struct GuestLifeTests {
    let bench: HostBench

    init() throws { bench = try HostBench.finalised() }

    private func power(_ vm: UInt64, _ vcpu: UInt64) -> UInt64 {
        bench.wide(.getRegister, [vm, vcpu, VCPURegister.power.number])[1]
    }

    private func switchOn(_ vm: UInt64, _ vcpu: UInt64) -> CallStatus? {
        bench.status(.setRegister, [vm, vcpu, VCPURegister.power.number, 1])
    }

    @Test(arguments: [0x8400_0008 as UInt64, 0x8400_0009, 0xC400_0012])
    func `a vCPU that ends a normal VM turns all of them off, until the host turns one on`(_ call: UInt64) throws {
        let vm = try bench.makeVM(.normal, vcpus: 3)
        #expect(switchOn(vm, 1) == .success)
        var inner: RunAnswer?
        var answer: UInt64 = 0
        bench.machine.guest = ScriptedGuest([
            { _, _ in
                // vCPU 1 runs on another CPU, and ends the machine under vCPU 0's feet.
                inner = bench.run(vm, 1, on: 1)
                return ScriptedGuest.trap(0x07 << 26 | 1 << 25, on: bench.machine[cpu: 0])
            },
            ScriptedGuest.hvc([call]),
            { cpu, vcpu in
                answer = vcpu.general(0, on: cpu)
                return .interrupt
            },
        ])
        // What vCPU 0 asked of EL2 would have let it go on.
        #expect(bench.run(vm, 0).exit == .cpuOff)
        #expect(inner?.exit == (call == 0x8400_0008 ? .systemOff : .systemReset))
        for vcpu in 0..<3 as Range<UInt64> {
            #expect(power(vm, vcpu) == 0)
            #expect(bench.run(vm, vcpu).exit == .cpuOff)
        }
        #expect(switchOn(vm, 1) == .success)
        #expect(bench.run(vm, 1).exit == .interrupt)
        #expect(answer == UInt64(bitPattern: -6), "PSCI INTERNAL_FAILURE")
        #expect(bench.run(vm, 0).exit == .cpuOff)
        bench.expectNoViolations()
    }

    @Test func `a protected VM that has ended never runs again`() throws {
        let vm = try bench.makeVM(.protected, vcpus: 2)
        var started: CallStatus?
        var late: UInt64 = 0
        bench.machine.guest = ScriptedGuest([
            ScriptedGuest.hvc([0xC400_0003, 1, 0x8000_0000, 0]),
            { cpu, vcpu in
                // vCPU 1 ends the machine; vCPU 0 tries to turn it on again.
                started = bench.run(vm, 1, on: 1).status
                return ScriptedGuest.hvc([0xC400_0003, 1, 0x8000_0000, 0])(cpu, vcpu)
            },
            ScriptedGuest.hvc([0x8400_0009]),
        ])
        let guest = try #require(bench.machine.guest as? ScriptedGuest)
        #expect(bench.run(vm, 0).exit == .cpuOn)
        #expect(bench.run(vm, 0).exit == .cpuOff)
        #expect(started == .success)
        let entries = guest.entries
        guest.steps = Array(
            repeating: { cpu, vcpu in
                late = vcpu.general(0, on: cpu)
                return .interrupt
            }, count: 4)
        for vcpu in 0..<2 as Range<UInt64> {
            #expect(power(vm, vcpu) == 0)
            #expect(switchOn(vm, vcpu) == .denied)
            #expect(bench.status(.resetVCPU, [vm, vcpu, 0]) == .denied)
            #expect(bench.run(vm, vcpu).exit == .cpuOff)
        }
        #expect(guest.entries == entries && late == 0)
        _ = bench.destroy(vm)
        bench.expectNoViolations()
    }

    @Test func `a vCPU that is reset is as new`() throws {
        let vm = try bench.makeVM(.normal, vcpus: 2)
        let registers: [VCPURegister] = [
            .general(3), .programCounter, .stackPointerEL0, .timerControl, .timerCompare, .fpcr, .vector(4),
            .system(VCPURegister.System.vbar.rawValue), .system(VCPURegister.System.ttbr0.rawValue),
            .system(VCPURegister.System.sctlr.rawValue), .processorState,
            .system(VCPURegister.System.mpidr.rawValue), .power,
        ]
        func values() -> [UInt64] { registers.map { bench.wide(.getRegister, [vm, 1, $0.number])[1] } }
        #expect(switchOn(vm, 1) == .success)
        let new = values()
        bench.machine.guest = ScriptedGuest([
            { cpu, vcpu in
                cpu.write(.ichVmcrEL2, 0xF8 << 24 | 2)
                return ScriptedGuest.access(0x900_0004, bytes: 4, target: 3)(cpu, vcpu)
            }
        ])
        #expect(bench.run(vm, 1).exit == .mmioRead)
        for register in registers.prefix(10) {
            #expect(bench.status(.setRegister, [vm, 1, register.number, 0x1234_5671]) == .success)
        }
        #expect(bench.status(.setRegister, [vm, 1, VCPURegister.processorState.number, 0x3C4]) == .success)
        #expect(zip(values(), new).prefix(11).allSatisfy { $0 != $1 })
        #expect(bench.status(.resetVCPU, [vm, 1, 0]) == .success)
        #expect(values() == new.dropLast() + [0])
        #expect(bench.run(vm, 1).exit == .cpuOff)
        #expect(bench.status(.resetVCPU, [vm, 1, 1]) == .success)
        // Neither is the load completed that the exit was about.
        let again = bench.run(vm, 1, request: .completes, value: 0xBAD)
        #expect(again.exit == .interrupt && again.interface == 0)
        #expect(values() == new)
        #expect(bench.status(.resetVCPU, [vm, 5, 1]) == .notFound)
        #expect(bench.status(.resetVCPU, [vm, 1, 2]) == .invalidParameter)
        bench.expectNoViolations()
    }

    @Test func `a running vCPU is not reset, and one of a protected VM only before the first run`() throws {
        let normal = try bench.makeVM(.normal)
        var inner: CallStatus?
        bench.machine.guest = ScriptedGuest([
            { _, _ in
                inner = bench.status(.resetVCPU, [normal, 0, 1], on: 1)
                return .interrupt
            }
        ])
        #expect(bench.run(normal).exit == .interrupt)
        #expect(inner == .busy)

        let vm = try bench.makeVM(.protected, vcpus: 2, block: HostBench.vmBlock + 0x40)
        #expect(bench.status(.setRegister, [vm, 0, 0, 77]) == .success)
        #expect(bench.status(.resetVCPU, [vm, 1, 1]) == .denied, "only the guest starts its second vCPU")
        #expect(bench.status(.resetVCPU, [vm, 0, 1]) == .success)
        var first: UInt64 = 1
        bench.machine.guest = ScriptedGuest([
            { cpu, vcpu in
                first = vcpu.general(0, on: cpu)
                vcpu.setGeneral(0, 99, on: cpu)
                return .interrupt
            },
            { cpu, vcpu in
                first = vcpu.general(0, on: cpu)
                return .interrupt
            },
        ])
        #expect(bench.run(vm).exit == .interrupt)
        #expect(first == 0)
        #expect(bench.status(.resetVCPU, [vm, 0, 1]) == .denied)
        #expect(bench.status(.resetVCPU, [vm, 1, 0]) == .denied)
        #expect(switchOn(vm, 1) == .denied)
        #expect(bench.run(vm).exit == .interrupt)
        #expect(first == 99, "a refusal changes nothing")
    }

    private static let instructionAbort: UInt64 = 0x20 << 26 | 1 << 25 | 0b000111

    @Test func `a fetch from nowhere becomes a prefetch abort when the host says so`() throws {
        for kind in [VMKind.normal, .protected] {
            let vm = try bench.makeVM(kind, block: HostBench.vmBlock + kind.rawValue * 0x40)
            var seen: [UInt64] = []
            func note(_ cpu: SimulatedCPU, _ vcpu: VCPUPage) {
                seen = [cpu.read(.esrEL1), cpu.read(.farEL1), cpu.read(.elrEL1), vcpu.programCounter(on: cpu)]
            }
            bench.machine.guest = ScriptedGuest([
                { cpu, vcpu in
                    cpu.write(.vbarEL1, 0x8000_0800)
                    vcpu.setProgramCounter(0x2000_0010, on: cpu)
                    return ScriptedGuest.trap(Self.instructionAbort, at: 0x2000_0010, on: cpu)
                },
                { cpu, vcpu in
                    note(cpu, vcpu)
                    return .interrupt
                },
            ])
            let fault = bench.run(vm)
            #expect(fault.exit == .memoryFault && fault.x3 == FaultKind.fetch.rawValue)
            #expect(bench.run(vm, request: .injectExternalAbort).exit == .interrupt)
            // Instruction abort from the same EL, 32-bit instruction, synchronous external abort.
            #expect(seen == [0x21 << 26 | 1 << 25 | 0x10, 0x2000_0010, 0x2000_0010, 0x8000_0A00])
            // Once: the next run has nothing to abort.
            bench.machine.guest = ScriptedGuest([
                { cpu, vcpu in
                    seen = [vcpu.programCounter(on: cpu)]
                    return .interrupt
                }
            ])
            #expect(bench.run(vm, request: .injectExternalAbort).exit == .interrupt)
            #expect(seen == [0x8000_0A00])
        }
    }

    @Test func `an address beyond the VM's own is the guest's affair, and the host never hears of it`() throws {
        let vm = try bench.makeVM(.normal)
        var seen: [UInt64] = []
        func note(_ cpu: SimulatedCPU) { seen.append(cpu.read(.esrEL1)) }
        bench.machine.guest = ScriptedGuest([
            ScriptedGuest.access(1 << 40, bytes: 4, target: 1),
            { cpu, vcpu in
                note(cpu)
                return ScriptedGuest.trap(Self.instructionAbort, at: 1 << 41, on: cpu)
            },
            { cpu, vcpu in
                note(cpu)
                return .interrupt
            },
        ])
        #expect(bench.run(vm).exit == .interrupt)
        #expect(seen == [0x25 << 26 | 1 << 25 | 0x10, 0x21 << 26 | 1 << 25 | 0x10])
    }

    @Test func `maintenance is stepped over, a walk and an access without syndrome are named`() throws {
        let vm = try bench.makeVM(.normal)
        var counter: UInt64 = 0
        let abort: UInt64 = 0x24 << 26 | 1 << 25 | 0b000111
        bench.machine.guest = ScriptedGuest([
            { cpu, vcpu in
                vcpu.setProgramCounter(0x8000_0000, on: cpu)
                return ScriptedGuest.trap(abort | 1 << 8 | 1 << 6, at: 0x900_0000, on: cpu)
            },
            { cpu, vcpu in
                counter = vcpu.programCounter(on: cpu)
                return ScriptedGuest.trap(abort | 1 << 7, at: 0x900_0000, on: cpu)
            },
            { cpu, _ in ScriptedGuest.trap(abort | 1 << 6, at: 0x900_0000, on: cpu) },
            { cpu, vcpu in
                counter = vcpu.programCounter(on: cpu)
                return .interrupt
            },
        ])
        #expect(bench.run(vm).x3 == FaultKind.maintenance.rawValue)
        #expect(bench.run(vm, request: .completes).x3 == FaultKind.walk.rawValue)
        #expect(counter == 0x8000_0004)
        let plain = bench.run(vm, request: .completes)
        #expect(plain.exit == .memoryFault && plain.x3 == FaultKind.write.rawValue)
        #expect(bench.run(vm, request: .completes).exit == .interrupt)
        #expect(counter == 0x8000_0004, "what cannot be decoded cannot be completed")
    }

    @Test func `a protected guest's maintenance is stepped over only at a device`() throws {
        let vm = try bench.makeVM(.protected)
        #expect(bench.status(.allowMMIO, [vm, 0x9000, 1]) == .success)
        var counter: UInt64 = 0
        let abort: UInt64 = 0x24 << 26 | 1 << 25 | 1 << 8 | 1 << 6 | 0b000111
        bench.machine.guest = ScriptedGuest([
            { cpu, vcpu in
                vcpu.setProgramCounter(0x8000_0000, on: cpu)
                return ScriptedGuest.trap(abort, at: 0x900_0000, on: cpu)
            },
            { cpu, _ in ScriptedGuest.trap(abort, at: 0xA00_0000, on: cpu) },
            { cpu, vcpu in
                counter = vcpu.programCounter(on: cpu)
                return .interrupt
            },
        ])
        _ = bench.run(vm)
        _ = bench.run(vm, request: .completes)
        _ = bench.run(vm, request: .completes)
        #expect(counter == 0x8000_0004)
    }

    @Test func `the interface's controls are the host's wish within limits, and EOIcount comes back`() throws {
        let vm = try bench.makeVM(.normal)
        var control: UInt64 = 0
        bench.machine.guest = ScriptedGuest([
            { cpu, _ in
                control = cpu.read(.ichHcrEL2)
                cpu.write(.ichHcrEL2, control | 3 << 27)
                cpu.write(.ichVmcrEL2, 0xF800_0002)
                return .interrupt
            },
            { cpu, vcpu in
                // msr icc_dir_el1, x5
                vcpu.setGeneral(5, 40, on: cpu)
                return ScriptedGuest.trap(0x18 << 26 | 3 << 20 | 1 << 17 | 12 << 10 | 5 << 5 | 11 << 1, on: cpu)
            },
        ])
        let run = bench.run(vm, interface: 0x40FE)
        #expect(run.exit == .interrupt && run.interface == 3 << 32 | 0xF800_0002)
        #expect(control == 0x40FF)
        let deactivation = bench.run(vm, interface: 0x4004)
        #expect(deactivation.exit == .deactivation && deactivation.x2 == 40 && deactivation.interface >> 32 == 0)
        for forbidden: UInt64 in [1, 1 << 8, 1 << 10, 1 << 13, 1 << 15] {
            #expect(bench.status(.runVCPU, [vm, 0, forbidden << 16]) == .invalidParameter)
        }
        for forbidden: UInt64 in [1 << 2, 1 << 7, 1 << 12, 1 << 32, 1 << 63] {
            #expect(bench.status(.runVCPU, [vm, 0, forbidden]) == .invalidParameter)
        }
    }

    @Test func `a guest hears of an architecture call what the call itself answers`() throws {
        let vm = try bench.makeVM(.normal)
        var answers: [UInt64] = []
        let calls: [UInt64] = [0x8000_0002, 0x8000_8000, 0x8000_7FFF, 0x8000_3FFF]
        var steps: [ScriptedGuest.Step] = []
        for call in calls {
            for registers in [[0x8000_0001, call], [call, 0]] {
                steps.append { cpu, vcpu in
                    answers.append(vcpu.general(0, on: cpu))
                    return ScriptedGuest.hvc(registers)(cpu, vcpu)
                }
            }
        }
        steps.append { cpu, vcpu in
            answers.append(vcpu.general(0, on: cpu))
            return .interrupt
        }
        bench.machine.guest = ScriptedGuest(steps)
        #expect(bench.run(vm).exit == .interrupt)
        #expect(answers.dropFirst() == ArraySlice(repeating: UInt64.max, count: 8)[...])
    }
}
