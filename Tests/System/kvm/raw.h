// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The program's side of Tests/System/modules/raw.c: HVC and SMC with every register.

#ifndef RAW_H
#define RAW_H

#include <stdint.h>
#include <sys/ioctl.h>

enum { RAW_HVC, RAW_SMC };

struct raw {
    uint32_t conduit, immediate;
    uint64_t x[18];
};
#define RAW_CALL _IOWR('M', 16, struct raw)
// 512 frames for programs that give pages away: x[0] becomes the first. A load or a store of the first word of the
// frame x[0], to or from x[1]; x[2] becomes 0, or an error.
#define RAW_REGION _IOWR('M', 17, struct raw)
#define RAW_LOAD _IOWR('M', 18, struct raw)
#define RAW_STORE _IOWR('M', 19, struct raw)
// A register of a device, at the physical address x[0]: 32 bits from or to x[1].
#define RAW_DEVICE_LOAD _IOWR('M', 20, struct raw)
#define RAW_DEVICE_STORE _IOWR('M', 21, struct raw)

// Any of the requests; ends the program where it fails.
void raw_request(unsigned long number, struct raw *raw);
// Makes a call on this CPU, or ends the program.
void raw_call(struct raw *call);

#endif
