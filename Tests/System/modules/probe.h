/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the test modules share: calls to EL2 with every register given and seen, and reports.
 * The numbers are written down anew here, on purpose: a test must notice when the interface
 * that everybody else reads changes under it.
 */
#ifndef MARTLET_PROBE_H
#define MARTLET_PROBE_H

#include <linux/module.h>
#include <linux/printk.h>
#include <linux/types.h>

/* The major number of the interface that these tests know. */
#define INTERFACE_MAJOR 2
#define CALL_VERSION 0xc6004000ul
#define CALL_INITIALISE 0xc6004001ul
#define CALL_WITHDRAW 0xc6004002ul
#define CALL_DEPRIVILEGE 0xc6004003ul
#define CALL_TOP_UP 0xc6004010ul
#define CALL_RECLAIM_POOL 0xc6004011ul
#define CALL_COUNTER 0xc6004012ul
#define CALL_PAGE_REPORT 0xc6004014ul

#define STATUS_SUCCESS 0l
#define STATUS_NOT_SUPPORTED (-1l)
#define STATUS_INVALID_PARAMETER (-3l)
#define STATUS_DENIED (-4l)
#define STATUS_NOT_FOUND (-7l)

#define COUNTER_FREE_PAGES 1ul

#define PAGE_OF_HOST 1
#define PAGE_OF_HYPERVISOR 2
#define PAGE_OF_GUEST 4

/* x0 to x17. */
struct registers {
	u64 x[18];
};

#define PROBE_CALL(instruction)                                                                     \
	asm volatile("mov x19, %0\n"                                                                \
		     "ldp x0, x1, [x19]\n ldp x2, x3, [x19, #16]\n ldp x4, x5, [x19, #32]\n"        \
		     "ldp x6, x7, [x19, #48]\n ldp x8, x9, [x19, #64]\n ldp x10, x11, [x19, #80]\n" \
		     "ldp x12, x13, [x19, #96]\n ldp x14, x15, [x19, #112]\n"                       \
		     "ldp x16, x17, [x19, #128]\n" instruction "\n"                                 \
		     "stp x0, x1, [x19]\n stp x2, x3, [x19, #16]\n stp x4, x5, [x19, #32]\n"        \
		     "stp x6, x7, [x19, #48]\n stp x8, x9, [x19, #64]\n stp x10, x11, [x19, #80]\n" \
		     "stp x12, x13, [x19, #96]\n stp x14, x15, [x19, #112]\n"                       \
		     "stp x16, x17, [x19, #128]\n"                                                  \
		     :                                                                              \
		     : "r"(registers)                                                               \
		     : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",    \
		       "x12", "x13", "x14", "x15", "x16", "x17", "x19", "memory", "cc")

static inline void hvc(struct registers *registers)
{
	PROBE_CALL("hvc #0");
}

static inline void smc(struct registers *registers)
{
	PROBE_CALL("smc #0");
}

/* A host call with up to two arguments; the status is returned, x1 goes to `result`. */
static inline long host_call(u64 number, u64 x1, u64 x2, u64 *result)
{
	struct registers registers = { { number, x1, x2 } };

	hvc(&registers);
	if (result)
		*result = registers.x[1];
	return (long)registers.x[0];
}

/* One line that the lab reads. */
#define report(name, passed, format, ...) \
	pr_info("MARTLET-TEST %s %s " format "\n", name, (passed) ? "PASS" : "FAIL", ##__VA_ARGS__)

#endif /* MARTLET_PROBE_H */
