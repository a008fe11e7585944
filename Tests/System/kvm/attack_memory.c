// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Attacks on who owns memory.

#define _GNU_SOURCE
#include "attack.h"
#include "raw.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

GUEST(guest_toucher);
GUEST(guest_reader);
GUEST(guest_beat);

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

// Where RAM begins in this machine, and where it ends.
static const uint64_t RAM = 0x40000;

static uint64_t end_of_ram(void)
{
    uint64_t frame = RAM;
    while (peek_owner(frame))
        frame += 512;
    return frame;
}

static const char *lent_hypervisor(void)
{
    for (uint64_t frame = RAM; frame < end_of_ram(); frame += 16) {
        if (peek_owner(frame) != PAGE_OF_HYPERVISOR)
            continue;
        const char *got = gain("a normal guest has a page of EL2's",
                               (struct peek){ { CALL_MAP_GUEST, normal_handle, FREE, frame, 1, 3 } });
        if (!got)
            got = gain("a guest has it for itself", (struct peek){ { CALL_DONATE_TO_GUEST, rival_handle, FREE, frame, 1, 0 } });
        if (!got)
            got = gain("a VM's tables lie in it", (struct peek){ { CALL_DONATE_TO_VM, normal_handle, frame, 1 } });
        if (!got)
            got = gain("the pool has it twice", (struct peek){ { CALL_TOP_UP, frame, 1 } });
        if (got)
            return got;
    }
    return NULL;
}

// A protected VM that the module knows nothing of, out of the first 16 frames of a range.
static uint64_t make_raw_vm(uint64_t frame)
{
    struct peek vm = { { CALL_CREATE_VM, 1, 40, frame, 4 } };
    expect("a VM", peek_call(&vm), STATUS_SUCCESS);
    struct peek tables = { { CALL_DONATE_TO_VM, vm.x[1], frame + 4, 12 } };
    expect("pages for its tables", peek_call(&tables), STATUS_SUCCESS);
    return vm.x[1];
}

static void end_raw_vm(uint64_t handle)
{
    struct peek end;
    do
        end = (struct peek){ { CALL_DESTROY_VM, handle } };
    while (peek_call(&end) == STATUS_SUCCESS && end.x[1]);
    expect("the VM's end", end.x[0], STATUS_SUCCESS);
}

// 512 frames in one block of the host's.
static uint64_t region(void)
{
    struct raw region = { 0 };
    raw_request(RAW_REGION, &region);
    return region.x[0];
}

static const char *no_memory(void)
{
    uint64_t end = end_of_ram(), handle = make_raw_vm(region());
    // What is behind RAM, half of it and all; the UART, the GIC, flash; what has no address.
    const uint64_t places[][2] = { { end, 1 }, { end - 1, 2 }, { 0x9000, 1 }, { 0x8000, 16 },
                                   { 0, 1 },   { 1ul << 28, 1 }, { 1ul << 40, 1 } };
    for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
        uint64_t frame = places[i][0], pages = places[i][1];
        const char *got = gain("a guest has what is no memory",
                               (struct peek){ { CALL_DONATE_TO_GUEST, handle, FREE, frame, pages, 1 } });
        if (!got)
            got = gain("EL2 has what is no memory", (struct peek){ { CALL_TOP_UP, frame, pages } });
        if (!got)
            got = gain("a normal guest has it", (struct peek){ { CALL_MAP_GUEST, normal_handle, FREE, frame, pages, 3 } });
        if (got)
            return got;
    }
    end_raw_vm(handle);
    return NULL;
}

static const char *taken_back(void)
{
    static struct machine machines[2];
    uint64_t handles[2], value;
    unsigned taken = 0;
    for (unsigned i = 0; i < 2; i++) {
        make_small(&machines[i], PROTECTED, guest_beat, guest_beat_end, 0, 0);
        handles[i] = new_handle();
        next_store(&machines[i], &value);
    }
    // Between a tick and the next run the guest is not there, and a VM may be ended: not twice at the first attempt.
    for (unsigned i = 0; i < 2; i++) {
        struct peek end = { { CALL_DESTROY_VM, handles[i] } };
        start_beside(&machines[i]);
        taken += peek_call(&end) == STATUS_SUCCESS;
        end_beside();
    }
    for (unsigned i = 0; i < 2; i++)
        end_machine(&machines[i]);
    return taken == 2 ? "a guest's memory goes back while it runs" : NULL;
}

