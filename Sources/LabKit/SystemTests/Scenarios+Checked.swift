// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// System tests under a hypervisor that holds itself against the specification whenever it returns to the
// host (docs/specification.md).

extension Scenario {
    /// The same life of a host under such a hypervisor; nil if the product is not what the scenario is about.
    public var checked: Scenario? {
        guard case .martlet(.product) = subject else { return nil }
        return Scenario(
            "checked-\(name)", subject: .martlet(.checked), machine: machine,
            scripts: dialogue == nil ? scripts + [.checks] : scripts, extent: extent, epilogue: epilogue,
            kernelParameters: kernelParameters, announcements: announcements, restart: restart, kernel: kernel,
            dialogue: dialogue, replay: replay)
    }
}

extension Scenarios {
    /// A ledger with a wrong entry, put there on purpose: it has to be found.
    static let differences = MachineConfiguration.CPU.allCases.map { cpu in
        Scenario(
            "difference", subject: .martlet(.checked), machine: MachineConfiguration(cpu: cpu, processors: 2),
            scripts: [.difference], extent: cpu == .cortexA72 ? .short : .full, epilogue: .panicAt("Checked.swift"))
    }
}

extension HostScript {
    /// How much was compared, and that all of it agreed.
    static let checks = HostScript("checks", checks: ["calls", "faults", "pages", "everything", "agrees"])
    /// The hypervisor finds what is wrong with itself, and says which page it is.
    static let difference = HostScript(
        "difference", checks: ["agrees-before", "provoked", "found", "page-named", "host-goes-on"])
}
