// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A guest whose vCPU a hostile kernel runs by itself.

#include "captive.h"
#include <string.h>

void capture(struct captive *captive, unsigned long type, const uint32_t *code, const uint32_t *end, uint64_t x0,
             uint64_t x1)
{
    uint64_t value;
    memset(captive, 0, sizeof *captive);
    make_small(&captive->machine, type, code, end, x0, x1);
    captive->handle = new_handle();
    expect("where a guest tells that it is there", next_store(&captive->machine, &value), DEVICE);
}

struct raw enter(struct captive *captive, uint64_t request, uint64_t value)
{
    struct raw run;
    do {
        run = (struct raw){ .conduit = RAW_HVC,
                            .x = { CALL_RUN_VCPU, captive->handle, 0, request | captive->count << 8, value } };
        memcpy(&run.x[5], captive->lists, sizeof captive->lists);
        raw_call(&run);
        if (run.x[0] != STATUS_SUCCESS)
            return run;
        memcpy(captive->lists, &run.x[5], sizeof captive->lists);
        request = 0;
    } while (run.x[1] == EXIT_INTERRUPT);
    return run;
}

uint64_t enter_to_store(struct captive *captive, uint64_t request, uint64_t answer, uint64_t *value)
{
    struct raw run = enter(captive, request, answer);
    expect("the status of a raw run", run.x[0], STATUS_SUCCESS);
    expect("its exit", run.x[1], EXIT_WRITE);
    *value = run.x[4];
    return run.x[2];
}

bool shows(const struct raw *answer, uint64_t value)
{
    for (unsigned i = 1; i < 12; i++)
        if (answer->x[i] == value || (uint32_t)answer->x[i] == (uint32_t)value || answer->x[i] == value >> 32)
            return true;
    return false;
}

void release(struct captive *captive)
{
    end_machine(&captive->machine);
}
