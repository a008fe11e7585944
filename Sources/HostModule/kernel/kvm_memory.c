// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Pages for EL2's tables and vCPUs, pages of the process for the guest, cache maintenance. */
#include <linux/delay.h>
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

/* Offline for everyone else, as all memory that EL2 hides: hibernation and dumps skip such pages. */
u64 martlet_kernel_pages_allocate(u32 order, enum martlet_allocation payment)
{
	gfp_t flags = payment == MARTLET_CHARGED ? GFP_KERNEL_ACCOUNT : GFP_KERNEL | __GFP_RETRY_MAYFAIL;
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

/*
 * Whether the process maps an address by a block. With interrupts off no table is freed under
 * the walk, as for get_user_pages_fast; a change right after it reaches the notifier.
 */
static bool is_huge(u64 address)
{
	unsigned long flags;
	bool huge = false;
	pgd_t *pgd;
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;

	local_irq_save(flags);
	pgd = pgd_offset(current->mm, address);
	if (pgd_none(READ_ONCE(*pgd)))
		goto out;
	p4d = p4d_offset(pgd, address);
	if (p4d_none(READ_ONCE(*p4d)) || !p4d_present(READ_ONCE(*p4d)))
		goto out;
	pud = pud_offset(p4d, address);
	if (!pud_present(READ_ONCE(*pud)))
		goto out;
	if (pud_leaf(READ_ONCE(*pud))) {
		huge = true;
		goto out;
	}
	pmd = pmd_offset(pud, address);
	huge = pmd_present(READ_ONCE(*pmd)) && pmd_leaf(READ_ONCE(*pmd));
out:
	local_irq_restore(flags);
	return huge;
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
	/* The block may have come after the page was got: what counts is the page that is held. */
	page->is_huge = folio_nr_pages(page_folio(got)) >= PMD_SIZE / PAGE_SIZE && is_huge(address);
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

void martlet_kernel_pages_clean(u64 first, u64 pages)
{
	martlet_kernel_clean(page_address(pfn_to_page(first)), pages << PAGE_SHIFT);
}

void martlet_kernel_pages_sync_fetch(u64 first, u64 pages)
{
	unsigned long start = (unsigned long)page_address(pfn_to_page(first));

	caches_clean_inval_pou(start, start + (pages << PAGE_SHIFT));
}

void martlet_kernel_wait(void)
{
	msleep(100);
}

void martlet_kernel_pause(void)
{
	cond_resched();
}
