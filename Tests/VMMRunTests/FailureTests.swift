// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The exact words and exit statuses of everything that can fail besides the command line.

import Testing
import VMMBoot
import VMMConfiguration
import VMMRun

private func expect(
    _ failure: some Explainable, _ status: Int32, _ what: String, _ why: String, _ next: String,
    location: SourceLocation = #_sourceLocation
) {
    #expect(
        failure.explanation.text == "martlet: \(what)\n  why:  \(why)\n  next: \(next)\n", sourceLocation: location)
    #expect(failure.explanation.status.number == status, sourceLocation: location)
}

private func file(_ reason: FileFailure.Reason, _ role: FileRole = .kernel) -> FileFailure {
    FileFailure(role: role, path: "/f", reason: reason)
}

@Suite struct FileFailureTests {
    private let kernel = "the kernel '/f' cannot be used"

    @Test func opening() {
        expect(
            file(.open(SystemError(2))), 3, kernel, "there is no such file", "check the path given to `--kernel`")
        expect(
            file(.open(SystemError(2)), .initrd), 3, "the initrd '/f' cannot be used", "there is no such file",
            "check the path given to `--initrd`")
        expect(
            file(.open(SystemError(13))), 3, kernel, "you may not read it",
            "make it readable (`chmod +r`), or run martlet as root")
        expect(
            file(.open(SystemError(20))), 3, kernel, "a part of the path is not a directory, errno 20",
            "check the path given to `--kernel`")
        expect(
            file(.hostsOwnMissing(SystemError(2))), 3, kernel, "there is no such file",
            "name a kernel with `--kernel FILE`")
        expect(file(.directory), 3, kernel, "it is a directory", "name a file with `--kernel FILE`")
        expect(
            file(.special), 3, kernel, "it is not a regular file", "name a regular file with `--kernel FILE`")
    }

    @Test func reading() {
        expect(
            file(.read(SystemError(5))), 3, kernel, "reading it failed: input or output error, errno 5",
            "check the disk, or copy the file again")
        expect(file(.changed), 3, kernel, "it became shorter while it was read", "try again when nobody writes to it")
        expect(
            file(.empty, .initrd), 3, "the initrd '/f' cannot be used", "it is empty", "copy or build the file again")
    }

    @Test func content() {
        let again = "copy or build the file again"
        let image = "give an arm64 Image, such as /boot/vmlinuz of an arm64 distribution"
        let rows: [(KernelError, String, String)] = [
            (.empty, "it is empty", again),
            (.tooShort, "it ends within the 64-byte header of an arm64 Image", again),
            (.truncated(present: 1, promised: 2), "it is truncated: 1 of 2 bytes are there", again),
            (.notAKernel, "it is not an arm64 kernel Image", image),
            (.otherArchitecture(.x86), "it is an x86 kernel", image),
            (.otherArchitecture(.riscv), "it is a RISC-V kernel", image),
            (.otherArchitecture(.arm32), "it is a 32-bit Arm kernel", image),
            (.elf, "it is an ELF file, not an arm64 kernel Image", "give arch/arm64/boot/Image of the same build"),
            (.compressed(.zstd), "it is compressed with zstd", "unpack it first, for example with `zstd -d`"),
            (.bigEndian, "it is a big-endian kernel", image),
            (.tooOld, "it is older than Linux 3.17 and does not say how much memory it needs", image),
            (.gzipTruncated, "it is compressed with gzip and truncated", again),
            (.gzipDamaged, "it is compressed with gzip and damaged", again),
            (
                .gzipWithoutImage, "it is compressed with gzip and what is inside is not an arm64 kernel Image", image
            ),
        ]
        for (error, why, next) in rows { expect(file(.content(error)), 3, kernel, why, next) }
    }

    @Test func size() {
        expect(
            file(.placement(.kernelLargerThanMemory(needed: 66 << 20, available: 64 << 20))), 4,
            "the kernel '/f' does not fit into the guest's memory", "it needs 66 MiB and the guest has 64 MiB",
            "give `--memory 66M` or more")
        expect(
            file(.placement(.initrdTooBig(size: 70 << 20, available: 20 << 20)), .initrd), 4,
            "the initrd '/f' does not fit into the guest's memory", "it has 70 MiB and the kernel leaves 20 MiB",
            "give more with `--memory`, or a smaller initrd")
    }
}

