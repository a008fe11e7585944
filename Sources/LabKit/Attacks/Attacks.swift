// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The table of attacks. Those that are tried name the defences without which they must succeed.

/// All attacks.
public enum Attacks {
    /// In the order of their names.
    public static let all: [Attack] = memory + calls + vcpus + guests + processes + waiting

    /// A. The host against who owns memory.
    private static let memory: [Attack] = [
        Attack(
            "A01", .host, "reads, writes and executes a page that a protected guest owns",
            against: "the page leaves the host's stage-2", simulated: [.donatedPagesLeaveHost],
            emulated: [.donatedPagesLeaveHost]),
        Attack(
            "A02", .host, "the same by the process's mapping, system calls and files",
            against: "the page leaves the host's stage-2", emulated: [.donatedPagesLeaveHost]),
        Attack(
            "A03", .host, "donates one page to two guests", against: "a donated page has one owner before",
            simulated: [.donatedPagesAreExclusive], emulated: [.donatedPagesAreExclusive]),
        Attack(
            "A03b", .host, "lends a protected guest's page to a normal one", against: "only the owner lends",
            simulated: [.lentPagesAreTheHosts], emulated: [.lentPagesAreTheHosts]),
        Attack(
            "A04", .host, "donates pages of the hypervisor", against: "EL2 takes only what the host alone owns",
            simulated: [.takenPagesAreExclusive], emulated: [.lentPagesAreTheHosts]),
        Attack(
            "A05", .host, "donates what is no memory",
            against: "the memory map of installation, and the ledger behind it",
            simulated: [.onlyMemoryIsGiven, .takenPagesAreExclusive, .donatedPagesAreExclusive],
            emulated: [.onlyMemoryIsGiven, .takenPagesAreExclusive, .donatedPagesAreExclusive]),
        Attack(
            "A06", .host, "names guest addresses beyond the guest's address space", against: "ranges are checked once",
            simulated: [.guestRangesEnd]),
        Attack(
            "A08", .host, "takes a guest's pages back while it runs", against: "a running vCPU holds its VM",
            simulated: [.runsHoldMachines], emulated: [.runsHoldMachines]),
        Attack(
            "A09", .host, "reads what a guest left in its pages", against: "pages come back zeroed",
            simulated: [.returnedPagesAreZeroed], emulated: [.returnedPagesAreZeroed]),
        Attack(
            "A09b", .host, "reads it around the caches", against: "the zeroes are cleaned to memory",
            simulated: [.returnedPagesAreCleaned]),
        Attack(
            "A11", .host, "keeps a TLB entry of a page that it donates",
            against: "invalidation before the call returns",
            simulated: [.changesAreInvalidated], emulated: [.changesAreInvalidated]),
        Attack(
            "A13", .host, "donates from the middle of a block", against: "break-before-make",
            simulated: [.blocksAreBroken]),
        Attack(
            "A13b", .host, "takes a neighbour back, so that a block is put together over a guest's page",
            against: "a block is made only of all its pages", simulated: [.blocksAreWhole], emulated: [.blocksAreWhole]),
        Attack(
            "A14", .host, "gives a guest's page for tables of another VM, for a vCPU, for the pool",
            against: "EL2 takes only what the host alone owns", simulated: [.takenPagesAreExclusive],
            emulated: [.takenPagesAreExclusive]),
        Attack(
            "A15", .host, "writes to a page that EL2 uses for tables", against: "the page leaves the host's stage-2",
            simulated: [.takenPagesLeaveHost], emulated: [.takenPagesLeaveHost]),
        Attack(
            "A17", .host, "lends a page to a protected guest, in the place of none",
            against: "calls for normal VMs refuse protected ones", simulated: [.kindsAreKeptApart],
            emulated: [.kindsAreKeptApart]),
        Attack(
            "A18", .host, "gives a running guest a page with content of its choice",
            against: "content enters before the first run only", simulated: [.contentComesFirst],
            emulated: [.contentComesFirst]),
    ]

