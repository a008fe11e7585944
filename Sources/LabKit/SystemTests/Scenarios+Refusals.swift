// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Machines that the module refuses, each with the exact words and the error number.

extension Scenarios {
    /// A module that is loaded into what it refuses.
    static let refusals: [Scenario] = [
        refusal(
            "vhe", MachineConfiguration(cpu: .max, processors: 2), extent: .short, error: 95,
            kernel: ["kvm-arm.mode=none"],
            words: "the kernel itself runs at EL2 (VHE), so that EL2 is not free to take;"
                + " add id_aa64mmfr1.vh=0 kvm-arm.mode=none to the kernel command line and boot again"),
        refusal(
            "kvm", MachineConfiguration(processors: 2), error: 16, kernel: ["id_aa64mmfr1.vh=0"],
            words: "KVM or another hypervisor owns EL2 of CPU 0 already;"
                + " add kvm-arm.mode=none to the kernel command line and boot again"),
        refusal(
            "el1", MachineConfiguration(processors: 2, entry: .el1), error: 95,
            words: "firmware entered the kernel at EL1, so that EL2 is absent or belongs to someone else;"
                + " boot at EL2 (QEMU: -M virt,virtualization=on)"),
        refusal(
            "gicv2", MachineConfiguration(processors: 2, interrupts: .gicV2), error: 95,
            words: "CPU 0 has no GICv3 system registers in use, and the hypervisor supports GICv3 only;"
                + " use a machine with GICv3 (QEMU: -M virt,gic-version=3)"),
        // What a user can mend without another boot is mended, and then the same module loads.
        refusal(
            "offline-cpu", MachineConfiguration(processors: 2), extent: .short, error: 11,
            kernel: MachineBoot.leavesEL2 + ["maxcpus=1"], script: .offlineCPU,
            words: "CPU 1 is offline and would stay outside the hypervisor; bring every CPU online"
                + " (no maxcpus=, echo 1 > /sys/devices/system/cpu/cpuN/online) and load again"),
        refusal(
            "memory", MachineConfiguration(processors: 2), error: 12, script: .scarceMemory,
            words: "the kernel has no * MiB free in 2 MiB pieces for the hypervisor; load the module earlier"
                + " (from the initramfs) or free memory and load again"),
    ]

    private static func refusal(
        _ name: String, _ machine: MachineConfiguration, extent: Extent = .full, error: Int,
        kernel: [String] = MachineBoot.leavesEL2, script: HostScript = .refusal, words: String
    ) -> Scenario {
        Scenario(
            "refusal-\(name)", subject: .bareKernel, machine: machine, scripts: [script], extent: extent,
            kernelParameters: kernel + ["lab.errno=\(error)"], announcements: ["not installed: \(words)"])
    }
}
