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
        /// UEFI firmware starts the kernel, with ACPI tables.
        case uefi = "uefi"
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

    /// Describes a machine.
    public init(
        cpu: CPU = .cortexA72, processors: Int = 4, memory: Int = 1024, firmware: Firmware = .deviceTree,
        disk: Int? = 64
    ) {
        self.cpu = cpu
        self.processors = processors
        self.memory = memory
        self.firmware = firmware
        self.disk = disk
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

    /// Describes a boot.
    public init(kernel: FilePath, ramDisk: FilePath, append: [String] = []) {
        self.kernel = kernel
        self.ramDisk = ramDisk
        self.append = append
    }

    /// The parameters that every host kernel gets: it must enter at EL2, leave EL2 free, and stay
    /// out of it; a panic ends the machine instead of leaving it standing.
    public static let hostParameters = [
        "kvm-arm.mode=none", "id_aa64mmfr1.vh=0", "console=ttyAMA0", "panic=-1",
    ]
}

extension MachineConfiguration {
    /// The firmware files that the distribution installs.
    static let firmwareFolder = FilePath("/usr/share/AAVMF")

    /// QEMU's arguments.
    ///
    /// - Parameters:
    ///   - boot: what to start.
    ///   - disk: the disk's image file, when the machine has a disk.
    /// - Throws: ``LabError/missingFile(_:madeBy:)`` without the UEFI firmware files.
    public func arguments(for boot: MachineBoot, disk diskImage: FilePath?) throws(LabError) -> [String] {
        var words = ["-M", "virt,virtualization=on,gic-version=3"]
        // Without the implementation-defined algorithm QEMU computes pointer signatures with a
        // cipher, and half of the time goes there.
        words += ["-cpu", cpu == .max ? "max,pauth-impdef=on" : cpu.rawValue]
        words += ["-smp", "\(processors)", "-m", "\(memory)M"]
        words += ["-nodefaults", "-nic", "none", "-display", "none", "-monitor", "none", "-no-reboot"]
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
        var parameters = MachineBoot.hostParameters
        // Given both, the kernel would prefer the device tree that the firmware also passes on.
        if firmware == .uefi { parameters.append("acpi=force") }
        words += ["-kernel", boot.kernel.string, "-initrd", boot.ramDisk.string]
        words += ["-append", (parameters + boot.append).joined(separator: " ")]
        return words
    }
}
