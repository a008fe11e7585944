// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// System tests under a hypervisor that holds itself against the specification whenever it returns to the
// host (docs/specification.md).

extension Scenario {
    /// What happens in it, whatever the processors.
    fileprivate var life: String { "\(name)/\(machine.firmware.rawValue)" }

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
    /// The scenarios of a run under such a hypervisor: with a filter, those whose identifier contains it; otherwise each
    /// one about the product at least once with each firmware, on the machines of a short run if it has any there.
    public static func selectChecked(_ extent: Extent, filter: String?) -> [Scenario] {
        let selected = select(extent, filter: filter)
        let covered = Set(selected.map(\.life))
        var left: [String: Scenario] = [:]
        if filter == nil {
            for scenario in all where !covered.contains(scenario.life) && left[scenario.life] == nil {
                left[scenario.life] = scenario
            }
        }
        return (selected + left.values.sorted { $0.identifier < $1.identifier }).compactMap(\.checked)
    }

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
