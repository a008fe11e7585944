// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Every request of every descriptor, of normal and of protected VMs, before, during and after the
// first run, with the exact answer: the rows of abi.def.

#define _GNU_SOURCE
#include "abi.h"
#include "tests.h"
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

extern const uint32_t guest_beat[], guest_beat_end[];

// Requests that are younger than some systems' headers.
#ifndef KVM_SET_MEMORY_ATTRIBUTES
#define KVM_SET_MEMORY_ATTRIBUTES _IOW(KVMIO, 0xd2, uint64_t[4])
#endif
#ifndef KVM_ARM_SET_COUNTER_OFFSET
#define KVM_ARM_SET_COUNTER_OFFSET _IOW(KVMIO, 0xb5, uint64_t[2])
#endif

enum { OK = 0 };
#define SYSTEM(encoding) (0x6030000000130000ul + (encoding))
#define IDENTITY(crm, op2) SYSTEM(0xC000 + (crm) * 8 + (op2))
#define SP 0x603000000010003Eul
#define SCTLR SYSTEM(0xC080)
#define TTBR0 SYSTEM(0xC100)
#define MPIDR SYSTEM(0xC005)
#define TIMER_CONTROL SYSTEM(0xDF19)
#define TIMER_COMPARE SYSTEM(0xDF02)
#define TIMER_COUNT SYSTEM(0xDF1A)
#define V0 0x6040000000100054ul
#define FPCR 0x60200000001000D5ul
#define VERSION_OF_PSCI 0x6030000000140000ul

// A group in the high half and an attribute in the low one.
#define GIC_INTERRUPTS ((uint64_t)KVM_DEV_ARM_VGIC_GRP_NR_IRQS << 32)
#define GIC_INIT ((uint64_t)KVM_DEV_ARM_VGIC_GRP_CTRL << 32 | KVM_DEV_ARM_VGIC_CTRL_INIT)
#define GIC_DISTRIBUTOR ((uint64_t)KVM_DEV_ARM_VGIC_GRP_DIST_REGS << 32)
#define GIC_REDISTRIBUTOR ((uint64_t)KVM_DEV_ARM_VGIC_GRP_REDIST_REGS << 32)
#define GIC_CPU ((uint64_t)KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS << 32 | 0xC230)
#define GIC_LEVELS ((uint64_t)KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO << 32)

static int plain(struct subject *subject, unsigned long request, uint64_t argument)
{
    return call_number(subject->descriptor, request, argument);
}

static int buffer(struct subject *subject, unsigned long request, uint64_t argument)
{
    uint64_t words[512] = { argument };
    return call(subject->descriptor, request, words);
}

static int create_vm(struct subject *subject, unsigned long request, uint64_t argument)
{
    int vm = call_number(subject->descriptor, request, subject->machine->plan.type | argument);
    if (vm >= 0)
        close(vm);
    return vm;
}

// The vCPU that has been made last and is not initialised.
static int spare[2];

static int *spare_of(struct subject *subject)
{
    return &spare[subject->machine->plan.type == PROTECTED];
}

static int create_vcpu(struct subject *subject, unsigned long request, uint64_t argument)
{
    int vcpu = call_number(subject->descriptor, request, 4 + subject->moment);
    if (vcpu >= 0)
        *spare_of(subject) = vcpu;
    return vcpu;
}

static int do_init(int vcpu, unsigned number)
{
    struct kvm_vcpu_init init = { .target = KVM_ARM_TARGET_GENERIC_V8 };
    init.features[0] = 1u << KVM_ARM_VCPU_PSCI_0_2 | (number ? 1u << KVM_ARM_VCPU_POWER_OFF : 0);
    return call(vcpu, KVM_ARM_VCPU_INIT, &init);
}

static int init(struct subject *subject, unsigned long request, uint64_t argument)
{
    return do_init(subject->descriptor, subject->vcpu);
}

static int init_spare(struct subject *subject, unsigned long request, uint64_t argument)
{
    // Before the run one is initialised that is not used again, so that the spare one stays.
    int vcpu = *spare_of(subject);
    if (subject->moment == BEFORE)
        vcpu = call_number(subject->descriptor, KVM_CREATE_VCPU, 9);
    return do_init(vcpu, 9);
}

static int line(struct subject *subject, unsigned long request, uint64_t argument)
{
    struct kvm_irq_level level = { .irq = 1 << 24 | 40, .level = 0 };
    return call(subject->descriptor, request, &level);
}

