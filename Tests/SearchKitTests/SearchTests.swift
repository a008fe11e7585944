// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The searches themselves, small: that they find nothing, that they visit everything, and that a fault
// put in is found and its program made short.

import Arm
import Foundation
import HypervisorCore
import HypervisorInterface
import SearchKit
import Specification
import Testing

private func player(cpus: Int = 2) throws -> Player {
    var plan = Plan()
    plan.cpuCount = cpus
    return try Player(plan)
}

@Suite("The search")
struct SearchTests {
    private static let seeds: [UInt64] =
        ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap(UInt64.init).map { [$0] }
        ?? [1, 2, UInt64.random(in: 1000...UInt64.max)]

    @Test("finds nothing in random programs", arguments: seeds)
    func random(_ seed: UInt64) throws {
        let player = try player()
        if let finding = player.search(seed: seed, steps: 600, comparingAllEvery: 150) {
            let short = player.shrink(finding)
            Issue.record("seed \(seed): \(short.reason)\n\(short.program)")
        }
    }

    @Test("visits every state of the smallest world")
    func exhaustive() throws {
        let result = try player().explore(.smallest)
        if let finding = result.finding { Issue.record("\(finding.reason)\n\(finding.program)") }
        #expect(result.isComplete)
        #expect(result.states > 50)
        #expect(result.transitions > 1000)
        // However many look for them.
        let again = Explorer(.smallest, players: [try player(), try player()]).explore()
        #expect(again.states == result.states && again.transitions == result.transitions)
        #expect(again.changes == result.changes && again.depth == result.depth && again.isComplete)
    }

    @Test("says that a world is not all visited, and finds a fault on one of the shortest ways")
    func exhaustiveFault() throws {
        let player = try player()
        let part = Explorer(.smallest, players: [player]).explore(limit: 20)
        #expect(!part.isComplete && part.states > 20)
        player.tamper = { call, answer in
            if UInt32(truncatingIfNeeded: call.x0) == HostCall.destroyVM.rawValue, answer.x0 == 0 { answer.x1 = 7 }
        }
        let finding = try #require(player.explore(.smallest).finding)
        // Made, and ended.
        #expect(finding.program.steps.count == 2, "\(finding.program)")
        #expect(player.replay(finding.program) != nil)
    }

    @Test("finds a fault that was put in, with a short program", arguments: [1, 2, 3] as [UInt64])
    func shrinks(_ seed: UInt64) throws {
        let player = try player()
        // The ledger takes a guest's page for the hypervisor's.
        player.tamper = { call, answer in
            if UInt32(truncatingIfNeeded: call.x0) == HostCall.pageReport.rawValue,
                answer.x1 == PageReport.guest.rawValue
            {
                answer.x1 = PageReport.hypervisor.rawValue
            }
        }
        var found: Finding?
        for attempt in 0..<20 where found == nil {
            found = player.search(seed: seed &+ UInt64(attempt) << 32, steps: 1000)
        }
        let finding = try #require(found, "the fault was never met")
        let short = player.shrink(finding)
        // A VM, its memory, and the question.
        #expect(short.program.steps.count <= 3, "\(short.program)")
        #expect(short.program.steps.last?.deed == .call(.pageReport))
        // What was shrunken goes wrong when it is read back, too; and not without the fault.
        let program = try Program(parsing: "\(short.program)")
        #expect(program == short.program)
        #expect(player.replay(program) != nil)
        player.tamper = nil
        #expect(player.replay(program) == nil)
    }

    @Test("notices an entry of the ledger that a step has written wrongly", arguments: [true, false])
    func ledger(_ isHosts: Bool) throws {
        let player = try player()
        let frame = player.value(.page(isHosts ? 5 : 3))
        try player.play(Step(0, .topUp, .page(3), 1))
        // As the host's, but lent once; as the hypervisor's, but from a superpage.
        player.host.machine[cpu: 0].store32(Ledger.entryAddress(of: Frame(frame)), isHosts ? 1 | 1 << 8 : 2)
        #expect(throws: Disagreement.self) { try player.play(Step(0, .version)) }
    }

    @Test("notices a table of a guest that a step has written wrongly")
    func guestTable() throws {
        let player = try player()
        try player.play(Step(0, .createVM, 0, 32, .page(256), 16, binds: 0))
        try player.play(Step(0, .mapGuest, .machine(0), 0x80, .page(3), 1, 1))
        player.host.machine[cpu: 0].store64(Address(player.value(.page(256)) << pageShift), 0)
        #expect(throws: Disagreement.self) { try player.play(Step(0, .version)) }
    }

