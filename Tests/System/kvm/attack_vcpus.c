// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Attacks of a host that runs vCPUs as it likes.

#include "captive.h"

GUEST(guest_asker);
GUEST(guest_waiter);
GUEST(guest_clock);
GUEST(guest_narrow);

// EL2h, EL2t, EL3h, and AArch32.
static const char *forbidden_state(void)
{
    static const uint64_t states[] = { 0x3C9, 0x3C8, 0x3CD, 0x1D3 };
    for (unsigned i = 0; i < sizeof states / sizeof *states; i++) {
        uint64_t state = states[i];
        struct kvm_one_reg reg = { .id = PSTATE, .addr = (uintptr_t)&state };
        struct peek set = { { CALL_SET_REGISTER, normal_handle, 0, PROGRAM_STATE, state } };
        struct peek get = { { CALL_GET_REGISTER, normal_handle, 0, PROGRAM_STATE } };
        if (!call(normal.machine.vcpu[0], KVM_SET_ONE_REG, &reg))
            return "the process has EL2 return to another exception level";
        peek_call(&set);
        expect("reading PSTATE", peek_call(&get), STATUS_SUCCESS);
        if (get.x[1] == state)
            return "EL2 is to return to another exception level";
    }
    return NULL;
}

static const char *second_answer(void)
{
    static struct captive captive;
    uint64_t value = 0;
    CAPTURE(&captive, PROTECTED, guest_asker, 0, 0);
    struct raw run = enter(&captive, RUN_COMPLETES, 0xBAD);
    expect("the exit of a load", run.x[1], EXIT_READ);
    run = enter(&captive, RUN_COMPLETES, 0x11);
    expect("the exit of a wait", run.x[1], EXIT_WAIT);
    enter_to_store(&captive, RUN_COMPLETES, 0xBAD, &value);
    // A store has no answer either.
    if (value != 0xBAD) {
        expect("what the guest was answered", value, 0x11);
        enter(&captive, RUN_COMPLETES, 0xBAD);
        enter_to_store(&captive, RUN_COMPLETES, 0xBAD, &value);
    }
    release(&captive);
    return value == 0xBAD ? "the guest takes an answer that it has not asked for" : NULL;
}

static const char *abort_for_nothing(void)
{
    static struct captive captive;
    const char *got = NULL;
    uint64_t syndrome = 0;
    CAPTURE(&captive, PROTECTED, guest_waiter, 0, 0);
    // What no bit stands for is not asked for in its place.
    for (unsigned bit = 2; bit < 64 && !got; bit++)
        if (bit < 8 || (bit >= 12 && bit < 16) || bit >= 32)
            got = gain("a run takes a request that means nothing",
                       (struct peek){ { CALL_RUN_VCPU, captive.handle, 0, 1ul << bit } });
    struct raw run = enter(&captive, RUN_COMPLETES, 0);
    expect("the exit of a wait", run.x[1], EXIT_WAIT);
    if (!got && enter_to_store(&captive, RUN_ABORTS, 0, &syndrome) != DEVICE)
        got = "the guest is in its handler";
    release(&captive);
    return got;
}

static const char *shifted_counter(void)
{
    static struct captive captive;
    uint64_t is_shifted = 0;
    make_small(&captive.machine, PROTECTED, guest_clock, guest_clock_end, 0, 0);
    captive.handle = new_handle();
    struct peek shift = { { CALL_SET_REGISTER, captive.handle, 0, TIMER_COUNT, 0x5EC2E7 } };
    const char *got = gain("EL2 sets its count before the first run", shift);
    next_store(&captive.machine, &is_shifted);
    for (unsigned i = 0; i < 10 && !got && !is_shifted; i++) {
        got = gain("EL2 sets its count", shift);
        next_store(&captive.machine, &is_shifted);
    }
    release(&captive);
    return got || !is_shifted ? got : "the guest's virtual count is not the physical one";
}

static const char *narrow(void)
{
    static struct captive captive;
    const char *got = NULL;
    CAPTURE(&captive, PROTECTED, guest_narrow, 0, 0);
    struct raw first = enter(&captive, RUN_COMPLETES, 0);
    for (unsigned i = 0; i < 3 && !got; i++) {
        struct peek reset = { { CALL_RESET_VCPU, captive.handle, 0, 1 } };
        struct peek power = { { CALL_SET_REGISTER, captive.handle, 0, POWER, 1 } };
        peek_call(i == 1 ? &reset : &power);
        struct raw again = enter(&captive, RUN_COMPLETES, 0);
        if (again.x[0] == STATUS_SUCCESS && again.x[1] != EXIT_OFF)
            got = "the guest runs on in AArch32";
    }
    if (!got)
        expect("the exit of a guest in AArch32", first.x[1], EXIT_UNSUPPORTED);
    release(&captive);
    return got;
}

const struct attack vcpu_attacks[] = {
    { "C02", forbidden_state }, { "C03", second_answer }, { "C04", abort_for_nothing }, { "C07", shifted_counter },
    { "C14", narrow }, { NULL, NULL },
};
