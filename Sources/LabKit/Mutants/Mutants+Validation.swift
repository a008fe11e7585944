// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Faults in what is checked of the host's values.

extension Mutants {
    private static let registers = "Guest/MemoryState+Registers.swift"
    private static let machines = "Guest/MemoryState+VM.swift"

    static let validation: [Mutant] = [
        .unchecked(
            "guest-range-end", .validation, "Guest/GuestRange.swift", "count <= frames &- first",
            "A range runs past the VM's address space."),
        .unchecked(
            "guest-range-start", .validation, "Guest/GuestRange.swift", "first < frames",
            "A range begins behind the VM's address space."),
        .unchecked(
            "range-unlimited", .validation, "Guest/GuestRange.swift", "count <= limit",
            "One call keeps the lock for very long."),
        .unchecked(
            "guest-pages-of-devices", .validation, "Guest/GuestRange.swift",
            "map.covers(range, with: .ram, on: processor)",
            "A guest is lent a device's frames."),
        .unchecked(
            "donation-unlimited", .validation, "Memory/MemoryState+Donate.swift",
            "range.count <= Self.donationLimit", "One call keeps the lock for very long."),
        .unchecked(
            "block-misaligned-pages", .validation, machines, "first & (pages &- 1) == 0",
            "A concatenated root is not aligned to its size."),
        .unchecked(
            "block-without-room", .validation, machines, "pages > geometry.rootPages",
            "The VM's own page lies behind its block."),
        .unchecked(
            "vcpu-index", .validation, machines, "index < HostCall.maximumVCPUs",
            "A vCPU's place is behind the table of vCPUs."),
        .unchecked(
            "input-bits-too-many", .validation, machines, "inputBits <= hostTable.geometry.inputBits",
            "A VM has addresses that the CPU cannot translate."),
        .unchecked(
            "windows-too-many", .validation, "Guest/MemoryState+Private.swift",
            "index < HostCall.maximumWindows", "Windows are written over a VM's other fields."),
        .value(
            "window-one-too-long", .validation, "Guest/VMTable.swift", "page &- first < pages",
            is: "page &- first <= pages", "The page behind a window reaches the host."),
        .unchecked(
            "run-with-unknown-bits", .validation, "Guest/Hypervisor+Run.swift", "bits & 0xF0FC == 0",
            "A request that means nothing is carried out."),
        .unchecked(
            "run-with-high-bits", .validation, "Guest/Hypervisor+Run.swift", "bits >> 32 == 0",
            "A request that means nothing is carried out."),
        .unchecked(
            "too-many-lists", .validation, "Guest/Hypervisor+Run.swift",
            "listRegisters <= HostCall.listRegisters",
            "The host believes in list registers that are not loaded."),
        .unchecked(
            "any-interface-control", .validation, "Guest/Hypervisor+Run.swift",
            "interface.isSubset(of: .all)",
            "The host writes any bit of ICH_HCR_EL2."),
        .value(
            "firmware-open", .validation, "Calls/FirmwareFilter.swift",
            "default: return «isWithout(.firmwareCallsAreListed) ? .forward : .refuse»", is: ".forward",
            "The host makes any call of firmware."),
        .unchecked(
            "soc-id-of-any-type", .validation, "Calls/FirmwareFilter.swift", "argument & 0xFFFF_FFFF <= 1",
            "A call goes through that is not of the list."),
        .unchecked(
            "smc-of-any-immediate", .validation, "Calls/FirmwareCalls.swift", "immediate == 0",
            "An SMC that no convention knows is answered."),
        .value(
            "warm-reset", .validation, "Calls/FirmwareCalls.swift",
            "return endSystem(«.systemReset», on: processor)", is: ".systemReset2",
            "A reset keeps memory with what EL2 had there."),
        .unchecked(
            "hvc-of-any-immediate", .validation, "Calls/HostCalls.swift", "immediate == 0",
            "An HVC that is no host call is answered."),
        .left(
            "state-of-el2", .validation, registers, out: "case .aarch32, .forbidden: «throw .denied»",
            doing: "vcpu.setState(state, on: processor)",
            "The host makes EL2 return to a guest at EL2."),
        .unchecked(
            "state-cut-down", .validation, registers, "low & 0x1F == state.bits & 0x1F",
            "A state that is refused becomes another that is not."),
        .unchecked(
            "any-vector-length", .validation, registers, "lengths.contains(low)",
            "A vCPU has a vector length that the CPU has not."),
        .unchecked(
            "vector-length-again", .validation, registers, "vcpu.vectorLength(on: processor) == 0",
            "The places of a vCPU's vectors change."),
        .unchecked(
            "scalable-place", .validation, registers,
            "UInt64(index) < VCPURegister.scalableDoublewords(length)",
            "The host writes behind a vCPU's vector registers."),
        .unchecked(
            "mpidr-written", .validation, registers, "index != VCPURegister.System.mpidr.rawValue",
            "The host writes what is a place in no context."),
        .unchecked(
            "handle-of-any-slot", .validation, "Guest/VMTable.swift",
            "number & 0xFF < HostCall.maximumVMs", "A handle names a slot behind the table."),
        .unchecked(
            "unknown-access", .validation, "Calls/GuestManagementCalls.swift", "x5 & ~3 == 0",
            "An access that means nothing is granted."),
        .unchecked(
            "mapping-without-tables", .validation, "Guest/MemoryState+Lend.swift",
            "vm.load(.freeCount, on: processor) >= Self.tablesPerChange",
            "EL2 panics because the host gave a VM too few pages."),
        .unchecked(
            "unmapping-without-tables", .validation, "Guest/MemoryState+Lend.swift",
            "vm.load(.freeCount, on: processor) >= splits",
            "EL2 panics because the host gave a VM too few pages."),
        .value(
            "ownership-without-tables", .validation, "Memory/PagePool.swift",
            "freePages >= Self.ownershipThreshold &+ keptForSinks", is: "true",
            "EL2 panics because the host took the pool's pages back."),
        .value(
            "physical-interrupt", .validation, "Guest/Hypervisor+Interrupts.swift",
            "guard «number == timerInterrupt», (value", is: "true",
            "A guest ends a physical interrupt of the host's."),
        .value(
            "duplicate-list", .validation, "Guest/Hypervisor+Interrupts.swift",
            "«others[index] & 0xFFFF_FFFF == value & 0xFFFF_FFFF» {", is: "false",
            "Two list registers hold one interrupt."),
        .unchecked(
            "special-interrupt", .validation, "Guest/Hypervisor+Interrupts.swift", "number < 1020",
            "A list register holds a number that is none."),
        .value(
            "user-access-is-kernels", .validation, "Traps/HostTraps.swift",
            "processor.read(.farEL2) & (1 << 55) != 0 ? .kernelData : .other", is: ".kernelData",
            "A process gets the sink in place of a signal."),
    ]
}
