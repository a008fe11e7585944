// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Visits every state of a small world, breadth first, by calls of the real implementation.

import Specification

/// What an exhaustive search has seen.
public struct Exploration: Sendable {
    /// Abstract states, each counted once whatever plays which part in it.
    public internal(set) var states = 0
    /// Steps tried, one for each state and each member of the alphabet.
    public internal(set) var transitions = 0
    /// Of them those that led to another state.
    public internal(set) var changes = 0
    /// Steps on the shortest way to the state that is farthest away.
    public internal(set) var depth = 0
    /// Whether there was no state left to visit.
    public internal(set) var isComplete = false
    /// The first program that went wrong: always one of the shortest.
    public internal(set) var finding: Finding?
}

extension Player {
    /// Visits all states of a small world that can be reached, and tries every step in each.
    /// - Parameters:
    ///   - limit: gives up behind so many states.
    ///   - progress: is told the states so far, now and then.
    public func explore(
        _ world: SmallWorld, limit: Int = .max, progress: (Exploration) -> Void = { _ in }
    ) -> Exploration {
        let alphabet = world.alphabet
        var result = Exploration()
        startAgain()
        // How each state was first reached: from which, and by which step.
        var ways: [(from: Int, step: Int)] = [(0, 0)]
        var depths = [0]
        var known: Set<[UInt64]> = [world.key(of: self)]
        var next = 0
        while next < ways.count, next < limit {
            let way = path(to: next, ways).map { alphabet[$0] }
            let here = world.key(after: way, on: self)
            let point = mark()
            for (index, step) in alphabet.enumerated() {
                result.transitions += 1
                do throws(Disagreement) { try play(step) } catch {
                    result.finding = Finding(program: Program(way + [step]), reason: error.description, seed: 0)
                    result.states = known.count
                    return result
                }
                let key = world.key(of: self)
                if key != here { result.changes += 1 }
                if known.insert(key).inserted {
                    ways.append((next, index))
                    depths.append(depths[next] + 1)
                }
                goBack(to: point)
            }
            result.states = known.count
            result.depth = depths[next]
            next += 1
            if next % 1000 == 0 { progress(result) }
        }
        result.isComplete = next == ways.count
        return result
    }

    private func path(to state: Int, _ ways: [(from: Int, step: Int)]) -> [Int] {
        var steps: [Int] = []
        var state = state
        while state != 0 {
            steps.append(ways[state].step)
            state = ways[state].from
        }
        return steps.reversed()
    }
}

extension SmallWorld {
    /// The key of the state that some steps, all of them tried before, lead to.
    fileprivate func key(after steps: [Step], on player: Player) -> [UInt64] {
        player.startAgain()
        for step in steps {
            do throws(Disagreement) { try player.play(step) } catch {
                preconditionFailure("a step that agreed once does not agree again: \(error)")
            }
        }
        return key(of: player)
    }
}
