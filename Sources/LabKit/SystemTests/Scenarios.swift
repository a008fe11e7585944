// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The matrix of system tests.

/// All system tests.
public enum Scenarios {
    /// Every scenario of the matrix.
    public static let all: [Scenario] =
        hosts + guests + guestLives + contexts + kvm + protected + replays + regions + refusals + power + resets
        + panics + differences + controls + vmmOnLinux

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
            "host", subject: .martlet(.product), machine: machine,
            scripts: [.takeover, .attacks] + HostScript.life + [.aftermath],
            extent: short.contains(machine.name) ? .short : .full)
    }

    /// `/dev/kvm` on a host under Martlet.
    private static let kvm = MachineConfiguration.CPU.allCases.map { cpu in
        Scenario(
            "kvm", subject: .martlet(.product),
            machine: MachineConfiguration(cpu: cpu, processors: 2, memory: 1024),
            scripts: [.takeover, .kvm, .aftermath], extent: cpu == .cortexA72 ? .short : .full)
    }

    /// Protected VMs as their process, root and the host's kernel would have them.
    private static let protected = MachineConfiguration.CPU.allCases.map { cpu in
        Scenario(
            "protected", subject: .martlet(.product),
            machine: MachineConfiguration(cpu: cpu, processors: 2, memory: 1024),
            scripts: [.takeover, .protected, .aftermath], extent: cpu == .cortexA72 ? .short : .full)
    }

    /// The same on machines whose RAM is not one piece.
    private static let regions = [1024, 4096].map { memory in
        Scenario(
            "host", subject: .martlet(.product),
            machine: MachineConfiguration(processors: 2, memory: memory, firmware: .editedTree),
            scripts: [.takeover, .regions, .attacks] + HostScript.life + [.aftermath], extent: .full)
    }

    /// A hypervisor that panics.
    private static let panics = MachineConfiguration.CPU.allCases.map { cpu in
        Scenario(
            "panic", subject: .martlet(.panic), machine: MachineConfiguration(cpu: cpu, processors: 2),
            scripts: [.panic], extent: cpu == .cortexA72 ? .short : .full, epilogue: .panicAt("ProvokedPanic.swift"))
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
