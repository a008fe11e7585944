// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Attacks by what begins and ends CPUs and hypervisors: the installation's calls, the kernel's stub, firmware.

#define _GNU_SOURCE
#include "attack.h"
#include "raw.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// Code of the host's that would like to be at EL2, with the bait's address in x0: it tells its exception level in
// the second word from 0x100 on, and in the third what is where the first says. Its last instruction goes behind it.
static const uint32_t spy[] = {
    0xD5384241, // mrs x1, CurrentEL
    0xF9008401, // str x1, [x0, #0x108]
    0xF9408002, // ldr x2, [x0, #0x100]
    0xF9400042, // ldr x2, [x2]
    0xF9008802, // str x2, [x0, #0x110]
};
enum { RETURN_FROM_EXCEPTION = 0xD69F03E0, STAY = 0x14000000 };

static volatile uint64_t *put_spy_into_bait(uint32_t last)
{
    volatile uint64_t *words = bait + 0x100 / 8;
    memcpy(bait, spy, sizeof spy);
    ((uint32_t *)bait)[sizeof spy / sizeof *spy] = last;
    words[0] = stolen() * PAGE;
    words[1] = words[2] = 0;
    __builtin___clear_cache((char *)bait, (char *)bait + PAGE);
    return words;
}

static const char *found_by_spy(const volatile uint64_t *words)
{
    if (is_secret(&victim, words[2]))
        return "code of the host's is at EL2, and reads the guest's page";
    return words[1] == 2 << 2 ? "code of the host's is at EL2" : NULL;
}

static const char *installation(void)
{
    static const uint64_t calls[] = { CALL_INITIALISE, CALL_DEPRIVILEGE, CALL_WITHDRAW };
    const char *got = NULL;
    // A CPU that gets EL2 back is one of two.
    stay_on(0);
    for (unsigned i = 0; i < 3 && !got; i++)
        got = gain("a call of the installation is answered", (struct peek){ { calls[i] } });
    if (got) {
        // The kernel's stub is back, and its SOFT_RESTART goes where the host says.
        volatile uint64_t *words = put_spy_into_bait(RETURN_FROM_EXCEPTION);
        struct raw restart = { .conduit = RAW_HVC, .x = { 1, bait_frame * PAGE, bait_frame * PAGE } };
        raw_call(&restart);
        got = found_by_spy(words) ? found_by_spy(words) : got;
    }
    stay_anywhere();
    return got;
}

// The address at which EL2 found itself when it panicked; 0 if it has not.
static uint64_t address_of_panic(void)
{
    struct peek record = { { CALL_PANIC_RECORD, 3 } };
    return peek_call(&record) == STATUS_SUCCESS ? record.x[1] : 0;
}

static const char *restart(void)
{
    int levels[2];
    uint64_t level = 0;
    if (pipe2(levels, O_NONBLOCK | O_CLOEXEC))
        die("pipe");
    pid_t child = fork();
    if (!child) {
        // If EL2 goes where it should not, this CPU does not come back.
        stay_on(1);
        level = peek_restart();
        _exit(write(levels[1], &level, sizeof level) != sizeof level);
    }
    stay_on(0);
    for (unsigned i = 0; i < 100 && !level; i++) {
        usleep(20000);
        if (read(levels[0], &level, sizeof level) < 0)
            level = 0;
        // Where the host's kernel is EL2 has nothing; that it looked there is the host's doing.
        if (address_of_panic() >> 48 == 0xFFFF)
            return "EL2 goes on where the host says";
    }
    expect("the exception level behind a restart", level, 1 << 2);
    kill(child, SIGKILL);
    stay_anywhere();
    return level >= 2 << 2 ? "the host is at EL2" : NULL;
}

static bool has_written(const char *file, const char *word)
{
    int descriptor = open(file, O_WRONLY | O_CLOEXEC);
    bool is_written = descriptor >= 0 && write(descriptor, word, strlen(word)) > 0;
    if (descriptor >= 0)
        close(descriptor);
    return is_written;
}

// What would end EL2 under the guest, or bring up a CPU beside it.
static const char *without_hypervisor(void)
{
    if (!syscall(SYS_delete_module, "martlet", O_NONBLOCK))
        return "the module is unloaded";
    if (has_written("/sys/power/state", "disk"))
        return "the machine's memory is saved";
    if (is_secret(&victim, peek_at_start(stolen(), 0)))
        return "a CPU that was put back reads the guest's page";
    return NULL;
}

static const char ONLINE[] = "/sys/devices/system/cpu/cpu1/online";

// A call to firmware past the kernel, while CPU 1 is off: its status.
static long start_cpu(uint64_t function, uint64_t target, uint64_t entry, uint64_t context)
{
    struct raw call = { .conduit = RAW_SMC, .x = { function, target, entry, context } };
    raw_call(&call);
    return (long)call.x[0];
}

static void take_cpu_out(void)
{
    stay_on(0);
    if (!has_written(ONLINE, "0"))
        die("CPU 1 out");
}

static void put_cpu_back(void)
{
    if (!has_written(ONLINE, "1"))
        die("CPU 1 back");
    stay_anywhere();
}

enum { CPU_ON = 0xC4000003 };

static const char *entries(void)
{
    uint64_t hypervisor = 0x40000;
    while (peek_owner(hypervisor) != PAGE_OF_HYPERVISOR)
        hypervisor++;
    const struct {
        const char *what;
        uint64_t target, entry;
    } starts[] = {
        { "a CPU starts in EL2's code", 1, hypervisor * PAGE },
        { "a CPU starts in the guest", 1, stolen() * PAGE },
        { "a CPU starts where no memory is", 1, 0x09000000 },
        { "a CPU starts between two instructions", 1, bait_frame * PAGE + 2 },
        { "a CPU starts that there is not", 0x123456, bait_frame * PAGE },
        { "a CPU starts that is on", 0, bait_frame * PAGE },
        { "a CPU starts that no bits can name", 1ul << 24 | 1, bait_frame * PAGE },
    };
    take_cpu_out();
    for (unsigned i = 0; i < sizeof starts / sizeof *starts; i++)
        if (!start_cpu(CPU_ON, starts[i].target, starts[i].entry, 0))
            return starts[i].what;
    put_cpu_back();
    return NULL;
}

// CPU_ON as PSCI 0.1 had it, with a number of the implementation's choice: QEMU's firmware knows this one. EL2
// must not pass on what it does not know.
enum { OLD_CPU_ON = 0x95C1BA60 };

static const char *firmware(void)
{
    volatile uint64_t *words = put_spy_into_bait(STAY);
    take_cpu_out();
    if (!start_cpu(OLD_CPU_ON, 1, bait_frame * PAGE, bait_frame * PAGE)) {
        usleep(200000);
        return found_by_spy(words);
    }
    put_cpu_back();
    return NULL;
}

static const char *image(void)
{
    return scan(&victim);
}

const struct attack power_attacks[] = {
    { "B01", installation }, { "B07", restart }, { "B08", without_hypervisor }, { "B09", entries },
    { "B11", firmware },     { "B14", image },   { NULL, NULL },
};
