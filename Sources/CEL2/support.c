// SPDX-License-Identifier: MIT OR GPL-2.0-only
// What the compiler calls without being asked: block moves, in plain general registers. There is
// no allocator on purpose: a hidden allocation is an undefined symbol at link time. And the loops over pages that
// are too long to be inlined.

#include "el2.h"

typedef unsigned long size;

void *memset(void *to, int value, size count)
{
    unsigned char *p = to;
    while (count--) {
        *p++ = (unsigned char)value;
        __asm__ volatile("" : : : "memory"); /* keeps the loop from becoming a call to itself */
    }
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size count)
{
    unsigned char *p = to;
    const unsigned char *q = from;
    /* Aligned as nearly everything is, in pairs of words, by single loads and stores of both. */
    for (; !(((unsigned long)p | (unsigned long)q) & 7) && count >= 32; count -= 32, p += 32, q += 32)
        __asm__ volatile("ldp x9, x10, [%1]\n\tldp x11, x12, [%1, #16]\n\t"
                         "stp x9, x10, [%0]\n\tstp x11, x12, [%0, #16]"
                         : : "r"(p), "r"(q) : "x9", "x10", "x11", "x12", "memory");
    for (; count >= 8; count -= 8, p += 8, q += 8)
        __builtin_memcpy(p, q, 8);
    while (count--) {
        *p++ = *q++;
        __asm__ volatile("" : : : "memory");
    }
    return to;
}

void *memmove(void *to, const void *from, size count)
{
    unsigned char *p = to;
    const unsigned char *q = from;
    if (p <= q || p >= q + count) return memcpy(to, from, count);
    while (count--) {
        p[count] = q[count];
        __asm__ volatile("" : : : "memory");
    }
    return to;
}

/* FEAT_MOPS. */
static inline _Bool has_memory_set(void)
{
    el2_u64 isar2;
    __asm__ volatile("mrs %0, s3_0_c0_c6_2" : "=r"(isar2)); /* ID_AA64ISAR2_EL1 */
    return (isar2 >> 16) & 0xf;
}

/* Zeroes pages: by SET instructions where there are, or by DC ZVA where the CPU allows it (DCZID_EL0.DZP clear). */
void el2_zero_pages(el2_u64 page, el2_u64 end)
{
    el2_u64 dczid;
    __asm__ volatile("mrs %0, dczid_el0" : "=r"(dczid));
    el2_u64 block = 4ull << (dczid & 0xf);
    if (has_memory_set()) {
        el2_u64 bytes = end - page;
        __asm__ volatile(".arch_extension mops\n\t"
                         "setp [%0]!, %1!, xzr\n\t"
                         "setm [%0]!, %1!, xzr\n\t"
                         "sete [%0]!, %1!, xzr"
                         : "+r"(page), "+r"(bytes)
                         :
                         : "memory", "cc");
    } else if (dczid & 0x10) {
        for (; page < end; page += 16)
            __asm__ volatile("stp xzr, xzr, [%0]" : : "r"(page) : "memory");
    } else if (block <= 0x1000 / 16) {
        while (page < end)
            __asm__ volatile(".rept 16\n\t"
                             "dc zva, %0\n\t"
                             "add %0, %0, %1\n\t"
                             ".endr"
                             : "+r"(page)
                             : "r"(block)
                             : "memory");
    } else {
        for (; page < end; page += block)
            __asm__ volatile("dc zva, %0" : : "r"(page) : "memory");
    }
}

/*
 * Zeroes pages, and cleans and invalidates them to the point of coherency: each line at once, where DC ZVA
 * zeroes one. A line's zeroes come before its cleaning (DDI 0487, D7.5.9.4, on the order of one location's).
 */
void el2_zero_clean_pages(el2_u64 page, el2_u64 end)
{
    el2_u64 dczid, ctr;
    __asm__ volatile("mrs %0, dczid_el0" : "=r"(dczid));
    __asm__ volatile("mrs %0, ctr_el0" : "=r"(ctr));
    el2_u64 line = 4ull << ((ctr >> 16) & 0xf);
    _Bool can_step = line * 64 <= 0x1000;
    if (can_step && !has_memory_set() && !(dczid & 0x10) && (4ull << (dczid & 0xf)) == line) {
        while (page < end)
            __asm__ volatile(".rept 64\n\t"
                             "dc zva, %0\n\t"
                             "dc civac, %0\n\t"
                             "add %0, %0, %1\n\t"
                             ".endr"
                             : "+r"(page)
                             : "r"(line)
                             : "memory");
        return;
    }
    el2_zero_pages(page, end);
    if (can_step) {
        while (page < end)
            __asm__ volatile(".rept 64\n\t"
                             "dc civac, %0\n\t"
                             "add %0, %0, %1\n\t"
                             ".endr"
                             : "+r"(page)
                             : "r"(line)
                             : "memory");
    } else {
        for (; page < end; page += line)
            __asm__ volatile("dc civac, %0" : : "r"(page) : "memory");
    }
}
