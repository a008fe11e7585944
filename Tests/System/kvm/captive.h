// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A guest whose vCPU a hostile kernel runs by itself, with what the module would never ask for. The module has
// made its VM and run it once, up to where it tells that it is there.

#ifndef CAPTIVE_H
#define CAPTIVE_H

#include "attack.h"
#include "raw.h"

// What a run is asked for, and why it came back.
enum { RUN_COMPLETES = 1, RUN_ABORTS = 2 };
enum {
    EXIT_INTERRUPT = 0,
    EXIT_WAIT = 1,
    EXIT_FAULT = 2,
    EXIT_READ = 3,
    EXIT_WRITE = 4,
    EXIT_OFF = 7,
    EXIT_UNSUPPORTED = 10,
};
// Of EL2's registers of a vCPU.
enum { PROGRAM_STATE = 0x102, TIMER_COUNT = 0x107, POWER = 0x10A };

struct captive {
    struct machine machine;
    uint64_t handle;
    // List registers of the next run, then as it left them; the first `count` are handed over.
    uint64_t lists[4];
    unsigned count;
};

// Makes a VM for a guest with x0 and x1, and lets it tell that it is there by a store to the device.
void capture(struct captive *captive, unsigned long type, const uint32_t *code, const uint32_t *end, uint64_t x0,
             uint64_t x1);
#define CAPTURE(captive, type, name, x0, x1) capture(captive, type, name, name##_end, x0, x1)
// One run: its answer. It is made again, with nothing asked for, while it comes back with interrupts of the machine.
struct raw enter(struct captive *captive, uint64_t request, uint64_t value);
// The same, which must come back with a store: its address; the value goes to `value`.
uint64_t enter_to_store(struct captive *captive, uint64_t request, uint64_t answer, uint64_t *value);
// Whether any register of an answer holds a value, or its low half.
bool shows(const struct raw *answer, uint64_t value);
void release(struct captive *captive);

#endif
