/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The objects behind /dev/kvm, which only the C binding looks into. */
#ifndef MARTLET_KVM_H
#define MARTLET_KVM_H

#include <linux/xarray.h>
#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/kvm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "binding.h"
#include "martlet_host_kvm.h"

#define MARTLET_MAX_VCPUS 64

struct martlet_vm {
	struct kref references;
	struct mm_struct *mm; /* held by the notifier's registration */
	struct mmu_notifier notifier;
	bool is_watched;
	/* Whose it is, for the limit of each user; among all others while it counts. */
	kuid_t user;
	struct list_head peers;
	/* Order: configuration, a vCPU's mutex, memory, interrupts. */
	struct mutex configuration;
	spinlock_t memory;
	raw_spinlock_t interrupts;
	/* Pages that a protected guest owns, by guest frame. */
	struct xarray pinned;
	/* Written once each, under the configuration mutex; read with acquire. */
	struct martlet_vcpu *vcpus[MARTLET_MAX_VCPUS];
	void *state;
};

struct martlet_vcpu {
	struct martlet_vm *vm;
	u32 index;
	struct mutex mutex; /* one ioctl at a time */
	struct kvm_run *run;
	/* The thread inside KVM_RUN; read under RCU, which outlives a thread. */
	struct task_struct *thread;
	/* Nonzero from before the last look at the interrupts until the guest has left. */
	int is_inside;
	wait_queue_head_t queue;
	struct hrtimer timer;
	struct martlet_registers registers;
	void *state;
};

extern const struct file_operations martlet_vm_operations;
extern const struct file_operations martlet_vcpu_operations;
extern const struct file_operations martlet_gic_operations;

u32 martlet_timer_intid(void);
void martlet_vcpu_free(struct martlet_vcpu *vcpu);

/* What the calling process's tables have for an address. */
struct martlet_entry {
	enum { MARTLET_ABSENT, MARTLET_BLOCK, MARTLET_MOVING_BLOCK, MARTLET_PAGES } kind;
	pmd_t table;	/* of MARTLET_PAGES: whose entries may be anything */
	u64 end;	/* of what is likewise absent, or in the same table; at most `end` of the call */
};

/* With interrupts off. */
struct martlet_entry martlet_entry_of(u64 address, u64 end);

/* KVM serves no 32-bit processes on arm64 either. */
static inline long martlet_no_compat(struct file *file, unsigned int request, unsigned long argument)
{
	return -EINVAL;
}

#endif /* MARTLET_KVM_H */
