// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Descriptors of private memory: files whose pages vanish from every mapping when a guest gets them. */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/pagemap.h>
#include <linux/pfn_t.h>
#include <linux/slab.h>

#include "kvm.h"

struct martlet_private {
	struct file *file; /* which has this */
	/* Order: a vCPU's mutex or the mmap lock, this, the locks of mappings. */
	struct mutex lock;
	void *state;
};

static vm_fault_t on_fault(struct vm_fault *fault)
{
	struct vm_area_struct *area = fault->vma;
	struct martlet_private *memory = area->vm_file->private_data;
	vm_fault_t answer;
	long long frame;

	/* A page that is taken for a guest is taken from mappings afterwards, under the same lock. */
	mutex_lock(&memory->lock);
	frame = martlet_kvm_private_fault(memory, fault->pgoff);
	if (frame > 0)
		answer = vmf_insert_pfn(area, fault->address, frame);
	else
		answer = frame == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
	mutex_unlock(&memory->lock);
	return answer;
}

#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
/*
 * A block of which the host has all is mapped by one entry, and taken by one. Where that cannot be, pages are
 * mapped singly. The kernel takes all of the entry away where it would have to be split. Only where the kernel knows
 * entries of that size that it must take no reference by.
 */
static vm_fault_t on_huge_fault(struct vm_fault *fault, unsigned int order)
{
	struct vm_area_struct *area = fault->vma;
	struct martlet_private *memory = area->vm_file->private_data;
	unsigned long start = fault->address & PMD_MASK;
	vm_fault_t answer = VM_FAULT_FALLBACK;
	u64 frame;

	if (order != HPAGE_PMD_ORDER || start < area->vm_start || start + PMD_SIZE > area->vm_end)
		return VM_FAULT_FALLBACK;
	mutex_lock(&memory->lock);
	frame = martlet_kvm_private_fault_block(memory, linear_page_index(area, start));
	if (frame)
		answer = vmf_insert_pfn_pmd(fault, pfn_to_pfn_t(frame), fault->flags & FAULT_FLAG_WRITE);
	mutex_unlock(&memory->lock);
	return answer;
}
#endif

static const struct vm_operations_struct area_operations = {
	.fault = on_fault,
#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
	.huge_fault = on_huge_fault,
#endif
};

static int map(struct file *file, struct vm_area_struct *area)
{
	const vm_flags_t shared = VM_SHARED | VM_MAYSHARE;

	if (!martlet_kvm_private_can_map(file->private_data))
		return -ENODEV;
	/* A copy of a page would outlive what becomes of the page. */
	if ((area->vm_flags & shared) != shared)
		return -EINVAL;
	/* Frames without a page behind them, as far as the kernel is concerned: it takes no reference. */
	vm_flags_set(area, VM_PFNMAP | VM_DONTCOPY | VM_DONTDUMP | VM_DONTEXPAND);
	area->vm_ops = &area_operations;
	return 0;
}

static int release(struct inode *inode, struct file *file)
{
	struct martlet_private *memory = file->private_data;

	martlet_kvm_private_release(memory);
	kvfree(memory->state);
	kfree(memory);
	return 0;
}

static const struct file_operations private_operations = {
	.owner = THIS_MODULE,
	.mmap = map,
#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
	.get_unmapped_area = thp_get_unmapped_area,
#endif
	.release = release,
	.llseek = noop_llseek,
};

struct martlet_private *martlet_kernel_private_make(u64 state_size, u64 size)
{
	struct martlet_private *memory = kzalloc(sizeof(*memory), GFP_KERNEL_ACCOUNT);
	struct file *file;

	if (!memory)
		return NULL;
	mutex_init(&memory->lock);
	memory->state = kvzalloc(state_size, GFP_KERNEL_ACCOUNT);
	if (!memory->state)
		goto failed;
	/* With an inode of its own, since mappings are found by it. */
	file = anon_inode_create_getfile("[kvm-gmem]", &private_operations, memory, O_RDWR, NULL);
	if (IS_ERR(file))
		goto failed;
	file->f_flags |= O_LARGEFILE;
	i_size_write(file_inode(file), size);
	memory->file = file;
	return memory;

failed:
	kvfree(memory->state);
	kfree(memory);
	return NULL;
}

int martlet_kernel_private_open(struct martlet_private *memory)
{
	int descriptor = get_unused_fd_flags(O_CLOEXEC);

	if (descriptor < 0)
		fput(memory->file);
	else
		fd_install(descriptor, memory->file);
	return descriptor;
}

int martlet_kernel_private_get(int descriptor, struct martlet_private **memory)
{
	struct file *file = fget(descriptor);

	if (!file)
		return -EBADF;
	if (file->f_op != &private_operations) {
		fput(file);
		return -EINVAL;
	}
	*memory = file->private_data;
	return 0;
}

void martlet_kernel_private_put(struct martlet_private *memory)
{
	fput(memory->file);
}

void *martlet_kernel_private_state(struct martlet_private *memory)
{
	return memory->state;
}

void martlet_kernel_private_lock(struct martlet_private *memory)
{
	mutex_lock(&memory->lock);
}

void martlet_kernel_private_unlock(struct martlet_private *memory)
{
	mutex_unlock(&memory->lock);
}

/* A block is welcome but not worth waiting for; a page is. */
u64 martlet_kernel_private_take(u32 order)
{
	gfp_t flags = order ? (GFP_KERNEL_ACCOUNT & ~__GFP_DIRECT_RECLAIM) | __GFP_NOWARN : GFP_KERNEL_ACCOUNT;
	struct page *pages = alloc_pages(flags | __GFP_ZERO, order);

	if (!pages)
		return 0;
	if (order)
		split_page(pages, order);
	return page_to_pfn(pages);
}

void martlet_kernel_private_give(u64 first, u64 pages)
{
	u64 frame;

	for (frame = first; frame < first + pages; frame++)
		__free_page(pfn_to_page(frame));
}

/* Whoever reads memory by frames, as /proc/kcore and dumps do, leaves out pages that are offline. */
void martlet_kernel_private_hide(struct martlet_private *memory, u64 index, u64 first, u64 pages)
{
	u64 frame;

	unmap_mapping_range(memory->file->f_mapping, index << PAGE_SHIFT, pages << PAGE_SHIFT, 1);
#pragma GCC unroll 8
	for (frame = first; frame < first + pages; frame++)
		__SetPageOffline(pfn_to_page(frame));
}

void martlet_kernel_private_reveal(u64 first, u64 pages)
{
	u64 frame;

	for (frame = first; frame < first + pages; frame++)
		__ClearPageOffline(pfn_to_page(frame));
}
