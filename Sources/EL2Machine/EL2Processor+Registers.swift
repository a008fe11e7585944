// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// System registers by name: one MRS or MSR a case. With a constant argument the switch folds to
// that instruction.

public import Arm
import CEL2
import Machine

extension EL2Processor {
    @inline(__always)
    public func read(_ register: SystemRegister) -> UInt64 {
        switch register {
        case .midrEL1: el2_read_midr_el1()
        case .mpidrEL1: el2_read_mpidr_el1()
        case .currentEL: el2_read_current_el()
        case .idAA64PFR0: el2_read_id_aa64pfr0()
        case .idAA64PFR1: el2_read_id_aa64pfr1()
        case .idAA64DFR0: el2_read_id_aa64dfr0()
        case .idAA64ISAR1: el2_read_id_aa64isar1()
        case .idAA64ISAR2: el2_read_id_aa64isar2()
        case .idAA64MMFR0: el2_read_id_aa64mmfr0()
        case .idAA64MMFR1: el2_read_id_aa64mmfr1()
        case .idAA64MMFR2: el2_read_id_aa64mmfr2()
        case .idAA64MMFR3: el2_read_id_aa64mmfr3()
        case .ctrEL0: el2_read_ctr_el0()
        case .esrEL2: el2_read_esr_el2()
        case .farEL2: el2_read_far_el2()
        case .hpfarEL2: el2_read_hpfar_el2()
        case .elrEL2: el2_read_elr_el2()
        case .spsrEL2: el2_read_spsr_el2()
        case .hcrEL2: el2_read_hcr_el2()
        case .hcrxEL2: el2_read_hcrx_el2()
        case .cptrEL2: el2_read_cptr_el2()
        case .mdcrEL2: el2_read_mdcr_el2()
        case .hstrEL2: el2_read_hstr_el2()
        case .vpidrEL2: el2_read_vpidr_el2()
        case .vmpidrEL2: el2_read_vmpidr_el2()
        case .vtcrEL2: el2_read_vtcr_el2()
        case .vttbrEL2: el2_read_vttbr_el2()
        case .cnthctlEL2: el2_read_cnthctl_el2()
        case .cntvoffEL2: el2_read_cntvoff_el2()
        case .iccSreEL2: el2_read_icc_sre_el2()
        case .ichHcrEL2: el2_read_ich_hcr_el2()
        case .zcrEL2: el2_read_zcr_el2()
        case .smcrEL2: el2_read_smcr_el2()
        case .smpriEL2: el2_read_smpri_el2()
        case .mpam2EL2: el2_read_mpam2_el2()
        case .hfgrtrEL2: el2_read_hfgrtr_el2()
        case .hfgwtrEL2: el2_read_hfgwtr_el2()
        case .hfgitrEL2: el2_read_hfgitr_el2()
        case .hdfgrtrEL2: el2_read_hdfgrtr_el2()
        case .hdfgwtrEL2: el2_read_hdfgwtr_el2()
        case .hafgrtrEL2: el2_read_hafgrtr_el2()
        case .ttbr0EL2: el2_read_ttbr0_el2()
        case .tcrEL2: el2_read_tcr_el2()
        case .mairEL2: el2_read_mair_el2()
        case .sctlrEL2: el2_read_sctlr_el2()
        case .vbarEL2: el2_read_vbar_el2()
        case .tpidrEL2: el2_read_tpidr_el2()
        case .sctlrEL1: el2_read_sctlr_el1()
        case .vbarEL1: el2_read_vbar_el1()
        case .esrEL1: el2_read_esr_el1()
        case .farEL1: el2_read_far_el1()
        case .elrEL1: el2_read_elr_el1()
        case .spsrEL1: el2_read_spsr_el1()
        }
    }

    @inline(__always)
    public func write(_ register: SystemRegister, _ value: UInt64) {
        switch register {
        case .esrEL2: el2_write_esr_el2(value)
        case .farEL2: el2_write_far_el2(value)
        case .hpfarEL2: el2_write_hpfar_el2(value)
        case .elrEL2: el2_write_elr_el2(value)
        case .spsrEL2: el2_write_spsr_el2(value)
        case .hcrEL2: el2_write_hcr_el2(value)
        case .hcrxEL2: el2_write_hcrx_el2(value)
        case .cptrEL2: el2_write_cptr_el2(value)
        case .mdcrEL2: el2_write_mdcr_el2(value)
        case .hstrEL2: el2_write_hstr_el2(value)
        case .vpidrEL2: el2_write_vpidr_el2(value)
        case .vmpidrEL2: el2_write_vmpidr_el2(value)
        case .vtcrEL2: el2_write_vtcr_el2(value)
        case .vttbrEL2: el2_write_vttbr_el2(value)
        case .cnthctlEL2: el2_write_cnthctl_el2(value)
        case .cntvoffEL2: el2_write_cntvoff_el2(value)
        case .iccSreEL2: el2_write_icc_sre_el2(value)
        case .ichHcrEL2: el2_write_ich_hcr_el2(value)
        case .zcrEL2: el2_write_zcr_el2(value)
        case .smcrEL2: el2_write_smcr_el2(value)
        case .smpriEL2: el2_write_smpri_el2(value)
        case .mpam2EL2: el2_write_mpam2_el2(value)
        case .hfgrtrEL2: el2_write_hfgrtr_el2(value)
        case .hfgwtrEL2: el2_write_hfgwtr_el2(value)
        case .hfgitrEL2: el2_write_hfgitr_el2(value)
        case .hdfgrtrEL2: el2_write_hdfgrtr_el2(value)
        case .hdfgwtrEL2: el2_write_hdfgwtr_el2(value)
        case .hafgrtrEL2: el2_write_hafgrtr_el2(value)
        case .ttbr0EL2: el2_write_ttbr0_el2(value)
        case .tcrEL2: el2_write_tcr_el2(value)
        case .mairEL2: el2_write_mair_el2(value)
        case .sctlrEL2: el2_write_sctlr_el2(value)
        case .vbarEL2: el2_write_vbar_el2(value)
        case .tpidrEL2: el2_write_tpidr_el2(value)
        case .sctlrEL1: el2_write_sctlr_el1(value)
        case .vbarEL1: el2_write_vbar_el1(value)
        case .esrEL1: el2_write_esr_el1(value)
        case .farEL1: el2_write_far_el1(value)
        case .elrEL1: el2_write_elr_el1(value)
        case .spsrEL1: el2_write_spsr_el1(value)
        case .midrEL1,
            .mpidrEL1,
            .currentEL,
            .idAA64PFR0,
            .idAA64PFR1,
            .idAA64DFR0,
            .idAA64ISAR1,
            .idAA64ISAR2,
            .idAA64MMFR0,
            .idAA64MMFR1,
            .idAA64MMFR2,
            .idAA64MMFR3,
            .ctrEL0:
            panic("a read-only register was written")
        }
    }
}
