// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A hostile kernel at the service of a program: /dev/martlet-peek reads and writes a page frame
 * through the kernel's linear map, by plain accesses and by those that may fail, and makes any
 * call to EL2. See Tests/System/kvm/peek.h for the program's side.
 */
#include <linux/cpu.h>
#include <linux/fs.h>
#include <linux/ioport.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "probe.h"

struct request {
	u64 x[12];
};

/* x0 = frame, x1 = byte in the page, x2 = value. A plain read puts its value into x2. */
#define PEEK_READ _IOWR('M', 0, struct request)
#define PEEK_WRITE _IOWR('M', 1, struct request)
/* The same by copy_from_kernel_nofault, whose error goes to x3. */
#define PEEK_TRY _IOWR('M', 2, struct request)
/* x0 to x11 of a call to EL2, in and out. */
#define PEEK_CALL _IOWR('M', 3, struct request)

/* x0 = an address of the process that maps frames without pages; x1 becomes the frame, or 0. */
#define PEEK_FRAME _IOWR('M', 4, struct request)

static void find_frame(struct request *request)
{
	struct follow_pfnmap_args place = { .address = request->x[0] };

	request->x[1] = 0;
	mmap_read_lock(current->mm);
	place.vma = vma_lookup(current->mm, request->x[0]);
	if (place.vma && !follow_pfnmap_start(&place)) {
		request->x[1] = place.pfn;
		follow_pfnmap_end(&place);
	}
	mmap_read_unlock(current->mm);
}

/* x0 = seed, x1 and x2 = first and last address of a guest's secret; x3 and x4: see find_secret. */
#define PEEK_SCAN _IOWR('M', 5, struct request)

/* A word of the secret is its address times this, and the seed. The factor's inverse modulo 2^64. */
static u64 inverse_of_factor(void)
{
	const u64 factor = 0x9e3779b97f4a7c15ull;
	u64 inverse = factor;
	int i;

	for (i = 0; i < 5; i++)
		inverse *= 2 - factor * inverse;
	return inverse;
}

/* Whether 32 bytes at `word` are four words of the secret in a row. */
static bool is_canary(const u64 *word, const struct request *request, u64 inverse)
{
	u64 address = (word[0] ^ request->x[0]) * inverse;
	int i;

	if (address % 8 || address < request->x[1] || address > request->x[2] - 32)
		return false;
	for (i = 1; i < 4; i++)
		if ((word[i] ^ request->x[0]) * inverse != address + 8 * i)
			return false;
	return true;
}

/*
 * Reads every page of RAM that can be read: how often the secret is there, and how many of the pages
 * are the hypervisor's.
 */
static int find_secret(struct request *request)
{
	u64 *copy = kzalloc(PAGE_SIZE, GFP_KERNEL), inverse = inverse_of_factor();
	struct resource *range;

	if (!copy)
		return -ENOMEM;
	request->x[3] = request->x[4] = 0;
	for (range = iomem_resource.child; range; range = range->sibling) {
		u64 number, owner;
		unsigned int i;

		if ((range->flags & IORESOURCE_SYSTEM_RAM) != IORESOURCE_SYSTEM_RAM)
			continue;
		for (number = range->start >> PAGE_SHIFT; number <= range->end >> PAGE_SHIFT; number++) {
			if (!pfn_valid(number) ||
			    copy_from_kernel_nofault(copy, page_address(pfn_to_page(number)), PAGE_SIZE))
				continue;
			for (i = 0; i <= PAGE_SIZE / 8 - 4; i++)
				if (copy[i] && is_canary(copy + i, request, inverse))
					request->x[3]++;
			if (!host_call(CALL_PAGE_REPORT, number, 0, &owner) && owner == PAGE_OF_HYPERVISOR)
				request->x[4]++;
			/* What the copy held is not to be found again where the copy is. */
			memset(copy, 0, PAGE_SIZE);
			cond_resched();
		}
	}
	kfree(copy);
	return 0;
}

static volatile u64 *place(const struct request *request)
{
	if (!pfn_valid(request->x[0]) || request->x[1] > PAGE_SIZE - sizeof(u64) || request->x[1] % sizeof(u64))
		return NULL;
	return page_address(pfn_to_page(request->x[0])) + request->x[1];
}