    /// B. The host against calls, lifetimes and power.
    private static let calls: [Attack] = [
        Attack(
            "B01", .host, "takes EL2 back by a call of the installation", against: "phases end",
            simulated: [.phasesAreKeptApart], emulated: [.phasesAreKeptApart]),
        Attack(
            "B02", .host, "makes calls by other immediates and numbers", against: "a closed table of calls",
            simulated: [.immediatesAreZero], emulated: [.immediatesAreZero]),
        Attack(
            "B03", .host, "uses a handle after its VM's end", against: "handles count generations",
            simulated: [.handlesAreUsedOnce], emulated: [.handlesAreUsedOnce]),
        Attack(
            "B04", .host, "runs one vCPU on two CPUs", against: "a run claims its vCPU", simulated: [.runsAreExclusive],
            emulated: [.runsAreExclusive]),
        Attack(
            "B06", .host, "runs a vCPU of a VM that is being ended", against: "an ending VM is closed",
            simulated: [.endingMachinesAreClosed], emulated: [.endingMachinesAreClosed]),
        Attack(
            "B07", .host, "goes on at EL2 by the stub's SOFT_RESTART", against: "EL2 returns to EL1, always",
            simulated: [.restartsStayAtEL1], emulated: [.restartsStayAtEL1]),
        Attack(
            "B08", .host, "unloads the module, hibernates, takes a CPU out and puts it back, while a guest lives",
            against: "refusals, and firmware is told EL2's entry", emulated: [.startsPassEL2]),
        Attack(
            "B08b", .host, "restarts the machine and reads what guests had", against: "memory is wiped before",
            simulated: [.endsWipeGuests]),
        Attack(
            "B09", .host, "starts a CPU in the hypervisor's code", against: "the entry must be the host's",
            simulated: [.entriesAreTheHosts], emulated: [.entriesAreTheHosts]),
        Attack(
            "B09b", .host, "starts a CPU at an entry of its own, at EL2", against: "firmware is told EL2's entry",
            simulated: [.startsPassEL2]),
        Attack(
            "B11", .host, "has firmware act on addresses, by SiP and OEM calls", against: "a list of what is allowed",
            simulated: [.firmwareCallsAreListed], emulated: [.firmwareCallsAreListed]),
        Attack(
            "B14", .host, "reads and patches the image after installation", against: "the carve-out is never mapped",
            simulated: [.carveOutIsHidden], emulated: [.carveOutIsHidden]),
    ]

    /// C. The host against vCPUs, time and interrupts.
    private static let vcpus: [Attack] = [
        Attack(
            "C01", .host, "reads and writes registers of a protected vCPU", against: "they are nobody's",
            simulated: [.registersAreHidden], emulated: [.registersAreHidden]),
        Attack(
            "C02", .host, "gives a vCPU the state EL2h", against: "a vCPU's state is EL1 or EL0",
            simulated: [.guestStatesAreChecked], emulated: [.guestStatesAreChecked]),
        Attack(
            "C03", .host, "answers one load twice", against: "what is pending is taken once",
            simulated: [.accessesCompleteOnce], emulated: [.accessesCompleteOnce]),
        Attack(
            "C04", .host, "injects an abort where none is due", against: "only a pending access aborts",
            simulated: [.abortsAreOwed], emulated: [.abortsAreOwed]),
        Attack(
            "C05", .host, "finds a guest's vector registers in the CPU", against: "the host's are restored",
            simulated: [.hostVectorsComeBack], emulated: [.hostVectorsComeBack]),
        Attack(
            "C05b", .host, "finds a guest's EL1 registers in the CPU", against: "the host's are restored",
            simulated: [.hostContextComesBack]),
        Attack(
            "C07", .host, "shifts a protected guest's counter", against: "its offset is zero",
            simulated: [.countersHaveNoOffset], emulated: [.countersHaveNoOffset]),
        Attack(
            "C08", .host, "fills list registers with special numbers", against: "list registers are checked",
            simulated: [.listsAreChecked], emulated: [.listsAreChecked]),
        Attack(
            "C09", .host, "ties a list register to an interrupt of the machine", against: "only to the timer's",
            simulated: [.hardwareIsTheTimers], emulated: [.hardwareIsTheTimers]),
        Attack(
            "C10", .host, "finds a guest's interrupts in the CPU", against: "the interface is emptied",
            simulated: [.interfacesAreEmptied], emulated: [.interfacesAreEmptied]),
        Attack(
            "C12", .host, "starts a second vCPU of a protected guest", against: "only the guest's CPU_ON does",
            simulated: [.startsAreTheGuests], emulated: [.startsAreTheGuests]),
        Attack(
            "C14", .host, "re-enters a guest that got to AArch32", against: "such a vCPU is off",
            simulated: [.aarch32Ends], emulated: [.aarch32Ends]),
        Attack(
            "C15", .host, "learns where and why a protected guest failed", against: "the report is empty",
            simulated: [.failuresSayNothing]),
        Attack(
            "C16", .host, "reads a protected guest's timer at every exit", against: "it shows while the guest waits",
            simulated: [.timersAreHidden]),
        Attack(
            "C17", .host, "runs a protected VM that has ended itself", against: "its end is final",
            simulated: [.endsAreFinal]),
    ]

