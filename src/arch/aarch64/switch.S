/* SPDX-License-Identifier: MIT */
/*
 * The switch for 64-bit ARM, AAPCS64. arch.h has the contract, frame.inc what
 * lies on a suspended stack.
 */
#include "frame.inc"

	.text

/* int tuck__arch_switch(void **ret_sp: x0, void *sp: x1, int value: w2) */
	.hidden	tuck__arch_switch
FUNCTION tuck__arch_switch
	SAVE
	mov	x9, sp
	str	x9, [x0]
	mov	w0, w2
	RESUME
END tuck__arch_switch

/*
 * int tuck__arch_switch_via(void **ret_sp: x0, void *low: x1, via: x2,
 *			     void *a: x3, void *b: x4)
 */
	.hidden	tuck__arch_switch_via
FUNCTION tuck__arch_switch_via
	SAVE
	mov	x29, sp			/* for unwinders: sp moves now */
	.cfi_def_cfa_register x29
	str	x29, [x0]
	cmp	x29, x1
	csel	x1, x29, x1, ls		/* the lower of the two */
	and	sp, x1, #-16
	mov	x0, x3
	mov	x1, x4
	blr	x2			/* x0: stack pointer, w1: value */
	mov	x9, x0
	mov	w0, w1
	mov	x1, x9
	RESUME
END tuck__arch_switch_via

/* x19: enter or null, x20: fn, x21: its argument, x22: after */
	.hidden	tuck__arch_entry
BEGIN tuck__arch_entry
	.cfi_undefined x30		/* the outermost frame */
	nop				/* looked at in place of what follows */
	cbz	x19, 1f
	blr	x19
1:	mov	x0, x21
	blr	x20
	blr	x22
	brk	#1
END tuck__arch_entry

/* x20: fn, x21: its argument, x19: the frame to resume, fn's caller */
	.hidden	tuck__arch_interject
BEGIN tuck__arch_interject
	FRAME_AT x19
	nop
	mov	x0, x21
	blr	x20
	mov	x1, x19
	RESUME
END tuck__arch_interject

#if defined(__ARM_FEATURE_BTI_DEFAULT)
	/* GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI, and no signed returns. */
	.section .note.gnu.property,"a"
	.p2align 3
	.word	4			/* bytes of the name */
	.word	16			/* of the description */
	.word	5			/* NT_GNU_PROPERTY_TYPE_0 */
	.asciz	"GNU"
	.word	0xc0000000
	.word	4
	.word	1
	.word	0
#endif

	.section .note.GNU-stack,"",%progbits
