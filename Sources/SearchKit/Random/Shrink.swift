// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Makes a program that goes wrong shorter, as long as it goes wrong (delta debugging: Zeller and
// Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).

extension Program {
    /// A program of some of the steps that still fails, and from which no step can be taken away.
    /// - Parameter fails: whether a program goes wrong; must be true of this one.
    public func shrunken(_ fails: (Program) -> Bool) -> Program {
        var best = self
        var parts = 2
        while best.steps.count >= 2 {
            let size = (best.steps.count + parts - 1) / parts
            var isShorter = false
            for first in stride(from: 0, to: best.steps.count, by: size) {
                var candidate = best
                candidate.steps.removeSubrange(first..<min(first + size, best.steps.count))
                if fails(candidate) {
                    best = candidate
                    parts = max(parts - 1, 2)
                    isShorter = true
                    break
                }
            }
            if isShorter { continue }
            if size == 1 { break }
            parts = min(parts * 2, best.steps.count)
        }
        return best.withoutNeedlessMeanwhile(fails)
    }

    private func withoutNeedlessMeanwhile(_ fails: (Program) -> Bool) -> Program {
        var best = self
        for index in best.steps.indices {
            for inner in best.steps[index].meanwhile.indices.reversed() {
                var candidate = best
                candidate.steps[index].meanwhile.remove(at: inner)
                if fails(candidate) { best = candidate }
            }
        }
        return best
    }
}
