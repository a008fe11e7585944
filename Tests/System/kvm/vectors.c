// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Scalable vectors of a vCPU: how they are asked for, chosen and fixed, what a guest then has, and
// its registers from outside. A kernel or a CPU without them refuses each step.

#include "tests.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

extern const uint32_t guest_vectors[], guest_vectors_end[];

#define V0 0x6040000000100054ul
#define Z(n) (0x6080000000150000ul | (n) << 5)
#define P(n) (0x6050000000150400ul + ((n) << 5))
#define FFR P(16)
#define LENGTHS 0x606000000015FFFFul
#define ZCR_EL1 0x603000000013C090ul

enum { FEATURES = 1 << KVM_ARM_VCPU_PSCI_0_2 | 1 << KVM_ARM_VCPU_SVE, SVE = KVM_ARM_VCPU_SVE };

static int one_register(int vcpu, unsigned long request, uint64_t identifier, void *value)
{
    struct kvm_one_reg reg = { .id = identifier, .addr = (uintptr_t)value };
    return call(vcpu, request, &reg);
}

static int init(int vcpu, uint32_t features)
{
    struct kvm_vcpu_init init = { .target = KVM_ARM_TARGET_GENERIC_V8, .features = { features } };
    return call(vcpu, KVM_ARM_VCPU_INIT, &init);
}

static int finalise(int vcpu, int feature)
{
    return call(vcpu, KVM_ARM_VCPU_FINALIZE, &feature);
}

// A vCPU that has not asked for them has none.
static void without(int vm)
{
    uint64_t words[32];
    int vcpu = call_number(vm, KVM_CREATE_VCPU, 0);
    expect("finalise too early", finalise(vcpu, SVE), -ENOEXEC);
    expect("init without", init(vcpu, 1 << KVM_ARM_VCPU_PSCI_0_2), 0);
    expect("finalise without", finalise(vcpu, SVE), -EINVAL);
    expect("lengths without", one_register(vcpu, KVM_GET_ONE_REG, LENGTHS, words), -ENOENT);
    expect("z0 without", one_register(vcpu, KVM_GET_ONE_REG, Z(0ul), words), -ENOENT);
    expect("ZCR_EL1 without", one_register(vcpu, KVM_GET_ONE_REG, ZCR_EL1, words), -ENOENT);
    expect("v0 without", one_register(vcpu, KVM_GET_ONE_REG, V0, words), 0);
    expect("init with other features", init(vcpu, FEATURES), -EINVAL);
    close(vcpu);
}

// A vCPU that asks for the lengths `asked`, or all if that is zero; what it got.
static uint64_t choose(int vcpu, uint64_t asked)
{
    uint64_t words[32], lengths[8], wrong[8] = { 0 };
    struct kvm_reg_list list = { .n = 0 };
    expect("init", init(vcpu, FEATURES), 0);
    expect("lengths", one_register(vcpu, KVM_GET_ONE_REG, LENGTHS, lengths), 0);
    expect("the shortest length", lengths[0] & 1, 1);
    expect("no lengths", one_register(vcpu, KVM_SET_ONE_REG, LENGTHS, wrong), -EINVAL);
    wrong[0] = (lengths[0] & ~1ul) | 2;
    expect("not the shortest length", one_register(vcpu, KVM_SET_ONE_REG, LENGTHS, wrong), -EINVAL);
    wrong[0] = lengths[0];
    wrong[1] = 1;
    expect("a length that nobody has", one_register(vcpu, KVM_SET_ONE_REG, LENGTHS, wrong), -EINVAL);
    if (asked) {
        memset(lengths, 0, sizeof lengths);
        lengths[0] = asked;
        expect("a choice", one_register(vcpu, KVM_SET_ONE_REG, LENGTHS, lengths), 0);
    }
    expect("z0 too early", one_register(vcpu, KVM_GET_ONE_REG, Z(0ul), words), -EPERM);
    expect("a list too early", call(vcpu, KVM_GET_REG_LIST, &list), -EPERM);
    expect("finalise something else", finalise(vcpu, 3), -EINVAL);
    expect("run too early", call_number(vcpu, KVM_RUN, 0), -EPERM);
    expect("finalise", finalise(vcpu, SVE), 0);
    expect("finalise twice", finalise(vcpu, SVE), -EPERM);
    expect("a choice too late", one_register(vcpu, KVM_SET_ONE_REG, LENGTHS, lengths), -EPERM);
    memset(words, 0xFF, sizeof words);
    expect("lengths then", one_register(vcpu, KVM_GET_ONE_REG, LENGTHS, words), 0);
    expect("the lengths", memcmp(words, lengths, sizeof lengths), 0);
    expect("v0 beside z0", one_register(vcpu, KVM_GET_ONE_REG, V0, words), -EINVAL);
    expect("a second part of z0", one_register(vcpu, KVM_GET_ONE_REG, Z(0ul) | 1, words), -ENOENT);
    return lengths[0];
}

