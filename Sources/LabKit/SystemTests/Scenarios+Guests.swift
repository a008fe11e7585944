// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Stock guests on a host under Martlet.

extension Scenarios {
    /// Guests whose secret is sought, and guests that are killed.
    static let guests = machines.map { machine in
        guest("guests", machine, [.privateMemory, .guests, .killCycles], extent: .short)
    }

    /// What else guests live through.
    static let guestLives =
        machines.map { guest("guest-sizes", $0, [.guestSizes]) }
        + machines.map { guest("guest-hotplug", $0, [.guestHotplug]) }
        + machines.map { guest("guest-pressure", $0, [.guestPressure]) }
        + machines.map { guest("guest-kill-cycles", $0, [.killCycles], parameters: ["lab.kill-cycles=200"]) }
        + machines.map { machine in
            Scenario(
                "guest-panic", subject: .martlet(.panic), machine: machine, scripts: [.guestPanic], extent: .full,
                epilogue: .panicAt("ProvokedPanic.swift"))
        }

    /// Two processors of each model.
    private static let machines = MachineConfiguration.CPU.allCases.map { cpu in
        MachineConfiguration(cpu: cpu, processors: 2, memory: 1024)
    }

    private static func guest(
        _ name: String, _ machine: MachineConfiguration, _ scripts: [HostScript], extent: Extent = .full,
        parameters: [String] = []
    ) -> Scenario {
        Scenario(
            name, subject: .martlet(.product), machine: machine, scripts: [.takeover] + scripts + [.aftermath],
            extent: extent, kernelParameters: MachineBoot.leavesEL2 + parameters)
    }
}
