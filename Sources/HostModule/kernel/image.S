/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The flat image of the hypervisor, as data of the module. The Makefile names the file. */
	.section .rodata, "a"
	.balign 8
	.globl martlet_image_start
	.globl martlet_image_end
martlet_image_start:
	.incbin MARTLET_IMAGE
martlet_image_end:
	.section .note.GNU-stack, "", %progbits