static int create_gic(struct subject *subject, unsigned long request, uint64_t flags)
{
    struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3, .flags = flags };
    int vm = subject->descriptor, result;
    // A VM without a GIC is to stay one.
    if (subject->machine->plan.gic == WITHOUT_GIC && subject->moment == BEFORE)
        vm = call_number(subject->machine->kvm, KVM_CREATE_VM, subject->machine->plan.type);
    result = call(vm, request, &device);
    if (result >= 0 && !flags)
        close(device.fd);
    if (vm != subject->descriptor)
        close(vm);
    return result;
}

static int leave(struct subject *subject, unsigned long request, uint64_t argument)
{
    struct kvm_run *page = subject->machine->run[subject->vcpu];
    page->immediate_exit = 1;
    int result = call_number(subject->descriptor, request, 0);
    page->immediate_exit = 0;
    return result;
}

static int one_register(struct subject *subject, unsigned long request, uint64_t identifier, uint64_t *value)
{
    struct kvm_one_reg reg = { .id = identifier, .addr = (uintptr_t)value };
    return call(subject->descriptor, request, &reg);
}

static int get(struct subject *subject, unsigned long request, uint64_t identifier)
{
    uint64_t value[2] = { 0x5A5A, 0x5A5A };
    int result = one_register(subject, request, identifier, value);
    if (result < 0)
        expect("a register that was refused", value[0] == 0x5A5A && value[1] == 0x5A5A, 1);
    else if (identifier == MPIDR)
        expect("MPIDR_EL1", value[0], 1l << 31 | subject->vcpu);
    return result;
}

// What a register may be set to in any state of the machine.
static void harmless(struct subject *subject, uint64_t identifier, uint64_t value[2])
{
    if (identifier == PC)
        value[0] = BASE;
    else if (identifier == PSTATE)
        value[0] = 0x3C5;
    else if (identifier == SCTLR)
        value[0] = 0x30C50830;
    else
        one_register(subject, KVM_GET_ONE_REG, identifier, value);
}

static int set(struct subject *subject, unsigned long request, uint64_t identifier)
{
    uint64_t value[2] = { 0, 0 };
    harmless(subject, identifier, value);
    return one_register(subject, request, identifier, value);
}

static int set_other(struct subject *subject, unsigned long request, uint64_t identifier)
{
    uint64_t value[2] = { 0, 0 };
    harmless(subject, identifier, value);
    // Of PSTATE this makes EL2.
    value[0] ^= identifier == PSTATE ? 0xC : 0x10;
    return one_register(subject, request, identifier, value);
}

static int list(struct subject *subject, unsigned long request, uint64_t count)
{
    struct {
        uint64_t count, identifiers[512];
    } list = { .count = count };
    int result = call(subject->descriptor, request, &list);
    // All that is listed can be read.
    for (uint64_t i = 0; !result && i < list.count; i++) {
        uint64_t value[2];
        expect("a listed register", one_register(subject, KVM_GET_ONE_REG, list.identifiers[i], value), 0);
    }
    return result;
}

static int state(struct subject *subject, unsigned long request, uint64_t state)
{
    struct kvm_mp_state argument = { state };
    return call(subject->descriptor, request, &argument);
}

static int gic_address(struct subject *subject, unsigned long request, uint64_t argument)
{
    uint64_t address = DISTRIBUTOR;
    struct kvm_device_attr attr = { .group = KVM_DEV_ARM_VGIC_GRP_ADDR, .attr = KVM_VGIC_V3_ADDR_TYPE_DIST,
                                    .addr = (uintptr_t)&address };
    return call(subject->descriptor, request, &attr);
}

static int gic_word(struct subject *subject, unsigned long request, uint64_t attribute)
{
    uint64_t value = 64;
    struct kvm_device_attr attr = { .group = attribute >> 32, .attr = (uint32_t)attribute,
                                    .addr = (uintptr_t)&value };
    return call(subject->descriptor, request, &attr);
}

enum descriptor { system, vm, bare, vcpu, first, second, gic };

