// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What KVM_RUN comes back with, from guests that do one thing each.

#include "tests.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

GUEST(guest_devices);
GUEST(guest_signed);
GUEST(guest_forever);
GUEST(guest_sleeper);
GUEST(guest_reset);
GUEST(guest_secondary);
GUEST(guest_timer);
GUEST(guest_astray);
GUEST(guest_undecodable);

void expect_store(struct machine *machine, unsigned vcpu, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct kvm_run *page = machine->run[vcpu];
    uint64_t data = 0;
    expect("run to a store", run(machine, vcpu), 0);
    expect("reason", page->exit_reason, KVM_EXIT_MMIO);
    expect("is a write", page->mmio.is_write, 1);
    expect("address", page->mmio.phys_addr, DEVICE + offset);
    expect("length", page->mmio.len, bytes);
    memcpy(&data, page->mmio.data, bytes);
    expect("value", data, value);
}

static void expect_load(struct machine *machine, uint64_t offset, unsigned bytes, uint64_t answer)
{
    struct kvm_run *page = machine->run[0];
    expect("run to a load", run(machine, 0), 0);
    expect("reason", page->exit_reason, KVM_EXIT_MMIO);
    expect("is a read", page->mmio.is_write, 0);
    expect("address", page->mmio.phys_addr, DEVICE + offset);
    expect("length", page->mmio.len, bytes);
    memcpy(page->mmio.data, &answer, 8);
}

void expect_event(struct machine *machine, unsigned type)
{
    expect("run to an event", run(machine, 0), 0);
    expect("reason", machine->run[0]->exit_reason, KVM_EXIT_SYSTEM_EVENT);
    expect("event", machine->run[0]->system_event.type, type);
}

static void devices(void)
{
    struct machine machine;
    make_machine(&machine, 16 * PAGE, 1);
    LOAD(&machine, guest_devices);
    expect_store(&machine, 0, 0, 1, 0x22);
    expect_store(&machine, 0, 2, 2, 0x1122);
    expect_store(&machine, 0, 4, 4, 0x33441122);
    expect_store(&machine, 0, 8, 8, 0x7788556633441122);
    expect_load(&machine, 0, 1, 0xFFFFFFFFFFFFFF81);
    expect_load(&machine, 2, 2, 0xFFFFFFFFFFFF8182);
    expect_load(&machine, 4, 4, 0xFFFFFFFF81828384);
    expect_load(&machine, 8, 8, 0x8182838485868788);
    // An immediate exit completes the load and runs nothing.
    expect_load(&machine, 16, 4, 0x81828384);
    machine.run[0]->immediate_exit = 1;
    expect("immediate exit", run(&machine, 0), -EINTR);
    machine.run[0]->immediate_exit = 0;
    memset(machine.run[0]->mmio.data, 0, 8);
    expect_event(&machine, KVM_SYSTEM_EVENT_SHUTDOWN);
    expect("a byte", get_register(&machine, 0, X(12)), 0x81);
    expect("a half-word", get_register(&machine, 0, X(13)), 0x8182);
    expect("a word", get_register(&machine, 0, X(14)), 0x81828384);
    expect("a double word", get_register(&machine, 0, X(15)), (long)0x8182838485868788);
    expect("a word before an immediate exit", get_register(&machine, 0, X(16)), 0x81828384);
    end_machine(&machine);
}

// A group of its own, because Linux 6.12 forgets the sign again.
void sign_extension(void)
{
    struct machine machine;
    make_machine(&machine, 16 * PAGE, 1);
    LOAD(&machine, guest_signed);
    expect_load(&machine, 0, 1, 0x81);
    expect_load(&machine, 1, 1, 0x82);
    expect_load(&machine, 2, 2, 0x8384);
    expect_load(&machine, 4, 4, 0x85868788);
    expect_event(&machine, KVM_SYSTEM_EVENT_SHUTDOWN);
    expect("a byte to 64 bits", get_register(&machine, 0, X(12)), (long)0xFFFFFFFFFFFFFF81);
    expect("a byte to 32 bits", get_register(&machine, 0, X(13)), 0xFFFFFF82);
    expect("a half-word", get_register(&machine, 0, X(14)), (long)0xFFFFFFFFFFFF8384);
    expect("a word", get_register(&machine, 0, X(15)), (long)0xFFFFFFFF85868788);
    end_machine(&machine);
}

