// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The demonstration: a stock kernel boots, loses EL2, and tries to get at what is no longer its
// own. The same scenario as the test's, told for a reader instead of counted.

import SystemPackage

/// Shows Martlet at work.
public struct Demonstration: Sendable {
    private let images: Images

    /// Uses built images.
    public init(images: Images) {
        self.images = images
    }

    /// Runs it on the terminal.
    ///
    /// - Throws: ``LabError/machine(_:console:)`` when the machine does not do what it should.
    public func run() async throws {
        let machine = MachineConfiguration(cpu: .cortexA72, processors: 2, memory: 1024)
        let scenario = Scenario(
            "demo", subject: .martlet(.product), machine: machine,
            scripts: [.boot, .takeover, .guests, .aftermath], extent: .short)
        Progress.say("Booting Debian's stock kernel \(images.lock.kernel) in QEMU: \(machine.name).")
        let tests = SystemTests(images: images)
        let start = ContinuousClock.now
        let results = try await tests.run(scenario)
        let folder = tests.folder(of: scenario)
        let console = try folder.appending("console.log").readText()

        Progress.say("")
        Self.tell(console, mark: "MARTLET-NOTE ", title: "What the module reports:")
        Progress.say("What the kernel and root then try:")
        for result in results {
            let name = result.name.split(separator: "/").dropFirst(2).joined(separator: ": ")
            let verdict = result.verdict == .passed ? "as it should be" : "NOT AS IT SHOULD BE"
            Progress.say("  \(name.padded(to: 40)) \(verdict)\(result.detail.isEmpty ? "" : " (\(result.detail))")")
        }
        Progress.say("")
        Self.tell(console, mark: "MARTLET-COUNTER ", title: "What the hypervisor counted:")
        Progress.say("The whole console is in \(folder.appending("console.log").string).")
        Progress.say("From power-on to power-off: \(Progress.seconds(since: start)) s.")
        let failed = results.count { $0.verdict == .failed }
        if failed > 0 {
            throw LabError.machine(
                "\(failed) of \(results.count) observations are not as they should be",
                console: folder.appending("console.log"))
        }
    }

    /// Prints what follows a mark in the console's lines.
    private static func tell(_ console: String, mark: String, title: String) {
        Progress.say(title)
        for line in console.split(whereSeparator: \.isNewline) {
            guard let range = line.firstRange(of: mark) else { continue }
            Progress.say("  \(line[range.upperBound...])")
        }
        Progress.say("")
    }
}
