// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Random programs of guests on several CPUs at once, and of the host that runs them: every answer,
// every exit and every register that a guest finds is held against the specification.

import HypervisorInterface
import SearchKit
import SimulatedMachine
import Specification
import Testing

@testable import HypervisorCore

@Suite("Guests that do random things")
struct RandomGuestTests {
    /// Machines on which guests run.
    static let plans: [String: Plan] = {
        var four = Plan()
        four.cpuCount = 4
        var many = Plan()
        many.cpuCount = 3
        many.identification.mmfr0 = 0x5 | 1 << 56
        many.identification.mmfr1 = 2 << 4 | 1 << 20 | 1 << 40 | 0xF << 16 | 0xF << 24  // 16-bit VMIDs, PAN, HCRX, LOR
        many.identification.pfr0 |= 1 << 32 | 1 << 56 | 0xF << 44 | 0xF << 52  // SVE, CSV2, AMU, RME
        many.identification.pfr1 = 1 << 4 | 2 << 8 | 1 << 36  // SSBS, MTE, NMI
        many.identification.dfr0 = 0x9 | 0xF << 8 | 0xF << 24  // PMU
        // All that these have, and pointer authentication with it.
        (many.identification.isar0, many.identification.isar1, many.identification.isar2) = (~0, ~0, ~0)
        many.identification.mmfr2 = ~0
        many.identification.ctr = 1 << 28
        many.identification.auxiliary = ~0
        var one = Plan()
        one.cpuCount = 1
        return ["four CPUs": four, "three CPUs with features": many, "one CPU": one]
    }()

    private static func steps(_ count: Int, _ guests: RandomGuests) throws {
        for step in 0..<count {
            try guests.step(on: Int(guests.below(UInt64(guests.bench.plan.cpuCount))))
            if step % 40 == 39 || !guests.bench.machine.violations.isEmpty { try guests.compare() }
        }
        try guests.compare()
    }

    @Test(
        "find and leave what the specification says, and the host hears what it may",
        arguments: plans.keys.sorted(), Seeds.few(2))
    func agrees(_ name: String, _ seed: UInt64) throws {
        let guests = try RandomGuests(try #require(Self.plans[name]), seed: seed)
        do {
            try Self.steps(300, guests)
        } catch {
            Issue.record("seed \(seed), \(name): \(error)")
        }
    }

    @Test("identify their CPU by what guests have and by nothing else", arguments: [0 as UInt64, 2])
    func identity(_ vectorLength: UInt64) throws {
        let guests = try RandomGuests(try #require(Self.plans["three CPUs with features"]), seed: 1)
        let handle = try guests.make(CallRegisters(.createVM, VMKind.normal.rawValue, 40, 0x42000, 32), on: 0).x1
        try guests.make(CallRegisters(.createVCPU, handle, 0, 0x42020, VCPUStart.on.rawValue), on: 0)
        if vectorLength > 0 {
            let length = VCPURegister.vectorLength.number
            #expect(try guests.make(CallRegisters(.setRegister, handle, 0, length, vectorLength), on: 0).x0 == 0)
        }
        // Held against the specification one by one.
        var isAnythingThere = false
        for number: UInt64 in 0x408...0x43F {
            let answer = try guests.make(CallRegisters(.getRegister, handle, 0, number), on: 0)
            #expect(answer.x0 == 0)
            if answer.x1 != 0 { isAnythingThere = true }
            #expect(try guests.make(CallRegisters(.setRegister, handle, 0, number, answer.x1), on: 0).x0 != 0)
        }
        #expect(isAnythingThere)
    }

    /// What must happen at least so often in the runs below.
    static let due: [(Int, [String])] = [
        (
            10,
            [
                "runVCPU: success", "runVCPU: busy", "runVCPU: denied", "runVCPU: invalidParameter",
                "runVCPU: notFound",
                "normal getRegister: success", "getRegister: busy", "protected getRegister: denied",
                "getRegister: invalidParameter", "getRegister: notFound", "normal setRegister: success",
                "normal setRegister: denied", "protected setRegister: success", "protected setRegister: denied",
                "setRegister: busy", "setRegister: invalidParameter", "setRegister: notFound", "quiesce: success",
                "normal resetVCPU: success", "protected resetVCPU: denied", "destroyVM: success", "destroyVM: busy",
                "destroyVM: notFound", "off",
            ]
        ),
        (
            5,
            ["normal", "protected"].flatMap { kind in
                [
                    "access: memory", "access: memoryFault", "access: mmioRead", "access: mmioWrite", "MRS: goes on",
                    "MSR: goes on", "MSR: softwareInterrupt", "MSR: deactivation", "access: goes on", "call: goes on",
                    "call: cpuOn", "call: cpuOff",
                    "call: waitForInterrupt", "interrupt: interrupt", "systemError: unsupported",
                    "narrowState: unsupported", "undefined: goes on", "firstVector: goes on", "waitForEvent: yield",
                    "waitForInterrupt: waitForInterrupt",
                ].map { "\(kind) \($0)" }
            }
        ),
        (
            // PSCI of both widths, each with its answers.
            3,
            [
                "0x84000000: 65537", "0x84000001: 0", "0xc4000001: 0", "0x84000002: -1", "0x84000003: 0",
                "0x84000003: -2", "0x84000003: -4", "0xc4000003: 0", "0xc4000003: -2", "0xc4000003: -4",
                "0x84000004: 0", "0x84000004: 1", "0x84000004: -2", "0xc4000004: 0", "0xc4000004: 1",
                "0xc4000004: -2", "0x84000006: 2", "0x84000008: -6", "0x84000009: -6", "0x84000012: -6",
                "0xc4000012: -6", "0x8400000a: 0", "0x8400000a: -1", "0x8400000e: -1", "0xc400000e: -1",
                "0x8400000f: -1",
            ].map { "call \($0)" }
        ),
        (
            1,
            [
                "resetVCPU: busy", "call 0x84000003: -5", "call 0xc4000003: -5", "call 0xc4000004: 2",
                "normal call: systemOff",
                "normal call: systemReset",
                "protected call: systemOff", "protected call: systemReset",
            ]
        ),
        (
            // SMCCC, its workarounds, random numbers, and what there is not.
            3,
            [
                "0x80000000: 65537", "0x80000001: 0", "0x80000001: -1", "0x80003fff: 0", "0x80007fff: -1",
                "0x80008000: -1", "0x84000050: 65536", "0x84000051: 0", "0x84000051: -1", "0x84000052: 1046088831",
                "0x84000053: 0", "0x84000053: -2", "0xc4000053: 0", "0xc4000053: -2", "0xc6004000: -1", "unknown: -1",
            ].map { "call \($0)" }
        ),
    ]

    @Test("do everything that can be done, often enough")
    func coverage() throws {
        var tally: [String: Int] = [:]
        for seed in UInt64(1)...3 {
            let guests = try RandomGuests(try #require(Self.plans["four CPUs"]), seed: seed)
            do {
                try Self.steps(1400, guests)
            } catch {
                Issue.record("seed \(seed): \(error)")
            }
            tally.merge(guests.tally, uniquingKeysWith: +)
        }
        for (least, names) in Self.due {
            for name in names {
                #expect(tally[name, default: 0] >= least, "\(name) happened \(tally[name, default: 0]) times")
            }
        }
    }
}
