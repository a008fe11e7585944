/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * One CPU's data page at EL2, by offset: assembly and Swift both use it. TPIDR_EL2 holds its
 * address. The page's upper part is the stack on which a panic is handled.
 */
#ifndef MARTLET_PERCPU_H
#define MARTLET_PERCPU_H

/* What `enter` found, so that `withdraw` can put it back. */
#define MARTLET_PERCPU_STUB_VBAR 0x00
#define MARTLET_PERCPU_STUB_SCTLR 0x08
#define MARTLET_PERCPU_BOOT 0x10
#define MARTLET_PERCPU_INDEX 0x18
/* What a CPU that comes from firmware loads before it can use memory. Cleaned to the point of
 * coherency when written. */
#define MARTLET_PERCPU_TTBR0 0x20
#define MARTLET_PERCPU_MAIR 0x28
#define MARTLET_PERCPU_TCR 0x30
#define MARTLET_PERCPU_SCTLR 0x38
#define MARTLET_PERCPU_VBAR 0x40
/* Iterations of the branch-history loop, for the vectors that have one. */
#define MARTLET_PERCPU_BHB_LOOP 0x48
/* Not zero while the frame below the stack's top holds a host to return to. */
#define MARTLET_PERCPU_HAS_HOST 0x50
/* What the panic entry saves. */
#define MARTLET_PERCPU_PANIC_SP 0x58
#define MARTLET_PERCPU_PANIC_FP 0x60
#define MARTLET_PERCPU_PANIC_LR 0x68
/* A zero-terminated message, or 0. */
#define MARTLET_PERCPU_PANIC_MESSAGE 0x70
/* Set once this CPU handles a panic: a second one halts it. */
#define MARTLET_PERCPU_PANICKING 0x78
/* The power relay's state of this CPU: a code, and where it goes on at EL1. */
#define MARTLET_PERCPU_POWER 0x80
#define MARTLET_PERCPU_POWER_ENTRY 0x88
#define MARTLET_PERCPU_POWER_CONTEXT 0x90
/* The vCPU that this CPU runs or has run last (KeptClaim): its VM's handle and its index, the frame of its VM's page
 * and its own page, and the latter once more while its claim is kept and nobody runs it. */
#define MARTLET_PERCPU_CLAIM 0xa0
#define MARTLET_PERCPU_VM 0xb0
#define MARTLET_PERCPU_VCPU 0xb8
#define MARTLET_PERCPU_CLAIM_KEPT 0xc0
/* The host's EL1 state while a guest runs: one word a register. */
#define MARTLET_PERCPU_HOST_CONTEXT 0x100
/* How often its guests have left for the host: a word for each reason. */
#define MARTLET_PERCPU_EXITS 0x240
/* The host's vector registers while a guest's are loaded, relative to the data page. */
#define MARTLET_PERCPU_HOST_VECTORS 0x1000

/* One vCPU's first page: x0..x30, PC, PSTATE; the rest belongs to Swift (VCPUField). */
#define MARTLET_VCPU_PC 0xf8
#define MARTLET_VCPU_PSTATE 0x100

/* The panic stack grows down from here. */
#define MARTLET_PERCPU_PANIC_STACK_TOP 0x1000

/* The host's registers at an exception: x0..x30, ELR_EL2, SPSR_EL2, ESR_EL2. */
#define MARTLET_FRAME_ELR 0xf8
#define MARTLET_FRAME_SPSR 0x100
#define MARTLET_FRAME_SIZE 0x110

/* The root's storage: flags, the panic record, the root value. */
#define MARTLET_ROOT_PANICKED 0x00
#define MARTLET_ROOT_INITIALISED 0x08
#define MARTLET_ROOT_PANIC_RECORD 0x40
#define MARTLET_ROOT_VALUE 0x140
#define MARTLET_ROOT_SIZE 0x1000

/* The panic record: 32 words. */
#define MARTLET_PANIC_WORDS 32
#define MARTLET_PANIC_MAGIC 0x4d50414e
#define MARTLET_PANIC_FRAMES 8
#define MARTLET_PANIC_MAX_FRAMES 16
#define MARTLET_PANIC_MESSAGE 24
#define MARTLET_PANIC_MESSAGE_BYTES 64

#endif /* MARTLET_PERCPU_H */
