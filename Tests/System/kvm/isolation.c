// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Who reaches a guest's memory, at every moment of a machine's life: nobody from donation to teardown,
// and everybody before and after, when there is nothing of the guest.

#define _GNU_SOURCE
#include "peek.h"
#include "secrets.h"
#include "tests.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint64_t INTRUDER = 0xBADBADBADBADBAD0;

// Reads and writes some pages by every way, each page by another one first. Nothing read is the guest's.
static void intrude(const char *moment, struct vault *vault)
{
    unsigned leaks = 0;
    for (unsigned page = 0; page < vault->pages; page += 1 + vault->pages / 16)
        for (unsigned i = 0; i < WAYS; i++) {
            enum way way = (page + i) % WAYS;
            uint64_t value = 0;
            if (read_by(way, vault, page, &value) && is_secret(vault, value)) {
                printf("%s: %s gives the guest's page %u\n", moment, way_names[way], page);
                leaks++;
            }
            write_by(way, vault, page, INTRUDER + page);
            if (read_by(way, vault, page, &value) && is_secret(vault, value))
                leaks++;
        }
    expect(moment, leaks, 0);
}

static void expect_owner(const char *moment, struct vault *vault, long owner)
{
    unsigned others = 0;
    for (unsigned page = 0; page < vault->pages; page++)
        others += peek_owner(vault->frames[page]) != owner;
    expect(moment, others, 0);
}

// Every way works while the memory is the process's, or these tests would prove nothing.
static void ways_work(struct vault *vault)
{
    for (unsigned page = 0; page < 4; page++) {
        vault->frames[page] = frame_of((const void *)word_of(vault, page));
        expect("an owner before the first run", peek_owner(vault->frames[page]), PAGE_OF_HOST);
        for (enum way way = 0; way < WAYS; way++) {
            uint64_t value = 0;
            bool is_there = vault->machine.plan.backing->fate == STAYS_MAPPED || (way != VM_CALL && way != MEM_FILE);
            expect(way_names[way], read_by(way, vault, page, &value), is_there);
            if (!is_there)
                continue;
            expect(way_names[way], value, page + 1);
            if (way != PIPE)
                expect(way_names[way], write_by(way, vault, page, 1000), true);
            read_by(OWN, vault, page, &value);
            expect(way_names[way], value, way == PIPE ? page + 1 : 1000);
            write_by(OWN, vault, page, page + 1);
        }
    }
}

// In a normal VM every way finds the secret.
static void contrast(void)
{
    static struct vault vault;
    make_vault(&vault, (struct plan){ .backing = &anonymous }, 32);
    fill_vault(&vault);
    expect("the guest's look", look(&vault, 1), 0);
    for (enum way way = 0; way < WAYS; way++) {
        uint64_t value = 0;
        expect(way_names[way], read_by(way, &vault, 20, &value), true);
        expect(way_names[way], value, (long)secret_at(&vault, 20, 0));
    }
    write_by(LINEAR_MAP, &vault, 20, INTRUDER);
    expect("what the guest finds altered", look(&vault, 1), 1);
    end_vault(&vault);
}

static volatile bool is_over;

static void *intrude_for_ever(void *argument)
{
    do
        intrude("while the guest runs", argument);
    while (!is_over);
    return NULL;
}

static void beside(struct vault *vault)
{
    pthread_t thread;
    is_over = false;
    if (pthread_create(&thread, NULL, intrude_for_ever, vault))
        die("pthread_create");
    for (unsigned i = 0; i < 20; i++)
        expect("what the guest finds altered meanwhile", look(vault, 10), 0);
    is_over = true;
    pthread_join(thread, NULL);
}

static void *read_for_ever(void *argument)
{
    struct vault *vault = argument;
    unsigned long reads = 0, leaks = 0;
    while (!is_over || reads < 100) {
        unsigned page = reads * 7 % vault->pages;
        uint64_t value = 0;
        if (read_by(reads % 2 ? OWN : LINEAR_MAP, vault, page, &value))
            leaks += is_secret(vault, value);
        reads++;
    }
    expect("what was read during teardown", leaks, 0);
    return NULL;
}

