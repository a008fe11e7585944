// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Machines that end under vCPUs that run, and begin again.

#include "tests.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

GUEST(guest_ender);
GUEST(guest_astray);

static void nothing(int signal)
{
}

static void *run_until_signal(void *argument)
{
    struct machine *machine = argument;
    expect("the other vCPU's run", run(machine, 1), -EINTR);
    return NULL;
}

static long mp_state(struct machine *machine, unsigned vcpu)
{
    struct kvm_mp_state state = { .mp_state = ~0u };
    expect("asking for the state", call(machine->vcpu[vcpu], KVM_GET_MP_STATE, &state), 0);
    return state.mp_state;
}

static void set_mp_state(struct machine *machine, unsigned vcpu, unsigned value)
{
    struct kvm_mp_state state = { .mp_state = value };
    expect("setting the state", call(machine->vcpu[vcpu], KVM_SET_MP_STATE, &state), 0);
}

// A vCPU that is off runs nothing, and a signal gets its thread back.
static void expect_stopped(struct machine *machine, unsigned vcpu)
{
    struct itimerval timer = { .it_value = { .tv_usec = 200000 } };
    uint64_t before = get_register(machine, vcpu, X(19));
    uint64_t counter = get_register(machine, vcpu, PC);
    expect("is stopped", mp_state(machine, vcpu), KVM_MP_STATE_STOPPED);
    setitimer(ITIMER_REAL, &timer, NULL);
    expect("a run of a stopped vCPU", run(machine, vcpu), -EINTR);
    expect("what it has done", get_register(machine, vcpu, X(19)), before);
    expect("where it is", get_register(machine, vcpu, PC), counter);
}

// One vCPU runs for ever; the other one ends the machine.
static void live(struct machine *machine)
{
    pthread_t thread;
    LOAD(machine, guest_ender);
    expect("vCPU 0 may run", mp_state(machine, 0), KVM_MP_STATE_RUNNABLE);
    expect("vCPU 1 is off", mp_state(machine, 1), KVM_MP_STATE_STOPPED);
    if (pthread_create(&thread, NULL, run_until_signal, machine))
        die("pthread_create");
    expect_event(machine, KVM_SYSTEM_EVENT_SHUTDOWN);
    // Its word in memory stands still from the moment on at which the process hears of the end.
    volatile uint64_t *word = (volatile uint64_t *)(machine->memory + 0x800);
    uint64_t then = *word;
    usleep(200000);
    expect("the other vCPU's word", *word, then);
    expect("the other vCPU has run", then != 0, 1);
    pthread_kill(thread, SIGALRM);
    pthread_join(thread, NULL);
    expect_stopped(machine, 1);
    expect_stopped(machine, 0);
}

static int init(struct machine *machine, unsigned vcpu, unsigned more)
{
    struct kvm_vcpu_init init;
    if (call(machine->vm, KVM_ARM_PREFERRED_TARGET, &init))
        die("KVM_ARM_PREFERRED_TARGET");
    init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2 | more;
    return call(machine->vcpu[vcpu], KVM_ARM_VCPU_INIT, &init);
}

// What a protected guest did cannot be undone by its host: it has ended, and stays so.
static void ends_protected(void)
{
    struct machine machine;
    struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
    struct itimerval timer = { .it_value = { .tv_usec = 200000 } };
    make_machine_as(&machine, (struct plan){ 1ul << 31, &anonymous, WITH_GIC }, 16 * PAGE, 2);
    expect("init again before the first run", init(&machine, 0, 0), 0);
    LOAD(&machine, guest_astray);
    expect_store(&machine, 0, 0, 4, 0x86000010);
    for (unsigned vcpu = 0; vcpu < 2; vcpu++)
        expect("init after it", init(&machine, vcpu, vcpu ? 1u << KVM_ARM_VCPU_POWER_OFF : 0), -EPERM);
    expect_store(&machine, 0, 8, 8, 0x20000000);
    expect_event(&machine, KVM_SYSTEM_EVENT_SHUTDOWN);
    for (unsigned vcpu = 0; vcpu < 2; vcpu++) {
        expect("is stopped", mp_state(&machine, vcpu), KVM_MP_STATE_STOPPED);
        expect("making it runnable", call(machine.vcpu[vcpu], KVM_SET_MP_STATE, &runnable), -EPERM);
        expect("init after the end", init(&machine, vcpu, 0), -EPERM);
        setitimer(ITIMER_REAL, &timer, NULL);
        expect("a run after the end", run(&machine, vcpu), -EINTR);
    }
    end_machine(&machine);
}

void ends(void)
{
    struct machine machine;
    struct sigaction action = { .sa_handler = nothing };
    sigaction(SIGALRM, &action, NULL);
    make_machine(&machine, 16 * PAGE, 2);
    live(&machine);
    // What the guest reads when its host has it go on after its end: INTERNAL_FAILURE.
    set_mp_state(&machine, 0, KVM_MP_STATE_RUNNABLE);
    expect_store(&machine, 0, 0, 4, 0xFFFFFFFA);
    set_mp_state(&machine, 0, KVM_MP_STATE_STOPPED);
    expect_stopped(&machine, 0);
    struct kvm_vcpu_init other = { .target = 77 };
    expect("init with another target", call(machine.vcpu[0], KVM_ARM_VCPU_INIT, &other), -EINVAL);
    // Then another life, like the first.
    for (unsigned round = 0; round < 3; round++) {
        expect("init of vCPU 1", init(&machine, 1, 1u << KVM_ARM_VCPU_POWER_OFF), 0);
        expect("init of vCPU 0", init(&machine, 0, 0), 0);
        expect("its x19", get_register(&machine, 1, X(19)), 0);
        expect("its PC", get_register(&machine, 0, PC), 0);
        memset(machine.memory, 0, machine.size);
        live(&machine);
    }
    end_machine(&machine);
    // A kernel without protected VMs refuses the type.
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int vm = call_number(kvm, KVM_CREATE_VM, 1ul << 31);
    close(kvm);
    if (vm < 0) {
        expect("a protected VM where there are none", vm, -EINVAL);
        return;
    }
    close(vm);
    ends_protected();
}
