// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* How the kernel was entered, which decides whether hvc may be executed at all. */
#include <linux/kprobes.h>
#include <linux/string.h>

#include "binding.h"

/*
 * `hvc` is undefined at EL1 when there is no EL2 or firmware has switched it off
 * (SCR_EL3.HCE, HCR_EL2.HCD), and the kernel has no fix-up for an undefined instruction of its
 * own: it would oops. The one reliable witness is the kernel's own record __boot_cpu_mode. A CPU
 * that is recorded as entered at EL2 has installed the stub there itself, and Linux' boot
 * protocol then guarantees that hvc reaches it. An identification register would only tell
 * that EL2 exists, not whose it is; the PSCI conduit is not told under SMCCC 1.0.
 *
 * The record is not exported. A disabled kprobe on kallsyms_lookup_name resolves that function
 * without patching any code, and the function resolves the record.
 */
void martlet_read_boot_mode(u32 words[2])
{
	struct kprobe probe = {
		.symbol_name = "kallsyms_lookup_name",
		.flags = KPROBE_FLAG_DISABLED,
	};
	unsigned long (*lookup)(const char *name);
	const u32 *record;

	words[0] = 0;
	words[1] = 0;
	if (register_kprobe(&probe))
		return;
	lookup = (void *)probe.addr;
	unregister_kprobe(&probe);
	record = (const u32 *)lookup("__boot_cpu_mode");
	if (record)
		memcpy(words, record, 2 * sizeof(u32));
}
