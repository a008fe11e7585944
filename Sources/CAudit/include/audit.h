/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What an image that checks itself needs besides the hypervisor: a heap and a stack of its own, and a place
 * for a message. No product links any of it.
 */
#ifndef MARTLET_AUDIT_H
#define MARTLET_AUDIT_H

#define AUDIT_STACK_SIZE 0x20000
#define AUDIT_MESSAGE_SIZE 72

#ifndef __ASSEMBLER__

/* Calls a function on the audit's stack. One CPU at a time: whoever calls it holds the audit's lock. */
void audit_on_stack(void (*function)(void *), void *argument);

/* Keeps one byte of a message that ends with the first zero. */
void audit_set_message(unsigned long index, unsigned char byte);

/* Where the message stands. */
unsigned long long audit_message(void);

/* Bytes of the heap that are in use, and the most that ever were. */
unsigned long long audit_heap_used(void);
unsigned long long audit_heap_peak(void);

#endif
#endif
