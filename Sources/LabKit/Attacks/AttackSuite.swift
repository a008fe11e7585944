// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Making the attacks: in the simulated machine by the unit tests, and in QEMU by a boot of the product for
// all of them, and for each by one of an image whose defences can be taken away.

import Foundation
import SystemPackage

/// How an attack ended on one build.
public enum AttackVerdict: String, Codable, Sendable {
    /// The attacker got nothing, and there was no trace of it.
    case repelled
    /// The attacker got what it was after, or left a trace.
    case succeeded
    /// It was not made.
    case missing = "not made"
}

/// An attack at one place, on both builds.
public struct AttackOutcome: Codable, Sendable {
    /// The name in `Attacks`.
    public let id: String
    /// Where: `simulated` or `emulated`.
    public let place: String
    /// Without the defences that it is against.
    public internal(set) var faulty = AttackVerdict.missing
    /// With them.
    public internal(set) var real = AttackVerdict.missing
    /// Of both, on this machine.
    public internal(set) var seconds: Double = 0

    /// Whether it proves what it should.
    public var isGood: Bool { faulty == .succeeded && real == .repelled }
}

/// Makes attacks.
public struct AttackSuite: Sendable {
    /// The images that are started.
    public let images: Images
    /// The attacks to make.
    public let attacks: [Attack]

    /// Attacks whose name begins with a text, or all.
    public init(images: Images, filter: String?) {
        self.images = images
        attacks = Attacks.all.filter { $0.waitsFor == nil && (filter.map($0.id.hasPrefix) ?? true) }
    }

    /// Makes them all.
    ///
    /// - Returns: one outcome an attack and place, and what else went wrong on the real build.
    public func run() async throws -> (outcomes: [AttackOutcome], troubles: [CheckResult]) {
        var outcomes: [AttackOutcome] = []
        if attacks.contains(where: { !$0.simulated.isEmpty }) { outcomes += try await simulated() }
        var troubles: [CheckResult] = []
        if attacks.contains(where: { !$0.emulated.isEmpty }) {
            let (made, trouble) = try await emulated()
            outcomes += made
            troubles = trouble
        }
        return (outcomes, troubles)
    }

    private func simulated() async throws -> [AttackOutcome] {
        let notes = images.workspace.cache.appending("attacks.log")
        try images.workspace.cache.makeFolder()
        try notes.write("")
        // Its own verdict is that of the notes.
        _ = try? await Progress.step("attacks in the simulated machine") {
            try await Tool(
                "swift", ["test", "--filter", "AttackTests"], environment: ["MARTLET_ATTACK_LOG": notes.string],
                folder: images.workspace.root
            ).run(log: images.workspace.logs.appending("attacks.log"))
        }
        return AttackNotes.outcomes(try notes.readText(), of: attacks.filter { !$0.simulated.isEmpty }.map(\.id))
    }

    private func emulated() async throws -> ([AttackOutcome], [CheckResult]) {
        let made = attacks.filter { !$0.emulated.isEmpty }
        var outcomes = made.map { AttackOutcome(id: $0.id, place: "emulated") }
        var troubles: [CheckResult] = []
        // Without a defence a machine may be wrecked: each attack has one to itself.
        for (index, attack) in made.enumerated() {
            for result in try await SystemTests(images: images).run(Scenarios.attacks([attack], .switches))
            where Self.says(result, of: attack) {
                outcomes[index].faulty = AttackNotes.verdict(result, due: .succeeded)
                outcomes[index].seconds += AttackNotes.seconds(result.detail)
                if result.verdict == .failed { Progress.say("  \(attack.id), without: \(result.detail)") }
            }
        }
        for result in try await SystemTests(images: images).run(Scenarios.attacks(made, .product)) {
            guard let index = made.firstIndex(where: { Self.says(result, of: $0) }) else {
                if result.verdict == .failed { troubles.append(result) }
                continue
            }
            outcomes[index].real = AttackNotes.verdict(result, due: .repelled)
            outcomes[index].seconds += AttackNotes.seconds(result.detail)
            if result.verdict == .failed {
                Progress.say("  \(made[index].id): \(result.detail)")
                troubles.append(result)
            }
        }
        return (outcomes, troubles)
    }

    private static func says(_ result: CheckResult, of attack: Attack) -> Bool {
        result.name.hasSuffix("/attack-suite/\(attack.id)")
    }
}

/// Reading what the attacks say.
enum AttackNotes {
    /// Lines of the unit tests: `MARTLET-ATTACK simulated A01 real repelled 12`.
    static func outcomes(_ text: String, of ids: [String]) -> [AttackOutcome] {
        var outcomes = ids.map { AttackOutcome(id: $0, place: "simulated") }
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            guard words.count == 6, words[0] == "MARTLET-ATTACK", let index = ids.firstIndex(of: words[2]),
                let verdict = AttackVerdict(rawValue: words[4]), let spent = Double(words[5])
            else { continue }
            if words[3] == "real" { outcomes[index].real = verdict } else { outcomes[index].faulty = verdict }
            outcomes[index].seconds += spent / 1000
        }
        return outcomes
    }

    /// How a check says that it ended. One that failed although the attack ended as it should has not been made.
    static func verdict(_ result: CheckResult, due: AttackVerdict) -> AttackVerdict {
        let verdict = verdict(result.detail)
        return result.verdict == .failed && verdict == due ? .missing : verdict
    }

    /// The end of a program's words: `repelled: nothing, 1200 ms`.
    static func verdict(_ detail: String) -> AttackVerdict {
        if detail.contains("repelled: ") { return .repelled }
        return detail.contains("succeeded: ") ? .succeeded : .missing
    }

    static func seconds(_ detail: String) -> Double {
        let words = detail.split(separator: " ")
        guard words.count > 1, words.last == "ms", let spent = Double(words[words.count - 2]) else { return 0 }
        return spent / 1000
    }
}

extension Scenarios {
    /// A boot that makes attacks, with the defences of each taken away if the image allows it.
    static func attacks(_ attacks: [Attack], _ variant: HypervisorVariant) -> Scenario {
        let list = attacks.map { attack in
            let bits = variant == .switches ? Attack.bits(attack.emulated) : 0
            return "\(attack.id):0x\(String(bits, radix: 16))"
        }
        let name = variant == .product ? "attacks" : "attacks-without-\(list[0].prefix { $0 != ":" })"
        let suite = HostScript("attack-suite", checks: attacks.map(\.id))
        return Scenario(
            name, subject: .martlet(variant),
            // RAM ends within what a page of the ledger describes.
            machine: MachineConfiguration(processors: 2, memory: 510),
            scripts: variant == .product ? [.takeover, suite, .aftermath] : [suite], extent: .full,
            kernelParameters: MachineBoot.leavesEL2 + ["lab.attacks=\(list.joined(separator: ","))"],
            // The attack that would hibernate the machine is told.
            announcements: attacks.contains { $0.id == "B08" } ? [hibernationRefused] : [])
    }
}
