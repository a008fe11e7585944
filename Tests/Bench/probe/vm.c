// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A small VM on /dev/kvm, of any kernel that serves it.

#define _GNU_SOURCE
#include "probe.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PROTECTED_TYPE (1ul << 31)
#define DISTRIBUTOR 0x08000000ul
#define REDISTRIBUTORS 0x080A0000ul

// The C library's headers may be older than private memory.
struct private_memory {
    uint64_t size, flags, reserved[6];
};
struct private_region {
    struct kvm_userspace_memory_region region;
    uint64_t offset;
    uint32_t descriptor, padding;
    uint64_t reserved[14];
};

static char *map(size_t size)
{
    // Superpages need their alignment.
    char *memory = mmap(NULL, size + SUPERPAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    char *aligned = (char *)(((uintptr_t)memory + SUPERPAGE - 1) & ~(SUPERPAGE - 1));
    if (aligned > memory)
        munmap(memory, aligned - memory);
    if (memory + SUPERPAGE > aligned)
        munmap(aligned + size, memory + SUPERPAGE - aligned);
    return aligned;
}

void make_memory(struct vm *vm)
{
    vm->code = map(CODE_SIZE);
    vm->pages = map(PAGES_SIZE);
    vm->superpages = map(SUPERPAGES_SIZE);
    vm->private_memory = -1;
    madvise(vm->code, CODE_SIZE, MADV_NOHUGEPAGE);
    madvise(vm->pages, PAGES_SIZE, MADV_NOHUGEPAGE);
    madvise(vm->superpages, SUPERPAGES_SIZE, MADV_HUGEPAGE);
    memcpy(vm->code, guest_start, guest_end - guest_start);
}

void drop_memory(struct vm *vm)
{
    munmap(vm->code, CODE_SIZE);
    munmap(vm->pages, PAGES_SIZE);
    munmap(vm->superpages, SUPERPAGES_SIZE);
    if (vm->private_memory >= 0)
        close(vm->private_memory);
}

static void add_slot(struct vm *vm, uint32_t slot, uint64_t address, size_t size, void *memory)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot, .guest_phys_addr = address, .memory_size = size, .userspace_addr = (uintptr_t)memory,
    };
    if (ioctl(vm->vm, KVM_SET_USER_MEMORY_REGION, &region))
        die("KVM_SET_USER_MEMORY_REGION");
}

static void add_superpages(struct vm *vm)
{
    struct private_memory memory = { .size = SUPERPAGES_SIZE, .flags = 3 };
    if (vm->kind != PROTECTED) {
        add_slot(vm, 2, SUPERPAGES, SUPERPAGES_SIZE, vm->superpages);
        return;
    }
    vm->private_memory = ioctl(vm->vm, _IOWR(KVMIO, 0xd4, struct private_memory), &memory);
    if (vm->private_memory < 0)
        die("KVM_CREATE_GUEST_MEMFD");
    if (mmap(vm->superpages, SUPERPAGES_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, vm->private_memory,
             0) == MAP_FAILED)
        die("mmap of private memory");
    struct private_region region = {
        .region = { .slot = 2, .flags = 1 << 2, .guest_phys_addr = SUPERPAGES, .memory_size = SUPERPAGES_SIZE,
                    .userspace_addr = (uintptr_t)vm->superpages },
        .descriptor = vm->private_memory,
    };
    if (ioctl(vm->vm, _IOW(KVMIO, 0x49, struct private_region), &region))
        die("KVM_SET_USER_MEMORY_REGION2");
}

static void set_attribute(int device, uint32_t group, uint64_t number, void *value)
{
    struct kvm_device_attr attribute = { .group = group, .attr = number, .addr = (uintptr_t)value };
    if (ioctl(device, KVM_SET_DEVICE_ATTR, &attribute))
        die("KVM_SET_DEVICE_ATTR");
}

static void set_register(struct vm *vm, unsigned vcpu, size_t offset, uint64_t value)
{
    struct kvm_one_reg reg = {
        KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | offset / 4, (uintptr_t)&value,
    };
    if (ioctl(vm->vcpu[vcpu], KVM_SET_ONE_REG, &reg))
        die("KVM_SET_ONE_REG");
}

static void make_vcpu(struct vm *vm, unsigned index)
{
    struct kvm_vcpu_init init;
    vm->vcpu[index] = ioctl(vm->vm, KVM_CREATE_VCPU, index);
    if (vm->vcpu[index] < 0)
        die("KVM_CREATE_VCPU");
    vm->run[index] = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu[index], 0);
    if (vm->run[index] == MAP_FAILED)
        die("mmap of a vCPU");
    if (ioctl(vm->vm, KVM_ARM_PREFERRED_TARGET, &init))
        die("KVM_ARM_PREFERRED_TARGET");
    init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2 | (index ? 1u << KVM_ARM_VCPU_POWER_OFF : 0);
    if (ioctl(vm->vcpu[index], KVM_ARM_VCPU_INIT, &init))
        die("KVM_ARM_VCPU_INIT");
}

