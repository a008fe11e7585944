/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The boot protocol: what the host module and the hypervisor image agree on before the
 * hypervisor owns anything. Layouts are C because assembly, the kernel binding and Swift all
 * read them; every size and offset that assembly uses is asserted below.
 *
 * Order of events (ARCHITECTURE.md, "Taking EL2"):
 *   1. The module obtains 2 MiB superpages and copies the flat image to the start of the first.
 *   2. It measures the copy (SHA-256), applies the image's relative relocations for the
 *      physical address it lies at, zeroes the rest, and writes a struct martlet_boot.
 *   3. It builds temporary stage-1 tables: identity, 2 MiB blocks, the superpages only.
 *   4. It cleans all of it to the point of coherency and, on every CPU, asks the kernel's stub
 *      (HVC_SOFT_RESTART) to branch to the image's `enter` with x0 = physical address of the
 *      boot block and x1 = index of the CPU in `mpidr`. `enter` returns to EL1 with x0 = 0.
 *   5. From then on EL2 answers the host calls of HypervisorInterface.
 */
#ifndef MARTLET_BOOT_H
#define MARTLET_BOOT_H

#define MARTLET_BOOT_PROTOCOL 1

/* "MARTLET2", little endian: first word of the image and of the boot block. */
#define MARTLET_MAGIC 0x3254454c5452414d

#define MARTLET_PAGE_SIZE 0x1000
#define MARTLET_SUPERPAGE_SIZE 0x200000

/* One CPU's memory: a guard page (never mapped by the final tables), the stack, the data page, and
 * three pages for the host's vector registers while a guest's are loaded. */
#define MARTLET_PERCPU_SIZE 0x9000
#define MARTLET_PERCPU_STACK_TOP 0x5000
#define MARTLET_PERCPU_DATA 0x5000

#define MARTLET_MAX_SUPERPAGES 512
#define MARTLET_MAX_RANGES 128
#define MARTLET_MAX_CPUS 256

/* Offsets in struct martlet_boot that assembly and EL2's Swift code use. */
#define MARTLET_BOOT_CPU_COUNT 0x0c
#define MARTLET_BOOT_IMAGE_BASE 0x10
#define MARTLET_BOOT_TEMPORARY_ROOT 0x18
#define MARTLET_BOOT_PERCPU_BASE 0x20
#define MARTLET_BOOT_POOL_START 0x28
#define MARTLET_BOOT_POOL_END 0x30
#define MARTLET_BOOT_SUPERPAGE_COUNT 0x38
#define MARTLET_BOOT_RANGE_COUNT 0x3c
#define MARTLET_BOOT_DIGEST 0x40
#define MARTLET_BOOT_SEED 0x60
#define MARTLET_BOOT_MPIDR 0xa0
#define MARTLET_BOOT_SUPERPAGE 0x8a0
#define MARTLET_BOOT_RANGE 0x18a0
#define MARTLET_BOOT_SIZE 0x24a0

/* Offsets in struct martlet_image_header that EL2's Swift code uses. */
#define MARTLET_IMAGE_MEMORY_SIZE 0x18
#define MARTLET_IMAGE_TEXT_END 0x20
#define MARTLET_IMAGE_RODATA_END 0x28

#ifndef __ASSEMBLER__

/* Fixed-width names that do not collide with the kernel's or a C library's own. */
typedef unsigned char martlet_u8;
typedef unsigned int martlet_u32;
typedef unsigned long long martlet_u64;

/* What a range of physical addresses is. Everything not listed is a device or nothing. */
enum martlet_range_kind {
    /* Ordinary RAM of the host: in the ledger, host-owned unless it is a superpage of ours. */
    MARTLET_RANGE_RAM = 1,
    /* RAM that firmware keeps (NOMAP): mapped for the host, never donatable. */
    MARTLET_RANGE_FIRMWARE = 2,
    /* Device addresses the host must never reach: PE debug, CTI, trace frames. */
    MARTLET_RANGE_DENY = 3,
};

/* A physical range; base and size are multiples of MARTLET_PAGE_SIZE, sorted, disjoint. */
struct martlet_range {
    martlet_u64 base;
    martlet_u64 size;
    martlet_u32 kind;
    martlet_u32 reserved;
};

