// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The VM as an object of the kernel: references, descriptors, locks, the process's memory. */
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/moduleparam.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include "kvm.h"

struct martlet_vm *martlet_kernel_vm_make(u64 state_size)
{
	struct martlet_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);

	if (!vm)
		return NULL;
	vm->state = kvzalloc(state_size, GFP_KERNEL_ACCOUNT);
	if (!vm->state) {
		kfree(vm);
		return NULL;
	}
	kref_init(&vm->references);
	mutex_init(&vm->configuration);
	spin_lock_init(&vm->memory);
	raw_spin_lock_init(&vm->interrupts);
	xa_init(&vm->pinned);
	INIT_LIST_HEAD(&vm->peers);
	/* The address is only compared with, and kept from being used again. */
	mmgrab(current->mm);
	vm->mm = current->mm;
	return vm;
}

static LIST_HEAD(vms);
static DEFINE_SPINLOCK(vms_lock);

/* Who answers for the calling process: whoever made the outermost of its user namespaces, or else its user. */
static kuid_t responsible(void)
{
	struct user_namespace *space;
	kuid_t user = current_uid();

	for (space = current_user_ns(); space->parent; space = space->parent)
		user = space->owner;
	return user;
}

int martlet_kernel_vm_admit(struct martlet_vm *vm, u32 limit)
{
	bool is_free = capable(CAP_SYS_RESOURCE);
	struct martlet_vm *other;
	u32 count = 0;
	int error = 0;

	vm->user = responsible();
	spin_lock(&vms_lock);
	list_for_each_entry(other, &vms, peers)
		count += uid_eq(other->user, vm->user);
	if (count < limit || is_free)
		list_add(&vm->peers, &vms);
	else
		error = -EMFILE;
	spin_unlock(&vms_lock);
	return error;
}

/* Defences that attacks do without, by their bits: of an image that is built for it, and of no other. */
#ifdef MARTLET_FAULT_SWITCHES
static ulong martlet_fault_switches;
module_param_named(without, martlet_fault_switches, ulong, 0600);
MODULE_PARM_DESC(without, "defences that are taken away");
#define is_without(bit) (READ_ONCE(martlet_fault_switches) & BIT(bit))
#else
#define is_without(bit) false
#endif
/* Defence.unmappedPagesLeaveGuests. */
#define UNMAPPED_PAGES_LEAVE_GUESTS 48

static struct martlet_vm *watched(struct mmu_notifier *notifier)
{
	return container_of(notifier, struct martlet_vm, notifier);
}

static int on_begin(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	if (is_without(UNMAPPED_PAGES_LEAVE_GUESTS))
		return 0;
	martlet_kvm_invalidate_begin(watched(notifier), range->start, range->end,
				     mmu_notifier_range_blockable(range));
	return 0;
}

static void on_end(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	if (is_without(UNMAPPED_PAGES_LEAVE_GUESTS))
		return;
	martlet_kvm_invalidate_end(watched(notifier), range->start, range->end);
}

static void on_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	martlet_kvm_release(watched(notifier));
}

static const struct mmu_notifier_ops notifier_operations = {
	.invalidate_range_start = on_begin,
	.invalidate_range_end = on_end,
	.release = on_release,
};

int martlet_kernel_vm_watch(struct martlet_vm *vm)
{
	int error;

	vm->notifier.ops = &notifier_operations;
	error = mmu_notifier_register(&vm->notifier, vm->mm);
	vm->is_watched = !error;
	return error;
}

static void destroy(struct kref *references)
{
	struct martlet_vm *vm = container_of(references, struct martlet_vm, references);
	u32 i;

	if (vm->is_watched)
		mmu_notifier_unregister(&vm->notifier, vm->mm);
	martlet_kvm_destroy(vm);
	for (i = 0; i < MARTLET_MAX_VCPUS; i++)
		if (vm->vcpus[i])
			martlet_vcpu_free(vm->vcpus[i]);
	/* What EL2 did not give back stays pinned for ever, and so stays out of use. */
	xa_destroy(&vm->pinned);
	spin_lock(&vms_lock);
	list_del(&vm->peers);
	spin_unlock(&vms_lock);
	mmdrop(vm->mm);
	kvfree(vm->state);
	kfree(vm);
}

void martlet_kernel_vm_put(struct martlet_vm *vm)
{
	kref_put(&vm->references, destroy);
}

static int release_file(struct inode *inode, struct file *file)
{
	martlet_kernel_vm_put(file->private_data);
	return 0;
}

static long vm_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	return martlet_kvm_vm(file->private_data, request, argument);
}

const struct file_operations martlet_vm_operations = {
	.owner = THIS_MODULE,
	.release = release_file,
	.unlocked_ioctl = vm_ioctl,
	.compat_ioctl = martlet_no_compat,
	.llseek = noop_llseek,
};

static long gic_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	return martlet_kvm_gic(file->private_data, request, argument);
}

const struct file_operations martlet_gic_operations = {
	.owner = THIS_MODULE,
	.release = release_file,
	.unlocked_ioctl = gic_ioctl,
	.compat_ioctl = martlet_no_compat,
	.llseek = noop_llseek,
};

int martlet_kernel_vm_open(struct martlet_vm *vm)
{
	return anon_inode_getfd("kvm-vm", &martlet_vm_operations, vm, O_RDWR | O_CLOEXEC);
}

int martlet_kernel_gic_open(struct martlet_vm *vm)
{
	int descriptor;

	kref_get(&vm->references);
	descriptor = anon_inode_getfd("kvm-arm-vgic-v3", &martlet_gic_operations, vm, O_RDWR | O_CLOEXEC);
	if (descriptor < 0)
		martlet_kernel_vm_put(vm);
	return descriptor;
}

void *martlet_kernel_vm_state(struct martlet_vm *vm)
{
	return vm->state;
}

u32 martlet_kernel_vm_is_mine(struct martlet_vm *vm)
{
	return vm->mm == current->mm;
}

int martlet_kernel_vm_lock(struct martlet_vm *vm)
{
	return mutex_lock_killable(&vm->configuration);
}

void martlet_kernel_vm_unlock(struct martlet_vm *vm)
{
	mutex_unlock(&vm->configuration);
}

void martlet_kernel_memory_lock(struct martlet_vm *vm)
{
	spin_lock(&vm->memory);
}

void martlet_kernel_memory_unlock(struct martlet_vm *vm)
{
	spin_unlock(&vm->memory);
}

u64 martlet_kernel_interrupt_lock(struct martlet_vm *vm)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&vm->interrupts, flags);
	return flags;
}

void martlet_kernel_interrupt_lock_masked(struct martlet_vm *vm)
{
	raw_spin_lock(&vm->interrupts);
}

void martlet_kernel_interrupt_unlock_masked(struct martlet_vm *vm)
{
	raw_spin_unlock(&vm->interrupts);
}

void martlet_kernel_interrupt_unlock(struct martlet_vm *vm, u64 saved)
{
	unsigned long flags = saved;

	raw_spin_unlock_irqrestore(&vm->interrupts, flags);
}
