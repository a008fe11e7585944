// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Exchanging EL1's and EL0's registers between host and guest.

import Arm
import CBootProtocol
import HypervisorInterface
import Machine

/// The registers that host and guest both use at EL1 and EL0, and how they are exchanged: by pairs, which
/// one instruction moves.
enum WorldSwitch {
    /// Where each register stands in a context.
    enum Slot: Int, CaseIterable {
        case sctlr, cpacr, ttbr0, ttbr1, tcr, esr, afsr0, afsr1, far, mair, amair, vbar, contextidr
        case cntkctl, par, tpidrEL1, tpidrEL0, tpidrroEL0, spEL1, elr, spsr, mdscr, csselr
        case spEL0
        case apiaLo, apiaHi, apibLo, apibHi, apdaLo, apdaHi, apdbLo, apdbHi, apgaLo, apgaHi
    }

    /// Words of a context.
    static var count: Int { 34 }

    /// The registers whose turn the erratum decides.
    struct Translation {
        let sctlr: UInt64
        let tcr: UInt64
    }

    /// The place of a register with an even number, and of the next one.
    @inline(__always)
    private static func pair(_ slot: Slot, of context: Address<HypervisorVirtual>) -> Address<HypervisorVirtual> {
        context.advanced(by: UInt64(truncatingIfNeeded: slot.rawValue) &* 8)
    }

    /// Stores the current registers in a context.
    @inline(__always)
    static func save<P: Processor>(
        to context: Address<HypervisorVirtual>, groups: RegisterGroups, on processor: P
    ) -> Translation {
        @inline(__always)
        func put(_ slot: Slot, _ first: SystemRegister, _ second: SystemRegister) {
            processor.storePair64(pair(slot, of: context), processor.read(first), processor.read(second))
        }
        let translation = Translation(sctlr: processor.read(.sctlrEL1), tcr: processor.read(.tcrEL1))
        processor.storePair64(pair(.sctlr, of: context), translation.sctlr, processor.read(.cpacrEL1))
        put(.ttbr0, .ttbr0EL1, .ttbr1EL1)
        processor.storePair64(pair(.tcr, of: context), translation.tcr, processor.read(.esrEL1))
        put(.afsr0, .afsr0EL1, .afsr1EL1)
        put(.far, .farEL1, .mairEL1)
        put(.amair, .amairEL1, .vbarEL1)
        put(.contextidr, .contextidrEL1, .cntkctlEL1)
        put(.par, .parEL1, .tpidrEL1)
        put(.tpidrEL0, .tpidrEL0, .tpidrroEL0)
        put(.spEL1, .spEL1, .elrEL1)
        put(.spsr, .spsrEL1, .mdscrEL1)
        put(.csselr, .csselrEL1, .spEL0)
        guard groups.contains(.pointerAuthentication) else { return translation }
        put(.apiaLo, .apiaKeyLo, .apiaKeyHi)
        put(.apibLo, .apibKeyLo, .apibKeyHi)
        put(.apdaLo, .apdaKeyLo, .apdaKeyHi)
        put(.apdbLo, .apdbKeyLo, .apdbKeyHi)
        put(.apgaLo, .apgaKeyLo, .apgaKeyHi)
        return translation
    }

