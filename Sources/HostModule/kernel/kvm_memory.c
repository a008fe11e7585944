// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Pages for EL2's tables and vCPUs, pages of the process for the guest, cache maintenance. */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <asm/cacheflush.h>

#include "kvm.h"

void *martlet_kernel_state_allocate(u64 size)
{
	return kvzalloc(size, GFP_KERNEL_ACCOUNT);
}

/*
 * Offline for everyone else, as all memory that EL2 hides: hibernation and dumps skip such
 * pages. A notifier must not sleep and may use the reserves, for it frees memory.
 */
u64 martlet_kernel_pages_allocate(u32 order, u32 may_sleep)
{
	gfp_t flags = may_sleep ? GFP_KERNEL_ACCOUNT : GFP_ATOMIC;
	struct page *pages = alloc_pages(flags | __GFP_ZERO | __GFP_NOWARN, order);
	u32 i;

	if (!pages)
		return 0;
	if (order)
		split_page(pages, order);
	for (i = 0; i < 1u << order; i++)
		__SetPageOffline(pages + i);
	return page_to_pfn(pages);
}

void martlet_kernel_pages_free(u64 first, u64 pages)
{
	u64 frame;

	for (frame = first; frame < first + pages; frame++) {
		__ClearPageOffline(pfn_to_page(frame));
		__free_page(pfn_to_page(frame));
	}
}

int martlet_kernel_user_page_get(u64 address, u32 must_write, struct martlet_user_page *page)
{
	struct page *got;
	int count;

	/* A page that can be written without a fault is mapped so at once, to spare the guest the
	 * next fault; one that would have to be copied or cleaned first is not. */
	count = get_user_pages_fast_only(address, 1, FOLL_WRITE, &got);
	if (count == 1) {
		page->is_writable = 1;
	} else {
		count = get_user_pages_fast(address, 1, must_write ? FOLL_WRITE : 0, &got);
		page->is_writable = must_write;
	}
	if (count != 1)
		return count < 0 ? count : -EFAULT;
	page->frame = page_to_pfn(got);
	return 0;
}

void martlet_kernel_user_page_put(const struct martlet_user_page *page, u32 is_dirty)
{
	struct page *got = pfn_to_page(page->frame);

	/* The guest's writes do not reach the process's page table. */
	if (is_dirty)
		set_page_dirty_lock(got);
	put_page(got);
}

void martlet_kernel_page_clean(u64 frame)
{
	martlet_kernel_clean(page_address(pfn_to_page(frame)), PAGE_SIZE);
}

void martlet_kernel_page_sync_fetch(u64 frame)
{
	unsigned long start = (unsigned long)page_address(pfn_to_page(frame));

	caches_clean_inval_pou(start, start + PAGE_SIZE);
}

void martlet_kernel_pause(void)
{
	cond_resched();
}
