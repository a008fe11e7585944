// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A hostile kernel calls EL2 by itself, past the module, with the handles of VMs that exist: it would have
// a guest's page for somebody else, or something of its own in the page's place. All of it is refused and
// changes nothing, while the guest waits and while it runs.

#define _GNU_SOURCE
#include "peek.h"
#include "secrets.h"
#include "tests.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct vault victim, rival, normal;
static uint64_t victim_handle, rival_handle, normal_handle;
// A page of the host's own.
static uint64_t *bait;
static uint64_t bait_frame;

// The one handle among those of now that was not among those of before.
static uint64_t new_handle(const uint64_t *old, unsigned count)
{
    uint64_t handles[8], found = 0;
    unsigned now = find_machines(handles, 8);
    expect("VMs that exist", now, count + 1);
    for (unsigned i = 0; i < now; i++) {
        bool is_old = false;
        for (unsigned j = 0; j < count; j++)
            is_old |= handles[i] == old[j];
        if (!is_old)
            found = handles[i];
    }
    return found;
}

static volatile bool is_running;

struct attempt {
    const char *what;
    uint64_t x[6];
};

static void attempt(const struct attempt *attempt)
{
    struct peek peek = { { 0 } };
    memcpy(peek.x, attempt->x, sizeof attempt->x);
    long status = peek_call(&peek);
    // Registers of a vCPU that runs are nobody's to ask for, whoever's they are.
    bool is_of_vcpu = attempt->x[0] == CALL_GET_REGISTER || attempt->x[0] == CALL_SET_REGISTER;
    if (!is_running || !is_of_vcpu || status != STATUS_BUSY)
        expect(attempt->what, status, STATUS_DENIED);
    for (unsigned i = 1; i < 4; i++)
        expect(attempt->what, peek.x[i], 0);
}

// Guest frames of every vault: one of the secret, and one that has no memory yet.
static const uint64_t TAKEN = (BASE + SECRET) / PAGE + 3, FREE = BASE / PAGE + 7, SOMEWHERE = 0x80000;

static void attempt_all(void)
{
    uint64_t stolen = victim.frames[3], lent = normal.frames[3];
    const struct attempt attempts[] = {
        { "its page at a second place", { CALL_DONATE_TO_GUEST, victim_handle, FREE, stolen, 1, 0 } },
        { "its page at a second place, as it is", { CALL_DONATE_TO_GUEST, victim_handle, FREE, stolen, 1, 1 } },
        { "its page again", { CALL_DONATE_TO_GUEST, victim_handle, TAKEN, stolen, 1, 0 } },
        { "another page in its place", { CALL_DONATE_TO_GUEST, victim_handle, TAKEN, bait_frame, 1, 0 } },
        { "content after the first run", { CALL_DONATE_TO_GUEST, victim_handle, FREE, bait_frame, 1, 1 } },
        { "its page for another protected guest", { CALL_DONATE_TO_GUEST, rival_handle, FREE, stolen, 1, 0 } },
        { "its page for a normal guest", { CALL_MAP_GUEST, normal_handle, FREE, stolen, 1, 3 } },
        { "its page donated to a normal guest", { CALL_DONATE_TO_GUEST, normal_handle, FREE, stolen, 1, 0 } },
        { "a lent page for a protected guest", { CALL_DONATE_TO_GUEST, victim_handle, FREE, lent, 1, 0 } },
        { "a page lent to it", { CALL_MAP_GUEST, victim_handle, FREE, bait_frame, 1, 3 } },
        { "a page lent in its place", { CALL_MAP_GUEST, victim_handle, TAKEN, bait_frame, 1, 3 } },
        { "its page back", { CALL_UNMAP_GUEST, victim_handle, TAKEN, 1 } },
        { "its page for its own tables", { CALL_DONATE_TO_VM, victim_handle, stolen, 1 } },
        { "its page for others' tables", { CALL_DONATE_TO_VM, normal_handle, stolen, 1 } },
        { "its page for the pool", { CALL_TOP_UP, stolen, 1 } },
        { "a vCPU more", { CALL_CREATE_VCPU, victim_handle, 1, bait_frame & ~3ul, 0 } },
        { "a window on its memory", { CALL_ALLOW_MMIO, victim_handle, TAKEN, 1 } },
        { "a window after the first run", { CALL_ALLOW_MMIO, victim_handle, SOMEWHERE, 1 } },
        { "its x2", { CALL_GET_REGISTER, victim_handle, 0, 2 } },
        { "its PC", { CALL_GET_REGISTER, victim_handle, 0, 0x101 } },
        { "its V0", { CALL_GET_REGISTER, victim_handle, 0, 0x300 } },
        { "its ID_AA64PFR0_EL1", { CALL_GET_REGISTER, victim_handle, 0, 0x420 } },
        { "another PC", { CALL_SET_REGISTER, victim_handle, 0, 0x101, BASE } },
        { "another x2", { CALL_SET_REGISTER, victim_handle, 0, 2, 0 } },
        { "another ID_AA64PFR0_EL1", { CALL_SET_REGISTER, normal_handle, 0, 0x420, 0x11 } },
    };
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
        attempt(&attempts[i]);
    // A VM or a vCPU out of the guest's pages, however they happen to be aligned.
    for (unsigned page = 0; page < victim.pages; page++) {
        struct peek vm = { { CALL_CREATE_VM, 1, 40, victim.frames[page] & ~3ul, 4 } };
        struct peek vcpu = { { CALL_CREATE_VCPU, normal_handle, 1, victim.frames[page] & ~3ul, 0 } };
        expect("a VM of its pages", peek_call(&vm), STATUS_DENIED);
        expect("a vCPU of its pages", peek_call(&vcpu), STATUS_DENIED);
    }
}

