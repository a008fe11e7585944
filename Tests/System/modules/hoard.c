// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Takes every piece of 2 MiB or more that the kernel has, for as long as the module is loaded,
 * and leaves all smaller ones: memory is fragmented as after a long life.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>

#define ORDER 9

/* A list through the first word of each piece: there is nothing else to keep it in. */
static void *pieces;

static int __init hoard_init(void)
{
	/* The effort that Martlet's own allocation makes, so that it cannot find what this has not. */
	gfp_t flags = GFP_KERNEL | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;
	unsigned int count = 0;
	struct page *page;

	while ((page = alloc_pages(flags, ORDER))) {
		*(void **)page_address(page) = pieces;
		pieces = page_address(page);
		count++;
	}
	pr_info("hoard: %u pieces of 2 MiB\n", count);
	return count ? 0 : -ENOMEM;
}
module_init(hoard_init);

static void __exit hoard_exit(void)
{
	while (pieces) {
		void *piece = pieces;

		pieces = *(void **)piece;
		free_pages((unsigned long)piece, ORDER);
	}
}
module_exit(hoard_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Martlet's tests: memory without large pieces");
