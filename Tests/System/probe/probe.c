// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A module that does what a hostile one would: it touches physical memory through the kernel's
// linear map, and calls the stub that a stock kernel leaves at EL2. Each attempt is a write to
// a file in /sys/kernel/debug/probe, answered in the write's result:
//
//   read ADDRESS    0 if the word could be read, -EFAULT if the access was refused
//   write ADDRESS   the same for writing (the word is inverted)
//   find ADDRESS    0 if the hypervisor owns a page at or after the address, -ENOENT if none
//   stub NUMBER     0 if the stub answered 0, -EPERM if the call was refused (the stub's error,
//                   or SMCCC's NOT_SUPPORTED), -EIO for any other answer
//
// `value` then reads as what was read, the page's address, or what the stub answered.

#include <linux/debugfs.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#define STUB_ERROR 0xbadca11ul
#define NOT_SUPPORTED (~0ul)
// HostCall.pageReport and PageReport.hypervisor of the hypervisor's interface.
#define PAGE_REPORT 0xc6004014ul
#define PAGE_OF_HYPERVISOR 2ul
// The smallest piece of memory that the hypervisor takes is larger.
#define STEP 0x10000ul

static struct dentry *folder;
static u64 value;

static int probe_read(void *data, u64 address)
{
	return copy_from_kernel_nofault(&value, phys_to_virt(address), sizeof(value)) ? -EFAULT : 0;
}

// The function that writes with a fixup is not exported; the macro below it is for everyone.
static int store(u64 *target, u64 word)
{
	__put_kernel_nofault(target, &word, u64, refused);
	return 0;
refused:
	return -EFAULT;
}

static int probe_write(void *data, u64 address)
{
	int error = probe_read(data, address);

	return error ? error : store(phys_to_virt(address), ~value);
}

static u64 call_el2(u64 number, u64 *argument)
{
	register u64 x0 asm("x0") = number;
	register u64 x1 asm("x1") = *argument;

	asm volatile("hvc #0"
		     : "+r"(x0), "+r"(x1)
		     :
		     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
		       "x14", "x15", "x16", "x17", "memory");
	*argument = x1;
	return x0;
}

static int probe_find(void *data, u64 address)
{
	u64 end = virt_to_phys(high_memory - 1);

	for (; address <= end; address += STEP) {
		u64 word = address >> PAGE_SHIFT;

		if (call_el2(PAGE_REPORT, &word) == 0 && word == PAGE_OF_HYPERVISOR) {
			value = address;
			return 0;
		}
		cond_resched();
	}
	return -ENOENT;
}

// Not for number 1, SOFT_RESTART, which leaves this code for good even where it is not allowed
// to leave it for EL2. Without Martlet only number 2, which does nothing, may be tried.
static int probe_stub(void *data, u64 number)
{
	u64 argument = 0;

	value = call_el2(number, &argument);
	if (value == 0)
		return 0;
	return value == STUB_ERROR || value == NOT_SUPPORTED ? -EPERM : -EIO;
}

static int probe_value(void *data, u64 *result)
{
	*result = value;
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(read_ops, NULL, probe_read, "%llu\n");
DEFINE_DEBUGFS_ATTRIBUTE(write_ops, NULL, probe_write, "%llu\n");
DEFINE_DEBUGFS_ATTRIBUTE(find_ops, NULL, probe_find, "%llu\n");
DEFINE_DEBUGFS_ATTRIBUTE(stub_ops, NULL, probe_stub, "%llu\n");
DEFINE_DEBUGFS_ATTRIBUTE(value_ops, probe_value, NULL, "%#llx\n");

static int __init probe_start(void)
{
	folder = debugfs_create_dir("probe", NULL);
	debugfs_create_file_unsafe("read", 0200, folder, NULL, &read_ops);
	debugfs_create_file_unsafe("write", 0200, folder, NULL, &write_ops);
	debugfs_create_file_unsafe("find", 0200, folder, NULL, &find_ops);
	debugfs_create_file_unsafe("stub", 0200, folder, NULL, &stub_ops);
	debugfs_create_file_unsafe("value", 0400, folder, NULL, &value_ops);
	return 0;
}

static void __exit probe_stop(void)
{
	debugfs_remove(folder);
}

module_init(probe_start);
module_exit(probe_stop);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Attempts that a confined kernel must not succeed with");
