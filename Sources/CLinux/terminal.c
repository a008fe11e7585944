// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The terminal's mode, and putting it back however the process ends.

#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <termios.h>
#include <unistd.h>

// A signal handler can take no argument, so what it needs lives here. It is written once, before the flag is set.
static struct termios before, raw;
static int terminal;
static atomic_int is_raw;

int32_t clinux_is_terminal(int32_t fd)
{
    return isatty(fd);
}

static void fault(int number)
{
    // The handler was reset on entry, so that raising the signal again has its default action. Returning would be
    // enough for a fault, which repeats, but not for a signal that somebody sent.
    clinux_terminal_restore();
    raise(number);
}

static int32_t remember(int32_t fd)
{
    if (tcgetattr(fd, &before) < 0)
        return -errno;
    raw = before;
    cfmakeraw(&raw);
    terminal = fd;
    struct sigaction on_fault = { .sa_handler = fault, .sa_flags = (int)(SA_RESETHAND | SA_NODEFER) };
    const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGSYS };
    for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++)
        if (sigaction(faults[i], &on_fault, NULL) < 0)
            return -errno;
    return 0;
}

int32_t clinux_terminal_make_raw(int32_t fd)
{
    // A shell changes the mode of a stopped program's terminal, so the mode is set even if it should be set already.
    if (!atomic_load(&is_raw)) {
        int32_t result = remember(fd);
        if (result < 0)
            return result;
        atomic_store(&is_raw, 1);
    }
    // TCSANOW and not TCSADRAIN, here and below: a terminal that takes no more output must not hang the program.
    if (tcsetattr(fd, TCSANOW, &raw) < 0) {
        int error = errno;
        atomic_store(&is_raw, 0);
        return -error;
    }
    return 0;
}

void clinux_terminal_restore(void)
{
    // tcsetattr is safe in a signal handler (signal-safety(7)).
    if (atomic_exchange(&is_raw, 0))
        tcsetattr(terminal, TCSANOW, &before);
}
