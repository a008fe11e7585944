// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// One attack by its name: on the hypervisor as it is, where it has to get nothing and to leave no trace, or
// with the defences of a set of bits taken away, where it has to succeed.

#define _GNU_SOURCE
#include "attack.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

// The call by which images that are built for it lose defences.
enum { CALL_PROVOKE_FAULTS = 0xC6004FFE };

struct vault victim, rival, normal;
uint64_t victim_handle, rival_handle, normal_handle, *bait, bait_frame;
static struct vault bystander;

uint64_t stolen(void)
{
    return victim.frames[3];
}

const char *gain(const char *meaning, struct peek call)
{
    return peek_call(&call) == STATUS_SUCCESS ? meaning : NULL;
}

const char *scan(const struct vault *vault)
{
    struct peek found = { { vault->seed, BASE + SECRET, BASE + SECRET + (uint64_t)vault->pages * PAGE } };
    peek_scan(&found);
    if (found.x[3])
        return "the secret lies in the host's memory";
    return found.x[4] ? "pages of the hypervisor can be read" : NULL;
}

void make_small(struct machine *machine, unsigned long type, const uint32_t *code, const uint32_t *end, uint64_t x0,
                uint64_t x1)
{
    make_machine_as(machine, (struct plan){ .type = type, .backing = &anonymous }, 8 << 20, 1);
    load(machine, code, (end - code) * 4);
    set_register(machine, 0, X(0), x0);
    set_register(machine, 0, X(1), x1);
}

uint64_t next_store(struct machine *machine, uint64_t *value)
{
    struct kvm_run *page = machine->run[0];
    int result;
    do
        result = run(machine, 0);
    while (result == -4);
    if (result || page->exit_reason != KVM_EXIT_MMIO || !page->mmio.is_write)
        die("a guest that should have told something");
    memcpy(value, page->mmio.data, 8);
    return page->mmio.phys_addr;
}

void stay_on(unsigned cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one))
        die("a CPU to stay on");
}

void stay_anywhere(void)
{
    cpu_set_t all;
    memset(&all, -1, sizeof all);
    if (sched_setaffinity(0, sizeof all, &all))
        die("CPUs to be on");
}

static pthread_t beside;

static void wake(int number)
{
}

static void *keep_running(void *machine)
{
    stay_on(1);
    // Signals and interrupts pass; what ends it is the flag, or a machine that cannot be run.
    while (!((struct machine *)machine)->run[0]->immediate_exit && run(machine, 0) == -EINTR)
        ;
    return NULL;
}

static struct machine *running;

void start_beside(struct machine *machine)
{
    struct sigaction action = { .sa_handler = wake };
    running = machine;
    stay_on(0);
    if (sigaction(SIGUSR1, &action, NULL) || pthread_create(&beside, NULL, keep_running, machine))
        die("a guest that runs beside");
    // Until it is at its loop.
    usleep(50000);
}

void end_beside(void)
{
    running->run[0]->immediate_exit = 1;
    pthread_kill(beside, SIGUSR1);
    pthread_join(beside, NULL);
    stay_anywhere();
}

// EL2's handles of VMs that this program has seen. Slots are used from the first on, and each attack uses few.
static uint64_t seen[32];
static unsigned seen_count;

static bool is_seen(uint64_t handle)
{
    for (unsigned i = 0; i < seen_count; i++)
        if (seen[i] == handle)
            return true;
    return false;
}

uint64_t new_handle(void)
{
    for (uint64_t slot = 0; slot < 16; slot++)
        for (uint64_t generation = 0; generation < 256; generation++) {
            uint64_t handle = 1ul << 40 | generation << 8 | slot;
            struct peek peek = { { CALL_GET_REGISTER, handle, 0, 0 } };
            if (!is_seen(handle) && peek_call(&peek) != STATUS_NOT_FOUND && seen_count < 32)
                return seen[seen_count++] = handle;
        }
    die("EL2's handle of a VM");
    return 0;
}

static uint64_t make(struct vault *vault, unsigned long type)
{
    make_vault(vault, (struct plan){ .type = type, .backing = &anonymous }, 32);
    // What a normal guest has the host may see: it is another secret.
    if (type != PROTECTED)
        vault->seed = ~vault->seed;
    set_register(&vault->machine, 0, X(2), vault->seed);
    fill_vault(vault);
    return new_handle();
}

void renew_normal(void)
{
    end_vault(&normal);
    normal_handle = make(&normal, 0);
}

void renew_victim(void)
{
    end_vault(&victim);
    victim_handle = make(&victim, PROTECTED);
}

static void prepare(void)
{
    victim_handle = make(&victim, PROTECTED);
    rival_handle = make(&rival, PROTECTED);
    normal_handle = make(&normal, 0);
    make(&bystander, PROTECTED);
    bait = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *bait = 0xBA17;
    mlock(bait, PAGE);
    bait_frame = frame_of(bait);
}

// EL2's defences, and the module's.
static bool set_faults(uint64_t bits)
{
    struct peek call = { { CALL_PROVOKE_FAULTS, bits } };
    char word[32];
    int length = snprintf(word, sizeof word, "%lu", (unsigned long)bits);
    int parameter = open("/sys/module/martlet/parameters/without", O_WRONLY | O_CLOEXEC);
    bool is_set = parameter >= 0 && write(parameter, word, length) == length;
    if (parameter >= 0)
        close(parameter);
    return peek_call(&call) == STATUS_SUCCESS && is_set;
}

static const struct attack *find(const char *id)
{
    const struct attack *const lists[] = {
        memory_attacks, call_attacks, power_attacks, process_attacks,
        vcpu_attacks, interrupt_attacks, trap_attacks, sweep_attacks,
    };
    for (unsigned i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const struct attack *attack = lists[i]; attack->id; attack++)
            if (!strcmp(attack->id, id))
                return attack;
    die(id);
    return NULL;
}

void attack_named(const char *id, uint64_t bits)
{
    const struct attack *attack = find(id);
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    peek_open();
    prepare();
    if (bits && !set_faults(bits))
        die("a hypervisor without its defences");
    const char *got = attack->make();
    if (bits) {
        // The machine may be wrecked, and EL2 may have panicked: it is not used again, but for coming to its end.
        set_faults(0);
    } else {
        // Nobody else has noticed, and nothing is left of it.
        expect("what a bystander finds altered", look(&bystander, 1), 0);
        expect("the bait's owner", peek_owner(bait_frame), PAGE_OF_HOST);
        const char *trace = scan(&victim);
        if (trace)
            got = trace;
    }
    bool should_succeed = bits != 0;
    failures += should_succeed != (got != NULL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    long spent = (end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000;
    printf("%s: %s, %ld ms\n", got ? "succeeded" : "repelled", got ? got : "nothing", spent);
}
