/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the files of the C binding share. Kernel headers come first, for their types. */
#ifndef MARTLET_BINDING_H
#define MARTLET_BINDING_H

#include <linux/module.h>
#include <linux/types.h>

#include "martlet_host_kernel.h"

#undef pr_fmt
#define pr_fmt(fmt) "martlet: " fmt

/* Reads the kernel's record of the levels that its CPUs were entered at (entry.c). */
void martlet_read_boot_mode(u32 words[2]);

/* What `martlet_kernel_clean` needs to know of the CPUs (memory.c). */
void martlet_memory_init(void);

#endif /* MARTLET_BINDING_H */
