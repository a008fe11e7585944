// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The only code at EL2 that touches vector registers: it moves them to and from memory, and
// computes nothing with them.

        .arch   armv8-a+fp+simd+sve
        .section .text.fpsimd, "ax"

        .macro  control_save
        mrs     x1, fpcr
        mrs     x2, fpsr
        stp     x1, x2, [x0]
        .endm

        .macro  control_restore
        ldp     x1, x2, [x0]
        msr     fpcr, x1
        msr     fpsr, x2
        .endm

// The area: FPCR, FPSR, a word that is not for these functions, then the registers from byte 64 on.

        .global martlet_vectors_save
martlet_vectors_save:
        control_save
        add     x0, x0, #64
        stp     q0, q1, [x0, #0]
        stp     q2, q3, [x0, #32]
        stp     q4, q5, [x0, #64]
        stp     q6, q7, [x0, #96]
        stp     q8, q9, [x0, #128]
        stp     q10, q11, [x0, #160]
        stp     q12, q13, [x0, #192]
        stp     q14, q15, [x0, #224]
        stp     q16, q17, [x0, #256]
        stp     q18, q19, [x0, #288]
        stp     q20, q21, [x0, #320]
        stp     q22, q23, [x0, #352]
        stp     q24, q25, [x0, #384]
        stp     q26, q27, [x0, #416]
        stp     q28, q29, [x0, #448]
        stp     q30, q31, [x0, #480]
        ret

        .global martlet_vectors_restore
martlet_vectors_restore:
        control_restore
        add     x0, x0, #64
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
        ret

        .global martlet_scalable_save
martlet_scalable_save:
        control_save
        add     x0, x0, #64
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        str     z\n, [x0, #\n, mul vl]
        .endr
        addvl   x0, x0, #31
        addvl   x0, x0, #1
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        str     p\n, [x0, #\n, mul vl]
        .endr
        rdffr   p0.b
        str     p0, [x0, #16, mul vl]
        ldr     p0, [x0, #0, mul vl]
        ret

        .global martlet_scalable_restore
martlet_scalable_restore:
        control_restore
        add     x0, x0, #64
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        ldr     z\n, [x0, #\n, mul vl]
        .endr
        addvl   x0, x0, #31
        addvl   x0, x0, #1
        ldr     p0, [x0, #16, mul vl]
        wrffr   p0.b
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        ldr     p\n, [x0, #\n, mul vl]
        .endr
        ret

        .global martlet_scalable_length
martlet_scalable_length:
        rdvl    x0, #1
        ret
