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
            kernel: images.hostKernel, ramDisk: scenario.scripts.contains(.guests) ? images.hostRAMDiskWithGuest : images.hostRAMDisk,
            level2: scenario.kernelParameters,
            append: scenario.parameters, restart: scenario.restart,
            attachments: scenario.scripts.contains(.kexec) ? [images.hostKernel] : [])
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
        var results = HostReport(console: console).results(for: scenario, console: console)
        if case .panicAt(let place) = scenario.epilogue {
            results.append(await explain(console, place: place, name: "\(scenario.identifier)/panic-explained"))
        }
        return results + (failure.map { [$0] } ?? [])
    }

    /// Follows the panic record in a console to a place in the sources.
    private func explain(_ console: String, place: String, name: String) async -> CheckResult {
        do {
            let panic = try HypervisorPanic(log: console)
            let symbolizer = Symbolizer(image: images.hypervisorELF(.panic))
            // The place itself, not one that it was called from.
            let chain = try await symbolizer.resolve([panic.elr &- panic.base]).first ?? []
            let isNamed = chain.contains { $0.location.contains(place) }
            return CheckResult(
                name, isNamed ? .passed : .failed,
                chain.map { "\($0.function) at \($0.location)" }.joined(separator: ", inlined into "))
        } catch {
            return CheckResult(name, .failed, "\(error)")
        }
    }
}
