// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The rows that the probe measures, by number; the lab knows them by the names that the probe prints.

#pragma once

#define ROWS(row) \
    row(NOTHING, "nothing") \
    row(EMPTY_LOOP, "empty-loop") \
    row(POWER_VERSION, "power-version") \
    row(UNKNOWN_CALL, "unknown-call") \
    row(ENTROPY, "entropy") \
    row(FEATURE_REGISTER, "feature-register") \
    row(CACHE_TYPE, "cache-type") \
    row(COUNTER, "counter") \
    row(DEVICE_READ, "device-read") \
    row(GIC_READ, "gic-read") \
    row(SGI_SELF, "sgi-self") \
    row(SGI_OTHER, "sgi-other") \
    row(END_OF_INTERRUPT, "end-of-interrupt") \
    row(TIMER_RUNNING, "timer-running") \
    row(TIMER_WAITING, "timer-waiting") \
    row(RUN_IMMEDIATE, "run-immediate") \
    row(PAGE_FRESH, "page-fresh") \
    row(PAGE_PRESENT, "page-present") \
    row(PAGE_AGAIN, "page-again") \
    row(SUPERPAGE_FRESH, "superpage-fresh") \
    row(SUPERPAGE_PRESENT, "superpage-present") \
    row(CREATE_VM, "create-vm") \
    row(CREATE_VCPU, "create-vcpu") \
    row(CREATE_TO_FIRST, "create-to-first") \
    row(DESTROY, "destroy") \
    row(DESTROY_PAGES, "destroy-pages") \
    row(DESTROY_SUPERPAGES, "destroy-superpages") \
    row(GUEST_BOOT, "guest-boot") \
    row(GUEST_END, "guest-end") \
    row(HOST_SYSTEM_CALL, "host-system-call") \
    row(HOST_FAULT, "host-fault") \
    row(HOST_FORK, "host-fork") \
    row(HOST_CALL, "host-call")

#define ROW_NUMBER(name, text) ROW_##name,
enum row { ROWS(ROW_NUMBER) ROW_COUNT };
#undef ROW_NUMBER

// Added to the numbers of a protected VM's rows.
enum { PROTECTED_ROWS = 256 };
