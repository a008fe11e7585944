// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Makes a program that goes wrong shorter, as long as it goes wrong (delta debugging: Zeller and
// Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).

extension Array {
    /// Some of the elements, in their order, that still fail, and of which none can be taken away.
    /// - Parameter fails: whether something goes wrong with these; must be true of all.
    func shrunken(_ fails: ([Element]) -> Bool) -> [Element] {
        var best = self
        var parts = 2
        while !best.isEmpty {
            let size = (best.count + parts - 1) / parts
            var isShorter = false
            for first in stride(from: 0, to: best.count, by: size) {
                var candidate = best
                candidate.removeSubrange(first..<Swift.min(first + size, best.count))
                if fails(candidate) {
                    best = candidate
                    parts = Swift.max(parts - 1, 2)
                    isShorter = true
                    break
                }
            }
            if isShorter { continue }
            if size == 1 { break }
            parts = Swift.min(parts * 2, best.count)
        }
        return best
    }
}

extension Program {
    /// A program of some of the steps that still fails, and from which no step can be taken away: neither of those
    /// that are made meanwhile, nor of the switches between CPUs.
    /// - Parameter fails: whether a program goes wrong; must be true of this one.
    public func shrunken(_ fails: (Program) -> Bool) -> Program {
        var best = Program(steps.shrunken { fails(Program($0)) })
        func goesWrong(_ step: Step, at index: Int) -> Bool {
            var candidate = best
            candidate.steps[index] = step
            return fails(candidate)
        }
        for index in best.steps.indices {
            let step = best.steps[index]
            best.steps[index].meanwhile = step.meanwhile.shrunken { some in
                var step = step
                step.meanwhile = some
                return goesWrong(step, at: index)
            }
            guard step.deed == .together else { continue }
            let rest = best.steps[index]
            best.steps[index].switches = rest.switches.shrunken { some in
                var step = rest
                step.switches = some
                return goesWrong(step, at: index)
            }
        }
        return best
    }
}
