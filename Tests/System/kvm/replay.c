// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Plays a trace of docs/search.md from standard input, and prints what each step came to, with the number of the
// step: who reads it holds it against the specification. What cannot be arranged here is left out.

#define _GNU_SOURCE
#include "attack.h"
#include "raw.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAMES = 1 << 16, FIRST = 0xC6004000 };
static uint64_t handles[NAMES], region;

// The numbers of calls are written down anew here, from FIRST on: a test must notice when they change.
static const struct {
    const char *name;
    unsigned number;
} calls[] = {
    { "version", 0x00 },      { "initialise", 0x01 },  { "withdraw", 0x02 },      { "deprivilege", 0x03 },
    { "topUp", 0x10 },        { "reclaimPool", 0x11 }, { "counter", 0x12 },       { "panicRecord", 0x13 },
    { "pageReport", 0x14 },   { "createVM", 0x20 },    { "donateToVM", 0x21 },    { "createVCPU", 0x22 },
    { "destroyVM", 0x23 },    { "mapGuest", 0x24 },    { "unmapGuest", 0x25 },    { "donateToGuest", 0x26 },
    { "allowMMIO", 0x27 },    { "resetVCPU", 0x28 },   { "runVCPU", 0x30 },       { "getRegister", 0x31 },
    { "setRegister", 0x32 },  { "quiesce", 0x33 },
};
enum { RUN_VCPU = FIRST + 0x30, CHOOSE_DEFENCES = 0xC6004FFE };

void raw_request(unsigned long number, struct raw *raw)
{
    static int device = -1;
    if (device < 0)
        device = open("/dev/martlet-raw", O_RDWR | O_CLOEXEC);
    if (device < 0 || ioctl(device, number, raw))
        die("/dev/martlet-raw");
}

void raw_call(struct raw *call)
{
    raw_request(RAW_CALL, call);
}

static void move_to(unsigned cpu)
{
    static unsigned here = -1;
    if (cpu != here)
        stay_on(cpu);
    here = cpu;
}

static void malformed(const char *word, unsigned line)
{
    fprintf(stderr, "line %u: %s means nothing\n", line, word);
    exit(2);
}

static unsigned name(const char *word, unsigned line)
{
    char *end;
    unsigned long number = strtoul(word + 1, &end, 10);
    if (*word != 'v' || *end || end == word + 1 || number >= NAMES)
        malformed(word, line);
    return number;
}

// A number, a frame of the region, or a handle.
static uint64_t value(const char *word, unsigned line)
{
    char *end;
    if (*word == 'v')
        return handles[name(word, line)];
    if (*word == 'p') {
        long long index = strtoll(word + 1, &end, 10);
        if (*end || end == word + 1)
            malformed(word, line);
        return region + index;
    }
    uint64_t number = strtoull(word, &end, 0);
    if (*end || end == word)
        malformed(word, line);
    return number;
}

static void access_page(unsigned step, unsigned long number, uint64_t frame)
{
    // Beyond the region there is memory of somebody's.
    if (frame - region >= 512) {
        printf("%u: left out\n", step);
        return;
    }
    struct raw raw = { .x = { frame, 0x5EC2E70000000000 | step } };
    raw_request(number, &raw);
    if (raw.x[2])
        printf("%u: faulted\n", step);
    else if (number == RAW_LOAD)
        printf("%u: loaded 0x%" PRIx64 "\n", step, raw.x[1]);
    else
        printf("%u: stored\n", step);
}

static void make_call(unsigned step, struct raw *call, unsigned answers)
{
    struct raw before = *call;
    raw_call(call);
    printf("%u:", step);
    for (unsigned i = 0; i < answers; i++)
        printf(" 0x%" PRIx64, call->x[i]);
    // SMCCC, section 2.6: nothing but the answer has changed.
    for (unsigned i = answers; i < 18; i++)
        if (call->x[i] != before.x[i])
            printf(" x%u-is-spoiled", i);
    printf("\n");
}

static uint64_t number_of(const char *word, unsigned line)
{
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
        if (!strcmp(word, calls[i].name))
            return FIRST + calls[i].number;
    return value(word, line);
}

static void play(char *text, unsigned line, unsigned step)
{
    char *words[16], *rest = NULL;
    unsigned count = 0, next = 1;
    for (char *word = strtok_r(text, " \t\n", &rest); word && count < 16; word = strtok_r(NULL, " \t\n", &rest))
        words[count++] = word;
    if (count < 2)
        malformed(text, line);
    move_to(value(words[0], line));
    struct raw call = { .conduit = RAW_HVC };
    unsigned binds = NAMES;
    if (count > 3 && !strcmp(words[count - 2], "->")) {
        binds = name(words[count - 1], line);
        count -= 2;
    }
    if (!strcmp(words[1], "read") || !strcmp(words[1], "write")) {
        if (count < 3)
            malformed(words[1], line);
        access_page(step, *words[1] == 'r' ? RAW_LOAD : RAW_STORE, value(words[2], line));
        return;
    }
    // Nobody runs code in the region, and no two CPUs are held at the same access of EL2's.
    if (!strcmp(words[1], "fetch") || !strcmp(words[1], "together")) {
        printf("%u: left out\n", step);
        return;
    }
    if (!strcmp(words[1], "smc")) {
        call.conduit = RAW_SMC;
        next = 2;
    }
    if (next >= count)
        malformed(words[1], line);
    call.x[0] = number_of(words[next], line);
    for (unsigned i = next + 1; i < count; i++)
        call.x[i - next] = value(words[i], line);
    make_call(step, &call, call.conduit == RAW_HVC && (uint32_t)call.x[0] == RUN_VCPU ? 12 : 4);
    if (binds < NAMES && call.x[0] == 0)
        handles[binds] = call.x[1];
}

void replay(uint64_t defences)
{
    char *text = NULL;
    size_t size = 0;
    unsigned step = 0;
    struct raw raw = { .conduit = RAW_HVC, .x = { CHOOSE_DEFENCES, defences } };
    // Only an image that is made for it knows this call.
    if (defences)
        raw_call(&raw);
    struct raw version = { .conduit = RAW_HVC, .x = { FIRST } };
    raw_call(&version);
    raw_request(RAW_REGION, &raw);
    region = raw.x[0];
    printf("machine 0x%" PRIx64 " %ld 0x%" PRIx64 "\n", region, sysconf(_SC_NPROCESSORS_ONLN), version.x[3]);
    for (unsigned line = 1; getline(&text, &size, stdin) >= 0; line++) {
        text[strcspn(text, "#")] = 0;
        // What happens while a guest runs cannot be arranged.
        const char *first = text + strspn(text, " \t\n");
        if (*first && *first != '>')
            play(text, line, ++step);
    }
    free(text);
}
