// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Faults in the exchange of registers between host and guest.

extension Mutants {
    private static let running = "Guest/Hypervisor+Run.swift"
    private static let exchange = "Guest/WorldSwitch.swift"
    private static let controls = "Guest/GuestControls.swift"
    private static let vectors = "Guest/Hypervisor+Vectors.swift"
    private static let interrupts = "Guest/Hypervisor+Interrupts.swift"

    static let worldSwitch: [Mutant] = [
        .left(
            "register-not-saved", .worldSwitch, "Guest/WorldSwitch.swift",
            out: "put(.ttbr0, .ttbr0EL1, .ttbr1EL1, context, on: processor)",
            "The host's page tables are lost."),
        .left(
            "register-not-restored", .worldSwitch, "Guest/WorldSwitch.swift",
            out: "get(.tpidrEL1, .tpidrEL1, .tpidrEL0, context, on: processor)",
            "A world reads a register of the other."),
        .left(
            "key-not-restored", .worldSwitch, "Guest/WorldSwitch.swift",
            out: "get(.apdbLo, .apdbKeyLo, .apdbKeyHi, context, on: processor)",
            "A world signs pointers with a key of the other."),
        .left(
            "interface-switched-off", .worldSwitch, "Power/ControlSnapshot.swift",
            out: "values[6] &= ~(1 << 3)",
            "The host turns off the registers by which a guest gets its interrupts."),
        .left(
            "guest-status-left", .worldSwitch, "Guest/WorldSwitch.swift",
            out: "processor.write(.farEL1, 0)",
            "The host reads at which address a guest faulted."),
        .left(
            "auxiliary-not-restored", .worldSwitch, "Guest/WorldSwitch.swift",
            out: "get(.afsr0, .afsr0EL1, .afsr1EL1, context, on: processor)",
            "A world reads a register of the other that only some CPUs have."),
        .left(
            "stack-not-saved", .worldSwitch, "Guest/WorldSwitch.swift",
            out: "put(.spEL1, .spEL1, .spEL0, context, on: processor)",
            "A world's stack pointer is lost."),
        .left(
            "guest-without-stage2", .worldSwitch, "Guest/Hypervisor+WorldSwitch.swift",
            out: "processor.write(.hcrEL2, hcr)",
            "The guest runs with what the host is allowed."),
        .left(
            "vectors-untrapped", .worldSwitch, "Guest/Hypervisor+WorldSwitch.swift",
            out: "processor.write(.cptrEL2, cptr)",
            "The guest reads the host's vector registers."),
        .left(
            "debug-untrapped", .worldSwitch, "Guest/Hypervisor+WorldSwitch.swift",
            out: "processor.write(.mdcrEL2, mdcr)",
            "The guest uses the host's debug and performance registers."),
        .left(
            "aarch32-untrapped", .worldSwitch, "Guest/Hypervisor+WorldSwitch.swift",
            out: "processor.write(.hstrEL2, 1 << 15)",
            "A register of AArch32 does not trap."),
        .left(
            "partition-open", .worldSwitch, "Guest/Hypervisor+WorldSwitch.swift",
            out: "if groups.contains(.mpam) { processor.write(.mpam2EL2, snapshot.mpam | 3 << 48) }",
            "The guest chooses the host's cache partition."),
        .left(
            "others-error", .worldSwitch, "Guest/Hypervisor+WorldSwitch.swift",
            out: "if groups.contains(.ras) { processor.write(.vdisrEL2, 0) }",
            "The guest reads a syndrome that is not its own."),
        .left(
            "hosts-affinity", .worldSwitch, "Guest/Hypervisor+WorldSwitch.swift",
            out: "processor.write(.vmpidrEL2, vmpidr)",
            "The guest reads the affinity of the CPU that it runs on."),
        .left(
            "affinity-stays", .worldSwitch, "Guest/Hypervisor+WorldSwitch.swift",
            out: "processor.write(.vmpidrEL2, processor.read(.mpidrEL1))",
            "The host reads a guest's affinity."),
        .left(
            "guests-vectors-stay", .worldSwitch, "Guest/Hypervisor+WorldSwitch.swift",
            out: "processor.write(.vbarEL2, hostVectors)",
            "The host's exceptions arrive at the guest's vectors."),
        .left(
            "counter-shifted", .worldSwitch, "Guest/Hypervisor+WorldSwitch.swift",
            out: "processor.write(.cntvoffEL2, guest.vm.load(.counterOffset, on: processor))",
            "The guest's virtual counter is the host's."),
        .left(
            "timer-open", .worldSwitch, "Guest/Hypervisor+WorldSwitch.swift",
            out: "processor.write(.cnthctlEL2, 1)",
            "The guest programs the host's physical timer."),
        .left(
            "tables-of-guest-stay", .worldSwitch, "Guest/Hypervisor+WorldSwitch.swift",
            out: "useHostTable(on: processor)",
            "The host runs with a guest's tables."),
        .left(
            "timer-not-silent", .worldSwitch, "Guest/Hypervisor+WorldSwitch.swift",
            out: """
                «processor.write(.cntvCtlEL0, 0)
                        processor.write(.cntvCvalEL0, 0)»
                """,
            "The host reads when a guest's timer fires."),
        .left(
            "timer-lost", .worldSwitch, "Guest/Hypervisor+WorldSwitch.swift",
            out: "if control & 7 == 5 { processor.write(.cntvCtlEL0, 1) }",
            "The host does not hear that a guest's timer fires."),
        .left(
            "walks-in-between", .worldSwitch, "Guest/Hypervisor+WorldSwitch.swift",
            out: "processor.write(.tcrEL1, host.tcr | WorldSwitch.noWalks)",
            "A speculative walk combines the host's stage-1 with the guest's stage-2."),
        .left(
            "walks-on-the-way-back", .worldSwitch, "Guest/Hypervisor+WorldSwitch.swift",
            out: "processor.write(.tcrEL1, own.tcr | WorldSwitch.noWalks)",
            "A speculative walk combines the guest's stage-1 with the host's stage-2."),
        .left(
            "panic-goes-to-host", .worldSwitch, running,
            out: "processor.store64(data.advanced(by: UInt64(MARTLET_PERCPU_HAS_HOST)), 0)",
            "A panic within a guest's run returns to a host whose registers are not there."),
        .value(
            "aarch32-answered", .worldSwitch, "Guest/Hypervisor+Run.swift",
            "guest.vcpu.state(on: processor).isAArch32", is: "false",
            "EL2 returns to a state that a guest must not have."),
        .left(
            "smc-untrapped", .worldSwitch, controls,
            out: "hcr |= 1 << 13 | 1 << 18 | 1 << 19 | 1 << 20 | 1 << 21 | 1 << 22 | 1 << 31 | 1 << 35",
            doing: "hcr |= 1 << 13 | 1 << 18 | 1 << 20 | 1 << 21 | 1 << 22 | 1 << 31 | 1 << 35",
            "The guest calls firmware."),
        .value(
            "interrupts-to-guest", .worldSwitch, controls,
            "var hcr: UInt64 = «1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9 | 1 << 10»",
            is: "1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 9 | 1 << 10",
            "The guest takes the host's interrupts."),
        .left(
            "hosts-vectors-unsaved", .worldSwitch, vectors,
            out: "} else {\n            «processor.saveVectors(to: area)»",
            "The host loses its vector registers."),
        .left(
            "guests-vectors-visible", .worldSwitch, vectors,
            out: "} else {\n            «processor.restoreVectors(from: area)»",
            "The host reads the guest's vector registers."),
        .left(
            "vectors-forgotten", .worldSwitch, vectors, out: "guest.hasVectors = true",
            "The host goes on with the guest's vector registers."),
        .value(
            "vector-length-unlimited", .worldSwitch, vectors,
            "exchangeVectorControl(from: area, to: own, limit: «length &- 1», on: processor)",
            is: "snapshot.vectorControl", "The guest reads the upper parts of the host's vector registers."),
        .left(
            "list-stays", .worldSwitch, "Guest/Hypervisor+Interrupts.swift",
            out: """
                frame.x[5] = processor.read(.ichLr0EL2)
                            «processor.write(.ichLr0EL2, 0)»
                """,
            "The host's CPU holds a guest's interrupt."),
        .left(
            "priorities-stay", .worldSwitch, "Guest/Hypervisor+Interrupts.swift",
            out: "processor.write(.ichAp0r0EL2, 0)",
            "The next guest on this CPU is deaf to interrupts."),
        .left(
            "interface-stays-on", .worldSwitch, "Guest/Hypervisor+Interrupts.swift",
            out: """
                let control = processor.read(.ichHcrEL2)
                        «processor.write(.ichHcrEL2, 0)»
                """,
            "The virtual interface signals interrupts to the host."),
        .left(
            "profiling-undrained", .worldSwitch, "Guest/ProfilingControls.swift",
            out: "processor.drainProfiling()",
            "A late record of the host's profiling lands in a guest's memory."),
        .left(
            "profiling-goes-on", .worldSwitch, "Guest/ProfilingControls.swift",
            out: "processor.write(.pmscrEL1, 0)",
            "The host profiles a guest, into the guest's memory."),
    ]
}
