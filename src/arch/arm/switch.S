/* SPDX-License-Identifier: MIT */
/*
 * The switch for 32-bit ARM, AAPCS with hard floats. arch.h has the contract,
 * frame.inc what lies on a suspended stack.
 */
#include "frame.inc"

	.text

/* int tuck__arch_switch(void **ret_sp: r0, void *sp: r1, int value: r2) */
	.hidden	tuck__arch_switch
FUNCTION tuck__arch_switch
	SAVE
	str	sp, [r0]
	mov	r0, r2
	RESUME
END tuck__arch_switch

/*
 * int tuck__arch_switch_via(void **ret_sp: r0, void *low: r1, via: r2,
 *			     void *a: r3, void *b: stack)
 */
	.hidden	tuck__arch_switch_via
FUNCTION tuck__arch_switch_via
	SAVE
	ldr	r4, [sp, #104]		/* b */
	str	sp, [r0]
	mov	r11, sp			/* for unwinders: sp moves now */
	.setfp	r11, sp
	.cfi_def_cfa_register r11
	mov	r0, sp
	cmp	r0, r1
	it	hi
	movhi	r0, r1			/* the lower of the two */
	bic	r0, r0, #7
	sub	r0, r0, #8		/* for the landing */
	mov	sp, r0
	mov	ip, r2
	mov	r1, r3
	mov	r2, r4
	blx	ip
	ldr	r1, [sp]		/* stack pointer */
	ldr	r0, [sp, #4]		/* value */
	RESUME
END tuck__arch_switch_via

/* r4: enter or null, r5: after, r6: argument of fn, r7: fn */
	.hidden	tuck__arch_entry
FUNCTION tuck__arch_entry
	.cfi_undefined lr		/* the outermost frame */
	.save	{lr}			/* the same for EHABI: back to 0 */
	GAP				/* looked at in place of what follows */
	cmp	r4, #0
	it	ne
	blxne	r4
	mov	r0, r6
	blx	r7
	blx	r5
	udf	#0
END tuck__arch_entry

/* r4: fn, r5: its argument, r6: the frame to resume, fn's caller */
	.hidden	tuck__arch_interject
FUNCTION tuck__arch_interject
	FRAME_AT r6
	FRAME_SAVED
	.setfp	r6, sp
	GAP
	mov	r0, r5
	blx	r4
	mov	r1, r6
	RESUME
END tuck__arch_interject

	.section .note.GNU-stack,"",%progbits
