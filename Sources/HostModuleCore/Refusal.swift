// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Every reason why the module does not install the hypervisor. A refusal has changed nothing;
// its text says what was found, why that forbids the installation, and what to do.

/// A reason not to install, found before anything was changed or after everything was undone.
public enum Refusal: Error, Equatable, Sendable {
    /// The kernel was built with pages of another size than 4 KiB.
    case pageSize(UInt64)
    /// The kernel itself runs at EL2 (VHE).
    case kernelAtEL2
    /// How the kernel was entered cannot be found out, so that `hvc` might be undefined.
    case entryUnknown
    /// Firmware entered the kernel at EL1.
    case notEnteredAtEL2
    /// Firmware entered some CPUs at EL1 and others at EL2.
    case enteredAtDifferentLevels
    /// A CPU's GIC has no system registers in use: not a GICv3 or later.
    case noGICv3(cpu: UInt32)
    /// A present CPU is offline and would stay outside the hypervisor.
    case cpuOffline(UInt32)
    /// More CPUs than the boot protocol carries.
    case tooManyCPUs(UInt32)
    /// Two CPUs have one affinity.
    case duplicateCPU(UInt32)
    /// EL2 answers like a hypervisor that is not the kernel's stub; on Linux that is KVM.
    case ownedByAnother(cpu: UInt32)
    /// EL2 answers like Martlet.
    case alreadyInstalled
    /// EL2 answers like nothing known.
    case unknownAnswer(cpu: UInt32, answer: UInt64)
    /// The resource tree names no RAM.
    case noMemoryRanges
    /// More physical ranges than the boot protocol carries.
    case tooManyRanges
    /// The hypervisor image is not one that this module can load.
    case image(ImageDefect)
    /// The machine's RAM needs more superpages than the boot protocol carries.
    case tooManySuperpages(UInt64)
    /// Image, tables and per-CPU areas do not fit one contiguous piece of memory.
    case contiguousPartTooLarge(pages: UInt64)
    /// The kernel had no such memory.
    case memoryUnobtainable(mebibytes: UInt64)
    /// A superpage lies above what the temporary tables map.
    case superpageTooHigh(UInt64)
    /// The wait for the kernel's random number generator was interrupted.
    case noRandomness
    /// The resource tree or the CPUs could not be read.
    case surveyFailed(Int32)
    /// Other processors could not be stopped for the installation.
    case stopFailed(Int32)
    /// The image did not come back with success from its entry on this CPU.
    case entryFailed(cpu: UInt32, answer: UInt64)
    /// EL2 refused the boot block.
    case initialiseFailed(status: Int64)
    /// EL2 refused to move the first CPU behind the host stage-2.
    case deprivilegeFailed(cpu: UInt32, status: Int64)
}

extension Refusal {
    /// The positive Linux error number that loading the module fails with.
    public var errorNumber: Int32 {
        switch self {
        case .pageSize, .kernelAtEL2, .entryUnknown, .notEnteredAtEL2, .enteredAtDifferentLevels,
            .noGICv3, .duplicateCPU, .noMemoryRanges, .superpageTooHigh:
            95  // EOPNOTSUPP
        case .ownedByAnother, .unknownAnswer: 16  // EBUSY
        case .alreadyInstalled: 17  // EEXIST
        case .cpuOffline: 11  // EAGAIN
        case .tooManyCPUs, .tooManyRanges, .tooManySuperpages, .contiguousPartTooLarge: 7  // E2BIG
        case .image: 8  // ENOEXEC
        case .memoryUnobtainable: 12  // ENOMEM
        case .noRandomness: 4  // EINTR
        case .surveyFailed(let number), .stopFailed(let number):
            number > 0 && number < 4096 ? number : 5
        case .entryFailed, .initialiseFailed, .deprivilegeFailed: 5  // EIO
        }
    }

    /// Writes the refusal as one line: what was found, why it matters, what to do next.
    public func describe<Sink: TextSink & ~Copyable & ~Escapable>(to sink: inout Sink) {
        switch self {
        case .pageSize, .kernelAtEL2, .entryUnknown, .notEnteredAtEL2, .enteredAtDifferentLevels,
            .noGICv3, .cpuOffline, .tooManyCPUs, .duplicateCPU:
            describeMachine(to: &sink)
        case .ownedByAnother, .alreadyInstalled, .unknownAnswer:
            describeOwner(to: &sink)
        case .noMemoryRanges, .tooManyRanges, .tooManySuperpages, .contiguousPartTooLarge,
            .memoryUnobtainable, .superpageTooHigh:
            describeMemory(to: &sink)
        case .image(let defect):
            sink.write("the hypervisor image in this module is damaged: ")
            sink.write(defect.text)
            sink.write("; build the module again")
        case .noRandomness, .surveyFailed, .stopFailed, .entryFailed, .initialiseFailed, .deprivilegeFailed:
            describeInstallation(to: &sink)
        }
    }

