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

struct Random: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Random programs, about half of whose calls are valid.")

    @Option(help: "For how many seconds.")
    var seconds = 10.0

    @Option(help: "The first seed; a fresh one if it is not given.")
    var seed: UInt64?

    @Option(help: "CPUs of the machine.")
    var cpus = 1

    @Option(help: "Steps of one program.")
    var steps = 4000

    @Option(help: "Where to write the shrunken trace of a program that goes wrong.")
    var trace = "search.trace"

    @Flag(help: "Print what met what.")
    var coverage = false

    func run() throws {
        var plan = Plan()
        plan.cpuCount = cpus
        let player = try Player(plan)
        if coverage { player.coverage = Coverage() }
        var seed = seed ?? UInt64.random(in: 1000...UInt64.max / 2)
        let start = ContinuousClock.now
        var programs = 0
        while ContinuousClock.now - start < .seconds(seconds) {
            if let finding = player.search(seed: seed, steps: steps) { try report(finding, player) }
            seed += 1
            programs += 1
        }
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        let calls = programs * steps
        print("\(programs) programs of \(steps) steps on \(cpus) CPUs: \(Int(Double(calls) / elapsed)) steps a second")
        if let coverage = player.coverage {
            print("\(coverage.validShare) of 100 calls were valid\n\n\(coverage)")
        }
    }

    private func report(_ finding: Finding, _ player: Player) throws {
        print("seed \(finding.seed), step \(finding.program.steps.count): \(finding.reason)")
        let short = player.shrink(finding)
        print("shrunken to \(short.program.steps.count) steps: \(short.reason)\n\n\(short.program)")
        try "\(short.program)".write(toFile: trace, atomically: true, encoding: .utf8)
        throw ExitCode.failure
    }
}

struct Interleaved: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Calls of several CPUs at once, interleaved at each memory access.")

    @Option(help: "For how many seconds.")
    var seconds = 10.0

    @Option(help: "The first seed; a fresh one if it is not given.")
    var seed: UInt64?

    @Option(help: "CPUs of the machine.")
    var cpus = 2

    @Option(help: "Calls of each CPU in a round.")
    var calls = 2

    @Option(help: "Switches are made at one access in so many.")
    var period: UInt64 = 12

    func run() throws {
        var plan = Plan()
        plan.cpuCount = cpus
        let player = try Player(plan)
        var seed = seed ?? UInt64.random(in: 1000...UInt64.max / 2)
        let start = ContinuousClock.now
        var rounds = 0
        while ContinuousClock.now - start < .seconds(seconds) {
            if let finding = player.searchInterleaved(seed: seed, rounds: 50, calls: calls, period: period) {
                print("seed \(seed): \(finding.reason)\n\n\(finding.program)")
                throw ExitCode.failure
            }
            seed += 1
            rounds += 50
        }
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        let made = Double(rounds * cpus * calls) / elapsed
        print("\(rounds) rounds of \(calls) calls on each of \(cpus) CPUs: \(Int(made)) interleaved calls a second")
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

    @Option(help: "The most states to visit.")
    var limit = Int.max

    func run() throws {
        var plan = Plan()
        plan.cpuCount = cpus
        var world = SmallWorld()
        (world.pages, world.machines, world.guestPages, world.cpus) = (pages, machines, guestPages, cpus)
        let player = try Player(plan)
        let start = ContinuousClock.now
        let result = player.explore(world, limit: limit) { result in
            print("  \(result.states) states, \(result.transitions) transitions, \(result.depth) steps deep")
        }
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        print(
            "\(pages) pages, \(machines) VMs, \(cpus) CPUs, \(world.alphabet.count) steps in each state: "
                + "\(result.states) states, \(result.transitions) transitions of which \(result.changes) change the state, "
                + "\(result.depth) steps deep, \(result.isComplete ? "all" : "not all") of them; "
                + "\(Int(Double(result.transitions) / elapsed)) transitions a second")
        if let finding = result.finding {
            print("\(finding.reason)\n\n\(finding.program)")
            throw ExitCode.failure
        }
    }
}

struct Replay: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "A saved trace, step by step, on the simulated machine.")

    @Argument(help: "The file.", completion: .file())
    var file: String

    @Option(help: "CPUs of the machine.")
    var cpus = 2

    func run() throws {
        var plan = Plan()
        plan.cpuCount = cpus
        let player = try Player(plan)
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
