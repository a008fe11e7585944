// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A machine whose guest has a secret in its memory, and everybody's ways to get at it.

#ifndef SECRETS_H
#define SECRETS_H

#include "machine.h"
#include <stdbool.h>

// The guest's secret begins here in its memory.
enum { SECRET = 64 * PAGE, MOST_PAGES = 2048 };

struct vault {
    struct machine machine;
    unsigned pages;
    uint64_t seed;
    // The frame behind each page of the secret, once the guest has written it.
    uint64_t frames[MOST_PAGES];
};

// Makes a machine and loads its guest. The first half of the secret's pages hold their number and one.
void make_vault(struct vault *vault, struct plan plan, unsigned pages);
// The first run: the guest writes its secret, and asks what to do.
void fill_vault(struct vault *vault);
// Has the guest look at its secret so often; how many words were not as it left them.
uint64_t look(struct vault *vault, uint64_t rounds);
// Has the guest switch its machine off.
void switch_off(struct vault *vault);
void end_vault(struct vault *vault);

// The first word of a page of the secret, in the process.
volatile uint64_t *word_of(struct vault *vault, unsigned page);
// The secret's word at an offset in a page.
uint64_t secret_at(const struct vault *vault, unsigned page, unsigned offset);
// Whether a word is of the secret, wherever it is from.
bool is_secret(const struct vault *vault, uint64_t word);

// The ways to a page.
enum way { OWN, VM_CALL, MEM_FILE, PIPE, LINEAR_MAP, WAYS };
extern const char *const way_names[WAYS];
// Reads the first word of a page; false if that was refused, with a signal or an error.
bool read_by(enum way way, struct vault *vault, unsigned page, uint64_t *value);
// Writes it likewise; PIPE has no such way and is refused.
bool write_by(enum way way, struct vault *vault, unsigned page, uint64_t value);

#endif