@Suite struct HostFailureTests {
    @Test func openingKVM() {
        expect(
            HostFailure.openKVM(SystemError(2)), 5, "there is no /dev/kvm", "no hypervisor serves it on this host",
            "load martlet.ko, or boot a host kernel whose own KVM is on (`dmesg | grep -i kvm` says why it is not)")
        for number: Int32 in [1, 13] {
            expect(
                HostFailure.openKVM(SystemError(number)), 5, "/dev/kvm cannot be opened", "you have no permission",
                "join the group that owns it (`ls -l /dev/kvm`, often `usermod -aG kvm USER`), or run martlet as root")
        }
        for number: Int32 in [6, 19] {
            expect(
                HostFailure.openKVM(SystemError(number)), 5, "/dev/kvm cannot be opened",
                "the file is there but no hypervisor is behind it",
                "load martlet.ko, or boot a host kernel whose own KVM is on")
        }
        expect(
            HostFailure.openKVM(SystemError(16)), 5, "/dev/kvm cannot be opened", "busy, errno 16",
            "`ls -l /dev/kvm` and `dmesg` may say more")
    }

    @Test func anotherKVM() {
        expect(
            HostFailure.wrongVersion(11), 5, "/dev/kvm cannot be used",
            "it speaks version 11 of KVM's interface and martlet version 12",
            "check what serves it (`ls -l /dev/kvm`)")
        let capabilities: [(HostFailure.Capability, String)] = [
            (.userMemory, "KVM_CAP_USER_MEMORY"), (.oneRegister, "KVM_CAP_ONE_REG"),
            (.psci, "KVM_CAP_ARM_PSCI_0_2"), (.devices, "KVM_CAP_DEVICE_CTRL"),
            (.immediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
        ]
        for (capability, name) in capabilities {
            expect(
                HostFailure.missing(capability), 5, "this KVM cannot run the guest", "it lacks \(name)",
                "use a newer host kernel")
        }
        expect(
            HostFailure.tooManyProcessors(asked: 8, most: 4), 5, "the guest cannot have 8 CPUs",
            "this KVM gives a guest 4 at most", "give `--cpus 4` or fewer")
        expect(
            HostFailure.addressSpaceTooSmall(bits: 36, needed: 37), 5, "the guest cannot have that much memory",
            "it needs 37 bits of address and this host's guests have 36", "give less with `--memory`")
    }

    @Test func creatingVMs() {
        expect(
            HostFailure.createVM(SystemError(12)), 5, "the VM cannot be created", "out of memory, errno 12",
            "`dmesg` on the host may say more")
        let next = "load martlet.ko first; without `--protected` the guest runs as a normal VM that the host can read"
        expect(
            HostFailure.createProtectedVM(SystemError(22)), 5, "the protected VM cannot be created",
            "KVM does not offer protected VMs on this host (invalid argument, errno 22)", next)
        expect(
            HostFailure.createProtectedVM(SystemError(12)), 5, "the protected VM cannot be created",
            "out of memory, errno 12", next)
    }

    @Test func privateMemory() {
        expect(
            HostFailure.missing(.privateMemory), 5, "this KVM has no descriptors of private memory",
            "it lacks KVM_CAP_GUEST_MEMFD_FLAGS for protected VMs", "use `--private-memory pinned`")
    }

    @Test func steps() {
        let rows: [(HostFailure.Step, String, String)] = [
            (.setMemory, "giving the guest its memory", "`dmesg` on the host may say more"),
            (.createProcessor, "creating a CPU", "`dmesg` on the host may say more"),
            (.initProcessor, "initialising a CPU", "`dmesg` on the host may say more"),
            (.setRegister, "setting a CPU's registers", "`dmesg` on the host may say more"),
            (.interruptController, "creating the GICv3", "check that the host has a GICv3 (`dmesg | grep -i gic`)"),
            (.interruptLine, "driving an interrupt line", "`dmesg` on the host may say more"),
            (.thread, "starting a thread", "raise the limit on processes (`ulimit -u`)"),
            (.signals, "catching signals", "`dmesg` on the host may say more"),
            (
                .terminal, "switching the terminal to raw mode",
                "run martlet in the foreground of a terminal, or redirect standard input"
            ),
            (.system, "asking the kernel", "`dmesg` on the host may say more"),
            (.wait, "waiting for the console", "`dmesg` on the host may say more"),
        ]
        for (step, name, next) in rows {
            expect(
                HostFailure.step(step, SystemError(5)), 5, "the machine cannot be built",
                "\(name) failed: input or output error, errno 5", next)
        }
    }
}

@Suite struct MemoryRefusalTests {
    private func expectRefusal(
        _ limits: MemoryLimits, error: Int32 = 12, _ why: String, _ next: String,
        location: SourceLocation = #_sourceLocation
    ) throws {
        let refusal = MemoryRefusal(
            asked: try MemorySize(parsing: "1G"), error: SystemError(error), limits: limits)
        expect(
            HostFailure.memory(refusal), 5, "the guest cannot have 1 GiB of memory", why, next, location: location)
    }

