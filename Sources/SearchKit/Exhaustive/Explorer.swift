// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Visits every state of a small world, breadth first, by calls of the real implementation.

import Dispatch
import Specification
import Synchronization

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

/// How each state was first reached: from which, and by which step.
private struct Way {
    let from: Int32
    let step: Int32
}

/// What was found in a few states of one depth.
private struct Harvest: Sendable {
    var transitions = 0
    var changes = 0
    /// States that nobody had seen before this depth, in the order in which they were met.
    var discoveries: [(way: Way, key: [UInt64])] = []
    var finding: Finding?
}

/// Explores with several machines at once. What it finds does not depend on how many: all states of a depth are
/// visited before what they lead to is looked at, in the order of the states.
public struct Explorer: Sendable {
    private let world: SmallWorld
    private let alphabet: [Step]
    private let walkers: [Walker]
    /// States that a walker visits at a time.
    private static let share = 32

    /// An explorer with a player for each thread that it may use. All of their machines are alike.
    public init(_ world: SmallWorld, players: [Player]) {
        self.world = world
        alphabet = world.alphabet
        walkers = players.map { Walker($0) }
    }

    /// Visits all states that can be reached, and tries every step in each.
    /// - Parameters:
    ///   - limit: gives up behind so many states.
    ///   - progress: is told the states so far, after each depth.
    public func explore(limit: Int = .max, progress: (Exploration) -> Void = { _ in }) -> Exploration {
        var result = Exploration()
        walkers[0].player.startAgain()
        var known: Set<[UInt64]> = [world.key(of: walkers[0].player)]
        var ways = [Way(from: 0, step: 0)]
        var level = 0..<1
        while !level.isEmpty {
            let visited = level.clamped(to: 0..<limit)
            for harvest in visit(visited, ways, known) {
                result.transitions += harvest.transitions
                result.changes += harvest.changes
                for (way, key) in harvest.discoveries where known.insert(key).inserted { ways.append(way) }
                result.states = known.count
                if let finding = harvest.finding {
                    result.finding = finding
                    return result
                }
            }
            guard visited == level else { return result }
            level = level.upperBound..<ways.count
            if !level.isEmpty { result.depth += 1 }
            progress(result)
        }
        result.isComplete = true
        return result
    }

    /// Visits the states of one depth, each walker some of them.
    private func visit(_ states: Range<Int>, _ ways: [Way], _ known: Set<[UInt64]>) -> [Harvest] {
        let shares = (states.count + Self.share - 1) / Self.share
        let harvests = Mutex([Harvest?](repeating: nil, count: shares))
        let next = Atomic(0)
        DispatchQueue.concurrentPerform(iterations: min(walkers.count, shares)) { index in
            while true {
                let share = next.add(1, ordering: .relaxed).oldValue
                guard share < shares else { return }
                let first = states.lowerBound + share * Self.share
                let harvest = visit(first..<min(first + Self.share, states.upperBound), ways, known, walkers[index])
                harvests.withLock { $0[share] = harvest }
            }
        }
        return harvests.withLock { $0.compactMap(\.self) }
    }

    private func visit(_ states: Range<Int>, _ ways: [Way], _ known: Set<[UInt64]>, _ walker: Walker) -> Harvest {
        var harvest = Harvest()
        var met: Set<[UInt64]> = []
        let player = walker.player
        for state in states {
            let point = walker.go(to: state, ways, alphabet)
            let here = world.key(of: player)
            for (index, step) in alphabet.enumerated() {
                harvest.transitions += 1
                do throws(Disagreement) { try player.play(step) } catch {
                    let program = Walker.path(to: state, ways).dropFirst().map { alphabet[Int(ways[$0].step)] } + [step]
                    harvest.finding = Finding(program: Program(program), reason: error.description, seed: 0)
                    return harvest
                }
                if player.hasChanged(since: point) {
                    let key = world.key(of: player)
                    if key != here { harvest.changes += 1 }
                    if !known.contains(key), met.insert(key).inserted {
                        harvest.discoveries.append((Way(from: Int32(state), step: Int32(index)), key))
                    }
                }
                player.goBack(to: point)
            }
        }
        return harvest
    }
}

extension Player {
    /// Visits all states of a small world with this player.
    public func explore(_ world: SmallWorld) -> Exploration { Explorer(world, players: [self]).explore() }
}

/// Brings a player to one state after another. Neighbours among the states have most of their way in common, and
/// it goes back only to where the ways part.
private final class Walker: @unchecked Sendable {
    // Safety of `@unchecked Sendable`: one thread at a time has it, and another only after all have ended.

    let player: Player
    /// Where it has come by, from the first state on.
    private var stations: [(state: Int, point: Player.Point)] = []

    init(_ player: Player) { self.player = player }

    /// States on the way to one, from the first on.
    static func path(to state: Int, _ ways: [Way]) -> [Int] {
        var path = [state]
        while let last = path.last, last != 0 { path.append(Int(ways[last].from)) }
        return path.reversed()
    }

    /// Goes to a state, by steps that were all tried before.
    /// - Returns: the point where the player is then.
    func go(to state: Int, _ ways: [Way], _ alphabet: [Step]) -> Player.Point {
        let path = Self.path(to: state, ways)
        if stations.isEmpty {
            player.startAgain()
            stations = [(0, player.mark())]
        }
        let common = zip(stations, path).prefix { $0.state == $1 }.count
        stations.removeLast(stations.count - common)
        player.goBack(to: stations[common - 1].point)
        for next in path[common...] {
            do throws(Disagreement) { try player.play(alphabet[Int(ways[next].step)]) } catch {
                preconditionFailure("a step that agreed once does not agree again: \(error)")
            }
            stations.append((next, player.mark()))
        }
        return stations[stations.count - 1].point
    }
}
