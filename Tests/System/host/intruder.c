// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What root tries in order to see a guest's secret in the VMM's memory: every page of it is searched,
// or one page is read in each way that there is. The secret is given mirrored (0 for f, 1 for e and so
// on), so that this program has no copy of what is looked for.

#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, SUPERPAGE = 2 << 20 };

// Where a guest's memory begins, for the guest.
static const uint64_t guest_base = 0x80000000;

static void die(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_of(int process, const char *file)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/%s", process, file);
    int descriptor = open(name, O_RDONLY);
    if (descriptor < 0)
        die(name);
    return descriptor;
}

// The next mapping of a process that is large enough for a guest's memory; 0 when there is no more.
static int next_mapping(FILE *maps, uint64_t *start, uint64_t *end)
{
    char line[512];
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx rw", start, end) == 2 && *end - *start >= 64 << 20)
            return 1;
    return 0;
}

// Where a process has a page of its guest. A guest's memory begins at a multiple of 2 MiB.
static uint64_t address_of(int process, uint64_t guest_page)
{
    uint64_t start, end;
    FILE *maps = fdopen(open_of(process, "maps"), "r");
    while (next_mapping(maps, &start, &end)) {
        uint64_t address = (start + SUPERPAGE - 1) / SUPERPAGE * SUPERPAGE + (guest_page - guest_base);
        if (address + PAGE <= end) {
            fclose(maps);
            return address;
        }
    }
    puts("the process has no guest memory at this address");
    exit(1);
}

static int read_by_call(int process, uint64_t address, char *page)
{
    struct iovec here = { page, PAGE }, there = { (void *)(uintptr_t)address, PAGE };
    errno = 0;
    return process_vm_readv(process, &here, 1, &there, 1, 0) == PAGE ? 0 : errno ? errno : EIO;
}

static int read_by_file(int memory, uint64_t address, char *page)
{
    errno = 0;
    return pread(memory, page, PAGE, (off_t)address) == PAGE ? 0 : errno ? errno : EIO;
}

// Whether a page holds what the mirrored digits stand for.
static int holds(const char *page, const char *mirrored)
{
    static const char digits[] = "0123456789abcdef";
    size_t length = strlen(mirrored);
    for (size_t at = 0; at + length <= PAGE; at++) {
        size_t i = 0;
        while (i < length) {
            const char *digit = strchr(digits, mirrored[i]);
            if (!digit || page[at + i] != digits[15 - (digit - digits)])
                break;
            i++;
        }
        if (i == length)
            return 1;
    }
    return 0;
}

// Looks for the secret in all that may be a guest's memory, and says what it found.
static void search(int process, const char *way, const char *mirrored)
{
    char page[PAGE];
    int memory = strcmp(way, "mem") ? -1 : open_of(process, "mem"), error = 0;
    unsigned long pages = 0, refused = 0, found = 0;
    uint64_t start, end;
    FILE *maps = fdopen(open_of(process, "maps"), "r");
    while (next_mapping(maps, &start, &end))
        for (uint64_t address = start; address < end; address += PAGE) {
            int why = memory < 0 ? read_by_call(process, address, page) : read_by_file(memory, address, page);
            pages++;
            if (why) {
                refused++;
                error = why;
            } else {
                found += holds(page, mirrored);
            }
        }
    memset(page, 0, sizeof page);
    printf("MARTLET-SOUGHT found=%lu pages=%lu refused=%lu %s\n", found, pages, refused,
           error ? strerror(error) : "");
}

// Where the program of a process begins: code that has been run and never will be again.
static uint64_t entry_of(int process)
{
    uint64_t entry[2];
    int vector = open_of(process, "auxv");
    while (read(vector, entry, sizeof entry) == sizeof entry)
        if (entry[0] == AT_ENTRY) {
            close(vector);
            return entry[1];
        }
    puts("no entry point");
    exit(1);
}

static void transfer(int request, int process, struct user_regs_struct *registers)
{
    struct iovec area = { registers, sizeof *registers };
    if (ptrace(request, process, NT_PRSTATUS, &area))
        die("ptrace");
}

