// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A machine in QEMU, described by what a test cares about.

public import SystemPackage

/// What a test machine looks like to the software in it.
public struct MachineConfiguration: Hashable, Sendable {
    /// The processors.
    public enum CPU: String, CaseIterable, Sendable {
        /// No virtualization host extensions, no forced write-back: the plain end.
        case cortexA72 = "cortex-a72"
        /// Everything that QEMU knows.
        case max
    }

    /// How the kernel learns of the machine.
    public enum Firmware: String, CaseIterable, Sendable {
        /// QEMU enters the kernel itself, with a device tree.
        case deviceTree = "dt"
        /// The same with a device tree in which RAM has a hole and a region that the kernel must
        /// not map; see ``EditedTree``.
        case editedTree = "dt-regions"
        /// UEFI firmware starts the kernel, with ACPI tables.
        case uefi = "uefi"
    }

    /// At which exception level the kernel is entered.
    public enum EntryLevel: Sendable {
        /// The machine has EL2, and the kernel starts there.
        case el2
        /// The machine has no EL2.
        case el1
    }

    /// The interrupt controller's version.
    public enum InterruptController: Int, Sendable {
        /// Driven by memory-mapped registers.
        case gicV2 = 2
        /// Driven by system registers.
        case gicV3 = 3
    }

    /// The processors' model.
    public var cpu: CPU
    /// How many there are.
    public var processors: Int
    /// Memory in MiB.
    public var memory: Int
    /// How the machine is described to the kernel.
    public var firmware: Firmware
    /// The size of a blank disk behind virtio on PCI, in MiB; no disk when nil.
    public var disk: Int?
    /// Where the kernel starts.
    public var entry: EntryLevel
    /// The interrupt controller.
    public var interrupts: InterruptController

    /// Describes a machine.
    public init(
        cpu: CPU = .cortexA72, processors: Int = 4, memory: Int = 1024, firmware: Firmware = .deviceTree,
        disk: Int? = 64, entry: EntryLevel = .el2, interrupts: InterruptController = .gicV3
    ) {
        self.cpu = cpu
        self.processors = processors
        self.memory = memory
        self.firmware = firmware
        self.disk = disk
        self.entry = entry
        self.interrupts = interrupts
    }

    /// A short name for reports and folders.
    public var name: String {
        let size = memory % 1024 == 0 ? "\(memory / 1024)g" : "\(memory)m"
        return "\(cpu.rawValue)-smp\(processors)-\(size)-\(firmware.rawValue)"
    }
}

/// What a machine is started with.
public struct MachineBoot: Sendable {
    /// The kernel image.
    public var kernel: FilePath
    /// The initial RAM disk.
    public var ramDisk: FilePath
    /// Additions to the kernel's command line.
    public var append: [String]
    /// What becomes of the machine when it restarts.
    public var restart: Restart
    /// Files that the machine sees as further disks, which it cannot write.
    public var attachments: [FilePath]

    /// What becomes of a machine that restarts.
    public enum Restart: Sendable {
        /// It ends, as if it had been switched off.
        case ends
        /// It starts again with the same kernel, as a real one does.
        case startsAgain
    }

    /// Describes a boot.
    ///
    /// - Parameter level2: what the kernel is told about EL2.
    public init(
        kernel: FilePath, ramDisk: FilePath, level2: [String] = leavesEL2, append: [String] = [],
        restart: Restart = .ends, attachments: [FilePath] = []
    ) {
        self.kernel = kernel
        self.ramDisk = ramDisk
        self.append = level2 + Self.always + append
        self.restart = restart
        self.attachments = attachments
    }

    /// The kernel leaves EL2 after it was entered there: it does without the host extensions, with
    /// which it would stay, and without its own KVM.
    public static let leavesEL2 = ["kvm-arm.mode=none", "id_aa64mmfr1.vh=0"]

    /// What every kernel gets; a panic ends the machine instead of leaving it standing.
    static let always = ["console=ttyAMA0", "panic=-1"]
}

extension MachineConfiguration {
    /// The firmware files that the distribution installs.
    static let firmwareFolder = FilePath("/usr/share/AAVMF")

    /// QEMU's arguments.
    ///
    /// - Parameters:
    ///   - boot: what to start.
    ///   - disk: the disk's image file, when the machine has a disk.
    ///   - tree: a device tree to be used instead of QEMU's own.
    /// - Throws: ``LabError/missingFile(_:madeBy:)`` without the UEFI firmware files.
    public func arguments(
        for boot: MachineBoot, disk diskImage: FilePath?, tree: FilePath? = nil
    ) throws(LabError) -> [String] {
        var words = hardware
        words += ["-nodefaults", "-nic", "none", "-display", "none", "-monitor", "none"]
        if boot.restart == .ends { words.append("-no-reboot") }
        if let tree { words += ["-dtb", tree.string] }
        words += ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
        if firmware == .uefi {
            for (file, options) in [("AAVMF_CODE.fd", "readonly=on"), ("AAVMF_VARS.fd", "snapshot=on")] {
                let path = Self.firmwareFolder.appending(file)
                guard path.exists else { throw .missingFile(path, madeBy: "lab setup") }
                words += [
                    "-drive",
                    "if=pflash,format=raw,unit=\(options == "readonly=on" ? 0 : 1),file=\(path.string),\(options)",
                ]
            }
        }
        if firmware == .uefi {
            // The firmware takes the kernel's random seed from here; without one it warns.
            words += ["-device", "virtio-rng-pci"]
        }
        if disk != nil, let diskImage {
            words += ["-drive", "if=none,id=disk,format=raw,file=\(diskImage.string)"]
            words += ["-device", "virtio-blk-pci,drive=disk"]
        }
        for (index, file) in boot.attachments.enumerated() {
            words += ["-drive", "if=none,id=attachment\(index),format=raw,readonly=on,file=\(file.string)"]
            words += ["-device", "virtio-blk-pci,drive=attachment\(index)"]
        }
        // Given both, the kernel would prefer the device tree that the firmware also passes on.
        let parameters = firmware == .uefi ? ["acpi=force"] : []
        words += ["-kernel", boot.kernel.string, "-initrd", boot.ramDisk.string]
        words += ["-append", (parameters + boot.append).joined(separator: " ")]
        return words
    }

    /// The arguments that make the machine what its software sees.
    var hardware: [String] {
        let level2 = entry == .el2 ? "on" : "off"
        // Without the implementation-defined algorithm QEMU computes pointer signatures with a
        // cipher, and half of the time goes there.
        let model = cpu == .max ? "max,pauth-impdef=on" : cpu.rawValue
        return [
            "-M", "virt,virtualization=\(level2),gic-version=\(interrupts.rawValue)", "-cpu", model,
            "-smp", "\(processors)", "-m", "\(memory)M",
        ]
    }
}
