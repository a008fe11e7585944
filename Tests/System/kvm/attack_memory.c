// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Attacks on who owns memory.

#define _GNU_SOURCE
#include "attack.h"
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

GUEST(guest_toucher);
GUEST(guest_reader);
GUEST(guest_sum);

static const uint64_t MARK = 0x5EC2E75EC2E7;

static const char *by_way(enum way way)
{
    for (unsigned page = 0; page < victim.pages; page++) {
        uint64_t value = 0;
        if (read_by(way, &victim, page, &value) && is_secret(&victim, value))
            return way_names[way];
    }
    return NULL;
}

static const char *by_linear_map(void)
{
    renew_victim();
    const char *got = by_way(LINEAR_MAP);
    if (got)
        return got;
    peek_write(stolen(), 8, MARK);
    return look(&victim, 1) ? "the guest finds a word of the host's" : NULL;
}

static const char *by_mapping(void)
{
    renew_victim();
    const char *got = by_way(OWN);
    return got ? got : by_way(MEM_FILE);
}

static const char *by_kernel(void)
{
    renew_victim();
    const char *got = by_way(VM_CALL);
    return got ? got : by_way(PIPE);
}

static const char *second_owner(void)
{
    return gain("two guests have one page", (struct peek){ { CALL_DONATE_TO_GUEST, rival_handle, FREE, stolen(), 1, 0 } });
}

static const char *lent(void)
{
    return gain("a normal guest has the page", (struct peek){ { CALL_MAP_GUEST, normal_handle, FREE, stolen(), 1, 3 } });
}

static const char *residue(void)
{
    uint64_t frames[64];
    unsigned pages = victim.pages;
    memcpy(frames, victim.frames, pages * sizeof *frames);
    end_vault(&victim);
    for (unsigned page = 0; page < pages; page++)
        for (unsigned offset = 0; offset < PAGE; offset += 8)
            if (is_secret(&victim, peek_read(frames[page], offset)))
                return "the guest's words are still there";
    return NULL;
}

static const char *for_tables(void)
{
    const char *got = gain("the pool has the guest's page", (struct peek){ { CALL_TOP_UP, stolen(), 1 } });
    if (!got)
        got = gain("another VM's tables lie there", (struct peek){ { CALL_DONATE_TO_VM, normal_handle, stolen(), 1 } });
    return got;
}

static const char *tables(void)
{
    static struct machine machine;
    uint64_t value;
    make_small(&machine, 0, guest_toucher, guest_toucher_end, BASE + 7 * PAGE, 0);
    next_store(&machine, &value);
    const char *got = scan(&victim);
    end_machine(&machine);
    return got;
}

static const char *lent_to_protected(void)
{
    return gain("the guest has a page that the host can write",
                (struct peek){ { CALL_MAP_GUEST, victim_handle, FREE, bait_frame, 1, 3 } });
}

static const char *late_content(void)
{
    const char *got = gain("the guest has the host's content",
                           (struct peek){ { CALL_DONATE_TO_GUEST, victim_handle, FREE, bait_frame, 1, 1 } });
    if (got)
        end_vault(&victim);
    return got;
}

static const char *window(void)
{
    return gain("the guest's memory is a window", (struct peek){ { CALL_ALLOW_MMIO, victim_handle, TAKEN, 1 } });
}

static const char *fresh(void)
{
    static struct machine machine;
    uint64_t value = 0;
    make_small(&machine, PROTECTED, guest_reader, guest_reader_end, BASE + 7 * PAGE, 0);
    next_store(&machine, &value);
    uint64_t handle = new_handle();
    *bait = MARK;
    struct peek zeroed = { { CALL_DONATE_TO_GUEST, handle, FREE, bait_frame, 1, 0 } };
    expect("a page for the guest", peek_call(&zeroed), STATUS_SUCCESS);
    next_store(&machine, &value);
    end_machine(&machine);
    return value == MARK ? "the guest finds what another left" : NULL;
}

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

const struct attack memory_attacks[] = {
    { "A01", by_linear_map }, { "A02", by_mapping }, { "A03", second_owner }, { "A03b", lent }, { "A09", residue },
    { "A14", for_tables }, { "A15", tables }, { "A17", lent_to_protected }, { "A18", late_content },
    { "D04b", window }, { "D11", fresh }, { "G06", stale }, { "G08", by_kernel }, { NULL, NULL },
};
