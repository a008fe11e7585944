/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Guests of a few instructions. Each runs where it is put, with its MMU off. */

#include "guests.h"

    .section .rodata

/* Device accesses of every size, then the end. */
guest guest_devices
    constant x1, DEVICE
    movz    x0, #0x1122
    movk    x0, #0x3344, lsl #16
    movk    x0, #0x5566, lsl #32
    movk    x0, #0x7788, lsl #48
    strb    w0, [x1]
    strh    w0, [x1, #2]
    str     w0, [x1, #4]
    str     x0, [x1, #8]
    ldrb    w12, [x1]
    ldrh    w13, [x1, #2]
    ldr     w14, [x1, #4]
    ldr     x15, [x1, #8]
    ldr     w16, [x1, #16]
    constant x0, SYSTEM_OFF
    hvc     #0
guest_devices_end:

/* Loads that extend the sign. */
guest guest_signed
    constant x1, DEVICE
    ldrsb   x12, [x1]
    ldrsb   w13, [x1, #1]
    ldrsh   x14, [x1, #2]
    ldrsw   x15, [x1, #4]
    constant x0, SYSTEM_OFF
    hvc     #0
guest_signed_end:

/* Runs until something outside stops it. */
guest guest_forever
    add     x19, x19, #1
    b       guest_forever
guest_forever_end:

/* Tells the device that it is there, and runs until something outside stops it. */
guest guest_beat
    constant x1, DEVICE
    str     x19, [x1]
1:  add     x19, x19, #1
    b       1b
guest_beat_end:

/* Sleeps for ever. */
guest guest_sleeper
    wfi
    b       guest_sleeper
guest_sleeper_end:

guest guest_reset
    constant x0, SYSTEM_RESET
    hvc     #0
guest_reset_end:

/* Turns vCPU 1 on, which writes to the device and turns itself off; twice. */
guest guest_secondary
    mov     x20, #2
    adr     x21, second
1:  constant x0, CPU_ON
    mov     x1, #1
    mov     x2, x21
    mov     x3, #0x77
    hvc     #0
    constant x1, DEVICE
    str     w0, [x1]
    subs    x20, x20, #1
    b.ne    1b
    constant x0, SYSTEM_OFF
    hvc     #0
second:
    constant x1, DEVICE
    str     w0, [x1, #4]
    constant x0, CPU_OFF
    hvc     #0
guest_secondary_end:

/* Sets the timer, waits for its interrupt with interrupts masked, and tells the device. */
guest guest_timer
    mrs     x0, cntfrq_el0
    lsr     x0, x0, #5
    msr     cntv_tval_el0, x0
    mov     x0, #1
    msr     cntv_ctl_el0, x0
    constant x1, 0x080B0000 /* SGI_base of the redistributor */
    movz    w2, #0x0800, lsl #16
    str     w2, [x1, #0x100] /* GICR_ISENABLER0: 27 */
    constant x1, 0x08000000
    mov     w2, #2
    str     w2, [x1] /* GICD_CTLR: group 1 */
    mov     x0, #0xFF
    msr     s3_0_c4_c6_0, x0 /* ICC_PMR_EL1 */
    mov     x0, #1
    msr     s3_0_c12_c12_7, x0 /* ICC_IGRPEN1_EL1 */
    isb
1:  wfi
    mrs     x0, isr_el1
    cbz     x0, 1b
    mrs     x0, s3_0_c12_c12_0 /* ICC_IAR1_EL1 */
    msr     cntv_ctl_el0, xzr
    isb
    msr     s3_0_c12_c12_1, x0 /* ICC_EOIR1_EL1 */
    constant x1, DEVICE
    str     w0, [x1]
    constant x0, SYSTEM_OFF
    hvc     #0
guest_timer_end:

/* Adds up the first word of x1 pages from x0 on, again and again; x2 counts the rounds and x3 has
 * the last sum, which the device is told after each round. */
guest guest_sum
    mov     x2, #0
    constant x9, DEVICE
1:  mov     x4, x0
    mov     x5, x1
    mov     x3, #0
2:  ldr     x6, [x4]
    add     x3, x3, x6
    add     x4, x4, #4096
    subs    x5, x5, #1
    b.ne    2b
    add     x2, x2, #1
    str     x3, [x9]
    b       1b
guest_sum_end:

/* Writes its number to the first word of x1 pages from x0 on, plus x2; then tells the device. */
guest guest_fill
    constant x9, DEVICE
    mov     x4, x0
    mov     x5, #0
1:  add     x6, x5, x2
    str     x6, [x4]
    add     x4, x4, #4096
    add     x5, x5, #1
    cmp     x5, x1
    b.ne    1b
    str     x5, [x9]
2:  b       2b
guest_fill_end:

/* Has a secret: x1 pages from x0 on, made of x2. It tells the device the sum of their first words, makes
 * them the secret, and then asks the device, again and again, how often to look whether they still are;
 * the answer is how many words were not. Asked to look no more, it switches the machine off. */
guest guest_keeper
    constant x9, DEVICE
    movz    x10, #0x7C15
    movk    x10, #0x7F4A, lsl #16
    movk    x10, #0x79B9, lsl #32
    movk    x10, #0x9E37, lsl #48
    add     x11, x0, x1, lsl #12
    mov     x4, x0
    mov     x6, #0
1:  ldr     x7, [x4]
    add     x6, x6, x7
    add     x4, x4, #4096
    cmp     x4, x11
    b.ne    1b
    str     x6, [x9]
    mov     x4, x0
2:  mul     x6, x4, x10
    eor     x6, x6, x2
    str     x6, [x4], #8
    cmp     x4, x11
    b.ne    2b
3:  ldr     x3, [x9, #16]
    cbz     x3, 6f
    mov     x12, #0
4:  mov     x4, x0
5:  mul     x6, x4, x10
    eor     x6, x6, x2
    ldr     x7, [x4], #8
    cmp     x6, x7
    cinc    x12, x12, ne
    cmp     x4, x11
    b.ne    5b
    subs    x3, x3, #1
    b.ne    4b
    str     x12, [x9, #8]
    b       3b
6:  constant x0, SYSTEM_OFF
    hvc     #0
    b       6b
guest_keeper_end:

/* Tells the device how it knows its CPU, and what its virtual timer says. */
.macro tell register
    mrs     x0, \register
    str     x0, [x9]
.endm
guest guest_identity
    constant x9, DEVICE
    tell    mpidr_el1
    tell    id_aa64pfr0_el1
    tell    id_aa64pfr1_el1
    tell    id_aa64dfr0_el1
    tell    id_aa64isar0_el1
    tell    id_aa64isar1_el1
    tell    id_aa64mmfr0_el1
    tell    id_aa64mmfr1_el1
    tell    s3_0_c0_c7_2 /* ID_AA64MMFR2_EL1 */
    tell    cntvct_el0
    tell    cntv_cval_el0
    tell    cntv_ctl_el0
    b       guest_identity
guest_identity_end:

/* Jumps to where nothing is; its handler tells the device what came of it. */
guest guest_astray
    adr     x0, guest_astray
    add     x0, x0, #0x800
    msr     vbar_el1, x0
    isb
    constant x0, 0x20000000
    br      x0
    .org    guest_astray + 0xA00 /* synchronous, from this exception level */
    constant x1, DEVICE
    mrs     x0, esr_el1
    str     w0, [x1]
    mrs     x0, far_el1
    str     x0, [x1, #8]
    constant x0, SYSTEM_OFF
    hvc     #0
guest_astray_end:

/* Scalable vectors: z5 becomes twice z4, FFR all ones; then the length is stored. */
    .arch_extension sve
guest guest_vectors
    constant x0, 0x00330000
    msr     cpacr_el1, x0
    isb
    mov     x0, #15
    msr     S3_0_C1_C2_0, x0
    isb
    setffr
    add     z5.b, z4.b, z4.b
    rdvl    x2, #1
    constant x1, DEVICE
    str     x2, [x1]
guest_vectors_end:

/* Cache maintenance where no memory is, then a load of two registers there. */
guest guest_undecodable
    constant x0, 0x20000000
    constant x1, DEVICE
    dc      civac, x0
    str     w0, [x1]
    ldp     x2, x3, [x0]
guest_undecodable_end:

/* vCPU 1 counts for ever in the word at 0x800; vCPU 0 waits until it does and ends the machine. When
 * it is made to go on, it tells what that call answered. */
guest guest_ender
    adr     x4, guest_ender
    add     x4, x4, #0x800
    constant x0, CPU_ON
    mov     x1, #1
    adr     x2, ender_other
    mov     x3, #0
    hvc     #0
1:  ldr     x5, [x4]
    cbz     x5, 1b
    constant x0, SYSTEM_OFF
    hvc     #0
    constant x1, DEVICE
    str     w0, [x1]
2:  b       2b
ender_other:
    adr     x4, guest_ender
    add     x4, x4, #0x800
3:  add     x19, x19, #1
    str     x19, [x4]
    b       3b
guest_ender_end:

    .section .note.GNU-stack, "", %progbits
