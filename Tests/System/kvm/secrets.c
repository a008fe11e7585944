// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A machine whose guest has a secret in its memory, and everybody's ways to get at it.

#define _GNU_SOURCE
#include "secrets.h"
#include "peek.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

extern const uint32_t guest_keeper[], guest_keeper_end[];

static const uint64_t FACTOR = 0x9E3779B97F4A7C15;
const char *const way_names[WAYS] = {
    "the process's mapping", "process_vm_readv/writev", "/proc/self/mem", "write to a pipe", "the linear map",
};

void make_vault(struct vault *vault, struct plan plan, unsigned pages)
{
    memset(vault, 0, sizeof *vault);
    vault->pages = pages;
    vault->seed = 0xA5C3D2E1F0918273 ^ (uint64_t)getpid() << 20;
    make_machine_as(&vault->machine, plan, SECRET + (size_t)pages * PAGE, 1);
    load(&vault->machine, guest_keeper, (guest_keeper_end - guest_keeper) * 4);
    set_register(&vault->machine, 0, X(0), BASE + SECRET);
    set_register(&vault->machine, 0, X(1), pages);
    set_register(&vault->machine, 0, X(2), vault->seed);
    for (unsigned page = 0; page < pages / 2; page++)
        *word_of(vault, page) = page + 1;
    if (plan.backing->fate == STAYS_MAPPED)
        return;
    // Where pages leave the mapping, their frames are known only before, once they have been touched.
    for (unsigned page = 0; page < pages; page++) {
        (void)*word_of(vault, page);
        vault->frames[page] = frame_of((const void *)word_of(vault, page));
    }
}

static void expect_exit(struct vault *vault, uint64_t offset, bool is_write)
{
    struct kvm_run *page = vault->machine.run[0];
    int result;
    do
        result = run(&vault->machine, 0);
    while (result == -EINTR);
    expect("a run of the guest with a secret", result, 0);
    expect("its reason", page->exit_reason, KVM_EXIT_MMIO);
    expect("its address", page->mmio.phys_addr, DEVICE + offset);
    expect("its direction", page->mmio.is_write, is_write);
}

static uint64_t exit_value(struct vault *vault)
{
    uint64_t value;
    memcpy(&value, vault->machine.run[0]->mmio.data, 8);
    return value;
}

static void answer(struct vault *vault, uint64_t value)
{
    memcpy(vault->machine.run[0]->mmio.data, &value, 8);
}

void fill_vault(struct vault *vault)
{
    uint64_t half = vault->pages / 2;
    expect_exit(vault, 0, true);
    expect("what the process put there", exit_value(vault), half * (half + 1) / 2);
    expect_exit(vault, 16, false);
    for (unsigned page = 0; page < vault->pages; page++) {
        uint64_t frame = frame_of((const void *)word_of(vault, page));
        if (vault->machine.plan.backing->fate == STAYS_MAPPED)
            vault->frames[page] = frame;
        else
            expect("a guest's page in the process's mapping", frame, 0);
    }
}

uint64_t look(struct vault *vault, uint64_t rounds)
{
    answer(vault, rounds);
    expect_exit(vault, 8, true);
    uint64_t wrong = exit_value(vault);
    expect_exit(vault, 16, false);
    return wrong;
}

void switch_off(struct vault *vault)
{
    answer(vault, 0);
    expect("the last run", run(&vault->machine, 0), 0);
    expect("its reason", vault->machine.run[0]->exit_reason, KVM_EXIT_SYSTEM_EVENT);
    expect("its event", vault->machine.run[0]->system_event.type, KVM_SYSTEM_EVENT_SHUTDOWN);
}

void end_vault(struct vault *vault)
{
    end_machine(&vault->machine);
}

volatile uint64_t *word_of(struct vault *vault, unsigned page)
{
    return (volatile uint64_t *)(vault->machine.memory + SECRET + (size_t)page * PAGE);
}

uint64_t secret_at(const struct vault *vault, unsigned page, unsigned offset)
{
    return (BASE + SECRET + (uint64_t)page * PAGE + offset) * FACTOR ^ vault->seed;
}

bool is_secret(const struct vault *vault, uint64_t word)
{
    // The inverse of the factor modulo 2^64, by Newton's iteration; an odd number is its own modulo 8.
    uint64_t inverse = FACTOR;
    for (unsigned i = 0; i < 5; i++)
        inverse *= 2 - FACTOR * inverse;
    uint64_t address = (word ^ vault->seed) * inverse;
    return address % 8 == 0 && address >= BASE + SECRET && address < BASE + SECRET + (uint64_t)vault->pages * PAGE;
}

static __thread sigjmp_buf way_out;
static __thread volatile sig_atomic_t is_trying;

static void on_signal(int signal)
{
    if (!is_trying)
        _exit(128 + signal);
    is_trying = 0;
    siglongjmp(way_out, 1);
}

static void catch_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
}

static bool own(volatile uint64_t *place, uint64_t *value, bool is_write)
{
    catch_signals();
    if (sigsetjmp(way_out, 1))
        return false;
    is_trying = 1;
    if (is_write)
        *place = *value;
    else
        *value = *place;
    is_trying = 0;
    return true;
}

static bool by_call(volatile uint64_t *place, uint64_t *value, bool is_write)
{
    struct iovec here = { value, 8 }, there = { (void *)place, 8 };
    return (is_write ? process_vm_writev : process_vm_readv)(getpid(), &here, 1, &there, 1, 0) == 8;
}

static bool by_file(volatile uint64_t *place, uint64_t *value, bool is_write)
{
    int file = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    if (file < 0)
        die("/proc/self/mem");
    ssize_t done = is_write ? pwrite(file, value, 8, (off_t)(uintptr_t)place)
                            : pread(file, value, 8, (off_t)(uintptr_t)place);
    close(file);
    return done == 8;
}

static bool by_pipe(volatile uint64_t *place, uint64_t *value)
{
    int pipes[2];
    if (pipe(pipes))
        die("pipe");
    bool is_through = write(pipes[1], (const void *)place, 8) == 8 && read(pipes[0], value, 8) == 8;
    close(pipes[0]);
    close(pipes[1]);
    return is_through;
}

bool read_by(enum way way, struct vault *vault, unsigned page, uint64_t *value)
{
    switch (way) {
    case OWN: return own(word_of(vault, page), value, false);
    case VM_CALL: return by_call(word_of(vault, page), value, false);
    case MEM_FILE: return by_file(word_of(vault, page), value, false);
    case PIPE: return by_pipe(word_of(vault, page), value);
    default: *value = peek_read(vault->frames[page], 0); return true;
    }
}

bool write_by(enum way way, struct vault *vault, unsigned page, uint64_t value)
{
    switch (way) {
    case OWN: return own(word_of(vault, page), &value, true);
    case VM_CALL: return by_call(word_of(vault, page), &value, true);
    case MEM_FILE: return by_file(word_of(vault, page), &value, true);
    case PIPE: return false;
    default: peek_write(vault->frames[page], 0, value); return true;
    }
}
