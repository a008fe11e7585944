// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Threads, locks, and signals as a file.

#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

_Static_assert(SIGTSTP == CLINUX_SIGNAL_STOP && SIGCONT == CLINUX_SIGNAL_CONTINUE, "signal numbers");

/// The signal whose only purpose is to interrupt KVM_RUN.
#define KICK SIGUSR1

void *_Nullable clinux_lock_create(void)
{
    pthread_mutex_t *lock = malloc(sizeof *lock);
    if (lock && pthread_mutex_init(lock, NULL) != 0) {
        free(lock);
        return NULL;
    }
    return lock;
}

void clinux_lock_destroy(void *lock)
{
    pthread_mutex_destroy(lock);
    free(lock);
}

void clinux_lock_acquire(void *lock)
{
    pthread_mutex_lock(lock);
}

void clinux_lock_release(void *lock)
{
    pthread_mutex_unlock(lock);
}

struct start {
    void (*body)(void *);
    void *context;
};

static void *enter(void *argument)
{
    struct start start = *(struct start *)argument;
    free(argument);
    start.body(start.context);
    return NULL;
}

int32_t clinux_thread_start(void (*body)(void *), void *context, uint64_t *handle)
{
    struct start *start = malloc(sizeof *start);
    if (!start)
        return -ENOMEM;
    start->body = body;
    start->context = context;
    // A thread inherits the mask of its maker, so the mask is set before and put back after. A fault must still
    // reach its handler, which restores the terminal.
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, KICK);
    const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGSYS };
    for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int error = pthread_create(&thread, NULL, enter, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        free(start);
        return -error;
    }
    *handle = (uint64_t)thread;
    return 0;
}

int32_t clinux_thread_join(uint64_t handle)
{
    return -pthread_join((pthread_t)handle, NULL);
}

int32_t clinux_thread_kick(uint64_t handle)
{
    return -pthread_kill((pthread_t)handle, KICK);
}

static void nothing(int number)
{
    (void)number;
}

int32_t clinux_signals_to_file(void)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    struct sigaction kick = { .sa_handler = nothing };
    if (sigaction(SIGPIPE, &ignore, NULL) < 0 || sigaction(KICK, &kick, NULL) < 0)
        return -errno;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTSTP);
    sigaddset(&set, SIGCONT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int32_t clinux_next_signal(int32_t fd)
{
    struct signalfd_siginfo info;
    ssize_t n = read(fd, &info, sizeof info);
    if (n < 0)
        return -errno;
    return n == (ssize_t)sizeof info ? (int32_t)info.ssi_signo : -EIO;
}

void clinux_stop_self(void)
{
    kill(getpid(), SIGSTOP);
}