    /// D. Guests, and what they must not show or see.
    private static let guests: [Attack] = [
        Attack(
            "D04", .guest, "stores outside all windows, and the host reads the value",
            against: "only windows are devices", simulated: [.onlyWindowsAreDevices], emulated: [.onlyWindowsAreDevices]
        ),
        Attack(
            "D04b", .host, "makes a guest's memory a window", against: "windows come first, and have no memory",
            simulated: [.windowsAreFixed], emulated: [.windowsAreFixed]),
        Attack(
            "D04c", .guest, "stores across the ends of a window, and the host reads what is memory's",
            against: "only whole accesses are shown", simulated: [.accessesAreWhole], emulated: [.accessesAreWhole]),
        Attack(
            "D05", .guest, "calls firmware", against: "SMC traps, and is answered at EL2",
            simulated: [.guestInstructionsTrap], emulated: [.guestInstructionsTrap]),
        Attack(
            "D06", .guest, "reads the machine's performance counters", against: "they trap, and are undefined",
            simulated: [.performanceCountersTrap], emulated: [.performanceCountersTrap]),
        Attack(
            "D06b", .guest, "uses registers that no guest has", against: "what is not listed is undefined",
            simulated: [.unknownRegistersAreUndefined], emulated: [.unknownRegistersAreUndefined]),
        Attack(
            "D07", .guest, "cleans caches by set and way, uses implementation defined registers",
            against: "they trap", simulated: [.guestInstructionsTrap], emulated: [.guestInstructionsTrap]),
        Attack(
            "D11", .guest, "finds what others left in fresh pages", against: "a guest gets zeroed pages",
            simulated: [.guestPagesAreZeroed], emulated: [.guestPagesAreZeroed]),
        Attack(
            "D12", .guest, "uses TLB entries of another vCPU", against: "the TLB forgets at a change of vCPU",
            simulated: [.translationsAreOnesOwn]),
    ]

    /// G. Processes.
    private static let processes: [Attack] = [
        Attack(
            "G06", .process, "gives memory back under its guest, which reads what another process has there",
            against: "the module takes pages from guests first", emulated: [.unmappedPagesLeaveGuests]),
        Attack(
            "G06b", .process, "gives memory back while its slot is being deleted under its guest",
            against: "a slot that goes is found until its pages are taken", emulated: [.unmappedPagesLeaveGuests]),
        Attack(
            "G08", .process, "has the kernel read a protected guest's memory for it, by calls and pipes",
            against: "the page leaves the host's stage-2", emulated: [.donatedPagesLeaveHost]),
    ]
}
