// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Register contexts of many processes, in the host and in guests at once.

extension Scenarios {
    /// Vector registers, scalable ones where the CPU has them.
    static let contexts = MachineConfiguration.CPU.allCases.map { cpu in
        Scenario(
            "contexts", subject: .martlet(.product),
            machine: MachineConfiguration(cpu: cpu, processors: 2, memory: 1024),
            scripts: [.takeover, .contexts, .aftermath], extent: cpu == .max ? .short : .full)
    }
}

extension HostScript {
    /// Vector registers of processes of the host and of two guests.
    static let contexts = HostScript(
        "contexts",
        checks: [
            "notices", "kvm-vectors", "guests-up", "host", "normal", "normal-lengths", "protected", "protected-lengths",
            "host-lengths",
        ], ramDisk: .hostWithGuest)
}
