// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab attack`: every attack, on Martlet and on one without the defence against it.

import ArgumentParser
import Foundation
import LabKit
import SystemPackage

struct RunAttacks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attack",
        abstract: "Make every attack twice: with the defences, and without those that it is against.")

    @Option(help: "Only attacks whose name begins so.")
    var filter: String?

    @Option(help: "Write all outcomes to this file as JSON.", completion: .file())
    var json: String?

    @Flag(help: "Print the table of docs/attacks.md, and make no attack.")
    var table = false

    func run() async throws {
        if table {
            print(AttackTable.markdown, terminator: "")
            return
        }
        let suite = AttackSuite(images: try await preparedImages(), filter: filter)
        guard !suite.attacks.isEmpty else {
            throw LabError.unknown(kind: "attack", name: filter ?? "", known: Attacks.all.map(\.id))
        }
        let (outcomes, troubles) = try await suite.run()
        for line in AttackTable.lines(outcomes) { Progress.say(line) }
        for trouble in troubles { Progress.say("FAILED \(trouble.name): \(trouble.detail)") }
        if let json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            try encoder.encode(outcomes).write(to: URL(fileURLWithPath: json))
        }
        let bad = outcomes.filter { !$0.isGood }
        let names = Set(outcomes.map(\.id)).count
        Progress.say(
            "\(names) attacks at \(outcomes.count) places: \(outcomes.count - bad.count) prove their defence,"
                + " \(bad.count) do not, \(troubles.count) further failures")
        if !bad.isEmpty || !troubles.isEmpty { throw ExitCode.failure }
    }
}
