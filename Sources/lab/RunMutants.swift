// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab mutants`: whether the unit tests notice faults that are put into the hypervisor's core.

import ArgumentParser
import Foundation
import LabKit
import SystemPackage

struct RunMutants: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mutants",
        abstract: "Put seeded faults into the hypervisor's core and see which the tests notice.")

    @Option(help: "Only the mutants whose name, area or file contains this text.")
    var filter: String?

    @Option(help: "Write all results to this file as JSON.", completion: .file())
    var json: String?

    func run() async throws {
        let areas = Dictionary(uniqueKeysWithValues: Mutants.all.map { ($0.name, $0.area) })
        var results: [MutantResult] = []
        try await MutantRun(try Workspace.current()).run(filter: filter) { result in
            results.append(result)
            let name = "\(result.area)/\(result.name)"
            Progress.say("  \(result.fate.rawValue) \(name), \(result.seconds) s: \(result.detail)")
        }
        if let json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            try FilePath(json).write(try encoder.encode(results))
        }
        for area in Mutant.Area.allCases {
            let here = results.filter { $0.area == area.rawValue }
            let killed = here.count { $0.fate == .killed }
            if !here.isEmpty { Progress.say("\(area.rawValue): \(killed) of \(here.count) killed") }
        }
        let alive = results.filter { $0.fate != .killed }
        let isBelow = alive.count * 10 > results.count
        Progress.say("all: \(results.count - alive.count) of \(results.count) killed")
        if isBelow || alive.contains(where: { areas[$0.name]?.mustDie ?? true }) { throw ExitCode.failure }
    }
}
