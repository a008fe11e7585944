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
    /// Where each register stands in a context: first what the host needs too.
    enum Slot: Int, CaseIterable {
        case sctlr, tcr, cpacr, mair, ttbr0, ttbr1, vbar, contextidr, cntkctl, csselr
        case tpidrEL1, tpidrEL0, tpidrroEL0, mdscr, spEL1, spEL0
        // What exceptions and address translations leave, which a kernel that calls EL2 does not need any more.
        case esr, far, elr, spsr, par
        // What many CPUs have not.
        case amair, afsr0, afsr1
        case apiaLo, apiaHi, apibLo, apibHi, apdaLo, apdaHi, apdbLo, apdbHi, apgaLo, apgaHi
    }

    /// Words of a context.
    static var count: Int { 34 }

    /// The registers whose turn the erratum decides.
    struct Translation {
        let sctlr: UInt64
        let tcr: UInt64
    }

    @inline(__always)
    private static func place(_ slot: Slot, of context: Address<HypervisorVirtual>) -> Address<HypervisorVirtual> {
        context.advanced(by: UInt64(truncatingIfNeeded: slot.rawValue) &* 8)
    }

    /// Stores the registers of a guest in its context.
    @inline(__always)
    static func saveGuest<P: Processor>(
        to context: Address<HypervisorVirtual>, groups: RegisterGroups, on processor: P
    ) -> Translation {
        let translation = save(to: context, groups: groups, on: processor)
        put(.esr, .esrEL1, .farEL1, context, on: processor)
        put(.elr, .elrEL1, .spsrEL1, context, on: processor)
        processor.store64(place(.par, of: context), processor.read(.parEL1))
        return translation
    }

    /// Loads all registers of a guest but SCTLR_EL1 and TCR_EL1.
    @inline(__always)
    static func restoreGuest<P: Processor>(
        from context: Address<HypervisorVirtual>, groups: RegisterGroups, on processor: P
    ) -> Translation {
        let translation = restore(from: context, groups: groups, on: processor)
        get(.esr, .esrEL1, .farEL1, context, on: processor)
        get(.elr, .elrEL1, .spsrEL1, context, on: processor)
        processor.write(.parEL1, processor.load64(place(.par, of: context)))
        return translation
    }

    /// Loads all registers of the host but SCTLR_EL1 and TCR_EL1. Nothing is left of the guest's in those that are
    /// not kept for the host.
    @inline(__always)
    static func restoreHost<P: Processor>(
        from context: Address<HypervisorVirtual>, groups: RegisterGroups, on processor: P
    ) -> Translation {
        processor.write(.esrEL1, 0)
        processor.write(.farEL1, 0)
        processor.write(.elrEL1, 0)
        processor.write(.spsrEL1, 0)
        processor.write(.parEL1, 0)
        return restore(from: context, groups: groups, on: processor)
    }

    @inline(__always)
    private static func put<P: Processor>(
        _ slot: Slot, _ first: SystemRegister, _ second: SystemRegister, _ context: Address<HypervisorVirtual>,
        on processor: P
    ) {
        processor.storePair64(place(slot, of: context), processor.read(first), processor.read(second))
    }

    @inline(__always)
    private static func get<P: Processor>(
        _ slot: Slot, _ first: SystemRegister, _ second: SystemRegister, _ context: Address<HypervisorVirtual>,
        on processor: P
    ) {
        let values = processor.loadPair64(place(slot, of: context))
        processor.write(first, values.0)
        processor.write(second, values.1)
    }

    /// Stores what guests and the host need.
    @inline(__always)
    static func save<P: Processor>(
        to context: Address<HypervisorVirtual>, groups: RegisterGroups, on processor: P
    ) -> Translation {
        let translation = Translation(sctlr: processor.read(.sctlrEL1), tcr: processor.read(.tcrEL1))
        processor.storePair64(place(.sctlr, of: context), translation.sctlr, translation.tcr)
        put(.cpacr, .cpacrEL1, .mairEL1, context, on: processor)
        put(.ttbr0, .ttbr0EL1, .ttbr1EL1, context, on: processor)
        put(.vbar, .vbarEL1, .contextidrEL1, context, on: processor)
        put(.cntkctl, .cntkctlEL1, .csselrEL1, context, on: processor)
        put(.tpidrEL1, .tpidrEL1, .tpidrEL0, context, on: processor)
        put(.tpidrroEL0, .tpidrroEL0, .mdscrEL1, context, on: processor)
        put(.spEL1, .spEL1, .spEL0, context, on: processor)
        guard !groups.isDisjoint(with: .contexts) else { return translation }
        if groups.contains(.auxiliary) {
            processor.store64(place(.amair, of: context), processor.read(.amairEL1))
            put(.afsr0, .afsr0EL1, .afsr1EL1, context, on: processor)
        }
        guard groups.contains(.pointerAuthentication) else { return translation }
        put(.apiaLo, .apiaKeyLo, .apiaKeyHi, context, on: processor)
        put(.apibLo, .apibKeyLo, .apibKeyHi, context, on: processor)
        put(.apdaLo, .apdaKeyLo, .apdaKeyHi, context, on: processor)
        put(.apdbLo, .apdbKeyLo, .apdbKeyHi, context, on: processor)
        put(.apgaLo, .apgaKeyLo, .apgaKeyHi, context, on: processor)
        return translation
    }

    @inline(__always)
    private static func restore<P: Processor>(
        from context: Address<HypervisorVirtual>, groups: RegisterGroups, on processor: P
    ) -> Translation {
        let (sctlr, tcr) = processor.loadPair64(place(.sctlr, of: context))
        get(.cpacr, .cpacrEL1, .mairEL1, context, on: processor)
        get(.ttbr0, .ttbr0EL1, .ttbr1EL1, context, on: processor)
        get(.vbar, .vbarEL1, .contextidrEL1, context, on: processor)
        get(.cntkctl, .cntkctlEL1, .csselrEL1, context, on: processor)
        get(.tpidrEL1, .tpidrEL1, .tpidrEL0, context, on: processor)
        get(.tpidrroEL0, .tpidrroEL0, .mdscrEL1, context, on: processor)
        get(.spEL1, .spEL1, .spEL0, context, on: processor)
        let translation = Translation(sctlr: sctlr, tcr: tcr)
        guard !groups.isDisjoint(with: .contexts) else { return translation }
        if groups.contains(.auxiliary) {
            processor.write(.amairEL1, processor.load64(place(.amair, of: context)))
            get(.afsr0, .afsr0EL1, .afsr1EL1, context, on: processor)
        }
        guard groups.contains(.pointerAuthentication) else { return translation }
        get(.apiaLo, .apiaKeyLo, .apiaKeyHi, context, on: processor)
        get(.apibLo, .apibKeyLo, .apibKeyHi, context, on: processor)
        get(.apdaLo, .apdaKeyLo, .apdaKeyHi, context, on: processor)
        get(.apdbLo, .apdbKeyLo, .apdbKeyHi, context, on: processor)
        get(.apgaLo, .apgaKeyLo, .apgaKeyHi, context, on: processor)
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
    static let auxiliary = RegisterGroups(rawValue: 1 << 11)
    /// Those of EL1 and EL0.
    static let contexts: RegisterGroups = [.pointerAuthentication, .auxiliary]
    /// Those of units that write records of their own.
    static let recording: RegisterGroups = [.statisticalProfiling, .traceFilter, .branchRecords]
    /// Those with controls of EL2.
    static let controls: RegisterGroups = [.hcrx, .fineGrainedTraps, .activityMonitorTraps, .mpam, .ras]

    init(_ features: CPUFeatures) {
        var groups: RegisterGroups = []
        if features.hasPointerAuthentication { groups.insert(.pointerAuthentication) }
        if features.hasAuxiliaryRegisters { groups.insert(.auxiliary) }
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
