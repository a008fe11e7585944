/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The guest: it reads an order from its device, carries it out between markers, and asks for the next.
 * An order is a routine's offset, then x20 = count, x21 = address, x22 = stride, x19 = row. Everything
 * runs at EL1 with the MMU off, where it is put, and so the same guest runs in a normal VM and in a
 * protected one, whose registers nobody sets.
 */

#define ICC_SGI1R_EL1 S3_0_C12_C11_5
#define ICC_IAR1_EL1 S3_0_C12_C12_0
#define ICC_EOIR1_EL1 S3_0_C12_C12_1
#define ICC_IGRPEN1_EL1 S3_0_C12_C12_7
#define ICC_PMR_EL1 S3_0_C4_C6_0
#define BEGIN hint #64
#define END hint #65

    .section .rodata
    .balign 4096
    .globl guest_start, guest_end
guest_start:
    /* x0 is the row that the first instruction ends. */
    END
next:
    movz    x9, #0x0900, lsl #16
    ldr     x10, [x9, #0x10]
    ldr     x20, [x9, #0x18]
    ldr     x21, [x9, #0x20]
    ldr     x22, [x9, #0x28]
    ldr     x19, [x9, #0x30]
    adr     x11, guest_start
    add     x10, x10, x11
    mov     x0, x19
    BEGIN
    blr     x10
    mov     x0, x19
    END
    b       next

.macro routine name
    .globl \name
    .balign 16
\name:
.endm
.macro repeat
    subs    x20, x20, #1
    b.ne    1b
    ret
.endm
/* Waits for an interrupt and takes it: its number, as acknowledged, is in x1. */
.macro acknowledge wait
2:  \wait
    mrs     x1, ICC_IAR1_EL1
    and     x2, x1, #0x3ff
    cmp     x2, #1020
    b.hs    2b
.endm

routine guest_nothing
    ret

routine guest_empty
1:  repeat

/* A call; x21 = function, x22 = first argument. */
routine guest_call
1:  mov     x0, x21
    mov     x1, x22
    hvc     #0
    repeat

routine guest_feature_register
1:  mrs     x0, id_aa64isar0_el1
    repeat

routine guest_cache_type
1:  mrs     x0, ctr_el0
    repeat

routine guest_counter
1:  mrs     x0, cntvct_el0
    repeat

/* A register that the VMM answers. */
routine guest_device_read
    movz    x9, #0x0900, lsl #16
1:  ldr     w0, [x9]
    repeat

/* GICD_IIDR. */
routine guest_gic_read
    movz    x9, #0x0800, lsl #16
1:  ldr     w0, [x9, #8]
    repeat

/* The distributor, and the redistributor of the vCPU with number x21. */
routine guest_gic_start
    movz    x9, #0x0800, lsl #16
    mov     w0, #0x12               // GICD_CTLR: affinity routing and group 1
    str     w0, [x9]
    movz    x9, #0x080a, lsl #16
    add     x9, x9, x21, lsl #17
    ldr     w0, [x9, #0x14]
    bic     w0, w0, #2              // GICR_WAKER.ProcessorSleep
    str     w0, [x9, #0x14]
    add     x9, x9, #0x10, lsl #12
    mov     w0, #-1
    str     w0, [x9, #0x80]         // GICR_IGROUPR0
    mov     w0, #0xffff
    str     w0, [x9, #0x100]        // GICR_ISENABLER0: SGIs
    mov     x0, #0xff
    msr     ICC_PMR_EL1, x0
    mov     x0, #1
    msr     ICC_IGRPEN1_EL1, x0
    isb
    ret

/* An SGI to itself, acknowledged and ended; interrupts stay masked. */
routine guest_sgi_self
1:  mov     x0, #1                  // SGI 0 to affinity 0.0.0.0
    msr     ICC_SGI1R_EL1, x0
    isb
    acknowledge nop
    msr     ICC_EOIR1_EL1, x1
    isb
    repeat

/* Sends an SGI to the other vCPU (target list in x21), sleeps until its answer is there. */
routine guest_ping
1:  msr     ICC_SGI1R_EL1, x21
    isb
    acknowledge wfi
    msr     ICC_EOIR1_EL1, x1
    isb
    repeat

/* Sleeps until an SGI is there, and answers. */
routine guest_pong
1:  acknowledge wfi
    msr     ICC_EOIR1_EL1, x1
    msr     ICC_SGI1R_EL1, x21
    isb
    repeat

/* CPU_ON of the vCPU with affinity 1, at x21 with x22 in its x0. */
routine guest_start_other
    movz    x0, #0xc400, lsl #16
    movk    x0, #0x0003
    mov     x1, #1
    mov     x2, x21
    mov     x3, x22
    hvc     #0
    ret

/* The end of an interrupt that never was. */
routine guest_end_of_interrupt
    mov     x0, #1023
1:  msr     ICC_EOIR1_EL1, x0
    repeat

/* The virtual timer's interrupt, 27. */
routine guest_timer_start
    movz    x9, #0x080b, lsl #16
    mov     w0, #0x08000000
    str     w0, [x9, #0x100]        // GICR_ISENABLER0
    ret

.macro timer wait
1:  isb
    mrs     x0, cntvct_el0
    add     x0, x0, x21
    msr     cntv_cval_el0, x0
    mov     x1, #1
    msr     cntv_ctl_el0, x1
    isb
    acknowledge \wait
    msr     cntv_ctl_el0, xzr
    isb
    msr     ICC_EOIR1_EL1, x1
    isb
    repeat
.endm

/* The timer fires x21 ticks later, while the guest spins. */
routine guest_timer_running
    timer nop

/* The same while it sleeps. */
routine guest_timer_waiting
    timer wfi

/* Stores one word every x22 bytes from x21. */
routine guest_touch
    mov     x0, x21
1:  str     xzr, [x0]
    add     x0, x0, x22
    repeat

    .balign 4096
guest_end:
