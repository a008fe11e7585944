// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Attacks of guests on EL2, on firmware and on the machine, by their instructions.

#include "captive.h"
#include <stdio.h>
#include <string.h>

GUEST(guest_caller);
GUEST(guest_machinist);
GUEST(guest_stray);
GUEST(guest_straddler);

static char words[80];

// A number that the guest tells at an offset of the device, or its end.
static bool is_told(struct machine *machine, uint64_t offset, uint64_t *value)
{
    return next_store(machine, value) == DEVICE + offset;
}

// What a guest may call (SMCCC, PSCI, TRNG): everything else is not supported.
static bool is_for_guests(uint32_t function)
{
    // Bit 30 chooses among 32 and 64 bits, bit 16 says that no scalable vectors are in use.
    uint32_t narrow = function & ~0x40010000u;
    if (narrow >= 0x84000000 && narrow <= 0x8400001F)
        return true;
    return (narrow >= 0x84000050 && narrow <= 0x84000053) || narrow == 0x80000000 || narrow == 0x80000001 ||
           narrow == 0x80008000 || narrow == 0x80003FFF;
}

// Asks firmware about a CPU that the VM does not have; then makes calls of every kind.
static const char *firmware(void)
{
    static struct machine machine;
    const char *got = NULL;
    uint64_t function = 0, answer = 0;
    make_small(&machine, PROTECTED, guest_caller, guest_caller_end, 0, 0);
    if (!is_told(&machine, 0, &answer))
        die("the guest that calls");
    if (answer == 0)
        got = "firmware tells the guest that the machine's CPU 1 is on";
    while (!got && is_told(&machine, 8, &function)) {
        expect("an answer", is_told(&machine, 16, &answer), true);
        if (!is_for_guests(function)) {
            snprintf(words, sizeof words, "call 0x%lx is answered, by 0x%lx", function, answer);
            got = words;
        }
    }
    // The number of calls that were made.
    if (!got)
        expect("calls", function > 100000, true);
    end_machine(&machine);
    return got;
}

static const char *implementation_defined(void)
{
    static struct machine machine;
    uint64_t value = 0;
    make_small(&machine, PROTECTED, guest_machinist, guest_machinist_end, 0, 0);
    expect("a guest after maintenance by set and way", next_store(&machine, &value), DEVICE);
    next_store(&machine, &value);
    end_machine(&machine);
    // L2CTLR_EL1 has one less in bits 25:24; what is undefined is told as zero.
    return value >> 24 & 3 ? "the guest counts the machine's CPUs" : NULL;
}

// A guest's stores of a secret, none of which is an access to a device: what the host is told of them, if it has them
// end in an abort each.
static const char *told_of_stores(const uint32_t *code, const uint32_t *end, unsigned stores)
{
    static const uint64_t secret = 0x5EC2E70155EC2E72;
    static struct captive captive;
    const char *got = NULL;
    uint64_t request = RUN_COMPLETES;
    capture(&captive, PROTECTED, code, end, BASE + 7 * PAGE, secret);
    for (unsigned i = 0; i < stores && !got; i++) {
        struct raw run = enter(&captive, request, 0);
        if (shows(&run, secret)) {
            snprintf(words, sizeof words, "the host reads what the guest stores at 0x%lx", run.x[2]);
            got = words;
        } else {
            expect("the exit of a store", run.x[1], EXIT_FAULT);
        }
        request = RUN_ABORTS;
    }
    release(&captive);
    return got;
}

static const char *stray(void)
{
    return told_of_stores(guest_stray, guest_stray_end, 3);
}

static const char *across(void)
{
    return told_of_stores(guest_straddler, guest_straddler_end, 3);
}

const struct attack trap_attacks[] = {
    { "D04", stray }, { "D04c", across }, { "D05", firmware }, { "D07", implementation_defined }, { NULL, NULL },
};
