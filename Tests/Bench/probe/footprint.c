// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What EL2 keeps of the machine's memory for VMs: for one, for a vCPU, for pages that a guest has.

#include "probe.h"
#include <stdio.h>
#include <string.h>

// Bytes of EL2's memory that are in use, as the module tells.
static long long bytes_in_use(void)
{
    char name[64];
    long long value, had = -1, free = 0;
    FILE *file = fopen("/sys/kernel/debug/martlet/counters", "r");
    if (!file)
        die("Martlet's counters");
    while (fscanf(file, "%63s %lld", name, &value) == 2) {
        if (!strcmp(name, "hypervisor_pages"))
            had = value;
        if (!strcmp(name, "free_pages"))
            free = value;
    }
    fclose(file);
    if (had < 0)
        die("the counter of EL2's pages");
    return (had - free) * (long long)PAGE;
}

static void tell(enum kind kind, const char *what, long long bytes, long long count)
{
    printf("MARTLET-SIZE %s/%s %lld %lld\n", kind == NORMAL ? "normal" : "protected", what, bytes, count);
}

// Bytes that a VM with so many vCPUs takes before it runs.
static long long made(enum kind kind, unsigned vcpus)
{
    struct vm vm = { .kind = kind };
    make_memory(&vm);
    long long before = bytes_in_use();
    make_vm(&vm, vcpus);
    long long bytes = bytes_in_use() - before;
    end_vm(&vm, ROW_NOTHING);
    drop_memory(&vm);
    return bytes;
}

// Bytes that a guest's touching of pages takes.
static long long touched(enum kind kind, uint64_t address, uint64_t pages)
{
    struct vm vm = { .kind = kind };
    make_memory(&vm);
    make_vm(&vm, 1);
    start_vm(&vm, 0);
    long long before = bytes_in_use();
    carry_out(&vm, 0, (struct order) { guest_touch, pages, address, PAGE, ROW_NOTHING });
    long long bytes = bytes_in_use() - before;
    end_vm(&vm, ROW_NOTHING);
    drop_memory(&vm);
    return bytes;
}

void measure_footprint(enum kind kind)
{
    long long one = made(kind, 1), two = made(kind, 2);
    tell(kind, "vm", one - (two - one), 1);
    tell(kind, "vcpu", two - one, 1);
    tell(kind, "page", touched(kind, PAGES, PAGES_SIZE / PAGE), PAGES_SIZE / PAGE);
    tell(kind, "superpage", touched(kind, SUPERPAGES, SUPERPAGES_SIZE / 2 / PAGE), SUPERPAGES_SIZE / 2 / SUPERPAGE);
}
