// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a guest finds at its first run in memory that its process has treated as processes do: written,
// given to swap, shared with a child, never touched.

#define _GNU_SOURCE
#include "tests.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

GUEST(guest_sum);

enum { MIB = 1 << 20, SIZE = 8 * MIB, FIRST = 2 * MIB, PAGES = 1024, WRITTEN = PAGES - 64 };

static volatile uint64_t *word(struct machine *machine, unsigned page)
{
    return (uint64_t *)(machine->memory + FIRST + (size_t)page * PAGE);
}

// How many of the pages are in swap: bit 62 of their words in /proc/self/pagemap.
static unsigned swapped(struct machine *machine)
{
    static uint64_t entries[PAGES];
    unsigned count = 0;
    int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (map < 0 || pread(map, entries, sizeof entries, (uintptr_t)word(machine, 0) / PAGE * 8) != sizeof entries)
        die("/proc/self/pagemap");
    close(map);
    for (unsigned page = 0; page < PAGES; page++)
        count += entries[page] >> 62 & 1;
    return count;
}

// Has all pages until the pipe ends; then it must still see what was in them. Half of them it looks at before.
static int keep(struct machine *machine, int pipe)
{
    unsigned wrong = 0;
    char byte;
    for (unsigned page = 0; page < PAGES / 2; page++)
        wrong += *word(machine, page) != page * 3;
    if (read(pipe, &byte, 1) != 0)
        return 2;
    for (unsigned page = 0; page < PAGES; page++)
        wrong += *word(machine, page) != (page < WRITTEN ? page * 3 : 0);
    return wrong != 0;
}

static void first_run_of(struct plan plan)
{
    struct machine machine;
    uint64_t sum = 0, found = 0;
    int pipes[2], status;
    make_machine_as(&machine, plan, SIZE, 1);
    LOAD(&machine, guest_sum);
    set_register(&machine, 0, X(0), BASE + FIRST);
    set_register(&machine, 0, X(1), PAGES);
    for (unsigned page = 0; page < WRITTEN; page++)
        sum += *word(&machine, page) = page * 3;
    madvise((void *)word(&machine, 0), WRITTEN / 2 * PAGE, MADV_PAGEOUT);
    expect("whether pages are in swap", swapped(&machine) > 0, plan.backing == &anonymous);
    if (pipe(pipes))
        die("pipe");
    pid_t child = fork();
    if (!child) {
        close(pipes[1]);
        _exit(keep(&machine, pipes[0]));
    }
    close(pipes[0]);
    // Between looks of the child and without them.
    usleep(20000);
    expect("the first run", run(&machine, 0), 0);
    expect("its exit", machine.run[0]->exit_reason, KVM_EXIT_MMIO);
    memcpy(&found, machine.run[0]->mmio.data, 8);
    expect("the sum that the guest finds", found, sum);
    close(pipes[1]);
    waitpid(child, &status, 0);
    // The child has no part in a descriptor's memory, which is the guest's now.
    if (plan.backing == &anonymous)
        expect("what the child has", status, 0);
    end_machine(&machine);
}

void first_run(void)
{
    first_run_of((struct plan){ .backing = &anonymous });
    for (const struct backing *const *backing = private_backings; *backing; backing++)
        first_run_of((struct plan){ .type = PROTECTED, .backing = *backing });
}
