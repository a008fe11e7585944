// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Why the traps in the images are right: by file and kind, with how many there are.

/// The reasons.
enum TrapReasons {
    /// At EL2 a trap is a panic: the machine goes on without guests, and keeps their memory.
    static let hypervisor: [TrapReason] = [
        TrapReason(
            "", "fatal error", 1,
            "A function of Swift's run-time library for languages with exceptions, which nothing "
                + "calls."),
        TrapReason(
            "", "panic", 1,
            "`EarlyFrames.returnTable`: before the pool exists nothing frees a table."),
        TrapReason(
            "EL2Processor+Registers.swift", "panic", 1,
            "The call of a register by a name that the machine layer does not have: no such name "
                + "is in the core."),
        TrapReason(
            "EL2Processor.swift", "lock", 40,
            "A CPU that waits for a lock of one that has panicked: it panics too, which takes it "
                + "back to its host."),
        TrapReason(
            "Ledger.swift", "panic", 7,
            "Entries are written by `record` alone, and asked for where the memory map says RAM."),
        TrapReason(
            "MemoryState+Donate.swift", "panic", 2,
            "The pool was asked for the tables of a change before the change began (`canTake`, "
                + "`canTopUp`)."),
        TrapReason(
            "MemoryState+HostFault.swift", "panic", 1,
            "Taking whole ranges between RAM away needs no table: nothing is split."),
        TrapReason(
            "MemoryState+Lend.swift", "panic", 2,
            "The VM's pages for tables were counted before the change began; the ledger counts "
                + "what guests' tables map."),
        TrapReason(
            "MemoryState+Private.swift", "panic", 3,
            "The pool and the VM's pages for tables were counted before the change began."),
        TrapReason(
            "MemoryState+Window.swift", "panic", 4,
            "The pool was asked for the tables of a change before the change began, and the "
                + "window's tables stay."),
        TrapReason(
            "PagePool.swift", "panic", 1,
            "A page that is returned was taken: tables alone return pages."),
        TrapReason(
            "PageTable+Assign.swift", "panic", 1,
            "A table that goes was taken from where it returns to."),
        TrapReason(
            "PowerRelay.swift", "panic", 1,
            "A CPU that nobody started and that firmware does not switch off must not run: there "
                + "is nothing else to do."),
        TrapReason(
            "Root.swift", "panic", 4,
            "The root value is there from initialisation on, and its vectors are in use from then "
                + "on only."),
    ]

