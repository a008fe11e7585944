// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The groups of tests.

#ifndef TESTS_H
#define TESTS_H

#include "machine.h"
#include <signal.h>
#include <stdbool.h>

void refusals(void);
void nonsense(unsigned long type, uint64_t seed, unsigned rounds);
void exits(void);
void sign_extension(void);
void registers(void);
void memory(void);
void vectors(void);
void cycles(unsigned long type, unsigned count);
void abi(void);
void isolation(void);
void misuse(void);
void attacks(void);

#endif
