// SPDX-License-Identifier: MIT OR GPL-2.0-only
// What the compiler calls without being asked: block moves, in plain general registers. There is
// no allocator on purpose: a hidden allocation is an undefined symbol at link time.

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
