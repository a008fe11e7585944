// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `search`: random and exhaustive programs of a host against the specification, and replays of saved
// traces. Built for speed: `make search` runs it in its release form.

import ArgumentParser
import Foundation
import SearchKit

@main
struct SearchTool: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "search",
        abstract: "Holds the hypervisor on a simulated machine against its specification.",
        subcommands: [Random.self, Interleaved.self, Exhaustive.self, Replay.self], defaultSubcommand: Random.self)
}

/// A player on a machine of so many CPUs.
private func player(cpus: Int) throws -> Player {
    var plan = Plan()
    plan.cpuCount = cpus
    return try Player(plan)
}

/// What all searches with made-up programs have.
struct Extent: ParsableArguments {
    @Option(help: "For how many seconds.")
    var seconds = 10.0

    @Option(help: "The first seed; a fresh one if it is not given.")
    var seed: UInt64?

    @Option(help: "Where to write the shrunken trace of a program that goes wrong.")
    var trace = "search.trace"

    /// Plays one program after the other, until one goes wrong or the time is over.
    /// - Returns: how many programs were played, and in how many seconds.
    func search(with player: Player, _ program: (_ seed: UInt64) -> Finding?) throws -> (count: Int, seconds: Double) {
        var seed = seed ?? UInt64.random(in: 1000...UInt64.max / 2)
        let start = ContinuousClock.now
        var count = 0
        while ContinuousClock.now - start < .seconds(seconds) {
            if let finding = program(seed) {
                print("seed \(finding.seed), step \(finding.program.steps.count): \(finding.reason)")
                let short = player.shrink(finding)
                print("shrunken to \(short.program.steps.count) steps: \(short.reason)\n\n\(short.program)")
                try "\(short.program)".write(toFile: trace, atomically: true, encoding: .utf8)
                throw ExitCode.failure
            }
            seed += 1
            count += 1
        }
        return (count, (ContinuousClock.now - start) / .seconds(1))
    }
}

struct Random: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Random programs, about half of whose calls are valid.")

    @OptionGroup var extent: Extent

    @Option(help: "CPUs of the machine.")
    var cpus = 1

    @Option(help: "Steps of one program.")
    var steps = 4000

    @Flag(help: "Print what met what.")
    var coverage = false

    func run() throws {
        let player = try player(cpus: cpus)
        if coverage { player.coverage = Coverage() }
        let (count, seconds) = try extent.search(with: player) { player.search(seed: $0, steps: steps) }
        let (rate, calls) = (Int(Double(count * steps) / seconds), Int(Double(player.calls) / seconds))
        print("\(count) programs of \(steps) steps on \(cpus) CPUs: \(rate) steps, \(calls) of them calls, a second")
        if let coverage = player.coverage {
            print("\(coverage.validShare) of 100 calls were valid\n\n\(coverage)")
        }
    }
}

struct Interleaved: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Calls of several CPUs at once, interleaved at each memory access.")

    @OptionGroup var extent: Extent

    @Option(help: "CPUs of the machine.")
    var cpus = 2

    @Option(help: "Calls of each CPU in a round.")
    var calls = 2

    @Option(help: "Switches are made at one access in so many.")
    var period: UInt64 = 12

    func run() throws {
        let player = try player(cpus: cpus)
        let rounds = 50
        let (count, seconds) = try extent.search(with: player) {
            player.searchInterleaved(seed: $0, rounds: rounds, calls: calls, period: period)
        }
        let rate = Int(Double(count * rounds * cpus * calls) / seconds)
        print("\(count * rounds) rounds of \(calls) calls on each of \(cpus) CPUs: \(rate) interleaved calls a second")
    }
}

struct Exhaustive: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Every state of a small world, and every step in each.")

    @Option(help: "Pages that change hands.")
    var pages = 4

    @Option(help: "VMs at one time.")
    var machines = 2

    @Option(help: "Pages of a guest's address space.")
    var guestPages = 1

    @Option(help: "CPUs.")
    var cpus = 2

    @Flag(help: "Pages are given to VMs for their tables, too.")
    var gifts = false

    @Option(help: "The most states to visit.")
    var limit = Int.max

    @Option(help: "Threads to search with.")
    var threads = ProcessInfo.processInfo.activeProcessorCount

    @Option(help: "Where to write the trace of a program that goes wrong.")
    var trace = "search.trace"

    func run() throws {
        var world = SmallWorld()
        (world.pages, world.machines, world.guestPages, world.cpus) = (pages, machines, guestPages, cpus)
        world.hasGifts = gifts
        let explorer = Explorer(world, players: try (0..<max(1, threads)).map { _ in try player(cpus: cpus) })
        let start = ContinuousClock.now
        let result = explorer.explore(limit: limit) { result in
            guard result.depth % 10 == 0 else { return }
            print("  \(result.states) states, \(result.transitions) transitions, \(result.depth) steps deep")
        }
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        print(
            "\(pages) pages, \(machines) VMs, \(cpus) CPUs, \(world.alphabet.count) steps in each state: "
                + "\(result.states) states, \(result.transitions) transitions of which \(result.changes) change the state, "
                + "\(result.depth) steps deep, \(result.isComplete ? "all" : "not all") of them; "
                + "\(Int(elapsed.rounded())) s, \(Int(Double(result.transitions) / elapsed)) transitions a second")
        if let finding = result.finding {
            print("\(finding.reason)\n\n\(finding.program)")
            try "\(finding.program)".write(toFile: trace, atomically: true, encoding: .utf8)
            throw ExitCode.failure
        }
        guard result.isComplete || limit < Int.max else { throw ExitCode.failure }
    }
}

struct Replay: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "A saved trace, step by step, on the simulated machine.")

    @Argument(help: "The file.", completion: .file())
    var file: String

    @Option(help: "CPUs of the machine.")
    var cpus = 2

    func run() throws {
        let player = try player(cpus: cpus)
        for step in try Program(parsing: try String(contentsOfFile: file, encoding: .utf8)).steps {
            do {
                try player.play(step)
                let answer = player.answer.map { [$0.x0, $0.x1, $0.x2, $0.x3].map { String($0, radix: 16) } } ?? []
                print("\(step)  # \(answer.joined(separator: " "))")
            } catch {
                print("\(step)  # \(error)")
                throw ExitCode.failure
            }
        }
        try player.compareAll()
    }
}
