// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// How a CPU gets into EL2: from the kernel's stub at installation, from firmware later; how its
// tables are exchanged; and how it leaves again if the installation is given up.

#include "martlet_boot.h"
#include "martlet_percpu.h"

        .arch armv8-a

// The image begins with its header (struct martlet_image_header).
        .section .header, "a"
        .global martlet_image_start
martlet_image_start:
        .quad   MARTLET_MAGIC
        .word   MARTLET_BOOT_PROTOCOL
        .word   MARTLET_PERCPU_SIZE
        .quad   __file_end - martlet_image_start
        .quad   __memory_end - martlet_image_start
        .quad   __text_end - martlet_image_start
        .quad   __rodata_end - martlet_image_start
        .quad   martlet_enter - martlet_image_start
        .quad   __rela_start - martlet_image_start
        .quad   __rela_end - martlet_image_start

// MAIR_EL2 attribute 0: Normal, inner and outer write-back, read- and write-allocate.
#define EL2_MAIR 0xff
// SCTLR_EL2: RES1 bits, C, I, SA, M. WXN joins with the final tables, in which it holds.
#define EL2_SCTLR 0x30c5183d
#define EL2_SCTLR_WXN (1 << 19)

        .section .text.entry, "ax"

// From HVC_SOFT_RESTART: x0 = boot block, x1 = CPU index, EL2 with its MMU off. ELR_EL2 and
// SPSR_EL2 lead back to the module. May change x0..x17.
        .global martlet_enter
        .global HypervisorImage_main            // the package manager's link line asks for it
