// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The guest's memory while the process's changes: pages that are given back, swapped, moved, shared
// copy-on-write, or lose their slot, under a guest that reads and writes them.

#define _GNU_SOURCE
#include "tests.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUEST(name) extern const uint32_t name[], name##_end[]
GUEST(guest_sum);
GUEST(guest_fill);
#define LOAD(machine, name) load(machine, name, (name##_end - name) * 4)

enum { MIB = 1 << 20, SIZE = 16 * MIB, FIRST = 2 * MIB, PAGES = (SIZE - FIRST) / PAGE };

static uint64_t *word(struct machine *machine, unsigned page)
{
    return (uint64_t *)(machine->memory + FIRST + (size_t)page * PAGE);
}

static void begin_as(unsigned long type, struct machine *machine, const uint32_t *guest, const uint32_t *end)
{
    make_machine_as(machine, (struct plan){ .type = type, .backing = &anonymous }, SIZE, 1);
    load(machine, guest, (end - guest) * 4);
    set_register(machine, 0, X(0), BASE + FIRST);
    set_register(machine, 0, X(1), PAGES);
    set_register(machine, 0, X(2), 1000);
}

static void begin(struct machine *machine, const uint32_t *guest, const uint32_t *end)
{
    begin_as(0, machine, guest, end);
}

// Runs until the guest's next store to the device; its value.
static uint64_t next_store(struct machine *machine)
{
    uint64_t value = 0;
    expect("run", run(machine, 0), 0);
    expect("reason", machine->run[0]->exit_reason, KVM_EXIT_MMIO);
    memcpy(&value, machine->run[0]->mmio.data, 8);
    return value;
}

// What the guest writes, the process sees, and the other way round.
static void shared_view(void)
{
    struct machine machine;
    unsigned wrong = 0;
    begin(&machine, guest_fill, guest_fill_end);
    expect("pages that the guest filled", next_store(&machine), PAGES);
    for (unsigned i = 0; i < PAGES; i++)
        wrong += *word(&machine, i) != 1000 + i;
    expect("wrong pages", wrong, 0);
    end_machine(&machine);
}

