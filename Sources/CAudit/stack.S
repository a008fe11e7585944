// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The audit's stack: the specification's frames are larger than a CPU's stack at EL2 allows.

#include "audit.h"

        .section .bss.audit_stack, "aw", %nobits
        .balign 16
audit_stack:
        .zero   AUDIT_STACK_SIZE
audit_stack_top:

        .section .text.audit_on_stack, "ax"
        .global audit_on_stack
audit_on_stack:                                 // x0 = function, x1 = its argument
        stp     x29, x30, [sp, #-32]!
        str     x19, [sp, #16]
        mov     x29, sp
        mov     x19, sp
        adrp    x9, audit_stack_top
        add     x9, x9, :lo12:audit_stack_top
        mov     sp, x9
        mov     x9, x0
        mov     x0, x1
        blr     x9
        mov     sp, x19
        ldr     x19, [sp, #16]
        ldp     x29, x30, [sp], #32
        ret