HypervisorImage_main:
martlet_enter:
        mrs     x2, vbar_el2
        mrs     x3, sctlr_el2
        ldr     x4, [x0, #MARTLET_BOOT_PERCPU_BASE]
        mov     x5, #MARTLET_PERCPU_SIZE
        madd    x4, x1, x5, x4
        add     x4, x4, #MARTLET_PERCPU_DATA    // this CPU's data page; its stack ends there

        ldr     x5, [x0, #MARTLET_BOOT_TEMPORARY_ROOT]
        mov     x6, #EL2_MAIR
        msr     mair_el2, x6
        mrs     x6, id_aa64mmfr0_el1            // TCR_EL2.PS = PARange, at most 48 bits
        and     x6, x6, #0xf
        mov     x7, #5
        cmp     x6, x7
        csel    x6, x6, x7, lo
        lsl     x6, x6, #16
        mov     x7, #0x3510                     // 4 KiB granule, write-back walks, T0SZ = 16
        movk    x7, #0x8080, lsl #16            // RES1
        orr     x6, x6, x7
        msr     tcr_el2, x6
        msr     ttbr0_el2, x5
        dsb     sy
        isb
        tlbi    alle2                           // nothing the stub ran with may linger
        dsb     nsh
        ic      iallu                           // the image was written as data
        dsb     nsh
        isb
        movz    x7, #(EL2_SCTLR & 0xffff)
        movk    x7, #(EL2_SCTLR >> 16), lsl #16
        msr     sctlr_el2, x7
        isb

        // From here on memory is cacheable, as the module's own view of it is.
        str     x2, [x4, #MARTLET_PERCPU_STUB_VBAR]
        str     x3, [x4, #MARTLET_PERCPU_STUB_SCTLR]
        str     x0, [x4, #MARTLET_PERCPU_BOOT]
        str     x1, [x4, #MARTLET_PERCPU_INDEX]
        mov     x5, #1
        str     x5, [x4, #MARTLET_PERCPU_HAS_HOST]
        msr     tpidr_el2, x4
        mov     sp, x4
        adrp    x5, martlet_vectors
        add     x5, x5, :lo12:martlet_vectors
        msr     vbar_el2, x5
        isb
        mov     x0, xzr
        eret
        dsb     nsh
        isb

// From firmware, after CPU_ON or a suspension that lost the CPU's state: x0 = the CPU's data page
// by physical address. The MMU is off and every EL2 register holds its reset value.
        .global martlet_cpu_on
        .global martlet_cpu_resume
martlet_cpu_on:
martlet_cpu_resume:
        msr     spsel, #1
        ldr     x1, [x0, #MARTLET_PERCPU_MAIR]
        ldr     x2, [x0, #MARTLET_PERCPU_TCR]
        ldr     x3, [x0, #MARTLET_PERCPU_TTBR0]
        ldr     x4, [x0, #MARTLET_PERCPU_SCTLR]
        ldr     x5, [x0, #MARTLET_PERCPU_VBAR]
        msr     mair_el2, x1
        msr     tcr_el2, x2
        msr     ttbr0_el2, x3
        msr     vbar_el2, x5
        isb
        tlbi    alle2
        tlbi    alle1
        dsb     nsh
        ic      iallu
        dsb     nsh
        isb
        msr     sctlr_el2, x4
        isb
        msr     tpidr_el2, x0
        str     xzr, [x0, #MARTLET_PERCPU_HAS_HOST]
        sub     sp, x0, #MARTLET_FRAME_SIZE
        mov     x1, x0
        mov     x0, sp
        mov     x29, xzr
        bl      martlet_arrive                  // fills the frame
        mrs     x0, tpidr_el2
        mov     x1, #1
        str     x1, [x0, #MARTLET_PERCPU_HAS_HOST]
        b       martlet_return_to_host

// void martlet_adopt_root(u64 root, u64 sctlr): code, stack and data in use are mapped identically
// by old and new tables, so the MMU may go off and on under this code.
        .global martlet_adopt_root
martlet_adopt_root:
        mrs     x2, sctlr_el2
        bic     x3, x2, #1                      // M
        bic     x3, x3, #4                      // C: no data access happens until it is back
        dsb     sy
        msr     sctlr_el2, x3
        isb
        tlbi    alle2
        dsb     nsh
        msr     ttbr0_el2, x0
        isb
        ic      iallu
        dsb     nsh
        isb
        msr     sctlr_el2, x1
        isb
        ret

// void martlet_withdraw(frame, vbar, sctlr): the stub's state comes back, then the host.
        .global martlet_withdraw
martlet_withdraw:
        mov     x18, x1
        mov     x19, x2
        ldp     x20, x21, [x0, #240]            // x30, ELR
        ldr     x22, [x0, #MARTLET_FRAME_SPSR]
        msr     elr_el2, x21
        msr     spsr_el2, x22
        mov     x30, x20
        msr     tpidr_el2, xzr
        // The registers that the frame holds are loaded while memory is still mapped; x9 and x10,
        // which the calling convention gives up, carry what the last instructions need.
        mov     x9, x18
        mov     x10, x19
        ldp     x11, x12, [x0, #88]             // x11, x12
        ldp     x13, x14, [x0, #104]
        ldp     x15, x16, [x0, #120]
        ldr     x17, [x0, #136]
        ldp     x18, x19, [x0, #144]
        ldp     x20, x21, [x0, #160]
        ldp     x22, x23, [x0, #176]
        ldp     x24, x25, [x0, #192]
        ldp     x26, x27, [x0, #208]
        ldp     x28, x29, [x0, #224]
        ldp     x1, x2, [x0, #8]
        ldp     x3, x4, [x0, #24]
        ldp     x5, x6, [x0, #40]
        ldp     x7, x8, [x0, #56]
        ldr     x0, [x0]
        dsb     sy
        msr     vbar_el2, x9
        msr     sctlr_el2, x10
        isb
        tlbi    alle2
        dsb     nsh
        isb
        mov     x9, xzr
        mov     x10, xzr
        eret
        dsb     nsh
        isb

// Flags, panic record and root value live here (martlet_percpu.h); Swift asserts that they fit.
        .section .bss.root, "aw", %nobits
        .balign 64
        .global martlet_root_storage
martlet_root_storage:
        .zero   MARTLET_ROOT_SIZE
