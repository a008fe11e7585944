// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Calls to EL2 for guests, and `struct kvm_run`, which tells a process what its guest wants. */
#include <linux/smp.h>
#include <linux/string.h>
#include <asm/daifflags.h>

#include "kvm.h"

void martlet_kernel_call(struct martlet_registers *registers)
{
	u64 *x = registers->x;
	register u64 x0 asm("x0") = x[0];
	register u64 x1 asm("x1") = x[1];
	register u64 x2 asm("x2") = x[2];
	register u64 x3 asm("x3") = x[3];
	register u64 x4 asm("x4") = x[4];
	register u64 x5 asm("x5") = x[5];
	register u64 x6 asm("x6") = x[6];
	register u64 x7 asm("x7") = x[7];
	register u64 x8 asm("x8") = x[8];
	register u64 x9 asm("x9") = x[9];
	register u64 x10 asm("x10") = x[10];
	register u64 x11 asm("x11") = x[11];

	asm volatile("hvc #0"
		     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x6), "+r"(x7),
		       "+r"(x8), "+r"(x9), "+r"(x10), "+r"(x11)
		     :
		     : "x12", "x13", "x14", "x15", "x16", "x17", "memory", "cc");
	x[0] = x0;
	x[1] = x1;
	x[2] = x2;
	x[3] = x3;
	x[4] = x4;
	x[5] = x5;
	x[6] = x6;
	x[7] = x7;
	x[8] = x8;
	x[9] = x9;
	x[10] = x10;
	x[11] = x11;
}

/*
 * Where the kernel masks interrupts by priority, the priority mask must let them reach EL2,
 * which is what masking everything does; PSTATE keeps them from the host meanwhile.
 */
void martlet_kernel_run(struct martlet_vcpu *vcpu)
{
	unsigned long flags = local_daif_save();

	if (system_uses_irq_prio_masking())
		pmr_sync();
	martlet_kernel_call(&vcpu->registers);
	local_daif_restore(flags);
}

u32 martlet_kernel_interrupt_waits(void)
{
	return !!read_sysreg(isr_el1);
}

/* The second byte, whose name inside the kernel changes from version to version. */
u32 martlet_kernel_immediate_exit(struct martlet_vcpu *vcpu)
{
	return READ_ONCE(((const u8 *)vcpu->run)[1]);
}

static void set_reason(struct martlet_vcpu *vcpu, u32 reason)
{
	WRITE_ONCE(vcpu->run->exit_reason, reason);
	WRITE_ONCE(vcpu->run->flags, 0);
}

void martlet_kernel_exit_plain(struct martlet_vcpu *vcpu, u32 reason)
{
	set_reason(vcpu, reason);
}

void martlet_kernel_exit_mmio(struct martlet_vcpu *vcpu, const struct martlet_mmio *mmio)
{
	struct kvm_run *run = vcpu->run;

	run->mmio.phys_addr = mmio->address;
	memcpy(run->mmio.data, &mmio->data, sizeof(run->mmio.data));
	run->mmio.len = mmio->length;
	run->mmio.is_write = !!mmio->is_write;
	set_reason(vcpu, KVM_EXIT_MMIO);
}

u64 martlet_kernel_mmio_data(struct martlet_vcpu *vcpu)
{
	u64 data;

	memcpy(&data, vcpu->run->mmio.data, sizeof(data));
	return data;
}

void martlet_kernel_exit_system_event(struct martlet_vcpu *vcpu, u32 type)
{
	memset(&vcpu->run->system_event, 0, sizeof(vcpu->run->system_event));
	vcpu->run->system_event.type = type;
	set_reason(vcpu, KVM_EXIT_SYSTEM_EVENT);
}

void martlet_kernel_exit_entry_failed(struct martlet_vcpu *vcpu, u64 reason)
{
	vcpu->run->fail_entry.hardware_entry_failure_reason = reason;
	vcpu->run->fail_entry.cpu = raw_smp_processor_id();
	set_reason(vcpu, KVM_EXIT_FAIL_ENTRY);
}

void martlet_kernel_exit_internal(struct martlet_vcpu *vcpu, u64 first, u64 second, u64 third)
{
	struct kvm_run *run = vcpu->run;

	run->internal.suberror = KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON;
	run->internal.ndata = 3;
	run->internal.data[0] = first;
	run->internal.data[1] = second;
	run->internal.data[2] = third;
	set_reason(vcpu, KVM_EXIT_INTERNAL_ERROR);
}
