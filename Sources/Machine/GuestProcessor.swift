// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a CPU at EL2 can do for a guest, beyond what it can do for the hypervisor itself.

public import Arm

/// Why a guest came back to EL2.
public enum GuestExit: UInt64, Sendable {
    /// A synchronous exception: ESR_EL2, FAR_EL2 and HPFAR_EL2 say which.
    case synchronous = 0
    /// A physical interrupt, which is still pending for the host to take.
    case interrupt = 1
    /// A physical SError.
    case systemError = 2
}

/// A CPU that can run guests.
public protocol GuestProcessor: Processor {
    /// Whether `enterGuest` lets the hypervisor's quick answers have the first word about a synchronous
    /// exception, and returns only if they have none: the vectors of silicon do, before they save all
    /// registers.
    static var answersQuickly: Bool { get }
    /// Loads the guest's general registers, PC and PSTATE from the first words of its vCPU page
    /// (`VCPUField`), runs it until an exception takes it back, and stores them again. Everything
    /// else that the guest must or must not see has been put in place before.
    func enterGuest(_ vcpu: Address<HypervisorVirtual>) -> GuestExit
    /// 64 bits from the CPU's generator (RNDR), 0 if it has none to give. Only with FEAT_RNG.
    func hardwareRandom() -> UInt64
    /// Drops all instruction caches' contents in the inner shareable domain (IC IALLUIS), completed.
    func invalidateInstructionCaches()
    /// Waits until profiling and trace units have written what they had buffered (PSB CSYNC, TSB
    /// CSYNC, DSB NSH). They have been stopped before.
    func drainProfiling()
    /// Drops this CPU's stage-1 and combined entries of the current VMID, and its instruction cache
    /// (TLBI VMALLE1, IC IALLU, completed).
    func invalidateLocalGuest()
    /// Empties the list registers above the four that runs use, up to the given index.
    func clearUpperListRegisters(last: UInt64)
    /// What VBAR_EL2 holds while a guest runs: vectors that save it to its pages.
    func guestVectors(_ mitigation: BranchMitigation) -> UInt64
    /// What VBAR_EL2 holds while the host runs.
    func hostVectors(_ mitigation: BranchMitigation) -> UInt64
    /// Translates a virtual address with the guest's stage-1, as a read by EL1 (AT S1E1R), while the
    /// guest's registers are loaded. Nil if that fails. PAR_EL1 is as before.
    func translateWithStage1(_ address: UInt64) -> TranslatedAddress?
    /// Stores `v0`…`v31`, FPCR and FPSR. CPTR_EL2 traps none of them.
    func saveVectors(to area: Address<HypervisorVirtual>)
    /// Loads them.
    func restoreVectors(from area: Address<HypervisorVirtual>)
    /// Stores `z0`…`z31`, `p0`…`p15`, FFR, FPCR and FPSR with the largest vector length that
    /// ZCR_EL2 allows. CPTR_EL2 traps none of them.
    func saveScalableVectors(to area: Address<HypervisorVirtual>)
    /// Loads them.
    func restoreScalableVectors(from area: Address<HypervisorVirtual>)
    /// Bytes of a scalable vector with the largest length that ZCR_EL2 allows (RDVL). CPTR_EL2 does
    /// not trap it.
    func scalableVectorBytes() -> UInt64
}
