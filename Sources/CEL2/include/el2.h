/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The instructions that Swift has no words for. One instruction, or one loop over one
 * instruction, a function; nothing here decides anything.
 */
#ifndef MARTLET_EL2_H
#define MARTLET_EL2_H

#define EL2_INLINE static inline __attribute__((always_inline))

typedef unsigned long long el2_u64;
typedef unsigned int el2_u32;

/* Memory. Volatile: one access each, in program order, neither merged nor repeated. */
EL2_INLINE el2_u64 el2_load64(el2_u64 address) { return *(volatile el2_u64 *)address; }
EL2_INLINE void el2_store64(el2_u64 address, el2_u64 value) { *(volatile el2_u64 *)address = value; }
EL2_INLINE el2_u32 el2_load32(el2_u64 address) { return *(volatile el2_u32 *)address; }
EL2_INLINE void el2_store32(el2_u64 address, el2_u32 value) { *(volatile el2_u32 *)address = value; }

/*
 * Two words of this CPU's own. Not volatile, so that the compiler makes one LDP or STP of them; the
 * register writes between them (which clobber memory) keep their order.
 */
struct el2_pair { el2_u64 first, second; };
EL2_INLINE struct el2_pair el2_load_pair64(el2_u64 address)
{
    const el2_u64 *words = (const el2_u64 *)address;
    struct el2_pair pair = { words[0], words[1] };
    return pair;
}
EL2_INLINE void el2_store_pair64(el2_u64 address, el2_u64 first, el2_u64 second)
{
    el2_u64 *words = (el2_u64 *)address;
    words[0] = first;
    words[1] = second;
}

EL2_INLINE el2_u64 el2_load_acquire64(el2_u64 address)
{
    return __atomic_load_n((volatile el2_u64 *)address, __ATOMIC_ACQUIRE);
}
EL2_INLINE void el2_store_release64(el2_u64 address, el2_u64 value)
{
    __atomic_store_n((volatile el2_u64 *)address, value, __ATOMIC_RELEASE);
}

