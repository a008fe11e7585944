// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Vector registers of host and guests: lent at first use, and nobody sees another one's.

import Arm
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Testing

@testable import HypervisorCore

/// How a guest first touches a vector register.
enum FirstUse: UInt64, CaseIterable {
    /// CPTR_EL2.TFP.
    case simd = 0x07
    /// CPTR_EL2.TZ.
    case scalable = 0x19

    func step(_ cpu: SimulatedCPU, _: VCPUPage) -> GuestExit {
        ScriptedGuest.trap(rawValue << 26 | 1 << 25, on: cpu)
    }
}

struct VectorTests {
    /// A machine whose CPUs have scalable vectors of these lengths.
    private func scalableBench(
        _ lengths: [UInt64] = [0x808B], _ shortening: VectorRegisters.Shortening = .keeps
    ) throws -> HostBench {
        var plan = Plan()
        plan.identification.pfr0 |= 1 << 32
        plan.vectorLengths = lengths
        plan.shorterVectors = shortening
        return try HostBench.finalised(plan)
    }

    private func makeVM(
        _ bench: HostBench, _ kind: VMKind, length: UInt64, vcpus: UInt64 = 1, block: UInt64 = HostBench.vmBlock
    ) throws -> UInt64 {
        let vm = try bench.makeVM(kind, vcpus: vcpus, block: block)
        for index in 0..<vcpus {
            #expect(bench.status(.setRegister, [vm, index, VCPURegister.vectorLength.number, length]) == .success)
        }
        return vm
    }

    @Test func `v0 to v31 are lent at first use and nobody sees the other's`() throws {
        let bench = try HostBench.finalised()
        let vm = try bench.makeVM(.normal)
        let host = VectorRegisters(0x4057)
        bench.machine.vectors[0] = host
        var seen = VectorRegisters()
        bench.machine.guest = ScriptedGuest([
            FirstUse.simd.step,
            { _, _ in
                seen = bench.machine.vectors[0]
                bench.machine.vectors[0] = VectorRegisters(0x6E57)
                return .interrupt
            },
        ])
        #expect(bench.run(vm).exit == .interrupt)
        #expect(seen.visible(1).vectors == VectorRegisters().visible(1).vectors)
        #expect(seen.control == [0, 0])
        #expect(bench.machine.vectors[0].visible(1).vectors == host.visible(1).vectors)
        #expect(bench.machine.vectors[0].control == host.control)
        #expect(bench.wide(.getRegister, [vm, 0, VCPURegister.vector(3).number])[1] == 0x6E57)
        bench.expectNoViolations()
    }

    @Test(arguments: [VMKind.normal, .protected])
    func `a guest without scalable vectors leaves the host's alone`(kind: VMKind) throws {
        let bench = try scalableBench()
        let vm = try bench.makeVM(kind)
        let host = VectorRegisters(0x4057)
        bench.machine.vectors[0] = host
        bench.machine[cpu: 0].write(.vbarEL1, 0)
        var seen = VectorRegisters()
        var trapsScalable = false
        bench.machine.guest = ScriptedGuest([
            FirstUse.simd.step,
            { cpu, vcpu in
                seen = bench.machine.vectors[0]
                trapsScalable = cpu.read(.cptrEL2) >> 8 & 1 == 1
                vcpu.setProgramCounter(0x8000_0000, on: cpu)
                return FirstUse.scalable.step(cpu, vcpu)
            },
            { cpu, vcpu in
                // Undefined at EL1: no progress, and no way to z0.
                #expect(vcpu.programCounter(on: cpu) == 0x200)
                #expect(cpu.read(.elrEL1) == 0x8000_0000)
                return .interrupt
            },
        ])
        #expect(bench.run(vm).exit == .interrupt)
        #expect(trapsScalable)
        #expect(seen.vectors == VectorRegisters().vectors, "not even above v0 to v31")
        #expect(bench.machine.vectors[0] == host)
        bench.expectNoViolations()
    }

