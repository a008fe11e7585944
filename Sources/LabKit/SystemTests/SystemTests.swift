// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Running scenarios, one machine after another.

public import SystemPackage

/// Runs system tests.
public struct SystemTests: Sendable {
    /// The images that are started.
    public let images: Images

    /// Uses built images.
    public init(images: Images) {
        self.images = images
    }

    /// Runs scenarios in order.
    ///
    /// - Parameter report: takes the results of each as they come.
    public func run(_ scenarios: [Scenario], report: ([CheckResult]) -> Void) async throws {
        for (index, scenario) in scenarios.enumerated() {
            Progress.say("[\(index + 1)/\(scenarios.count)] \(scenario.identifier)")
            let start = ContinuousClock.now
            let results = try await run(scenario)
            report(results)
            let passed = results.count { $0.verdict == .passed }
            Progress.say("  \(passed) of \(results.count) checks passed in \(Progress.seconds(since: start)) s")
        }
    }

    /// Where a scenario's console and command line are kept.
    public func folder(of scenario: Scenario) -> FilePath {
        images.workspace.runs.appending(scenario.identifier.replacing("/", with: "-"))
    }

    /// Runs one scenario.
    public func run(_ scenario: Scenario) async throws -> [CheckResult] {
        let folder = folder(of: scenario)
        let boot = MachineBoot(
            kernel: images.hostKernel, ramDisk: images.hostRAMDisk, append: scenario.parameters)
        var failure: CheckResult?
        do {
            try await Progress.step(scenario.name) {
                try await VirtualMachine.run(scenario.machine, boot: boot, folder: folder) { machine in
                    try await machine.console.expect(["MARTLET-END", "Kernel panic - not syncing"])
                    try await machine.console.expectEnd()
                }
            }
        } catch LabError.machine(let what, let console) {
            failure = CheckResult("\(scenario.identifier)/machine", .failed, "\(what) (\(console.string))")
        }
        let console = try folder.appending("console.log").readText()
        return HostReport(console: console).results(for: scenario, console: console) + (failure.map { [$0] } ?? [])
    }
}
