/* SPDX-License-Identifier: MIT */
/*
 * The switch for s390x, ELF ABI. arch.h has the contract, frame.inc what lies
 * on a suspended stack.
 */
#include "frame.inc"

	.text

/* int tuck__arch_switch(void **ret_sp: r2, void *sp: r3, int value: r4) */
	.hidden	tuck__arch_switch
FUNCTION tuck__arch_switch
	SAVE
	stg	%r15, 0(%r2)
	lgfr	%r2, %r4
	RESUME
END tuck__arch_switch

/*
 * int tuck__arch_switch_via(void **ret_sp: r2, void *low: r3, via: r4,
 *			     void *a: r5, void *b: r6)
 */
	.hidden	tuck__arch_switch_via
FUNCTION tuck__arch_switch_via
	SAVE
	stg	%r15, 0(%r2)
	lgr	%r11, %r15		/* for unwinders: r15 moves now */
	.cfi_def_cfa_register %r11
	clgr	%r3, %r15
	jl	1f
	lgr	%r3, %r15		/* the lower of the two */
1:	nill	%r3, 0xfff8
	lay	%r15, -176(%r3)		/* 160 for via to save registers in, */
	la	%r2, 160(%r15)		/* and 16 for what it returns */
	lgr	%r1, %r4
	lgr	%r3, %r5
	lgr	%r4, %r6
	basr	%r14, %r1
	lg	%r3, 160(%r15)		/* stack pointer */
	lgf	%r2, 168(%r15)		/* value */
	RESUME
END tuck__arch_switch_via

/* r6: enter or null, r7: fn, r8: its argument, r9: after */
	.hidden	tuck__arch_entry
FUNCTION tuck__arch_entry
	.cfi_undefined %r14		/* the outermost frame */
	nopr				/* looked at in place of what follows */
	ltgr	%r6, %r6
	jz	1f
	basr	%r14, %r6
1:	lgr	%r2, %r8
	basr	%r14, %r7
	basr	%r14, %r9
	j	.+2			/* a trap */
END tuck__arch_entry

/* r7: fn, r8: its argument, r11: the frame to resume, fn's caller */
	.hidden	tuck__arch_interject
FUNCTION tuck__arch_interject
	FRAME_AT %r11
	nopr
	lgr	%r2, %r8
	basr	%r14, %r7
	lgr	%r3, %r11
	RESUME
END tuck__arch_interject

	.section .note.GNU-stack,"",@progbits
