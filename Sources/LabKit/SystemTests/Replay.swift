// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Programs of the searches, played on the hypervisor that is at EL2 of a machine in QEMU.

import Foundation
public import HypervisorInterface
import SearchKit
public import SystemPackage

/// A program that a scenario plays, and what has to come of it.
public struct Replay: Sendable {
    /// Where the program comes from.
    public enum Source: Sendable {
        /// Made up, with so many steps before everything is taken back.
        case random(seed: UInt64, steps: Int)
        /// A saved trace.
        case file(FilePath)
    }

    /// What the specification must say of the answers.
    public enum Verdict: Sendable {
        /// It allows all of them.
        case agrees
        /// It does not, because the hypervisor is without a defence.
        case disagrees
    }

    /// The program's source.
    public let source: Source
    /// The verdict that is due.
    public let due: Verdict

    /// Writes the program as the machine's second disk.
    func write(to file: FilePath) throws {
        let program = try program()
        if let step = program.firstStepOfOneMachine {
            throw LabError.malformed(
                file: file.string, why: "step \(step) names memory of the simulated machine by a number")
        }
        let text = "\(program)"
        // A disk has whole sectors; empty lines mean nothing.
        try file.write(text + String(repeating: "\n", count: (512 - text.utf8.count % 512) % 512))
    }

    private func program() throws -> Program {
        switch source {
        case .random(let seed, let steps): try Player().programForAnyMachine(seed: seed, steps: steps)
        case .file(let file): try Program(parsing: try file.readText())
        }
    }

    /// Holds what a machine has said against the specification.
    func result(_ name: String, console: String, program file: FilePath, machine: MachineConfiguration) -> CheckResult {
        let mark = "MARTLET-ANSWER "
        let lines = console.split(whereSeparator: \.isNewline).compactMap { line in
            line.firstRange(of: mark).map { Substring(line[$0.upperBound...]) }
        }
        do {
            let program = try Program(parsing: try file.readText())
            let judge = try Transcript(lines: lines).judge(program, inputBits: machine.physicalAddressBits)
            let account = "\(judge.judged) steps, \(judge.successes) calls with success, \(judge.leftOut) left out"
            return CheckResult(name, due == .agrees && judge.successes > 0 ? .passed : .failed, account + origin)
        } catch Transcript.Failure.disagreement(let what) {
            return CheckResult(name, due == .disagrees ? .passed : .failed, what + origin)
        } catch {
            return CheckResult(name, .failed, "\(error)")
        }
    }

    private var origin: String {
        switch source {
        case .random(let seed, _): "; seed \(seed)"
        case .file(let file): "; \(file)"
        }
    }
}

extension Scenarios {
    /// Random programs, a short one and a longer one, and one on a hypervisor with which something is wrong.
    static let replays =
        MachineConfiguration.CPU.allCases.flatMap { cpu in
            [
                replay("replay", .random(seed: 1, steps: 1500), cpu: cpu, extent: .short),
                replay(
                    "replay-long", .random(seed: .random(in: 1000...UInt64.max / 2), steps: 20000), cpu: cpu,
                    extent: .full),
            ]
        }
        + Self.missedDefences.map { defence in
            replay(
                "replay-without-\(defence)", .random(seed: 1, steps: 1500), cpu: .cortexA72, extent: .full,
                without: defence)
        }

    /// Defences whose lack shows in answers.
    private static let missedDefences: [Defence] = [
        .kindsAreKeptApart, .donatedPagesAreExclusive, .returnedPagesAreZeroed,
    ]

    /// A boot that plays a program.
    public static func replay(
        _ name: String, _ source: Replay.Source, cpu: MachineConfiguration.CPU, extent: Extent,
        without defence: Defence? = nil
    ) -> Scenario {
        Scenario(
            name, subject: .martlet(defence == nil ? .product : .switches),
            machine: MachineConfiguration(cpu: cpu, processors: 2, memory: 512),
            scripts: defence == nil ? [.takeover, .replay, .aftermath] : [.replay], extent: extent,
            kernelParameters: MachineBoot.leavesEL2 + (defence.map { ["lab.defences=\($0.bit)"] } ?? []),
            replay: Replay(source: source, due: defence == nil ? .agrees : .disagrees))
    }
}

extension HostScript {
    /// A program of the searches.
    static let replay = HostScript("replay", checks: ["played"])
}

extension MachineConfiguration {
    /// Bits of physical addresses that the CPU has and Martlet uses.
    var physicalAddressBits: UInt64 { cpu == .cortexA72 ? 44 : 48 }
}
