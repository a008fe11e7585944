// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The kernel's name, its limits, random bytes and memory.

#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

int32_t clinux_kernel_release(char *_Nullable text, uint64_t capacity)
{
    struct utsname name;
    if (uname(&name) < 0)
        return -errno;
    size_t length = strlen(name.release);
    if (length >= capacity)
        return -E2BIG;
    memcpy(text, name.release, length + 1);
    return 0;
}

int32_t clinux_random(void *_Nullable bytes, uint64_t count)
{
    unsigned char *next = bytes;
    while (count > 0) {
        ssize_t n = getrandom(next, count, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        next += n;
        count -= (uint64_t)n;
    }
    return 0;
}

static uint64_t limit(int resource)
{
    struct rlimit r;
    if (getrlimit(resource, &r) < 0 || r.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return r.rlim_cur;
}

int32_t clinux_limits(struct clinux_limits *limits)
{
    struct sysinfo info;
    if (sysinfo(&info) < 0)
        return -errno;
    limits->machine = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
    limits->address_space = limit(RLIMIT_AS);
    limits->data = limit(RLIMIT_DATA);
    limits->locked = limit(RLIMIT_MEMLOCK);
    return 0;
}

// Maps `size` bytes at a multiple of `alignment`: a file's, or anonymous ones without a file.
static void *map(uint64_t size, uint64_t alignment, int fd, int32_t *error)
{
    // Room for one alignment more than needed is taken, and what is too much at both ends is given back.
    char *memory = mmap(NULL, size + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        *error = errno;
        return NULL;
    }
    uint64_t before = (alignment - (uintptr_t)memory % alignment) % alignment;
    if (before > 0)
        munmap(memory, before);
    if (alignment - before > 0)
        munmap(memory + before + size, alignment - before);
    if (fd >= 0 && mmap(memory + before, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
        *error = errno;
        munmap(memory + before, size);
        return NULL;
    }
    return memory + before;
}

void *_Nullable clinux_map_memory(uint64_t size, uint64_t alignment, int32_t *error)
{
    return map(size, alignment, -1, error);
}

void *_Nullable clinux_map_shared(int32_t fd, uint64_t size, uint64_t alignment, int32_t *error)
{
    return map(size, alignment, fd, error);
}

int32_t clinux_may_lock(void *memory, uint64_t size)
{
    // The limit is looked at for all of it, although pages are only locked when they are touched.
    if (mlock2(memory, size, MLOCK_ONFAULT) < 0)
        return -errno;
    return munlock(memory, size) < 0 ? -errno : 0;
}

void clinux_unmap(void *memory, uint64_t size)
{
    munmap(memory, size);
}