/* The first bytes of the flat image. Offsets are from the image's start. */
struct martlet_image_header {
    martlet_u64 magic;
    martlet_u32 protocol;
    martlet_u32 percpu_size;
    martlet_u64 file_size;     /* bytes of the flat image */
    martlet_u64 memory_size;   /* with zero-filled data; a multiple of the page size */
    martlet_u64 text_end;      /* [0, text_end) is executable and read-only */
    martlet_u64 rodata_end;    /* [text_end, rodata_end) is read-only */
    martlet_u64 enter;         /* where HVC_SOFT_RESTART branches to */
    martlet_u64 rela_start;    /* Elf64_Rela records, all R_AARCH64_RELATIVE */
    martlet_u64 rela_end;
};

/* What only the host kernel knows. Three pages at most, page-aligned. */
struct martlet_boot {
    martlet_u64 magic;
    martlet_u32 protocol;
    martlet_u32 cpu_count;
    martlet_u64 image_base;       /* physical; superpage-aligned; equals superpage[0] */
    martlet_u64 temporary_root;   /* physical address of the temporary level-0 table */
    martlet_u64 percpu_base;      /* physical; cpu_count areas of MARTLET_PERCPU_SIZE */
    martlet_u64 pool_start;       /* first unused byte after image, boot block, tables, CPUs */
    martlet_u64 pool_end;         /* end of the contiguous superpages that start at image_base */
    martlet_u32 superpage_count;
    martlet_u32 range_count;
    martlet_u8 digest[32];        /* SHA-256 of the flat image as it was copied */
    martlet_u8 seed[64];          /* from the kernel's RNG once it was ready; erased after use */
    martlet_u64 mpidr[MARTLET_MAX_CPUS];              /* affinity fields only, no duplicates */
    martlet_u64 superpage[MARTLET_MAX_SUPERPAGES];    /* physical addresses, no duplicates */
    struct martlet_range range[MARTLET_MAX_RANGES];
};

_Static_assert(sizeof(struct martlet_image_header) == 72, "the image header is 72 bytes");
_Static_assert(sizeof(struct martlet_range) == 24, "a range is 24 bytes");
#define MARTLET_ASSERT_OFFSET(type, field, offset) \
    _Static_assert(__builtin_offsetof(struct type, field) == (offset), #field " stands where assembly and EL2 read it")
MARTLET_ASSERT_OFFSET(martlet_boot, cpu_count, MARTLET_BOOT_CPU_COUNT);
MARTLET_ASSERT_OFFSET(martlet_boot, image_base, MARTLET_BOOT_IMAGE_BASE);
MARTLET_ASSERT_OFFSET(martlet_boot, temporary_root, MARTLET_BOOT_TEMPORARY_ROOT);
MARTLET_ASSERT_OFFSET(martlet_boot, percpu_base, MARTLET_BOOT_PERCPU_BASE);
MARTLET_ASSERT_OFFSET(martlet_boot, pool_start, MARTLET_BOOT_POOL_START);
MARTLET_ASSERT_OFFSET(martlet_boot, pool_end, MARTLET_BOOT_POOL_END);
MARTLET_ASSERT_OFFSET(martlet_boot, superpage_count, MARTLET_BOOT_SUPERPAGE_COUNT);
MARTLET_ASSERT_OFFSET(martlet_boot, range_count, MARTLET_BOOT_RANGE_COUNT);
MARTLET_ASSERT_OFFSET(martlet_boot, digest, MARTLET_BOOT_DIGEST);
MARTLET_ASSERT_OFFSET(martlet_boot, seed, MARTLET_BOOT_SEED);
MARTLET_ASSERT_OFFSET(martlet_boot, mpidr, MARTLET_BOOT_MPIDR);
MARTLET_ASSERT_OFFSET(martlet_boot, superpage, MARTLET_BOOT_SUPERPAGE);
MARTLET_ASSERT_OFFSET(martlet_boot, range, MARTLET_BOOT_RANGE);
MARTLET_ASSERT_OFFSET(martlet_image_header, memory_size, MARTLET_IMAGE_MEMORY_SIZE);
MARTLET_ASSERT_OFFSET(martlet_image_header, text_end, MARTLET_IMAGE_TEXT_END);
MARTLET_ASSERT_OFFSET(martlet_image_header, rodata_end, MARTLET_IMAGE_RODATA_END);
_Static_assert(sizeof(struct martlet_boot) == MARTLET_BOOT_SIZE, "the boot block has no padding at its end");
_Static_assert(sizeof(struct martlet_boot) <= 3 * MARTLET_PAGE_SIZE, "the boot block fits three pages");

#endif /* !__ASSEMBLER__ */
#endif /* MARTLET_BOOT_H */