// Makes the process itself load from its memory, as a debugger can.
//
// Returns 0, or the signal that the process would have got; it goes on as if nothing had been.
static int read_by_process(int process, uint64_t address, char *page)
{
    // ldr x0, [x1]; brk #0
    const uint64_t code = 0xd4200000f9400020;
    const uint64_t place = entry_of(process);
    struct user_regs_struct before, registers;
    int status, number = 0;
    if (ptrace(PTRACE_SEIZE, process, NULL, NULL) || ptrace(PTRACE_INTERRUPT, process, NULL, NULL) ||
        waitpid(process, &status, __WALL) != process)
        die("ptrace");
    transfer(PTRACE_GETREGSET, process, &before);
    errno = 0;
    long original = ptrace(PTRACE_PEEKTEXT, process, place, NULL);
    if (errno || ptrace(PTRACE_POKETEXT, process, place, code))
        die("the code");
    for (unsigned at = 0; at < PAGE / 8 && !number; at++) {
        registers = before;
        registers.regs[1] = address + at * 8;
        registers.pc = place;
        transfer(PTRACE_SETREGSET, process, &registers);
        if (ptrace(PTRACE_CONT, process, NULL, NULL) || waitpid(process, &status, __WALL) != process)
            die("ptrace");
        if (!WIFSTOPPED(status)) {
            puts("the process is gone");
            exit(1);
        }
        transfer(PTRACE_GETREGSET, process, &registers);
        if (WSTOPSIG(status) == SIGTRAP)
            memcpy(page + at * 8, &registers.regs[0], 8);
        else
            number = WSTOPSIG(status);
    }
    transfer(PTRACE_SETREGSET, process, &before);
    if (ptrace(PTRACE_POKETEXT, process, place, original) || ptrace(PTRACE_DETACH, process, NULL, NULL))
        die("ptrace");
    return number;
}

// Reads one page of a guest and says what came of it.
static void read_page(int process, uint64_t guest_page, const char *way, const char *mirrored)
{
    char page[PAGE] = { 0 };
    const char *why = NULL;
    uint64_t address = address_of(process, guest_page);
    if (!strcmp(way, "mapping")) {
        int number = read_by_process(process, address, page);
        if (number)
            why = number == SIGBUS ? "SIGBUS" : strsignal(number);
    } else {
        int error =
            strcmp(way, "mem") ? read_by_call(process, address, page) : read_by_file(open_of(process, "mem"), address, page);
        if (error)
            why = strerrorname_np(error);
    }
    if (why)
        printf("MARTLET-PAGE refused %s\n", why);
    else if (holds(page, mirrored))
        printf("MARTLET-PAGE secret %.48s\n", page);
    else
        printf("MARTLET-PAGE other %016llx\n", (unsigned long long)*(uint64_t *)page);
    memset(page, 0, sizeof page);
}

// Says which page of the machine a process has where its guest has this one.
static void frame_of(int process, uint64_t guest_page)
{
    uint64_t entry = 0, index = address_of(process, guest_page) / PAGE;
    if (pread(open_of(process, "pagemap"), &entry, sizeof entry, index * sizeof entry) != sizeof entry)
        die("pagemap");
    printf("%#llx\n", entry >> 63 ? (unsigned long long)(entry & ((1ull << 55) - 1)) : 0ull);
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "";
    if (count == 5 && !strcmp(what, "search"))
        search(atoi(words[2]), words[3], words[4]);
    else if (count == 6 && !strcmp(what, "read"))
        read_page(atoi(words[2]), strtoull(words[3], NULL, 0), words[4], words[5]);
    else if (count == 4 && !strcmp(what, "frame"))
        frame_of(atoi(words[2]), strtoull(words[3], NULL, 0));
    else {
        puts("usage: intruder search PID vm|mem MIRRORED | read PID GUESTPAGE mapping|vm|mem MIRRORED\n"
             "                | frame PID GUESTPAGE");
        return 64;
    }
    return 0;
}
