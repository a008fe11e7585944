// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The hosts that are compared, each as a machine in QEMU that executes the same every time.

import SystemPackage

/// A host that is measured.
public enum BenchmarkHost: String, CaseIterable, Codable, CodingKeyRepresentable, Sendable {
    /// The stock kernel under Martlet.
    case martlet
    /// The same kernel without it, and without guests.
    case bare
    /// Linux' KVM with its kernel at EL2.
    case linuxVHE = "linux-vhe"
    /// Linux' KVM with its kernel at EL1.
    case linuxNVHE = "linux-nvhe"
    /// Linux' protected KVM.
    case linuxProtected = "linux-protected"
    /// The stock kernel's own KVM at EL2, of which only the way there is measured, by a module.
    case stockNVHE = "stock-nvhe"
    /// The same of its protected KVM.
    case stockProtected = "stock-protected"

    /// What kind of guests it runs, and in whose words.
    var guestKinds: [String] {
        switch self {
        case .martlet: ["normal", "protected"]
        case .bare, .stockNVHE, .stockProtected: []
        case .linuxVHE, .linuxNVHE: ["normal"]
        // A descriptor of private memory is for normal VMs there.
        case .linuxProtected: ["normal", "protected-pinned"]
        }
    }

    /// Which kernel it is.
    var kernel: HostKernel {
        switch self {
        case .martlet, .bare, .stockNVHE, .stockProtected: .stock
        case .linuxVHE, .linuxNVHE, .linuxProtected: .newest
        }
    }

    /// What the kernel is told about EL2.
    var level2: [String] {
        switch self {
        case .martlet, .bare: MachineBoot.leavesEL2
        case .linuxVHE: []
        case .linuxNVHE, .stockNVHE: ["kvm-arm.mode=nvhe"]
        case .linuxProtected, .stockProtected: ["kvm-arm.mode=protected"]
        }
    }

    /// What of the rows is measured.
    var parameters: [String] {
        switch self {
        case .martlet, .linuxVHE, .linuxNVHE, .linuxProtected: []
        case .bare: ["lab.rows=host"]
        case .stockNVHE, .stockProtected: ["lab.rows=host-call"]
        }
    }
}

/// The machine that a comparison is made on.
public enum BenchmarkMachine: String, CaseIterable, Codable, Sendable {
    /// No host extensions, no forced write-back. Linux' mode that needs the extensions is measured on
    /// a Neoverse N1, the nearest model that has them.
    case cortexA72 = "cortex-a72"
    /// Everything that QEMU knows.
    case max

    /// The processor's model.
    func model(for host: BenchmarkHost) -> String {
        switch self {
        case .cortexA72: host == .linuxVHE ? "neoverse-n1" : "cortex-a72"
        case .max: "max,pauth-impdef=on"
        }
    }

    /// QEMU's arguments. Virtual time is a nanosecond an instruction and time without work is skipped,
    /// so that with one seed, one processor and no input every run executes the same instructions.
    ///
    /// - Parameters:
    ///   - gibibytes: the machine's memory.
    ///   - counter: the plugin with its arguments.
    ///   - parameters: further words of the kernel's command line.
    func arguments(
        for host: BenchmarkHost, kernel: FilePath, ramDisk: FilePath, gibibytes: Int = 1, counter: String,
        parameters: [String]
    ) -> [String] {
        let words =
            host.level2 + MachineBoot.always + [
                "quiet", "nokaslr", "lab.scenarios=bench", "lab.cpus=1",
                "lab.martlet=\(host == .martlet ? "product" : "off")",
                "lab.kinds=\(host.guestKinds.joined(separator: ","))",
            ] + parameters
        return [
            "-M", "virt,virtualization=on,gic-version=3,dtb-randomness=off", "-cpu", model(for: host), "-smp", "1",
            "-m", "\(gibibytes)G", "-nodefaults", "-nic", "none", "-display", "none", "-monitor", "none", "-no-reboot",
            "-icount", "shift=0,sleep=off", "-rtc", "base=2026-01-01,clock=vm", "-seed", "1",
            "-plugin", counter, "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
            "-kernel", kernel.string, "-initrd", ramDisk.string, "-append", words.joined(separator: " "),
        ]
    }
}
