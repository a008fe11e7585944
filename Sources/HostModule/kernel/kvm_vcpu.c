// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The vCPU as an object of the kernel: its descriptor, its shared page, its thread's sleep. */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "kvm.h"

static enum hrtimer_restart on_timer(struct hrtimer *timer)
{
	wake_up(&container_of(timer, struct martlet_vcpu, timer)->queue);
	return HRTIMER_NORESTART;
}

struct martlet_vcpu *martlet_kernel_vcpu_make(struct martlet_vm *vm, u32 index, u64 state_size)
{
	struct martlet_vcpu *vcpu;

	if (index >= MARTLET_MAX_VCPUS)
		return NULL;
	vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);
	if (!vcpu)
		return NULL;
	vcpu->state = kvzalloc(state_size, GFP_KERNEL_ACCOUNT);
	vcpu->run = (struct kvm_run *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vcpu->vm = vm;
	vcpu->index = index;
	mutex_init(&vcpu->mutex);
	init_waitqueue_head(&vcpu->queue);
	hrtimer_init(&vcpu->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	vcpu->timer.function = on_timer;
	if (!vcpu->state || !vcpu->run) {
		martlet_vcpu_free(vcpu);
		return NULL;
	}
	smp_store_release(&vm->vcpus[index], vcpu);
	return vcpu;
}

void martlet_vcpu_free(struct martlet_vcpu *vcpu)
{
	free_page((unsigned long)vcpu->run);
	kvfree(vcpu->state);
	kfree(vcpu);
}

void martlet_kernel_vcpu_drop(struct martlet_vcpu *vcpu)
{
	/* A kick may be looking at it under RCU. */
	smp_store_release(&vcpu->vm->vcpus[vcpu->index], NULL);
	synchronize_rcu();
	martlet_vcpu_free(vcpu);
}

static int release_vcpu(struct inode *inode, struct file *file)
{
	struct martlet_vcpu *vcpu = file->private_data;

	martlet_kernel_vm_put(vcpu->vm);
	return 0;
}

static long vcpu_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	struct martlet_vcpu *vcpu = file->private_data;
	long result;

	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	result = martlet_kvm_vcpu(vcpu, request, argument);
	mutex_unlock(&vcpu->mutex);
	return result;
}

static vm_fault_t fault_run(struct vm_fault *fault)
{
	struct martlet_vcpu *vcpu = fault->vma->vm_file->private_data;

	if (fault->pgoff)
		return VM_FAULT_SIGBUS;
	return vmf_insert_pfn(fault->vma, fault->address, page_to_pfn(virt_to_page(vcpu->run)));
}

static const struct vm_operations_struct run_operations = {
	.fault = fault_run,
};

