// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The hypervisor's defences that a test can take away, by number. Nothing of the product uses it: there
// every defence stands.

/// A defence of the hypervisor. An attack that fails with it has to succeed without it, or proves nothing.
public enum Defence: UInt64, CaseIterable, Sendable {
    /// The host's stage-2 loses the pages that a guest gets.
    case donatedPagesLeaveHost = 0
    /// The host's stage-2 loses the pages that EL2 gets.
    case takenPagesLeaveHost = 1
    /// Only a page that the host alone owns goes to a guest.
    case donatedPagesAreExclusive = 2
    /// Only a page that the host alone owns goes to EL2.
    case takenPagesAreExclusive = 3
    /// Only a page of the host's is lent.
    case lentPagesAreTheHosts = 4
    /// Only memory is given, no devices and no holes.
    case onlyMemoryIsGiven = 5
    /// Guest addresses end where the guest's address space does.
    case guestRangesEnd = 6
    /// No VM is ended while a vCPU of it runs.
    case runsHoldMachines = 7
    /// What goes back to the host is zeroed.
    case returnedPagesAreZeroed = 8
    /// The zeroes are in memory, for a host that looks past the caches.
    case returnedPagesAreCleaned = 9
    /// TLBs forget what a change of tables takes away.
    case changesAreInvalidated = 10
    /// A block is broken before a table takes its place.
    case blocksAreBroken = 11
    /// Only a table without holes becomes a block.
    case blocksAreWhole = 12
    /// What is for normal VMs is not done to protected ones.
    case kindsAreKeptApart = 13
    /// The calls of installation end with it.
    case phasesAreKeptApart = 14
    /// Only HVC #0 is a call.
    case immediatesAreZero = 15
    /// The handle of a VM that is gone names no other.
    case handlesAreUsedOnce = 16
    /// One CPU at a time runs a vCPU.
    case runsAreExclusive = 17
    /// Nothing is done to a VM that is being ended.
    case endingMachinesAreClosed = 18
    /// The stub's SOFT_RESTART goes on at EL1.
    case restartsStayAtEL1 = 19
    /// A CPU starts in the host's code only.
    case entriesAreTheHosts = 20
    /// A CPU starts in EL2.
    case startsPassEL2 = 21
    /// Firmware hears of the calls on the list, and of no others.
    case firmwareCallsAreListed = 22
    /// A protected vCPU's registers are nobody's.
    case registersAreHidden = 23
    /// A vCPU is at EL1 or EL0, whatever the host says.
    case guestStatesAreChecked = 24
    /// An access is completed once.
    case accessesCompleteOnce = 25
    /// An abort is injected for an access that waits for an answer, and for nothing else.
    case abortsAreOwed = 26
    /// Vector registers are the host's again when it runs.
    case hostVectorsComeBack = 27
    /// A protected guest's counter has no offset.
    case countersHaveNoOffset = 28
    /// List registers hold what they may.
    case listsAreChecked = 29
    /// No list register ends an interrupt of the machine's, but for the timer's.
    case hardwareIsTheTimers = 30
    /// The virtual CPU interface is empty after a run.
    case interfacesAreEmptied = 31
    /// A protected guest starts its other vCPUs itself.
    case startsAreTheGuests = 32
    /// A guest that has got to AArch32 never runs again.
    case aarch32Ends = 33
    /// What is no window is no device.
    case onlyWindowsAreDevices = 34
    /// After a protected guest's first run nothing that the host wrote enters it.
    case contentComesFirst = 35
    /// A failed guest's reasons are its own.
    case failuresSayNothing = 36
    /// A guest gets zeroed pages.
    case guestPagesAreZeroed = 37
    /// A vCPU finds no translations of another in the TLB.
    case translationsAreOnesOwn = 38
    /// Set and way, implementation defined registers and SMC trap from a guest.
    case guestInstructionsTrap = 39
    /// Performance counters trap from a guest.
    case performanceCountersTrap = 40
    /// The host's stage-2 leaves out what the hypervisor was installed with.
    case carveOutIsHidden = 41
    /// EL1's registers are the host's again when it runs.
    case hostContextComesBack = 42
    /// A CPU's registers are zero in a report that does not need them.
    case timersAreHidden = 43
    /// An MMIO window has no memory, and comes before the first run.
    case windowsAreFixed = 44
    /// A system register that no guest has is undefined for it.
    case unknownRegistersAreUndefined = 45
    /// A protected VM that has ended itself is not run again.
    case endsAreFinal = 46
    /// Memory of protected guests is wiped before the machine is switched off or reset.
    case endsWipeGuests = 47
    /// The module takes memory back from guests when their process loses it. This one is the module's.
    case unmappedPagesLeaveGuests = 48
    /// Of what goes on outside of a window the host hears nothing.
    case accessesAreWhole = 49

    /// Its bit in a set of defences.
    public var bit: UInt64 { 1 << rawValue }
}
