// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Vector registers of the calling thread, moved by assembly so that no compiled code runs while
// they hold a pattern.

#ifndef REGISTERS_H
#define REGISTERS_H

#include <stdint.h>

// Registers follow each other at the length of the moment. Assembly knows the offsets.
struct registers {
    uint64_t fpcr, fpsr, unused[6];
    // v0 to v31, or z0 to z31.
    uint8_t vectors[32 * 256];
    // p0 to p15, then FFR.
    uint8_t predicates[17 * 32];
};

// How long the registers hold the pattern, and what becomes of it.
struct wait {
    // Turns of a loop; 0 gives the CPU away by sched_yield instead.
    uint64_t turns;
    // Nonzero: v31 is inverted behind the wait.
    uint64_t corrupts;
};

// Loads the first structure into the registers, waits, and stores them into the second.
void hold_simd(const struct registers *mine, struct registers *found, const struct wait *wait);
void hold_scalable(const struct registers *mine, struct registers *found, const struct wait *wait);
// Bytes of a scalable vector.
uint64_t scalable_bytes(void);

#endif
