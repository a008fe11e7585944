// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A hostile kernel looks for a guest's secret: it reads every page of RAM through its own linear
 * map, or one page that it knows to be the secret's. It is given the secret mirrored (0 for f, 1 for
 * e and so on), so that its own memory has no copy to find.
 *
 * parameters: mirrored (hexadecimal digits), frame (the one page's frame number), plain (1: pages
 * are loaded from as if nothing could happen, without a fixup), owned (1: only pages that
 * a guest owns by EL2's own word)
 */
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "probe.h"

static char *mirrored = "";
module_param(mirrored, charp, 0);

static ulong frame;
module_param(frame, ulong, 0);

static int plain;
module_param(plain, int, 0);

static int owned;
module_param(owned, int, 0);

static u64 pages, refused, found;

static bool is_at(const char *text, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < length; i++) {
		int value = hex_to_bin(mirrored[i]);

		if (value < 0 || text[i] != digits[15 - value])
			return false;
	}
	return true;
}

static void search(const char *page, size_t length)
{
	size_t at = 0;

	while (at + length <= PAGE_SIZE) {
		if (IS_ALIGNED(at, 8) && !*(const u64 *)(page + at)) {
			at += 8;
			continue;
		}
		if (is_at(page + at, length)) {
			found++;
			at += length;
		} else {
			at++;
		}
	}
}

static bool is_guests(u64 number)
{
	u64 answer = 0;

	return host_call(CALL_PAGE_REPORT, number, 0, &answer) == STATUS_SUCCESS && answer == PAGE_OF_GUEST;
}

/* One page, and what came of reading it. */
static void look_at(unsigned long number, char *copy, size_t length)
{
	void *page = page_address(pfn_to_page(number));

	if (plain)
		memcpy(copy, page, PAGE_SIZE);
	else if (copy_from_kernel_nofault(copy, page, PAGE_SIZE)) {
		pr_info("MARTLET-PAGE refused EFAULT\n");
		return;
	}
	search(copy, length);
	if (found)
		pr_info("MARTLET-PAGE secret %.48s\n", copy);
	else
		pr_info("MARTLET-PAGE other %016llx\n", *(u64 *)copy);
	memset(copy, 0, PAGE_SIZE);
}

static int __init seek(void)
{
	size_t length = strlen(mirrored);
	struct resource *range;
	char *copy;
	u64 last = 0;

	if (length < 16)
		return -EINVAL;
	copy = kzalloc(PAGE_SIZE, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	if (frame) {
		pr_info("MARTLET-OWNER %s\n", is_guests(frame) ? "guest" : "other");
		if (pfn_valid(frame))
			look_at(frame, copy, length);
		kfree(copy);
		return 0;
	}
	for (range = iomem_resource.child; range; range = range->sibling) {
		u64 number;

		if ((range->flags & IORESOURCE_SYSTEM_RAM) != IORESOURCE_SYSTEM_RAM)
			continue;
		for (number = range->start >> PAGE_SHIFT; number <= range->end >> PAGE_SHIFT; number++) {
			cond_resched();
			if (owned && !is_guests(number))
				continue;
			pages++;
			if (plain)
				memcpy(copy, page_address(pfn_to_page(number)), PAGE_SIZE);
			else if (copy_from_kernel_nofault(copy, page_address(pfn_to_page(number)), PAGE_SIZE))
				refused++;
			last = *(u64 *)copy;
			search(copy, length);
			/* What the copy held is not to be found again where the copy is. */
			memset(copy, 0, PAGE_SIZE);
		}
	}
	kfree(copy);
	if (owned) {
		pr_info("MARTLET-OWNER %s\n", pages ? "guest" : "other");
		if (found || refused < pages)
			pr_info("MARTLET-PAGE %s %016llx\n", found ? "secret" : "other", last);
		else
			pr_info("MARTLET-PAGE refused EFAULT\n");
	}
	pr_info("MARTLET-SOUGHT found=%llu pages=%llu refused=%llu\n", found, pages, refused);
	return 0;
}

static void __exit leave(void)
{
}

module_init(seek);
module_exit(leave);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Looks for a guest's secret in all of RAM");
