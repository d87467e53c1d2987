/* SPDX-License-Identifier: MIT */
/*
 * The switch for 64-bit POWER, ELFv2 ABI. arch.h has the contract, frame.inc
 * what lies on a suspended stack.
 *
 * The functions have one entry, need no TOC and preserve the caller's; what
 * they call is entered as through a pointer, with its address in r12.
 */
#include "frame.inc"

	.text

/* int tuck__arch_switch(void **ret_sp: r3, void *sp: r4, int value: r5) */
	.hidden	tuck__arch_switch
FUNCTION tuck__arch_switch
	SAVE
	std	%r1, 0(%r3)
	mr	%r3, %r5
	RESUME
END tuck__arch_switch

/*
 * int tuck__arch_switch_via(void **ret_sp: r3, void *low: r4, via: r5,
 *			     void *a: r6, void *b: r7)
 */
	.hidden	tuck__arch_switch_via
FUNCTION tuck__arch_switch_via
	SAVE
	std	%r1, 0(%r3)
	mr	%r31, %r1		/* for unwinders: r1 moves now */
	FRAME_AT %r31
	cmpld	%r4, %r1
	isel	%r8, %r4, %r1, 0	/* the lower of the two: by CR0's lt */
	clrrdi	%r8, %r8, 4
	LINK
	mr	%r12, %r5
	mtctr	%r12
	mr	%r3, %r6
	mr	%r4, %r7
	bctrl				/* r3: stack pointer, r4: value, */
	mr	%r0, %r3
	extsw	%r3, %r4		/* whose upper half is not defined */
	mr	%r4, %r0
	RESUME
END tuck__arch_switch_via

	/* Call the function at reg. */
	.macro	CALL reg
	mr	%r12, \reg
	mtctr	%r12
	bctrl
	.endm

/* r14: enter or null, r15: fn, r16: its argument, r17: after */
	.hidden	tuck__arch_entry
FUNCTION tuck__arch_entry
	.cfi_undefined lr		/* the outermost frame */
	nop				/* looked at in place of what follows */
	cmpdi	%r14, 0
	beq	1f
	CALL	%r14
1:	mr	%r3, %r16
	CALL	%r15
	CALL	%r17
	trap
END tuck__arch_entry

/* r15: fn, r16: its argument, r14: the frame to resume, fn's caller */
	.hidden	tuck__arch_interject
FUNCTION tuck__arch_interject
	FRAME_AT %r14
	nop
	std	%r2, 24(%r1)
	mr	%r3, %r16
	CALL	%r15
	ld	%r2, 24(%r1)		/* unwinders look for this one */
	mr	%r4, %r14
	RESUME
END tuck__arch_interject

	.section .note.GNU-stack,"",@progbits
