/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Guests that attack by their instructions. */

#include "guests.h"

#define AFFINITY_INFO 0xC4000004

    .section .rodata

.macro handler_at guest, scratch
    adr     \scratch, \guest
    add     \scratch, \scratch, #0x800
    msr     vbar_el1, \scratch
    isb
.endm
/* Goes on behind the instruction. Uses x2. */
.macro step_over
    mrs     x2, elr_el1
    add     x2, x2, #4
    msr     elr_el1, x2
    eret
.endm

/* Tells what firmware says of CPU 1; then makes calls with each number whose bits 31:24 are anything, and whose
 * others are below 256 or one of a few, and of each that is supported tells the number and the answer. Those that
 * end a guest or let it wait are left out. At the end it tells how many calls it has made. */
guest guest_caller
    constant x9, DEVICE
    constant x0, AFFINITY_INFO
    mov     x1, #1
    mov     x2, #0
    mov     x3, #0
    smc     #0
    str     x0, [x9]
    mov     x19, #0 /* calls */
    mov     x20, #0 /* bits 31:24 */
    movz    x25, #0x7C15 /* for arguments */
    movk    x25, #0x7F4A, lsl #16
    movk    x25, #0x79B9, lsl #32
    movk    x25, #0x9E37, lsl #48
1:  mov     x21, #0
2:  orr     x22, x21, x20, lsl #24
    bl      call_both
    add     x21, x21, #1
    cmp     x21, #0x100
    b.ne    2b
    adr     x26, 5f
3:  ldr     w21, [x26], #4
    cbz     w21, 4f
    orr     x22, x21, x20, lsl #24
    bl      call_both
    b       3b
4:  add     x20, x20, #1
    cmp     x20, #0x100
    b.ne    1b
    str     x19, [x9, #24]
    b       .
5:  .word   0x3FFF, 0x7FFF, 0x8000, 0xFF00, 0xFF01, 0xFFFF, 0x10000, 0xF00001, 0
call_both:
    adr     x2, 9f
6:  ldr     w3, [x2], #4
    cbz     w3, 7f
    bic     w4, w22, #0x40000000
    cmp     w3, w4
    b.ne    6b
    ret
7:  mov     x24, #2
8:  mul     x1, x25, x25
    add     x25, x25, #2
    mul     x2, x1, x25
    mul     x3, x2, x25
    mov     x0, x22
    add     x19, x19, #1
    tbz     x24, #0, 1f
    hvc     #0
    b       2f
1:  smc     #0
2:  cmn     x0, #1
    b.eq    3f
    str     x22, [x9, #8]
    str     x0, [x9, #16]
3:  subs    x24, x24, #1
    b.ne    8b
    ret
    /* CPU_SUSPEND, CPU_OFF, SYSTEM_OFF, SYSTEM_RESET, SYSTEM_RESET2 */
9:  .word   0x84000001, 0x84000002, 0x84000008, 0x84000009, 0x84000012, 0
guest_caller_end:

/* Cleans by set and way, tells, and tells L2CTLR_EL1, or zero. */
guest guest_machinist
    handler_at guest_machinist, x2
    constant x9, DEVICE
    dc      isw, xzr
    dc      csw, xzr
    dc      cisw, xzr
    str     xzr, [x9]
    mrs     x1, s3_1_c11_c0_2
    str     x1, [x9, #8]
    b       .
    .org    guest_machinist + 0xA00 /* synchronous, from this exception level */
    mov     x1, #0
    step_over
guest_machinist_end:

/* Tells that it is there. Then it stores x1 at x0, where no memory and no window is, and in a window by instructions
 * without a syndrome. */
guest guest_stray
    handler_at guest_stray, x2
    constant x9, DEVICE
    mov     x2, #3 << 20
    msr     cpacr_el1, x2
    str     xzr, [x9]
    str     x1, [x0]
    stp     x1, x1, [x9, #16]
    fmov    d0, x1
    str     q0, [x9, #32]
    b       .
    .org    guest_stray + 0xA00 /* synchronous, from this exception level */
    step_over
guest_stray_end:

/* Tells that it is there. Then it stores x1, with a table in which all is normal memory, across the end of its
 * memory of 8 MiB, across its beginning, and between two words of a window. */
guest guest_straddler
    handler_at guest_straddler, x2
    constant x9, DEVICE
    constant x10, 0x40000000
    constant x11, 0x40800000
    stur    xzr, [x11, #-8]
    str     xzr, [x9]
    mov     x2, #0xFF /* attribute 0: write-back */
    msr     mair_el1, x2
    mov     x2, #25 /* T0SZ: 39 bits; EPD1 */
    movk    x2, #0x80, lsl #16
    msr     tcr_el1, x2
    adr     x2, guest_straddler
    add     x2, x2, #0x1000
    msr     ttbr0_el1, x2
    isb
    mrs     x2, sctlr_el1
    orr     x2, x2, #1
    msr     sctlr_el1, x2
    isb
    stur    x1, [x11, #-4]
    stur    x1, [x10, #-4]
    stur    x1, [x9, #4]
    b       .
    .org    guest_straddler + 0xA00
    step_over
    .org    guest_straddler + 0x1000 /* Blocks of 1 GiB: attribute 0, inner shareable, used. */
    .quad   0x701, 0x40000701
guest_straddler_end:

/* Goes through the reads of system registers at x0 and the writes at x1, at EL1 and at EL0, and tells which are
 * defined, and their values. Each is followed by a call of guest_sweeper_told. */
    .globl guest_sweeper_told
guest guest_sweeper
    handler_at guest_sweeper, x2
    constant x9, DEVICE
    mov     x2, #3 << 20
    msr     cpacr_el1, x2
    mov     x2, #0x3FF /* EL0 has the counters and the timers, as far as EL1 has them. */
    msr     cntkctl_el1, x2
    isb
    mrs     x24, sctlr_el1
    mov     x20, x0
    mov     x21, x1
    mov     x25, #0
    bl      pass
    bl      pass
    /* The writes have left zeroes. */
    orr     x24, x24, #1 << 14 /* DZE */
    orr     x24, x24, #1 << 15 /* UCT */
    orr     x24, x24, #1 << 9 /* UMA */
    msr     sctlr_el1, x24
    mov     x2, #3 << 20
    msr     cpacr_el1, x2
    mov     x2, #0x3FF
    msr     cntkctl_el1, x2
    adr     x2, 1f
    msr     elr_el1, x2
    mov     x2, #0x3C0 /* EL0t, interrupts masked */
    msr     spsr_el1, x2
    isb
    eret
1:  bl      pass
    bl      pass
    str     x25, [x9]
    b       .
/* One pass, of which there are two kinds. */
pass:
    mov     x27, x30
    str     x25, [x9]
    tst     x25, #1
    csel    x2, x20, x21, eq
    add     x25, x25, #1
    mov     x19, #0
    mov     x18, #0
    adr     x28, 2f
    br      x2
2:  ret     x27
guest_sweeper_told:
    cbnz    x18, 3f
    str     x19, [x9, #8]
    str     x0, [x9, #16]
3:  mov     x18, #0
    mov     x0, #0
    add     x19, x19, #1
    ret
undefined:
    mov     x18, #1
    step_over
    .org    guest_sweeper + 0x800 /* synchronous, from this exception level with SP_EL0, with SP_EL1, and from EL0 */
    b       undefined
    .org    guest_sweeper + 0xA00
    b       undefined
    .org    guest_sweeper + 0xC00
    b       undefined
guest_sweeper_end:

    .section .note.GNU-stack, "", %progbits
