/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Guests that are attacked, and one that attacks. x0 and x1 are the process's to choose. */

#include "guests.h"

    .section .rodata

/* Stores x1 at x0, which no access has touched before, and tells. */
guest guest_toucher
    constant x9, DEVICE
    str     x1, [x0]
1:  str     xzr, [x9]
    b       1b
guest_toucher_end:

/* Waits, and tells the word at x0. */
guest guest_reader
    constant x9, DEVICE
    str     xzr, [x9, #8]
1:  ldr     x1, [x0]
    str     x1, [x9]
    b       1b
guest_reader_end:

/* Fills v0 to v7 with x0, and tells. */
guest guest_filler
    constant x9, DEVICE
    constant x2, 0x00300000
    msr     cpacr_el1, x2
    isb
1:  dup     v0.2d, x0
    dup     v1.2d, x0
    dup     v2.2d, x0
    dup     v3.2d, x0
    dup     v4.2d, x0
    dup     v5.2d, x0
    dup     v6.2d, x0
    dup     v7.2d, x0
    str     xzr, [x9]
    b       1b
guest_filler_end:

/* Reads a performance counter's control; its handler tells that there is none. */
guest guest_counter
    adr     x2, guest_counter
    add     x2, x2, #0x800
    msr     vbar_el1, x2
    isb
    constant x9, DEVICE
    mrs     x1, pmcr_el0
    str     x1, [x9]
    b       .
    .org    guest_counter + 0xA00 /* synchronous, from this exception level */
    constant x9, DEVICE
    str     xzr, [x9, #8]
    b       .
guest_counter_end:
