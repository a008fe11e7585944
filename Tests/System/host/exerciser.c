// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a shell cannot do in the test host: use memory, processes and files in patterns, and
// check every word of them. C, because it is a test of the kernel's user interface from as
// little as possible above it. Exit code 0 means that all was as it should be.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, WORDS = PAGE / sizeof(uint64_t) };

static void die(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

// A value that no other word of any page, process or round has.
static uint64_t pattern(uint64_t seed, uint64_t page, uint64_t word)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15u + page * WORDS + word;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    return x ^ (x >> 27);
}

// A page repeats 64 words of its own, so that compressed swap has something to compress.
static void fill(uint64_t *words, uint64_t seed, uint64_t page)
{
    for (unsigned i = 0; i < WORDS; i++)
        words[i] = i < 64 ? pattern(seed, page, i) : words[i - 64];
}

// The number of wrong words of a page.
static unsigned wrong(const volatile uint64_t *words, uint64_t seed, uint64_t page)
{
    unsigned count = 0;
    for (unsigned i = 0; i < WORDS; i++)
        count += words[i] != (i < 64 ? pattern(seed, page, i) : words[i - 64]);
    return count;
}

// Waits for children; any that did not succeed makes the caller fail.
static void reap(unsigned children)
{
    int status;
    for (unsigned i = 0; i < children; i++) {
        if (wait(&status) < 0)
            die("wait");
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            printf("a child ended with status %#x\n", status);
            exit(1);
        }
    }
}

static uint64_t available(void)
{
    char line[128];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    if (!file)
        die("/proc/meminfo");
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
            break;
    fclose(file);
    return kib * 1024;
}

// One process's share of memory: filled, checked, every other run of 32 pages given back and
// found zero, and all again.
static void use_memory(uint64_t pages, uint64_t seed, unsigned rounds)
{
    uint64_t *area = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        die("mmap");
    for (unsigned round = 0; round < rounds; round++, seed += 1000) {
        for (uint64_t page = 0; page < pages; page++)
            fill(area + page * WORDS, seed, page);
        for (uint64_t page = 0; page < pages; page++)
            if (wrong(area + page * WORDS, seed, page)) {
                printf("page %llu is wrong in round %u\n", (unsigned long long)page, round);
                exit(1);
            }
        for (uint64_t page = 0; page + 32 <= pages; page += 64) {
            if (madvise(area + page * WORDS, 32 * PAGE, MADV_DONTNEED))
                die("madvise");
            for (unsigned i = 0; i < 32; i++)
                if (area[(page + i) * WORDS + (i * 37) % WORDS] != 0) {
                    printf("a fresh page is not zero\n");
                    exit(1);
                }
        }
    }
}

// The amount is in MiB, or in hundredths of the available memory.
static void memory(const char *amount, unsigned processes, unsigned rounds)
{
    uint64_t bytes = strchr(amount, '%') ? available() / 100 * atoi(amount) : (uint64_t)atoi(amount) << 20;
    uint64_t pages = bytes / PAGE / processes;
    printf("%llu MiB in %u processes\n", (unsigned long long)(pages * processes >> 8), processes);
    fflush(stdout);
    for (unsigned i = 0; i < processes; i++) {
        pid_t child = fork();
        if (child < 0)
            die("fork");
        if (child == 0) {
            use_memory(pages, i + 1, rounds);
            exit(0);
        }
    }
    reap(processes);
}

// Copies on write: the child changes every second page and sees the others; the parent sees
// none of the changes.
static void forks(unsigned count)
{
    enum { PAGES = 64 };
    uint64_t *area =
        mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        die("mmap");
    for (unsigned page = 0; page < PAGES; page++)
        fill(area + page * WORDS, 7, page);
    for (unsigned i = 0; i < count; i++) {
        pid_t child = fork();
        if (child < 0)
            die("fork");
        if (child == 0) {
            for (unsigned page = i % 2; page < PAGES; page += 2)
                fill(area + page * WORDS, 100 + i, page);
            for (unsigned page = 0; page < PAGES; page++)
                if (wrong(area + page * WORDS, page % 2 == i % 2 ? 100 + i : 7, page))
                    _exit(2);
            _exit(0);
        }
        reap(1);
        if (wrong(area + (i % PAGES) * WORDS, 7, i % PAGES)) {
            printf("the parent sees a child's write\n");
            exit(1);
        }
    }
    printf("%u forks\n", count);
}

static void transfer(int file, void *buffer, uint64_t page, int writing)
{
    ssize_t done = writing ? pwrite(file, buffer, PAGE, page * PAGE) : pread(file, buffer, PAGE, page * PAGE);
    if (done != PAGE)
        die(writing ? "write" : "read");
}

// Writes a file page by page, drops it from the cache, and checks it by read and by a mapping.
static void check_file(int file, uint64_t pages, uint64_t seed)
{
    uint64_t *buffer = aligned_alloc(PAGE, PAGE);
    for (uint64_t page = 0; page < pages; page++) {
        fill(buffer, seed, page);
        transfer(file, buffer, page, 1);
    }
    if (fsync(file))
        die("fsync");
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    for (uint64_t page = 0; page < pages; page++) {
        transfer(file, buffer, page, 0);
        if (wrong(buffer, seed, page)) {
            printf("page %llu was read back wrong\n", (unsigned long long)page);
            exit(1);
        }
    }
    free(buffer);
}

