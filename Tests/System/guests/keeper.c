// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a guest keeps in its memory and looks after: a secret in some pages, whose place it tells,
// or a pattern in much of the memory. C, because a shell does not know where its memory is.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { PAGE = 4096, WORDS = PAGE / sizeof(uint64_t), DIGITS = 48, SECRET_PAGES = 64, COPIES = SECRET_PAGES * PAGE / (DIGITS + 1) };

static void die(const char *what)
{
    printf("GUEST-FAILED %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *pages(size_t count)
{
    void *area = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        die("mmap");
    return area;
}

// The guest-physical address of a page.
static uint64_t place(const void *page)
{
    uint64_t entry = 0;
    int map = open("/proc/self/pagemap", O_RDONLY);
    if (map < 0 || pread(map, &entry, sizeof entry, (uintptr_t)page / PAGE * sizeof entry) != sizeof entry)
        die("/proc/self/pagemap");
    close(map);
    return (entry & ((1ull << 55) - 1)) * PAGE;
}

// Random digits that exist in some pages only, of which the first one's place is told. The console, which the host reads, gets them mirrored
// (0 for f, 1 for e and so on), and so does the copy that the page is compared with: what the host
// finds is never a copy of these.
static void keep_secret(void)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char random[DIGITS / 2];
    char mirrored[DIGITS + 1];
    char *page = pages(SECRET_PAGES);
    struct utsname system;
    if (mlock(page, SECRET_PAGES * PAGE))
        die("mlock");
    if (getrandom(random, sizeof random, 0) != sizeof random)
        die("getrandom");
    for (int i = 0; i < DIGITS; i++)
        mirrored[i] = digits[15 - (random[i / 2] >> (i % 2 ? 0 : 4)) % 16];
    mirrored[DIGITS] = 0;
    memset(random, 0, sizeof random);
    for (int copy = 0; copy < COPIES; copy++) {
        for (int i = 0; i < DIGITS; i++)
            page[copy * (DIGITS + 1) + i] = digits[15 - (strchr(digits, mirrored[i]) - digits)];
        page[copy * (DIGITS + 1) + DIGITS] = '\n';
    }
    uname(&system);
    printf("GUEST-SECRET %s page=%#llx cpus=%ld kernel=%s\n", mirrored, (unsigned long long)place(page),
           sysconf(_SC_NPROCESSORS_ONLN), system.release);
    for (unsigned beat = 1;; beat++) {
        sleep(1);
        int is_intact = 1;
        for (int copy = 0; copy < COPIES; copy++)
            for (int i = 0; i < DIGITS; i++)
                is_intact &= page[copy * (DIGITS + 1) + i] == digits[15 - (strchr(digits, mirrored[i]) - digits)];
        printf("%s %u page=%#llx\n", is_intact ? "GUEST-ALIVE" : "GUEST-ALTERED", beat,
               (unsigned long long)place(page));
    }
}

// A value that no other word has; a page repeats its first 64, so that swap can compress it.
static uint64_t pattern(uint64_t page, uint64_t word)
{
    uint64_t x = 0x9e3779b97f4a7c15u + page * WORDS + word % 64;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    return x ^ (x >> 27);
}

// Fills memory; at every line of input it looks through all of it, until the input says `off`.
static void keep_pattern(size_t mebibytes)
{
    size_t count = mebibytes << 8;
    uint64_t *area = pages(count);
    char line[64];
    for (size_t page = 0; page < count; page++)
        for (size_t word = 0; word < WORDS; word++)
            area[page * WORDS + word] = pattern(page, word);
    printf("GUEST-FILLED %zu pages\n", count);
    for (unsigned round = 1; fgets(line, sizeof line, stdin) && strncmp(line, "off", 3); round++) {
        size_t wrong = 0;
        for (size_t page = 0; page < count; page++)
            for (size_t word = 0; word < WORDS; word++)
                wrong += ((volatile uint64_t *)area)[page * WORDS + word] != pattern(page, word);
        printf("GUEST-LOOKED round=%u wrong=%zu pages=%zu\n", round, wrong, count);
    }
}

int main(int count, char **words)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count == 2 && !strcmp(words[1], "secret"))
        keep_secret();
    else if (count == 3 && !strcmp(words[1], "pattern"))
        keep_pattern(strtoul(words[2], NULL, 0));
    else
        return 64;
    return 0;
}