// The number of a row of the VM's making.
static uint64_t creation(const struct vm *vm, enum row row)
{
    return number_of(vm->kind, vm->is_counted ? row : ROW_NOTHING);
}

void make_vm(struct vm *vm, unsigned vcpus)
{
    struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
    uint64_t distributor = DISTRIBUTOR, redistributors = REDISTRIBUTORS;
    uint32_t interrupts = 64;
    vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (vm->kvm < 0)
        die("/dev/kvm");
    vm->run_size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    begin_row(creation(vm, ROW_CREATE_TO_FIRST));
    begin_row(creation(vm, ROW_CREATE_VM));
    vm->vm = ioctl(vm->kvm, KVM_CREATE_VM, 40ul | (vm->kind != NORMAL ? PROTECTED_TYPE : 0));
    end_row(creation(vm, ROW_CREATE_VM));
    if (vm->vm < 0)
        die("KVM_CREATE_VM");
    add_slot(vm, 0, CODE, CODE_SIZE, vm->code);
    add_slot(vm, 1, PAGES, PAGES_SIZE, vm->pages);
    add_superpages(vm);
    begin_row(creation(vm, ROW_CREATE_VCPU));
    make_vcpu(vm, 0);
    end_row(creation(vm, ROW_CREATE_VCPU));
    for (unsigned i = 1; i < vcpus; i++)
        make_vcpu(vm, i);
    if (ioctl(vm->vm, KVM_CREATE_DEVICE, &device))
        die("KVM_CREATE_DEVICE");
    vm->gic = device.fd;
    set_attribute(vm->gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &distributor);
    set_attribute(vm->gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redistributors);
    set_attribute(vm->gic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &interrupts);
    set_attribute(vm->gic, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
    set_register(vm, 0, offsetof(struct kvm_regs, regs.pc), CODE);
    set_register(vm, 0, offsetof(struct kvm_regs, regs.regs[0]), creation(vm, ROW_CREATE_TO_FIRST));
}

// Runs a vCPU, answering its device, until it asks for an order.
static void run(struct vm *vm, unsigned vcpu, const struct order *order)
{
    struct kvm_run *run = vm->run[vcpu];
    for (;;) {
        uint64_t answer = 0;
        if (ioctl(vm->vcpu[vcpu], KVM_RUN, 0) < 0) {
            if (errno == EINTR)
                continue;
            die("KVM_RUN");
        }
        if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.is_write) {
            printf("exit %u\n", run->exit_reason);
            die("an exit that is not awaited");
        }
        switch (run->mmio.phys_addr - DEVICE) {
        case 0x00: break;
        case 0x10: return;
        case 0x18: answer = order->count; break;
        case 0x20: answer = order->address; break;
        case 0x28: answer = order->stride; break;
        case 0x30: answer = order->row; break;
        default:
            printf("address %llx\n", (unsigned long long)run->mmio.phys_addr);
            die("an address that is not awaited");
        }
        memcpy(run->mmio.data, &answer, sizeof answer);
    }
}

void start_vm(struct vm *vm, unsigned vcpu)
{
    run(vm, vcpu, NULL);
}

void carry_out(struct vm *vm, unsigned vcpu, struct order order)
{
    uint64_t offset = order.routine - guest_start;
    memcpy(vm->run[vcpu]->mmio.data, &offset, sizeof offset);
    run(vm, vcpu, &order);
}

void measure(struct vm *vm, enum row row, const char *routine, uint64_t count, uint64_t address, uint64_t stride)
{
    struct order order = { routine, BATCH, address, stride, number_of(vm->kind, row) };
    for (uint64_t done = 0; done < count; done += BATCH)
        carry_out(vm, 0, order);
    report(vm->kind, row, count);
}

void measure_pages(struct vm *vm, enum row row, uint64_t address, uint64_t size, uint64_t unit)
{
    carry_out(vm, 0, (struct order) { guest_touch, size / PAGE, address, PAGE, number_of(vm->kind, row) });
    report(vm->kind, row, size / unit);
}

void end_vm(struct vm *vm, enum row row)
{
    begin_row(number_of(vm->kind, row));
    for (unsigned i = 0; i < MOST_VCPUS; i++) {
        if (!vm->run[i])
            continue;
        munmap(vm->run[i], vm->run_size);
        close(vm->vcpu[i]);
        vm->run[i] = NULL;
    }
    close(vm->gic);
    close(vm->vm);
    end_row(number_of(vm->kind, row));
    close(vm->kvm);
}
