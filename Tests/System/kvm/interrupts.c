// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// More interrupts at once than a CPU has list registers, and what the GIC's registers show of those
// that a running vCPU has. A group of its own, because Linux's KVM has not always done that.

#include "tests.h"
#include <pthread.h>

GUEST(guest_nested);
GUEST(guest_observer);

// Eight interrupts, each of higher priority than the one before, all active at once.
static void nested(void)
{
    struct machine machine;
    make_machine(&machine, 16 * PAGE, 1);
    LOAD(&machine, guest_nested);
    // EOI deactivates: acknowledged in order, all active, none active.
    for (unsigned intid = 32; intid < 40; intid++)
        expect_store(&machine, 0, 0, 4, intid);
    expect_store(&machine, 0, 4, 4, 0xFF);
    expect_store(&machine, 0, 4, 4, 0);
    // All pending at once: the highest priority first, each once.
    for (unsigned intid = 39; intid >= 32; intid--)
        expect_store(&machine, 0, 0, 4, intid);
    expect_store(&machine, 0, 0, 4, 1023);
    // EOI only drops the priority, and DIR deactivates in another order.
    for (unsigned intid = 32; intid < 40; intid++)
        expect_store(&machine, 0, 0, 4, intid);
    expect_store(&machine, 0, 4, 4, 0xFF);
    for (unsigned intid = 32; intid < 40; intid++)
        expect_store(&machine, 0, 4, 4, 0xFF & 0xFE << (intid - 32));
    expect_event(&machine, KVM_SYSTEM_EVENT_SHUTDOWN);
    end_machine(&machine);
}

static void *run_other(void *argument)
{
    struct machine *machine = argument;
    expect_store(machine, 1, 8, 4, 40);
    return NULL;
}

// One vCPU looks at an interrupt that the other has pending, active and ended without a trip outside.
static void observed(void)
{
    struct machine machine;
    pthread_t thread;
    make_machine(&machine, 16 * PAGE, 2);
    LOAD(&machine, guest_observer);
    if (pthread_create(&thread, NULL, run_other, &machine))
        die("pthread_create");
    for (unsigned round = 0; round < 50; round++) {
        expect_store(&machine, 0, 0, 4, 0x100); // active
        expect_store(&machine, 0, 4, 4, 0); // not pending
        expect_store(&machine, 0, 0, 4, 0); // not active
    }
    expect_store(&machine, 0, 12, 4, 0);
    pthread_join(thread, NULL);
    expect_event(&machine, KVM_SYSTEM_EVENT_SHUTDOWN);
    end_machine(&machine);
}

void interrupts(void)
{
    nested();
    observed();
}