/* By its frame, so that nobody can pin the page: a guest's memory must not be the kernel's too. */
static int map_run(struct file *file, struct vm_area_struct *area)
{
	const vm_flags_t shared = VM_SHARED | VM_MAYSHARE;

	if ((area->vm_flags & shared) != shared)
		return -EINVAL;
	vm_flags_set(area, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	area->vm_ops = &run_operations;
	return 0;
}

const struct file_operations martlet_vcpu_operations = {
	.owner = THIS_MODULE,
	.release = release_vcpu,
	.unlocked_ioctl = vcpu_ioctl,
	.compat_ioctl = martlet_no_compat,
	.mmap = map_run,
	.llseek = noop_llseek,
};

int martlet_kernel_vcpu_open(struct martlet_vcpu *vcpu)
{
	char name[24];
	int descriptor;

	snprintf(name, sizeof(name), "kvm-vcpu:%u", vcpu->index);
	kref_get(&vcpu->vm->references);
	descriptor = anon_inode_getfd(name, &martlet_vcpu_operations, vcpu, O_RDWR | O_CLOEXEC);
	if (descriptor < 0)
		martlet_kernel_vm_put(vcpu->vm);
	return descriptor;
}

void *martlet_kernel_vcpu_state(struct martlet_vcpu *vcpu)
{
	return vcpu->state;
}

u64 *martlet_kernel_vcpu_registers(struct martlet_vcpu *vcpu)
{
	return vcpu->registers.x;
}

struct martlet_vm *martlet_kernel_vcpu_vm(struct martlet_vcpu *vcpu)
{
	return vcpu->vm;
}

u32 martlet_kernel_vcpu_index(struct martlet_vcpu *vcpu)
{
	return vcpu->index;
}

struct martlet_vcpu *martlet_kernel_vcpu(struct martlet_vm *vm, u32 index)
{
	return index < MARTLET_MAX_VCPUS ? smp_load_acquire(&vm->vcpus[index]) : NULL;
}

void martlet_kernel_run_begin(struct martlet_vcpu *vcpu)
{
	WRITE_ONCE(vcpu->thread, current);
}

void martlet_kernel_run_end(struct martlet_vcpu *vcpu)
{
	WRITE_ONCE(vcpu->thread, NULL);
}

/*
 * A vCPU whose thread has not said yet that it is inside will look at its interrupts after it
 * has, and one that has said so is interrupted by the reschedule interrupt that kick_process
 * sends. The barrier pairs with the one in martlet_kernel_guest_enter.
 */
void martlet_kernel_kick(struct martlet_vm *vm, u64 vcpus)
{
	u32 i;

	smp_mb();
	rcu_read_lock();
	for (i = 0; i < MARTLET_MAX_VCPUS; i++) {
		struct martlet_vcpu *vcpu = vcpus & BIT_ULL(i) ? smp_load_acquire(&vm->vcpus[i]) : NULL;
		struct task_struct *thread;

		if (!vcpu)
			continue;
		wake_up(&vcpu->queue);
		thread = READ_ONCE(vcpu->thread);
		if (thread && READ_ONCE(vcpu->is_inside))
			kick_process(thread);
	}
	rcu_read_unlock();
}

static void come_here(void *unused)
{
}

/*
 * A vCPU leaves the guest with interrupts masked, and takes this one when it has told what it
 * brings back. Whatever keeps it from going in again was done before; see martlet_kernel_kick.
 */
void martlet_kernel_evict(struct martlet_vm *vm, u64 vcpus)
{
	u32 i;

	smp_mb();
	for (i = 0; i < MARTLET_MAX_VCPUS; i++) {
		struct martlet_vcpu *vcpu;
		struct task_struct *thread;

		if (!(vcpus & BIT_ULL(i)))
			continue;
		rcu_read_lock();
		vcpu = smp_load_acquire(&vm->vcpus[i]);
		thread = vcpu ? READ_ONCE(vcpu->thread) : NULL;
		if (thread && READ_ONCE(vcpu->is_inside))
			smp_call_function_single(task_cpu(thread), come_here, NULL, 1);
		rcu_read_unlock();
	}
}

void martlet_kernel_stay(void)
{
	preempt_disable();
}

void martlet_kernel_leave(void)
{
	preempt_enable();
}

static bool is_wanted(void)
{
	return need_resched() || signal_pending(current) || test_thread_flag(TIF_NOTIFY_RESUME);
}

u32 martlet_kernel_guest_enter(struct martlet_vcpu *vcpu)
{
	local_irq_disable();
	WRITE_ONCE(vcpu->is_inside, 1);
	/* Before the look at what may have come up; see martlet_kernel_kick. */
	smp_mb();
	if (!is_wanted())
		return 1;
	WRITE_ONCE(vcpu->is_inside, 0);
	local_irq_enable();
	return 0;
}

void martlet_kernel_guest_exit(struct martlet_vcpu *vcpu)
{
	WRITE_ONCE(vcpu->is_inside, 0);
	local_irq_enable();
}

/*
 * Linux's KVM does the work that is due on the way to user space right here; a module cannot,
 * for the functions are not exported. The thread goes there instead and comes back: work that
 * counts as a signal is what makes the kernel look at the restart of a system call.
 */
enum martlet_errand martlet_kernel_errand(void)
{
	cond_resched();
	if (signal_pending(current))
		return MARTLET_SIGNAL;
	if (!test_thread_flag(TIF_NOTIFY_RESUME))
		return MARTLET_NO_ERRAND;
	set_thread_flag(TIF_NOTIFY_SIGNAL);
	return MARTLET_RESTART;
}

int martlet_kernel_sleep(struct martlet_vcpu *vcpu, long long nanoseconds)
{
	int result;

	if (nanoseconds >= 0)
		hrtimer_start(&vcpu->timer, ns_to_ktime(nanoseconds), HRTIMER_MODE_REL);
	result = wait_event_interruptible(vcpu->queue, martlet_kvm_is_runnable(vcpu));
	hrtimer_cancel(&vcpu->timer);
	return result;
}