// Registers from outside, before and after a guest that computes with them.
static void exchange(struct machine *machine, unsigned bytes)
{
    uint8_t pattern[256], found[256], ones[32];
    int vcpu = machine->vcpu[0];
    for (unsigned i = 0; i < 256; i++)
        pattern[i] = i < bytes ? i * 3 + 1 : 0xEE;
    memset(ones, 0xFF, sizeof ones);
    // With a shorter length at EL1 a CPU may drop the upper parts before the guest chooses this one.
    set_register(machine, 0, ZCR_EL1, 15);
    expect("set z4", one_register(vcpu, KVM_SET_ONE_REG, Z(4ul), pattern), 0);
    expect("set p2", one_register(vcpu, KVM_SET_ONE_REG, P(2ul), ones), 0);
    load(machine, guest_vectors, (guest_vectors_end - guest_vectors) * 4);
    expect("run", run(machine, 0), 0);
    expect("reason", machine->run[0]->exit_reason, KVM_EXIT_MMIO);
    uint64_t value = 0;
    memcpy(&value, machine->run[0]->mmio.data, 8);
    expect("the guest's length", value, bytes);
    expect("z5", one_register(vcpu, KVM_GET_ONE_REG, Z(5ul), found), 0);
    for (unsigned i = 0; i < 256; i++)
        if (found[i] != (i < bytes ? (uint8_t)(pattern[i] * 2) : 0))
            expect("a byte of z5", found[i], (uint8_t)(pattern[i] * 2));
    memset(found, 0, sizeof found);
    memset(found, 0xFF, bytes / 8);
    uint8_t predicate[32];
    expect("p2", one_register(vcpu, KVM_GET_ONE_REG, P(2ul), predicate), 0);
    expect("its bits", memcmp(predicate, found, 32), 0);
    expect("FFR", one_register(vcpu, KVM_GET_ONE_REG, FFR, predicate), 0);
    expect("its bits", memcmp(predicate, found, 32), 0);
    expect("ZCR_EL1", get_register(machine, 0, ZCR_EL1), 15);
    expect("z31 has nothing of the host's", one_register(vcpu, KVM_GET_ONE_REG, Z(31ul), pattern), 0);
    memset(found, 0, sizeof found);
    expect("but zeroes", memcmp(pattern, found, sizeof found), 0);
}

void vectors(void)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    bool is_offered = call_number(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_SVE) == 1;
    int vm = call_number(kvm, KVM_CREATE_VM, 0);
    without(vm);
    close(vm);
    if (!is_offered) {
        vm = call_number(kvm, KVM_CREATE_VM, 0);
        int vcpu = call_number(vm, KVM_CREATE_VCPU, 0);
        expect("asking where there is none", init(vcpu, FEATURES), -EINVAL);
        close(vcpu);
        close(vm);
        close(kvm);
        printf("no scalable vectors are offered, ");
        return;
    }
    uint64_t all = 0;
    // All that there is, then every other choice of lengths.
    for (unsigned longest = 16; longest > 0; longest--) {
        uint64_t asked = all & ((1ul << longest) - 1);
        struct machine machine;
        if (all && !(all >> (longest - 1) & 1))
            continue;
        make_bare_machine(&machine, (struct plan){ .backing = &anonymous }, 16 * PAGE, 1);
        uint64_t got = choose(machine.vcpu[0], asked);
        if (!all)
            all = got;
        give_gic(&machine);
        exchange(&machine, 16 * (64 - __builtin_clzl(got)));
        end_machine(&machine);
    }
    close(kvm);
    printf("lengths %#lx, ", (unsigned long)all);
}
