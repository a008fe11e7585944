// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The ioctls of /dev/kvm, with the kernel's own numbers and structures.

#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static int32_t call(int fd, unsigned long request, void *argument)
{
    int result = ioctl(fd, request, argument);
    return result < 0 ? -errno : result;
}

static int32_t call_number(int fd, unsigned long request, unsigned long argument)
{
    int result = ioctl(fd, request, argument);
    return result < 0 ? -errno : result;
}

int32_t clinux_kvm_api_version(int32_t kvm)
{
    return call_number(kvm, KVM_GET_API_VERSION, 0);
}

int32_t clinux_kvm_check_extension(int32_t fd, uint32_t capability)
{
    return call_number(fd, KVM_CHECK_EXTENSION, capability);
}

int32_t clinux_kvm_create_vm(int32_t kvm, uint64_t type)
{
    return call_number(kvm, KVM_CREATE_VM, type);
}

int32_t clinux_kvm_run_size(int32_t kvm)
{
    return call_number(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
}

int32_t clinux_kvm_set_memory(int32_t vm, uint32_t slot, uint64_t address, uint64_t size, void *memory)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot, .guest_phys_addr = address, .memory_size = size, .userspace_addr = (uintptr_t)memory,
    };
    return call(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

// The C library's headers may be older than these two.
struct private_memory {
    uint64_t size, flags, reserved[6];
};

struct private_region {
    struct kvm_userspace_memory_region region;
    uint64_t offset;
    uint32_t descriptor, padding;
    uint64_t reserved[14];
};

enum { PRIVATE_REGION = 1 << 2, PRIVATE_MAPPABLE = 1 << 0, PRIVATE_INITIALLY_SHARED = 1 << 1 };

int32_t clinux_kvm_set_private_memory(int32_t vm, uint32_t slot, uint64_t address, uint64_t size, void *memory,
                                      int32_t descriptor)
{
    struct private_region region = {
        .region = {
            .slot = slot, .flags = PRIVATE_REGION, .guest_phys_addr = address, .memory_size = size,
            .userspace_addr = (uintptr_t)memory,
        },
        .descriptor = (uint32_t)descriptor,
    };
    return call(vm, _IOW(KVMIO, 0x49, struct private_region), &region);
}

int32_t clinux_kvm_create_private_memory(int32_t vm, uint64_t size)
{
    struct private_memory memory = { .size = size, .flags = PRIVATE_MAPPABLE | PRIVATE_INITIALLY_SHARED };
    return call(vm, _IOWR(KVMIO, 0xd4, struct private_memory), &memory);
}

int32_t clinux_kvm_create_vcpu(int32_t vm, uint64_t index)
{
    return call_number(vm, KVM_CREATE_VCPU, index);
}

int32_t clinux_kvm_init_vcpu(int32_t vm, int32_t vcpu, uint32_t features)
{
    struct kvm_vcpu_init init;
    memset(&init, 0, sizeof init);
    int32_t result = call(vm, KVM_ARM_PREFERRED_TARGET, &init);
    if (result < 0)
        return result;
    init.features[0] |= features;
    return call(vcpu, KVM_ARM_VCPU_INIT, &init);
}

int32_t clinux_kvm_finalize_vcpu(int32_t vcpu, int32_t feature)
{
    int argument = feature;
    return call(vcpu, KVM_ARM_VCPU_FINALIZE, &argument);
}

int32_t clinux_kvm_set_register(int32_t vcpu, uint64_t identifier, uint64_t value)
{
    struct kvm_one_reg reg = { .id = identifier, .addr = (uintptr_t)&value };
    return call(vcpu, KVM_SET_ONE_REG, &reg);
}

int32_t clinux_kvm_create_gic(int32_t vm)
{
    struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
    int32_t result = call(vm, KVM_CREATE_DEVICE, &device);
    return result < 0 ? result : (int32_t)device.fd;
}

int32_t clinux_kvm_set_attribute(int32_t device, uint32_t group, uint64_t attribute, const void *_Nullable value)
{
    struct kvm_device_attr attr = { .group = group, .attr = attribute, .addr = (uintptr_t)value };
    return call(device, KVM_SET_DEVICE_ATTR, &attr);
}

int32_t clinux_kvm_set_interrupt(int32_t vm, uint32_t line, uint32_t level)
{
    struct kvm_irq_level irq = { .irq = line, .level = level };
    return call(vm, KVM_IRQ_LINE, &irq);
}

void *_Nullable clinux_kvm_map_run(int32_t vcpu, uint64_t size, int32_t *error)
{
    void *run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (run == MAP_FAILED) {
        *error = errno;
        return NULL;
    }
    return run;
}

int32_t clinux_kvm_run(int32_t vcpu)
{
    return call_number(vcpu, KVM_RUN, 0);
}

void clinux_kvm_set_immediate_exit(void *run)
{
    __atomic_store_n(&((struct kvm_run *)run)->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

struct clinux_kvm_exit clinux_kvm_last_exit(const void *page)
{
    const struct kvm_run *run = page;
    struct clinux_kvm_exit exit;
    memset(&exit, 0, sizeof exit);
    exit.reason = run->exit_reason;
    switch (run->exit_reason) {
    case KVM_EXIT_MMIO:
        exit.address = run->mmio.phys_addr;
        exit.length = run->mmio.len;
        exit.is_write = run->mmio.is_write;
        memcpy(&exit.data, run->mmio.data, sizeof exit.data);
        break;
    case KVM_EXIT_FAIL_ENTRY:
        exit.address = run->fail_entry.hardware_entry_failure_reason;
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        exit.detail = run->internal.suberror;
        break;
    case KVM_EXIT_SYSTEM_EVENT:
        exit.detail = run->system_event.type;
        break;
    }
    return exit;
}

void clinux_kvm_answer_read(void *page, uint64_t value)
{
    struct kvm_run *run = page;
    memcpy(run->mmio.data, &value, sizeof value);
}
