// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Attacks by the names of the lab's table: what each does, and what they share.

#ifndef ATTACK_H
#define ATTACK_H

#include "peek.h"
#include "secrets.h"
#include "tests.h"

struct attack {
    const char *id;
    // What the attacker has got; NULL if nothing. The vaults are filled.
    const char *(*make)(void);
};
extern const struct attack memory_attacks[], call_attacks[], power_attacks[], process_attacks[];
extern const struct attack vcpu_attacks[], interrupt_attacks[], trap_attacks[], sweep_attacks[];

// A protected guest with a secret, another, and a normal one, with EL2's handles of them.
extern struct vault victim, rival, normal;
extern uint64_t victim_handle, rival_handle, normal_handle;
// A page of the process's own that stays where it is, and its frame.
extern uint64_t *bait, bait_frame;
// Ends the guest and makes it anew.
void renew_victim(void);
void renew_normal(void);
// A frame of the victim's secret; guest frames of every vault that have memory, and have none.
uint64_t stolen(void);
static const uint64_t TAKEN = (BASE + SECRET) / PAGE + 3, FREE = BASE / PAGE + 7;

// EL2's handle of a VM that was made since the last such question.
uint64_t new_handle(void);
// A call to EL2 that should be refused: `meaning` if it is not.
const char *gain(const char *meaning, struct peek call);
// Whether the secret, or a part of the host's memory that is EL2's, can be read anywhere.
const char *scan(const struct vault *vault);
// A machine for one of the guests that are attacked.
void make_small(struct machine *machine, unsigned long type, const uint32_t *code, const uint32_t *end, uint64_t x0,
                uint64_t x1);
// This thread goes on on one CPU, or on all of them.
void stay_on(unsigned cpu);
void stay_anywhere(void);
// Runs a machine's guest on CPU 1, until it is told to end.
void start_beside(struct machine *machine);
void end_beside(void);
// The next exit of it, which is a store to a device: its address; the value goes to `value`.
uint64_t next_store(struct machine *machine, uint64_t *value);

#endif