/* Whether the word was what is expected, and is something else now. */
EL2_INLINE _Bool el2_exchange64(el2_u64 address, el2_u64 expected, el2_u64 value)
{
    return __atomic_compare_exchange_n((volatile el2_u64 *)address, &expected, value, 0, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

EL2_INLINE unsigned char el2_load8(el2_u64 address) { return *(volatile unsigned char *)address; }
EL2_INLINE void el2_store8(el2_u64 address, unsigned char value) { *(volatile unsigned char *)address = value; }

/* Zeroes pages (support.c). */
void el2_zero_pages(el2_u64 page, el2_u64 end);

/* Zeroes pages, and cleans and invalidates them to the point of coherency (support.c). */
void el2_zero_clean_pages(el2_u64 page, el2_u64 end);

/* Cleans and invalidates one page to the point of coherency. */
EL2_INLINE void el2_clean_invalidate_page(el2_u64 page)
{
    el2_u64 ctr, end = page + 0x1000;
    __asm__ volatile("mrs %0, ctr_el0" : "=r"(ctr));
    el2_u64 line = 4ull << ((ctr >> 16) & 0xf);
    for (; page < end; page += line)
        __asm__ volatile("dc civac, %0" : : "r"(page) : "memory");
}

#define EL2_INSTRUCTION(name, text)                                                                \
    EL2_INLINE void name(void) { __asm__ volatile(text : : : "memory"); }

EL2_INSTRUCTION(el2_dsb_ishst, "dsb ishst")
EL2_INSTRUCTION(el2_dsb_ish, "dsb ish")
EL2_INSTRUCTION(el2_dsb_nsh, "dsb nsh")
EL2_INSTRUCTION(el2_dsb_sy, "dsb sy")
EL2_INSTRUCTION(el2_isb, "isb")
EL2_INSTRUCTION(el2_yield, "yield")
/* PSB CSYNC and TSB CSYNC are hints: they do nothing where there is nothing to drain. */
EL2_INSTRUCTION(el2_drain_profiling, "isb\n\thint #17\n\thint #18\n\tdsb nsh")
EL2_INSTRUCTION(el2_tlbi_vmalle1_local, "tlbi vmalle1\n\tic iallu\n\tdsb nsh\n\tisb")
EL2_INSTRUCTION(el2_ic_ialluis, "ic ialluis\n\tdsb ish\n\tisb")
EL2_INSTRUCTION(el2_tlbi_vmalle1is, "tlbi vmalle1is")
EL2_INSTRUCTION(el2_tlbi_vmalls12e1is, "tlbi vmalls12e1is")
EL2_INSTRUCTION(el2_tlbi_alle2is, "tlbi alle2is")
EL2_INSTRUCTION(el2_tlbi_alle1, "tlbi alle1")
EL2_INSTRUCTION(el2_tlbi_alle2, "tlbi alle2")
/* Ends in the vector for exceptions from EL2 itself, which records it. */
__attribute__((noreturn)) EL2_INLINE void el2_break(void)
{
    __asm__ volatile("brk #0x4d");
    __builtin_unreachable();
}

EL2_INLINE void el2_tlbi_ipas2e1is(el2_u64 page)
{
    __asm__ volatile("tlbi ipas2e1is, %0" : : "r"(page) : "memory");
}
EL2_INLINE void el2_tlbi_vae2is(el2_u64 page)
{
    __asm__ volatile("tlbi vae2is, %0" : : "r"(page) : "memory");
}

/* SMC #0 with x0..x3; SMCCC 1.0 firmware may change x4..x17. */
struct el2_smc { el2_u64 x0, x1, x2, x3; };
EL2_INLINE struct el2_smc el2_smc(el2_u64 a0, el2_u64 a1, el2_u64 a2, el2_u64 a3)
{
    register el2_u64 x0 __asm__("x0") = a0;
    register el2_u64 x1 __asm__("x1") = a1;
    register el2_u64 x2 __asm__("x2") = a2;
    register el2_u64 x3 __asm__("x3") = a3;
    __asm__ volatile("smc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                     :
                     : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
                       "x15", "x16", "x17", "memory");
    struct el2_smc result = { x0, x1, x2, x3 };
    return result;
}

/*
 * System registers, by encoding where an assembler of the base architecture has no name for them.
 * Reading and writing are separate lists: identification registers are only read.
 */
#define EL2_READ(name, reg)                                                                        \
    EL2_INLINE el2_u64 el2_read_##name(void)                                                       \
    {                                                                                              \
        el2_u64 value;                                                                             \
        __asm__ volatile("mrs %0, " reg : "=r"(value));                                            \
        return value;                                                                              \
    }
#define EL2_WRITE(name, reg)                                                                       \
    EL2_INLINE void el2_write_##name(el2_u64 value)                                                \
    {                                                                                              \
        __asm__ volatile("msr " reg ", %x0" : : "rz"(value) : "memory");                             \
    }
#define EL2_REGISTER(name, reg) EL2_READ(name, reg) EL2_WRITE(name, reg)

EL2_READ(midr_el1, "midr_el1")
EL2_READ(mpidr_el1, "mpidr_el1")
EL2_READ(current_el, "currentel")
EL2_READ(id_aa64pfr0, "S3_0_C0_C4_0")
EL2_READ(id_aa64pfr1, "S3_0_C0_C4_1")
EL2_READ(id_aa64zfr0, "S3_0_C0_C4_4")
EL2_READ(id_aa64dfr0, "S3_0_C0_C5_0")
EL2_READ(id_aa64isar1, "S3_0_C0_C6_1")
EL2_READ(id_aa64isar2, "S3_0_C0_C6_2")
EL2_READ(id_aa64mmfr0, "S3_0_C0_C7_0")
EL2_READ(id_aa64mmfr1, "S3_0_C0_C7_1")
EL2_READ(id_aa64mmfr2, "S3_0_C0_C7_2")
EL2_READ(id_aa64mmfr3, "S3_0_C0_C7_3")
EL2_READ(ctr_el0, "ctr_el0")
EL2_REGISTER(esr_el2, "esr_el2")
EL2_REGISTER(far_el2, "far_el2")
EL2_REGISTER(hpfar_el2, "hpfar_el2")
EL2_REGISTER(elr_el2, "elr_el2")
EL2_REGISTER(spsr_el2, "spsr_el2")
EL2_REGISTER(hcr_el2, "hcr_el2")
EL2_REGISTER(hcrx_el2, "S3_4_C1_C2_2")
EL2_REGISTER(cptr_el2, "cptr_el2")
EL2_REGISTER(mdcr_el2, "mdcr_el2")
EL2_REGISTER(hstr_el2, "hstr_el2")
EL2_REGISTER(vpidr_el2, "vpidr_el2")
EL2_REGISTER(vmpidr_el2, "vmpidr_el2")
EL2_REGISTER(vtcr_el2, "vtcr_el2")
EL2_REGISTER(vttbr_el2, "vttbr_el2")
EL2_REGISTER(cnthctl_el2, "cnthctl_el2")
EL2_REGISTER(cntvoff_el2, "cntvoff_el2")
EL2_REGISTER(icc_sre_el2, "S3_4_C12_C9_5")
EL2_REGISTER(ich_hcr_el2, "S3_4_C12_C11_0")
EL2_REGISTER(zcr_el2, "S3_4_C1_C2_0")
EL2_REGISTER(smcr_el2, "S3_4_C1_C2_6")
EL2_REGISTER(smpri_el2, "S3_4_C1_C2_5")
EL2_REGISTER(mpam2_el2, "S3_4_C10_C5_0")
EL2_REGISTER(hfgrtr_el2, "S3_4_C1_C1_4")
EL2_REGISTER(hfgwtr_el2, "S3_4_C1_C1_5")
EL2_REGISTER(hfgitr_el2, "S3_4_C1_C1_6")
EL2_REGISTER(hdfgrtr_el2, "S3_4_C3_C1_4")
EL2_REGISTER(hdfgwtr_el2, "S3_4_C3_C1_5")
EL2_REGISTER(hafgrtr_el2, "S3_4_C3_C1_6")
EL2_REGISTER(ttbr0_el2, "ttbr0_el2")
EL2_REGISTER(tcr_el2, "tcr_el2")
EL2_REGISTER(mair_el2, "mair_el2")
EL2_REGISTER(sctlr_el2, "sctlr_el2")
EL2_REGISTER(vbar_el2, "vbar_el2")
EL2_REGISTER(tpidr_el2, "tpidr_el2")
EL2_REGISTER(sctlr_el1, "sctlr_el1")
EL2_REGISTER(vbar_el1, "vbar_el1")
EL2_REGISTER(esr_el1, "esr_el1")
EL2_REGISTER(far_el1, "far_el1")
EL2_REGISTER(elr_el1, "elr_el1")
EL2_REGISTER(spsr_el1, "spsr_el1")
EL2_REGISTER(brbcr_el1, "S2_1_C9_C0_0")
EL2_REGISTER(vdisr_el2, "S3_4_C12_C1_1")
EL2_REGISTER(icc_sre_el1, "S3_0_C12_C12_5")
EL2_REGISTER(pmscr_el2, "S3_4_C9_C9_0")
EL2_REGISTER(trfcr_el2, "S3_4_C1_C2_1")
EL2_REGISTER(brbcr_el2, "S2_4_C9_C0_0")
EL2_READ(id_aa64_i_s_a_r0, "S3_0_C0_C6_0")
EL2_READ(cntpct_el0, "cntpct_el0")
EL2_READ(ich_vtr_el2, "S3_4_C12_C11_1")
EL2_REGISTER(cpacr_el1, "cpacr_el1")
EL2_REGISTER(ttbr0_el1, "ttbr0_el1")
EL2_REGISTER(ttbr1_el1, "ttbr1_el1")
EL2_REGISTER(tcr_el1, "tcr_el1")
EL2_REGISTER(afsr0_el1, "afsr0_el1")
EL2_REGISTER(afsr1_el1, "afsr1_el1")
EL2_REGISTER(mair_el1, "mair_el1")
EL2_REGISTER(amair_el1, "amair_el1")
EL2_REGISTER(contextidr_el1, "contextidr_el1")
EL2_REGISTER(cntkctl_el1, "cntkctl_el1")
EL2_REGISTER(par_el1, "par_el1")
EL2_REGISTER(tpidr_el1, "tpidr_el1")
EL2_REGISTER(tpidr_el0, "tpidr_el0")
EL2_REGISTER(tpidrro_el0, "tpidrro_el0")
EL2_REGISTER(sp_el1, "sp_el1")
EL2_REGISTER(sp_el0, "sp_el0")
EL2_REGISTER(mdscr_el1, "mdscr_el1")
EL2_REGISTER(csselr_el1, "csselr_el1")
EL2_REGISTER(zcr_el1, "S3_0_C1_C2_0")
EL2_REGISTER(svcr, "S3_3_C4_C2_2")
EL2_REGISTER(apia_key_lo, "S3_0_C2_C1_0")
EL2_REGISTER(apia_key_hi, "S3_0_C2_C1_1")
EL2_REGISTER(apib_key_lo, "S3_0_C2_C1_2")
EL2_REGISTER(apib_key_hi, "S3_0_C2_C1_3")
EL2_REGISTER(apda_key_lo, "S3_0_C2_C2_0")
EL2_REGISTER(apda_key_hi, "S3_0_C2_C2_1")
EL2_REGISTER(apdb_key_lo, "S3_0_C2_C2_2")
EL2_REGISTER(apdb_key_hi, "S3_0_C2_C2_3")
EL2_REGISTER(apga_key_lo, "S3_0_C2_C3_0")
EL2_REGISTER(apga_key_hi, "S3_0_C2_C3_1")
EL2_REGISTER(pmcr_el0, "pmcr_el0")
EL2_REGISTER(pmscr_el1, "S3_0_C9_C9_0")
EL2_REGISTER(trfcr_el1, "S3_0_C1_C2_1")
EL2_REGISTER(cntv_ctl_el0, "cntv_ctl_el0")
EL2_REGISTER(cntv_cval_el0, "cntv_cval_el0")
EL2_REGISTER(ich_vmcr_el2, "S3_4_C12_C11_7")
EL2_REGISTER(ich_lr0_el2, "S3_4_C12_C12_0")
EL2_REGISTER(ich_lr1_el2, "S3_4_C12_C12_1")
EL2_REGISTER(ich_lr2_el2, "S3_4_C12_C12_2")
EL2_REGISTER(ich_lr3_el2, "S3_4_C12_C12_3")
EL2_REGISTER(ich_ap0r0_el2, "S3_4_C12_C8_0")
EL2_REGISTER(ich_ap1r0_el2, "S3_4_C12_C9_0")
EL2_REGISTER(ich_ap0r1_el2, "S3_4_C12_C8_1")
EL2_REGISTER(ich_ap1r1_el2, "S3_4_C12_C9_1")
EL2_REGISTER(ich_ap0r2_el2, "S3_4_C12_C8_2")
EL2_REGISTER(ich_ap1r2_el2, "S3_4_C12_C9_2")
EL2_REGISTER(ich_ap0r3_el2, "S3_4_C12_C8_3")
EL2_REGISTER(ich_ap1r3_el2, "S3_4_C12_C9_3")

/* Assembly (entry.S, vectors.S). */

/* Makes `root` the EL2 stage-1 with the MMU off in between. */
void martlet_adopt_root(el2_u64 root, el2_u64 sctlr);
/* Gives this CPU's EL2 back to the stub and returns to the host with the frame's registers. */
__attribute__((noreturn)) void martlet_withdraw(void *frame, el2_u64 vbar, el2_u64 sctlr);

/* Returns to the host with the frame's registers. */
__attribute__((noreturn)) void martlet_return(void *frame);

/* Runs a guest; 0 synchronous, 1 interrupt, 2 SError. */
el2_u64 martlet_enter_guest(el2_u64 vcpu);
/* Vector registers to and from memory (fpsimd.S). */
void martlet_vectors_save(el2_u64 area);
void martlet_vectors_restore(el2_u64 area);
void martlet_scalable_save(el2_u64 area);
void martlet_scalable_restore(el2_u64 area);
/* Bytes of a scalable vector. */
el2_u64 martlet_scalable_length(void);

/* RNDR, which sets Z and reads as 0 when it has nothing. */
EL2_INLINE el2_u64 el2_rndr(void)
{
    el2_u64 value;
    __asm__ volatile("mrs %0, S3_3_C2_C4_0" : "=r"(value) : : "cc");
    return value;
}

/* AT S1E1R; the answer is in PAR_EL1. */
EL2_INLINE void el2_at_s1e1r(el2_u64 address)
{
    __asm__ volatile("at s1e1r, %0\n\tisb" : : "r"(address) : "memory");
}

/* Empties list registers 4 to `last`, of 15; the lower ones have names. */
EL2_INLINE void el2_clear_upper_lists(el2_u64 last)
{
#define EL2_CLEAR_LIST(n, reg) if (last >= n) __asm__ volatile("msr " reg ", xzr" : : : "memory");
    EL2_CLEAR_LIST(4, "S3_4_C12_C12_4") EL2_CLEAR_LIST(5, "S3_4_C12_C12_5")
    EL2_CLEAR_LIST(6, "S3_4_C12_C12_6") EL2_CLEAR_LIST(7, "S3_4_C12_C12_7")
    EL2_CLEAR_LIST(8, "S3_4_C12_C13_0") EL2_CLEAR_LIST(9, "S3_4_C12_C13_1")
    EL2_CLEAR_LIST(10, "S3_4_C12_C13_2") EL2_CLEAR_LIST(11, "S3_4_C12_C13_3")
    EL2_CLEAR_LIST(12, "S3_4_C12_C13_4") EL2_CLEAR_LIST(13, "S3_4_C12_C13_5")
    EL2_CLEAR_LIST(14, "S3_4_C12_C13_6") EL2_CLEAR_LIST(15, "S3_4_C12_C13_7")
#undef EL2_CLEAR_LIST
}

/* Addresses of symbols, position-independent. */
#define EL2_SYMBOL(name)                                                                           \
    EL2_INLINE el2_u64 el2_address_of_##name(void)                                                 \
    {                                                                                              \
        el2_u64 address;                                                                           \
        __asm__("adrp %0, martlet_" #name "\n\tadd %0, %0, :lo12:martlet_" #name : "=r"(address)); \
        return address;                                                                            \
    }
EL2_SYMBOL(cpu_on)
EL2_SYMBOL(cpu_resume)
EL2_SYMBOL(root_storage)
EL2_SYMBOL(image_start)
EL2_SYMBOL(vectors)
EL2_SYMBOL(vectors_clear)
EL2_SYMBOL(vectors_loop)
EL2_SYMBOL(vectors_firmware1)
EL2_SYMBOL(vectors_firmware3)
EL2_SYMBOL(guest_vectors)
EL2_SYMBOL(guest_vectors_clear)
EL2_SYMBOL(guest_vectors_loop)
EL2_SYMBOL(guest_vectors_firmware1)
EL2_SYMBOL(guest_vectors_firmware3)

#endif /* MARTLET_EL2_H */
