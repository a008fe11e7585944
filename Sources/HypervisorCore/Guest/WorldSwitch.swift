// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Exchanging EL1's and EL0's registers between host and guest.

import Arm
import CBootProtocol
import HypervisorInterface
import Machine

/// The registers that host and guest both use at EL1 and EL0, and how they are exchanged.
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

    /// Stores the current registers in a context.
    @inline(__always)
    static func save<P: Processor>(
        to context: Address<HypervisorVirtual>, features: CPUFeatures, on processor: P
    ) {
        @inline(__always)
        func put(_ slot: Slot, _ register: SystemRegister) {
            processor.store64(
                context.advanced(by: UInt64(truncatingIfNeeded: slot.rawValue) &* 8), processor.read(register))
        }
        put(.sctlr, .sctlrEL1)
        put(.tcr, .tcrEL1)
        put(.cpacr, .cpacrEL1)
        put(.ttbr0, .ttbr0EL1)
        put(.ttbr1, .ttbr1EL1)
        put(.esr, .esrEL1)
        put(.afsr0, .afsr0EL1)
        put(.afsr1, .afsr1EL1)
        put(.far, .farEL1)
        put(.mair, .mairEL1)
        put(.amair, .amairEL1)
        put(.vbar, .vbarEL1)
        put(.contextidr, .contextidrEL1)
        put(.cntkctl, .cntkctlEL1)
        put(.par, .parEL1)
        put(.tpidrEL1, .tpidrEL1)
        put(.tpidrEL0, .tpidrEL0)
        put(.tpidrroEL0, .tpidrroEL0)
        put(.spEL1, .spEL1)
        put(.elr, .elrEL1)
        put(.spsr, .spsrEL1)
        put(.mdscr, .mdscrEL1)
        put(.csselr, .csselrEL1)
        put(.spEL0, .spEL0)
        guard features.hasPointerAuthentication else { return }
        put(.apiaLo, .apiaKeyLo)
        put(.apiaHi, .apiaKeyHi)
        put(.apibLo, .apibKeyLo)
        put(.apibHi, .apibKeyHi)
        put(.apdaLo, .apdaKeyLo)
        put(.apdaHi, .apdaKeyHi)
        put(.apdbLo, .apdbKeyLo)
        put(.apdbHi, .apdbKeyHi)
        put(.apgaLo, .apgaKeyLo)
        put(.apgaHi, .apgaKeyHi)
    }

    /// Loads all registers of a context but SCTLR_EL1 and TCR_EL1, whose turn the erratum decides.
    @inline(__always)
    static func restoreBody<P: Processor>(
        from context: Address<HypervisorVirtual>, features: CPUFeatures, on processor: P
    ) {
        @inline(__always)
        func get(_ slot: Slot, _ register: SystemRegister) {
            processor.write(
                register, processor.load64(context.advanced(by: UInt64(truncatingIfNeeded: slot.rawValue) &* 8)))
        }
        get(.cpacr, .cpacrEL1)
        get(.ttbr0, .ttbr0EL1)
        get(.ttbr1, .ttbr1EL1)
        get(.esr, .esrEL1)
        get(.afsr0, .afsr0EL1)
        get(.afsr1, .afsr1EL1)
        get(.far, .farEL1)
        get(.mair, .mairEL1)
        get(.amair, .amairEL1)
        get(.vbar, .vbarEL1)
        get(.contextidr, .contextidrEL1)
        get(.cntkctl, .cntkctlEL1)
        get(.par, .parEL1)
        get(.tpidrEL1, .tpidrEL1)
        get(.tpidrEL0, .tpidrEL0)
        get(.tpidrroEL0, .tpidrroEL0)
        get(.spEL1, .spEL1)
        get(.elr, .elrEL1)
        get(.spsr, .spsrEL1)
        get(.mdscr, .mdscrEL1)
        get(.csselr, .csselrEL1)
        get(.spEL0, .spEL0)
        guard features.hasPointerAuthentication else { return }
        get(.apiaLo, .apiaKeyLo)
        get(.apiaHi, .apiaKeyHi)
        get(.apibLo, .apibKeyLo)
        get(.apibHi, .apibKeyHi)
        get(.apdaLo, .apdaKeyLo)
        get(.apdaHi, .apdaKeyHi)
        get(.apdbLo, .apdbKeyLo)
        get(.apdbHi, .apdbKeyHi)
        get(.apgaLo, .apgaKeyLo)
        get(.apgaHi, .apgaKeyHi)
    }

    /// TCR_EL1.EPD0 and EPD1: no stage-1 walk starts.
    static var noWalks: UInt64 { 1 << 7 | 1 << 23 }

    /// A word of a context.
    @inline(__always)
    static func word(
        _ slot: Slot, of context: Address<HypervisorVirtual>, on processor: some Processor
    ) -> UInt64 {
        processor.load64(context.advanced(by: UInt64(truncatingIfNeeded: slot.rawValue) &* 8))
    }
}
