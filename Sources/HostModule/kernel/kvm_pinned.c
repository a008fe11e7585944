// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Pages of the process that a protected guest owns: pinned, counted, and remembered by guest frame. */
#include <linux/mm.h>
#include <linux/xarray.h>

#include "kvm.h"

/* Entries that one look at the tables reads, with interrupts off. */
#define MOST_ENTRIES 1024

/* What is behind an entry of the last level: neither nothing nor the page of zeroes that reads find. */
static bool is_touched(pte_t entry)
{
	return !pte_none(entry) && !(pte_present(entry) && is_zero_pfn(pte_pfn(entry)));
}

/* Pages that are in swap, or that a fork has made read-only, count as touched: what is in them is the process's. */
struct martlet_touched martlet_kernel_user_touched(u64 user, u64 end)
{
	struct martlet_touched found = { .address = user };
	unsigned int entries;
	unsigned long flags;

	local_irq_save(flags);
	for (entries = 0; found.address < end && entries < MOST_ENTRIES && !found.is_touched; entries++) {
		struct martlet_entry entry = martlet_entry_of(found.address, end);

		if (entry.kind == MARTLET_PAGES) {
			/* At most one table more than there may be. */
			pte_t *page = pte_offset_kernel(&entry.table, found.address);

			for (; found.address < entry.end && !is_touched(READ_ONCE(*page)); page++, entries++)
				found.address += PAGE_SIZE;
			found.is_touched = found.address < entry.end;
		} else if (entry.kind == MARTLET_ABSENT) {
			found.address = entry.end;
		} else {
			found.is_touched = 1;
		}
	}
	local_irq_restore(flags);
	return found;
}

int martlet_kernel_pin(struct martlet_vm *vm, u64 guest, u64 user, u64 *frame)
{
	struct page *page;
	int error;

	error = account_locked_vm(vm->mm, 1, true);
	if (error)
		return error;
	error = pin_user_pages_fast(user, 1, FOLL_WRITE | FOLL_LONGTERM, &page);
	if (error != 1) {
		account_locked_vm(vm->mm, 1, false);
		return error < 0 ? error : -EFAULT;
	}
	/* A page of a file, or of another process's too, is not this process's to give away for ever. */
	if (!PageAnon(page)) {
		unpin_user_page(page);
		account_locked_vm(vm->mm, 1, false);
		return -EFAULT;
	}
	error = xa_insert(&vm->pinned, guest, page, GFP_KERNEL_ACCOUNT);
	if (error) {
		unpin_user_page(page);
		account_locked_vm(vm->mm, 1, false);
		return error == -EBUSY ? -EEXIST : error;
	}
	*frame = page_to_pfn(page);
	return 0;
}

void martlet_kernel_unpin(struct martlet_vm *vm, u64 guest)
{
	struct page *page = xa_erase(&vm->pinned, guest);

	if (!page)
		return;
	unpin_user_pages_dirty_lock(&page, 1, true);
	account_locked_vm(vm->mm, 1, false);
}

void martlet_kernel_unpin_all(struct martlet_vm *vm)
{
	unsigned long guest;
	struct page *page;

	xa_for_each(&vm->pinned, guest, page) {
		martlet_kernel_unpin(vm, guest);
		cond_resched();
	}
}
