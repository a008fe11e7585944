// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Vector registers of the calling thread (registers.h): x0 = pattern, x1 = what is found, x2 = wait.

        .arch   armv8-a+sve
        .equ    VECTORS, 64
        .equ    PREDICATES, 64 + 32 * 256
        .equ    SCHED_YIELD, 124

// The low halves of v8 to v15 are the caller's, and its FPCR.
        .macro  enter
        stp     x29, x30, [sp, #-96]!
        mrs     x9, fpcr
        str     x9, [sp, #80]
        stp     d8, d9, [sp, #16]
        stp     d10, d11, [sp, #32]
        stp     d12, d13, [sp, #48]
        stp     d14, d15, [sp, #64]
        mov     x10, x1
        ldp     x11, x12, [x2]                  // turns, corrupts
        ldp     x13, x14, [x0]
        msr     fpcr, x13
        msr     fpsr, x14
        .endm

        .macro  leave
        mrs     x13, fpcr
        mrs     x14, fpsr
        stp     x13, x14, [x10]
        ldp     d8, d9, [sp, #16]
        ldp     d10, d11, [sp, #32]
        ldp     d12, d13, [sp, #48]
        ldp     d14, d15, [sp, #64]
        ldr     x9, [sp, #80]
        msr     fpcr, x9
        ldp     x29, x30, [sp], #96
        ret
        .endm

        .macro  pass_time
        cbz     x11, 2f
1:      subs    x11, x11, #1
        b.ne    1b
        b       3f
2:      mov     x8, #SCHED_YIELD
        svc     #0
3:      cbz     x12, 4f
        mvn     v31.16b, v31.16b
4:
        .endm

        .text
        .global hold_simd
        .type   hold_simd, %function
hold_simd:
        enter
        add     x0, x0, #VECTORS
        ldp     q0, q1, [x0, #0]
        ldp     q2, q3, [x0, #32]
        ldp     q4, q5, [x0, #64]
        ldp     q6, q7, [x0, #96]
        ldp     q8, q9, [x0, #128]
        ldp     q10, q11, [x0, #160]
        ldp     q12, q13, [x0, #192]
        ldp     q14, q15, [x0, #224]
        ldp     q16, q17, [x0, #256]
        ldp     q18, q19, [x0, #288]
        ldp     q20, q21, [x0, #320]
        ldp     q22, q23, [x0, #352]
        ldp     q24, q25, [x0, #384]
        ldp     q26, q27, [x0, #416]
        ldp     q28, q29, [x0, #448]
        ldp     q30, q31, [x0, #480]
        pass_time
        add     x1, x10, #VECTORS
        stp     q0, q1, [x1, #0]
        stp     q2, q3, [x1, #32]
        stp     q4, q5, [x1, #64]
        stp     q6, q7, [x1, #96]
        stp     q8, q9, [x1, #128]
        stp     q10, q11, [x1, #160]
        stp     q12, q13, [x1, #192]
        stp     q14, q15, [x1, #224]
        stp     q16, q17, [x1, #256]
        stp     q18, q19, [x1, #288]
        stp     q20, q21, [x1, #320]
        stp     q22, q23, [x1, #352]
        stp     q24, q25, [x1, #384]
        stp     q26, q27, [x1, #416]
        stp     q28, q29, [x1, #448]
        stp     q30, q31, [x1, #480]
        leave

        .global hold_scalable
        .type   hold_scalable, %function
hold_scalable:
        enter
        add     x4, x0, #PREDICATES & 0xFFF
        add     x4, x4, #PREDICATES & 0xFFF000
        add     x0, x0, #VECTORS
        ldr     p0, [x4, #16, mul vl]
        wrffr   p0.b
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        ldr     p\n, [x4, #\n, mul vl]
        .endr
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        ldr     z\n, [x0, #\n, mul vl]
        .endr
        pass_time
        add     x4, x10, #PREDICATES & 0xFFF
        add     x4, x4, #PREDICATES & 0xFFF000
        add     x1, x10, #VECTORS
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        str     z\n, [x1, #\n, mul vl]
        .endr
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        str     p\n, [x4, #\n, mul vl]
        .endr
        rdffr   p0.b
        str     p0, [x4, #16, mul vl]
        leave

        .global scalable_bytes
        .type   scalable_bytes, %function
scalable_bytes:
        rdvl    x0, #1
        ret

        .section .note.GNU-stack, "", %progbits
