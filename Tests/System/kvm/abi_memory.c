// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Requests of abi.def that are about memory.

#include "abi.h"
#include <sys/mman.h>
#include <unistd.h>

static int set_region(struct subject *subject, uint32_t flags, uint64_t guest, uint64_t size)
{
    static uint8_t *user;
    if (!user)
        user = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct kvm_userspace_memory_region region = { 9, flags, guest, size, (uintptr_t)user };
    return call(subject->descriptor, KVM_SET_USER_MEMORY_REGION, &region);
}

int region(struct subject *subject, unsigned long request, uint64_t flags)
{
    return set_region(subject, flags, 0x80000000, PAGE);
}

int region_moves(struct subject *subject, unsigned long request, uint64_t argument)
{
    return set_region(subject, 0, 0x90000000, PAGE);
}

int region_goes(struct subject *subject, unsigned long request, uint64_t argument)
{
    return set_region(subject, 0, 0, 0);
}

static int set_region2(struct subject *subject, uint32_t flags, uint64_t size, int file)
{
    struct kvm_userspace_memory_region2 region = {
        .slot = 10, .flags = flags, .guest_phys_addr = 0xA0000000, .memory_size = size, .guest_memfd = file,
    };
    return call(subject->descriptor, KVM_SET_USER_MEMORY_REGION2, &region);
}

int region2(struct subject *subject, unsigned long request, uint64_t flags)
{
    return set_region2(subject, flags, PAGE, -1);
}

int region2_goes(struct subject *subject, unsigned long request, uint64_t argument)
{
    return set_region2(subject, 0, 0, -1);
}

int create_memory(struct subject *subject, unsigned long request, uint64_t argument)
{
    struct kvm_create_guest_memfd memory = { .size = PAGE };
    int file = call(subject->descriptor, KVM_CREATE_GUEST_MEMFD, &memory);
    if (file >= 0)
        close(file);
    return file;
}

int region2_private(struct subject *subject, unsigned long request, uint64_t argument)
{
    struct kvm_create_guest_memfd memory = { .size = PAGE };
    int file = call(subject->descriptor, KVM_CREATE_GUEST_MEMFD, &memory);
    int result = set_region2(subject, KVM_MEM_GUEST_MEMFD, PAGE, file);
    // The slot has a reference of its own, and goes again.
    if (file >= 0)
        close(file);
    if (!result)
        expect("a slot of private memory goes", set_region2(subject, 0, 0, -1), 0);
    return result;
}