    private func describeMachine<Sink: TextSink & ~Copyable & ~Escapable>(to sink: inout Sink) {
        switch self {
        case .pageSize(let bytes):
            sink.write("the kernel uses pages of ")
            sink.write(decimal: bytes)
            sink.write(" bytes, but the hypervisor protects pages of 4096; boot a kernel with 4 KiB pages")
        case .kernelAtEL2:
            sink.write("the kernel itself runs at EL2 (VHE), so that EL2 is not free to take;")
            sink.write(" add id_aa64mmfr1.vh=0 kvm-arm.mode=none to the kernel command line and boot again")
        case .entryUnknown:
            sink.write("the kernel does not tell at which exception level it was entered, and a call to EL2")
            sink.write(" could be undefined; boot a kernel with CONFIG_KPROBES and CONFIG_KALLSYMS_ALL")
        case .notEnteredAtEL2:
            sink.write("firmware entered the kernel at EL1, so that EL2 is absent or belongs to someone else;")
            sink.write(" boot at EL2 (QEMU: -M virt,virtualization=on)")
        case .enteredAtDifferentLevels:
            sink.write("firmware entered some CPUs at EL1 and others at EL2, so that EL2 cannot be taken on all;")
            sink.write(" update the firmware")
        case .noGICv3(let cpu):
            sink.write("CPU ")
            sink.write(decimal: UInt64(cpu))
            sink.write(" has no GICv3 system registers in use, and the hypervisor supports GICv3 only;")
            sink.write(" use a machine with GICv3 (QEMU: -M virt,gic-version=3)")
        case .cpuOffline(let cpu):
            sink.write("CPU ")
            sink.write(decimal: UInt64(cpu))
            sink.write(" is offline and would stay outside the hypervisor; bring every CPU online")
            sink.write(" (no maxcpus=, echo 1 > /sys/devices/system/cpu/cpuN/online) and load again")
        case .tooManyCPUs(let count):
            sink.write("the machine has ")
            sink.write(decimal: UInt64(count))
            sink.write(" CPUs and the hypervisor serves ")
            sink.write(decimal: UInt64(Limits.cpus))
            sink.write("; boot with nr_cpus= set to that or less")
        case .duplicateCPU(let cpu):
            sink.write("CPU ")
            sink.write(decimal: UInt64(cpu))
            sink.write(" has the affinity (MPIDR_EL1) of another CPU, so that CPUs cannot be told apart;")
            sink.write(" update the firmware")
        default: break
        }
    }

    private func describeOwner<Sink: TextSink & ~Copyable & ~Escapable>(to sink: inout Sink) {
        switch self {
        case .ownedByAnother(let cpu):
            sink.write("KVM or another hypervisor owns EL2 of CPU ")
            sink.write(decimal: UInt64(cpu))
            sink.write(" already; add kvm-arm.mode=none to the kernel command line and boot again")
        case .alreadyInstalled:
            sink.write("Martlet owns EL2 already, from an earlier kernel or module; reset the machine to install anew")
        case .unknownAnswer(let cpu, let answer):
            sink.write("EL2 of CPU ")
            sink.write(decimal: UInt64(cpu))
            sink.write(" answers ")
            sink.write(hexadecimal: answer)
            sink.write(" and not as the kernel's stub does, so that it belongs to someone else;")
            sink.write(" boot without that hypervisor")
        default: break
        }
    }

    private func describeMemory<Sink: TextSink & ~Copyable & ~Escapable>(to sink: inout Sink) {
        switch self {
        case .noMemoryRanges:
            sink.write("the kernel's resource tree names no RAM, so that nothing could be protected;")
            sink.write(" look for System RAM in /proc/iomem")
        case .tooManyRanges:
            sink.write("physical memory is in more than ")
            sink.write(decimal: UInt64(Limits.ranges))
            sink.write(" pieces, which the hypervisor cannot describe; use firmware with a simpler memory map")
        case .tooManySuperpages(let count):
            sink.write("the hypervisor would need ")
            sink.write(decimal: count)
            sink.write(" superpages for this much RAM and takes ")
            sink.write(decimal: UInt64(Limits.superpages))
            sink.write("; boot with less memory (mem=)")
        case .contiguousPartTooLarge(let pages):
            sink.write("image, tables and per-CPU areas need ")
            sink.write(decimal: pages)
            sink.write(" contiguous pages and the kernel gives at most 1024; boot with fewer CPUs (nr_cpus=)")
        case .memoryUnobtainable(let mebibytes):
            sink.write("the kernel has no ")
            sink.write(decimal: mebibytes)
            sink.write(" MiB free in 2 MiB pieces for the hypervisor; load the module earlier")
            sink.write(" (from the initramfs) or free memory and load again")
        case .superpageTooHigh(let address):
            sink.write("the kernel gave memory at ")
            sink.write(hexadecimal: address)
            sink.write(", above the 48 bits that the hypervisor's first tables map; boot with less memory (mem=)")
        default: break
        }
    }

    private func describeInstallation<Sink: TextSink & ~Copyable & ~Escapable>(to sink: inout Sink) {
        switch self {
        case .noRandomness:
            sink.write("the wait for the kernel's random number generator was interrupted, and the hypervisor")
            sink.write(" needs a seed; load again")
        case .surveyFailed(let number):
            sink.write("CPUs and physical memory could not be read (error ")
            sink.write(signed: Int64(number))
            sink.write("); free memory and load again")
        case .stopFailed(let number):
            sink.write("the CPUs could not be stopped for the installation (error ")
            sink.write(signed: Int64(number))
            sink.write("); load again")
        case .entryFailed(let cpu, let answer):
            sink.write("the hypervisor did not start on CPU ")
            sink.write(decimal: UInt64(cpu))
            sink.write(" (answer ")
            sink.write(hexadecimal: answer)
            sink.write("), and EL2 was given back; report this with the CPU's type")
        case .initialiseFailed(let status):
            sink.write("the hypervisor refused this machine's description (status ")
            sink.write(signed: status)
            sink.write("), and EL2 was given back; report this with /proc/iomem")
        case .deprivilegeFailed(let cpu, let status):
            sink.write("the hypervisor refused to go behind its stage-2 on CPU ")
            sink.write(decimal: UInt64(cpu))
            sink.write(" (status ")
            sink.write(signed: status)
            sink.write("), and EL2 was given back; report this with the CPU's type")
        default: break
        }
    }
}
