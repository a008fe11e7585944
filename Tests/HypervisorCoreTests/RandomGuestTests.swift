// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Random programs of guests on several CPUs at once, and of the host that runs them: every answer,
// every exit and every register that a guest finds is held against the specification.

import HypervisorInterface
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
        many.identification.mmfr1 = 2 << 4 | 1 << 20 | 1 << 40  // 16-bit VMIDs, PAN, HCRX
        many.identification.pfr0 |= 1 << 32 | 1 << 56  // SVE, CSV2
        many.identification.pfr1 = 1 << 4  // SSBS
        many.identification.isar1 = 1 << 4  // Pointer authentication
        var one = Plan()
        one.cpuCount = 1
        return ["four CPUs": four, "three CPUs with features": many, "one CPU": one]
    }()

    private static func steps(_ count: Int, _ guests: RandomGuests) throws {
        for step in 0..<count {
            try guests.step(on: Int(guests.below(UInt64(guests.bench.plan.cpuCount))))
            if step % 25 == 24 || !guests.bench.machine.violations.isEmpty { try guests.compare() }
        }
        try guests.compare()
    }

    @Test(
        "find and leave what the specification says, and the host hears what it may",
        arguments: plans.keys.sorted(), Seeds.few(2))
    func agrees(_ name: String, _ seed: UInt64) throws {
        let guests = try RandomGuests(try #require(Self.plans[name]), seed: seed)
        do {
            try Self.steps(400, guests)
        } catch {
            Issue.record("seed \(seed), \(name): \(error)")
        }
    }

    @Test("do everything that can be done, often enough")
    func coverage() throws {
        var tally: [String: Int] = [:]
        for seed in UInt64(1)...4 {
            let guests = try RandomGuests(try #require(Self.plans["four CPUs"]), seed: seed)
            try Self.steps(700, guests)
            tally.merge(guests.tally, uniquingKeysWith: +)
        }
        for (key, value) in tally.sorted(by: { $0.key < $1.key }) { print(key, value) }
    }
}
