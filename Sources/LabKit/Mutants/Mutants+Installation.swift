// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Faults in taking over, and in starting CPUs.

extension Mutants {
    private static let building = "Memory/MemoryState+Initialise.swift"
    private static let block = "Memory/BootBlock.swift"
    private static let end = "Power/Hypervisor+SystemEnd.swift"
    private static let relay = "Power/PowerRelay.swift"

    /// The machine's end.
    static let systemEnd: [Mutant] = [
        .left(
            "end-without-wiping", .ownership, end, out: "state.wipeGuests(on: processor)",
            "What guests had is there for whoever starts next."),
        .value(
            "end-under-guests", .ownership, end, "state.stopGuests(again: looks > 1, on: processor)", is: "true",
            "A guest that runs writes its secrets again behind the wiping."),
        .left(
            "end-with-tables", .tlb, end, out: "invalidateAll(on: processor)",
            "A guest that runs goes on with what its TLB has."),
        .left(
            "end-with-registers", .ownership, end, out: "wipeRegisters(of: vm, on: processor)",
            "Guests' registers are there for whoever starts next."),
        .left(
            "end-with-kept-claim", .ownership, end, out: "vcpu.store(.runner, runner, on: processor)",
            "Where firmware refuses, a CPU may run a vCPU in whose page another one lies by now."),
        .unchecked(
            "end-of-returning", .ownership, end, "if «vm.phase(on: processor) != .returning» { return }",
            "Registers on their way back to the host are there for whoever starts next."),
        .unchecked(
            "end-of-gone", .ownership, end, "«vm.phase(on: processor) != .returning», let table",
            "The root of a VM that is the host's already is written, and EL2 stops before it has wiped the others."),
        .left(
            "end-in-cache", .cache, end, out: "processor.barrier(.cacheMaintenanceComplete)",
            "The zeroes may not be in memory when the machine is reset."),
    ]

    static let installation: [Mutant] = [
        .left(
            "own-pages-unrecorded", .ownership, building,
            out: "ledger.record(.hypervisor(.occupied(.superpage)), of: range, on: processor)",
            "EL2's own memory is the host's to donate."),
        .value(
            "host-maps-el2", .ownership, "Memory/MemoryState+Initialise.swift",
            "isWithout(.carveOutIsHidden) || ledger.state(of: page, on: processor) == .exclusiveToHost", is: "true",
            "The host reaches EL2's own memory."),
        .value(
            "denied-frames-mapped", .ownership, building, "guard «entry.kind != .deny» else", is: "true",
            "The host reaches frames that it must not."),
        .value(
            "stack-unguarded", .table, building, "try map(«area.advanced(by: 1)», end", is: "area",
            "A stack that overflows writes over another CPU's data."),
        .value(
            "code-writable", .table, building, "try map(boot.imageBase, boot.textEnd, «.code», &table", is: ".data",
            "EL2's code is data."),
        .value(
            "constants-writable", .table, building, "boot.readOnlyEnd, «.readOnly», &table", is: ".data",
            "EL2's constants can be written."),
        .unchecked(
            "map-out-of-reach", .validation, building, "geometry.contains(entry.range.end.number &- 1)",
            "The host's tables do not reach its memory."),
        .unchecked(
            "superpages-twice", .validation, block,
            "superpageAddress(earlier, on: processor) != address", "Two superpages are one."),
        .unchecked(
            "superpage-misaligned", .validation, block,
            "address & (pageSize &* pagesPerSuperpage &- 1) == 0",
            "Memory beside a superpage becomes EL2's."),
        .unchecked(
            "image-run-in-pieces", .validation, block,
            "address >> pageShift == imageBase.number &+ index &* pagesPerSuperpage",
            "The image lies in memory that was not given."),
        .unchecked(
            "superpage-not-memory", .validation, block, "map.covers(range, with: .ram, on: processor)",
            "EL2 lies in a device."),
        .unchecked(
            "any-magic", .validation, block, "word(0) == UInt64(MARTLET_MAGIC)",
            "Something that is no boot block is believed."),
        .unchecked(
            "any-protocol", .validation, block, "half(8) == UInt64(MARTLET_BOOT_PROTOCOL)",
            "A boot block of another version is believed."),
        .unchecked(
            "ranges-overlap", .validation, "Memory/MemoryMap.swift", "entry.range.first >= behind",
            "One frame is memory and something else."),
        .unchecked(
            "any-hcr", .validation, "Power/ControlSnapshot.swift", "hcr & (1 << 34 | 1 << 27) == 0",
            "EL2 is taken from a kernel that runs there."),
        .left(
            "host-unprotected", .worldSwitch, "Power/ControlSnapshot.swift",
            out: """
                processor.write(.mdcrEL2, values[2])
                        «processor.write(.hcrEL2, hostConfiguration)»
                """,
            "A CPU runs the host without its stage-2."),
        .left(
            "host-unprotected-after-guest", .worldSwitch, "Power/ControlSnapshot.swift",
            out: """
                replayRareForHost(groups, on: processor) }
                        «processor.write(.hcrEL2, hostConfiguration)»
                """,
            "The host runs with a guest's controls."),
        .value(
            "start-in-guest", .validation, relay, "case .hypervisor, .guest, .notMemory: «false»", is: "true",
            "A CPU begins with a guest's page as its code."),
        .unchecked(
            "start-misaligned", .validation, relay, "address & 3 == 0", "A CPU begins between instructions."),
        .left(
            "failed-start-kept", .validation, relay,
            out: "if answer.x0 != PSCIStatus.success.register { state.record(.off, of: cpu, on: processor) }",
            "A CPU that did not start can never be started."),
        .left(
            "arrival-unrecorded", .validation, relay,
            out: "«state.record(.on, of: cpu, on: processor)»\n                state.arrivals",
            "A CPU that arrived is thought to be on its way."),
        .unchecked(
            "unlike-cpus", .validation, "Calls/HostCalls.swift", "CPUFeatures(of: processor) == features",
            "EL2 uses registers that a CPU has not."),
        .unchecked(
            "confined-twice", .validation, "Calls/HostCalls.swift", "guard «isNew» else",
            "The hypervisor is final while a CPU is outside."),
        .unchecked(
            "withdraw-after-all", .validation, "Calls/HostCalls.swift",
            """
            guard «phase == .initialised || isWithout(.phasesAreKeptApart)» else { throw .notSupported }
                        return .withdraw
            """,
            "The host takes EL2 back."),
        .unchecked(
            "guests-before-final", .validation, "Calls/GuestManagementCalls.swift", "phase == .finalised",
            "VMs are made while a CPU is not confined."),
        .left(
            "interrupts-left-behind", .worldSwitch, "Hypervisor.swift",
            out: "clearInterruptInterface(on: processor)",
            "A CPU's list registers hold what the kernel left there."),
    ]
}
