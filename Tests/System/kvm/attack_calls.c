// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Attacks by calls, on vCPUs, and by what a CPU is left with.

#define _GNU_SOURCE
#include "attack.h"
#include "raw.h"

GUEST(guest_filler);
GUEST(guest_counter);
GUEST(guest_beat);

enum { CALL_VERSION = 0xC6004000 };

static const char *immediates(void)
{
    static const unsigned values[] = { 1, 2, 0x7FFF, 0xFFFF };
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
        struct raw call = { .conduit = RAW_HVC, .immediate = values[i], .x = { CALL_VERSION } };
        raw_call(&call);
        if (call.x[0] == STATUS_SUCCESS)
            return "another HVC than #0 is a call";
    }
    return NULL;
}

static const char *old_handle(void)
{
    uint64_t old = normal_handle;
    renew_normal();
    const char *got = gain("the old handle is the new VM's", (struct peek){ { CALL_MAP_GUEST, old, FREE, bait_frame, 1, 3 } });
    end_vault(&normal);
    return got;
}

static const char *its_registers(void)
{
    uint64_t value = 0;
    struct kvm_one_reg reg = { .id = X(2), .addr = (uintptr_t)&value };
    const char *got = gain("EL2 tells its x2", (struct peek){ { CALL_GET_REGISTER, victim_handle, 0, 2 } });
    if (!got)
        got = gain("EL2 sets its PC", (struct peek){ { CALL_SET_REGISTER, victim_handle, 0, 0x101, BASE } });
    if (!got && !call(victim.machine.vcpu[0], KVM_GET_ONE_REG, &reg) && value == victim.seed)
        got = "the process reads its x2";
    return got;
}

// The process's own vector registers, right after a run.
static bool has_vectors(uint64_t pattern)
{
    uint64_t words[8];
    asm volatile("umov %0, v0.d[0]\n umov %1, v1.d[0]\n umov %2, v2.d[0]\n umov %3, v3.d[0]\n"
                 "umov %4, v4.d[0]\n umov %5, v5.d[0]\n umov %6, v6.d[0]\n umov %7, v7.d[0]\n"
                 : "=&r"(words[0]), "=&r"(words[1]), "=&r"(words[2]), "=&r"(words[3]), "=&r"(words[4]),
                   "=&r"(words[5]), "=&r"(words[6]), "=&r"(words[7]));
    for (unsigned i = 0; i < 8; i++)
        if (words[i] == pattern)
            return true;
    return false;
}

static const char *vectors_left(void)
{
    static struct machine machine;
    const uint64_t pattern = 0x5EC2E7015EC2E702;
    bool is_left = false;
    make_small(&machine, PROTECTED, guest_filler, guest_filler_end, pattern, 0);
    for (unsigned i = 0; i < 100 && !is_left; i++) {
        // v0 is the process's, and in the CPU.
        asm volatile("movi v0.2d, #0\n movi v1.2d, #0\n movi v2.2d, #0" ::: "v0", "v1", "v2");
        run(&machine, 0);
        is_left = has_vectors(pattern);
    }
    end_machine(&machine);
    return is_left ? "the process finds the guest's vectors in its own" : NULL;
}

static const char *second_start(void)
{
    static struct machine machine;
    make_machine_as(&machine, (struct plan){ .type = PROTECTED, .backing = &anonymous }, 16 * PAGE, 2);
    uint64_t handle = new_handle();
    const char *got = gain("a second vCPU is on", (struct peek){ { CALL_RESET_VCPU, handle, 1, 1 } });
    end_machine(&machine);
    return got;
}

static const char *counters(void)
{
    static struct machine machine;
    uint64_t value = 0;
    make_small(&machine, PROTECTED, guest_counter, guest_counter_end, 0, 0);
    uint64_t address = next_store(&machine, &value);
    end_machine(&machine);
    return address == DEVICE ? "the guest has the machine's performance counters" : NULL;
}

// A run that the module knows nothing of, on this CPU: whether EL2 makes it.
static bool is_run(uint64_t handle)
{
    struct raw call = { .conduit = RAW_HVC, .x = { CALL_RUN_VCPU, handle } };
    raw_call(&call);
    return call.x[0] == STATUS_SUCCESS;
}

static const char *two_runs(void)
{
    static struct machine machine;
    uint64_t value;
    unsigned runs = 0;
    make_small(&machine, PROTECTED, guest_beat, guest_beat_end, 0, 0);
    uint64_t handle = new_handle();
    next_store(&machine, &value);
    start_beside(&machine);
    // Between a tick and the next run it runs nowhere: not three times in a row.
    for (unsigned i = 0; i < 3; i++)
        runs += is_run(handle);
    end_beside();
    end_machine(&machine);
    return runs == 3 ? "two CPUs run one vCPU" : NULL;
}

static const char *ending(void)
{
    static struct machine machine;
    make_small(&machine, PROTECTED, guest_beat, guest_beat_end, 0, 0);
    uint64_t handle = new_handle();
    struct peek end = { { CALL_DESTROY_VM, handle } };
    expect("the VM's end", peek_call(&end), STATUS_SUCCESS);
    const char *got = is_run(handle) ? "a guest runs whose memory goes back" : NULL;
    end_machine(&machine);
    return got;
}

const struct attack call_attacks[] = {
    { "B02", immediates }, { "B03", old_handle }, { "B04", two_runs }, { "B06", ending }, { "C01", its_registers },
    { "C05", vectors_left }, { "C12", second_start }, { "D06", counters }, { NULL, NULL },
};
