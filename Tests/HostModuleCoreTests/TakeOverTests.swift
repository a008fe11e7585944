// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The take-over on several threads against an EL2 that keeps the rules of the protocol, and
// fails where it is told to.

import Foundation
import HostModuleCore
import HypervisorInterface
import Synchronization
import Testing

/// EL2 of all CPUs, as the host call interface describes it.
private final class TestEL2: Sendable {
    struct State {
        var entered: Set<UInt32> = []
        var deprivileged: Set<UInt32> = []
        var initialisations = 0
        var violations: [String] = []
    }
    enum Failure: Sendable, CaseIterable {
        case none, entry, initialise, firstDeprivilege, laterDeprivilege, withdraw
    }
    let state = Mutex(State())
    let failure: Failure
    let count: UInt32

    init(failure: Failure, count: UInt32) {
        self.failure = failure
        self.count = count
    }
}

private struct TestCPU: TakeOverCPU {
    let el2: TestEL2
    let index: UInt32

    mutating func enter() -> UInt64 {
        if el2.failure == .entry, index == el2.count - 1 { return 0xBADCA11 }
        el2.state.withLock { _ = $0.entered.insert(index) }
        return 0
    }

    mutating func call(_ call: HostCall) -> HostCallAnswer {
        let failure = el2.failure
        let count = el2.count
        let index = index
        let status: CallStatus = el2.state.withLock { state in
            guard state.entered.contains(index) else {
                state.violations.append("\(call) on CPU \(index), which has not entered")
                return .notSupported
            }
            switch call {
            case .initialise:
                state.initialisations += 1
                if state.entered.count != Int(count) { state.violations.append("initialised before all entered") }
                return failure == .initialise || failure == .withdraw ? .invalidParameter : .success
            case .deprivilege:
                if state.initialisations != 1 { state.violations.append("deprivileged before initialised") }
                if failure == .firstDeprivilege { return .noMemory }
                if failure == .laterDeprivilege, !state.deprivileged.isEmpty { return .denied }
                state.deprivileged.insert(index)
                return .success
            case .withdraw:
                if !state.deprivileged.isEmpty { state.violations.append("withdrew after a CPU had gone") }
                if failure == .withdraw, index == 0 { return .busy }
                state.entered.remove(index)
                return .success
            default:
                state.violations.append("\(call) during the take-over")
                return .notSupported
            }
        }
        return HostCallAnswer(status: status.rawValue)
    }

    mutating func pause() { sched_yield() }
}

@Suite struct TakeOverTests {
    private final class Machine: Sendable {
        let takeOver = TakeOver()
        let running: Atomic<UInt32>
        init(cpus: UInt32) { running = Atomic(cpus) }
    }

    private func run(_ failure: TestEL2.Failure, cpus: UInt32) async -> (TakeOver.Outcome, TestEL2.State) {
        let el2 = TestEL2(failure: failure, count: cpus)
        let machine = Machine(cpus: cpus)
        // Threads and not tasks: the CPUs wait for each other, and the task pool may be smaller.
        for index in 0..<cpus {
            Thread.detachNewThread {
                var cpu = TestCPU(el2: el2, index: index)
                machine.takeOver.run(on: &cpu, index: index, id: index + 10, of: cpus)
                machine.running.subtract(1, ordering: .acquiringAndReleasing)
            }
        }
        while machine.running.load(ordering: .acquiring) > 0 { await Task.yield() }
        return (machine.takeOver.outcome, el2.state.withLock { $0 })
    }

    @Test(arguments: [1, 2, 4, 7] as [UInt32]) func installsOnEveryCPU(cpus: UInt32) async {
        let (outcome, state) = await run(.none, cpus: cpus)
        #expect(outcome == .installed)
        #expect(state.deprivileged.count == Int(cpus) && state.initialisations == 1)
        #expect(state.violations.isEmpty)
    }

    @Test(arguments: [1, 2, 4] as [UInt32]) func aFailedEntryIsUndone(cpus: UInt32) async {
        let (outcome, state) = await run(.entry, cpus: cpus)
        #expect(outcome == .withdrawn(.entryFailed(cpu: cpus - 1 + 10, answer: 0xBADCA11)))
        #expect(state.entered.isEmpty && state.initialisations == 0 && state.violations.isEmpty)
    }

    @Test(arguments: [1, 2, 4] as [UInt32]) func aRefusedBootBlockIsUndone(cpus: UInt32) async {
        let (outcome, state) = await run(.initialise, cpus: cpus)
        #expect(outcome == .withdrawn(.initialiseFailed(status: -3)))
        #expect(state.entered.isEmpty && state.deprivileged.isEmpty && state.violations.isEmpty)
    }

    @Test(arguments: [1, 2, 4] as [UInt32]) func aRefusedFirstCPUIsUndone(cpus: UInt32) async {
        let (outcome, state) = await run(.firstDeprivilege, cpus: cpus)
        #expect(outcome == .withdrawn(.deprivilegeFailed(cpu: 10, status: -5)))
        #expect(state.entered.isEmpty && state.deprivileged.isEmpty && state.violations.isEmpty)
    }

    @Test func aRefusedLaterCPUKeepsTheMemory() async {
        let (outcome, state) = await run(.laterDeprivilege, cpus: 2)
        #expect(outcome == .stuck(.deprivilegeFailed(cpu: 11, status: -4)))
        #expect(state.deprivileged == [0] && state.violations.isEmpty)
    }

    @Test func aCPUThatDoesNotGiveEL2BackKeepsTheMemory() async {
        let (outcome, state) = await run(.withdraw, cpus: 2)
        #expect(outcome == .stuck(.initialiseFailed(status: -3)))
        #expect(state.entered == [0] && state.violations.isEmpty)
    }
}
