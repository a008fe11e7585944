/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Guests that a hostile kernel runs by itself. Each tells first that it is there, by a store to the device; the
 * page of its code is its own by then, and it touches no other. */

#include "guests.h"

    .section .rodata

/* Loads, waits, and tells what it has loaded. */
guest guest_asker
    constant x9, DEVICE
    str     xzr, [x9]
1:  ldr     x1, [x9]
    wfi
    nop /* An answer too many steps over this. */
    str     x1, [x9, #8]
    wfi
    nop
    str     x1, [x9, #8]
    b       1b
guest_asker_end:

/* Waits and tells; its handler tells something else. */
guest guest_waiter
    adr     x2, guest_waiter
    add     x2, x2, #0x800
    msr     vbar_el1, x2
    isb
    constant x9, DEVICE
1:  str     xzr, [x9]
    wfi
    nop
    b       1b
    .org    guest_waiter + 0xA00 /* synchronous, from this exception level */
    mrs     x1, esr_el1
    str     x1, [x9, #8]
    b       .
guest_waiter_end:

/* Tells whether the virtual count lies outside two physical ones around it. */
guest guest_clock
    constant x9, DEVICE
1:  isb
    mrs     x1, cntpct_el0
    isb
    mrs     x2, cntvct_el0
    isb
    mrs     x3, cntpct_el0
    cmp     x1, x2
    ccmp    x2, x3, #2, ls
    cset    x4, hi
    str     x4, [x9]
    b       1b
guest_clock_end:

/* Goes to EL0 in AArch32, where it tells again and again. */
guest guest_narrow
    constant x9, DEVICE
    str     xzr, [x9]
    adr     x2, 1f
    msr     elr_el1, x2
    mov     x3, #0x1D0 /* User mode, A32, interrupts masked */
    msr     spsr_el1, x3
    eret
1:  .inst   0xE5890008 /* str r0, [r9, #8] */
    .inst   0xEAFFFFFD /* b 1b */
guest_narrow_end:

/* Acknowledges whatever there is, tells its number, and ends it. */
guest guest_acknowledger
    constant x9, DEVICE
    str     xzr, [x9]
1:  mov     x0, #0xFF
    msr     s3_0_c4_c6_0, x0 /* ICC_PMR_EL1 */
    mov     x0, #1
    msr     s3_0_c12_c12_7, x0 /* ICC_IGRPEN1_EL1 */
    isb
    mrs     x1, s3_0_c12_c12_0 /* ICC_IAR1_EL1 */
    str     x1, [x9, #8]
    msr     s3_0_c12_c12_1, x1 /* ICC_EOIR1_EL1 */
    isb
    b       1b
guest_acknowledger_end:

    .section .note.GNU-stack, "", %progbits
