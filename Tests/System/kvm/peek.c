// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What only a kernel can do, by the test module peek.ko.

#include "peek.h"
#include "machine.h"
#include <fcntl.h>
#include <unistd.h>

static int device = -1;

void peek_open(void)
{
    if (device < 0)
        device = open("/dev/martlet-peek", O_RDWR | O_CLOEXEC);
    if (device < 0)
        die("/dev/martlet-peek");
}

static void request(unsigned long number, struct peek *peek)
{
    if (ioctl(device, number, peek))
        die("a request to peek.ko");
}

uint64_t peek_read(uint64_t frame, unsigned offset)
{
    struct peek plain = { { frame, offset } }, careful = { { frame, offset } };
    request(PEEK_READ, &plain);
    request(PEEK_TRY, &careful);
    // Both come from one page, unless somebody writes to it in between.
    return careful.x[3] ? plain.x[2] : careful.x[2];
}

uint64_t peek_at_start(uint64_t frame, unsigned offset)
{
    struct peek peek = { { frame, offset } };
    request(PEEK_AT_START, &peek);
    return peek.x[3] ? 0 : peek.x[2];
}

uint64_t peek_restart(void)
{
    struct peek peek = { { 0 } };
    request(PEEK_RESTART, &peek);
    return peek.x[0];
}

void peek_write(uint64_t frame, unsigned offset, uint64_t value)
{
    struct peek peek = { { frame, offset, value } };
    request(PEEK_WRITE, &peek);
}

void peek_scan(struct peek *peek)
{
    request(PEEK_SCAN, peek);
}

long peek_call(struct peek *registers)
{
    request(PEEK_CALL, registers);
    return (long)registers->x[0];
}

long peek_owner(uint64_t frame)
{
    struct peek peek = { { CALL_PAGE_REPORT, frame } };
    long status = peek_call(&peek);
    return status ? status : (long)peek.x[1];
}

uint64_t frame_of(const void *address)
{
    uint64_t entry = 0;
    int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (map < 0)
        die("/proc/self/pagemap");
    if (pread(map, &entry, 8, (uintptr_t)address / PAGE * 8) != 8)
        die("/proc/self/pagemap");
    close(map);
    // Bit 63: present; bits 54:0: the frame.
    if (entry >> 63)
        return entry & ((1ul << 55) - 1);
    // That file leaves out mappings of frames without pages.
    struct peek peek = { { (uintptr_t)address } };
    request(PEEK_FRAME, &peek);
    return peek.x[1];
}

// A handle has a slot in bits 7:0 and above it how often the slot was used, with bit 40 set. Whoever
// looks for one finds it.
unsigned find_machines(uint64_t *handles, unsigned limit)
{
    unsigned found = 0;
    for (uint64_t slot = 0; slot < 64; slot++)
        for (uint64_t generation = 0; generation < 4096 && found < limit; generation++) {
            uint64_t handle = 1ul << 40 | generation << 8 | slot;
            struct peek peek = { { CALL_GET_REGISTER, handle, 0, 0 } };
            if (peek_call(&peek) != STATUS_NOT_FOUND)
                handles[found++] = handle;
        }
    return found;
}
