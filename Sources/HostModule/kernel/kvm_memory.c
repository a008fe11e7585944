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
 * With interrupts off no table is freed under the walk, as for get_user_pages_fast. Each entry is read once:
 * another thread may be unmapping what it leads to, and a block may take a table's place.
 */
struct martlet_entry martlet_entry_of(u64 address, u64 end)
{
	pgd_t *pgdp = pgd_offset(current->mm, address);
	pgd_t pgd = READ_ONCE(*pgdp);
	struct martlet_entry found = { .kind = MARTLET_ABSENT, .end = pgd_addr_end(address, end) };
	p4d_t *p4dp, p4d;
	pud_t *pudp, pud;
	pmd_t *pmdp, pmd;

	if (pgd_none(pgd))
		return found;
	p4dp = p4d_offset_lockless(pgdp, pgd, address);
	p4d = READ_ONCE(*p4dp);
	found.end = p4d_addr_end(address, end);
	if (p4d_none(p4d))
		return found;
	pudp = pud_offset_lockless(p4dp, p4d, address);
	pud = READ_ONCE(*pudp);
	found.end = pud_addr_end(address, end);
	if (pud_none(pud))
		return found;
	if (!pud_present(pud) || pud_leaf(pud)) {
		found.kind = pud_present(pud) ? MARTLET_BLOCK : MARTLET_MOVING_BLOCK;
		return found;
	}
	pmdp = pmd_offset_lockless(pudp, pud, address);
	pmd = READ_ONCE(*pmdp);
	found.end = pmd_addr_end(address, end);
	if (pmd_none(pmd))
		return found;
	if (!pmd_present(pmd) || pmd_leaf(pmd)) {
		found.kind = pmd_present(pmd) ? MARTLET_BLOCK : MARTLET_MOVING_BLOCK;
		return found;
	}
	found.kind = MARTLET_PAGES;
	found.table = pmd;
	return found;
}

/* Whether the process maps an address by a block. A change right after it reaches the notifier. */
static bool is_huge(u64 address)
{
	unsigned long flags;
	struct martlet_entry found;

	local_irq_save(flags);
	found = martlet_entry_of(address, address + PAGE_SIZE);
	local_irq_restore(flags);
	return found.kind == MARTLET_BLOCK;
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
	struct folio *folio = page_folio(got);

	/* The guest's writes do not reach the process's page table. Of anonymous memory no file has to know. */
	if (is_dirty && folio_test_anon(folio))
		folio_set_dirty(folio);
	else if (is_dirty)
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
