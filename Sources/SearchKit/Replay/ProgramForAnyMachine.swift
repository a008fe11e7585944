// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Random programs that mean the same on every machine.

public import Specification

extension Player {
    /// A random program of so many steps that runs anywhere, after which everything is taken back and every page
    /// looked at. It is played here while it is made up, so that about half of its calls are valid.
    public func programForAnyMachine(seed: UInt64, steps: Int) throws(Disagreement) -> Program {
        startAgain()
        var generator = ProgramGenerator(seed: seed, cpuCount: host.plan.cpuCount, scope: .anywhere)
        var program = Program([Step(0, .version)])
        func add(_ step: Step) throws(Disagreement) {
            program.steps.append(step)
            try play(step)
        }
        for _ in 0..<steps { try add(generator.step(for: self)) }
        for name in handles.keys.sorted() {
            while state.machines[handles[name] ?? 0] != nil { try add(Step(0, .destroyVM, .machine(name))) }
        }
        // The other machine may hold pages back for tables that this one does not, and the other way round.
        for _ in 0...state.donatedPages.count + 8 { try add(Step(0, .reclaimPool)) }
        for page in 0..<Int64(regionPages) { try add(Step(0, .read, [.page(page)])) }
        return program
    }
}

extension Program {
    /// The first step, from 1, that gives or asks about frames by their numbers: memory of somebody's on any machine
    /// but the simulated one.
    public var firstStepOfOneMachine: Int? {
        steps.firstIndex { step in
            let place: Int? =
                switch step.deed.hostCall {
                case .topUp, .pageReport: 0
                case .donateToVM: 1
                case .createVM, .createVCPU, .mapGuest, .donateToGuest: 2
                default: nil
                }
            guard let place, step.arguments.indices.contains(place), case .number(let frame) = step.arguments[place]
            else { return false }
            // What is asked for a VM that a step has not made is refused; and no machine has memory there.
            if place > 0, step.deed.hostCall != .createVM, case .number = step.arguments[0] { return false }
            return frame < 1 << 36
        }.map { $0 + 1 }
    }
}