    @Test func pinnedMemoryIsLocked() throws {
        let refusal = MemoryRefusal(
            asked: try MemorySize(parsing: "1G"), error: SystemError(12),
            limits: MemoryLimits(addressSpace: nil, data: nil, locked: 64 << 20, machine: 8 << 30), purpose: .locking)
        expect(
            HostFailure.memory(refusal), 5, "the guest cannot have 1 GiB of memory",
            "pinned memory counts as locked, and the limit on that is 64 MiB",
            "raise it with `ulimit -l unlimited`, give less with `--memory`, or leave `--private-memory` out")
    }

    @Test func theLowestLimitIsNamed() throws {
        try expectRefusal(
            MemoryLimits(addressSpace: 512 << 20, data: nil, machine: 8 << 30), "the limit on address space is 512 MiB",
            "raise it with `ulimit -v unlimited`, or give less with `--memory`")
        // A limit of just the guest's size leaves nothing for the program itself.
        try expectRefusal(
            MemoryLimits(addressSpace: 1 << 30, data: nil, machine: 8 << 30), "the limit on address space is 1 GiB",
            "raise it with `ulimit -v unlimited`, or give less with `--memory`")
        try expectRefusal(
            MemoryLimits(addressSpace: 64 << 30, data: 256 << 20, machine: 8 << 30),
            "the limit on private memory is 256 MiB",
            "raise it with `ulimit -d unlimited`, or give less with `--memory`")
        try expectRefusal(
            MemoryLimits(addressSpace: nil, data: nil, machine: 1 << 30),
            "the host has 1 GiB of memory and swap together", "give less with `--memory`, or add swap")
        try expectRefusal(
            MemoryLimits(addressSpace: nil, data: nil, machine: 8 << 30),
            "the host's kernel will not promise that much (out of memory, errno 12)",
            "give less with `--memory`, stop something, or raise `vm.overcommit_ratio` "
                + "(`sysctl vm.overcommit_memory`)")
        try expectRefusal(
            MemoryLimits(addressSpace: 1, data: 1, machine: 1), error: 1, "operation not permitted, errno 1",
            "`dmesg` on the host may say more")
    }
}

@Suite struct RunOutcomeTests {
    @Test func reports() {
        let rows: [(RunOutcome, Int32, String, String)] = [
            (.poweredOff, 0, "poweroff", "the guest powered off"),
            (.reset, 32, "reset", "the guest asked for a reset"),
            (.crashed, 33, "crash", "the guest crashed"),
            (.escaped, 34, "escape", "left by the console escape; the guest was ended"),
            (.signal(15), 143, "signal", "ended by signal 15"),
            (.signal(2), 130, "signal", "ended by signal 2"),
            (.consoleClosed, 6, "console-closed", "standard output was closed; the guest was ended"),
            (
                .entryFailed(processor: 1, reason: 0xAB), 6, "entry-failed",
                "CPU 1 cannot enter the guest (reason 0xab)"
            ),
            (.internalError(processor: 0, code: 3), 6, "internal-error", "KVM gave up on CPU 0 (internal error 3)"),
            (
                .unknownExit(processor: 2, reason: 4, detail: 5), 6, "unknown-exit",
                "CPU 2 stopped for a reason unknown to martlet (exit 4, detail 5)"
            ),
            (
                .runFailed(processor: 0, SystemError(38)), 6, "run-failed",
                "running CPU 0 failed: the guest accessed an address without memory with an instruction that KVM "
                    + "cannot describe"
            ),
            (
                .runFailed(processor: 0, SystemError(14)), 6, "run-failed",
                "running CPU 0 failed: the guest's memory is not accessible to KVM (bad address, errno 14)"
            ),
            (
                .interruptLineFailed(SystemError(22)), 6, "interrupt-line-failed",
                "KVM refused to drive an interrupt line: invalid argument, errno 22"
            ),
            (
                .waitFailed(SystemError(12)), 6, "wait-failed",
                "waiting for the console failed: out of memory, errno 12"
            ),
        ]
        for (outcome, status, word, sentence) in rows {
            #expect(outcome.status.number == status)
            #expect(outcome.report(as: .text) == "martlet: \(sentence)\n")
            #expect(
                outcome.report(as: .json)
                    == #"{"event":"end","reason":"\#(word)","message":"\#(sentence)","exit":\#(status)}"# + "\n")
        }
    }
}