static void files(const char *folder, unsigned mebibytes, unsigned rounds)
{
    char name[256];
    uint64_t pages = (uint64_t)mebibytes << 8;
    snprintf(name, sizeof name, "%s/exerciser", folder);
    for (unsigned round = 0; round < rounds; round++) {
        int file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
        if (file < 0)
            die(name);
        check_file(file, pages, 11 + round);
        uint64_t *map = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (map == MAP_FAILED)
            die("mmap");
        for (uint64_t page = 0; page < pages; page++)
            if (wrong(map + page * WORDS, 11 + round, page)) {
                printf("page %llu is wrong in the mapping\n", (unsigned long long)page);
                exit(1);
            }
        if (munmap(map, pages * PAGE) || close(file) || unlink(name))
            die(name);
    }
    printf("%u MiB, %u rounds\n", mebibytes, rounds);
}

static void direct(const char *device, unsigned mebibytes)
{
    int file = open(device, O_RDWR | O_DIRECT);
    if (file < 0)
        die(device);
    check_file(file, (uint64_t)mebibytes << 8, 23);
    printf("%u MiB\n", mebibytes);
}

static sigjmp_buf refused;

static void on_signal(int number)
{
    siglongjmp(refused, number);
}

// Touches a physical address through /dev/mem. Exit code 0: the access went through; 3: the
// kernel did not map it; 4: it was mapped and the access was refused.
static void physical(uint64_t address, int writing)
{
    int file = open("/dev/mem", O_RDWR | O_SYNC);
    if (file < 0) {
        printf("/dev/mem: %s\n", strerror(errno));
        exit(3);
    }
    volatile uint64_t *page =
        mmap(NULL, PAGE, PROT_READ | (writing ? PROT_WRITE : 0), MAP_SHARED, file, address & -(uint64_t)PAGE);
    if (page == MAP_FAILED) {
        printf("mmap: %s\n", strerror(errno));
        exit(3);
    }
    signal(SIGBUS, on_signal);
    signal(SIGSEGV, on_signal);
    int number = sigsetjmp(refused, 1);
    if (number) {
        printf("signal %d\n", number);
        exit(4);
    }
    uint64_t value = page[(address % PAGE) / sizeof value];
    if (writing)
        page[(address % PAGE) / sizeof value] = ~value;
    printf("%#llx\n", (unsigned long long)value);
}

// Loads a kernel image to a physical address, as kexec's own program does but for the arguments of
// the second kernel, and replaces the running kernel by it. It returns only by a failure.
static void start_kernel(const char *path, uint64_t address)
{
    enum { TEXT_OFFSET = 8, IMAGE_SIZE = 16, MAGIC = 56, BEGINNING = 64 };
    int file = open(path, O_RDONLY);
    off_t size = file < 0 ? -1 : lseek(file, 0, SEEK_END);
    if (size < BEGINNING)
        die(path);
    const char *image = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
    if (image == MAP_FAILED)
        die("mmap");
    if (memcmp(image + MAGIC, "ARM\x64", 4)) {
        printf("%s: it is not an arm64 kernel\n", path);
        exit(1);
    }
    uint64_t offset, memory;
    memcpy(&offset, image + TEXT_OFFSET, sizeof offset);
    memcpy(&memory, image + IMAGE_SIZE, sizeof memory);
    // The image's own size counts what lies behind the file and is not in it.
    memory = (memory + PAGE - 1) / PAGE * PAGE;
    uint64_t content = (uint64_t)size < memory ? (uint64_t)size : memory;
    struct kexec_segment segment = { image, content, (void *)(address + offset), memory };
    if (syscall(SYS_kexec_load, address + offset, 1ul, &segment, KEXEC_ARCH_AARCH64))
        die("kexec_load");
    syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
    die("reboot");
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "";
    if (count == 5 && !strcmp(what, "memory"))
        memory(words[2], atoi(words[3]), atoi(words[4]));
    else if (count == 3 && !strcmp(what, "forks"))
        forks(atoi(words[2]));
    else if (count == 5 && !strcmp(what, "files"))
        files(words[2], atoi(words[3]), atoi(words[4]));
    else if (count == 4 && !strcmp(what, "direct"))
        direct(words[2], atoi(words[3]));
    else if (count == 4 && !strcmp(what, "physical"))
        physical(strtoull(words[2], NULL, 0), !strcmp(words[3], "write"));
    else if (count == 4 && !strcmp(what, "kexec"))
        start_kernel(words[2], strtoull(words[3], NULL, 0));
    else {
        puts("usage: exerciser memory MIB|PERCENT% PROCESSES ROUNDS | forks COUNT | files FOLDER MIB ROUNDS\n"
             "                 | direct DEVICE MIB | physical ADDRESS read|write\n"
             "                 | kexec IMAGE ADDRESS");
        return 64;
    }
    return 0;
}
