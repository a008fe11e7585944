// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Donates pages to EL2's pool, looks at them, takes all back, and looks again. */
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "probe.h"

static uint pages = 64;
module_param(pages, uint, 0);

static u64 free_pages_of_pool(void)
{
	u64 value = 0;

	host_call(CALL_COUNTER, COUNTER_FREE_PAGES, 0, &value);
	return value;
}

static struct page *donate(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	if (!page)
		return NULL;
	memset(page_address(page), 0xa5, PAGE_SIZE);
	__SetPageOffline(page);
	if (!host_call(CALL_TOP_UP, page_to_pfn(page), 1, NULL))
		return page;
	__ClearPageOffline(page);
	__free_page(page);
	return NULL;
}

/* Donations that must be refused and change nothing: device, beyond everything, EL2's own, empty,
 * wrapping. */
static void refusals(u64 own)
{
	struct { const char *what; u64 frame, count; } bad[] = {
		{ "a device", 0x08000, 1 }, { "beyond all memory", 1ul << 40, 1 },
		{ "donated already", own, 1 }, { "empty", own, 0 }, { "wrapping", ~0ul, 2 }, { "endless", 0x40000, ~0ul },
	};
	u64 before = free_pages_of_pool();
	size_t refused = 0, i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		long status = host_call(CALL_TOP_UP, bad[i].frame, bad[i].count, NULL);

		if (status == STATUS_INVALID_PARAMETER || status == STATUS_DENIED)
			refused++;
		else
			pr_info("a donation that is %s is answered %ld\n", bad[i].what, status);
	}
	report("top-up-refused", refused == ARRAY_SIZE(bad), "%zu of %zu bad donations", refused, ARRAY_SIZE(bad));
	report("top-up-refused-unchanged", free_pages_of_pool() == before, "%llu free pages", before);
}

static int __init topup_init(void)
{
	u64 before = free_pages_of_pool(), frame, report_of_page;
	u32 donated = 0, readable = 0, not_owned = 0, back = 0, dirty = 0, i;
	struct page **all = kcalloc(pages, sizeof(*all), GFP_KERNEL);

	if (!all)
		return -ENOMEM;
	while (donated < pages && (all[donated] = donate()))
		donated++;
	report("top-up", donated == pages, "%u of %u pages donated", donated, pages);

	for (i = 0; i < donated; i++) {
		u64 word;

		if (!copy_from_kernel_nofault(&word, page_address(all[i]), sizeof(word)))
			readable++;
		if (host_call(CALL_PAGE_REPORT, page_to_pfn(all[i]), 0, &report_of_page) ||
		    report_of_page != PAGE_OF_HYPERVISOR)
			not_owned++;
	}
	report("top-up-hidden", !readable && !not_owned, "%u readable, %u not the hypervisor's", readable, not_owned);
	if (donated)
		refusals(page_to_pfn(all[0]));

	/* EL2 gives pages back in its own order, and every page that it gives is the host's again. */
	while (!host_call(CALL_RECLAIM_POOL, 0, 0, &frame)) {
		struct page *page = pfn_to_page(frame);

		back++;
		if (host_call(CALL_PAGE_REPORT, frame, 0, &report_of_page) || report_of_page != PAGE_OF_HOST)
			not_owned++;
		if (memchr_inv(page_address(page), 0, PAGE_SIZE))
			dirty++;
		__ClearPageOffline(page);
		__free_page(page);
	}
	report("reclaim", back >= donated && !not_owned, "%u of %u pages back, %u not the host's", back, donated,
	       not_owned);
	report("reclaim-zeroed", back && !dirty, "%u of %u pages with content", dirty, back);
	pr_info("pool before: %llu pages, after: %llu\n", before, free_pages_of_pool());
	kfree(all);
	return 0;
}
module_init(topup_init);

static void __exit topup_exit(void)
{
}
module_exit(topup_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Martlet's tests: the page pool");
