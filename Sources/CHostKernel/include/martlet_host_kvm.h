/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The seam between the kernel and Swift for /dev/kvm. Objects of the kernel are opaque to Swift,
 * and Swift's state is opaque to the kernel. Functions that take a user address check it.
 */
#ifndef MARTLET_HOST_KVM_H
#define MARTLET_HOST_KVM_H

#include "martlet_boot.h"

struct martlet_vm;
struct martlet_vcpu;
struct martlet_private;

/* x0 to x11 of a call to EL2, in and out. */
struct martlet_registers {
    martlet_u64 x[12];
};

/* What /dev/kvm must know of the machine. */
struct martlet_machine {
    martlet_u64 physical_bits;
    martlet_u64 user_limit;       /* first address after those of a process */
    martlet_u64 timer_frequency;  /* Hz */
    martlet_u32 online_cpus;
    martlet_u32 timer_interrupt;  /* INTID of the virtual timer */
    martlet_u32 needs_clean;      /* a guest may bypass the data cache (no FEAT_S2FWB) */
    martlet_u32 needs_fetch_sync; /* the instruction cache does not follow writes (CTR_EL0.DIC = 0) */
};

/* A page of the calling process, with a reference of ours. */
struct martlet_user_page {
    martlet_u64 frame;
    martlet_u32 is_writable;
    martlet_u32 is_huge; /* the process maps it by a block of 2 MiB or more */
};

/* Why a thread must leave the kernel. */
enum martlet_errand {
    MARTLET_NO_ERRAND,
    MARTLET_SIGNAL,
    /* Work that is done on the way out. The system call is made again if it ends with -513
     * (ERESTARTNOINTR), without the process noticing. */
    MARTLET_RESTART,
};

/* Which fields of `struct kvm_run` an exit fills in. */
struct martlet_mmio {
    martlet_u64 address;
    martlet_u64 data;
    martlet_u32 length;
    martlet_u32 is_write;
};

/* -- The kernel, for Swift (Sources/HostModule/kernel) -- */

/* Asks for the timer's and the GIC's interrupts of every CPU. 0 or a negative error number. */
int martlet_kernel_kvm_interrupts(void);
/* Registers /dev/kvm. 0 or a negative error number. */
int martlet_kernel_kvm_register(void);
void martlet_kernel_machine(struct martlet_machine *machine);

/* Zeroed memory, charged to the calling process; martlet_kernel_scratch_free gives it back. */
void *martlet_kernel_state_allocate(martlet_u64 size);

/* 0, or -EFAULT. */
int martlet_kernel_copy_in(void *destination, martlet_u64 user, martlet_u64 size);
int martlet_kernel_copy_out(martlet_u64 user, const void *source, martlet_u64 size);

/* A call to EL2 with x0 to x11. */
void martlet_kernel_call(struct martlet_registers *registers);

/* A VM with zeroed Swift state, held by one reference; NULL without memory. */
struct martlet_vm *martlet_kernel_vm_make(martlet_u64 state_size);
/* Counts the VM as its user's until it is gone. 0, or -EMFILE if the user has so many already and no
 * CAP_SYS_RESOURCE. */
int martlet_kernel_vm_admit(struct martlet_vm *vm, martlet_u32 limit);
/* Has changes of the process's memory told from now on. 0 or a negative error number. */
int martlet_kernel_vm_watch(struct martlet_vm *vm);
/* A descriptor that takes over the caller's reference, or a negative error number. */
int martlet_kernel_vm_open(struct martlet_vm *vm);
/* Drops a reference; the last one destroys. */
void martlet_kernel_vm_put(struct martlet_vm *vm);
void *martlet_kernel_vm_state(struct martlet_vm *vm);
/* Nonzero: the calling process made this VM. */
martlet_u32 martlet_kernel_vm_is_mine(struct martlet_vm *vm);
/* The VM's configuration. Nonzero: interrupted by a fatal signal, not locked. */
int martlet_kernel_vm_lock(struct martlet_vm *vm);
void martlet_kernel_vm_unlock(struct martlet_vm *vm);
/* The VM's memory slots and what they map. */
void martlet_kernel_memory_lock(struct martlet_vm *vm);
void martlet_kernel_memory_unlock(struct martlet_vm *vm);
/* The VM's interrupts. */
martlet_u64 martlet_kernel_interrupt_lock(struct martlet_vm *vm);
void martlet_kernel_interrupt_unlock(struct martlet_vm *vm, martlet_u64 flags);
/* The same where the host's interrupts are masked already. */
void martlet_kernel_interrupt_lock_masked(struct martlet_vm *vm);
void martlet_kernel_interrupt_unlock_masked(struct martlet_vm *vm);
/* A descriptor of the VM's GIC with a reference of its own, or a negative error number. */
int martlet_kernel_gic_open(struct martlet_vm *vm);

/* A vCPU with zeroed Swift state, in the VM's table; NULL without memory. It lives as long as the
 * VM. */
