// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The matrix of system tests.

extension HostScript {
    /// The kernel is where and what it should be.
    static let boot = HostScript(
        "boot", checks: ["started-at-el2", "not-vhe", "no-kvm-device", "all-cpus-online", "firmware"])
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

    /// A whole life of a host.
    static let life: [HostScript] = [.boot, .modules, .forks, .files, .memory, .hotplug]
}

/// All system tests.
public enum Scenarios {
    /// Every scenario of the matrix.
    public static let all: [Scenario] = control

    /// The stock kernel by itself: the control, which says that a failure under Martlet is
    /// Martlet's.
    private static let control: [Scenario] = {
        var scenarios: [Scenario] = []
        for cpu in MachineConfiguration.CPU.allCases {
            for processors in [1, 4] {
                for memory in [1024, 4096] {
                    let machine = MachineConfiguration(cpu: cpu, processors: processors, memory: memory)
                    // One small and one large machine see everything in a short run.
                    let isShort = (cpu == .cortexA72 && processors == 4 && memory == 1024)
                    scenarios.append(
                        Scenario("control", machine: machine, scripts: HostScript.life, extent: isShort ? .short : .full))
                }
            }
            let machine = MachineConfiguration(cpu: cpu, processors: 2, firmware: .uefi)
            scenarios.append(
                Scenario(
                    "control", machine: machine, scripts: HostScript.life, extent: cpu == .max ? .short : .full))
        }
        return scenarios
    }()

    /// The scenarios of an extent whose identifier contains a text.
    public static func select(_ extent: Extent, filter: String?) -> [Scenario] {
        all.filter { scenario in
            if let filter { return scenario.identifier.contains(filter) }
            return extent == .full || scenario.extent == .short
        }
    }
}
