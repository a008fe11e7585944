/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What guests in assembly have in common. */

#define DEVICE 0x09000000
#define CPU_ON 0xC4000003
#define CPU_OFF 0x84000002
#define SYSTEM_OFF 0x84000008
#define SYSTEM_RESET 0x84000009

.macro constant register, value
    movz \register, #((\value) & 0xFFFF)
    movk \register, #(((\value) >> 16) & 0xFFFF), lsl #16
.endm
.macro guest name
    .globl \name, \name\()_end
    .balign 8
\name:
.endm