static void nothing(int signal)
{
}

// A timer's signal ends a run, whether the guest computes or sleeps.
static void signals(const uint32_t *guest, const uint32_t *end)
{
    struct machine machine;
    struct sigaction action = { .sa_handler = nothing };
    struct itimerval timer = { .it_value = { .tv_usec = 200000 } };
    sigaction(SIGALRM, &action, NULL);
    make_machine(&machine, 16 * PAGE, 1);
    load(&machine, guest, (end - guest) * 4);
    for (unsigned i = 0; i < 3; i++) {
        setitimer(ITIMER_REAL, &timer, NULL);
        expect("a run with a signal", run(&machine, 0), -EINTR);
        expect("its reason", machine.run[0]->exit_reason, KVM_EXIT_INTR);
    }
    end_machine(&machine);
}

static void reset(void)
{
    struct machine machine;
    make_machine(&machine, 16 * PAGE, 1);
    LOAD(&machine, guest_reset);
    expect_event(&machine, KVM_SYSTEM_EVENT_RESET);
    end_machine(&machine);
}

static void *run_secondary(void *argument)
{
    struct machine *machine = argument;
    expect_store(machine, 1, 4, 4, 0x77);
    expect_store(machine, 1, 4, 4, 0x77);
    return NULL;
}

static void secondary(void)
{
    struct machine machine;
    pthread_t thread;
    make_machine(&machine, 16 * PAGE, 2);
    LOAD(&machine, guest_secondary);
    struct kvm_mp_state state = { 0 };
    call(machine.vcpu[1], KVM_GET_MP_STATE, &state);
    expect("the secondary is off", state.mp_state, KVM_MP_STATE_STOPPED);
    if (pthread_create(&thread, NULL, run_secondary, &machine))
        die("pthread_create");
    expect_store(&machine, 0, 0, 4, 0);
    // Until the other vCPU is off again, which is all that this waits for.
    usleep(500000);
    expect_store(&machine, 0, 0, 4, 0);
    // The end of the machine would stop the other vCPU wherever it is.
    pthread_join(thread, NULL);
    expect_event(&machine, KVM_SYSTEM_EVENT_SHUTDOWN);
    end_machine(&machine);
}

static void timer(void)
{
    struct machine machine;
    make_machine(&machine, 16 * PAGE, 1);
    LOAD(&machine, guest_timer);
    expect_store(&machine, 0, 0, 4, 27);
    expect_event(&machine, KVM_SYSTEM_EVENT_SHUTDOWN);
    end_machine(&machine);
}

// A guest that fetches from nowhere gets an abort: from its own exception level, external.
static void astray(void)
{
    struct machine machine;
    make_machine(&machine, 16 * PAGE, 1);
    LOAD(&machine, guest_astray);
    expect_store(&machine, 0, 0, 4, 0x86000010);
    expect_store(&machine, 0, 8, 8, 0x20000000);
    expect_event(&machine, KVM_SYSTEM_EVENT_SHUTDOWN);
    end_machine(&machine);
}

// What no syndrome describes is for nobody to do, but for cache maintenance, where there is nothing to do.
static void undecodable(void)
{
    struct machine machine;
    make_machine(&machine, 16 * PAGE, 1);
    LOAD(&machine, guest_undecodable);
    expect_store(&machine, 0, 0, 4, 0x20000000);
    expect("a load of two registers from nowhere", run(&machine, 0), -ENOSYS);
    end_machine(&machine);
}

void exits(void)
{
    puts("devices");
    devices();
    puts("signals");
    signals(guest_forever, guest_forever_end);
    signals(guest_sleeper, guest_sleeper_end);
    puts("PSCI");
    reset();
    secondary();
    puts("timer");
    timer();
    puts("a guest astray");
    astray();
    undecodable();
}
