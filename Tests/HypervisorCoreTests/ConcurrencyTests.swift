// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Several CPUs in EL2 at once, interleaved at every memory access by a seed.

import Arm
import HypervisorInterface
import Machine
import SearchKit
import SimulatedMachine
import Specification
import Testing

@testable import HypervisorCore

@Suite("Several CPUs at once")
struct ConcurrencyTests {
    /// What each CPU did, for the account at the end.
    private final class Account: @unchecked Sendable {
        var given: Set<UInt64> = []
        var trouble: [String] = []
    }

    @Test("give, take and touch without getting into each other's way", arguments: Seeds.few(6))
    func interleaved(_ seed: UInt64) throws {
        var plan = Plan()
        plan.cpuCount = 3
        let bench = try HostBench.finalised(plan)
        let account = Account()
        let schedule = Schedule(bench.machine, seed: seed, period: 40)
        let outcome = schedule.run(
            (0..<3).map { cpu in
                Schedule.Work(bench.machine[cpu: cpu]) {
                    var random = SeededGenerator(seed: seed &+ UInt64(cpu) << 32)
                    for _ in 0..<12 {
                        // Each CPU has a gibibyte's corner of its own; blocks and tables are shared.
                        let first = 0x42000 + UInt64(cpu) * 0x155 + random.next() % 0x100
                        switch random.next() % 4 {
                        case 0, 1:
                            let count = 1 + random.next() % 4
                            if bench.call(.topUp, first, count, on: cpu).x0 == 0 {
                                account.given.formUnion(first..<first + count)
                            }
                        case 2:
                            let answer = bench.call(.reclaimPool, on: cpu)
                            if answer.x0 == 0, account.given.remove(answer.x1) == nil {
                                account.trouble.append("\(hex(answer.x1)) was returned and not given")
                            }
                        default:
                            // Never given by anybody, but in blocks that are split and joined.
                            let page = 0x42000 + 0x455 + random.next() % 0x400
                            if bench.touch(page << pageShift, .write, on: cpu) != page {
                                account.trouble.append("CPU \(cpu) lost its page \(hex(page))")
                            }
                        }
                    }
                }
            })
        #expect(outcome == [.finished, .finished, .finished], "seed \(seed)")
        #expect(account.trouble == [], "seed \(seed)")
        var state = AbstractState(plan.installation)
        state.confineAll()
        let given = account.given.count
        #expect(bench.call(.counter, Counter.hypervisorPages.rawValue).x1 == state.count(.installed) + UInt64(given))
        for page in account.given { #expect(bench.touch(page << pageShift) == nil, "seed \(seed)") }
        bench.expectNoViolations()
    }

    @Test("are confined in any order, at once", arguments: Seeds.few(4))
    func confinement(_ seed: UInt64) throws {
        var plan = Plan()
        plan.cpuCount = 4
        let bench = try HostBench(plan)
        let schedule = Schedule(bench.machine, seed: seed, period: 3)
        let account = Account()
        let outcome = schedule.run(
            (0..<4).map { cpu in
                Schedule.Work(bench.machine[cpu: cpu]) { account.given.insert(bench.call(.deprivilege, on: cpu).x1) }
            })
        #expect(outcome.allSatisfy { $0 == .finished })
        #expect(account.given == [0, 1, 2, 3], "each CPU is told another number of CPUs left")
        #expect(bench.hypervisor.phase == .finalised)
        var state = AbstractState(plan.installation)
        state.confineAll()
        #expect(bench.differences(from: state) == [])
        bench.expectNoViolations()
    }
}
