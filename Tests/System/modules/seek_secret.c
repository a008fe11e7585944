// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A hostile kernel looks for a guest's secret: it reads every page of RAM through its own linear
 * map. It is given the secret mirrored (0 for f, 1 for e and so on), so that its own memory has
 * no copy to find.
 *
 * parameters: mirrored (hexadecimal digits)
 */
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "probe.h"

static char *mirrored = "";
module_param(mirrored, charp, 0);

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

static int __init seek(void)
{
	size_t length = strlen(mirrored);
	struct resource *range;
	char *copy;

	if (length < 16)
		return -EINVAL;
	copy = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	for (range = iomem_resource.child; range; range = range->sibling) {
		u64 frame;

		if ((range->flags & IORESOURCE_SYSTEM_RAM) != IORESOURCE_SYSTEM_RAM)
			continue;
		for (frame = range->start >> PAGE_SHIFT; frame <= range->end >> PAGE_SHIFT; frame++) {
			pages++;
			if (copy_from_kernel_nofault(copy, page_address(pfn_to_page(frame)), PAGE_SIZE))
				refused++;
			else
				search(copy, length);
			/* What the copy held is not to be found again where the copy is. */
			memset(copy, 0, PAGE_SIZE);
			cond_resched();
		}
	}
	kfree(copy);
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
