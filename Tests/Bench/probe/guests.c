// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What is measured of VMs: what their guests do, and their lives.

#define _GNU_SOURCE
#include "probe.h"
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

enum { TIMES = 4096, HALF = PAGES_SIZE / 2, HALF_OF_SUPERPAGES = SUPERPAGES_SIZE / 2 };

// Functions of a guest's calls (PSCI, DEN0022; TRNG, DEN0098), and one that nobody has.
#define VERSION_OF_PSCI 0x84000000ul
#define TRNG_RND64 0xC4000053ul
#define UNKNOWN 0x4B000000ul

static void measure_exits(struct vm *vm)
{
    measure(vm, ROW_EMPTY_LOOP, guest_empty, TIMES, 0, 0);
    measure(vm, ROW_POWER_VERSION, guest_call, TIMES, VERSION_OF_PSCI, 0);
    measure(vm, ROW_UNKNOWN_CALL, guest_call, TIMES, UNKNOWN, 0);
    measure(vm, ROW_ENTROPY, guest_call, TIMES, TRNG_RND64, 64);
    measure(vm, ROW_FEATURE_REGISTER, guest_feature_register, TIMES, 0, 0);
    measure(vm, ROW_CACHE_TYPE, guest_cache_type, TIMES, 0, 0);
    measure(vm, ROW_COUNTER, guest_counter, TIMES, 0, 0);
    measure(vm, ROW_DEVICE_READ, guest_device_read, TIMES, 0, 0);
    measure(vm, ROW_GIC_READ, guest_gic_read, TIMES, 0, 0);
}

static void measure_interrupts(struct vm *vm)
{
    measure(vm, ROW_NOTHING, guest_gic_start, 1, 0, 0);
    measure(vm, ROW_SGI_SELF, guest_sgi_self, TIMES, 0, 0);
    measure(vm, ROW_END_OF_INTERRUPT, guest_end_of_interrupt, TIMES, 0, 0);
    measure(vm, ROW_NOTHING, guest_timer_start, 1, 0, 0);
    // The counter has a tick every 16 ns, and an instruction takes one: about 1000 instructions, 1 ms.
    measure(vm, ROW_TIMER_RUNNING, guest_timer_running, 1024, 64, 0);
    measure(vm, ROW_TIMER_WAITING, guest_timer_waiting, 1024, 62500, 0);
}

static void measure_memory(struct vm *vm)
{
    measure_pages(vm, ROW_PAGE_FRESH, PAGES, HALF, PAGE);
    memset(vm->pages + HALF, 1, HALF);
    measure_pages(vm, ROW_PAGE_PRESENT, PAGES + HALF, HALF, PAGE);
    measure_pages(vm, ROW_PAGE_AGAIN, PAGES, HALF, PAGE);
    measure_pages(vm, ROW_SUPERPAGE_FRESH, SUPERPAGES, HALF_OF_SUPERPAGES, SUPERPAGE);
    memset(vm->superpages + HALF_OF_SUPERPAGES, 1, HALF_OF_SUPERPAGES);
    measure_pages(vm, ROW_SUPERPAGE_PRESENT, SUPERPAGES + HALF_OF_SUPERPAGES, HALF_OF_SUPERPAGES, SUPERPAGE);
}

static void measure_immediate_exits(struct vm *vm)
{
    uint64_t row = number_of(vm->kind, ROW_RUN_IMMEDIATE);
    vm->run[0]->immediate_exit = 1;
    // The guest waits for an order: the first run completes its read.
    uint64_t offset = guest_nothing - guest_start;
    memcpy(vm->run[0]->mmio.data, &offset, sizeof offset);
    if (ioctl(vm->vcpu[0], KVM_RUN, 0) == 0 || errno != EINTR)
        die("KVM_RUN that exits at once");
    for (unsigned done = 0; done < TIMES; done += BATCH) {
        begin_row(row);
        for (unsigned i = 0; i < BATCH; i++)
            ioctl(vm->vcpu[0], KVM_RUN, 0);
        end_row(row);
    }
    report(vm->kind, ROW_RUN_IMMEDIATE, TIMES);
}

void measure_guest(enum kind kind)
{
    struct vm vm = { .kind = kind };
    make_memory(&vm);
    make_vm(&vm, 1);
    start_vm(&vm, 0);
    measure_exits(&vm);
    measure_interrupts(&vm);
    measure_memory(&vm);
    measure_immediate_exits(&vm);
    end_vm(&vm, ROW_NOTHING);
    drop_memory(&vm);
}

// A life: a VM is made, touches memory, and ends. The first ones fill the kernel's caches and are not
// counted; of the others there are several, since where memory comes from makes a difference.
static void live(enum kind kind, bool is_counted, enum row end, uint64_t touches, uint64_t address)
{
    struct vm vm = { .kind = kind, .is_counted = is_counted };
    make_memory(&vm);
    make_vm(&vm, 1);
    start_vm(&vm, 0);
    if (touches)
        carry_out(&vm, 0, (struct order) { guest_touch, touches, address, PAGE, ROW_NOTHING });
    end_vm(&vm, end);
    drop_memory(&vm);
}

void measure_lives(enum kind kind)
{
    enum { FIRST = 5, SMALL = 16, LARGE = 2 };
    for (unsigned i = 0; i < FIRST + SMALL; i++)
        live(kind, i >= FIRST, i < FIRST ? ROW_NOTHING : ROW_DESTROY, 0, 0);
    report(kind, ROW_CREATE_VM, SMALL);
    report(kind, ROW_CREATE_VCPU, SMALL);
    report(kind, ROW_CREATE_TO_FIRST, SMALL);
    report(kind, ROW_DESTROY, SMALL);
    for (unsigned i = 0; i < 1 + LARGE; i++)
        live(kind, false, i ? ROW_DESTROY_PAGES : ROW_NOTHING, PAGES_SIZE / PAGE, PAGES);
    report(kind, ROW_DESTROY_PAGES, LARGE);
    for (unsigned i = 0; i < 1 + LARGE; i++)
        live(kind, false, i ? ROW_DESTROY_SUPERPAGES : ROW_NOTHING, SUPERPAGES_SIZE / 2 / PAGE, SUPERPAGES);
    report(kind, ROW_DESTROY_SUPERPAGES, LARGE);
}
