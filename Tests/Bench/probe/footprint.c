// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What EL2 keeps of the machine's memory for VMs: for one, for a vCPU, for what a guest has.

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

static void tell(enum kind kind, const char *what, long long bytes)
{
    printf("MARTLET-SIZE %s/%s %lld 1\n", kind == NORMAL ? "normal" : "protected", what, bytes);
}

// Bytes that a VM with so many vCPUs takes, whose guest has touched so many pages; none: it does not run.
static long long made(enum kind kind, unsigned vcpus, uint64_t address, uint64_t pages)
{
    struct vm vm = { .kind = kind };
    make_memory(&vm);
    long long before = bytes_in_use();
    make_vm(&vm, vcpus);
    if (pages) {
        start_vm(&vm, 0);
        carry_out(&vm, 0, (struct order) { guest_touch, pages, address, PAGE, ROW_NOTHING });
    }
    long long bytes = bytes_in_use() - before;
    end_vm(&vm, ROW_NOTHING);
    drop_memory(&vm);
    return bytes;
}

void measure_footprint(enum kind kind)
{
    long long one = made(kind, 1, 0, 0), two = made(kind, 2, 0, 0);
    tell(kind, "vm", one - (two - one));
    tell(kind, "vcpu", two - one);
    tell(kind, "pages", made(kind, 1, PAGES, PAGES_SIZE / PAGE));
    tell(kind, "superpages", made(kind, 1, SUPERPAGES, SUPERPAGES_SIZE / PAGE));
}
