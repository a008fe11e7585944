// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What rows of abi.def act on, and those of their functions that are about memory.

#ifndef ABI_H
#define ABI_H

#include "machine.h"

enum moment { BEFORE, DURING, AFTER };

// On what a row acts.
struct subject {
    struct machine *machine;
    int descriptor;
    unsigned vcpu;
    enum moment moment;
};

// Each makes a request with an argument that it knows how to read; the result, or a negative error number.
int region(struct subject *subject, unsigned long request, uint64_t flags);
int region_moves(struct subject *subject, unsigned long request, uint64_t argument);
int region_goes(struct subject *subject, unsigned long request, uint64_t argument);
int region2(struct subject *subject, unsigned long request, uint64_t flags);
int region2_goes(struct subject *subject, unsigned long request, uint64_t argument);
int region2_private(struct subject *subject, unsigned long request, uint64_t argument);
int create_memory(struct subject *subject, unsigned long request, uint64_t argument);

#endif
