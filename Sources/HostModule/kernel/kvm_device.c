// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* /dev/kvm itself, and what it must know of the machine. */
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/uaccess.h>
#include <asm/arch_timer.h>
#include <asm/cpufeature.h>
#include <asm/sysreg.h>

#include "kvm.h"

static long system_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	return martlet_kvm_system(request, argument);
}

static int open_device(struct inode *inode, struct file *file)
{
	return is_compat_task() ? -ENODEV : 0;
}

static const struct file_operations device_operations = {
	.owner = THIS_MODULE,
	.open = open_device,
	.unlocked_ioctl = system_ioctl,
	.compat_ioctl = martlet_no_compat,
	.llseek = noop_llseek,
};

static struct miscdevice device = {
	.minor = KVM_MINOR,
	.name = "kvm",
	.fops = &device_operations,
};

int martlet_kernel_kvm_register(void)
{
	return misc_register(&device);
}

/* The sanitised registers hold what all CPUs have in common. */
static u32 feature(u32 register_id, unsigned int shift)
{
	return (read_sanitised_ftr_reg(register_id) >> shift) & 0xf;
}

void martlet_kernel_machine(struct martlet_machine *machine)
{
	*machine = (struct martlet_machine){
		.physical_bits = id_aa64mmfr0_parange_to_phys_shift(
			feature(SYS_ID_AA64MMFR0_EL1, ID_AA64MMFR0_EL1_PARANGE_SHIFT)),
		.user_limit = TASK_SIZE_MAX,
		.timer_frequency = read_sysreg(cntfrq_el0),
		.online_cpus = num_online_cpus(),
		.timer_interrupt = martlet_timer_intid(),
		.needs_clean = !feature(SYS_ID_AA64MMFR2_EL1, ID_AA64MMFR2_EL1_FWB_SHIFT),
		.needs_fetch_sync = !(read_sanitised_ftr_reg(SYS_CTR_EL0) & BIT(CTR_EL0_DIC_SHIFT)),
	};
}

u64 martlet_kernel_counter(void)
{
	return arch_timer_read_counter();
}

int martlet_kernel_copy_in(void *destination, u64 user, u64 size)
{
	return copy_from_user(destination, (const void __user *)user, size) ? -EFAULT : 0;
}

int martlet_kernel_copy_out(u64 user, const void *source, u64 size)
{
	return copy_to_user((void __user *)user, source, size) ? -EFAULT : 0;
}
