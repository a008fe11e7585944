// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The module's frame: loading, the log, and calls to EL2. */
#include <linux/init.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/processor.h>

#include "binding.h"

/* HVC_SOFT_RESTART of the kernel's stub (asm/virt.h): branches to x1 at EL2 with x0 = x2,
 * x1 = x3 and so on. */
#define STUB_SOFT_RESTART 1

/*
 * The stub may change any of x0 to x17, and so may the code that it branches to; x18 is the
 * kernel's own register. "memory" because EL2 reads and writes what the compiler may hold back.
 */
static struct martlet_answer call_el2(u64 a0, u64 a1, u64 a2, u64 a3)
{
	register u64 x0 asm("x0") = a0;
	register u64 x1 asm("x1") = a1;
	register u64 x2 asm("x2") = a2;
	register u64 x3 asm("x3") = a3;

	asm volatile("hvc #0"
		     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
		     :
		     : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
		       "x15", "x16", "x17", "memory", "cc");
	return (struct martlet_answer){ { x0, x1, x2, x3 } };
}

struct martlet_answer martlet_kernel_soft_restart(u64 enter, u64 x0, u64 x1)
{
	return call_el2(STUB_SOFT_RESTART, enter, x0, x1);
}

struct martlet_answer martlet_kernel_host_call(u64 number, u64 x1, u64 x2, u64 x3)
{
	return call_el2(number, x1, x2, x3);
}

void martlet_kernel_relax(void)
{
	cpu_relax();
}

u64 martlet_kernel_nanoseconds(void)
{
	return ktime_get_ns();
}

void martlet_kernel_log(enum martlet_log_level level, const u8 *text, u64 length)
{
	int n = length < MARTLET_LINE_SIZE ? (int)length : MARTLET_LINE_SIZE;

	switch (level) {
	case MARTLET_LOG_EMERGENCY:
		pr_emerg("%.*s\n", n, text);
		break;
	case MARTLET_LOG_ERROR:
		pr_err("%.*s\n", n, text);
		break;
	case MARTLET_LOG_NOTICE:
		pr_notice("%.*s\n", n, text);
		break;
	}
}

static int __init martlet_init(void)
{
	martlet_memory_init();
	return martlet_load();
}
module_init(martlet_init);

/*
 * There is no exit function on purpose. EL2 cannot be given back once the host is behind its
 * stage-2, and a module without one is permanent for the kernel: rmmod answers that it is in use.
 */

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Martlet: protected KVM for arm64");
MODULE_VERSION("0.1.0");
