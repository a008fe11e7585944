// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Files, events and waiting for them.

#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

int32_t clinux_open_for_reading(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int32_t clinux_open_device(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int32_t clinux_reopen_for_writing(int32_t fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISFIFO(st.st_mode) && !isatty(fd))
        return -EINVAL;
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return again < 0 ? -errno : again;
}

int32_t clinux_status(int32_t fd, struct clinux_file_status *status)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    status->size = (uint64_t)st.st_size;
    status->kind = S_ISREG(st.st_mode) ? CLINUX_FILE_REGULAR
        : S_ISDIR(st.st_mode) ? CLINUX_FILE_DIRECTORY : CLINUX_FILE_OTHER;
    return 0;
}

int64_t clinux_read(int32_t fd, void *_Nullable bytes, uint64_t count)
{
    ssize_t n = read(fd, bytes, count);
    return n < 0 ? -errno : n;
}

int64_t clinux_read_at(int32_t fd, void *_Nullable bytes, uint64_t count, uint64_t offset)
{
    ssize_t n = pread(fd, bytes, count, (off_t)offset);
    return n < 0 ? -errno : n;
}

int64_t clinux_write(int32_t fd, const void *_Nullable bytes, uint64_t count)
{
    ssize_t n = write(fd, bytes, count);
    return n < 0 ? -errno : n;
}

int32_t clinux_close(int32_t fd)
{
    return close(fd) < 0 ? -errno : 0;
}

int32_t clinux_event_create(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int32_t clinux_poll(struct clinux_poll_entry *_Nullable entries, uint32_t count, int32_t milliseconds)
{
    struct pollfd fds[8];
    if (count > 8)
        return -EINVAL;
    for (uint32_t i = 0; i < count; i++) {
        fds[i].fd = entries[i].fd;
        fds[i].events = (short)((entries[i].wanted & CLINUX_POLL_READ ? POLLIN : 0)
            | (entries[i].wanted & CLINUX_POLL_WRITE ? POLLOUT : 0));
        fds[i].revents = 0;
    }
    int n = poll(fds, count, milliseconds);
    if (n < 0)
        return -errno;
    for (uint32_t i = 0; i < count; i++) {
        short r = fds[i].revents;
        entries[i].happened = (r & POLLIN ? CLINUX_POLL_READ : 0) | (r & POLLOUT ? CLINUX_POLL_WRITE : 0)
            | (r & (POLLHUP | POLLERR | POLLNVAL) ? CLINUX_POLL_CLOSED : 0);
    }
    return n;
}
