// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a CPU at EL2 can do to the machine. All logic of the hypervisor is generic over this
// protocol; EL2Machine implements it with instructions, SimulatedMachine with a model that also
// checks what silicon forgives only sometimes.

public import Arm

/// Which accesses a barrier orders (DDI 0487, B2.6.9 and D8.16).
public enum Barrier: Sendable {
    /// DSB ISHST: stores, table updates among them, before a TLBI that follows.
    case storesBeforeInvalidation
    /// DSB ISH: completion of TLB maintenance on all CPUs before anything that follows.
    case invalidationComplete
    /// ISB: this CPU's later instructions see earlier register writes.
    case contextSynchronisation
    /// DSB SY: completion of cache maintenance to the point of coherency.
    case cacheMaintenanceComplete
}

/// A TLB invalidation, broadcast to the inner shareable domain (DDI 0487, D8.14).
public enum TLBInvalidation: Equatable, Sendable {
    /// TLBI IPAS2E1IS: stage-2-only entries, of any level, for one input page of the current VMID.
    case stage2(Frame<HostPhysical>)
    /// TLBI VMALLE1IS: stage-1 and combined entries of the current VMID.
    case combined
    /// TLBI VMALLS12E1IS: all entries of the current VMID.
    case wholeVMID
    /// TLBI VAE2IS: EL2's entries for one page.
    case hypervisor(Frame<HypervisorVirtual>)
    /// TLBI ALLE2IS: all of EL2's entries.
    case wholeHypervisor
}

/// What a CPU does with the word by which a lock goes from hand to hand, and with which order.
public enum HandOver: Sendable {
    /// Reads it, before anything that follows (LDAR and its kin).
    case acquired
    /// Reads it, without any order.
    case readRelaxed
    /// Writes it, behind everything before (STLR).
    case released
    /// Writes it, without any order.
    case writtenRelaxed
}

/// One CPU that executes at EL2.
///
/// A value of a conforming type names the CPU; it is small and copied freely. Memory is reached
/// through EL2's own stage-1: an address that is not mapped there is a fatal error of the
/// hypervisor, on silicon and in the model alike.
public protocol Processor: Sendable {
    /// Reads 8 bytes at a multiple of 8, as one access.
    func load64(_ address: Address<HypervisorVirtual>) -> UInt64
    /// Writes 8 bytes at a multiple of 8, as one access.
    func store64(_ address: Address<HypervisorVirtual>, _ value: UInt64)
    /// Reads two words at a multiple of 8 that nobody else writes meanwhile.
    func loadPair64(_ address: Address<HypervisorVirtual>) -> (UInt64, UInt64)
    /// Writes two words at a multiple of 8 that nobody else reads or writes meanwhile.
    func storePair64(_ address: Address<HypervisorVirtual>, _ first: UInt64, _ second: UInt64)
    /// Reads 8 bytes before everything that follows.
    func loadAcquire64(_ address: Address<HypervisorVirtual>) -> UInt64
    /// Writes 8 bytes after everything before.
    func storeRelease64(_ address: Address<HypervisorVirtual>, _ value: UInt64)
    /// Writes 8 bytes if they are what is expected, in one step: after everything before, and before everything
    /// that follows. Whether it has.
    func exchange64(_ address: Address<HypervisorVirtual>, _ expected: UInt64, for value: UInt64) -> Bool
    /// Reads 4 bytes at a multiple of 4, as one access.
    func load32(_ address: Address<HypervisorVirtual>) -> UInt32
    /// Writes 4 bytes at a multiple of 4, as one access.
    func store32(_ address: Address<HypervisorVirtual>, _ value: UInt32)
    /// Writes zeroes over one page.
    func zeroPage(_ page: Frame<HypervisorVirtual>)
    /// Writes zeroes over pages.
    func zeroPages(_ pages: FrameRange<HypervisorVirtual>)
    /// Cleans and invalidates one page to the point of coherency (DC CIVAC). The caller adds
    /// `Barrier.cacheMaintenanceComplete`.
    func cleanAndInvalidatePage(_ page: Frame<HypervisorVirtual>)
    /// Writes zeroes over pages, and cleans and invalidates them to the point of coherency, line by line. The caller
    /// adds `Barrier.cacheMaintenanceComplete`.
    func zeroAndCleanPages(_ pages: FrameRange<HypervisorVirtual>)
    /// Executes a barrier.
    func barrier(_ barrier: Barrier)
    /// Executes a TLB invalidation. Ordering is the caller's.
    func invalidate(_ entries: TLBInvalidation)
    /// Drops this CPU's own TLB entries of every regime and VMID (TLBI ALLE1, TLBI ALLE2, not
    /// broadcast): what a CPU does before it first relies on new tables.
    func invalidateLocalTLB()
    /// Makes `root` this CPU's EL2 stage-1, with write-implies-execute-never on. The MMU is off for
    /// the moment of the change and the CPU's EL2 TLB entries are dropped in between, because old
    /// and new tables may map one address with different sizes (break-before-make has no other
    /// form for a whole tree). Code, stack and data in use must be mapped identically by both.
    func adoptHypervisorRoot(_ root: Frame<HostPhysical>)
    /// Reads a system register. The caller knows that it exists.
    func read(_ register: SystemRegister) -> UInt64
    /// Writes a system register. The caller knows that it exists.
    func write(_ register: SystemRegister, _ value: UInt64)
    /// Calls firmware with SMC #0.
    func callFirmware(_ registers: FirmwareRegisters) -> FirmwareRegisters
    /// This CPU has just read, or is about to write, the word of a lock at an address, and does so with this
    /// order. Silicon need not be told; a model checks by it who can have seen what.
    func handsOver(_ lock: UInt, _ handOver: HandOver)
    /// What the CPU does in one turn of a loop that waits for another CPU.
    func relax()
    /// The CPU is about to wait for a lock: a model checks the order. Silicon does nothing.
    func takesLock(_ rank: LockRank)
    /// The CPU has released it.
    func releasesLock(_ rank: LockRank)
    /// The hypervisor has found its own state broken. Does not return to the caller.
    func panic(_ message: StaticString) -> Never
}

extension Processor {
    /// Nothing.
    @inlinable
    @inline(__always)
    public func handsOver(_ lock: UInt, _ handOver: HandOver) {}
}
