// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Tries to read and write the hypervisor's memory from inside the host kernel: by the linear
 * map, by kernel aliases of every memory type, and by a mapping of user space through the user
 * access functions. Every attempt must fault and none may see or change a byte.
 *
 * With `address` and `size` that range is attacked; otherwise the module asks EL2 for its pages
 * and attacks the first, the last and some in between.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ioport.h>
#include <linux/mman.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "probe.h"

static ulong address;
static ulong size = PAGE_SIZE;
static uint stride = 37;
module_param(address, ulong, 0);
module_param(size, ulong, 0);
module_param(stride, uint, 0);

#define UNTOUCHED 0x0123456789abcdefull

/* Attempts and successes, by way. A success of the attacker is a failure of the test. */
enum way { LINEAR_READ, LINEAR_WRITE, LINEAR_ATOMIC, LINEAR_CACHE, CACHED, WRITE_COMBINING, DEVICE,
	   USER_READ, USER_WRITE, USER_GET, WAYS };
static const char *const names[WAYS] = {
	"linear-map-read", "linear-map-write", "linear-map-atomic", "linear-map-zero-cache-line",
	"alias-cached", "alias-write-combining", "alias-device", "user-copy-from", "user-copy-to", "user-get",
};
struct ram {
	u32 count;
	u64 first[32], end[32];
};
static u32 attempts[WAYS];
static u32 successes[WAYS];

static void count(enum way way, bool succeeded)
{
	attempts[way]++;
	successes[way] += succeeded;
}

static bool read_faults(const void *pointer)
{
	u64 word = UNTOUCHED;

	return copy_from_kernel_nofault(&word, pointer, sizeof(word)) && word == UNTOUCHED;
}

/* Runs one instruction on `pointer`; true if it faulted and the kernel's exception table took it. */
#define INSTRUCTION_FAULTS(instruction, pointer)                                    \
	({                                                                          \
		int error = 0;                                                      \
		asm volatile("1: " instruction "\n"                                 \
			     "2:\n" _ASM_EXTABLE_KACCESS_ERR(1b, 2b, %w0)           \
			     : "+r"(error)                                          \
			     : "r"(pointer)                                         \
			     : "x9", "memory");                                     \
		error != 0;                                                         \
	})

static void attack_linear_map(u64 frame)
{
	u64 *word = (u64 *)pfn_to_kaddr(frame);

	count(LINEAR_READ, !read_faults(word));
	count(LINEAR_READ, !read_faults((u8 *)word + PAGE_SIZE - sizeof(u64)));
	count(LINEAR_WRITE, !INSTRUCTION_FAULTS("str xzr, [%1]", word));
	count(LINEAR_ATOMIC, !INSTRUCTION_FAULTS("ldxr x9, [%1]", word));
	count(LINEAR_CACHE, !INSTRUCTION_FAULTS("dc zva, %1", word));
}

static void attack_alias(u64 frame, enum way way, pgprot_t protection)
{
	struct page *page = pfn_to_page(frame);
	void *alias = vmap(&page, 1, VM_MAP, protection);

	if (!alias)
		return;
	count(way, !read_faults(alias));
	count(way, !INSTRUCTION_FAULTS("str xzr, [%1]", alias));
	vunmap(alias);
}

static int map_frame(struct file *file, struct vm_area_struct *area)
{
	return remap_pfn_range(area, area->vm_start, area->vm_pgoff, PAGE_SIZE, area->vm_page_prot);
}

static const struct file_operations window_operations = {
	.owner = THIS_MODULE,
	.mmap = map_frame,
};

static void attack_user_mapping(struct file *window, u64 frame)
{
	u64 word = UNTOUCHED, got = UNTOUCHED;
	unsigned long start = vm_mmap(window, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, frame << PAGE_SHIFT);
	u64 __user *user = (u64 __user *)start;

	if (IS_ERR_VALUE(start))
		return;
	/* The copy zeroes what it could not read, so that anything else came from the page. */
	count(USER_READ, !(copy_from_user(&word, user, sizeof(word)) == sizeof(word) && word == 0));
	count(USER_WRITE, copy_to_user(user, &word, sizeof(word)) != sizeof(word));
	count(USER_GET, !(get_user(got, user) == -EFAULT && got == 0));
	vm_munmap(start, PAGE_SIZE);
}