struct martlet_vcpu *martlet_kernel_vcpu_make(struct martlet_vm *vm, martlet_u32 index, martlet_u64 state_size);
/* A descriptor with a reference to the VM, or a negative error number. */
int martlet_kernel_vcpu_open(struct martlet_vcpu *vcpu);
/* Takes back a vCPU that nobody has seen. */
void martlet_kernel_vcpu_drop(struct martlet_vcpu *vcpu);
void *martlet_kernel_vcpu_state(struct martlet_vcpu *vcpu);
struct martlet_vm *martlet_kernel_vcpu_vm(struct martlet_vcpu *vcpu);
martlet_u32 martlet_kernel_vcpu_index(struct martlet_vcpu *vcpu);
/* x0 to x11 of the vCPU's runs. */
martlet_u64 *martlet_kernel_vcpu_registers(struct martlet_vcpu *vcpu);
/* The VM's vCPU of this index, or NULL. */
struct martlet_vcpu *martlet_kernel_vcpu(struct martlet_vm *vm, martlet_u32 index);
/* Wakes the vCPUs of the bitmap, and has those that run leave the guest. */
void martlet_kernel_kick(struct martlet_vm *vm, martlet_u64 vcpus);
/* Has the vCPUs of the bitmap leave the guest, and returns when each has and has told what it
 * brings back. What keeps them from entering again is the caller's. Interrupts are on. */
void martlet_kernel_evict(struct martlet_vm *vm, martlet_u64 vcpus);

/* Between these, the calling thread is the one that runs the vCPU. */
void martlet_kernel_run_begin(struct martlet_vcpu *vcpu);
void martlet_kernel_run_end(struct martlet_vcpu *vcpu);
/* Between these, the thread stays on its CPU. */
void martlet_kernel_stay(void);
void martlet_kernel_leave(void);
/* Masks interrupts and says that the vCPU is about to run, from when on a kick interrupts it.
 * Zero: the thread is wanted elsewhere, and interrupts are on. */
martlet_u32 martlet_kernel_guest_enter(struct martlet_vcpu *vcpu);
/* A call to EL2 with the vCPU's registers, with physical interrupts masked but reaching EL2, which
 * runs a guest. */
void martlet_kernel_run(struct martlet_vcpu *vcpu);
/* Nonzero: an interrupt waits to be taken. */
martlet_u32 martlet_kernel_interrupt_waits(void);
/* The end of that: interrupts are taken. */
void martlet_kernel_guest_exit(struct martlet_vcpu *vcpu);
/* Lets other threads run if they should, and says whether the thread must leave the kernel. */
enum martlet_errand martlet_kernel_errand(void);
/* Sleeps until martlet_kvm_is_runnable, a kick that makes it so, or `nanoseconds` have passed
 * (negative: no limit). Nonzero: a signal. */
int martlet_kernel_sleep(struct martlet_vcpu *vcpu, long long nanoseconds);
/* Sets or clears the active state of the virtual timer's interrupt on this CPU. */
void martlet_kernel_timer_active(martlet_u32 is_active);
martlet_u64 martlet_kernel_counter(void);

/* The vCPU's `struct kvm_run`. */
martlet_u32 martlet_kernel_immediate_exit(struct martlet_vcpu *vcpu);
void martlet_kernel_exit_plain(struct martlet_vcpu *vcpu, martlet_u32 reason);
void martlet_kernel_exit_mmio(struct martlet_vcpu *vcpu, const struct martlet_mmio *mmio);
martlet_u64 martlet_kernel_mmio_data(struct martlet_vcpu *vcpu);
void martlet_kernel_exit_system_event(struct martlet_vcpu *vcpu, martlet_u32 type);
void martlet_kernel_exit_entry_failed(struct martlet_vcpu *vcpu, martlet_u64 reason);
void martlet_kernel_exit_internal(struct martlet_vcpu *vcpu, martlet_u64 first, martlet_u64 second, martlet_u64 third);

/* Who pays for pages. */
enum martlet_allocation {
    /* The calling process. */
    MARTLET_CHARGED,
    /* Nobody: for the end of a VM, which the process's limits must not stop. */
    MARTLET_NOT_CHARGED,
};

/* 1 << order contiguous zeroed pages, marked offline: the first frame, or 0. */
martlet_u64 martlet_kernel_pages_allocate(martlet_u32 order, enum martlet_allocation payment);
/* A tenth of a second, in which memory may become free. */
void martlet_kernel_wait(void);
/* Gives back pages that EL2 has returned. */
void martlet_kernel_pages_free(martlet_u64 first, martlet_u64 pages);

/* What a look at the calling process's tables has found. */
struct martlet_touched {
    martlet_u64 address;    /* of the first page that the process has touched, or how far the look came */
    martlet_u32 is_touched; /* nonzero: there is such a page */
};
/* Looks for a page from an address on and before another one, both multiples of the page size, in a bounded
 * time. */
struct martlet_touched martlet_kernel_user_touched(martlet_u64 user, martlet_u64 end);
/* Pins the calling process's page behind a guest frame for as long as the VM exists, charged to the
 * process's limit of locked memory. 0; -EEXIST if the guest frame has one; -ENOMEM over the limit;
 * or another negative error number. */
