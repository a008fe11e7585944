// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Calls of several CPUs at once: whatever the interleaving, what they answered and what they left must be
// what they would have in some order, one after the other.

import Arm
import HypervisorInterface
import SimulatedMachine
import Specification

extension Step {
    /// Calls that several CPUs make at once, which may only name what exists before. Who has the turn when is still
    /// open.
    public static func together(_ calls: [Step]) -> Step { Step(0, .together, meanwhile: calls) }

    /// Where the turn goes to another CPU.
    var switches: [Schedule.Switch] {
        get {
            let numbers = arguments.map { if case .number(let value) = $0 { value } else { 0 as UInt64 } }
            return stride(from: 0, to: numbers.count - 1, by: 2).map {
                Schedule.Switch(before: numbers[$0], to: Int(clamping: numbers[$0 + 1]))
            }
        }
        set { arguments = newValue.flatMap { [.number($0.step), .number(UInt64($0.next))] } }
    }
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

/// What changes answers, for the threads of a schedule.
private final class Tampering: @unchecked Sendable {
    // Safety of `@unchecked Sendable`: one thread at a time has the turn.
    let body: ((_ call: CallRegisters, _ answer: inout CallRegisters) -> Void)?
    init(_ body: ((_ call: CallRegisters, _ answer: inout CallRegisters) -> Void)?) { self.body = body }
}

extension Player {
    /// Makes calls at once as a step says.
    func playTogether(_ step: Step) throws(Disagreement) {
        try play(step, Schedule(host.machine, first: step.cpu % host.plan.cpuCount, switches: step.switches))
    }

    /// Makes the calls of a step interleaved at each memory access.
    /// - Throws: if a call got stuck, or if no order of the calls explains what happened.
    func play(_ step: Step, _ schedule: Schedule) throws(Disagreement) {
        let host = host
        let calls = step.meanwhile.filter { if case .call = $0.deed { $0.deed.hostCall != .runVCPU } else { false } }
        let rounds = (0..<host.plan.cpuCount).map { cpu in calls.filter { $0.cpu % host.plan.cpuCount == cpu } }
        let answers = Answers(rounds.count)
        var observing = host.observation
        // Pages come and go in between: a shortage may be true at some moment of any order.
        observing.freePages = 0
        observing.freePagesOfVM = { _ in 0 }
        observing.physicalCount = host.machine[cpu: 0].read(.cntpctEL0)
        let tamper = Tampering(tamper)
        let work = rounds.enumerated().map { cpu, steps in
            let calls = steps.map { registers(of: $0) }
            return Schedule.Work(host.machine[cpu: cpu]) {
                for call in calls {
                    var answer = host.hvc(call, on: cpu)
                    tamper.body?(call, &answer)
                    answers.made[cpu].append(Made(cpu: cpu, call: call, answer: answer))
                }
            }
        }
        let outcomes = schedule.run(work)
        if let violation = host.machine.violations.first { throw Disagreement(violation.description) }
        guard outcomes.allSatisfy({ $0 == .finished }) else { throw Disagreement("a CPU got stuck: \(outcomes)") }
        var reasons: [String] = []
        guard let order = linearize(state, answers.made.map { $0[...] }, observing, &reasons) else {
            let calls = answers.made.joined().map { "CPU \($0.cpu) \($0.call) -> \($0.answer)" }
            throw Disagreement("no order explains \(calls.joined(separator: "; ")): \(reasons.last ?? "")")
        }
        adopt(
            order,
            bindings: zip(rounds, answers.made).flatMap { steps, made in
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
    /// So many calls of each CPU, all CPUs at once.
    public mutating func together(for player: Player, calls: Int) -> Step {
        .together(
            (0..<player.host.plan.cpuCount).flatMap { cpu in
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
    /// - Returns: what went wrong, if anything did, with the turns that led there.
    public func searchInterleaved(seed: UInt64, rounds: Int, calls: Int = 2, period: UInt64 = 12) -> Finding? {
        var generator = ProgramGenerator(seed: seed, cpuCount: host.plan.cpuCount)
        return searchInterleaved(seed: seed, period: period, count: rounds * 5) { player, index in
            index % 5 == 4 ? generator.together(for: player, calls: calls) : generator.step(for: player)
        }
    }

    /// Plays a program with turns by a seed wherever calls are made at once.
    public func searchInterleaved(_ steps: [Step], seed: UInt64, period: UInt64 = 12) -> Finding? {
        searchInterleaved(seed: seed, period: period, count: steps.count) { _, index in steps[index] }
    }

    private func searchInterleaved(
        seed: UInt64, period: UInt64, count: Int, _ next: (Player, _ index: Int) -> Step
    ) -> Finding? {
        startAgain()
        var program = Program()
        do throws(Disagreement) {
            for index in 0..<count {
                var step = next(self, index)
                guard step.deed == .together else {
                    program.steps.append(step)
                    try play(step)
                    continue
                }
                let schedule = Schedule(host.machine, seed: seed &+ UInt64(index) << 32, period: period)
                defer {
                    step.cpu = schedule.first ?? 0
                    step.switches = schedule.switches
                    program.steps.append(step)
                }
                try play(step, schedule)
            }
            return nil
        } catch { return Finding(program: program, reason: error.description, seed: seed) }
    }
}