    /// Loads all registers of a context but SCTLR_EL1 and TCR_EL1.
    @inline(__always)
    static func restoreBody<P: Processor>(
        from context: Address<HypervisorVirtual>, groups: RegisterGroups, on processor: P
    ) -> Translation {
        @inline(__always)
        func get(_ slot: Slot, _ first: SystemRegister, _ second: SystemRegister) {
            let values = processor.loadPair64(pair(slot, of: context))
            processor.write(first, values.0)
            processor.write(second, values.1)
        }
        let (sctlr, cpacr) = processor.loadPair64(pair(.sctlr, of: context))
        processor.write(.cpacrEL1, cpacr)
        get(.ttbr0, .ttbr0EL1, .ttbr1EL1)
        let (tcr, esr) = processor.loadPair64(pair(.tcr, of: context))
        processor.write(.esrEL1, esr)
        get(.afsr0, .afsr0EL1, .afsr1EL1)
        get(.far, .farEL1, .mairEL1)
        get(.amair, .amairEL1, .vbarEL1)
        get(.contextidr, .contextidrEL1, .cntkctlEL1)
        get(.par, .parEL1, .tpidrEL1)
        get(.tpidrEL0, .tpidrEL0, .tpidrroEL0)
        get(.spEL1, .spEL1, .elrEL1)
        get(.spsr, .spsrEL1, .mdscrEL1)
        get(.csselr, .csselrEL1, .spEL0)
        let translation = Translation(sctlr: sctlr, tcr: tcr)
        guard groups.contains(.pointerAuthentication) else { return translation }
        get(.apiaLo, .apiaKeyLo, .apiaKeyHi)
        get(.apibLo, .apibKeyLo, .apibKeyHi)
        get(.apdaLo, .apdaKeyLo, .apdaKeyHi)
        get(.apdbLo, .apdbKeyLo, .apdbKeyHi)
        get(.apgaLo, .apgaKeyLo, .apgaKeyHi)
        return translation
    }

    /// TCR_EL1.EPD0 and EPD1: no stage-1 walk starts.
    static var noWalks: UInt64 { 1 << 7 | 1 << 23 }
}

/// Groups of registers that a world switch exchanges where a CPU has them: what `CPUFeatures` says, in one
/// word that stays in a register.
struct RegisterGroups: OptionSet, Sendable {
    let rawValue: UInt64
    init(rawValue: UInt64) { self.rawValue = rawValue }

    static let pointerAuthentication = RegisterGroups(rawValue: 1 << 0)
    static let hcrx = RegisterGroups(rawValue: 1 << 1)
    static let fineGrainedTraps = RegisterGroups(rawValue: 1 << 2)
    static let activityMonitorTraps = RegisterGroups(rawValue: 1 << 3)
    static let mpam = RegisterGroups(rawValue: 1 << 4)
    static let ras = RegisterGroups(rawValue: 1 << 5)
    static let interruptInterface = RegisterGroups(rawValue: 1 << 6)
    static let statisticalProfiling = RegisterGroups(rawValue: 1 << 7)
    static let traceFilter = RegisterGroups(rawValue: 1 << 8)
    static let branchRecords = RegisterGroups(rawValue: 1 << 9)
    static let performanceCounters = RegisterGroups(rawValue: 1 << 10)
    /// Those of units that write records of their own.
    static let recording: RegisterGroups = [.statisticalProfiling, .traceFilter, .branchRecords]
    /// Those with controls of EL2.
    static let controls: RegisterGroups = [.hcrx, .fineGrainedTraps, .activityMonitorTraps, .mpam, .ras]

    init(_ features: CPUFeatures) {
        var groups: RegisterGroups = []
        if features.hasPointerAuthentication { groups.insert(.pointerAuthentication) }
        if features.hasHCRX { groups.insert(.hcrx) }
        if features.hasFineGrainedTraps { groups.insert(.fineGrainedTraps) }
        if features.hasActivityMonitorTraps { groups.insert(.activityMonitorTraps) }
        if features.hasMPAM { groups.insert(.mpam) }
        if features.hasRAS { groups.insert(.ras) }
        if features.hasGICSystemRegisters { groups.insert(.interruptInterface) }
        if features.hasStatisticalProfiling { groups.insert(.statisticalProfiling) }
        if features.hasTraceFilter { groups.insert(.traceFilter) }
        if features.hasBranchRecords { groups.insert(.branchRecords) }
        if features.hasPerformanceCounters { groups.insert(.performanceCounters) }
        self = groups
    }
}