/*
 * x0 = frame, x1 = byte in the page: offlines and onlines CPU 1, which reads the word before anything that a
 * well-meaning kernel would do there. Its value goes to x2, an error to x3.
 */
#define PEEK_AT_START _IOWR('M', 6, struct request)

/* A state between firmware's hand-over and the CPU's first interrupt that no arm64 kernel uses. */
#define EARLY CPUHP_AP_CLINT_TIMER_STARTING

static struct request early;

static int look_early(unsigned int cpu)
{
	early.x[3] = copy_from_kernel_nofault(&early.x[2], (const void *)place(&early), sizeof(u64));
	return 0;
}

static int peek_at_start(struct request *request)
{
	int error;

	early = *request;
	early.x[2] = 0;
	early.x[3] = -EAGAIN;
	error = cpuhp_setup_state_nocalls(EARLY, "martlet/test:early", look_early, NULL);
	if (error)
		return error;
	error = remove_cpu(1);
	if (!error)
		/* The module may take the CPU away again: it has been there. */
		add_cpu(1);
	cpuhp_remove_state_nocalls(EARLY);
	*request = early;
	return error;
}

/*
 * The stub's SOFT_RESTART, which goes on at an address of the caller's: here, at the next instruction. Its
 * exception level, as CurrentEL has it, goes to x0.
 */
#define PEEK_RESTART _IOWR('M', 7, struct request)

static u64 soft_restart(void)
{
	unsigned long flags;
	u64 level;

	local_irq_save(flags);
	asm volatile("adr x1, 1f\n mov x0, #1\n mov x2, #0\n mov x3, #0\n mov x4, #0\n hvc #0\n"
		     "1: mrs %0, CurrentEL\n"
		     : "=r"(level)
		     :
		     : "x0", "x1", "x2", "x3", "x4", "memory", "cc");
	/* A start at EL1 comes with privileged access to user memory allowed. */
	if (system_uses_hw_pan())
		set_pstate_pan(1);
	local_irq_restore(flags);
	return level;
}

static long peek(struct file *file, unsigned int number, unsigned long argument)
{
	struct request __user *user = (struct request __user *)argument;
	struct registers registers = { };
	struct request request;
	volatile u64 *word;

	if (copy_from_user(&request, user, sizeof(request)))
		return -EFAULT;
	if (number == PEEK_CALL) {
		memcpy(registers.x, request.x, sizeof(request.x));
		hvc(&registers);
		memcpy(request.x, registers.x, sizeof(request.x));
		return copy_to_user(user, &request, sizeof(request)) ? -EFAULT : 0;
	}
	if (number == PEEK_FRAME) {
		find_frame(&request);
		return copy_to_user(user, &request, sizeof(request)) ? -EFAULT : 0;
	}
	if (number == PEEK_SCAN) {
		int error = find_secret(&request);

		return error ? error : copy_to_user(user, &request, sizeof(request)) ? -EFAULT : 0;
	}
	if (number == PEEK_RESTART) {
		request.x[0] = soft_restart();
		return copy_to_user(user, &request, sizeof(request)) ? -EFAULT : 0;
	}
	word = place(&request);
	if (!word)
		return -EINVAL;
	if (number == PEEK_AT_START) {
		int error = peek_at_start(&request);

		return error ? error : copy_to_user(user, &request, sizeof(request)) ? -EFAULT : 0;
	}
	switch (number) {
	case PEEK_READ:
		request.x[2] = *word;
		break;
	case PEEK_WRITE:
		*word = request.x[2];
		break;
	case PEEK_TRY:
		request.x[3] = copy_from_kernel_nofault(&request.x[2], (const void *)word, sizeof(u64));
		break;
	default:
		return -ENOTTY;
	}
	return copy_to_user(user, &request, sizeof(request)) ? -EFAULT : 0;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = peek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "martlet-peek",
	.fops = &operations,
};
module_misc_device(device);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Martlet's tests: page frames and calls to EL2 for a program");
