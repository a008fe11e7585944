// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The registers of a normal VM's vCPU as a VMM handles them that saves and restores machines: all that are
// listed are read and written back, and what identifies the CPU is what the guest reads.

#include "tests.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const uint32_t guest_identity[], guest_identity_end[];

#define SYSTEM(encoding) (0x6030000000130000ul + (encoding))
#define IDENTITY(crm, op2) SYSTEM(0xC000 + (crm) * 8 + (op2))
#define TIMER_CONTROL SYSTEM(0xDF19)
#define TIMER_COMPARE SYSTEM(0xDF02)
#define TIMER_COUNT SYSTEM(0xDF1A)

static struct {
    uint64_t count, identifiers[1024];
} list;

static int one_register(struct machine *machine, unsigned long request, uint64_t identifier, uint64_t value[2])
{
    struct kvm_one_reg reg = { .id = identifier, .addr = (uintptr_t)value };
    return call(machine->vcpu[0], request, &reg);
}

static void expect_listed(uint64_t identifier)
{
    unsigned found = 0;
    for (uint64_t i = 0; i < list.count; i++)
        found += list.identifiers[i] == identifier;
    char what[60];
    snprintf(what, sizeof what, "register %#lx in the list", (unsigned long)identifier);
    expect(what, found, 1);
}

// What any VMM looks for: core registers, EL1's, the timer's, the CPU's identity, PSCI.
static void listed(struct machine *machine)
{
    static const uint16_t systems[] = {
        0xC005, 0xC080, 0xC082, 0xC100, 0xC101, 0xC102, 0xC288, 0xC289, 0xC290, 0xC300, 0xC3A0, 0xC510, 0xC518,
        0xC600, 0xC681, 0xC684, 0xC708, 0xD000, 0xDE82, 0xDE83, 0xDF02, 0xDF19, 0xDF1A, 0x8012,
    };
    list.count = 1;
    expect("a list too short", call(machine->vcpu[0], KVM_GET_REG_LIST, &list), -E2BIG);
    uint64_t wanted = list.count;
    list.count = 1024;
    expect("the list", call(machine->vcpu[0], KVM_GET_REG_LIST, &list), 0);
    expect("the length that was told", list.count, wanted);
    for (uint64_t core = 0; core <= 0x48; core += 2)
        expect_listed(0x6030000000100000 + core);
    for (uint64_t vector = 0; vector < 32; vector++)
        expect_listed(0x6040000000100054 + 4 * vector);
    expect_listed(0x60200000001000D4);
    expect_listed(0x60200000001000D5);
    for (size_t i = 0; i < sizeof systems / sizeof *systems; i++)
        expect_listed(SYSTEM(systems[i]));
    for (uint64_t identity = 0x08; identity < 0x40; identity++)
        expect_listed(SYSTEM(0xC000 + identity));
    expect_listed(0x6030000000140000);
}

// Saves and restores, as QEMU does before a machine's first run, and later at any time.
static void written_back(struct machine *machine)
{
    for (uint64_t i = 0; i < list.count; i++) {
        uint64_t identifier = list.identifiers[i], value[2] = { 0, 0 }, again[2] = { 0, 0 };
        char what[60];
        snprintf(what, sizeof what, "register %#lx", (unsigned long)identifier);
        expect(what, one_register(machine, KVM_GET_ONE_REG, identifier, value), 0);
        expect(what, one_register(machine, KVM_SET_ONE_REG, identifier, value), 0);
        expect(what, one_register(machine, KVM_GET_ONE_REG, identifier, again), 0);
        if (identifier != TIMER_COUNT)
            expect(what, value[0] == again[0] && value[1] == again[1], 1);
    }
}

static uint64_t next_store(struct machine *machine)
{
    uint64_t value = 0;
    expect("run", run(machine, 0), 0);
    expect("reason", machine->run[0]->exit_reason, KVM_EXIT_MMIO);
    memcpy(&value, machine->run[0]->mmio.data, 8);
    return value;
}

void registers(void)
{
    static const uint64_t identities[] = {
        SYSTEM(0xC005), IDENTITY(4, 0), IDENTITY(4, 1), IDENTITY(5, 0), IDENTITY(6, 0), IDENTITY(6, 1),
        IDENTITY(7, 0), IDENTITY(7, 1), IDENTITY(7, 2),
    };
    static const uint64_t COUNT = 1ul << 50;
    struct machine machine;
    make_machine(&machine, 16 * PAGE, 1);
    load(&machine, guest_identity, (guest_identity_end - guest_identity) * 4);
    listed(&machine);
    written_back(&machine);
    set_register(&machine, 0, TIMER_COUNT, COUNT);
    set_register(&machine, 0, TIMER_COMPARE, COUNT + 12345);
    set_register(&machine, 0, TIMER_CONTROL, 2);
    for (size_t i = 0; i < sizeof identities / sizeof *identities; i++) {
        uint64_t value[2] = { 0, 0 };
        char what[60];
        snprintf(what, sizeof what, "register %#lx", (unsigned long)identities[i]);
        one_register(&machine, KVM_GET_ONE_REG, identities[i], value);
        expect(what, next_store(&machine), value[0]);
        value[0] ^= 0x10;
        expect(what, one_register(&machine, KVM_SET_ONE_REG, identities[i], value), -EINVAL);
    }
    uint64_t count = next_store(&machine);
    expect("the guest's count", count >= COUNT && count < COUNT + (1ul << 40), 1);
    expect("its compare value", next_store(&machine), COUNT + 12345);
    expect("its control register", next_store(&machine) & 3, 2);
    written_back(&machine);
    expect("its compare value afterwards", get_register(&machine, 0, TIMER_COMPARE), COUNT + 12345);
    end_machine(&machine);
}
