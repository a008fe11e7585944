// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Calls to EL2 that a host kernel must not get through, made from inside that kernel. With
 * `id` (and `smc`, `x1`, `x2`) it makes that one call, as many times as `times` says, and prints what came back.
 */
#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/uaccess.h>
#include <asm/sysreg.h>

#include "probe.h"

static ulong id;
static ulong x1;
static ulong x2;
static ulong times = 1;
static bool use_smc;
module_param(id, ulong, 0);
module_param(x1, ulong, 0);
module_param(x2, ulong, 0);
module_param(times, ulong, 0);
module_param_named(smc, use_smc, bool, 0);

#define PATTERN(i) (0x5a5a000000000000ul + (i))

/* Makes a call with x4 to x17 filled, and returns whether they came back as they were. */
static bool call(void (*conduit)(struct registers *), u64 number, u64 a1, u64 a2, struct registers *out)
{
	bool preserved = true;
	int i;

	*out = (struct registers){ { number, a1, a2, 0 } };
	for (i = 4; i < 18; i++)
		out->x[i] = PATTERN(i);
	conduit(out);
	for (i = 4; i < 18; i++)
		preserved &= out->x[i] == PATTERN(i);
	return preserved;
}

/* All of `numbers` must be answered with NOT_SUPPORTED and change nothing else. */
static void refuse(const char *name, void (*conduit)(struct registers *), const u64 *numbers, size_t count)
{
	struct registers out;
	u64 accepted = 0, changing = 0;
	u32 failures = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		if (!call(conduit, numbers[i], 0, 0, &out)) {
			changing = numbers[i];
			failures++;
		}
		if ((long)out.x[0] != STATUS_NOT_SUPPORTED) {
			accepted = numbers[i];
			failures++;
		}
	}
	report(name, !failures, "%zu numbers, answered %#llx, changing x4-x17 %#llx", count, accepted, changing);
}

/*
 * The stub's SOFT_RESTART may be answered with an error or by going on at x1, but at EL1 only.
 * The address is the next instruction, so that both lead here.
 */
static void soft_restart(void)
{
	unsigned long flags, level;

	preempt_disable();
	local_irq_save(flags);
	asm volatile("mov x0, #1\n adr x1, 1f\n mov x2, #7\n mov x3, xzr\n mov x4, xzr\n"
		     "hvc #0\n"
		     "1: mrs %0, CurrentEL\n"
		     : "=r"(level)
		     :
		     : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
		       "x14", "x15", "x16", "x17", "memory", "cc");
	/* A start at EL1 comes with privileged access to user memory allowed. */
	if (system_uses_hw_pan())
		set_pstate_pan(1);
	local_irq_restore(flags);
	preempt_enable();
	report("stub-soft-restart", level >> 2 == 1, "goes on at EL%lu", level >> 2);
}

static int __init probe_init(void)
{
	/* SET_VECTORS, RESET_VECTORS, FINALISE_EL2; SOFT_RESTART has a test of its own. */
	static const u64 stub[] = { 0, 2, 3 };
	static const u64 initialization[] = { CALL_INITIALISE, CALL_WITHDRAW, CALL_DEPRIVILEGE };
	static const u64 unknown[] = { 4, 5, 0xbadca11, 0xc6000000, 0xc6000001, 0xc6004004, 0xc600400f,
				       0xc60040ff, 0xc6004fff, 0x86004000, 0x46004000, 0xc600ffff, ~0ul };
	/* SiP and OEM services, trusted OS, an unknown PSCI number, MEM_PROTECT, FF-A. */
	static const u64 refused_smc[] = { 0x82000000, 0xc2000001, 0x83000000, 0xc3000001, 0xb2000000,
					   0xbf00ff01, 0x8400001f, 0x84000013, 0x84000063, 0xc4000072 };
	struct registers out = {};
	bool preserved = false;

	if (id) {
		for (; times; times--) {
			preserved = call(use_smc ? smc : hvc, id, x1, x2, &out);
			cond_resched();
		}
		pr_info("MARTLET-CALL %#lx: x0=%#llx x1=%#llx x2=%#llx x3=%#llx x4-x17 %s, sre=%#llx\n", id, out.x[0],
			out.x[1], out.x[2], out.x[3], preserved ? "preserved" : "changed",
			/* A kernel reads it whenever a CPU wakes, whatever EL2 has come to. */
			(u64)read_sysreg_s(SYS_ICC_SRE_EL1));
		return 0;
	}

	preserved = call(hvc, CALL_VERSION, 0, 0, &out);
	report("call-version", preserved && out.x[0] == 0 && out.x[1] >> 16 == INTERFACE_MAJOR && out.x[2] == 3,
	       "status %lld, interface %#llx, phase %llu%s", (s64)out.x[0], out.x[1], out.x[2],
	       preserved ? "" : ", x4-x17 changed");
	/* On a CPU whose stub is still there, the calls below would do what they say. */
	if (out.x[0])
		return -ENODEV;

	refuse("stub-calls", hvc, stub, ARRAY_SIZE(stub));
	soft_restart();
	refuse("initialization-calls", hvc, initialization, ARRAY_SIZE(initialization));
	refuse("unknown-calls", hvc, unknown, ARRAY_SIZE(unknown));
	refuse("firmware-calls", smc, refused_smc, ARRAY_SIZE(refused_smc));

	preserved = call(smc, 0x84000000, 0, 0, &out);
	report("firmware-version", preserved && (s32)out.x[0] >= 2, "PSCI %#llx%s", out.x[0],
	       preserved ? "" : ", x4-x17 changed");
	preserved = call(hvc, CALL_COUNTER, 1000, 0, &out);
	report("counter-unknown", preserved && (long)out.x[0] == STATUS_INVALID_PARAMETER, "status %lld", (s64)out.x[0]);
	return 0;
}
module_init(probe_init);

static void __exit probe_exit(void)
{
}
module_exit(probe_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Martlet's tests: calls to EL2");
