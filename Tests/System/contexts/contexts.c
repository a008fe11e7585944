// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// contexts PROCESSES SECONDS: each process keeps every vector register filled with a pattern of its
// own while it gives the CPU away again and again, and looks whether all of them are what it put
// there. Processes differ in their vector length, where the CPU has scalable vectors.
//
// contexts corrupt PROCESSES SECONDS: the same, with a register of the first process inverted on purpose
// in each round. Every one of these has to be noticed, and nothing else.
//
// One line says how it went; the exit status is 0 if all was as it should be.

#define _GNU_SOURCE
#include "registers.h"
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef HWCAP_SVE
#define HWCAP_SVE (1 << 22)
#endif

// LONGEST_WAIT: seconds.
enum { MOST_PROCESSES = 64, LONGEST_WAIT = 60 };

// One process's result, in memory that all share.
struct result {
    unsigned long rounds, mismatches, corruptions;
    unsigned bytes;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void die(const char *what)
{
    printf("contexts: %s: %s\n", what, strerror(errno));
    exit(2);
}

// A stream of words that no other process has.
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

static void fill_bytes(uint8_t *bytes, size_t count, uint64_t *seed)
{
    for (size_t i = 0; i < count; i += 8) {
        uint64_t word = next(seed);
        memcpy(bytes + i, &word, count - i < 8 ? count - i : 8);
    }
}

// A pattern for vectors of so many bytes, with predicates if they are scalable.
static void fill(struct registers *registers, size_t bytes, bool is_scalable, uint64_t *seed)
{
    fill_bytes(registers->vectors, 32 * bytes, seed);
    if (is_scalable) {
        fill_bytes(registers->predicates, 16 * bytes / 8, seed);
        // FFR holds ones, then zeroes; anything else may read back as something else.
        size_t ones = next(seed) % (bytes + 1);
        for (size_t i = 0; i < bytes; i++) {
            uint8_t *byte = registers->predicates + (16 * bytes + i) / 8, bit = 1 << i % 8;
            *byte = i < ones ? *byte | bit : *byte & ~bit;
        }
    }
    // The rounding mode, flush to zero, default NaN; the cumulative exceptions and saturation.
    registers->fpcr = (next(seed) & 0xF) << 22;
    registers->fpsr = next(seed) & 0x0800009F;
}

// Whether bytes are what they were; or, if they may have been cleared, all zero.
static bool is_kept(const uint8_t *found, const uint8_t *mine, size_t bytes, bool may_be_cleared)
{
    if (memcmp(found, mine, bytes) == 0)
        return true;
    for (size_t i = 0; i < bytes; i++)
        if (!may_be_cleared || found[i] != 0)
            return false;
    return true;
}

// A system call keeps the low 128 bits of each vector; the kernel may clear the rest of them, and
// predicates (Linux, Documentation/arch/arm64/sve.rst, section 3).
static bool is_right(
    const struct registers *found, const struct registers *mine, size_t bytes, bool is_scalable, bool has_called)
{
    bool right = found->fpcr == mine->fpcr && found->fpsr == mine->fpsr;
    for (size_t i = 0; i < 32 * bytes; i += bytes) {
        right &= is_kept(found->vectors + i, mine->vectors + i, 16, false);
        right &= is_kept(found->vectors + i + 16, mine->vectors + i + 16, bytes - 16, has_called);
    }
    for (size_t i = 0; is_scalable && i < 17 * bytes / 8; i += bytes / 8)
        right &= is_kept(found->predicates + i, mine->predicates + i, bytes / 8, has_called);
    return right;
}

static void keep(unsigned index, double end, bool corrupts, struct result *result)
{
    static struct registers mine, found;
    bool is_scalable = getauxval(AT_HWCAP) & HWCAP_SVE;
    uint64_t seed = (uint64_t)getpid() << 40 ^ (uint64_t)(now() * 1e9);
    size_t bytes = 16;
    if (is_scalable) {
        // Without a length as long as this the kernel takes the next shorter one.
        int answer = prctl(PR_SVE_SET_VL, 16 << index % 5);
        if (answer < 0)
            die("PR_SVE_SET_VL");
        bytes = answer & PR_SVE_VL_LEN_MASK;
        if (scalable_bytes() != bytes)
            die("the vector length is another one than was set");
        result->bytes = bytes;
    }
    // Rounds of either kind: on a busy machine a process may get its first turn late.
    while (now() < end || (result->rounds < 2 && now() < end + LONGEST_WAIT)) {
        // Every second round goes through a scheduler that was asked; in the others only interrupts take
        // the CPU away, and then nothing may be lost.
        struct wait wait = { result->rounds % 2 ? next(&seed) % 1000000 + 1 : 0, corrupts };
        fill(&mine, bytes, is_scalable, &seed);
        (is_scalable ? hold_scalable : hold_simd)(&mine, &found, &wait);
        if (!is_right(&found, &mine, bytes, is_scalable, wait.turns == 0))
            result->mismatches++;
        result->corruptions += corrupts;
        result->rounds++;
    }
}

int main(int argc, char **argv)
{
    bool corrupts = argc == 4 && strcmp(argv[1], "corrupt") == 0;
    if (argc != 3 + corrupts)
        return fprintf(stderr, "contexts [corrupt] PROCESSES SECONDS\n"), 2;
    unsigned processes = strtoul(argv[1 + corrupts], NULL, 10);
    double end = now() + strtod(argv[2 + corrupts], NULL);
    if (processes < 1 || processes > MOST_PROCESSES)
        return fprintf(stderr, "1 to %d processes\n", MOST_PROCESSES), 2;
    struct result *results =
        mmap(NULL, processes * sizeof *results, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (results == MAP_FAILED)
        die("mmap");
    for (unsigned i = 0; i < processes; i++) {
        pid_t child = fork();
        if (child < 0)
            die("fork");
        if (child == 0) {
            keep(i, end, corrupts && i == 0, &results[i]);
            fflush(stdout);
            _exit(0);
        }
    }
    bool all_ended = true;
    for (unsigned i = 0; i < processes; i++) {
        int status;
        all_ended &= wait(&status) > 0 && status == 0;
    }
    unsigned long rounds = 0, mismatches = 0, corruptions = 0, fewest = -1ul;
    char lengths[256] = "";
    for (unsigned i = 0; i < processes; i++) {
        rounds += results[i].rounds;
        mismatches += results[i].mismatches;
        corruptions += results[i].corruptions;
        if (results[i].rounds < fewest)
            fewest = results[i].rounds;
        if (i < 5)
            sprintf(lengths + strlen(lengths), "%s%u", i ? "," : "", results[i].bytes);
    }
    bool is_good = all_ended && fewest > 1 && mismatches == corruptions && (corruptions > 0) == corrupts;
    printf("CONTEXTS %s processes=%u rounds=%lu fewest=%lu mismatches=%lu provoked=%lu lengths=%s\n",
           is_good ? "good" : "bad", processes, rounds, fewest, mismatches, corruptions, lengths);
    return is_good ? 0 : 1;
}
