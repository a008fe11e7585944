// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What the kernel announces to an installed module, handed on to Swift to decide. */
#include <linux/cpuhotplug.h>
#include <linux/memory.h>
#include <linux/notifier.h>
#include <linux/reboot.h>
#include <linux/string.h>
#include <linux/suspend.h>

#include "binding.h"

void martlet_attach_views(void);

/*
 * The lowest priority, so that whoever else must be told of the restart has been told: a kexec
 * becomes a restart of the machine here, and nothing that follows is run.
 */
static int on_restart(struct notifier_block *block, unsigned long action, void *command)
{
	u32 is_kexec = action == SYS_RESTART && command && !strcmp(command, "kexec reboot");

	if (martlet_on_restart(is_kexec)) {
		pr_emerg("kexec: the next kernel could not run beside the hypervisor; the machine restarts instead\n");
		emergency_restart();
	}
	return NOTIFY_DONE;
}

static struct notifier_block restart_block = {
	.notifier_call = on_restart,
	.priority = INT_MIN,
};

static int on_sleep(struct notifier_block *block, unsigned long event, void *unused)
{
	if (!martlet_on_sleep(event))
		return NOTIFY_DONE;
	pr_err("hibernation is refused: the hypervisor's memory can be neither saved nor restored; suspend or power off instead\n");
	return notifier_from_errno(-EPERM);
}

static struct notifier_block sleep_block = {
	.notifier_call = on_sleep,
};

/*
 * EL2 has no ledger for memory that comes later and would map it like a device: not cacheable.
 */
static int on_memory(struct notifier_block *block, unsigned long action, void *unused)
{
	if (action != MEM_GOING_ONLINE)
		return NOTIFY_OK;
	pr_err("memory that comes online after the installation is refused: the hypervisor does not know it; add it and restart\n");
	return notifier_from_errno(-EPERM);
}

static struct notifier_block memory_block = {
	.notifier_call = on_memory,
};

static int on_cpu_online(unsigned int cpu)
{
	if (!martlet_on_cpu_online(cpu))
		return 0;
	pr_err("CPU %u did not come up behind the hypervisor and is taken offline; restart the machine\n", cpu);
	return -EPERM;
}

/* None of these can be undone, and a failure leaves the hypervisor in force: it is told only. */
static void report(const char *what, int error)
{
	if (error < 0)
		pr_err("%s are not watched (error %d); the hypervisor is in force all the same\n", what, error);
}

void martlet_kernel_attach(void)
{
	report("restarts", register_reboot_notifier(&restart_block));
	report("sleeps", register_pm_notifier(&sleep_block));
	report("memory additions", register_memory_notifier(&memory_block));
	report("CPUs coming online",
	       cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "martlet:online", on_cpu_online, NULL));
	martlet_attach_views();
}