    @Test("notices a page that the host has kept, or EL2")
    func hostTable() throws {
        let player = try player()
        let cpu = player.host.machine[cpu: 0]
        // The last level of the host's table for the region: a page of it has been split off before.
        try player.play(Step(0, .topUp, .page(3), 1))
        let word = try #require(
            player.host.machine.liveTables.map { Address<HypervisorVirtual>($0.number << 12 | 3 << 3) }
                .first {
                    cpu.load64($0.advanced(by: 8)) & 0xFFFF_FFFF_F000 == player.value(.page(4)) << 12
                        && cpu.load64($0) == 0
                })
        cpu.store64(word, cpu.load64(word.advanced(by: 8)) - (1 << 12))
        cpu.barrier(.storesBeforeInvalidation)
        #expect(throws: Disagreement.self) { try player.play(Step(0, .version)) }
    }

    @Test("goes back to a point, and finds everything as it was")
    func goesBack() throws {
        let player = try player()
        try player.play(Step(0, .createVM, 1, 32, .page(256), 16, binds: 0))
        let point = player.mark()
        for _ in 0..<3 {
            try player.play(Step(1, .donateToGuest, .machine(0), 0x80, .page(3), 2, 0))
            try player.play(Step(0, .topUp, .page(9), 3))
            try player.compareAll()
            player.goBack(to: point)
            try player.compareAll()
            #expect(player.state.page(player.value(.page(3))) == .host)
        }
    }

    @Test("lets everything meet everything that it can")
    func coverage() throws {
        let player = try player()
        player.coverage = Coverage()
        for seed in UInt64(1)...12 {
            if let finding = player.search(seed: seed, steps: 1500, comparingAllEvery: 1500) {
                Issue.record("seed \(seed): \(finding.reason)")
            }
        }
        let coverage = try #require(player.coverage)
        #expect(coverage.missing.isEmpty, "\(coverage.missing.map { "\($0.doing) \($0.page)" })\n\(coverage)")
        #expect(coverage.surprising.isEmpty, "\(coverage.surprising)")
        #expect((40...65).contains(coverage.validShare), "\(coverage.validShare) of 100 calls were valid")
    }
}

@Suite("The search with several CPUs at once")
struct InterleavedSearchTests {
    @Test("finds nothing in random rounds", arguments: [1, 2, UInt64.random(in: 1000...UInt64.max)])
    func random(_ seed: UInt64) throws {
        let player = try player()
        if let finding = player.searchInterleaved(seed: seed, rounds: 12) {
            Issue.record("seed \(seed): \(finding.reason)\n\(finding.program)")
        }
    }

    @Test("finds calls that no order explains")
    func impossible() throws {
        let player = try player()
        // Both are told to have got the same page back.
        try player.play(Step(0, .topUp, .page(0), 4))
        var first: UInt64?
        player.tamper = { call, answer in
            guard UInt32(truncatingIfNeeded: call.x0) == HostCall.reclaimPool.rawValue else { return }
            first = first ?? answer.x1
            answer.x1 = first ?? 0
        }
        let round = Step.together([Step(0, .reclaimPool), Step(1, .reclaimPool)])
        #expect(throws: Disagreement.self) { try player.play(round) }
    }

    /// A fault that shows only if one call of the other CPU comes between two of this one.
    private final class Fault {
        private var latest: [UInt32] = []

        func play(_ program: Program, on player: Player) -> Disagreement? {
            latest = []
            return player.replay(program)
        }

        func search(_ steps: [Step], seed: UInt64, on player: Player) -> Finding? {
            latest = []
            return player.searchInterleaved(steps, seed: seed, period: 6)
        }

        func tamper(_ call: CallRegisters, _ answer: inout CallRegisters) {
            latest = latest.suffix(2) + [UInt32(truncatingIfNeeded: call.x0)]
            if latest == [HostCall.pageReport, .topUp, .pageReport].map(\.rawValue) { answer.x1 ^= 1 }
        }
    }

    @Test("makes a program short whose fault shows at some turns only, and plays it again")
    func shrinks() throws {
        let player = try player()
        let fault = Fault()
        player.tamper = fault.tamper
        let calls = [
            Step(0, .pageReport, .page(8)), Step(0, .pageReport, .page(9)), Step(0, .pageReport, .page(9)),
            Step(1, .topUp, .page(1), 1), Step(1, .reclaimPool),
        ]
        // One after the other nothing goes wrong.
        #expect(fault.play(Program([.together(calls)]), on: player) == nil)
        var found: Finding?
        for seed in UInt64(1)...200 where found == nil {
            found = fault.search([Step(0, .topUp, .page(5), 2), .together(calls)], seed: seed, on: player)
        }
        let finding = try #require(found, "no schedule shows the fault")
        let short = finding.program.shrunken { fault.play($0, on: player) != nil }
        let step = try #require(short.steps.last)
        #expect(short.steps.count == 1, "\(short)")
        #expect(step.meanwhile.count == 3, "\(short)")
        // To the other CPU's call; back, the turn goes by itself.
        #expect((1...2).contains(step.arguments.count / 2), "\(short)")
        let program = try Program(parsing: "\(short)")
        #expect(program == short)
        #expect(fault.play(program, on: player) != nil)
        var unturned = program
        unturned.steps[0].arguments = []
        #expect(fault.play(unturned, on: player) == nil)
        player.tamper = nil
        #expect(fault.play(program, on: player) == nil)
    }
}
