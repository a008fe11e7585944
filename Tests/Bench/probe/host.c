// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What is measured of a host without VMs: system calls, faults, forks.

#define _GNU_SOURCE
#include "probe.h"
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void call(uint64_t count)
{
    for (uint64_t done = 0; done < count; done += BATCH) {
        begin_row(ROW_HOST_SYSTEM_CALL);
        for (unsigned i = 0; i < BATCH; i++)
            syscall(SYS_getppid);
        end_row(ROW_HOST_SYSTEM_CALL);
    }
    report(NORMAL, ROW_HOST_SYSTEM_CALL, count);
}

// Pages that are touched for the first time and given back.
static void fault(uint64_t rounds)
{
    enum { SIZE = 4 << 20 };
    char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    madvise(memory, SIZE, MADV_NOHUGEPAGE);
    begin_row(ROW_HOST_FAULT);
    for (uint64_t i = 0; i < rounds; i++) {
        for (size_t at = 0; at < SIZE; at += PAGE)
            *(volatile char *)(memory + at) = 1;
        madvise(memory, SIZE, MADV_DONTNEED);
    }
    end_row(ROW_HOST_FAULT);
    munmap(memory, SIZE);
    report(NORMAL, ROW_HOST_FAULT, rounds * (SIZE / PAGE));
}

static void copy_process(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        begin_row(ROW_HOST_FORK);
        pid_t child = fork();
        if (child < 0)
            die("fork");
        if (child == 0)
            _exit(0);
        waitpid(child, NULL, 0);
        end_row(ROW_HOST_FORK);
    }
    report(NORMAL, ROW_HOST_FORK, count);
}

void measure_host(void)
{
    call(16384);
    fault(8);
    copy_process(256);
}