static void attack(struct file *window, u64 frame)
{
	attack_linear_map(frame);
	attack_alias(frame, CACHED, PAGE_KERNEL);
	attack_alias(frame, WRITE_COMBINING, pgprot_writecombine(PAGE_KERNEL));
	attack_alias(frame, DEVICE, pgprot_device(PAGE_KERNEL));
	attack_user_mapping(window, frame);
}

/* EL2's pages in one range of RAM: every `stride`-th and the ends of runs. */
static u32 attack_range(struct file *window, u64 first, u64 end)
{
	u64 frame, run = 0;
	u32 found = 0;

	for (frame = first; frame <= end; frame++) {
		u64 owner = 0;
		bool ours = frame < end && !host_call(CALL_PAGE_REPORT, frame, 0, &owner) &&
			    owner == PAGE_OF_HYPERVISOR;

		if (ours && run++ % stride == 0)
			attack(window, frame);
		else if (!ours && run && (run - 1) % stride)
			attack(window, frame - 1);
		if (!ours)
			run = 0;
		found += ours;
		if (frame % 4096 == 0)
			cond_resched();
	}
	return found;
}

static int add_ram(struct resource *ram, void *data)
{
	struct ram *list = data;

	if (list->count == ARRAY_SIZE(list->first))
		return -ENOSPC;
	list->first[list->count] = PFN_UP(ram->start);
	list->end[list->count++] = PFN_DOWN(ram->end + 1);
	return 0;
}

static u32 attack_all(struct file *window)
{
	struct ram list = { 0 };
	u32 found = 0, i;
	int error = walk_iomem_res_desc(IORES_DESC_NONE, IORESOURCE_SYSTEM_RAM, 0, -1ul, &list, add_ram);

	report("memory-listed", !error && list.count, "%u ranges of RAM, error %d", list.count, error);
	for (i = 0; i < list.count; i++)
		found += attack_range(window, list.first[i], list.end[i]);
	return found;
}

/*
 * The control: on a page of the host's own every way gets through, so that it is EL2 that stops
 * them elsewhere and not a mistake of this module.
 */
static void attack_own_page(struct file *window)
{
	struct page *page = alloc_page(GFP_KERNEL);
	u32 i, stopped = 0;

	if (page) {
		memset(page_address(page), 0xa5, PAGE_SIZE);
		attack(window, page_to_pfn(page));
		__free_page(page);
	}
	for (i = 0; i < WAYS; i++)
		stopped += !attempts[i] || attempts[i] != successes[i];
	report("attack-control", page && !stopped, "%u of %u ways fail on a page of the host", stopped, WAYS);
	memset(attempts, 0, sizeof(attempts));
	memset(successes, 0, sizeof(successes));
}

static int __init attack_init(void)
{
	struct file *window = anon_inode_getfile("martlet-window", &window_operations, NULL, O_RDWR);
	u32 pages = 0, i;

	if (IS_ERR(window))
		return PTR_ERR(window);
	attack_own_page(window);
	if (address)
		for (pages = 0; pages < size >> PAGE_SHIFT; pages++)
			attack(window, (address >> PAGE_SHIFT) + pages);
	else
		pages = attack_all(window);
	fput(window);
	report("carveout-found", pages > 0, "%u pages are the hypervisor's", pages);
	for (i = 0; i < WAYS; i++)
		report(names[i], attempts[i] && !successes[i], "%u attempts, %u got through", attempts[i], successes[i]);
	return 0;
}
module_init(attack_init);

static void __exit attack_exit(void)
{
}
module_exit(attack_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Martlet's tests: attacks on the hypervisor's memory");
