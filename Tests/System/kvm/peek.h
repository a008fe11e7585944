// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The program's side of Tests/System/modules/peek.c: page frames through the kernel's linear map,
// and calls to EL2 with every argument.

#ifndef PEEK_H
#define PEEK_H

#include <stdint.h>
#include <sys/ioctl.h>

struct peek {
    uint64_t x[12];
};

#define PEEK_READ _IOWR('M', 0, struct peek)
#define PEEK_WRITE _IOWR('M', 1, struct peek)
#define PEEK_TRY _IOWR('M', 2, struct peek)
#define PEEK_CALL _IOWR('M', 3, struct peek)
#define PEEK_FRAME _IOWR('M', 4, struct peek)
#define PEEK_SCAN _IOWR('M', 5, struct peek)
#define PEEK_AT_START _IOWR('M', 6, struct peek)
#define PEEK_RESTART _IOWR('M', 7, struct peek)

// The numbers of calls to EL2 are written down anew here: a test must notice when they change.
enum {
    CALL_INITIALISE = 0xC6004001,
    CALL_WITHDRAW = 0xC6004002,
    CALL_DEPRIVILEGE = 0xC6004003,
    CALL_TOP_UP = 0xC6004010,
    CALL_PANIC_RECORD = 0xC6004013,
    CALL_PAGE_REPORT = 0xC6004014,
    CALL_CREATE_VM = 0xC6004020,
    CALL_DONATE_TO_VM = 0xC6004021,
    CALL_CREATE_VCPU = 0xC6004022,
    CALL_DESTROY_VM = 0xC6004023,
    CALL_MAP_GUEST = 0xC6004024,
    CALL_UNMAP_GUEST = 0xC6004025,
    CALL_DONATE_TO_GUEST = 0xC6004026,
    CALL_ALLOW_MMIO = 0xC6004027,
    CALL_RESET_VCPU = 0xC6004028,
    CALL_RUN_VCPU = 0xC6004030,
    CALL_GET_REGISTER = 0xC6004031,
    CALL_SET_REGISTER = 0xC6004032,
};
enum { STATUS_SUCCESS = 0, STATUS_DENIED = -4, STATUS_BUSY = -6, STATUS_NOT_FOUND = -7 };
enum { PAGE_OF_HOST = 1, PAGE_OF_HYPERVISOR = 2, PAGE_OF_GUEST = 4 };

// Opens the module's device, or ends the program.
void peek_open(void);
// A page frame's word by the kernel's linear map.
uint64_t peek_read(uint64_t frame, unsigned offset);
// Takes CPU 1 out and puts it back; what it reads there before anything else, 0 if it cannot.
uint64_t peek_at_start(uint64_t frame, unsigned offset);
// The stub's SOFT_RESTART on this CPU, to the instruction behind it: CurrentEL there.
uint64_t peek_restart(void);
void peek_write(uint64_t frame, unsigned offset, uint64_t value);
// A call to EL2; its status.
long peek_call(struct peek *registers);
// Who owns a frame, as EL2 says.
long peek_owner(uint64_t frame);
// The frame behind an address of this process; 0 if there is none.
uint64_t frame_of(const void *address);
// Searches all of RAM, as far as it can be read, for 32 bytes of a secret: x[0] = its seed, x[1] and x[2] = where
// it begins and ends in its guest. x[3] becomes how often it was found, x[4] how many pages could be read that
// are the hypervisor's by EL2's own word.
void peek_scan(struct peek *peek);
// EL2's handles of VMs that have a vCPU 0; how many.
unsigned find_machines(uint64_t *handles, unsigned limit);

#endif