static void changes(void)
{
    struct machine machine;
    uint64_t sum = 0;
    begin(&machine, guest_sum, guest_sum_end);
    // The zero page behind every page that nobody wrote.
    expect("sum of nothing", next_store(&machine), 0);
    for (unsigned i = 0; i < PAGES; i++)
        sum += *word(&machine, i) = i * 3;
    expect("sum of what was copied on write", next_store(&machine), sum);
    // The other half is gone and comes back as zeroes.
    madvise(word(&machine, 0), (size_t)PAGES / 2 * PAGE, MADV_DONTNEED);
    for (unsigned i = 0; i < PAGES / 2; i++)
        sum -= i * 3;
    expect("sum after pages were given back", next_store(&machine), sum);
    // With swap the pages go there, without they stay; the guest must not notice.
    madvise(word(&machine, 0), (size_t)PAGES * PAGE, MADV_PAGEOUT);
    expect("sum after reclaim", next_store(&machine), sum);
    // A child shares all pages; what the parent writes must reach the guest and not the child.
    int pipes[2];
    if (pipe(pipes))
        die("pipe");
    pid_t child = fork();
    if (!child) {
        char byte;
        close(pipes[1]);
        _exit(read(pipes[0], &byte, 1) != 0 || *word(&machine, PAGES - 1) != (PAGES - 1) * 3);
    }
    *word(&machine, PAGES - 1) += 5;
    sum += 5;
    expect("sum after a fork", next_store(&machine), sum);
    close(pipes[0]);
    close(pipes[1]);
    int status;
    waitpid(child, &status, 0);
    expect("the child's page", status, 0);
    // Moved away and back, as an allocator might.
    void *elsewhere = mremap(word(&machine, 0), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, machine.memory + MIB);
    if (elsewhere == MAP_FAILED)
        die("mremap");
    expect("a hole in the memory", run(&machine, 0), -EFAULT);
    if (mmap(word(&machine, 0), PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
        MAP_FAILED)
        die("mmap");
    *word(&machine, 0) = 7;
    expect("sum after the hole was filled", next_store(&machine), sum + 7);
    end_machine(&machine);
}

// Without its slot the guest finds devices where memory was.
static void slots(void)
{
    struct machine machine;
    struct kvm_userspace_memory_region second = {
        .slot = 1, .guest_phys_addr = BASE + SIZE, .memory_size = MIB,
    };
    begin(&machine, guest_sum, guest_sum_end);
    uint8_t *more = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    second.userspace_addr = (uintptr_t)more;
    set_register(&machine, 0, X(0), BASE + SIZE);
    set_register(&machine, 0, X(1), 1);
    expect("a slot", call(machine.vm, KVM_SET_USER_MEMORY_REGION, &second), 0);
    *(uint64_t *)more = 42;
    expect("sum of one page", next_store(&machine), 42);
    second.memory_size = 0;
    expect("no slot", call(machine.vm, KVM_SET_USER_MEMORY_REGION, &second), 0);
    expect("run to a load", run(&machine, 0), 0);
    expect("reason", machine.run[0]->exit_reason, KVM_EXIT_MMIO);
    expect("address", machine.run[0]->mmio.phys_addr, BASE + SIZE);
    end_machine(&machine);
    munmap(more, MIB);
}

// A page that the process may only read: the guest reads it, and its store ends the run.
static void read_only(void)
{
    struct machine machine;
    begin(&machine, guest_fill, guest_fill_end);
    *word(&machine, 0) = 1;
    mprotect(word(&machine, 0), PAGE, PROT_READ);
    expect("a store to a page that is only readable", run(&machine, 0), -EFAULT);
    expect("the page", *word(&machine, 0), 1);
    mprotect(word(&machine, 0), PAGE, PROT_READ | PROT_WRITE);
    expect("pages that the guest filled", next_store(&machine), PAGES);
    end_machine(&machine);
}

void memory(void)
{
    shared_view();
    changes();
    slots();
    read_only();
}

// KiB that nobody has: free pages, and those that each CPU keeps at hand for itself.
static long available(void)
{
    char line[128];
    long kib = 0, pages;
    int drop = open("/proc/sys/vm/drop_caches", O_WRONLY);
    if (drop >= 0) {
        if (write(drop, "3", 1) != 1)
            die("drop_caches");
        close(drop);
    }
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemFree: %ld", &kib) == 1)
            break;
    if (file)
        fclose(file);
    file = fopen("/proc/zoneinfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, " count: %ld", &pages) == 1)
            kib += 4 * pages;
    if (file)
        fclose(file);
    return kib;
}

// The most that is free in some seconds: what processes had comes back from the kernel's workers
// and grace periods by and by, and what is lost never does.
static long settled(void)
{
    long most = 0;
    for (unsigned i = 0; i < 8; i++) {
        long now = available();
        if (now > most)
            most = now;
        sleep(1);
    }
    return most;
}

// Machines whose process is killed at any moment of their life leave nothing behind.
void cycles(unsigned long type, unsigned count)
{
    long before = 0;
    for (unsigned i = 0; i < count + 10; i++) {
        // The first rounds fill the kernel's caches.
        if (i == 10)
            before = settled();
        pid_t child = fork();
        if (!child) {
            struct machine machine;
            begin_as(type, &machine, guest_sum, guest_sum_end);
            for (;;)
                run(&machine, 0);
        }
        // From before the VM exists to well into its run.
        usleep(i % 16 * 2000);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    long after = settled();
    printf("%u cycles: %ld and then %ld KiB free\n", count, before, after);
    if (before - after > 1024) {
        failures++;
        printf("memory is lost\n");
    }
}
