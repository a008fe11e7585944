// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What the probe's parts share: markers, reports, and a small VM.

#pragma once

#include "rows.h"
#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Markers: hints that do nothing, which the counter knows.
static inline void begin_row(uint64_t row)
{
    register uint64_t x0 asm("x0") = row;
    asm volatile("hint #64" ::"r"(x0) : "memory");
}
static inline void end_row(uint64_t row)
{
    register uint64_t x0 asm("x0") = row;
    asm volatile("hint #65" ::"r"(x0) : "memory");
}

// What a VM is: the first is not protected; a protected one's superpages come from a descriptor, or are
// anonymous memory that gets pinned.
enum kind { NORMAL, PROTECTED, PROTECTED_PINNED };

// Ends the program with a message and the last error's.
_Noreturn void die(const char *what);
// The number of a row.
uint64_t number_of(enum kind kind, enum row row);
// Prints which row a number is, and how many operations it has between its markers.
void report(enum kind kind, enum row row, uint64_t operations);

// Guest physical addresses.
#define CODE 0x80000000ul
#define CODE_SIZE 0x200000ul
#define PAGES 0xC0000000ul
#define PAGES_SIZE 0x1000000ul
#define SUPERPAGES 0xD0000000ul
#define SUPERPAGES_SIZE 0x4000000ul
#define DEVICE 0x09000000ul
#define PAGE 0x1000ul
#define SUPERPAGE 0x200000ul

enum { MOST_VCPUS = 2, BATCH = 16 };

struct vm {
    enum kind kind;
    // Whether its making is counted.
    bool is_counted;
    int kvm, vm, gic, private_memory;
    int vcpu[MOST_VCPUS];
    struct kvm_run *run[MOST_VCPUS];
    size_t run_size;
    char *code, *pages, *superpages;
};

// What a guest is told to do: a routine of guest.S, with its arguments.
struct order {
    const char *routine;
    uint64_t count, address, stride, row;
};

// Memory of a process for VMs: made before a VM, so that making it is not counted as the VM's.
void make_memory(struct vm *vm);
void drop_memory(struct vm *vm);
// Makes a VM up to the point at which it can run, with markers.
void make_vm(struct vm *vm, unsigned vcpus);
// Runs a vCPU that was not run yet until it asks for its first order.
void start_vm(struct vm *vm, unsigned vcpu);
// Ends a VM, as the given row.
void end_vm(struct vm *vm, enum row row);
// Has a vCPU carry out an order, until it asks for the next one.
void carry_out(struct vm *vm, unsigned vcpu, struct order order);
// Carries it out again and again, BATCH times between two markers, as a row that is reported. The middle one of
// the batches has no tick of the host's timer, and none of its kernel's own work.
void measure(struct vm *vm, enum row row, const char *routine, uint64_t count, uint64_t address, uint64_t stride);
// A store to each page of a range once, as a row of so many units of memory.
void measure_pages(struct vm *vm, enum row row, uint64_t address, uint64_t size, uint64_t unit);

void measure_guest(enum kind kind);
void measure_lives(enum kind kind);
void measure_interrupts_between(enum kind kind);
void measure_host(void);
void measure_footprint(enum kind kind);

// Routines of guest.S.
extern const char guest_start[], guest_end[];
extern const char guest_nothing[], guest_empty[], guest_call[], guest_feature_register[], guest_cache_type[],
    guest_counter[], guest_device_read[], guest_gic_read[], guest_gic_start[], guest_sgi_self[],
    guest_end_of_interrupt[], guest_timer_start[], guest_timer_running[], guest_timer_waiting[], guest_touch[],
    guest_ping[], guest_pong[], guest_start_other[];
