// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The system registers that EL2 reads and writes by name. The machine layer maps each case to one
// instruction; the simulated machine keeps one value a case.

/// A system register (DDI 0487, D24.2; encodings of the later ones from their feature's pages).
public enum SystemRegister: UInt8, CaseIterable, Sendable {
    // Identification.
    case midrEL1, mpidrEL1, currentEL
    case idAA64PFR0, idAA64PFR1, idAA64ZFR0, idAA64DFR0, idAA64ISAR1, idAA64ISAR2
    case idAA64MMFR0, idAA64MMFR1, idAA64MMFR2, idAA64MMFR3
    case idAA64ISAR0
    case ctrEL0

    // What the last exception to EL2 left.
    case esrEL2, farEL2, hpfarEL2, elrEL2, spsrEL2

    // Control of EL1 and EL0 from EL2.
    case hcrEL2, hcrxEL2, cptrEL2, mdcrEL2, hstrEL2, vpidrEL2, vmpidrEL2
    case vtcrEL2, vttbrEL2
    case cnthctlEL2, cntvoffEL2
    case iccSreEL2, ichHcrEL2
    case zcrEL2, smcrEL2, smpriEL2, mpam2EL2
    case hfgrtrEL2, hfgwtrEL2, hfgitrEL2, hdfgrtrEL2, hdfgwtrEL2, hafgrtrEL2

    // EL2's own regime.
    case ttbr0EL2, tcrEL2, mairEL2, sctlrEL2, vbarEL2, tpidrEL2

    // EL1 and EL0 state: for injecting exceptions, for starting a CPU, and what a world switch
    // exchanges.
    case sctlrEL1, vbarEL1, esrEL1, farEL1, elrEL1, spsrEL1
    case cpacrEL1, ttbr0EL1, ttbr1EL1, tcrEL1, afsr0EL1, afsr1EL1, mairEL1, amairEL1, contextidrEL1
    case cntkctlEL1, parEL1, tpidrEL1, tpidrEL0, tpidrroEL0, spEL1, spEL0, mdscrEL1, csselrEL1
    case zcrEL1, svcr
    case apiaKeyLo, apiaKeyHi, apibKeyLo, apibKeyHi, apdaKeyLo, apdaKeyHi, apdbKeyLo, apdbKeyHi
    case apgaKeyLo, apgaKeyHi
    // Performance counters, statistical profiling, self-hosted trace and branch records.
    case pmcrEL0
    case pmscrEL1, trfcrEL1, brbcrEL1
    case pmscrEL2, trfcrEL2, brbcrEL2
    case vdisrEL2, iccSreEL1

    // Timers.
    case cntpctEL0, cntvCtlEL0, cntvCvalEL0

    // The GIC's virtual CPU interface (IHI 0069, section 12.4).
    case ichVtrEL2, ichVmcrEL2
    case ichLr0EL2, ichLr1EL2, ichLr2EL2, ichLr3EL2
    case ichAp0r0EL2, ichAp0r1EL2, ichAp0r2EL2, ichAp0r3EL2
    case ichAp1r0EL2, ichAp1r1EL2, ichAp1r2EL2, ichAp1r3EL2
}
