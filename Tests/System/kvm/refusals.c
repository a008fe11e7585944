// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What /dev/kvm refuses, with Linux's error numbers, and nonsense of every kind, which may get any
// error but must harm nobody.

#include "tests.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int region(int vm, uint32_t slot, uint32_t flags, uint64_t guest, uint64_t size, void *user)
{
    struct kvm_userspace_memory_region region = { slot, flags, guest, size, (uintptr_t)user };
    return call(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static int one_register(int vcpu, unsigned long request, uint64_t identifier, void *value)
{
    struct kvm_one_reg reg = { .id = identifier, .addr = (uintptr_t)value };
    return call(vcpu, request, &reg);
}

static int attribute(int device, unsigned long request, uint32_t group, uint64_t number, void *value)
{
    struct kvm_device_attr attr = { .group = group, .attr = number, .addr = (uintptr_t)value };
    return call(device, request, &attr);
}

static int init(int vcpu, uint32_t target, uint32_t features)
{
    struct kvm_vcpu_init init = { .target = target, .features = { features } };
    return call(vcpu, KVM_ARM_VCPU_INIT, &init);
}

static void system_refusals(int kvm)
{
    expect("API version", call_number(kvm, KVM_GET_API_VERSION, 0), 12);
    expect("API version with an argument", call_number(kvm, KVM_GET_API_VERSION, 1), -EINVAL);
    expect("map size with an argument", call_number(kvm, KVM_GET_VCPU_MMAP_SIZE, 1), -EINVAL);
    expect("31 address bits", call_number(kvm, KVM_CREATE_VM, 31), -EINVAL);
    expect("53 address bits", call_number(kvm, KVM_CREATE_VM, 53), -EINVAL);
    expect("an unknown type", call_number(kvm, KVM_CREATE_VM, 1ul << 9), -EINVAL);
    expect("unknown capability", call_number(kvm, KVM_CHECK_EXTENSION, 999999), 0);
    expect("unknown request", call_number(kvm, _IO(KVMIO, 0x7F), 0), -EINVAL);
}

static void memory_refusals(int vm, uint8_t *user)
{
    expect("misaligned guest", region(vm, 0, 0, 0x100, PAGE, user), -EINVAL);
    expect("misaligned size", region(vm, 0, 0, 0, 100, user), -EINVAL);
    expect("misaligned user", region(vm, 0, 0, 0, PAGE, user + 8), -EINVAL);
    expect("kernel memory", region(vm, 0, 0, 0, PAGE, (void *)0xFFFF800000000000), -EINVAL);
    expect("wrapping user", region(vm, 0, 0, 0, 1ul << 63, user), -EINVAL);
    expect("wrapping guest", region(vm, 0, 0, ~0xFFFul, 2 * PAGE, user), -EINVAL);
    expect("beyond the guest", region(vm, 0, 0, 1ul << 40, PAGE, user), -EFAULT);
    expect("unknown flag", region(vm, 0, 1u << 7, 0, PAGE, user), -EINVAL);
    expect("deleting nothing", region(vm, 5, 0, 0, 0, user), -EINVAL);
    expect("another address space", region(vm, 1 << 16, 0, 0, PAGE, user), -EINVAL);
    expect("a slot", region(vm, 0, 0, 0, 4 * PAGE, user), 0);
    expect("an overlap", region(vm, 1, 0, 3 * PAGE, PAGE, user), -EEXIST);
    expect("another size", region(vm, 0, 0, 0, 2 * PAGE, user), -EINVAL);
    expect("a move", region(vm, 0, 0, 8 * PAGE, 4 * PAGE, user), 0);
    expect("deleting", region(vm, 0, 0, 0, 0, user), 0);
    expect("an unreadable argument", call(vm, KVM_SET_USER_MEMORY_REGION, (void *)8), -EFAULT);
}

static void vcpu_refusals(int vm, int vcpu)
{
    uint64_t value[2];
    struct kvm_reg_list list = { .n = 1 };
    struct kvm_mp_state state;
    expect("an existing vCPU", call_number(vm, KVM_CREATE_VCPU, 0), -EEXIST);
    expect("a vCPU out of range", call_number(vm, KVM_CREATE_VCPU, 1ul << 20), -EINVAL);
    expect("running too early", call_number(vcpu, KVM_RUN, 0), -ENOEXEC);
    expect("a register too early", one_register(vcpu, KVM_GET_ONE_REG, PC, value), -ENOEXEC);
    expect("a list too early", call(vcpu, KVM_GET_REG_LIST, &list), -ENOEXEC);
    expect("another target", init(vcpu, 77, 1u << KVM_ARM_VCPU_PSCI_0_2), -EINVAL);
    expect("an unknown feature", init(vcpu, KVM_ARM_TARGET_GENERIC_V8, 1u << 31), -ENOENT);
    expect("init", init(vcpu, KVM_ARM_TARGET_GENERIC_V8, 1u << KVM_ARM_VCPU_PSCI_0_2), 0);
    expect("init again", init(vcpu, KVM_ARM_TARGET_GENERIC_V8, 1u << KVM_ARM_VCPU_PSCI_0_2), 0);
    expect("no such register", one_register(vcpu, KVM_GET_ONE_REG, X(0) + 0xFF00, value), -ENOENT);
    expect("x0 of the wrong size", one_register(vcpu, KVM_GET_ONE_REG, 0x6020000000100000, value), -EINVAL);
    expect("a register of x86", one_register(vcpu, KVM_GET_ONE_REG, 0x2030000000100000, value), -EINVAL);
    expect("an unwritable value", one_register(vcpu, KVM_GET_ONE_REG, PC, (void *)8), -EFAULT);
    expect("a PSTATE of EL2", ({ value[0] = 0x3C9; one_register(vcpu, KVM_SET_ONE_REG, PSTATE, value); }), -EINVAL);
    expect("a list too short", call(vcpu, KVM_GET_REG_LIST, &list), -E2BIG);
    expect("MP state", call(vcpu, KVM_GET_MP_STATE, &state), 0);
    expect("is runnable", state.mp_state, KVM_MP_STATE_RUNNABLE);
    expect("run with an argument", call_number(vcpu, KVM_RUN, 1), -EINVAL);
    expect("unknown request", call_number(vcpu, _IO(KVMIO, 0x7F), 0), -EINVAL);
}

static void gic_refusals(int vm)
{
    struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
    struct kvm_create_device other = { .type = 0x1234 };
    struct kvm_irq_level level = { .irq = 1 << 24 | 32, .level = 1 };
    uint64_t address = 0x1234;
    uint32_t interrupts = 65;
    expect("a line without a GIC", call(vm, KVM_IRQ_LINE, &level), -ENXIO);
    expect("another device", call(vm, KVM_CREATE_DEVICE, &other), -ENODEV);
    device.flags = KVM_CREATE_DEVICE_TEST;
    expect("testing a GIC", call(vm, KVM_CREATE_DEVICE, &device), 0);
    device.flags = 0;
    expect("a GIC", call(vm, KVM_CREATE_DEVICE, &device), 0);
    struct kvm_create_device second = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
    expect("a second GIC", call(vm, KVM_CREATE_DEVICE, &second), -EEXIST);
    int gic = device.fd;
    expect("misaligned", attribute(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_ADDR, 2, &address), -EINVAL);
    address = 1ul << 50;
    expect("beyond", attribute(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_ADDR, 2, &address), -E2BIG);
    address = DISTRIBUTOR;
    expect("placed", attribute(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_ADDR, 2, &address), 0);
    expect("placed twice", attribute(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_ADDR, 2, &address), -EEXIST);
    expect("65 interrupts", attribute(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &interrupts), -EINVAL);
    expect("no such attribute", attribute(gic, KVM_HAS_DEVICE_ATTR, 99, 0, NULL), -ENXIO);
    expect("unreadable value", attribute(gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_ADDR, 3, (void *)8), -EFAULT);
    expect("unknown request", call_number(gic, _IO(KVMIO, 0x7F), 0), -ENOTTY);
    close(gic);
}

void refusals(void)
{
    int kvm = open("/dev/kvm", O_RDWR);
    if (kvm < 0)
        die("/dev/kvm");
    system_refusals(kvm);
    int vm = call_number(kvm, KVM_CREATE_VM, 0);
    int vcpu = call_number(vm, KVM_CREATE_VCPU, 0);
    uint8_t *user = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory_refusals(vm, user);
    vcpu_refusals(vm, vcpu);
    gic_refusals(vm);
    expect("unknown request of a VM", call_number(vm, _IO(KVMIO, 0x7F), 0), -EINVAL);
    void *second = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, vcpu, 64 * PAGE);
    if (second != MAP_FAILED) {
        // A page that is not there is a SIGBUS when it is touched, in a child.
        pid_t touching = fork();
        if (!touching)
            _exit(*(volatile char *)second);
        int status;
        waitpid(touching, &status, 0);
        expect("a page behind the last", WIFSIGNALED(status) ? WTERMSIG(status) : 0, SIGBUS);
    }
    pid_t child = fork();
    if (!child) {
        expect("another process's VM", call_number(vm, KVM_CREATE_VCPU, 1), -EIO);
        expect("another process's vCPU", call_number(vcpu, KVM_RUN, 0), -EIO);
        _exit(failures != 0);
    }
    int status;
    waitpid(child, &status, 0);
    expect("the child's checks", status, 0);
    close(vcpu);
    close(vm);
    close(kvm);
}

static uint64_t state;

static uint64_t random_word(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

// Requests of the interface with random arguments, on every kind of descriptor.
void nonsense(unsigned long type, uint64_t seed, unsigned rounds)
{
    static const unsigned long requests[] = {
        KVM_CREATE_VM, KVM_CHECK_EXTENSION, KVM_CREATE_VCPU, KVM_SET_USER_MEMORY_REGION, KVM_IRQ_LINE,
        KVM_ARM_PREFERRED_TARGET, KVM_CREATE_DEVICE, KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR,
        KVM_HAS_DEVICE_ATTR, KVM_RUN, KVM_GET_MP_STATE, KVM_SET_MP_STATE, KVM_GET_ONE_REG,
        KVM_SET_ONE_REG, KVM_ARM_VCPU_INIT, KVM_GET_REG_LIST, KVM_ENABLE_CAP, KVM_IOEVENTFD,
    };
    struct machine machine;
    uint64_t argument[64];
    printf("seed %#lx\n", (unsigned long)seed);
    state = seed | 1;
    make_machine_as(&machine, (struct plan){ .type = type, .backing = &anonymous }, 64 * PAGE, 2);
    // A guest that does nothing for ever; a timer ends each run.
    load(&machine, (const uint32_t[]){ 0x14000000 }, 4);
    for (unsigned i = 0; i < rounds; i++) {
        const int descriptors[] = { machine.kvm, machine.vm, machine.vcpu[0], machine.vcpu[1], machine.gic };
        int descriptor = descriptors[random_word() % 5];
        unsigned long request = random_word() % 8 ? requests[random_word() % (sizeof requests / sizeof *requests)]
                                                  : _IO(KVMIO, random_word() & 0xFF);
        for (unsigned word = 0; word < 64; word++) {
            uint64_t value = random_word();
            argument[word] = value % 3 == 0 ? value % 8 << 12 : value % 3 == 1 ? value & 0xFFFF : value;
        }
        // Register lists say how much they may overwrite.
        if (request == KVM_GET_REG_LIST)
            argument[0] %= 60;
        machine.run[0]->immediate_exit = machine.run[1]->immediate_exit = 1;
        uint64_t chance = random_word() % 16;
        uint64_t pointer = chance > 1 ? (uintptr_t)argument : chance ? random_word() : 0;
        int result = call_number(descriptor, request, pointer);
        if (result > 4 && (request == KVM_CREATE_VM || request == KVM_CREATE_VCPU))
            close(result);
    }
    end_machine(&machine);
}
