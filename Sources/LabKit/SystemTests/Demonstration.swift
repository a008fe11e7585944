// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The demonstration: a stock kernel boots, loses EL2, and tries to see what guests keep in their
// memory. The same scenario as the test's, told for a reader instead of counted.

import Foundation
public import SystemPackage

/// Shows Martlet at work.
public struct Demonstration: Sendable {
    private let images: Images

    /// Uses built images.
    public init(images: Images) {
        self.images = images
    }

    /// Runs it and tells of it on standard output.
    ///
    /// - Parameter json: takes the same for programs.
    /// - Throws: ``LabError/machine(_:console:)`` when the machine does not do what it should.
    public func run(json: FilePath?) async throws {
        let machine = MachineConfiguration(cpu: .cortexA72, processors: 2, memory: 1024)
        let scenario = Scenario(
            "demo", subject: .martlet(.product), machine: machine,
            scripts: [.boot, .takeover, .guests, .aftermath], extent: .short)
        Progress.say(
            """
            Debian's stock kernel \(images.lock.kernel) boots in QEMU (\(machine.name)). Martlet takes EL2 from it.
            Then stock guests run in it, one in each kind of VM. This takes about two minutes.
            """)
        let tests = SystemTests(images: images)
        let start = ContinuousClock.now
        let results = try await tests.run(scenario)
        let record = tests.folder(of: scenario).appending("console.log")
        let account = DemonstrationAccount(
            kernel: images.lock.kernel, machine: machine.name, console: try record.readText(), checks: results,
            seconds: Progress.seconds(since: start))
        for line in account.lines { Progress.say(line) }
        Progress.say("The whole console is in \(record.string).")
        if let json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            try json.write(try encoder.encode(account))
        }
        let failed = results.count { $0.verdict == .failed }
        if failed > 0 {
            throw LabError.machine(
                "\(failed) of \(results.count) observations are not as they should be", console: record)
        }
    }
}