static uint64_t *volatile gift;
static volatile bool is_given;
static __thread sigjmp_buf refused;

static void refuse(int number)
{
    siglongjmp(refused, 1);
}

// Reads without a pause, so that the TLB keeps what it has, and once when the page is a guest's.
static void *keep_reading(void *unused)
{
    stay_on(1);
    if (sigsetjmp(refused, 1))
        return NULL;
    while (!is_given)
        *(volatile uint64_t *)gift;
    *(volatile uint64_t *)gift;
    return gift;
}

static bool is_read_after_donation(uint64_t guest)
{
    pthread_t reader;
    void *got;
    *gift = MARK;
    is_given = false;
    if (pthread_create(&reader, NULL, keep_reading, NULL))
        die("pthread_create");
    usleep(20000);
    struct peek call = { { CALL_DONATE_TO_GUEST, rival_handle, guest, frame_of(gift), 1, 0 } };
    long status = peek_call(&call);
    is_given = true;
    pthread_join(reader, &got);
    expect("a page for the guest", status, STATUS_SUCCESS);
    return got;
}

static const char *kept_translation(void)
{
    enum { GIFTS = 16 };
    struct sigaction action = { .sa_handler = refuse }, before;
    bool got = false;
    uint8_t *area = mmap(NULL, GIFTS * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(area, 1, GIFTS * PAGE);
    mlock(area, GIFTS * PAGE);
    sigaction(SIGBUS, &action, &before);
    stay_on(0);
    // An interrupt in between may cost the other CPU what it has in its TLB.
    for (unsigned i = 0; i < GIFTS && !got; i++) {
        gift = (uint64_t *)(area + i * PAGE);
        got = is_read_after_donation(FREE + i);
    }
    stay_anywhere();
    sigaction(SIGBUS, &before, NULL);
    end_vault(&rival);
    munmap(area, GIFTS * PAGE);
    return got ? "another CPU still reads the guest's page" : NULL;
}

// Two pages of one block of the host's go to two guests, and one comes back.
static const char *neighbour(void)
{
    uint64_t first = region(), kept = first + 100, returned = first + 300;
    uint64_t one = make_raw_vm(first), two = make_raw_vm(first + 16);
    // What a guest gets before its first run it gets as it is.
    peek_write(kept, 0, MARK);
    struct peek give_one = { { CALL_DONATE_TO_GUEST, one, FREE, kept, 1, 1 } };
    struct peek give_two = { { CALL_DONATE_TO_GUEST, two, FREE, returned, 1, 0 } };
    expect("a page for the guest", peek_call(&give_one), STATUS_SUCCESS);
    expect("its neighbour for another", peek_call(&give_two), STATUS_SUCCESS);
    expect("what is beside them is the host's", peek_owner(kept + 1), PAGE_OF_HOST);
    end_raw_vm(two);
    expect("the neighbour's owner", peek_owner(returned), PAGE_OF_HOST);
    const char *got = peek_read(kept, 0) == MARK ? "a block covers the guest's page" : NULL;
    end_raw_vm(one);
    return got;
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

const struct attack memory_attacks[] = {
    { "A01", by_linear_map }, { "A02", by_mapping }, { "A03", second_owner }, { "A03b", lent },
    { "A04", lent_hypervisor }, { "A05", no_memory }, { "A08", taken_back }, { "A09", residue },
    { "A11", kept_translation }, { "A13b", neighbour }, { "A14", for_tables }, { "A15", tables }, { "A17", lent_to_protected }, { "A18", late_content },
    { "D04b", window }, { "D11", fresh }, { "G08", by_kernel }, { NULL, NULL },
};