static const struct row {
    enum descriptor descriptor;
    unsigned long request;
    const char *name, *what;
    int (*perform)(struct subject *subject, unsigned long request, uint64_t argument);
    uint64_t argument;
    // Normal before, normal from the first run on, protected before, protected from then on.
    int errors[4];
} rows[] = {
#define ROW(descriptor, request, what, perform, argument, ...) \
    { descriptor, request, #request, what, perform, argument, { __VA_ARGS__ } },
#include "abi.def"
};

// While vCPU 0 runs, its descriptor is in use, and rows go to the other one.
static bool aim(const struct row *row, struct subject *subject, struct machine *with, struct machine *without)
{
    subject->machine = row->descriptor == bare ? without : with;
    subject->vcpu = row->descriptor == second || (row->descriptor == vcpu && subject->moment == DURING);
    switch (row->descriptor) {
    case system: subject->descriptor = with->kvm; break;
    case vm: case bare: subject->descriptor = subject->machine->vm; break;
    case first: case second: case vcpu: subject->descriptor = with->vcpu[subject->vcpu]; break;
    case gic: subject->descriptor = with->gic; break;
    }
    return row->descriptor != first || subject->moment != DURING;
}

static void check_rows(enum moment moment, struct machine *with, struct machine *without)
{
    static const char *const moments[] = { "before", "during", "after" };
    bool is_protected = with->plan.type == PROTECTED;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct subject subject = { .moment = moment };
        if (!aim(row, &subject, with, without))
            continue;
        int result = row->perform(&subject, row->request, row->argument);
        char what[200];
        snprintf(what, sizeof what, "%s %s (%s VM, %s the run)", row->name, row->what,
                 is_protected ? "protected" : "normal", moments[moment]);
        expect(what, result > 0 ? 0 : result, -row->errors[2 * is_protected + (moment != BEFORE)]);
    }
}

static void nothing(int signal)
{
}

static void *keep_running(void *argument)
{
    struct machine *machine = argument;
    while (!machine->run[0]->immediate_exit) {
        int result = run(machine, 0);
        if (result != -EINTR)
            expect("a run beside requests", result, 0);
    }
    return NULL;
}

// The guest writes to its device once and then computes for ever.
static void begin(struct machine *machine, pthread_t *thread)
{
    expect("the first run", run(machine, 0), 0);
    expect("its reason", machine->run[0]->exit_reason, KVM_EXIT_MMIO);
    if (pthread_create(thread, NULL, keep_running, machine))
        die("pthread_create");
}

static void end(struct machine *machine, pthread_t thread)
{
    machine->run[0]->immediate_exit = 1;
    pthread_kill(thread, SIGUSR1);
    pthread_join(thread, NULL);
    machine->run[0]->immediate_exit = 0;
}

static void capabilities(struct machine *machine)
{
    bool is_protected = machine->plan.type == PROTECTED;
    expect("KVM_CAP_SYNC_MMU", call_number(machine->vm, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_MMU), !is_protected);
    expect("KVM_CAP_READONLY_MEM", call_number(machine->vm, KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM), 0);
    expect("KVM_CAP_SET_GUEST_DEBUG", call_number(machine->vm, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG), 0);
    expect("KVM_CAP_VCPU_EVENTS", call_number(machine->vm, KVM_CHECK_EXTENSION, KVM_CAP_VCPU_EVENTS), 0);
}

void abi(void)
{
    static const unsigned long types[] = { 0, PROTECTED };
    struct sigaction action = { .sa_handler = nothing };
    sigaction(SIGUSR1, &action, NULL);
    for (unsigned i = 0; i < 2; i++) {
        struct machine with, without;
        pthread_t threads[2];
        make_machine_as(&with, (struct plan){ types[i], &anonymous, WITH_GIC }, 16 * PAGE, 2);
        make_machine_as(&without, (struct plan){ types[i], &anonymous, WITHOUT_GIC }, 16 * PAGE, 1);
        load(&with, guest_beat, (guest_beat_end - guest_beat) * 4);
        load(&without, guest_beat, (guest_beat_end - guest_beat) * 4);
        capabilities(&with);
        check_rows(BEFORE, &with, &without);
        load(&with, guest_beat, (guest_beat_end - guest_beat) * 4);
        begin(&with, &threads[0]);
        begin(&without, &threads[1]);
        check_rows(DURING, &with, &without);
        end(&with, threads[0]);
        end(&without, threads[1]);
        check_rows(AFTER, &with, &without);
        capabilities(&with);
        close(spare[i]);
        end_machine(&with);
        end_machine(&without);
    }
    printf("%zu rows\n", sizeof rows / sizeof *rows);
}
