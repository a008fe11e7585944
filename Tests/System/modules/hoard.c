// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Takes every 2 MiB of contiguous memory that the kernel has, and gives some of it back as every
 * second page: for as long as the module is loaded there is free memory, but in small pieces, as
 * after a long life.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>

#define ORDER 9
/* What the kernel and a few processes live on: half of each. */
#define SCATTERED 64
/* After failures the kernel leaves out up to 63 attempts to put pieces together. */
#define ATTEMPTS 80

/* A list through the first page of each piece: there is nothing else to keep it in. */
struct piece {
	struct piece *next;
	/* Which pages of the piece are held: each, or each second. */
	unsigned int stride;
};
static struct piece *pieces;

static bool take(gfp_t flags)
{
	struct page *page = alloc_pages(flags | GFP_KERNEL | __GFP_NOWARN, ORDER);
	struct piece *piece;

	if (!page)
		return false;
	split_page(page, ORDER);
	piece = page_address(page);
	*piece = (struct piece){ .next = pieces, .stride = 1 };
	pieces = piece;
	return true;
}

static void free_every(struct piece *piece, unsigned int first, unsigned int stride)
{
	struct page *page = virt_to_page(piece);
	unsigned int i;

	for (i = first; i < 1u << ORDER; i += stride)
		__free_page(page + i);
}

static int __init hoard_init(void)
{
	unsigned int count = 0, scattered = 0, failures = 0;
	struct piece *piece;

	/* All, also what the kernel keeps for emergencies. */
	while (take(__GFP_MEMALLOC))
		count++;
	for (piece = pieces; piece && scattered < SCATTERED; piece = piece->next, scattered++) {
		piece->stride = 2;
		free_every(piece, 1, 2);
	}
	/* The effort that Martlet's own allocation makes, now that there is memory to move things to. */
	while (failures < ATTEMPTS) {
		if (take(__GFP_RETRY_MAYFAIL)) {
			count++;
			failures = 0;
		} else {
			failures++;
		}
		cond_resched();
	}
	pr_info("hoard: %u pieces of 2 MiB, half of %u given back\n", count, scattered);
	return count ? 0 : -ENOMEM;
}
module_init(hoard_init);

static void __exit hoard_exit(void)
{
	while (pieces) {
		struct piece *piece = pieces;

		pieces = piece->next;
		free_every(piece, 0, piece->stride);
	}
}
module_exit(hoard_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Martlet's tests: memory without large pieces");
