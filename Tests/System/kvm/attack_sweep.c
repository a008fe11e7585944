// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A guest that uses every system register that an instruction can name, at EL1 and at EL0.

#include "attack.h"
#include <stdio.h>
#include <string.h>

GUEST(guest_sweeper);
extern const uint32_t guest_sweeper_told[];

// A register by the bits of MRS and MSR: op0 less 2, op1, CRn, CRm, op2.
enum { REGISTERS = 1 << 15 };
static unsigned op1_of(unsigned name) { return name >> 11 & 7; }
static unsigned crn_of(unsigned name) { return name >> 7 & 15; }
static unsigned crm_of(unsigned name) { return name >> 3 & 15; }
#define NAME(op0, op1, crn, crm, op2) (((op0) - 2) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))

// What no guest has: trace; implementation defined registers; what EL2 and EL3 have; the counters of performance
// and of activity; profiling; limited ordering regions and memory partitions.
static bool is_nobodys(unsigned name)
{
    unsigned op1 = op1_of(name), crn = crn_of(name), crm = crm_of(name);
    if (name < NAME(3, 0, 0, 0, 0))
        return op1 == 1 || op1 >= 4;
    if (crn == 11 || crn == 15 || op1 >= 4)
        return true;
    if (op1 == 0)
        return (crn == 9 && crm >= 9) || (crn == 10 && (crm == 4 || crm == 5));
    return op1 == 3 && ((crn == 9 && crm >= 12) || (crn == 13 && crm >= 2) || (crn == 14 && crm >= 8));
}

// Whether a value is an address of the host's kernel, or the register in which its process keeps its thread.
static bool is_hosts(uint64_t value)
{
    return (value >> 48 == 0xFFFF && value != ~0ul) || value == (uintptr_t)__builtin_thread_pointer();
}

// MRS x0 of each register, or MSR of zero, and a call after each.
static void write_stream(struct machine *machine, uint64_t offset, uint32_t instruction)
{
    uint32_t *stream = (uint32_t *)(machine->memory + offset);
    int64_t told = (guest_sweeper_told - guest_sweeper) * 4;
    for (unsigned name = 0; name < REGISTERS; name++) {
        stream[2 * name] = instruction | name << 5;
        stream[2 * name + 1] = 0x94000000 | ((told - (int64_t)offset - 8 * name - 4) / 4 & 0x03FFFFFF);
    }
    // Without its vectors the guest would hear of nothing any more.
    if (instruction == 0xD510001F)
        stream[2 * NAME(3, 0, 12, 0, 0)] = 0xD503201F; // NOP
    stream[2 * REGISTERS] = 0xD65F0380; // RET x28
}

static const char *sweep(void)
{
    enum { READS = 1 << 20, WRITES = 2 << 20, PASSES = 4 };
    static const char *const passes[] = { "reads at EL1", "writes at EL1", "reads at EL0", "writes at EL0" };
    static struct machine machine;
    static char words[80];
    const char *got = NULL;
    uint64_t value = 0, name = 0, pass = 0;
    unsigned counts[PASSES] = { 0 };
    make_small(&machine, PROTECTED, guest_sweeper, guest_sweeper_end, BASE + READS, BASE + WRITES);
    write_stream(&machine, READS, 0xD5300000);
    write_stream(&machine, WRITES, 0xD510001F);
    while (!got && pass < PASSES) {
        uint64_t address = next_store(&machine, &value);
        if (address == DEVICE)
            pass = value;
        else if (address == DEVICE + 8)
            name = value;
        else {
            counts[pass]++;
            if (is_nobodys(name) || (pass % 2 == 0 && is_hosts(value))) {
                snprintf(words, sizeof words, "the guest %s S%lu_%u_C%u_C%u_%lu: 0x%lx", passes[pass], (name >> 14) + 2,
                         op1_of(name), crn_of(name), crm_of(name), name & 7, value);
                got = words;
            }
        }
    }
    printf("%u and %u registers at EL1, %u and %u at EL0\n", counts[0], counts[1], counts[2], counts[3]);
    // Those that each guest must have, or the sweep has not been.
    if (!got) {
        expect("registers that can be read at EL1", counts[0] > 80, true);
        expect("registers that can be written at EL1", counts[1] > 40, true);
        expect("registers that can be read at EL0", counts[2] > 5, true);
        expect("registers that can be written at EL0", counts[3] > 2, true);
    }
    end_machine(&machine);
    return got;
}

const struct attack sweep_attacks[] = { { "D06b", sweep }, { NULL, NULL } };
