// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Random programs until one goes wrong, or enough of them have not.

public import Specification

/// A program that went wrong.
public struct Finding: Sendable {
    /// What it does.
    public let program: Program
    /// What did not agree at its last step.
    public let reason: String
    /// What the generator was seeded with.
    public let seed: UInt64
}

extension Player {
    /// Plays a program from the start; what went wrong, if anything did.
    public func replay(_ program: Program) -> Disagreement? {
        startAgain()
        do throws(Disagreement) {
            for step in program.steps { try play(step) }
            try compareAll(stride: 97)
            return nil
        } catch { return error }
    }

    /// Plays one random program of so many steps.
    /// - Returns: what went wrong, with the program up to there.
    public func search(seed: UInt64, steps: Int, comparingAllEvery period: Int = 500) -> Finding? {
        startAgain()
        var generator = ProgramGenerator(seed: seed, cpuCount: host.plan.cpuCount)
        var program = Program()
        do throws(Disagreement) {
            for index in 1...steps {
                let step = generator.step(for: self)
                program.steps.append(step)
                try play(step)
                if index % period == 0 { try compareAll(stride: 97) }
            }
            try compareAll(stride: 97)
            return nil
        } catch { return Finding(program: program, reason: error.description, seed: seed) }
    }

    /// A shorter program that goes wrong in the same way.
    public func shrink(_ finding: Finding) -> Finding {
        func failure(_ program: Program) -> String? { replay(program)?.description }
        let shrunken = finding.program.shrunken { failure($0) != nil }
        return Finding(program: shrunken, reason: failure(shrunken) ?? finding.reason, seed: finding.seed)
    }
}
