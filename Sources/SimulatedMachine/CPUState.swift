// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the machine keeps for each CPU: its registers, what its barriers have not completed yet,
// and a cache of EL2 walks that only makes the simulation fast.

import Arm
import Machine
import TableWalker

/// The state of one CPU.
final class CPUState {
    let index: Int
    var registers: [UInt64]
    var isOn = false
    /// The TLB still holds whatever it held when the CPU got its power.
    var hasUnknownTLB = false
    /// Translations of EL1 and EL0 made while stage-2 was off may still be cached, under this VMID.
    var bypassVMID: UInt16?
    /// CPUs whose outstanding TLBI ends `bypassVMID`.
    var endingBypass: UInt64 = 0
    /// Some TLBI of this CPU waits for its DSB.
    var hasOutstandingInvalidation = false
    /// Slots of pages with stores that no barrier of this CPU has published.
    var unpublishedSlots: [Int] = []
    /// Slots that were cleaned and wait for the barrier that completes it.
    var cleaningSlots: [Int] = []
    /// Records of EL1 that were begun while some unit was on, and that no synchronisation has waited for.
    var hasRecordsInFlight = false
    /// The vCPU that was last entered under each VMID, by its page: whose stage-1 translations, which the
    /// model has none of, this CPU's TLB may hold.
    var translationsOf: [UInt16: UInt64] = [:]
    /// The locks that EL2 holds on this CPU, in the order in which it took them.
    var locks: [LockRank] = []
    /// The trees that this CPU's registers point to; indices into `SimulatedMachine.trees`.
    var hypervisorTree: Int?
    var stage2Tree: Int?

    /// Walks of EL2's stage-1 that were found good in `epoch`.
    struct CachedWalk {
        var page: UInt64 = ~0
        var epoch: UInt64 = 0
        var frame: UInt64 = 0
        var slot: Int = 0
        var writable = false
    }
    var walks: [CachedWalk]

    init(index: Int, identification id: CPUFeatures.Registers) {
        self.index = index
        registers = Array(repeating: 0, count: SystemRegister.allCases.count)
        walks = Array(repeating: CachedWalk(), count: 64)
        // Affinity level 0 has up to 16 CPUs, as GICv3 wants it; bit 31 is RES1.
        self[.mpidrEL1] = 1 << 31 | UInt64(index >> 4) << 8 | UInt64(index & 15)
        self[.midrEL1] = 0x410F_D083
        self[.currentEL] = 2 << 2
        self[.idAA64PFR0] = id.pfr0
        self[.idAA64PFR1] = id.pfr1
        // SVE2 with BFloat16, where there is SVE.
        self[.idAA64ZFR0] = (id.pfr0 >> 32) & 0xF == 0 ? 0 : 1 << 20 | 1
        self[.idAA64DFR0] = id.dfr0
        self[.idAA64ISAR0] = id.isar0
        self[.idAA64ISAR1] = id.isar1
        self[.idAA64ISAR2] = id.isar2
        self[.idAA64MMFR0] = id.mmfr0
        self[.idAA64MMFR1] = id.mmfr1
        self[.idAA64MMFR2] = id.mmfr2
        self[.ctrEL0] = 0x8444_C004 | id.ctr
        // Four list registers; five bits of priority and of preemption.
        self[.ichVtrEL2] = 4 << 29 | 4 << 26 | 3
    }

    /// Becomes what another is, but for what only makes it fast.
    func become(_ other: CPUState) {
        registers = other.registers
        isOn = other.isOn
        hasUnknownTLB = other.hasUnknownTLB
        bypassVMID = other.bypassVMID
        endingBypass = other.endingBypass
        hasOutstandingInvalidation = other.hasOutstandingInvalidation
        unpublishedSlots = other.unpublishedSlots
        cleaningSlots = other.cleaningSlots
        hasRecordsInFlight = other.hasRecordsInFlight
        translationsOf = other.translationsOf
        locks = other.locks
        hypervisorTree = other.hypervisorTree
        stage2Tree = other.stage2Tree
    }

    subscript(register: SystemRegister) -> UInt64 {
        get { registers[Int(register.rawValue)] }
        set { registers[Int(register.rawValue)] = newValue }
    }

    var bit: UInt64 { 1 << UInt64(index) }

    /// HCR_EL2.VM.
    var hasStage2: Bool { self[.hcrEL2] & 1 == 1 }
    /// SCTLR_EL2.M, with a root to walk from.
    var hasStage1: Bool { self[.sctlrEL2] & 1 == 1 && self[.ttbr0EL2] != 0 }
    /// EL1's MMU is on, and TCR_EL1.EPD0 and EPD1 forbid it every walk: so nothing of stage-2 is
    /// walked for EL1 and EL0 either.
    var hasWalksOff: Bool {
        let noWalks: UInt64 = 1 << 7 | 1 << 23
        return self[.sctlrEL1] & 1 == 1 && self[.tcrEL1] & noWalks == noWalks
    }
    /// VTTBR_EL2.VMID.
    var vmid: UInt16 { UInt16(truncatingIfNeeded: self[.vttbrEL2] >> 48) }

    /// Registers that a reset leaves alone because they say what the CPU is.
    static let identity: [SystemRegister] = [
        .midrEL1, .mpidrEL1, .currentEL, .idAA64PFR0, .idAA64PFR1, .idAA64ZFR0, .idAA64DFR0, .idAA64ISAR0,
        .idAA64ISAR1, .idAA64ISAR2, .idAA64MMFR0, .idAA64MMFR1, .idAA64MMFR2, .idAA64MMFR3, .ctrEL0, .ichVtrEL2,
    ]
}

/// A store to a live table that walkers need not see yet.
struct PendingStore {
    /// What the walkers read until the store is published.
    var old: UInt64
    var cpu: Int
}

/// A tree of tables that a register points to, or pointed to and may still be cached.
struct Tree {
    var regime: Regime
    var shape: WalkShape
    var vmid: UInt16
    /// CPUs whose registers point to the root, with translation on.
    var active: UInt64 = 0
    /// CPUs that may hold entries from this tree; includes `active`.
    var cached: UInt64 = 0
    /// CPUs whose outstanding TLBI ends the caching by others than `active`.
    var ending: UInt64 = 0
    /// Pages came under it with lines that are harmless only with HCR_EL2.FWB.
    var needsForcedWriteBack = false

    /// Its pages have been forgotten; the place can be used again.
    var isDropped = false

    var isTracked: Bool { active | cached != 0 }
}

/// What the machine knows of a page that is a table of a tracked tree.
struct TableRecord {
    var tree: Int
    var level: UInt8
    /// First input frame that the table covers.
    var input: UInt64
    /// The tree no longer points to it, but a walk may: the stale entry with this serial.
    var detachedBy: UInt64?
}
