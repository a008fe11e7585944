// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Hands raw HVC and SMC to a program: /dev/martlet-raw makes one call with x0 to x17 as given and gives them
 * back as they came. On which CPU is the caller's affinity's business. Test machines only.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/preempt.h>
#include <linux/uaccess.h>

#include "probe.h"

/* See Tests/System/kvm/raw.h. */
struct request {
	u32 conduit, immediate;
	u64 x[18];
};
#define RAW_CALL _IOWR('M', 16, struct request)
enum { HVC, SMC };

/* The immediate is part of the instruction: these are the ones that there are. */
static bool make_call(u32 conduit, u32 immediate, struct registers *registers)
{
	if (conduit == SMC && immediate == 0)
		PROBE_CALL("smc #0");
	else if (conduit == SMC && immediate == 1)
		PROBE_CALL("smc #1");
	else if (conduit == HVC && immediate == 0)
		PROBE_CALL("hvc #0");
	else if (conduit == HVC && immediate == 1)
		PROBE_CALL("hvc #1");
	else if (conduit == HVC && immediate == 2)
		PROBE_CALL("hvc #2");
	else if (conduit == HVC && immediate == 0x7fff)
		PROBE_CALL("hvc #0x7fff");
	else if (conduit == HVC && immediate == 0xffff)
		PROBE_CALL("hvc #0xffff");
	else
		return false;
	return true;
}

static long raw(struct file *file, unsigned int number, unsigned long argument)
{
	struct request __user *user = (struct request __user *)argument;
	struct registers registers;
	struct request request;
	bool is_made;

	if (number != RAW_CALL)
		return -ENOTTY;
	if (copy_from_user(&request, user, sizeof(request)))
		return -EFAULT;
	memcpy(registers.x, request.x, sizeof(request.x));
	/* A run comes back by interrupts, which must be taken where they are: on the same CPU. */
	preempt_disable();
	is_made = make_call(request.conduit, request.immediate, &registers);
	preempt_enable();
	if (!is_made)
		return -EINVAL;
	memcpy(request.x, registers.x, sizeof(request.x));
	return copy_to_user(user, &request, sizeof(request)) ? -EFAULT : 0;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = raw,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "martlet-raw",
	.fops = &operations,
};
module_misc_device(device);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Martlet's tests: raw calls for a program");
