// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The matrix of system tests.

extension HostScript {
    /// The kernel is where and what it should be.
    static let boot = HostScript(
        "boot", checks: ["started-at-el2", "not-vhe", "no-kvm-device", "all-cpus-online", "firmware"])
    /// Martlet has EL2, and what it keeps is out of reach.
    static let takeover = HostScript(
        "takeover",
        checks: [
            "loaded", "finalised", "own-memory-readable", "carve-out-found", "linear-map-read-refused",
            "linear-map-write-refused", "user-read-refused", "user-write-refused", "stub-set-vectors-refused",
            "stub-reset-vectors-refused", "stub-finalise-refused", "unload-refused", "second-load-refused",
        ])
    /// Modules come and go.
    static let modules = HostScript("modules", checks: ["module-cycles"])
    /// Memory is used up and given back.
    static let memory = HostScript("memory", checks: ["memory-patterns", "memory-swap"])
    /// Processes come and go.
    static let forks = HostScript("forks", checks: ["fork-copies", "fork-exec"])
    /// Files keep their content.
    static let files = HostScript("files", checks: ["files-tmpfs", "files-disk", "files-direct"])
    /// Processors come and go.
    static let hotplug = HostScript("hotplug", checks: ["hotplug-cycles"])
    /// Martlet is still what it was, and nothing of it was used up.
    static let aftermath = HostScript("aftermath", checks: ["still-finalised", "no-panic-record", "still-refused"])

    /// A whole life of a host.
    static let life: [HostScript] = [.boot, .modules, .forks, .files, .memory, .hotplug]
}

/// All system tests.
public enum Scenarios {
    /// Every scenario of the matrix.
    public static let all: [Scenario] = hosts + controls

    /// The machines on which a host is shown to live on.
    private static let machines: [MachineConfiguration] = {
        var machines: [MachineConfiguration] = []
        for cpu in MachineConfiguration.CPU.allCases {
            for processors in [1, 4] {
                for memory in [1024, 4096] {
                    machines.append(MachineConfiguration(cpu: cpu, processors: processors, memory: memory))
                }
            }
            machines.append(MachineConfiguration(cpu: cpu, processors: 2, firmware: .uefi))
        }
        return machines
    }()

    /// The machines of a short run: between them they have both CPU models, one processor and
    /// several, little and much memory, device tree and ACPI.
    private static let short: Set<String> = [
        "cortex-a72-smp1-1g-dt", "cortex-a72-smp4-1g-dt", "max-smp4-4g-dt", "max-smp2-1g-uefi",
    ]

    /// A stock kernel under Martlet.
    private static let hosts = machines.map { machine in
        Scenario(
            "host", subject: .martlet, machine: machine, scripts: [.takeover] + HostScript.life + [.aftermath],
            extent: short.contains(machine.name) ? .short : .full)
    }

    /// The same by itself: the control, which says whether a failure under Martlet is Martlet's.
    private static let controls = machines.map { machine in
        Scenario(
            "control", subject: .bareKernel, machine: machine, scripts: HostScript.life,
            extent: machine.name == "cortex-a72-smp4-1g-dt" ? .short : .full)
    }

    /// The scenarios of an extent; with a filter, those of any extent whose identifier contains it.
    public static func select(_ extent: Extent, filter: String?) -> [Scenario] {
        all.filter { scenario in
            if let filter { return scenario.identifier.contains(filter) }
            return extent == .full || scenario.extent == .short
        }
    }
}
