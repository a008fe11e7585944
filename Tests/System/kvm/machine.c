// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A small machine on /dev/kvm for tests.

#include "machine.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

unsigned failures;

void die(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

int call(int descriptor, unsigned long request, void *argument)
{
    int result = ioctl(descriptor, request, argument);
    return result < 0 ? -errno : result;
}

int call_number(int descriptor, unsigned long request, unsigned long argument)
{
    int result = ioctl(descriptor, request, argument);
    return result < 0 ? -errno : result;
}

void expect(const char *what, long got, long wanted)
{
    if (got == wanted)
        return;
    printf("%s: got %ld and not %ld\n", what, got, wanted);
    failures++;
}

static void must(int result, const char *what)
{
    if (result >= 0)
        return;
    errno = -result;
    die(what);
}

static void attribute(int device, uint32_t group, uint64_t number, void *value)
{
    struct kvm_device_attr attr = { .group = group, .attr = number, .addr = (uintptr_t)value };
    must(call(device, KVM_SET_DEVICE_ATTR, &attr), "KVM_SET_DEVICE_ATTR");
}

static void attach_anonymous(struct machine *machine)
{
    machine->memory = mmap(NULL, machine->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (machine->memory == MAP_FAILED)
        die("mmap");
    struct kvm_userspace_memory_region region = {
        .guest_phys_addr = BASE, .memory_size = machine->size, .userspace_addr = (uintptr_t)machine->memory,
    };
    must(call(machine->vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
}

static void attach_descriptor(struct machine *machine)
{
    struct kvm_create_guest_memfd memory = {
        .size = machine->size, .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
    };
    machine->file = call(machine->vm, KVM_CREATE_GUEST_MEMFD, &memory);
    must(machine->file, "KVM_CREATE_GUEST_MEMFD");
    machine->memory = mmap(NULL, machine->size, PROT_READ | PROT_WRITE, MAP_SHARED, machine->file, 0);
    if (machine->memory == MAP_FAILED)
        die("mmap of private memory");
    struct kvm_userspace_memory_region2 region = {
        .flags = KVM_MEM_GUEST_MEMFD, .guest_phys_addr = BASE, .memory_size = machine->size,
        .userspace_addr = (uintptr_t)machine->memory, .guest_memfd = machine->file,
    };
    must(call(machine->vm, KVM_SET_USER_MEMORY_REGION2, &region), "KVM_SET_USER_MEMORY_REGION2");
}

const struct backing anonymous = { "anonymous memory", attach_anonymous, STAYS_MAPPED };
const struct backing descriptor_memory = { "a descriptor of private memory", attach_descriptor, IS_ZAPPED };
const struct backing *const private_backings[] = { &anonymous, &descriptor_memory, NULL };

void make_machine(struct machine *machine, size_t size, unsigned vcpus)
{
    make_machine_as(machine, (struct plan){ .backing = &anonymous }, size, vcpus);
}

void give_gic(struct machine *machine)
{
    struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
    uint64_t distributor = DISTRIBUTOR, redistributors = REDISTRIBUTORS;
    uint32_t interrupts = 64;
    must(call(machine->vm, KVM_CREATE_DEVICE, &device), "KVM_CREATE_DEVICE");
    machine->gic = device.fd;
    attribute(machine->gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &distributor);
    attribute(machine->gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redistributors);
    attribute(machine->gic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &interrupts);
    attribute(machine->gic, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
}

void make_bare_machine(struct machine *machine, struct plan plan, size_t size, unsigned vcpus)
{
    memset(machine, 0, sizeof *machine);
    machine->plan = plan;
    machine->gic = machine->file = -1;
    machine->size = size;
    machine->vcpus = vcpus;
    machine->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    must(machine->kvm < 0 ? -errno : 0, "/dev/kvm");
    machine->vm = call_number(machine->kvm, KVM_CREATE_VM, plan.type);
    must(machine->vm, "KVM_CREATE_VM");
    plan.backing->attach(machine);
    int bytes = call_number(machine->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    must(bytes, "KVM_GET_VCPU_MMAP_SIZE");
    machine->run_size = bytes;
    for (unsigned i = 0; i < vcpus; i++) {
        machine->vcpu[i] = call_number(machine->vm, KVM_CREATE_VCPU, i);
        must(machine->vcpu[i], "KVM_CREATE_VCPU");
        machine->run[i] = mmap(NULL, machine->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, machine->vcpu[i], 0);
        if (machine->run[i] == MAP_FAILED)
            die("mmap of a vCPU");
    }
}

void make_machine_as(struct machine *machine, struct plan plan, size_t size, unsigned vcpus)
{
    make_bare_machine(machine, plan, size, vcpus);
    for (unsigned i = 0; i < vcpus; i++) {
        struct kvm_vcpu_init init;
        must(call(machine->vm, KVM_ARM_PREFERRED_TARGET, &init), "KVM_ARM_PREFERRED_TARGET");
        init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2 | (i ? 1u << KVM_ARM_VCPU_POWER_OFF : 0);
        must(call(machine->vcpu[i], KVM_ARM_VCPU_INIT, &init), "KVM_ARM_VCPU_INIT");
    }
    if (plan.gic == WITH_GIC)
        give_gic(machine);
}

void end_machine(struct machine *machine)
{
    for (unsigned i = 0; i < machine->vcpus; i++) {
        munmap(machine->run[i], machine->run_size);
        close(machine->vcpu[i]);
    }
    if (machine->gic >= 0)
        close(machine->gic);
    close(machine->vm);
    close(machine->kvm);
    munmap(machine->memory, machine->size);
    if (machine->file >= 0)
        close(machine->file);
}

void load(struct machine *machine, const uint32_t *code, size_t bytes)
{
    memcpy(machine->memory, code, bytes);
    set_register(machine, 0, PC, BASE);
    set_register(machine, 0, PSTATE, 0x3C5);
}

void set_register(struct machine *machine, unsigned vcpu, uint64_t identifier, uint64_t value)
{
    struct kvm_one_reg reg = { .id = identifier, .addr = (uintptr_t)&value };
    must(call(machine->vcpu[vcpu], KVM_SET_ONE_REG, &reg), "KVM_SET_ONE_REG");
}

uint64_t get_register(struct machine *machine, unsigned vcpu, uint64_t identifier)
{
    uint64_t value = 0;
    struct kvm_one_reg reg = { .id = identifier, .addr = (uintptr_t)&value };
    must(call(machine->vcpu[vcpu], KVM_GET_ONE_REG, &reg), "KVM_GET_ONE_REG");
    return value;
}

int run(struct machine *machine, unsigned vcpu)
{
    return call_number(machine->vcpu[vcpu], KVM_RUN, 0);
}
