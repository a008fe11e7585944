// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The shortest way from a host kernel to EL2 and back: `times` calls of `function`, in batches
 * between the markers of `row`. It fails to load if EL2 does not answer with `answer`.
 */
#include <linux/module.h>
#include <linux/types.h>

/* As many calls are between two markers. */
#define BATCH 16

static ulong row;
static ulong function;
static ulong answer;
static ulong times;
module_param(row, ulong, 0);
module_param(function, ulong, 0);
module_param(answer, ulong, 0);
module_param(times, ulong, 0);

static ulong call(void)
{
	register ulong x0 asm("x0") = function;

	/* SMCCC: all but x0 to x17 is preserved. */
	asm volatile("hvc #0"
		     : "+r"(x0)
		     :
		     : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
		       "x15", "x16", "x17", "memory", "cc");
	return x0;
}

static void mark_begin(void)
{
	register ulong x0 asm("x0") = row;

	asm volatile("hint #64" : : "r"(x0) : "memory");
}

static void mark_end(void)
{
	register ulong x0 asm("x0") = row;

	asm volatile("hint #65" : : "r"(x0) : "memory");
}

static int __init host_call_init(void)
{
	ulong done, i;

	if (call() != answer)
		return -EINVAL;
	for (done = 0; done < times; done += BATCH) {
		mark_begin();
		for (i = 0; i < BATCH; i++)
			call();
		mark_end();
	}
	return 0;
}

/* Without it the module could not be unloaded. */
static void __exit host_call_exit(void)
{
}

module_init(host_call_init);
module_exit(host_call_exit);
MODULE_DESCRIPTION("Benchmark of a call to EL2");
MODULE_LICENSE("Dual MIT/GPL");
