// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What is measured of two vCPUs: an SGI to the other one, which sleeps, and its answer.

#define _GNU_SOURCE
#include "probe.h"
#include <pthread.h>

enum { ROUNDS = 1024 };

// The second vCPU's thread. Nobody sets registers of a protected VM but its first vCPU's, which
// starts it by CPU_ON.
static void *answer(void *argument)
{
    struct vm *vm = argument;
    start_vm(vm, 1);
    carry_out(vm, 1, (struct order) { guest_gic_start, 1, 1, 0, ROW_NOTHING });
    carry_out(vm, 1, (struct order) { guest_pong, ROUNDS, 1, 0, ROW_NOTHING });
    return NULL;
}

void measure_interrupts_between(enum kind kind)
{
    struct vm vm = { .kind = kind };
    pthread_t thread;
    make_memory(&vm);
    make_vm(&vm, 2);
    start_vm(&vm, 0);
    carry_out(&vm, 0, (struct order) { guest_gic_start, 1, 0, 0, ROW_NOTHING });
    if (pthread_create(&thread, NULL, answer, &vm))
        die("pthread_create");
    carry_out(&vm, 0, (struct order) { guest_start_other, 1, CODE, ROW_NOTHING, ROW_NOTHING });
    measure(&vm, ROW_SGI_OTHER, guest_ping, ROUNDS, 2, 0);
    pthread_join(thread, NULL);
    end_vm(&vm, ROW_NOTHING);
    drop_memory(&vm);
}