    /// In the module a trap is an oops of the kernel.
    static let module: [TrapReason] = [
        TrapReason(
            "", Traps.anyKind, 1,
            "Functions of Swift's run-time library which nothing calls, or checks that the "
                + "compiler has merged and that stand with their files below."),
        TrapReason(
            "CounterReport.swift", Traps.anyKind, 1,
            "It writes a report for root, of numbers and texts whose lengths are fixed: the "
                + "counts are far from any limit."),
        TrapReason(
            "EntryPoints.swift", Traps.anyKind, 2,
            "It runs once, while the module is loaded and the host is trusted, on numbers of the "
                + "machine and of the image that the module carries. No process and no guest reaches "
                + "it; a trap is an oops of the loading."),
        TrapReason(
            "GICDevice+Attributes.swift", Traps.anyKind, 4,
            "A range from 0 to how many regions there are."),
        TrapReason(
            "GICDevice.swift", Traps.anyKind, 14,
            "Ranges from 0 to the number of vCPUs or of regions, neither of which is ever "
                + "negative; a region's index is below how many there are."),
        TrapReason(
            "Image.swift", Traps.anyKind, 6,
            "It runs once, while the module is loaded and the host is trusted, on numbers of the "
                + "machine and of the image that the module carries. No process and no guest reaches "
                + "it; a trap is an oops of the loading."),
        TrapReason(
            "ImageHeader.swift", Traps.anyKind, 4,
            "It runs once, while the module is loaded and the host is trusted, on numbers of the "
                + "machine and of the image that the module carries. No process and no guest reaches "
                + "it; a trap is an oops of the loading."),
        TrapReason(
            "Installation.swift", Traps.anyKind, 24,
            "It runs once, while the module is loaded and the host is trusted, on numbers of the "
                + "machine and of the image that the module carries. No process and no guest reaches "
                + "it; a trap is an oops of the loading."),
        TrapReason(
            "InstallationReport.swift", Traps.anyKind, 1,
            "It runs once, while the module is loaded and the host is trusted, on numbers of the "
                + "machine and of the image that the module carries. No process and no guest reaches "
                + "it; a trap is an oops of the loading."),
        TrapReason(
            "MemoryPlan.swift", Traps.anyKind, 28,
            "It runs once, while the module is loaded and the host is trusted, on numbers of the "
                + "machine and of the image that the module carries. No process and no guest reaches "
                + "it; a trap is an oops of the loading."),
        TrapReason(
            "MemorySlots.swift", Traps.anyKind, 5,
            "Ranges from 0 to how many places have been used, which only grows from 0."),
        TrapReason(
            "Offer.swift", Traps.anyKind, 3,
            "It runs once, while the module is loaded and the host is trusted, on numbers of the "
                + "machine and of the image that the module carries. No process and no guest reaches "
                + "it; a trap is an oops of the loading."),
        TrapReason(
            "PanicRecord.swift", Traps.anyKind, 2,
            "It writes a report for root, of numbers and texts whose lengths are fixed: the "
                + "counts are far from any limit."),
        TrapReason(
            "PrivateFile.swift", Traps.anyKind, 22,
            "A chunk is below the number that the descriptor was made with: `PrivateMemory` "
                + "checks each index against its pages first. Pointers are the kernel's, which checks "
                + "its own allocations in C."),
        TrapReason(
            "Process.swift", Traps.anyKind, 3,
            "How many bytes are copied is a constant of the caller."),
        TrapReason(
            "RangeList.swift", Traps.anyKind, 27,
            "It runs once, while the module is loaded and the host is trusted, on numbers of the "
                + "machine and of the image that the module carries. No process and no guest reaches "
                + "it; a trap is an oops of the loading."),
        TrapReason(
            "RegisterList.swift", Traps.anyKind, 17,
            "The list has some hundred entries, all of them constants: no sum overflows."),
        TrapReason(
            "Requests.swift", Traps.anyKind, 4,
            "Pointers that the kernel has checked: each was allocated before the call that uses "
                + "it can be made. Numbers are checked where they come in."),
        TrapReason(
            "RunRegisters.swift", Traps.anyKind, 2,
            "The words are the kernel's, in an object that is aligned to them."),
        TrapReason(
            "Scratch.swift", Traps.anyKind, 32,
            "It runs once, while the module is loaded and the host is trusted, on numbers of the "
                + "machine and of the image that the module carries. No process and no guest reaches "
                + "it; a trap is an oops of the loading."),
        TrapReason(
            "Superpages.swift", Traps.anyKind, 21,
            "It runs once, while the module is loaded and the host is trusted, on numbers of the "
                + "machine and of the image that the module carries. No process and no guest reaches "
                + "it; a trap is an oops of the loading."),
        TrapReason(
            "TakeOver.swift", Traps.anyKind, 6,
            "It runs once, while the module is loaded and the host is trusted, on numbers of the "
                + "machine and of the image that the module carries. No process and no guest reaches "
                + "it; a trap is an oops of the loading."),
        TrapReason(
            "TemporaryTables.swift", Traps.anyKind, 19,
            "It runs once, while the module is loaded and the host is trusted, on numbers of the "
                + "machine and of the image that the module carries. No process and no guest reaches "
                + "it; a trap is an oops of the loading."),
        TrapReason(
            "TextSink.swift", Traps.anyKind, 7,
            "It writes a report for root, of numbers and texts whose lengths are fixed: the "
                + "counts are far from any limit."),
        TrapReason(
            "VCPU+Enter.swift", Traps.anyKind, 1,
            "The list registers are four, and so is their array."),
        TrapReason(
            "VCPU+Registers.swift", Traps.anyKind, 1,
            "Words of a copy whose number is a constant; the number of registers of a list fits "
                + "in any integer."),
        TrapReason(
            "VCPU+Run.swift", Traps.anyKind, 2,
            "Pointers that the kernel has checked: each was allocated before the call that uses "
                + "it can be made. Numbers are checked where they come in."),
        TrapReason(
            "VCPU.swift", Traps.anyKind, 6,
            "Pointers that the kernel has checked: each was allocated before the call that uses "
                + "it can be made. Numbers are checked where they come in."),
        TrapReason(
            "VM+Interrupts.swift", Traps.anyKind, 58,
            "A place in the store of interrupts comes from `GICShape.place`, which knows none "
                + "outside; the fuzz target interrupt-controller looks for one."),
        TrapReason(
            "VM+Lifetime.swift", Traps.anyKind, 4,
            "Pointers that the kernel has checked: each was allocated before the call that uses "
                + "it can be made. Numbers are checked where they come in."),
        TrapReason(
            "VM+Memory.swift", Traps.anyKind, 4,
            "Pointers that the kernel has checked: each was allocated before the call that uses "
                + "it can be made. Numbers are checked where they come in."),
        TrapReason(
            "VM+Pinned.swift", Traps.anyKind, 1,
            "Pointers that the kernel has checked: each was allocated before the call that uses "
                + "it can be made. Numbers are checked where they come in."),
        TrapReason(
            "VM+Private.swift", Traps.anyKind, 2,
            "Pointers that the kernel has checked: each was allocated before the call that uses "
                + "it can be made. Numbers are checked where they come in."),
        TrapReason(
            "VM.swift", Traps.anyKind, 14,
            "`MemorySlots` asks for places below its capacity alone; the fuzz target memory-slots "
                + "looks for another."),
        TrapReason(
            "Views.swift", Traps.anyKind, 3,
            "It writes a report for root, of numbers and texts whose lengths are fixed: the "
                + "counts are far from any limit."),
        TrapReason(
            "VirtualGIC+Flush.swift", Traps.anyKind, 4,
            "A list register's index is below how many the CPU has, and the ranks of interrupts "
                + "are four."),
        TrapReason(
            "VirtualGIC+Fold.swift", Traps.anyKind, 1,
            "A range from 0 to how many list registers there are."),
        TrapReason(
            "VirtualGIC+Registers.swift", Traps.anyKind, 7,
            "A range from 0 to the fields of a register, at most 64."),
        TrapReason(
            "VirtualGIC+SGI.swift", Traps.anyKind, 2,
            "A range from 0 to the number of vCPUs."),
        TrapReason(
            "VirtualGIC.swift", Traps.anyKind, 4,
            "vCPUs are counted from 0, and at most 64."),
    ]
}
