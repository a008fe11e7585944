// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A process does to its memory what processes do, after the memory has become a protected guest's: it
// forks, gives it back, moves it, has it merged, dumps core. The kernel must bear it, the guest goes on,
// and nothing of the guest turns up anywhere. The kernel's log is the test's second half.

#define _GNU_SOURCE
#include "peek.h"
#include "secrets.h"
#include "tests.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static void *start_of(struct vault *vault)
{
    return (void *)word_of(vault, 0);
}

static size_t size_of(struct vault *vault)
{
    return (size_t)vault->pages * PAGE;
}

static unsigned leaks_by(enum way way, struct vault *vault)
{
    unsigned leaks = 0;
    for (unsigned page = 0; page < vault->pages; page++) {
        uint64_t value = 0;
        leaks += read_by(way, vault, page, &value) && is_secret(vault, value);
    }
    return leaks;
}

static void set(const char *file, const char *value)
{
    int setting = open(file, O_WRONLY | O_CLOEXEC);
    if (setting < 0 || write(setting, value, strlen(value)) < 0)
        die(file);
    close(setting);
}

static void forks(struct vault *vault)
{
    for (unsigned i = 0; i < 4; i++) {
        pid_t child = fork();
        int status;
        if (!child)
            _exit(leaks_by(i % 2 ? OWN : MEM_FILE, vault) != 0);
        waitpid(child, &status, 0);
        expect("a child's status", status, 0);
    }
}

static void gives_back(struct vault *vault)
{
    int result = madvise(start_of(vault), size_of(vault), MADV_DONTNEED);
    if (vault->machine.plan.backing->fate == IS_ZAPPED)
        return;
    expect("MADV_DONTNEED", result, 0);
    for (unsigned page = 0; page < vault->pages; page++)
        expect("a page after MADV_DONTNEED", *word_of(vault, page), 0);
}

// Whether these succeed is the kernel's affair.
static void advises(struct vault *vault)
{
    static const int advices[] = { MADV_FREE, MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED, MADV_POPULATE_WRITE };
    for (size_t i = 0; i < sizeof advices / sizeof *advices; i++)
        madvise(start_of(vault), size_of(vault), advices[i]);
}

static void unmaps(struct vault *vault)
{
    expect("munmap", munmap(start_of(vault), size_of(vault)), 0);
    // What lies there now is another mapping.
    void *place = mmap(start_of(vault), size_of(vault), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    expect("a new mapping", place == start_of(vault), 1);
    memset(place, 0x77, size_of(vault));
}

static void moves(struct vault *vault)
{
    uint8_t *old = vault->machine.memory;
    size_t size = vault->machine.size;
    uint8_t *new = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mremap(old, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, new) != new)
        die("mremap");
    vault->machine.memory = new;
    expect("leaks where the mapping is now", leaks_by(OWN, vault), 0);
    if (mremap(new, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, old) != old)
        die("mremap back");
    vault->machine.memory = old;
}

static void merges(struct vault *vault)
{
    set("/sys/kernel/mm/ksm/pages_to_scan", "20000");
    set("/sys/kernel/mm/ksm/sleep_millisecs", "10");
    expect("MADV_MERGEABLE", madvise(start_of(vault), size_of(vault), MADV_MERGEABLE), 0);
    set("/sys/kernel/mm/ksm/run", "1");
    sleep(3);
    set("/sys/kernel/mm/ksm/run", "2");
    set("/sys/kernel/mm/ksm/run", "0");
}

static void collapses(struct vault *vault)
{
    uint8_t *block = (uint8_t *)((uintptr_t)vault->machine.memory & ~((2ul << 20) - 1));
    madvise(vault->machine.memory, vault->machine.size, MADV_HUGEPAGE);
    for (unsigned i = 0; i < 6; i++)
        madvise(block + i * (2ul << 20), 2ul << 20, MADV_COLLAPSE);
}

