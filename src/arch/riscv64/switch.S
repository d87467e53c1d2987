/* SPDX-License-Identifier: MIT */
/*
 * The switch for 64-bit RISC-V, psABI. arch.h has the contract, frame.inc what
 * lies on a suspended stack.
 *
 * No shadow stack, no landing pads: without a property note this object
 * keeps both disabled, since a slice cannot carry a shadow stack along
 * (rule S8).
 */
#include "frame.inc"

	.text

/* int tuck__arch_switch(void **ret_sp: a0, void *sp: a1, int value: a2) */
	.hidden	tuck__arch_switch
FUNCTION tuck__arch_switch
	SAVE
	sd	sp, 0(a0)
	mv	a0, a2
	RESUME
END tuck__arch_switch

/*
 * int tuck__arch_switch_via(void **ret_sp: a0, void *low: a1, via: a2,
 *			     void *a: a3, void *b: a4)
 */
	.hidden	tuck__arch_switch_via
FUNCTION tuck__arch_switch_via
	SAVE
	sd	sp, 0(a0)
	mv	s1, sp			/* for unwinders: sp moves now */
	FRAME_AT s1
	bgeu	a1, sp, 1f
	andi	sp, a1, -16		/* the lower of the two */
1:	mv	a0, a3
	mv	a1, a4
	jalr	a2			/* a0: stack pointer, a1: value, */
	mv	t1, a0
	sext.w	a0, a1			/* whose upper half is not defined */
	mv	a1, t1
	RESUME
END tuck__arch_switch_via

/* s1: enter or null, s2: fn, s3: its argument, s4: after */
	.hidden	tuck__arch_entry
FUNCTION tuck__arch_entry
	.cfi_undefined ra		/* the outermost frame */
	GAP				/* looked at in place of what follows */
	beqz	s1, 1f
	jalr	s1
1:	mv	a0, s3
	jalr	s2
	jalr	s4
	unimp
END tuck__arch_entry

/* s2: fn, s3: its argument, s1: the frame to resume, fn's caller */
	.hidden	tuck__arch_interject
FUNCTION tuck__arch_interject
	FRAME_AT s1
	GAP
	mv	a0, s3
	jalr	s2
	mv	a1, s1
	RESUME
END tuck__arch_interject

	.section .note.GNU-stack,"",@progbits
