// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The groups of tests.

#ifndef TESTS_H
#define TESTS_H

#include "machine.h"
#include <signal.h>
#include <stdbool.h>

// A guest of guests.S, and putting it into a machine.
#define GUEST(name) extern const uint32_t name[], name##_end[]
#define LOAD(machine, name) load(machine, name, (name##_end - name) * 4)

// Runs a vCPU, which must come back with a store to the device, or with a system event.
void expect_store(struct machine *machine, unsigned vcpu, uint64_t offset, unsigned bytes, uint64_t value);
void expect_event(struct machine *machine, unsigned type);

void refusals(void);
void nonsense(unsigned long type, uint64_t seed, unsigned rounds);
void exits(void);
void ends(void);
void interrupts(void);
void sign_extension(void);
void registers(void);
void memory(void);
void vectors(void);
void cycles(unsigned long type, unsigned count);
void abi(void);
void limits(void);
void first_run(void);
void isolation(void);
void misuse(void);
void attacks(void);
void attack_named(const char *id, uint64_t bits);
void replay(uint64_t defences);

#endif
