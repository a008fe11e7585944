// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Running scenarios, some machines at a time.

public import SystemPackage

/// Runs system tests.
public struct SystemTests: Sendable {
    /// The images that are started.
    public let images: Images

    /// Uses built images.
    public init(images: Images) {
        self.images = images
    }

    /// Runs scenarios, in order as far as they do not run at the same time.
    ///
    /// - Parameters:
    ///   - machines: how many machines run at a time; a machine waits more than it works.
    ///   - report: takes the results of each as they come.
    public func run(_ scenarios: [Scenario], machines: Int, report: ([CheckResult]) -> Void) async throws {
        try await withThrowingTaskGroup(of: [CheckResult].self) { group in
            for (index, scenario) in scenarios.enumerated() {
                if index >= machines, let results = try await group.next() { report(results) }
                Progress.say("[\(index + 1)/\(scenarios.count)] \(scenario.identifier)")
                // Before others start: what is missing is built by one of them only.
                let boot = try await boot(scenario)
                group.addTask {
                    let start = ContinuousClock.now
                    let results = try await run(scenario, boot)
                    let passed = results.count { $0.verdict == .passed }
                    Progress.say(
                        "  \(scenario.identifier): \(passed) of \(results.count) checks passed in"
                            + " \(Progress.seconds(since: start)) s")
                    return results
                }
            }
            for try await results in group { report(results) }
        }
    }

    /// Where a scenario's console and command line are kept.
    public func folder(of scenario: Scenario) -> FilePath {
        images.workspace.runs.appending(scenario.identifier.replacing("/", with: "-"))
    }

    /// What a scenario plays, if it does, as a trace.
    private func program(of scenario: Scenario) -> FilePath { folder(of: scenario).appending("program.trace") }

    /// Runs one scenario.
    public func run(_ scenario: Scenario) async throws -> [CheckResult] {
        try await run(scenario, try await boot(scenario))
    }

    private func run(_ scenario: Scenario, _ boot: MachineBoot) async throws -> [CheckResult] {
        let folder = folder(of: scenario)
        let dialogue = try scenario.dialogue.map { name in
            try Dialogue(images.workspace.systemTests.appending(name).readText(), file: name)
        }
        let patience = scenario.patience
        var failure: CheckResult?
        do {
            try await Progress.step(scenario.identifier) {
                try await VirtualMachine.run(scenario.machine, boot: boot, folder: folder) { machine in
                    if let dialogue {
                        try await machine.console.expect(["powers off."], patience: patience)
                        try await machine.console.expect(["# "], patience: patience)
                        try await dialogue.play(on: machine, patience: patience)
                        try await machine.type("exit\r")
                    }
                    try await machine.console.expect(
                        ["MARTLET-END", "Kernel panic - not syncing"], patience: patience)
                    try await machine.console.expectEnd(patience: patience)
                }
            }
        } catch LabError.machine(let what, let console) {
            failure = CheckResult("\(scenario.identifier)/machine", .failed, "\(what) (\(console.string))")
        }
        let console = try folder.appending("console.log").readText()
        var results = HostReport(console: console).results(for: scenario, console: console)
        if case .panicAt(let place) = scenario.epilogue {
            results.append(await explain(console, scenario, place: place))
        }
        if let replay = scenario.replay {
            results.append(
                replay.result(
                    "\(scenario.identifier)/replay/\(replay.due)", console: console, program: program(of: scenario),
                    machine: scenario.machine))
        }
        if let failure {
            results.append(failure)
        } else if let dialogue {
            results.append(
                CheckResult("\(scenario.identifier)/dialogue", .passed, "\(dialogue.lines.count) lines"))
        }
        return results
    }

    /// What a scenario's machine is started with, built and fetched if need be.
    private func boot(_ scenario: Scenario) async throws -> MachineBoot {
        let kernel =
            switch scenario.kernel {
            case .stock: images.hostKernel
            case .newest: try await ComparisonKernel(images.workspace).fetch()
            }
        let ramDisk =
            switch scenario.ramDisk {
            case .host: images.hostRAMDisk
            case .hostWithGuest: images.hostRAMDiskWithGuest
            case .monitor: try await images.monitorRAMDisk()
            }
        var attachments = scenario.scripts.contains(.kexec) ? [images.hostKernel] : []
        if let replay = scenario.replay {
            try folder(of: scenario).makeFolder()
            try replay.write(to: program(of: scenario))
            attachments.append(program(of: scenario))
        }
        return MachineBoot(
            kernel: kernel, ramDisk: ramDisk, level2: scenario.kernelParameters, append: scenario.parameters,
            restart: scenario.restart, attachments: attachments)
    }

    /// Follows the panic record in a console to a place in the sources.
    private func explain(_ console: String, _ scenario: Scenario, place: String) async -> CheckResult {
        let name = "\(scenario.identifier)/panic-explained"
        do {
            let panic = try HypervisorPanic(log: console)
            let symbolizer = Symbolizer(image: images.hypervisorELF(scenario.subject.variant))
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
