// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// `lab run-host`: a shell in the stock host kernel.

public import ArgumentParser
public import LabKit

extension MachineConfiguration.CPU: ExpressibleByArgument {}

struct RunHost: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run-host", abstract: "Boot the stock kernel with the test RAM disk to a shell.")

    @Option(help: "The model of the processors.")
    var cpu = MachineConfiguration.CPU.cortexA72

    @Option(help: "The number of processors.")
    var smp = 2

    @Option(help: "Memory in MiB.")
    var memory = 1024

    @Flag(help: "Boot with UEFI and ACPI instead of a device tree.")
    var uefi = false

    @Option(parsing: .unconditionalSingleValue, help: "A further word for the kernel's command line.")
    var append: [String] = []

    func validate() throws {
        guard (1...64).contains(smp) else { throw ValidationError("--smp must be from 1 to 64.") }
        guard memory >= 256 else { throw ValidationError("--memory must be at least 256 (MiB).") }
    }

    func run() async throws {
        let images = try await preparedImages()
        let machine = MachineConfiguration(
            cpu: cpu, processors: smp, memory: memory, firmware: uefi ? .uefi : .deviceTree, disk: nil)
        let boot = MachineBoot(
            kernel: images.hostKernel, ramDisk: images.hostRAMDisk, append: ["lab.scenarios=shell"] + append)
        print("Booting. Leave with ctrl-d at the shell, or end QEMU from another terminal.")
        let tool = Tool("qemu-system-aarch64", try machine.arguments(for: boot, disk: nil))
        guard try await tool.runOnTerminal() else { throw ExitCode.failure }
    }
}
