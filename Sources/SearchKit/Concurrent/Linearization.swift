// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Calls of several CPUs at once: whatever the interleaving, what they answered and what they left must be
// what they would have in some order, one after the other.

import Arm
import HypervisorInterface
import SimulatedMachine
public import Specification

/// Calls that several CPUs make at the same time, each one after the other.
public struct Round: Sendable {
    /// The calls of each CPU, which may only name what exists before the round.
    public var calls: [[Step]]

    /// Calls by CPU.
    public init(_ calls: [[Step]]) { self.calls = calls }
}

/// A call that was made in a round.
private struct Made {
    let cpu: Int
    let call: CallRegisters
    let answer: CallRegisters
}

/// What the calls of a round answered, filled in by the threads of a schedule.
private final class Answers: @unchecked Sendable {
    // Safety of `@unchecked Sendable`: one thread at a time has the turn.
    var made: [[Made]]
    init(_ cpus: Int) { made = Array(repeating: [], count: cpus) }
}

extension Player {
    /// Makes the calls of a round interleaved at each memory access, by a seed.
    /// - Throws: if a call got stuck, or if no order of the calls explains what happened.
    public func play(_ round: Round, seed: UInt64, period: UInt64) throws(Disagreement) {
        let answers = Answers(round.calls.count)
        var observing = host.observation
        // Pages come and go in between: a shortage may be true at some moment of any order.
        observing.freePages = 0
        observing.freePagesOfVM = { _ in 0 }
        observing.physicalCount = host.machine[cpu: 0].read(.cntpctEL0)
        let host = host
        let work = round.calls.enumerated().map { cpu, steps in
            let calls = steps.map { registers(of: $0) }
            return Schedule.Work(host.machine[cpu: cpu]) {
                for call in calls {
                    answers.made[cpu].append(Made(cpu: cpu, call: call, answer: host.hvc(call, on: cpu)))
                }
            }
        }
        let outcomes = Schedule(host.machine, seed: seed, period: period).run(work)
        guard outcomes.allSatisfy({ $0 == .finished }) else { throw Disagreement("a CPU got stuck: \(outcomes)") }
        if let tamper {
            for cpu in answers.made.indices {
                answers.made[cpu] = answers.made[cpu].map { made in
                    var answer = made.answer
                    tamper(made.call, &answer)
                    return Made(cpu: made.cpu, call: made.call, answer: answer)
                }
            }
        }
        if let violation = host.machine.violations.first { throw Disagreement(violation.description) }
        var reasons: [String] = []
        guard let order = linearize(state, answers.made.map { $0[...] }, observing, &reasons) else {
            let calls = answers.made.joined().map { "CPU \($0.cpu) \($0.call) -> \($0.answer)" }
            throw Disagreement("no order explains \(calls.joined(separator: "; ")): \(reasons.last ?? "")")
        }
        adopt(
            order,
            bindings: zip(round.calls, answers.made).flatMap { steps, made in
                zip(steps, made).compactMap { step, made in
                    step.binds.flatMap { made.answer.x0 == 0 ? ($0, made.answer.x1) : nil }
                }
            })
    }

    /// A state that some order of the calls leads to, in which everything agrees.
    private func linearize(
        _ state: AbstractState, _ left: [ArraySlice<Made>], _ observing: Observation, _ reasons: inout [String]
    ) -> AbstractState? {
        guard left.contains(where: { !$0.isEmpty }) else {
            let differences = host.differences(from: state, stride: 97) + host.guestTableDifferences(state)
            reasons += differences.prefix(1)
            return differences.isEmpty ? state : nil
        }
        for cpu in left.indices {
            guard let made = left[cpu].first else { continue }
            var rest = left
            rest[cpu] = rest[cpu].dropFirst()
            var observing = observing
            // Which pages were in use at that moment nobody knows: only that a page that comes back was not,
            // and that if none does, all may have been.
            let isEmpty = made.answer.x0 != 0
            observing.isInUse = { _ in isEmpty }
            guard let next = try? state.after(made.call, on: made.cpu, answer: made.answer, observing: observing)
            else { continue }
            if let end = linearize(next, rest, observing, &reasons) { return end }
        }
        return nil
    }
}

extension ProgramGenerator {
    /// Calls of all CPUs at once.
    public mutating func round(for player: Player, calls: Int) -> Round {
        Round(
            (0..<player.host.plan.cpuCount).map { cpu in
                (0..<calls).map { _ in
                    var step = concurrent(for: player)
                    step.cpu = cpu
                    return step
                }
            })
    }

    private mutating func concurrent(for player: Player) -> Step {
        while true {
            let step = single(for: player)
            // A step of an end says how far it got by what is seen after it, which others may change.
            switch step.deed.hostCall {
            case .topUp, .reclaimPool, .createVM, .donateToVM, .createVCPU, .mapGuest, .unmapGuest, .donateToGuest,
                .allowMMIO, .pageReport, .resetVCPU:
                return step
            default: continue
            }
        }
    }
}

extension Player {
    /// Plays random rounds, and random steps in between.
    /// - Returns: what went wrong, if anything did; its program has the steps before the round.
    public func searchInterleaved(seed: UInt64, rounds: Int, calls: Int = 2, period: UInt64 = 12) -> Finding? {
        startAgain()
        var generator = ProgramGenerator(seed: seed, cpuCount: host.plan.cpuCount)
        var program = Program()
        do throws(Disagreement) {
            for index in 0..<rounds {
                for _ in 0..<4 {
                    let step = generator.step(for: self)
                    program.steps.append(step)
                    try play(step)
                }
                let round = generator.round(for: self, calls: calls)
                program.steps += round.calls.joined()
                try play(round, seed: seed &+ UInt64(index) << 32, period: period)
            }
            return nil
        } catch { return Finding(program: program, reason: error.description, seed: seed) }
    }
}