static void compacts(struct vault *vault)
{
    set("/proc/sys/vm/compact_memory", "1");
    set("/proc/sys/vm/drop_caches", "3");
}

static void protects(struct vault *vault)
{
    mprotect(start_of(vault), size_of(vault), PROT_NONE);
    mprotect(start_of(vault), size_of(vault), PROT_READ);
    mprotect(start_of(vault), size_of(vault), PROT_READ | PROT_WRITE);
    mlock(start_of(vault), size_of(vault));
    munlock(start_of(vault), size_of(vault));
}

static const uint64_t SUNK = 0x5117C0FFEE;

// Copies of the kernel to and from the memory, and its atomic operations there.
static void passes_on(struct vault *vault)
{
    int file = open("/dev/shm/misuse", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    uint32_t *word = start_of(vault);
    uint64_t value;
    if (file < 0 || zero < 0)
        die("/dev/shm/misuse");
    // A page that has been touched through the linear map has the sink in its place, for all.
    bool is_sunk = vault->machine.plan.backing->fate == STAYS_MAPPED && peek_read(vault->frames[0], 8) == SUNK;
    ssize_t length = write(file, (uint8_t *)word + PAGE, 4 * PAGE);
    expect("write from the guest's memory", length < 0 ? -errno : length, is_sunk ? 4 * PAGE : -EFAULT);
    length = read(zero, (uint8_t *)word + 5 * PAGE, PAGE);
    expect("read into the guest's memory", length < 0 ? -errno : length, is_sunk ? PAGE : -EFAULT);
    struct timespec moment = { .tv_nsec = 1000000 };
    syscall(SYS_futex, word + 6 * PAGE / 4, FUTEX_WAIT, 0, &moment, NULL, 0);
    syscall(SYS_futex, word + 7 * PAGE / 4, FUTEX_LOCK_PI, 0, &moment, NULL, 0);
    syscall(SYS_futex, word + 8 * PAGE / 4, FUTEX_WAKE_OP, 1, 1, word + 9 * PAGE / 4, FUTEX_OP(FUTEX_OP_ADD, 1, 0, 0));
    unsigned leaks = 0;
    for (off_t at = 0; pread(file, &value, 8, at) == 8; at += 8)
        leaks += is_secret(vault, value);
    expect("leaks in the file", leaks, 0);
    // The futex operations have written to the sink's first word.
    peek_write(vault->frames[0], 8, SUNK);
    close(file);
    close(zero);
    unlink("/dev/shm/misuse");
}

static const struct misuse {
    const char *name;
    void (*act)(struct vault *vault);
} misuses[] = {
    { "forks", forks }, { "gives its memory back", gives_back }, { "gives advice", advises },
    { "unmaps", unmaps }, { "moves", moves }, { "has pages merged", merges },
    { "has pages collapsed", collapses }, { "has memory compacted", compacts }, { "protects", protects },
    { "passes memory on", passes_on },
};

// The guest goes on after a misuse, in a process of its own.
static void goes_on(const struct misuse *misuse, const struct backing *backing)
{
    pid_t child = fork();
    int status;
    if (!child) {
        static struct vault vault;
        failures = 0;
        make_vault(&vault, (struct plan){ PROTECTED, backing, WITH_GIC }, 600);
        fill_vault(&vault);
        misuse->act(&vault);
        expect("what the guest finds altered", look(&vault, 2), 0);
        expect("leaks by the process's mapping", leaks_by(OWN, &vault), 0);
        expect("leaks by the linear map", leaks_by(LINEAR_MAP, &vault), 0);
        misuse->act(&vault);
        expect("what the guest finds altered the second time", look(&vault, 2), 0);
        end_vault(&vault);
        _exit(failures != 0);
    }
    waitpid(child, &status, 0);
    expect(misuse->name, status, 0);
}

static struct vault *shared_vault(void)
{
    struct vault *vault = mmap(NULL, sizeof *vault, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (vault == MAP_FAILED)
        die("mmap");
    return vault;
}

// Words of the secret in the core file of a process.
static unsigned dump(struct vault *vault, struct plan plan)
{
    unsigned found = 0;
    uint64_t words[512];
    int status;
    pid_t child = fork();
    if (!child) {
        struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
        setrlimit(RLIMIT_CORE, &limit);
        make_vault(vault, plan, 128);
        fill_vault(vault);
        abort();
    }
    waitpid(child, &status, 0);
    expect("the end by SIGABRT", WIFSIGNALED(status) ? WTERMSIG(status) : 0, SIGABRT);
    expect("a core file", WCOREDUMP(status) != 0, 1);
    int core = open("/dev/shm/core", O_RDONLY | O_CLOEXEC);
    if (core < 0)
        die("/dev/shm/core");
    for (ssize_t length; (length = read(core, words, sizeof words)) > 0;)
        for (ssize_t i = 0; i < length / 8; i++)
            found += is_secret(vault, words[i]);
    close(core);
    unlink("/dev/shm/core");
    return found;
}

static void expect_nothing_left(const char *what, struct vault *vault)
{
    unsigned others = 0;
    for (unsigned page = 0; page < vault->pages; page++)
        others += peek_owner(vault->frames[page]) != PAGE_OF_HOST;
    expect(what, others, 0);
    expect(what, leaks_by(LINEAR_MAP, vault), 0);
}

// The process becomes another program, and its guest is gone.
static void becomes_another(struct vault *vault, const struct backing *backing)
{
    int status;
    pid_t child = fork();
    if (!child) {
        make_vault(vault, (struct plan){ PROTECTED, backing, WITH_GIC }, 128);
        fill_vault(vault);
        execl("/bin/busybox", "sh", "-c", "exit 7", NULL);
        _exit(1);
    }
    waitpid(child, &status, 0);
    expect("the other program", WIFEXITED(status) ? WEXITSTATUS(status) : -1, 7);
    expect_nothing_left("pages after exec", vault);
}

static void on_stack(int signal)
{
    _exit(2);
}

// A signal's frame is to lie in the guest's memory: the process ends.
static void ends_by_signal(struct vault *vault, const struct backing *backing)
{
    int status;
    pid_t child = fork();
    if (!child) {
        struct sigaction action = { .sa_handler = on_stack, .sa_flags = SA_ONSTACK };
        make_vault(vault, (struct plan){ PROTECTED, backing, WITH_GIC }, 128);
        fill_vault(vault);
        stack_t stack = { .ss_sp = start_of(vault), .ss_size = size_of(vault) };
        sigaltstack(&stack, NULL);
        sigaction(SIGUSR1, &action, NULL);
        raise(SIGUSR1);
        _exit(1);
    }
    waitpid(child, &status, 0);
    expect("the end by SIGSEGV", WIFSIGNALED(status) ? WTERMSIG(status) : 0, SIGSEGV);
    expect_nothing_left("pages after a signal", vault);
}

void misuse(void)
{
    struct vault *vault = shared_vault();
    peek_open();
    set("/proc/sys/kernel/core_pattern", "/dev/shm/core");
    set("/proc/sys/kernel/core_uses_pid", "0");
    expect("words in a normal VM's core file", dump(vault, (struct plan){ .backing = &anonymous }), 128 * PAGE / 8);
    for (const struct backing *const *backing = private_backings; *backing; backing++) {
        for (size_t j = 0; j < sizeof misuses / sizeof *misuses; j++) {
            printf("%s, a process %s\n", (*backing)->name, misuses[j].name);
            goes_on(&misuses[j], *backing);
        }
        puts("core, exec, signal");
        expect("words in a core file", dump(vault, (struct plan){ PROTECTED, *backing, WITH_GIC }), 0);
        expect_nothing_left("pages after a core dump", vault);
        becomes_another(vault, *backing);
        ends_by_signal(vault, *backing);
    }
    set("/proc/sys/kernel/core_pattern", "core");
}