    @Test(arguments: [VMKind.normal, .protected], [1, 2, 4, 16] as [UInt64])
    func `scalable vectors are lent at first use and nobody sees the other's`(
        kind: VMKind, length: UInt64
    ) throws {
        let cases = FirstUse.allCases.flatMap { use in VectorRegisters.Shortening.allCases.map { (use, $0) } }
        for (use, shortening) in cases {
            let bench = try scalableBench([0x808B], shortening)
            let vm = try makeVM(bench, kind, length: length)
            let cpu = bench.machine[cpu: 0]
            let host = VectorRegisters(0xA057_A057_A057_A057)
            bench.machine.vectors[0] = host
            cpu.write(.zcrEL1, 7)
            let controls: [SystemRegister] = [.cptrEL2, .zcrEL2]
            let before = controls.map { cpu.read($0) }
            var seen: [VectorRegisters] = []
            var control: [[UInt64]] = []
            let look: ScriptedGuest.Step = { cpu, _ in
                seen.append(bench.machine.vectors[0].visible(Int(length)))
                control.append([cpu.read(.zcrEL1), cpu.read(.zcrEL2), cpu.read(.cptrEL2) & 0x500])
                // A guest cannot write above the length that it has.
                var mine = VectorRegisters(0x6E57_6E57_6E57_6E57).visible(Int(length))
                let whole = bench.machine.vectors[0]
                for index in 0..<32 { mine.vectors[index] += whole.vectors[index][(2 * Int(length))...] }
                for index in 0..<17 { mine.predicates[index] += whole.predicates[index][Int(length)...] }
                bench.machine.vectors[0] = mine
                cpu.write(.zcrEL1, 3)
                return .interrupt
            }
            bench.machine.guest = ScriptedGuest([use.step, look, use.step, look])
            #expect(bench.run(vm).exit == .interrupt)
            #expect(bench.machine.vectors[0] == host)
            #expect(cpu.read(.zcrEL1) == 7)
            #expect(controls.map { cpu.read($0) } == before)
            #expect(bench.run(vm).exit == .interrupt)
            #expect(seen[0] == VectorRegisters().visible(Int(length)), "zero at first")
            #expect(seen[1] == VectorRegisters(0x6E57_6E57_6E57_6E57).visible(Int(length)), "its own again")
            #expect(control == [[0, length - 1, 0], [3, length - 1, 0]])
            #expect(bench.machine.vectors[0] == host)
            bench.expectNoViolations()
        }
    }

    @Test func `a guest that touches no vector register costs no exchange`() throws {
        let bench = try scalableBench()
        let vm = try makeVM(bench, .protected, length: 16)
        bench.machine.guest = ScriptedGuest([
            { cpu, _ in
                #expect(cpu.read(.cptrEL2) & 0x500 == 0x500)
                bench.machine.vectors[0] = VectorRegisters(5)
                return .interrupt
            }
        ])
        #expect(bench.run(vm).exit == .interrupt)
        #expect(bench.machine.vectors[0] == VectorRegisters(5))
    }

    @Test func `two guests and two CPUs never see each other's`() throws {
        let bench = try scalableBench()
        let first = try makeVM(bench, .protected, length: 16)
        let second = try makeVM(bench, .normal, length: 2, block: HostBench.vmBlock + 0x80)
        for cpu in 0..<2 { bench.machine.vectors[cpu] = VectorRegisters(0x1000 + UInt64(cpu)) }
        func turn(_ vm: UInt64, on cpu: Int, length: Int, expecting old: UInt64, writing new: UInt64) {
            bench.machine.guest = ScriptedGuest([
                FirstUse.scalable.step,
                { _, _ in
                    #expect(bench.machine.vectors[cpu].visible(length) == VectorRegisters(old).visible(length))
                    var mine = bench.machine.vectors[cpu]
                    mine.control = [new, new]
                    for index in 0..<32 { for word in 0..<2 * length { mine.vectors[index][word] = new } }
                    for index in 0..<17 {
                        for word in 0..<length { mine.predicates[index][word] = UInt16(truncatingIfNeeded: new) }
                    }
                    bench.machine.vectors[cpu] = mine
                    return .interrupt
                },
            ])
            #expect(bench.run(vm, on: cpu).exit == .interrupt)
            #expect(bench.machine.vectors[cpu] == VectorRegisters(0x1000 + UInt64(cpu)))
        }
        turn(first, on: 0, length: 16, expecting: 0, writing: 0xF157)
        turn(second, on: 0, length: 2, expecting: 0, writing: 0x5EC0)
        turn(first, on: 1, length: 16, expecting: 0xF157, writing: 0xF158)
        turn(second, on: 1, length: 2, expecting: 0x5EC0, writing: 0x5EC1)
        turn(first, on: 0, length: 16, expecting: 0xF158, writing: 0xF159)
        bench.expectNoViolations()
    }

