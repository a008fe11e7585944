/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The seam between the kernel and Swift inside martlet.ko. The kernel's headers stay on the C
 * side; Swift sees these functions and plain numbers. Each function of the C binding does one
 * thing; what to do and in which order is decided in Swift.
 */
#ifndef MARTLET_HOST_KERNEL_H
#define MARTLET_HOST_KERNEL_H

#include "martlet_boot.h"

/* Swift imports a pointer as optional unless the header says that it is never null. */
#ifdef __clang__
#pragma clang assume_nonnull begin
#define MARTLET_NULLABLE _Nullable
#else
#define MARTLET_NULLABLE
#endif

#define MARTLET_MAX_RESOURCES 512
#define MARTLET_LINE_SIZE 512

/* One entry of the resource tree, or one register frame of a denied device. */
struct martlet_resource {
    martlet_u64 first;
    martlet_u64 last; /* inclusive */
    martlet_u32 is_system_ram;
    martlet_u32 is_named_reserved;
    martlet_u32 depth; /* 0 = at the top of the tree */
    martlet_u32 is_denied_device;
};

/* What was read on one CPU. */
struct martlet_cpu {
    martlet_u64 affinity;
    martlet_u64 answer; /* of HostCall.version, after martlet_kernel_probe */
    martlet_u32 id;
    martlet_u32 exception_level;
    martlet_u32 gic_system_registers;
    martlet_u32 reserved;
};

/* What the kernel knows of the machine; too large for a stack, so the binding allocates it. */
struct martlet_survey {
    martlet_u64 page_size;
    martlet_u32 boot_mode[2]; /* zeroes if the kernel's record cannot be read */
    martlet_u32 online_cpus;  /* may exceed the recorded ones */
    martlet_u32 recorded_cpus;
    martlet_u32 has_offline_cpu;
    martlet_u32 offline_cpu;
    martlet_u32 resource_count;
    martlet_u32 resources_left_out; /* entries that did not fit */
    struct martlet_cpu cpu[MARTLET_MAX_CPUS];
    struct martlet_resource resource[MARTLET_MAX_RESOURCES];
};

/* x0 to x3 after a call to EL2. */
struct martlet_answer {
    martlet_u64 x[4];
};

enum martlet_log_level {
    MARTLET_LOG_ERROR,
    MARTLET_LOG_NOTICE,
    MARTLET_LOG_EMERGENCY,
};

/* -- The kernel, for Swift (Sources/HostModule/kernel) -- */

/* Reads CPUs, resources and the device tree; hotplug is off until martlet_kernel_release. */
int martlet_kernel_survey(struct martlet_survey *survey);
/* Lets CPUs come and go again. */
void martlet_kernel_release(void);
/* Makes HostCall.version on each recorded CPU. Only where every CPU was entered at EL2. */
int martlet_kernel_probe(struct martlet_survey *survey, martlet_u64 call);
/* The image that the module carries. */
const martlet_u64 *martlet_kernel_image(void);
martlet_u64 martlet_kernel_image_size(void);
/* 2 MiB << order of zeroed memory by its physical address, its pages marked offline for everyone
 * else; 0 = none. */
martlet_u64 martlet_kernel_allocate(martlet_u32 superpages_log2);
/* Where the kernel maps a physical address of its RAM. */
void *martlet_kernel_pointer(martlet_u64 physical);
/* Erases such memory and gives it back. */
void martlet_kernel_free(martlet_u64 physical, martlet_u32 superpages_log2);
/* Bytes for the time of the installation. */
void *MARTLET_NULLABLE martlet_kernel_scratch(martlet_u64 size);
void martlet_kernel_scratch_free(void *scratch);
void martlet_kernel_sha256(const void *data, martlet_u32 size, martlet_u8 *digest);
/* Waits until the kernel's generator is seeded; nonzero if interrupted. */
int martlet_kernel_random(void *destination, martlet_u64 size);
/* Cleans and invalidates to the point of coherency what lies at `start`. */
void martlet_kernel_clean(const void *start, martlet_u64 size);
/* Makes every CPU fetch instructions anew. */
void martlet_kernel_invalidate_instructions(void);
/* Runs martlet_take_over on every CPU at once, with interrupts off. */
int martlet_kernel_stop_machine(struct martlet_survey *survey, void *context);
/* Asks the kernel's stub to branch to `enter` at EL2. */
struct martlet_answer martlet_kernel_soft_restart(martlet_u64 enter, martlet_u64 x0, martlet_u64 x1);
struct martlet_answer martlet_kernel_host_call(martlet_u64 number, martlet_u64 x1, martlet_u64 x2, martlet_u64 x3);
void martlet_kernel_relax(void);
martlet_u64 martlet_kernel_nanoseconds(void);
void martlet_kernel_log(enum martlet_log_level level, const martlet_u8 *text, martlet_u64 length);
/* Registers the notifiers and the debugfs folder of an installed module. */
void martlet_kernel_attach(void);
/* A host page to donate, as a frame number; 0 = none. Marked offline like the superpages. */
martlet_u64 martlet_kernel_page_allocate(void);
void martlet_kernel_page_free(martlet_u64 frame);

/* -- Swift, for the kernel (Sources/HostModule) -- */

/* Installs the hypervisor. 0, or a negative Linux error number. */
int martlet_load(void);
/* One CPU's part of the installation. */
void martlet_take_over(void *context, martlet_u32 index, martlet_u32 cpu);
/* Whether a device-tree node with this compatible string must be denied to the host. */
martlet_u32 martlet_is_denied_device(const martlet_u8 *compatible, martlet_u64 length);
/* Nonzero: the restart must become one of the machine. */
martlet_u32 martlet_on_restart(martlet_u32 is_kexec);
/* Nonzero: the sleep must be refused. */
martlet_u32 martlet_on_sleep(martlet_u64 event);
/* Nonzero: this CPU is not behind the hypervisor and must go offline again. */
martlet_u32 martlet_on_cpu_online(martlet_u32 cpu);
/* Views for debugfs: text into `buffer`, the length is returned. */
martlet_u64 martlet_show_version(martlet_u8 *buffer, martlet_u64 capacity);
martlet_u64 martlet_show_counters(martlet_u8 *buffer, martlet_u64 capacity);
martlet_u64 martlet_show_panic(martlet_u8 *buffer, martlet_u64 capacity);
/* Donates so many pages to EL2's pool; the number donated, or a negative error number. */
long long martlet_pool_grow(martlet_u64 pages);
/* Takes back up to so many unused pages. */
long long martlet_pool_shrink(martlet_u64 pages);

/* -- Elements of C arrays, which Swift would import as tuples -- */

static inline struct martlet_cpu *martlet_survey_cpu(struct martlet_survey *survey, martlet_u32 index)
{
    return &survey->cpu[index];
}

static inline struct martlet_resource *martlet_survey_resource(struct martlet_survey *survey, martlet_u32 index)
{
    return &survey->resource[index];
}

static inline martlet_u64 *martlet_boot_mpidr(struct martlet_boot *boot) { return boot->mpidr; }
static inline martlet_u64 *martlet_boot_superpage(struct martlet_boot *boot) { return boot->superpage; }
static inline struct martlet_range *martlet_boot_range(struct martlet_boot *boot) { return boot->range; }
static inline martlet_u8 *martlet_boot_digest(struct martlet_boot *boot) { return boot->digest; }
static inline martlet_u8 *martlet_boot_seed(struct martlet_boot *boot) { return boot->seed; }

#ifdef __clang__
#pragma clang assume_nonnull end
#endif

#endif /* MARTLET_HOST_KERNEL_H */
