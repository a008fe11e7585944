// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// How many VMs there may be: so many of one user, and so many in all.

#define _GNU_SOURCE
#include "tests.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OF_A_USER = 32, IN_ALL = 64, NOBODY = 65534 };

// Makes VMs until one is refused, with this error; how many there are then.
static unsigned make_all(int kvm, int *machines, int error)
{
    unsigned count = 0;
    while (count <= IN_ALL && (machines[count] = call_number(kvm, KVM_CREATE_VM, count % 2 ? PROTECTED : 0)) >= 0)
        count++;
    if (count <= IN_ALL)
        expect("what refuses one more", machines[count], error);
    return count;
}

static void user_is_limited(int kvm)
{
    int machines[IN_ALL + 1];
    if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
        die("setresuid");
    expect("VMs of a user", make_all(kvm, machines, -EMFILE), OF_A_USER);
    close(machines[7]);
    machines[7] = call_number(kvm, KVM_CREATE_VM, 0);
    expect("a VM in the place of one that has ended", machines[7] >= 0, true);
    expect("and no more", call_number(kvm, KVM_CREATE_VM, 0), -EMFILE);
    // Its VMs go with it.
    _exit(failures != 0);
}

// The user's own namespace of users makes no other user of it. Its parent, root here, gives it a map.
static void namespace_is_no_user(int kvm)
{
    int machines[IN_ALL + 1], begun[2], mapped[2], status;
    char file[64], byte = 0;
    if (pipe(begun) || pipe(mapped))
        die("pipe");
    pid_t child = fork();
    if (!child) {
        if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
            die("setresuid");
        unsigned mine = 0;
        while (mine < OF_A_USER / 2 && (machines[mine] = call_number(kvm, KVM_CREATE_VM, 0)) >= 0)
            mine++;
        expect("VMs of a user", mine, OF_A_USER / 2);
        // A process that gave up its rights is not dumpable, and nobody may write its map.
        prctl(PR_SET_DUMPABLE, 1);
        if (unshare(CLONE_NEWUSER))
            die("unshare");
        if (write(begun[1], &byte, 1) != 1 || read(mapped[0], &byte, 1) != 1)
            die("a map");
        if (setresuid(7, 7, 7))
            die("setresuid in a namespace");
        expect("VMs of another in its namespace", make_all(kvm, machines + mine, -EMFILE), OF_A_USER - mine);
        _exit(failures != 0);
    }
    if (read(begun[0], &byte, 1) != 1)
        die("a child");
    snprintf(file, sizeof file, "/proc/%d/uid_map", child);
    int map = open(file, O_WRONLY | O_CLOEXEC);
    if (map < 0 || write(map, "0 100000 100", 12) != 12)
        die(file);
    close(map);
    if (write(mapped[1], &byte, 1) != 1)
        die("a map");
    waitpid(child, &status, 0);
    expect("the checks in a namespace", status, 0);
}

void limits(void)
{
    int machines[IN_ALL + 1], status;
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0)
        die("/dev/kvm");
    pid_t child = fork();
    if (!child)
        user_is_limited(kvm);
    waitpid(child, &status, 0);
    expect("the user's checks", status, 0);
    namespace_is_no_user(kvm);
    unsigned count = make_all(kvm, machines, -ENOSPC);
    expect("VMs in all", count, IN_ALL);
    while (count)
        close(machines[--count]);
    int again = call_number(kvm, KVM_CREATE_VM, PROTECTED);
    expect("a VM after them", again >= 0, true);
    close(again);
    close(kvm);
}
