// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// How a host under Martlet sleeps and ends: each way in which a kernel stops, pauses or replaces
// itself.

extension Scenarios {
    /// The machine restarts twice and then powers off: by itself, and not because the lab ends it.
    static let power: [Scenario] = [
        MachineConfiguration(processors: 2), MachineConfiguration(cpu: .max, processors: 4),
        MachineConfiguration(cpu: .max, processors: 2, firmware: .uefi),
    ].map { machine in
        // Without the device tree there is no clock whose alarm could wake the machine.
        let sleep: [HostScript] = machine.firmware == .uefi ? [.hibernation] : [.hibernation, .suspend]
        return Scenario(
            "power", subject: .martlet(.product), machine: machine, scripts: [.takeover] + sleep + [.reboot, .kexec],
            extent: machine.cpu == .cortexA72 ? .short : .full,
            // With 52-bit addresses this kernel's own kexec_load fails in an oops, also without
            // Martlet (seen in 6.12.117).
            kernelParameters: MachineBoot.leavesEL2 + (machine.cpu == .max ? ["arm64.nolva"] : []),
            announcements: [
                "hibernation is refused: the hypervisor's memory can be neither saved nor restored;"
                    + " suspend or power off instead",
                "kexec: the next kernel could not run beside the hypervisor; the machine restarts instead",
            ], restart: .startsAgain)
    }
}
