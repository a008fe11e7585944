// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Takes every piece of 2 MiB or more that the kernel has, and of the smaller ones those that it
 * would put together to such a piece, for as long as the module is loaded: memory is fragmented
 * as after a long life.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>

#define SUPERPAGE_ORDER 9
/* A process still finds memory. The kernel's area for contiguous buffers counts as free too. */
#define LEFT_FREE ((96ul << 20) >> PAGE_SHIFT)

/* A list through the beginning of each piece: there is nothing else to keep it in. */
struct piece {
	struct piece *next;
	unsigned int order;
};
static struct piece *pieces;

static bool take(gfp_t flags, unsigned int order)
{
	struct page *page = alloc_pages(flags | GFP_KERNEL | __GFP_NOWARN, order);
	struct piece *piece;

	if (!page)
		return false;
	piece = page_address(page);
	*piece = (struct piece){ .next = pieces, .order = order };
	pieces = piece;
	return true;
}

static unsigned long free_pages_now(void)
{
	struct sysinfo info;

	si_meminfo(&info);
	return info.freeram;
}

/*
 * The effort that Martlet's own allocation makes. After failures the kernel leaves out up to 63
 * attempts to put pieces together, so that one failure says little.
 */
static unsigned int take_superpages(void)
{
	unsigned int count = 0, failures = 0;

	while (failures < 80) {
		if (take(__GFP_RETRY_MAYFAIL, SUPERPAGE_ORDER)) {
			count++;
			failures = 0;
		} else {
			failures++;
		}
		cond_resched();
	}
	return count;
}

static int __init hoard_init(void)
{
	unsigned int count = take_superpages(), order;

	for (order = SUPERPAGE_ORDER; order-- > 3;)
		while (free_pages_now() > LEFT_FREE && take(__GFP_NORETRY, order))
			;
	/* What was put together meanwhile. */
	count += take_superpages();
	pr_info("hoard: %u pieces of 2 MiB, %lu pages are free\n", count, free_pages_now());
	return count ? 0 : -ENOMEM;
}
module_init(hoard_init);

static void __exit hoard_exit(void)
{
	while (pieces) {
		struct piece *piece = pieces;

		pieces = piece->next;
		free_pages((unsigned long)piece, piece->order);
	}
}
module_exit(hoard_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Martlet's tests: memory without large pieces");