int martlet_kernel_pin(struct martlet_vm *vm, martlet_u64 guest, martlet_u64 user, martlet_u64 *frame);
/* Undoes a pin. The page is the host's. */
void martlet_kernel_unpin(struct martlet_vm *vm, martlet_u64 guest);
/* Undoes all pins of a VM. */
void martlet_kernel_unpin_all(struct martlet_vm *vm);
/* Private memory of `size` bytes with zeroed Swift state, held by one reference; NULL without
 * memory. */
struct martlet_private *martlet_kernel_private_make(martlet_u64 state_size, martlet_u64 size);
/* A descriptor that takes over the caller's reference, or a negative error number. */
int martlet_kernel_private_open(struct martlet_private *memory);
/* The memory of a descriptor of the calling process, with a reference. 0; -EBADF; or -EINVAL if it
 * is another kind of descriptor. */
int martlet_kernel_private_get(int descriptor, struct martlet_private **memory);
/* Drops a reference; the last one frees. */
void martlet_kernel_private_put(struct martlet_private *memory);
void *martlet_kernel_private_state(struct martlet_private *memory);
/* Whose the pages are, and that they are mapped accordingly. Held around the calls below that need
 * the memory. */
void martlet_kernel_private_lock(struct martlet_private *memory);
void martlet_kernel_private_unlock(struct martlet_private *memory);
/* 1 << order zeroed pages, charged to the calling process: the first frame, or 0. */
martlet_u64 martlet_kernel_private_take(martlet_u32 order);
void martlet_kernel_private_give(martlet_u64 first, martlet_u64 pages);
/* Takes the pages from `index` on out of all mappings, and marks their frames as offline. */
void martlet_kernel_private_hide(struct martlet_private *memory, martlet_u64 index, martlet_u64 first,
                                 martlet_u64 pages);
/* The frames are no longer offline. */
void martlet_kernel_private_reveal(martlet_u64 first, martlet_u64 pages);

/* The page at a user address of the calling process, faulted in; writable if it can be had so
 * without a fault or must. 0 or a negative error number. */
int martlet_kernel_user_page_get(martlet_u64 address, martlet_u32 must_write, struct martlet_user_page *page);
/* Drops our reference; a page that was mapped writable counts as written. */
void martlet_kernel_user_page_put(const struct martlet_user_page *page, martlet_u32 is_dirty);
/* Cleans and invalidates pages to the point of coherency. */
void martlet_kernel_pages_clean(martlet_u64 first, martlet_u64 pages);
/* Makes instruction fetches see the pages' contents. */
void martlet_kernel_pages_sync_fetch(martlet_u64 first, martlet_u64 pages);
/* A chance for others in a long loop. */
void martlet_kernel_pause(void);

/* -- Swift, for the kernel (Sources/HostModule) -- */

/* ioctls: what ioctl(2) returns. */
long long martlet_kvm_system(martlet_u32 request, martlet_u64 argument);
long long martlet_kvm_vm(struct martlet_vm *vm, martlet_u32 request, martlet_u64 argument);
long long martlet_kvm_vcpu(struct martlet_vcpu *vcpu, martlet_u32 request, martlet_u64 argument);
long long martlet_kvm_gic(struct martlet_vm *vm, martlet_u32 request, martlet_u64 argument);
/* The process's memory of [start, end) changes between these two. */
void martlet_kvm_invalidate_begin(struct martlet_vm *vm, martlet_u64 start, martlet_u64 end, martlet_u32 may_sleep);
void martlet_kvm_invalidate_end(struct martlet_vm *vm, martlet_u64 start, martlet_u64 end);
/* The process's memory is gone. */
void martlet_kvm_release(struct martlet_vm *vm);
/* Nothing refers to the VM any more: EL2 must give back all that it has of it. */
void martlet_kvm_destroy(struct martlet_vm *vm);
/* Nonzero: a process may map the private memory. */
martlet_u32 martlet_kvm_private_can_map(struct martlet_private *memory);
/* The frame of a page that a process touches, or a negative error number. Called locked. */
long long martlet_kvm_private_fault(struct martlet_private *memory, martlet_u64 index);
/* The first frame of the block that begins with a page, or 0 if there is none or not all of it is the host's. */
martlet_u64 martlet_kvm_private_fault_block(struct martlet_private *memory, martlet_u64 index);
/* Nothing refers to the private memory any more. */
void martlet_kvm_private_release(struct martlet_private *memory);
/* Nonzero: a sleeping vCPU has something to do. */
martlet_u32 martlet_kvm_is_runnable(struct martlet_vcpu *vcpu);
/* The virtual timer's interrupt has reached the host. */
void martlet_kvm_timer_fired(void);

/* -- Elements of C arrays, which Swift would import as tuples -- */

static inline martlet_u64 martlet_register(const struct martlet_registers *registers, martlet_u32 index)
{
    return registers->x[index];
}

static inline void martlet_set_register(struct martlet_registers *registers, martlet_u32 index, martlet_u64 value)
{
    registers->x[index] = value;
}

#endif /* MARTLET_HOST_KVM_H */
