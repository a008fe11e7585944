// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The heap of an image that checks itself: blocks in the order of their addresses, the first that fits. What
// the Swift runtime asks for is used under the audit's lock only, so there is none here.

#include "audit.h"

typedef unsigned long size;

#define HEAP_SIZE (0x2c0000ul)
#define UNIT 16ul

/* Stands before each block. Sizes count the header too, and are multiples of UNIT. */
struct block {
    size bytes;
    size is_free;
};

static unsigned char heap[HEAP_SIZE] __attribute__((aligned(16)));
static size end, used, peak;
/* No block below is free. */
static size first_free;

static struct block *at(size offset) { return (struct block *)(heap + offset); }

static void give(size offset, size bytes)
{
    struct block *block = at(offset);
    if (block->bytes >= bytes + 2 * UNIT) {
        struct block *rest = at(offset + bytes);
        rest->bytes = block->bytes - bytes;
        rest->is_free = 1;
        block->bytes = bytes;
    }
    block->is_free = 0;
    used += block->bytes;
    if (used > peak) peak = used;
}

/* Joins free blocks that follow. */
static void join(size offset)
{
    struct block *block = at(offset);
    while (offset + block->bytes < end && at(offset + block->bytes)->is_free)
        block->bytes += at(offset + block->bytes)->bytes;
}

int posix_memalign(void **result, size alignment, size count)
{
    size bytes = ((count + UNIT - 1) & ~(UNIT - 1)) + sizeof(struct block), offset, none = 1;
    /* Nothing here has cache lines or pages of its own. */
    if (alignment > UNIT) __builtin_trap();
    for (offset = first_free; offset < end; offset += at(offset)->bytes) {
        if (!at(offset)->is_free) continue;
        join(offset);
        if (none) first_free = offset;
        none = 0;
        if (at(offset)->bytes >= bytes) break;
    }
    if (offset >= end) {
        offset = end;
        if (bytes > HEAP_SIZE - end) __builtin_trap();
        at(offset)->bytes = bytes;
        at(offset)->is_free = 1;
        end += bytes;
    }
    give(offset, bytes);
    *result = heap + offset + sizeof(struct block);
    return 0;
}

void free(void *pointer)
{
    if (!pointer) return;
    size offset = (size)((unsigned char *)pointer - heap) - sizeof(struct block);
    if (at(offset)->is_free) __builtin_trap();
    used -= at(offset)->bytes;
    at(offset)->is_free = 1;
    if (offset < first_free) first_free = offset;
    join(offset);
    if (offset + at(offset)->bytes == end) end = offset;
}

/* Seeds hash tables. Nobody attacks those of a test, and a run that can be repeated is worth more. */
void arc4random_buf(void *to, size count)
{
    unsigned char *bytes = to;
    while (count--) *bytes++ = (unsigned char)(count * 37 + 11);
}

static unsigned char message[AUDIT_MESSAGE_SIZE];

void audit_set_message(unsigned long index, unsigned char byte)
{
    if (index < AUDIT_MESSAGE_SIZE - 1) message[index] = byte;
}

unsigned long long audit_message(void) { return (unsigned long long)(size)message; }
unsigned long long audit_heap_used(void) { return used; }
unsigned long long audit_heap_peak(void) { return peak; }
