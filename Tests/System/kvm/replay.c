// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Calls to EL2 from a trace on standard input. A line is a step: a CPU's number, the number of the call (x0), and
// x1 and so on as far as they matter, in C's notation; `smc` before the number makes it an SMC. After `->` may
// stand what x0, x1 and so on are to come back as, `*` for anything. Empty lines and what follows # are left out.

#define _GNU_SOURCE
#include "raw.h"
#include "machine.h"
#include "tests.h"
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void raw_call(struct raw *call)
{
    static int device = -1;
    if (device < 0)
        device = open("/dev/martlet-raw", O_RDWR | O_CLOEXEC);
    if (device < 0 || ioctl(device, RAW_CALL, call))
        die("/dev/martlet-raw");
}

static void move_to(unsigned cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        die("a CPU of the trace");
}

// A number of the trace, signed or not; anything else ends the program.
static uint64_t number(const char *word, unsigned line)
{
    char *end;
    uint64_t value = *word == '-' ? (uint64_t)strtoll(word, &end, 0) : strtoull(word, &end, 0);
    if (*end || end == word) {
        fprintf(stderr, "line %u: %s is no number\n", line, word);
        exit(2);
    }
    return value;
}

static void step(char *text, unsigned line)
{
    struct raw call = { .conduit = RAW_HVC };
    char *rest = NULL, *word = strtok_r(text, " \t\n", &rest);
    if (!word)
        return;
    move_to(number(word, line));
    word = strtok_r(NULL, " \t\n", &rest);
    if (word && !strcmp(word, "smc")) {
        call.conduit = RAW_SMC;
        word = strtok_r(NULL, " \t\n", &rest);
    }
    unsigned count = 0;
    for (; word && strcmp(word, "->") && count < 18; word = strtok_r(NULL, " \t\n", &rest))
        call.x[count++] = number(word, line);
    raw_call(&call);
    printf("%u:", line);
    for (unsigned i = 0; i < 4; i++)
        printf(" %#lx", call.x[i]);
    printf("\n");
    if (!word)
        return;
    unsigned i = 0;
    while ((word = strtok_r(NULL, " \t\n", &rest)) && i < 18) {
        if (strcmp(word, "*") && call.x[i] != number(word, line)) {
            printf("line %u: x%u is %#lx and not %s\n", line, i, call.x[i], word);
            failures++;
        }
        i++;
    }
}

void replay(void)
{
    char *text = NULL;
    size_t size = 0;
    for (unsigned line = 1; getline(&text, &size, stdin) >= 0; line++) {
        text[strcspn(text, "#")] = 0;
        step(text, line);
    }
    free(text);
}