// The last descriptor goes while others read.
static void tear_down(struct vault *vault)
{
    pthread_t thread;
    is_over = false;
    if (pthread_create(&thread, NULL, read_for_ever, vault))
        die("pthread_create");
    munmap(vault->machine.run[0], PAGE);
    close(vault->machine.gic);
    close(vault->machine.vm);
    close(vault->machine.vcpu[0]);
    is_over = true;
    pthread_join(thread, NULL);
}

// The pages are the process's again, all of them zero, and can be used.
static void expect_returned(struct vault *vault)
{
    unsigned words = 0, foreign = 0, unusable = 0;
    expect_owner("owners after teardown", vault, PAGE_OF_HOST);
    for (unsigned page = 0; page < vault->pages; page++) {
        for (unsigned offset = 0; offset < PAGE; offset += 8) {
            words += word_of(vault, page)[offset / 8] != 0;
            if (page % 16 == 0)
                foreign += peek_read(vault->frames[page], offset) != 0;
        }
        foreign += frame_of((const void *)word_of(vault, page)) != vault->frames[page];
        *word_of(vault, page) = page;
        unusable += *word_of(vault, page) != page;
    }
    expect("words that are not zero after teardown", words, 0);
    expect("pages that the kernel sees otherwise", foreign, 0);
    expect("pages that cannot be used again", unusable, 0);
}

static void touch_first(struct vault *vault)
{
    unsigned refused = 0;
    uint64_t value;
    for (unsigned page = 1; page < 9; page++)
        refused += !read_by(OWN, vault, page, &value) && !write_by(OWN, vault, page, INTRUDER);
    expect("first touches by the process's mapping that are refused", refused, 8);
}

static void one_life(const struct backing *backing, bool closes_early)
{
    static struct vault vault;
    make_vault(&vault, (struct plan){ PROTECTED, backing, WITH_GIC }, 512);
    ways_work(&vault);
    fill_vault(&vault);
    expect_owner("owners after the first run", &vault, PAGE_OF_GUEST);
    touch_first(&vault);
    beside(&vault);
    intrude("between two runs", &vault);
    expect("what the guest finds altered", look(&vault, 1), 0);
    if (closes_early) {
        close(vault.machine.gic);
        close(vault.machine.vm);
        vault.machine.vm = vault.machine.gic = -1;
        intrude("without the VM's descriptor", &vault);
        expect("what the guest finds altered without the VM's descriptor", look(&vault, 1), 0);
    }
    switch_off(&vault);
    intrude("after the guest's end", &vault);
    expect_owner("owners after the guest's end", &vault, PAGE_OF_GUEST);
    tear_down(&vault);
    expect_returned(&vault);
    munmap(vault.machine.memory, vault.machine.size);
    if (vault.machine.file >= 0)
        close(vault.machine.file);
    close(vault.machine.kvm);
}

// The process is killed while its guest runs. Its frames are the host's, and nothing of the guest is in
// them, whoever has them by now.
static void killed(const struct backing *backing)
{
    struct vault *vault = mmap(NULL, sizeof *vault, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int pipes[2];
    char byte;
    if (vault == MAP_FAILED || pipe(pipes))
        die("a child with a guest");
    pid_t child = fork();
    if (!child) {
        make_vault(vault, (struct plan){ PROTECTED, backing, WITH_GIC }, 512);
        fill_vault(vault);
        if (write(pipes[1], "", 1) != 1)
            _exit(1);
        for (;;)
            look(vault, 1000);
    }
    if (read(pipes[0], &byte, 1) != 1)
        die("a guest in a child");
    expect_owner("owners before SIGKILL", vault, PAGE_OF_GUEST);
    usleep(100000);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    unsigned leaks = 0;
    for (unsigned page = 0; page < vault->pages; page++)
        for (unsigned offset = 0; offset < PAGE; offset += 512)
            leaks += is_secret(vault, peek_read(vault->frames[page], offset));
    expect_owner("owners after SIGKILL", vault, PAGE_OF_HOST);
    expect("words of the guest after SIGKILL", leaks, 0);
    close(pipes[0]);
    close(pipes[1]);
    munmap(vault, sizeof *vault);
}

void isolation(void)
{
    peek_open();
    contrast();
    for (const struct backing *const *backing = private_backings; *backing; backing++) {
        printf("%s\n", (*backing)->name);
        one_life(*backing, false);
        one_life(*backing, true);
        killed(*backing);
    }
}
