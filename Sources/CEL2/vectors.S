// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// EL2's exception vectors: save the host, call Swift, restore the host. One table for each way of
// keeping branch predictions of lower levels away from EL2; they differ only in what they do
// between the first saved registers and the first taken branch.

#include "martlet_percpu.h"

        .arch armv8-a
        .section .text.vectors, "ax"

// The frame holds x0..x30, then ELR_EL2, SPSR_EL2 and ESR_EL2 (struct HostFrame).
        .macro  save_first
        sub     sp, sp, #MARTLET_FRAME_SIZE
        stp     x0, x1, [sp, #0]
        stp     x2, x3, [sp, #16]
        .endm

// x0 stays, except where firmware is called; x1 does not.
        .macro  mitigate kind
        .ifc    \kind, clear
        hint    #22                             // CLRBHB
        isb
        .endif
        .ifc    \kind, loop
        mrs     x1, tpidr_el2
        ldr     x1, [x1, #MARTLET_PERCPU_BHB_LOOP]
1:      b       2f
2:      subs    x1, x1, #1
        b.ne    1b
        dsb     nsh
        isb
        .endif
        .ifc    \kind, firmware1
        mov     w0, #0x80008000                 // SMCCC_ARCH_WORKAROUND_1
        smc     #0
        .endif
        .ifc    \kind, firmware3
        mov     w0, #0x3fff
        movk    w0, #0x8000, lsl #16            // SMCCC_ARCH_WORKAROUND_3
        smc     #0
        .endif
        .endm

// From the host: EL1 or EL0, in either state.
        .macro  from_host kind
        .balign 0x80
        save_first
        mitigate \kind
        b       host_trap
        .endm

// From EL2 itself: a bug. x0 and x1 are given up to find a stack that certainly works.
        .macro  from_self
        .balign 0x80
        mrs     x0, tpidr_el2
        cbz     x0, .                           // before this CPU was set up: nothing to report to
        mov     x1, sp
        str     x1, [x0, #MARTLET_PERCPU_PANIC_SP]
        str     x29, [x0, #MARTLET_PERCPU_PANIC_FP]
        str     x30, [x0, #MARTLET_PERCPU_PANIC_LR]
        b       self_trap
        .endm

        .macro  vector_table name, kind
        .balign 0x800
        .global \name
\name:
        .rept   8                               // current EL with SP_EL0, with SP_ELx
        from_self
        .endr
        .rept   2                               // AArch64, then AArch32 below
        from_host \kind                         // synchronous
        from_self                               // IRQ, FIQ and SError of the host go to EL1
        from_self
        from_self
        .endr
        .endm

        vector_table martlet_vectors, none
        vector_table martlet_vectors_clear, clear
        vector_table martlet_vectors_loop, loop
        vector_table martlet_vectors_firmware1, firmware1
        vector_table martlet_vectors_firmware3, firmware3

host_trap:
        stp     x4, x5, [sp, #32]
        stp     x6, x7, [sp, #48]
        stp     x8, x9, [sp, #64]
        stp     x10, x11, [sp, #80]
        stp     x12, x13, [sp, #96]
        stp     x14, x15, [sp, #112]
        stp     x16, x17, [sp, #128]
        stp     x18, x19, [sp, #144]
        stp     x20, x21, [sp, #160]
        stp     x22, x23, [sp, #176]
        stp     x24, x25, [sp, #192]
        stp     x26, x27, [sp, #208]
        stp     x28, x29, [sp, #224]
        mrs     x0, elr_el2
        mrs     x1, spsr_el2
        mrs     x2, esr_el2
        stp     x30, x0, [sp, #240]
        stp     x1, x2, [sp, #MARTLET_FRAME_SPSR]
        mov     x0, sp
        mrs     x1, tpidr_el2
        mov     x29, xzr                        // the frame chain ends here
        bl      martlet_host_trap               // which ends in martlet_return

// void martlet_return(void *frame): returns to the host with what the frame holds now. Nothing that the frame
// does not hold is needed any more, so that nobody restores registers of callers.
        .global martlet_return
martlet_return:
        mov     sp, x0
        .global martlet_return_to_host
martlet_return_to_host:                         // sp points to the frame
        ldp     x30, x0, [sp, #240]
        ldr     x1, [sp, #MARTLET_FRAME_SPSR]
        msr     elr_el2, x0
        msr     spsr_el2, x1
        ldp     x2, x3, [sp, #16]
        ldp     x4, x5, [sp, #32]
        ldp     x6, x7, [sp, #48]
        ldp     x8, x9, [sp, #64]
        ldp     x10, x11, [sp, #80]
        ldp     x12, x13, [sp, #96]
        ldp     x14, x15, [sp, #112]
        ldp     x16, x17, [sp, #128]
        ldp     x18, x19, [sp, #144]
        ldp     x20, x21, [sp, #160]
        ldp     x22, x23, [sp, #176]
        ldp     x24, x25, [sp, #192]
        ldp     x26, x27, [sp, #208]
        ldp     x28, x29, [sp, #224]
        ldp     x0, x1, [sp, #0]
        add     sp, sp, #MARTLET_FRAME_SIZE
        eret
        dsb     nsh                             // nothing is speculated past the return
        isb

// From a guest. Its registers go to its vCPU page; the next instructions find that page in x0, and the
// guest's x0 and x1 on the stack.
        .macro  from_guest kind, handler, why=0
        .balign 0x80
        stp     x0, x1, [sp, #-16]!
        mrs     x0, tpidr_el2
        ldr     x0, [x0, #MARTLET_PERCPU_VCPU]
        stp     x2, x3, [x0, #16]
        mitigate \kind
        .ifc    \kind, firmware1
        mrs     x0, tpidr_el2
        ldr     x0, [x0, #MARTLET_PERCPU_VCPU]
        .endif
        .ifc    \kind, firmware3
        mrs     x0, tpidr_el2
        ldr     x0, [x0, #MARTLET_PERCPU_VCPU]
        .endif
        mov     x1, #\why
        b       \handler
        .endm

        .macro  guest_table name, kind
        .balign 0x800
        .global \name
\name:
        .rept   8
        from_self
        .endr
        .rept   2
        from_guest \kind, guest_synchronous
        from_guest \kind, guest_trap, 1         // IRQ
        from_guest \kind, guest_trap, 1         // FIQ
        from_guest \kind, guest_trap, 2         // SError
        .endr
        .endm

        guest_table martlet_guest_vectors, none
        guest_table martlet_guest_vectors_clear, clear
        guest_table martlet_guest_vectors_loop, loop
        guest_table martlet_guest_vectors_firmware1, firmware1
        guest_table martlet_guest_vectors_firmware3, firmware3

// What a function may change of the guest's registers, and the frame pointer.
        .macro  save_changeable
        ldp     x2, x3, [sp], #16
        stp     x4, x5, [x0, #32]
        stp     x6, x7, [x0, #48]
        stp     x8, x9, [x0, #64]
        stp     x10, x11, [x0, #80]
        stp     x12, x13, [x0, #96]
        stp     x14, x15, [x0, #112]
        stp     x16, x17, [x0, #128]
        stp     x29, x30, [x0, #232]
        stp     x2, x3, [x0, #0]
        .endm

guest_synchronous:
        save_changeable
        mrs     x1, esr_el2
        tbnz    w1, #31, guest_abort            // classes from 0x20 on: aborts, and nothing with a quick answer
        mov     x29, xzr                        // the frame chain ends here
        bl      martlet_answer_quickly
        mrs     x1, tpidr_el2
        ldr     x1, [x1, #MARTLET_PERCPU_VCPU]
        cbz     x0, guest_leave                 // which is reason 0 already
        tbz     x0, #1, 1f
        mrs     x2, elr_el2
        add     x2, x2, #4
        msr     elr_el2, x2
1:      ldp     x2, x3, [x1, #16]
        ldp     x4, x5, [x1, #32]
        ldp     x6, x7, [x1, #48]
        ldp     x8, x9, [x1, #64]
        ldp     x10, x11, [x1, #80]
        ldp     x12, x13, [x1, #96]
        ldp     x14, x15, [x1, #112]
        ldp     x16, x17, [x1, #128]
        ldp     x29, x30, [x1, #232]
        ldp     x0, x1, [x1, #0]
        eret
        dsb     nsh
        isb

guest_abort:
        mov     x1, x0
        mov     x0, xzr
        b       guest_leave

guest_trap:
        save_changeable
        mov     x2, x0
        mov     x0, x1
        mov     x1, x2

// x0 = what enterGuest's caller hears, x1 = the vCPU page, which lacks x18 to x28, PC and PSTATE.
guest_leave:
        stp     x18, x19, [x1, #144]
        stp     x20, x21, [x1, #160]
        stp     x22, x23, [x1, #176]
        stp     x24, x25, [x1, #192]
        stp     x26, x27, [x1, #208]
        str     x28, [x1, #224]
        mrs     x4, elr_el2
        mrs     x5, spsr_el2
        stp     x4, x5, [x1, #MARTLET_VCPU_PC]
        ldp     x19, x20, [sp, #16]
        ldp     x21, x22, [sp, #32]
        ldp     x23, x24, [sp, #48]
        ldp     x25, x26, [sp, #64]
        ldp     x27, x28, [sp, #80]
        ldp     x29, x30, [sp], #96
        ret

// u64 martlet_enter_guest(u64 vcpu): x0 = vCPU page, which is in the CPU's data page too (MARTLET_PERCPU_VCPU);
// returns 0, 1 or 2 when it is back. EL2's code keeps
// nothing in x18, so that the guest's may stay there.
        .global martlet_enter_guest
martlet_enter_guest:
        stp     x29, x30, [sp, #-96]!
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        stp     x23, x24, [sp, #48]
        stp     x25, x26, [sp, #64]
        stp     x27, x28, [sp, #80]
        ldr     x30, [x0, #240]
        ldp     x2, x3, [x0, #MARTLET_VCPU_PC]
        msr     elr_el2, x2
        msr     spsr_el2, x3
        ldp     x2, x3, [x0, #16]
        ldp     x4, x5, [x0, #32]
        ldp     x6, x7, [x0, #48]
        ldp     x8, x9, [x0, #64]
        ldp     x10, x11, [x0, #80]
        ldp     x12, x13, [x0, #96]
        ldp     x14, x15, [x0, #112]
        ldp     x16, x17, [x0, #128]
        ldp     x18, x19, [x0, #144]
        ldp     x20, x21, [x0, #160]
        ldp     x22, x23, [x0, #176]
        ldp     x24, x25, [x0, #192]
        ldp     x26, x27, [x0, #208]
        ldp     x28, x29, [x0, #224]
        ldp     x0, x1, [x0, #0]
        eret
        dsb     nsh
        isb

self_trap:
        add     x1, x0, #MARTLET_PERCPU_PANIC_STACK_TOP
        mov     sp, x1
        ldr     x1, [x0, #MARTLET_PERCPU_PANICKING]
        cbnz    x1, halt                        // a panic within a panic
        mov     x1, #1
        str     x1, [x0, #MARTLET_PERCPU_PANICKING]
        mov     x29, xzr
        bl      martlet_self_trap               // x0 = data page
        mrs     x0, tpidr_el2
        ldr     x1, [x0, #MARTLET_PERCPU_HAS_HOST]
        cbz     x1, halt                        // there is no host on this CPU to return to
        str     xzr, [x0, #MARTLET_PERCPU_PANICKING]
        sub     x1, x0, #MARTLET_FRAME_SIZE     // the stack's top is where the data page begins
        mov     sp, x1
        b       martlet_return_to_host
halt:
        wfi
        b       halt
