// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The VMM by itself, on Linux's own KVM: what fails here is not Martlet's hypervisor.

extension Scenarios {
    /// The VMM on Linux's own KVM: guests on the newest kernel, and refusals, which any kernel will
    /// do for, on the one that is always there.
    static let vmmOnLinux: [Scenario] =
        [vmm("vmm-refusals", .cortexA72, [.vmmRefusals, .vmmNoProtection], kernel: .stock, extent: .short)]
        + [HostScript.vmmStreams, .vmmEnds, .vmmSlowReader].map { vmm($0.name, .cortexA72, [$0]) }
        + MachineConfiguration.CPU.allCases.map { vmm("vmm-guests", $0, [.vmmGuests]) }
        + [vmm("vmm-vectors", .max, [.vmmVectors])]
        + [vmm("vmm-console", .cortexA72, [], dialogue: "vmm-on-linux/console.dialogue")]

    private static func vmm(
        _ name: String, _ cpu: MachineConfiguration.CPU, _ scripts: [HostScript], kernel: HostKernel = .newest,
        extent: Extent = .full, dialogue: String? = nil
    ) -> Scenario {
        Scenario(
            name, subject: .bareKernel, machine: MachineConfiguration(cpu: cpu, processors: 2, memory: 2048),
            scripts: scripts, extent: extent, kernelParameters: [], kernel: kernel, dialogue: dialogue)
    }
}

extension HostScript {
    /// Everything that the VMM refuses.
    static let vmmRefusals = HostScript(
        "vmm-refusals",
        checks: [
            "no-command", "unknown-option", "silly-cpus", "silly-memory", "command-line-too-long", "kernel-missing",
            "kernel-is-directory", "kernel-is-device", "kernel-empty", "kernel-too-short", "kernel-truncated",
            "kernel-x86", "kernel-elf", "kernel-xz", "kernel-text", "gzip-without-image", "gzip-truncated",
            "gzip-damaged", "initrd-missing", "initrd-too-big", "kernel-larger-than-memory", "initrd-unreadable",
            "kvm-not-permitted", "kvm-missing", "kvm-without-driver", "kvm-is-something-else", "address-space-limit",
            "data-limit", "refusal-as-json", "help", "version", "dry-run",
        ])
    /// Linux offers no protected VMs here.
    static let vmmNoProtection = HostScript("vmm-no-protection", checks: ["protected-refused"])
    /// A guest's console as pipes.
    static let vmmStreams = HostScript(
        "vmm-streams", checks: ["stream-without-escapes", "input-ends", "reader-leaves", "json-events"])
    /// The ways in which a guest ends.
    static let vmmEnds = HostScript(
        "vmm-ends",
        checks: ["gzip-kernel-and-reset", "guest-panic", "sigterm", "sighup", "sigquit", "sigkill-cycles"])
    /// A reader that is slow.
    static let vmmSlowReader = HostScript("vmm-slow-reader", checks: ["slow-reader"])
    /// Scalable vectors as a process asks for them.
    static let vmmVectors = HostScript("vmm-vectors", checks: ["kvm-vectors"])
    /// Guests of all sizes.
    static let vmmGuests = HostScript(
        "vmm-guests", checks: ["guest-1-cpu", "guest-2-cpus", "guest-4-cpus", "guest-8-cpus"])
}
