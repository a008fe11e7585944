// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Arithmetic of doubles without registers for them: Swift's hash tables compute their load factors so. What
// the compiler calls by these names takes the bits of a double in a general register. Nothing is computed from
// negative numbers, NaN, infinities or subnormal ones: that would not be hash tables' need, and traps.

typedef unsigned long long u64;
typedef long long i64;

#define FRACTION 52
#define ONE (1ull << FRACTION)
#define BIAS 1023

static int exponent_of(u64 bits)
{
    int exponent = (int)(bits >> FRACTION);
    if (exponent <= 0 || exponent >= 0x7ff) __builtin_trap(); /* the sign counts as a large exponent */
    return exponent - BIAS;
}

static u64 significand_of(u64 bits) { return (bits & (ONE - 1)) | ONE; }

/* A significand of FRACTION + 3 bits or one more, whose lowest bit stands for all that is below: to nearest, ties
 * to even. */
static u64 rounded(u64 significand, int exponent)
{
    if (significand >> (FRACTION + 3)) {
        significand = significand >> 1 | (significand & 1);
        exponent++;
    }
    u64 below = significand & 3;
    significand >>= 2;
    if (below == 3 || (below == 2 && (significand & 1))) significand++;
    if (significand >> (FRACTION + 1)) {
        significand >>= 1;
        exponent++;
    }
    return (u64)(exponent + BIAS) << FRACTION | (significand & (ONE - 1));
}

u64 __floatundidf(u64 value)
{
    if (value == 0) return 0;
    int exponent = 63 - __builtin_clzll(value);
    if (exponent > FRACTION) __builtin_trap();
    return (u64)(exponent + BIAS) << FRACTION | ((value << (FRACTION - exponent)) & (ONE - 1));
}

u64 __floatdidf(i64 value)
{
    if (value < 0) __builtin_trap();
    return __floatundidf((u64)value);
}

i64 __fixdfdi(u64 bits)
{
    if (bits == 0) return 0;
    int exponent = exponent_of(bits);
    if (exponent < 0) return 0;
    if (exponent > 62) __builtin_trap();
    u64 value = significand_of(bits);
    return (i64)(exponent <= FRACTION ? value >> (FRACTION - exponent) : value << (exponent - FRACTION));
}

u64 ceil(u64 bits)
{
    i64 whole = __fixdfdi(bits);
    u64 below = __floatdidf(whole);
    return below == bits ? bits : __floatdidf(whole + 1);
}

u64 __muldf3(u64 left, u64 right)
{
    if (left == 0 || right == 0) return 0;
    unsigned __int128 product = (unsigned __int128)significand_of(left) * significand_of(right);
    /* 2 * FRACTION + 1 bits or one more, of which FRACTION + 3 or one more stay. */
    u64 kept = (u64)(product >> (FRACTION - 2));
    if (product & (((unsigned __int128)1 << (FRACTION - 2)) - 1)) kept |= 1;
    return rounded(kept, exponent_of(left) + exponent_of(right));
}

u64 __divdf3(u64 left, u64 right)
{
    if (left == 0) return 0;
    if (right == 0) __builtin_trap();
    u64 rest = significand_of(left), by = significand_of(right), quotient = 0;
    int exponent = exponent_of(left) - exponent_of(right);
    if (rest < by) {
        rest <<= 1;
        exponent--;
    }
    for (int bit = 0; bit < FRACTION + 3; bit++) {
        quotient <<= 1;
        if (rest >= by) {
            rest -= by;
            quotient |= 1;
        }
        rest <<= 1;
    }
    return rounded(rest ? quotient | 1 : quotient, exponent);
}

/* In the order of integers; limits that a number is compared with may be negative. */
static i64 order(u64 bits)
{
    return bits >> 63 ? -(i64)(bits & ~(1ull << 63)) : (i64)bits;
}

static int compare(u64 left, u64 right) { return order(left) < order(right) ? -1 : order(left) > order(right); }

int __eqdf2(u64 left, u64 right) { return compare(left, right); }
int __ltdf2(u64 left, u64 right) { return compare(left, right); }
int __gtdf2(u64 left, u64 right) { return compare(left, right); }

int __unorddf2(u64 left, u64 right)
{
    return (left & ~(1ull << 63)) > 0x7ffull << FRACTION || (right & ~(1ull << 63)) > 0x7ffull << FRACTION;
}