static void expect_unchanged(void)
{
    unsigned others = 0;
    for (unsigned page = 0; page < victim.pages; page++)
        others += peek_owner(victim.frames[page]) != PAGE_OF_GUEST;
    expect("pages that the guest lost", others, 0);
    expect("what the guest finds altered", look(&victim, 1), 0);
    expect("what its rival finds altered", look(&rival, 1), 0);
    expect("what the normal guest finds altered", look(&normal, 1), 0);
    expect("the bait's owner", peek_owner(bait_frame), PAGE_OF_HOST);
    expect("the bait's content", *bait, 0xBA17);
}

static volatile bool is_over;

static void *attempt_for_ever(void *argument)
{
    do
        attempt_all();
    while (!is_over);
    return NULL;
}

static struct vault *vault_of(struct vault *vault, unsigned long type, const struct backing *backing)
{
    make_vault(vault, (struct plan){ .type = type, .backing = backing }, 32);
    fill_vault(vault);
    return vault;
}

static void attack(const struct backing *backing)
{
    uint64_t known[2];
    pthread_t thread;
    vault_of(&victim, PROTECTED, backing);
    known[0] = victim_handle = new_handle(NULL, 0);
    vault_of(&rival, PROTECTED, backing);
    known[1] = rival_handle = new_handle(known, 1);
    vault_of(&normal, 0, &anonymous);
    normal_handle = new_handle(known, 2);
    bait = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *bait = 0xBA17;
    mlock(bait, PAGE);
    bait_frame = frame_of(bait);

    attempt_all();
    expect_unchanged();
    is_over = false;
    is_running = true;
    if (pthread_create(&thread, NULL, attempt_for_ever, NULL))
        die("pthread_create");
    for (unsigned i = 0; i < 10; i++)
        expect("what the guest finds altered meanwhile", look(&victim, 200), 0);
    is_over = true;
    pthread_join(thread, NULL);
    is_running = false;
    expect_unchanged();

    end_vault(&victim);
    // The handle is nobody's now.
    struct peek gone = { { CALL_DONATE_TO_GUEST, victim_handle, FREE, bait_frame, 1, 0 } };
    expect("a handle after its VM", peek_call(&gone), STATUS_NOT_FOUND);
    end_vault(&rival);
    end_vault(&normal);
    munmap(bait, PAGE);
}

void attacks(void)
{
    peek_open();
    for (const struct backing *const *backing = private_backings; *backing; backing++) {
        printf("%s\n", (*backing)->name);
        attack(*backing);
    }
}