    @Test func `a vCPU that CPU_ON starts has zeroes again`() throws {
        let bench = try scalableBench()
        let vm = try makeVM(bench, .protected, length: 16, vcpus: 2)
        func use(_ old: UInt64) -> ScriptedGuest.Step {
            { cpu, vcpu in
                #expect(bench.machine.vectors[1] == VectorRegisters(old))
                #expect(cpu.read(.zcrEL1) == old)
                bench.machine.vectors[1] = VectorRegisters(0x6E57)
                cpu.write(.zcrEL1, 0x6E57)
                return ScriptedGuest.hvc([0x8400_0002])(cpu, vcpu)
            }
        }
        for _ in 0..<2 {
            bench.machine.guest = ScriptedGuest([ScriptedGuest.hvc([0xC400_0003, 1, 0x8000_1000, 42])])
            #expect(bench.run(vm, 0).exit == .cpuOn)
            bench.machine.guest = ScriptedGuest([FirstUse.scalable.step, use(0)])
            #expect(bench.run(vm, 1, on: 1).exit == .cpuOff)
        }
        bench.expectNoViolations()
    }

    @Test func `the length is one that all CPUs have, and set once before anything runs`() throws {
        let bench = try scalableBench()
        #expect(bench.call(.version).x3 == 0x808B)
        let number = VCPURegister.vectorLength.number
        for kind in [VMKind.normal, .protected] {
            let vm = try bench.makeVM(kind, vcpus: 2)
            for none: UInt64 in [0, 3, 5, 15, 17, 1 << 32, .max] {
                #expect(bench.status(.setRegister, [vm, 1, number, none]) == .invalidParameter)
            }
            #expect(bench.status(.setRegister, [vm, 1, number, 4]) == .success)
            #expect(bench.status(.setRegister, [vm, 1, number, 4]) == .denied)
            #expect(bench.status(.setRegister, [vm, 1, number, 16]) == .denied)
            let read = bench.wide(.getRegister, [vm, 1, number])
            #expect(kind == .normal ? read[1] == 4 : CallStatus(rawValue: Int64(bitPattern: read[0])) == .denied)
            if kind == .protected {
                #expect(bench.run(vm).status == .success)
                #expect(bench.status(.setRegister, [vm, 0, number, 4]) == .denied, "it has run")
            }
            _ = bench.destroy(vm)
        }
        let bare = try HostBench.finalised()
        #expect(bare.call(.version).x3 == 0)
        let vm = try bare.makeVM(.normal)
        #expect(bare.status(.setRegister, [vm, 0, number, 1]) == .invalidParameter)
    }

    @Test(
        arguments: [
            ([0x808B, 0x8B], 0x8B), ([0x0B, 0x808B], 0x0B), ([0x8F, 0x8B], 3), ([0x8B, 0x8A], 0),
        ] as [([UInt64], UInt64)])
    func `CPUs that differ have what is below the difference`(lengths: [UInt64], common: UInt64) throws {
        #expect(try scalableBench(lengths).call(.version).x3 == common)
    }

    @Test(arguments: VectorRegisters.Shortening.allCases)
    func `measuring keeps the host's registers`(shortening: VectorRegisters.Shortening) throws {
        var plan = Plan()
        plan.shorterVectors = shortening
        plan.identification.pfr0 |= 1 << 32
        let bench = try HostBench(plan)
        let host = VectorRegisters(0xA057)
        bench.machine.vectors = [host, host]
        let before = (0..<2).map { cpu in [SystemRegister.cptrEL2, .zcrEL2].map { bench.machine[cpu: cpu].read($0) } }
        for cpu in 0..<2 { #expect(bench.call(.deprivilege, on: cpu).x0 == 0) }
        #expect(bench.machine.vectors == [host, host])
        for cpu in 0..<2 {
            #expect([SystemRegister.cptrEL2, .zcrEL2].map { bench.machine[cpu: cpu].read($0) } == before[cpu])
        }
        bench.expectNoViolations()
    }

    @Test func `a guest reads of SVE what its vCPU has`() throws {
        let bench = try scalableBench()
        func identity(_ length: UInt64) throws -> [UInt64] {
            let vm = length > 0 ? try makeVM(bench, .normal, length: length) : try bench.makeVM(.normal)
            defer { _ = bench.destroy(vm) }
            // MRS x5, ID_AA64PFR0_EL1 and ID_AA64ZFR0_EL1.
            return [0, 4].map { op2 -> UInt64 in
                var value: UInt64 = .max
                bench.machine.guest = ScriptedGuest([
                    { cpu, _ in
                        let access: UInt64 = 3 << 20 | UInt64(op2) << 17 | 5 << 5 | 4 << 1 | 1
                        return ScriptedGuest.trap(0x18 << 26 | 1 << 25 | access, on: cpu)
                    },
                    { cpu, vcpu in
                        value = vcpu.general(5, on: cpu)
                        return .interrupt
                    },
                ])
                _ = bench.run(vm)
                return op2 == 0 ? (value >> 32) & 0xF : value
            }
        }
        #expect(try identity(0) == [0, 0])
        #expect(try identity(4) == [1, 1 << 20 | 1])
    }

    @Test func `the host of a normal VM finds the low quadword of each vector at any length`() throws {
        let bench = try scalableBench()
        let vm = try makeVM(bench, .normal, length: 4)
        bench.machine.guest = ScriptedGuest([
            FirstUse.scalable.step,
            { _, _ in
                for index in 0..<32 {
                    for word in 0..<8 { bench.machine.vectors[0].vectors[index][word] = UInt64(index * 100 + word) }
                }
                return .interrupt
            },
        ])
        _ = bench.run(vm)
        #expect(Array(bench.wide(.getRegister, [vm, 0, VCPURegister.vector(31).number])[1...2]) == [3100, 3101])
        // The same as a part of z31, and the last predicate.
        let last = VCPURegister.scalableDoublewords(4) - 1
        #expect(bench.wide(.getRegister, [vm, 0, VCPURegister.scalable(UInt16(31 * 8 + 7)).number])[1] == 3107)
        #expect(bench.status(.setRegister, [vm, 0, VCPURegister.scalable(UInt16(last)).number, 5]) == .success)
        #expect(bench.wide(.getRegister, [vm, 0, VCPURegister.scalable(UInt16(last)).number])[1] == 5)
        let beyond = VCPURegister.scalable(UInt16(last) + 1).number
        #expect(bench.status(.getRegister, [vm, 0, beyond]) == .invalidParameter)
        #expect(bench.status(.setRegister, [vm, 0, beyond, 5]) == .invalidParameter)
        #expect(bench.status(.setRegister, [vm, 0, VCPURegister.vectorControl.number, 3]) == .success)
        #expect(bench.wide(.getRegister, [vm, 0, VCPURegister.vectorControl.number])[1] == 3)
    }

    @Test func `parts of scalable registers are nothing that other vCPUs have`() throws {
        let bench = try scalableBench()
        let vm = try bench.makeVM(.normal)
        let hidden = try makeVM(bench, .protected, length: 16, block: HostBench.vmBlock + 0x80)
        for register in [VCPURegister.vectorControl, .scalable(0)] {
            #expect(bench.status(.getRegister, [vm, 0, register.number]) == .notFound)
            #expect(bench.status(.setRegister, [vm, 0, register.number, 1]) == .notFound)
            #expect(bench.status(.getRegister, [hidden, 0, register.number]) == .denied)
            #expect(bench.status(.setRegister, [hidden, 0, register.number, 1]) == .denied)
        }
    }
}
