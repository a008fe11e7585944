// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a system test is: a machine, the scripts that run in it, and what they must report.

/// How much of the matrix is run.
public enum Extent: String, Sendable {
    /// What fits beside everything else in one `make test`.
    case short
    /// Everything.
    case full
}

/// A script that runs in the test host, with the checks that it has to report.
///
/// The names are listed here too, so that a script which ends early, or quietly skips a check,
/// fails.
public struct HostScript: Hashable, Sendable {
    /// The script's file below `Tests/System/host/scenarios`.
    public let name: String
    /// The checks that it reports on a machine with at least two processors.
    public let checks: [String]
    /// What it needs to find in the host.
    let ramDisk: RAMDisk

    /// The RAM disks that a host can start with.
    enum RAMDisk {
        /// A shell and the tests.
        case host
        /// The same with a guest.
        case hostWithGuest
        /// The same with what the VMM's own scenarios need.
        case monitor
    }

    /// Describes a script.
    init(_ name: String, checks: [String], ramDisk: RAMDisk = .host) {
        self.name = name
        self.checks = checks
        self.ramDisk = ramDisk
    }
}

/// Who has EL2 in a scenario.
public enum Subject: Sendable {
    /// The kernel's own stub. Such a scenario is the control of one with Martlet.
    case bareKernel
    /// The module is loaded first of all.
    case martlet(HypervisorVariant)

    /// What is built into the hypervisor.
    var variant: HypervisorVariant {
        switch self {
        case .bareKernel: .product
        case .martlet(let variant): variant
        }
    }

    /// The word for the kernel's command line.
    var parameter: String {
        switch self {
        case .bareKernel: "off"
        case .martlet(let variant): variant.rawValue
        }
    }
}

/// What a scenario ends with besides its scripts.
public enum Epilogue: Sendable {
    /// Nothing.
    case none
    /// A panic record in the console, which the symbolizer follows to a place with this text.
    case panicAt(String)
}

/// One boot of one machine.
public struct Scenario: Sendable {
    /// The scenario's name.
    public let name: String
    /// Who has EL2.
    public let subject: Subject
    /// The machine.
    public let machine: MachineConfiguration
    /// The scripts, in order.
    public let scripts: [HostScript]
    /// Whether a full run is needed to see it.
    public let extent: Extent
    /// What comes after the scripts.
    public let epilogue: Epilogue
    /// What the kernel is told about EL2, and further words of its command line.
    public let kernelParameters: [String]
    /// Whole messages that the module has to put into the kernel's log, without its name before
    /// them; a `*` stands for a number. They are awaited there, and no complaint.
    public let announcements: [String]
    /// What becomes of the machine when it restarts.
    public let restart: MachineBoot.Restart
    /// The kernel that runs as host.
    public let kernel: HostKernel
    /// What a person does at a shell's prompt, a file below `Tests/System`; instead of scripts.
    public let dialogue: String?
    /// A program that the script `replay` plays, on the second disk.
    public let replay: Replay?

    /// Describes a scenario.
    public init(
        _ name: String, subject: Subject, machine: MachineConfiguration, scripts: [HostScript], extent: Extent,
        epilogue: Epilogue = .none, kernelParameters: [String] = MachineBoot.leavesEL2, announcements: [String] = [],
        restart: MachineBoot.Restart = .ends, kernel: HostKernel = .stock,
        dialogue: String? = nil, replay: Replay? = nil
    ) {
        self.name = name
        self.subject = subject
        self.machine = machine
        self.scripts = scripts
        self.extent = extent
        self.epilogue = epilogue
        self.kernelParameters = kernelParameters
        self.announcements = announcements
        self.restart = restart
        self.kernel = kernel
        self.dialogue = dialogue
        self.replay = replay
    }

    /// What the user sees and filters by.
    public var identifier: String { "\(name)/\(machine.name)" }

    /// The checks that must be reported.
    public var expectedChecks: [String] { scripts.flatMap { script in script.checks.map { "\(script.name)/\($0)" } } }

    /// The RAM disk that the scenario needs.
    var ramDisk: HostScript.RAMDisk {
        if dialogue != nil || scripts.contains(where: { $0.name.hasPrefix("vmm-") }) { return .monitor }
        return scripts.contains { $0.ramDisk == .hostWithGuest } ? .hostWithGuest : .host
    }

    /// How long its machine may be silent, and take in all.
    var patience: Patience {
        // A host is silent while guests boot in it, one after another.
        let patience = ramDisk == .host ? Patience() : Patience(silence: .seconds(900), total: .seconds(5400))
        // A hypervisor that checks itself takes several times as long.
        guard case .martlet(.checked) = subject else { return patience }
        return Patience(silence: patience.silence * 2, total: patience.total * 2)
    }

    /// Additions to the kernel's command line.
    public var parameters: [String] {
        [
            "lab.scenarios=\(dialogue == nil ? scripts.map(\.name).joined(separator: ",") : "dialogue")",
            "lab.cpus=\(machine.processors)",
            "lab.martlet=\(subject.parameter)", "lab.firmware=\(machine.firmware.rawValue)",
        ]
    }
}
