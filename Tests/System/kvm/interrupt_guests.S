/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Guests that drive the GIC. Each runs where it is put, with its MMU off. */

#include "guests.h"

#define GICD 0x08000000
#define ICC_IAR1 s3_0_c12_c12_0
#define ICC_EOIR1 s3_0_c12_c12_1
#define ICC_DIR s3_0_c12_c11_1
#define ICC_CTLR s3_0_c12_c12_4

    .section .rodata

/* Group 1 on, in the distributor and in this vCPU's interface; x10 becomes GICD. */
.macro interrupts_on
    constant x10, GICD
    mov     w0, #2
    str     w0, [x10] /* GICD_CTLR */
    mov     x0, #0xFF
    msr     s3_0_c4_c6_0, x0 /* ICC_PMR_EL1 */
    mov     x0, #1
    msr     s3_0_c12_c12_7, x0 /* ICC_IGRPEN1_EL1 */
    isb
.endm

/* Makes 32 to 39 pending and acknowledges each at once, so that all are active; tells the device. */
.macro acknowledge_nested
    mov     w3, #1
8:  str     w3, [x10, #0x204] /* GICD_ISPENDR1 */
    mrs     x0, ICC_IAR1
    str     w0, [x1]
    lsl     w3, w3, #1
    cmp     w3, #0x100
    b.ne    8b
    ldr     w0, [x10, #0x304] /* GICD_ISACTIVER1 */
    str     w0, [x1, #4]
    mov     x3, #39
9:  msr     ICC_EOIR1, x3
    sub     x3, x3, #1
    cmp     x3, #31
    b.ne    9b
    isb
.endm

/* Eight edge-triggered SPIs, the later of higher priority. */
guest guest_nested
    constant x1, DEVICE
    interrupts_on
    constant w0, 0xAAAAAAAA
    add     x2, x10, #0xC00
    str     w0, [x2, #8] /* GICD_ICFGR2 */
    add     x2, x10, #0x420 /* GICD_IPRIORITYR8 */
    mov     w3, #0xE0
1:  strb    w3, [x2] /* No write-back: it has no syndrome. */
    add     x2, x2, #1
    sub     w3, w3, #0x10
    cmp     w3, #0x60
    b.ne    1b
    mov     w0, #0xFF
    str     w0, [x10, #0x104] /* GICD_ISENABLER1 */
    acknowledge_nested
    ldr     w0, [x10, #0x304]
    str     w0, [x1, #4]
    mov     w0, #0xFF
    str     w0, [x10, #0x204]
2:  mrs     x0, ICC_IAR1
    str     w0, [x1]
    cmp     x0, #1023
    b.eq    3f
    msr     ICC_EOIR1, x0
    isb
    b       2b
3:  mrs     x0, ICC_CTLR
    orr     x0, x0, #2 /* EOImode */
    msr     ICC_CTLR, x0
    isb
    acknowledge_nested
    mov     x3, #32
4:  msr     ICC_DIR, x3
    isb
    ldr     w0, [x10, #0x304]
    str     w0, [x1, #4]
    add     x3, x3, #1
    cmp     x3, #40
    b.ne    4b
    constant x0, SYSTEM_OFF
    hvc     #0
guest_nested_end:

/* vCPU 1 takes interrupt 40 whenever the word at 0x800 is odd, adds 1 when it has it, and ends it when the word
 * has gone on by another 1; vCPU 0 looks at it meanwhile. After 50 rounds both tell the device. */
guest guest_observer
    constant x1, DEVICE
    interrupts_on
    adr     x4, guest_observer
    add     x4, x4, #0x800
    constant x0, CPU_ON
    mov     x1, #1
    adr     x2, observed_other
    mov     x3, #0
    hvc     #0
    constant x1, DEVICE
    add     x2, x10, #0xC00
    constant w0, 0xAAAAAAAA
    str     w0, [x2, #8]
    mov     x0, #1
    constant x2, (GICD + 0x6140) /* GICD_IROUTER40 */
    str     x0, [x2]
    mov     w0, #0x100
    str     w0, [x10, #0x104]
    mov     x19, #50
    mov     x6, #0
1:  ldr     x5, [x4] /* vCPU 1 is ready: 4n + 1 */
    add     x7, x6, #1
    cmp     x5, x7
    b.ne    1b
    mov     w0, #0x100
    str     w0, [x10, #0x204]
2:  ldr     x5, [x4] /* It has it: 4n + 2. */
    add     x7, x6, #2
    cmp     x5, x7
    b.ne    2b
    ldr     w0, [x10, #0x304]
    str     w0, [x1]
    ldr     w0, [x10, #0x204]
    str     w0, [x1, #4]
    add     x7, x6, #3
    str     x7, [x4]
3:  ldr     x5, [x4] /* It has ended it: 4n + 4. */
    add     x7, x6, #4
    cmp     x5, x7
    b.lo    3b
    ldr     w0, [x10, #0x304]
    str     w0, [x1]
    add     x6, x6, #4
    str     x6, [x4, #8] /* It may go on. */
    subs    x19, x19, #1
    b.ne    1b
    str     wzr, [x1, #12]
    constant x0, SYSTEM_OFF
    hvc     #0
observed_other:
    constant x10, GICD
    mov     x0, #0xFF
    msr     s3_0_c4_c6_0, x0
    mov     x0, #1
    msr     s3_0_c12_c12_7, x0
    isb
    adr     x4, guest_observer
    add     x4, x4, #0x800
    mov     x19, #50
    mov     x6, #0
5:  add     x7, x6, #1
    str     x7, [x4]
6:  mrs     x0, ICC_IAR1
    cmp     x0, #40
    b.ne    6b
    add     x7, x6, #2
    str     x7, [x4]
7:  ldr     x5, [x4]
    add     x7, x6, #3
    cmp     x5, x7
    b.ne    7b
    msr     ICC_EOIR1, x0
    isb
    add     x6, x6, #4
    str     x6, [x4]
8:  ldr     x5, [x4, #8]
    cmp     x5, x6
    b.ne    8b
    subs    x19, x19, #1
    b.ne    5b
    constant x1, DEVICE
    str     w0, [x1, #8]
9:  b       9b
guest_observer_end:

    .section .note.GNU-stack, "", %progbits
