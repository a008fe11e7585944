// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// SMCs of the host: which reach firmware, and in what form.

import Arm
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Specification
import Testing

@testable import HypervisorCore

@Suite("Firmware calls")
struct FirmwareCallTests {
    /// Makes a call and holds what firmware got, and what the host got, against the specification.
    private func check(
        _ call: CallRegisters, _ bench: HostBench, _ state: AbstractState, offered: Set<UInt32>,
        immediate: UInt16 = 0
    ) {
        let before = bench.firmware.calls.count
        let answer = bench.smc(call, immediate: immediate)
        let reached = bench.firmware.calls[before...].map(\.registers)
        let number = call.x0 & 0xFFFE_FFFF
        let notSupported = UInt64.max
        let name = "\(hex(call.x0)), \(hex(call.x1))"
        switch state.fate(of: call, immediate: immediate, offered: offered) {
        case .refused:
            #expect(reached.isEmpty, "\(name) reached firmware")
            #expect(answer.x0 == notSupported, "\(name)")
        case .answered(let due):
            #expect(reached.isEmpty, "\(name) reached firmware")
            #expect(answer.x0 == due, "\(name)")
        case .forwarded:
            #expect(reached.count == 1 && reached.first?.x0 == number, "\(name) did not reach firmware as it was")
        case .coldReset:
            #expect(reached == [FirmwareRegisters(0x8400_0009)], "\(name) must become SYSTEM_RESET")
        case .relayed:
            let entries = [HostBench.entryPoints.cpuOn, HostBench.entryPoints.resume]
            #expect(reached.count == 1)
            if let seen = reached.first {
                #expect(entries.contains(seen.x2) || entries.contains(seen.x1), "\(name) must start at EL2")
                #expect(![seen.x1, seen.x2].contains(call.x2) || call.x2 == 0)
            }
        case .asked:
            #expect(reached.count <= 1)
        }
    }

    @Test("reach firmware only if they are on the list")
    func list() throws {
        let bench = try HostBench.finalised()
        var state = AbstractState(bench.plan.installation)
        state.confineAll()
        for function in [
            0x8000_0000, 0x8000_0001, 0x8000_0002, 0x8000_8000, 0x8000_7FFF, 0x8000_3FFF, 0x8400_0000, 0x8400_0001,
            0x8400_0003, 0x8400_0004, 0x8400_0005, 0x8400_0006, 0x8400_0007, 0x8400_000A, 0x8400_000B, 0x8400_000E,
            0x8400_000F, 0x8400_0010, 0x8400_0013, 0x8400_0014, 0x8400_0050, 0xC400_0053, 0x8400_0060, 0x8200_0000,
            0xC200_0001, 0xC300_0001, 0xC400_0004, 0xC400_0005, 0xC500_0020, 0xC600_4000, 0xB200_0000, 0xBF00_FF01, 0,
            1,
        ] as [UInt64] {
            for argument in [
                0 as UInt64, 1, 0x8000_0000, 0xC400_0003, 0x8400_0003, 0xC400_0012, 0x8400_0013, 0x8001_0000,
            ] {
                check(CallRegisters(function, argument), bench, state, offered: [])
            }
            check(CallRegisters(function | 0xFFFF_FFFF << 32 | 1 << 16, 1), bench, state, offered: [])
            check(CallRegisters(function, 1), bench, state, offered: [], immediate: 1)
        }
        bench.expectNoViolations()
    }

