// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A small machine on /dev/kvm for tests: memory at 1 GiB, a GICv3, guests of a few instructions.

#ifndef MACHINE_H
#define MACHINE_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

enum { PAGE = 4096 };
// Where the guest's memory begins; below it lies nothing but the GIC.
static const uint64_t BASE = 0x40000000, DISTRIBUTOR = 0x08000000, REDISTRIBUTORS = 0x080A0000;
static const uint64_t DEVICE = 0x09000000;

// The bit of a VM's type that asks for a protected one.
static const unsigned long PROTECTED = 1ul << 31;

struct machine;

// Where a guest's memory comes from. `attach` makes machine->size bytes of it the guest's, and the
// process's mapping of it machine->memory.
struct backing {
    const char *name;
    void (*attach)(struct machine *machine);
    // Whether pages leave the process's mapping when they become a protected guest's, or stay there.
    enum { STAYS_MAPPED, IS_ZAPPED } fate;
};
extern const struct backing anonymous, descriptor_memory;
// What a protected guest's memory may be; NULL is the last one's end.
extern const struct backing *const private_backings[];

// What distinguishes machines.
struct plan {
    unsigned long type;
    const struct backing *backing;
    enum { WITH_GIC, WITHOUT_GIC } gic;
};

struct machine {
    struct plan plan;
    int kvm, vm, gic;
    // The descriptor of the memory, if it has one.
    int file;
    int vcpu[8];
    struct kvm_run *run[8];
    size_t run_size;
    unsigned vcpus;
    uint8_t *memory;
    size_t size;
};

// Ends the program with what went wrong.
void die(const char *what);
// Requests and structures that are younger than some systems' headers.
#ifndef KVM_CREATE_GUEST_MEMFD
#define KVM_CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)
#define KVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#define KVM_MEM_GUEST_MEMFD (1u << 2)
struct kvm_create_guest_memfd {
    uint64_t size, flags, reserved[6];
};
struct kvm_userspace_memory_region2 {
    uint32_t slot, flags;
    uint64_t guest_phys_addr, memory_size, userspace_addr, guest_memfd_offset;
    uint32_t guest_memfd, pad1;
    uint64_t pad2[14];
};
#endif
#ifndef GUEST_MEMFD_FLAG_MMAP
#define GUEST_MEMFD_FLAG_MMAP (1ul << 0)
#define GUEST_MEMFD_FLAG_INIT_SHARED (1ul << 1)
#endif

// The result of an ioctl, or a negative error number.
int call(int descriptor, unsigned long request, void *argument);
int call_number(int descriptor, unsigned long request, unsigned long argument);

// A VM with so much memory and so many vCPUs; those but the first wait for CPU_ON.
void make_machine(struct machine *machine, size_t size, unsigned vcpus);
// The same of a plan.
void make_machine_as(struct machine *machine, struct plan plan, size_t size, unsigned vcpus);
// The same without a GIC, and with vCPUs that are not initialised.
void make_bare_machine(struct machine *machine, struct plan plan, size_t size, unsigned vcpus);
void give_gic(struct machine *machine);
void end_machine(struct machine *machine);
// Puts code at the start of memory and lets vCPU 0 begin there.
void load(struct machine *machine, const uint32_t *code, size_t bytes);
void set_register(struct machine *machine, unsigned vcpu, uint64_t identifier, uint64_t value);
uint64_t get_register(struct machine *machine, unsigned vcpu, uint64_t identifier);
// KVM_RUN: 0, or a negative error number.
int run(struct machine *machine, unsigned vcpu);

// Identifiers of x0 to x30 and PC.
#define X(n) (0x6030000000100000ul + 2 * (n))
#define PC 0x6030000000100040ul
#define PSTATE 0x6030000000100042ul

// Checks of a group: prints what is wrong, and counts.
extern unsigned failures;
void expect(const char *what, long got, long wanted);

#endif
