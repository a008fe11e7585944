// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Several simulated CPUs at once: one thread for each, of which one runs at a time, and a seeded
// choice at the steps in between. The same seed gives the same interleaving.

import Dispatch
import Foundation
import Machine

/// Runs code on several CPUs of one machine, interleaved at memory accesses, barriers and
/// spinning.
///
/// It installs itself as the machine's `beforeStep` and `whileSpinning`, and, through
/// `park`, as what happens when a CPU loses its power inside a call.
public final class Schedule: @unchecked Sendable {
    // Safety of `@unchecked Sendable`: all state is touched only by the thread that holds the turn;
    // the semaphores that hand the turn over order its accesses.

    /// How the code of one CPU ended.
    public enum Outcome: Equatable, Sendable {
        /// It returned.
        case finished
        /// Its CPU lost power within a call that does not come back.
        case parked
        /// It waits for a lock that nobody will release.
        case stuck
    }

    /// Code for one CPU to run.
    public struct Work: Sendable {
        let cpu: SimulatedCPU
        let body: @Sendable () -> Void

        /// Work for a CPU.
        public init(_ cpu: SimulatedCPU, _ body: @escaping @Sendable () -> Void) {
            self.cpu = cpu
            self.body = body
        }
    }

    private final class Task {
        let cpu: SimulatedCPU
        let body: @Sendable () -> Void
        let turn = DispatchSemaphore(value: 0)
        var outcome: Outcome?

        init(_ cpu: SimulatedCPU, _ body: @escaping @Sendable () -> Void) {
            self.cpu = cpu
            self.body = body
        }
    }

    /// A point where the turn goes to another CPU although the one that has it could go on.
    public struct Switch: Hashable, Sendable {
        /// Steps of all CPUs, since the schedule began, before which it happens, from 1.
        public let step: UInt64
        /// Whose turn it is then: its place among the pieces of work.
        public let next: Int

        /// The turn goes to a piece of work before a step.
        public init(before step: UInt64, to next: Int) {
            self.step = step
            self.next = next
        }
    }

    /// Who decides where the turn goes.
    private enum Choice {
        case random(SeededGenerator, period: UInt64)
        case given(ArraySlice<Switch>)
    }

    private let machine: SimulatedMachine
    private var choice: Choice
    private var tasks: [Task] = []
    private var current = 0
    private var stepsMade: UInt64 = 0
    /// Which piece of work began.
    public private(set) var first: Int?
    /// Every switch that was made, so that the same can be had again. Where a CPU cannot go on, the next one that
    /// can has the turn, in the order of the work.
    public private(set) var switches: [Switch] = []
    private let done = DispatchSemaphore(value: 0)
    /// Turns of spinning since anybody did anything else.
    private var fruitlessTurns = 0

    /// A schedule.
    /// - Parameters:
    ///   - seed: decides every choice.
    ///   - period: a switch is made at one step in so many.
    public init(_ machine: SimulatedMachine, seed: UInt64, period: UInt64 = 8) {
        self.machine = machine
        choice = .random(SeededGenerator(seed: seed), period: max(1, period))
    }

    /// A schedule that was had before, or a part of it.
    public init(_ machine: SimulatedMachine, first: Int, switches: [Switch]) {
        self.machine = machine
        self.first = first
        choice = .given(switches[...])
    }

    /// Runs some work, at most one piece for each CPU, interleaved, until each has ended in its way.
    public func run(_ work: [Work]) -> [Outcome] {
        tasks = work.map { Task($0.cpu, $0.body) }
        fruitlessTurns = 0
        let (step, spin) = (machine.beforeStep, machine.whileSpinning)
        machine.checkOrder()
        machine.beforeStep = { [unowned self] cpu in self.step(cpu) }
        machine.whileSpinning = { [unowned self] cpu in self.spin(cpu) }
        defer {
            machine.beforeStep = step
            machine.whileSpinning = spin
            machine.stopCheckingOrder()
        }
        for index in tasks.indices { startThread(index) }
        if first == nil { first = below(tasks.count) }
        current = min(first ?? 0, tasks.count - 1)
        tasks[current].turn.signal()
        done.wait()
        return tasks.map { $0.outcome ?? .stuck }
    }

    /// Ends the code of the running CPU inside a call that does not come back.
    public func park() -> Never { end(.parked) }

    private func startThread(_ index: Int) {
        Thread.detachNewThread { self.threadMain(index) }
    }

    private func threadMain(_ index: Int) {
        let task = tasks[index]
        task.turn.wait()
        task.body()
        leave(.finished)
    }

    /// Gives the turn away for good.
    private func leave(_ outcome: Outcome) {
        tasks[current].outcome = outcome
        fruitlessTurns = 0
        if let next = successor() {
            current = next
            tasks[next].turn.signal()
        } else {
            done.signal()
        }
    }

    private func end(_ outcome: Outcome) -> Never {
        leave(outcome)
        // The thread's frames are state that the CPU loses with its power: what they would do on
        // the way out must not be done.
        Thread.exit()
        fatalError("a thread outlived its end")
    }

    /// A number that is chosen at random, if anything is.
    private func below(_ limit: Int) -> Int {
        guard case .random(var random, let period) = choice else { return 0 }
        defer { choice = .random(random, period: period) }
        return Int(random.next() % UInt64(limit))
    }

    /// The next piece of work that has not ended, other than the running one.
    private func successor() -> Int? {
        (1..<max(1, tasks.count)).map { (current + $0) % tasks.count }.first { tasks[$0].outcome == nil }
    }

    /// To whom the turn goes before this step, if it does.
    private func choose() -> Int? {
        switch choice {
        case .random(_, let period):
            guard below(Int(clamping: period)) == 0 else { return nil }
            let others = tasks.indices.filter { tasks[$0].outcome == nil && $0 != current }
            return others.isEmpty ? nil : others[below(others.count)]
        case .given(var left):
            // Of switches out of order, or to somebody who cannot go on, nothing comes.
            left = left.drop { $0.step < stepsMade }
            defer { choice = .given(left) }
            guard let due = left.first, due.step == stepsMade else { return nil }
            left = left.dropFirst()
            let isPossible = tasks.indices.contains(due.next) && due.next != current && tasks[due.next].outcome == nil
            return isPossible ? due.next : nil
        }
    }

    private func hand(to next: Int) {
        let mine = tasks[current]
        current = next
        tasks[next].turn.signal()
        mine.turn.wait()
    }

    private func step(_ cpu: SimulatedCPU) {
        fruitlessTurns = 0
        stepsMade += 1
        guard tasks.count > 1, let next = choose() else { return }
        switches.append(Switch(before: stepsMade, to: next))
        hand(to: next)
    }

    private func spin(_ cpu: SimulatedCPU) {
        fruitlessTurns += 1
        // With everybody spinning, many turns in a row, nobody will ever release anything.
        guard let next = successor(), fruitlessTurns < 10_000 else {
            machine.report(.deadlock, cpu: cpu.index, "the CPU spins on a lock that nobody will release")
            end(.stuck)
        }
        hand(to: next)
    }
}

/// A small generator with a seed (SplitMix64), the same on every machine.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// A generator that gives the same numbers for the same seed.
    public init(seed: UInt64) { state = seed }

    /// The next number.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
