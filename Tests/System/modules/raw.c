// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Hands raw HVC and SMC to a program: /dev/martlet-raw makes one call with x0 to x17 as given and gives them
 * back as they came. On which CPU is the caller's affinity's business. For programs that give pages away there is
 * a region of 2 MiB, which nobody else has and which is accessed as a kernel would; and for those that attack by the
 * interrupt controller, its registers. Test machines only.
 */
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/uaccess.h>

#include "probe.h"

/* See Tests/System/kvm/raw.h. */
struct request {
	u32 conduit, immediate;
	u64 x[18];
};
#define RAW_CALL _IOWR('M', 16, struct request)
/* x0 becomes the first frame of the region. */
#define RAW_REGION _IOWR('M', 17, struct request)
/* x0 = a frame of the region; x1 becomes the first word of it, or is stored there. x2 becomes 0, or an error. */
#define RAW_LOAD _IOWR('M', 18, struct request)
#define RAW_STORE _IOWR('M', 19, struct request)
/* x0 = the physical address of a device's register; 32 bits of it come from or go to x1. */
#define RAW_DEVICE_LOAD _IOWR('M', 20, struct request)
#define RAW_DEVICE_STORE _IOWR('M', 21, struct request)
enum { HVC, SMC };

#define REGION_ORDER 9
static struct page *region;

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

/* A store for which the kernel has a function too, but for itself only. */
static int store_nofault(u64 *word, u64 value)
{
	pagefault_disable();
	__put_kernel_nofault(word, &value, u64, failed);
	pagefault_enable();
	return 0;
failed:
	pagefault_enable();
	return -EFAULT;
}

/* Accesses that may fail: EL2 makes an exception of those that it refuses. */
static long access_region(unsigned int number, struct request *request)
{
	u64 first = page_to_pfn(region), frame = request->x[0];
	u64 *word;

	if (number == RAW_REGION) {
		request->x[0] = first;
		return 0;
	}
	if (frame < first || frame - first >= 1u << REGION_ORDER)
		return -EINVAL;
	word = page_address(pfn_to_page(frame));
	if (number == RAW_LOAD)
		request->x[2] = get_kernel_nofault(request->x[1], word);
	else
		request->x[2] = store_nofault(word, request->x[1]);
	return 0;
}

static long access_device(unsigned int number, struct request *request)
{
	void __iomem *device;

	if (request->x[0] % sizeof(u32))
		return -EINVAL;
	device = ioremap(request->x[0], sizeof(u32));
	if (!device)
		return -ENOMEM;
	if (number == RAW_DEVICE_LOAD)
		request->x[1] = readl(device);
	else
		writel(request->x[1], device);
	iounmap(device);
	return 0;
}

static long raw(struct file *file, unsigned int number, unsigned long argument)
{
	struct request __user *user = (struct request __user *)argument;
	struct registers registers;
	struct request request;
	bool is_made;

	if (copy_from_user(&request, user, sizeof(request)))
		return -EFAULT;
	if (number == RAW_REGION || number == RAW_LOAD || number == RAW_STORE) {
		long error = access_region(number, &request);

		return error ? error : copy_to_user(user, &request, sizeof(request)) ? -EFAULT : 0;
	}
	if (number == RAW_DEVICE_LOAD || number == RAW_DEVICE_STORE) {
		long error = access_device(number, &request);

		return error ? error : copy_to_user(user, &request, sizeof(request)) ? -EFAULT : 0;
	}
	if (number != RAW_CALL)
		return -ENOTTY;
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

static int __init raw_init(void)
{
	int error;

	region = alloc_pages(GFP_KERNEL | __GFP_ZERO, REGION_ORDER);
	if (!region)
		return -ENOMEM;
	error = misc_register(&device);
	if (error)
		__free_pages(region, REGION_ORDER);
	return error;
}
module_init(raw_init);

/* Pages that did not come back from EL2 would end their next owner: if there is one, all stay here. */
static void __exit raw_exit(void)
{
	u64 first = page_to_pfn(region), frame, owner;

	misc_deregister(&device);
	for (frame = first; frame < first + (1u << REGION_ORDER); frame++)
		if (host_call(CALL_PAGE_REPORT, frame, 0, &owner) || owner != PAGE_OF_HOST)
			return;
	__free_pages(region, REGION_ORDER);
}
module_exit(raw_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Martlet's tests: raw calls for a program");
