// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Memory for EL2, the image, the seed, and cache maintenance. */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <asm/barrier.h>
#include <asm/cpufeature.h>
#include <crypto/sha2.h>

#include "binding.h"

#define SUPERPAGE_ORDER 9

extern const u64 martlet_image_start[];
extern const u8 martlet_image_end[];

const u64 *martlet_kernel_image(void)
{
	return martlet_image_start;
}

u64 martlet_kernel_image_size(void)
{
	return (u64)(martlet_image_end - (const u8 *)martlet_image_start);
}

/*
 * PageOffline keeps everyone else away: hibernation and crash dumps skip such pages instead of
 * reading what EL2 has hidden, and compaction does not move them.
 */
static struct page *allocate(unsigned int order)
{
	struct page *pages = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN | __GFP_RETRY_MAYFAIL, order);
	unsigned int i;

	if (!pages)
		return NULL;
	split_page(pages, order);
	for (i = 0; i < 1u << order; i++)
		__SetPageOffline(pages + i);
	return pages;
}

static void release(struct page *pages, unsigned int order)
{
	unsigned int i;

	for (i = 0; i < 1u << order; i++) {
		__ClearPageOffline(pages + i);
		__free_page(pages + i);
	}
}

u64 martlet_kernel_allocate(u32 superpages_log2)
{
	struct page *pages = allocate(SUPERPAGE_ORDER + superpages_log2);

	return pages ? page_to_phys(pages) : 0;
}

void *martlet_kernel_pointer(u64 physical)
{
	return phys_to_virt(physical);
}

void martlet_kernel_free(u64 physical, u32 superpages_log2)
{
	unsigned int order = SUPERPAGE_ORDER + superpages_log2;
	struct page *pages = phys_to_page(physical);

	memzero_explicit(page_address(pages), PAGE_SIZE << order);
	release(pages, order);
}

u64 martlet_kernel_page_allocate(void)
{
	struct page *page = allocate(0);

	return page ? page_to_pfn(page) : 0;
}

void martlet_kernel_page_free(u64 frame)
{
	release(pfn_to_page(frame), 0);
}

void *martlet_kernel_scratch(u64 size)
{
	return kvzalloc(size, GFP_KERNEL);
}

void martlet_kernel_scratch_free(void *scratch)
{
	kvfree(scratch);
}

void martlet_kernel_sha256(const void *data, u32 size, u8 *digest)
{
	sha256(data, size, digest);
}

int martlet_kernel_random(void *destination, u64 size)
{
	return get_random_bytes_wait(destination, size);
}

/* Bytes of the smallest cache line of all CPUs. */
static u64 cache_line __ro_after_init;

/* The kernel searches its table for the sanitised CTR_EL0, which is not done again for each page. */
void __init martlet_memory_init(void)
{
	cache_line = 4ul << ((read_sanitised_ftr_reg(SYS_CTR_EL0) >> 16) & 0xf);
}

/*
 * EL2 reads image, boot block and tables with its MMU off at first, that is from memory and not
 * from the caches (Arm ARM, D7.4.4). The kernel's own loop is not exported.
 */
void martlet_kernel_clean(const void *start, u64 size)
{
	const u64 line = cache_line;
	u64 address = (u64)start & ~(line - 1);
	u64 end = (u64)start + size;

	/* 16 lines a turn: of 2 MiB there are 32,768. */
	while (address + 16 * line <= end)
		asm volatile(".rept 16\n\tdc civac, %0\n\tadd %0, %0, %1\n\t.endr"
			     : "+r"(address) : "r"(line) : "memory");
	for (; address < end; address += line)
		asm volatile("dc civac, %0" : : "r"(address) : "memory");
	/* Complete for all observers before anyone asks EL2 to read it. */
	dsb(sy);
}

/* The image is code that was written as data: nobody may run what it had fetched before. */
void martlet_kernel_invalidate_instructions(void)
{
	asm volatile("ic ialluis" : : : "memory");
	dsb(ish);
	isb();
}
