// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// How a host under Martlet sleeps and ends: each way in which a kernel stops, pauses or replaces
// itself.

import HypervisorInterface

extension Scenarios {
    /// What the module says of it.
    static let hibernationRefused =
        "hibernation is refused: the hypervisor's memory can be neither saved nor restored;"
        + " suspend or power off instead"

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
                hibernationRefused,
                "kexec: the next kernel could not run beside the hypervisor; the machine restarts instead",
            ], restart: .startsAgain)
    }

    /// The machine is reset under guests; also under a hypervisor that does not wipe what they had, where the
    /// same search has to find it.
    static let resets =
        MachineConfiguration.CPU.allCases.map {
            reset("reset", $0, .product, extent: $0 == .cortexA72 ? .short : .full)
        }
        + [reset("reset-undefended", .cortexA72, .switches, extent: .full, without: .endsWipeGuests)]

    private static func reset(
        _ name: String, _ cpu: MachineConfiguration.CPU, _ variant: HypervisorVariant, extent: Extent,
        without defence: Defence? = nil
    ) -> Scenario {
        let parameters = defence.map { ["lab.without=0x\(String($0.bit, radix: 16))"] } ?? []
        return Scenario(
            name, subject: .martlet(variant), machine: MachineConfiguration(cpu: cpu, processors: 2, memory: 2048),
            scripts: [.takeover, .reset], extent: extent, kernelParameters: MachineBoot.leavesEL2 + parameters,
            restart: .startsAgain)
    }
}
