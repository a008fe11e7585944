// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Pages of the process that a protected guest owns: pinned, counted, and remembered by guest frame. */
#include <linux/mm.h>
#include <linux/xarray.h>

#include "kvm.h"

u32 martlet_kernel_user_page_present(u64 user)
{
	struct page *page;

	if (get_user_pages_fast_only(user, 1, FOLL_WRITE, &page) != 1)
		return 0;
	put_page(page);
	return 1;
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
