// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Attacks by the virtual CPU interface: with list registers that no module would hand over.

#define _GNU_SOURCE
#include "captive.h"
#include <sched.h>

GUEST(guest_acknowledger);
GUEST(guest_waiter);

// ICH_LR<n>_EL2: pending, group 1, a priority; and that it belongs to an interrupt of the machine (IHI 0069).
static const uint64_t PENDING = 1ul << 62 | 1ul << 60 | 0xA0ul << 48, HARDWARE = 1ul << 61;
enum { SPURIOUS = 1023 };

// The machine's distributor: the bits of the interrupts that are active, to set and to clear.
enum { MACHINES_DISTRIBUTOR = 0x08000000, ISACTIVER = 0x300, ICACTIVER = 0x380 };

static struct raw of_distributor(unsigned offset, unsigned interrupt)
{
    return (struct raw){ .x = { MACHINES_DISTRIBUTOR + offset + interrupt / 32 * 4, 1ul << interrupt % 32 } };
}

static void set_active(unsigned interrupt, bool is_active)
{
    struct raw store = of_distributor(is_active ? ISACTIVER : ICACTIVER, interrupt);
    raw_request(RAW_DEVICE_STORE, &store);
}

static bool is_active(unsigned interrupt)
{
    struct raw load = of_distributor(ISACTIVER, interrupt);
    raw_request(RAW_DEVICE_LOAD, &load);
    return load.x[1] >> interrupt % 32 & 1;
}

// The interrupt that a guest acknowledges when it is run with a list register.
static uint64_t acknowledged(struct captive *captive, uint64_t list)
{
    uint64_t interrupt = 0;
    captive->lists[0] = list;
    captive->count = 1;
    enter_to_store(captive, RUN_COMPLETES, 0, &interrupt);
    return interrupt;
}

// One number in two list registers, and bits that have no meaning.
static const char *malformed(struct captive *captive)
{
    static const uint64_t reserved = 1ul << 59 | 0x3Ful << 42;
    uint64_t interrupt = 0;
    captive->lists[1] = captive->lists[0] = PENDING | 40;
    captive->count = 2;
    enter_to_store(captive, RUN_COMPLETES, 0, &interrupt);
    if (captive->lists[1])
        return "two list registers have one number";
    captive->lists[0] = PENDING | reserved | 42;
    enter_to_store(captive, RUN_COMPLETES, 0, &interrupt);
    expect("the interrupt that is left", interrupt, 42);
    return captive->lists[0] & reserved ? "a list register has reserved bits" : NULL;
}

static const char *special_numbers(void)
{
    static const uint64_t numbers[] = { 1020, 1021, 1022, 8192, 0xFFFFFF };
    static struct captive captive;
    const char *got = NULL;
    CAPTURE(&captive, PROTECTED, guest_acknowledger, 0, 0);
    expect("an interrupt that may be", acknowledged(&captive, PENDING | 40), 40);
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers && !got; i++) {
        uint64_t interrupt = acknowledged(&captive, PENDING | numbers[i]);
        if (interrupt != SPURIOUS)
            got = "the guest acknowledges a number that no interrupt has";
        else
            expect("what is left of the list register", captive.lists[0], 0);
    }
    for (uint64_t count = 5; count < 16 && !got; count++)
        got = gain("a run takes more list registers than there are",
                   (struct peek){ { CALL_RUN_VCPU, captive.handle, 0, count << 8 } });
    if (!got)
        got = malformed(&captive);
    release(&captive);
    return got;
}

static const char *machines_interrupt(void)
{
    // A shared interrupt that the machine does not use.
    enum { INTERRUPT = 100 };
    static struct captive captive;
    uint64_t next = 0;
    CAPTURE(&captive, PROTECTED, guest_acknowledger, 0, 0);
    set_active(INTERRUPT, true);
    expect("an active interrupt of the machine", is_active(INTERRUPT), true);
    expect("what the guest acknowledges",
           acknowledged(&captive, PENDING | HARDWARE | (uint64_t)INTERRUPT << 32 | 41), 41);
    // It has ended that one when it tells of the next.
    enter_to_store(&captive, RUN_COMPLETES, 0, &next);
    bool is_left = is_active(INTERRUPT);
    set_active(INTERRUPT, false);
    release(&captive);
    return is_left ? NULL : "the guest has ended an interrupt of the machine";
}

static const char *left_interrupts(void)
{
    static struct captive captive, next;
    uint64_t interrupt = 0;
    cpu_set_t all, one;
    CAPTURE(&captive, PROTECTED, guest_waiter, 0, 0);
    CAPTURE(&next, 0, guest_acknowledger, 0, 0);
    sched_getaffinity(0, sizeof all, &all);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    captive.lists[0] = PENDING | 45;
    captive.count = 1;
    enter(&captive, RUN_COMPLETES, 0);
    enter_to_store(&next, RUN_COMPLETES, 0, &interrupt);
    sched_setaffinity(0, sizeof all, &all);
    release(&captive);
    release(&next);
    if (interrupt == 45)
        return "a guest acknowledges another's interrupt";
    expect("what a guest without interrupts acknowledges", interrupt, SPURIOUS);
    return NULL;
}

const struct attack interrupt_attacks[] = {
    { "C08", special_numbers }, { "C09", machines_interrupt }, { "C10", left_interrupts }, { NULL, NULL },
};