    @Test("at random numbers are refused", arguments: Seeds.few(1))
    func random(_ seed: UInt64) throws {
        let bench = try HostBench.finalised()
        var state = AbstractState(bench.plan.installation)
        state.confineAll()
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            // Owner and number at random, with a liking for the services that exist; calls that
            // turn CPUs off are elsewhere.
            let number = random.next() & 0x7F00_00FF | 0x8000_0000
            let kind = random.next() % 3
            let function = kind == 0 ? number : kind == 1 ? number & 0xFF | 0x8400_0000 : number & 0xFF | 0xC400_0000
            guard ![0x8400_0002, 0xC400_0001, 0xC400_000E].contains(function) else { continue }
            check(
                CallRegisters(function, random.next() >> (random.next() % 64), random.next(), random.next()), bench,
                state, offered: [])
        }
    }

    @Test("that firmware offers beyond PSCI are let through, as far as they are known")
    func offered() throws {
        let bench = try HostBench.finalised { firmware in
            firmware.architectureFeatures = [0x8000_8000: 0, 0x8000_3FFF: 1]
            firmware.overrides[0x8400_0050] = FirmwareRegisters(0x1_0000)
            firmware.overrides[0xC400_0053] = FirmwareRegisters(0, 1, 2, 3)
        }
        var state = AbstractState(bench.plan.installation)
        state.confineAll()
        let offered: Set<UInt32> = Function.trng.union([0x8000_8000, 0x8000_3FFF])
        for function in Function.workarounds.union(Function.trng) {
            check(CallRegisters(UInt64(function), 64), bench, state, offered: offered)
        }
        let answer = bench.smc(CallRegisters(0xC400_0053, 192))
        #expect(answer == CallRegisters(0, 1, 2, 3))
    }

    @Test("about a call are answered as the call itself", arguments: [0 as UInt64, nil])
    func aboutCalls(_ offer: UInt64?) throws {
        let bench = try HostBench.finalised { firmware in
            firmware.architectureFeatures[0x8000_0002] = offer
            // Of a call that firmware has and EL2 does not let through, the host hears nothing.
            firmware.architectureFeatures[0x8000_7000] = 0
        }
        var state = AbstractState(bench.plan.installation)
        state.confineAll()
        let offered: Set<UInt32> = offer == nil ? [] : [Function.socID]
        for call in [0x8000_0002, 0x8000_7000, 0x8000_8000, 0x8400_0000, 0x8400_0050] as [UInt64] {
            check(CallRegisters(0x8000_0001, call), bench, state, offered: offered)
            for type in [0, 1, 2, 0x8000_0000] as [UInt64] {
                guard call >> 16 == 0x8000 else { continue }
                check(CallRegisters(call, type), bench, state, offered: offered)
            }
        }
        let refused = bench.call(.counter, Counter.firmwareCallsRefused.rawValue).x1
        #expect(bench.smc(CallRegisters(0x8000_0001, 0x8000_0002)).x0 == offer ?? UInt64.max)
        #expect(bench.call(.counter, Counter.firmwareCallsRefused.rawValue).x1 == refused, "asking is allowed")
        bench.expectNoViolations()
    }

    @Test("that reset keep no memory: a warm reset becomes a cold one")
    func reset() throws {
        for function in [0x8400_0012, 0xC400_0012] as [UInt64] {
            let bench = try HostBench.finalised()
            _ = bench.smc(CallRegisters(function, 0x8000_0001, 7))
            #expect(bench.firmware.system == .reset)
        }
        let bench = try HostBench.finalised()
        _ = bench.smc(CallRegisters(0x8400_0008))
        #expect(bench.firmware.system == .off)
    }

    @Test(
        "of firmware that knows no SMCCC are not probed for it",
        arguments: [0x2 as UInt64, 0xFFFF_FFFF_FFFF_FFFF])
    func oldFirmware(_ version: UInt64) throws {
        let bench = try HostBench.finalised { $0.version = version }
        #expect(!bench.firmware.functions.contains(0x8000_0000))
        #expect(!bench.firmware.functions.contains(0x8400_0050))
    }
}

@Suite("Branch prediction mitigation")
struct BranchMitigationTests {
    private func choose(
        _ part: UInt64, _ prepare: (inout CPUFeatures.Registers) -> Void = { _ in }, one: Bool = false,
        three: Bool = false
    ) -> BranchMitigation {
        var id = CPUFeatures.Registers()
        prepare(&id)
        return BranchMitigation(
            midr: 0x410F_0000 | part << 4, features: CPUFeatures(id), hasWorkaround1: one, hasWorkaround3: three)
    }

    @Test("takes what the CPU or firmware offers")
    func choice() {
        #expect(choose(0xD08) == .loop(8))
        #expect(choose(0xD0B) == .loop(24))
        #expect(choose(0xD03) == .none, "a Cortex-A53 does not speculate that far")
        #expect(choose(0xD08, three: true) == .firmware3)
        #expect(choose(0xD08, one: true, three: true) == .firmware3, "the third includes the first")
        #expect(choose(0xD08, one: true) == .firmware1)
        #expect(choose(0xD08, { $0.mmfr1 = 1 << 60 }) == .none)
        #expect(choose(0xD08, { $0.isar2 = 1 << 28 }) == .clearBranchHistory)
        #expect(choose(0xD08, { $0.pfr0 = 1 << 56 }, one: true) == .loop(8), "CSV2 makes the first needless")
    }
}
