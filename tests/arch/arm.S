/* SPDX-License-Identifier: MIT */
/*
 * Register torture for 32-bit ARM; tests/torture.h has the contract.
 *
 * The frame, from the stack pointer up:
 *
 *	+0	seed
 *	+4	FPSCR of the pattern
 *	+8	d8 to d15: the caller's
 *	+72	FPSCR, r4 to r11: the caller's
 *	+108	return address
 *
 * Bits of the answer: 0 FPSCR, 4 to 11 those of r4 to r11, and in the upper
 * half 8 to 15 those of d8 to d15.
 */
	.syntax	unified
#ifdef __thumb__
	.thumb
#else
	.arm
#endif
	.text

	/* Bit nr of r0: whether rnr is not seed (r2) + nr. */
	.macro	VERIFY nr
	add	r3, r2, #\nr
	cmp	r3, r\nr
	it	ne
	orrne	r0, r0, #1 << \nr
	.endm

	/* The halves of dnr: seed + nr and its complement. */
	.macro	LAY_D nr
	add	r3, r0, #\nr
	mvn	ip, r3
	vmov	d\nr, r3, ip
	.endm

	/* Bit nr of r1: whether dnr is not that. */
	.macro	VERIFY_D nr
	add	r3, r2, #\nr
	mvn	ip, r3
	vmov	r4, r5, d\nr
	cmp	r4, r3
	it	eq
	cmpeq	r5, ip
	it	ne
	orrne	r1, r1, #1 << \nr
	.endm

	.globl	torture
	.hidden	torture
	.type	torture, %function
	.p2align 2
torture:
	.fnstart
	.cfi_startproc
	push	{r4-r11, lr}
	.save	{r4-r11, lr}
	.cfi_adjust_cfa_offset 36
	.cfi_rel_offset lr, 32
	.cfi_rel_offset r11, 28
	.cfi_rel_offset r10, 24
	.cfi_rel_offset r9, 20
	.cfi_rel_offset r8, 16
	.cfi_rel_offset r7, 12
	.cfi_rel_offset r6, 8
	.cfi_rel_offset r5, 4
	.cfi_rel_offset r4, 0
	vmrs	ip, fpscr
	sub	sp, sp, #4
	.pad	#4
	.cfi_adjust_cfa_offset 4
	str	ip, [sp]
	vpush	{d8-d15}
	.vsave	{d8-d15}
	.cfi_adjust_cfa_offset 64
	sub	sp, sp, #8
	.pad	#8
	.cfi_adjust_cfa_offset 8
	str	r0, [sp]

	/* Its flags of exceptions and of comparisons may change. */
	and	ip, r0, #0x07c00000
	str	ip, [sp, #4]
	vmsr	fpscr, ip
	LAY_D	8
	LAY_D	9
	LAY_D	10
	LAY_D	11
	LAY_D	12
	LAY_D	13
	LAY_D	14
	LAY_D	15
	add	r4, r0, #4
	add	r5, r0, #5
	add	r6, r0, #6
	add	r7, r0, #7
	add	r8, r0, #8
	add	r9, r0, #9
	add	r10, r0, #10
	add	r11, r0, #11

	mov	r0, r2
	blx	r1

	ldr	r2, [sp]
	mov	r0, #0
	VERIFY	4
	VERIFY	5
	VERIFY	6
	VERIFY	7
	VERIFY	8
	VERIFY	9
	VERIFY	10
	VERIFY	11
	mov	r1, #0			/* the answer's upper half */
	VERIFY_D 8
	VERIFY_D 9
	VERIFY_D 10
	VERIFY_D 11
	VERIFY_D 12
	VERIFY_D 13
	VERIFY_D 14
	VERIFY_D 15
	vmrs	r3, fpscr
	and	r3, r3, #0x07c00000
	ldr	r2, [sp, #4]
	cmp	r2, r3
	it	ne
	orrne	r0, r0, #1
	add	sp, sp, #8
	.cfi_adjust_cfa_offset -8
	vpop	{d8-d15}
	.cfi_adjust_cfa_offset -64
	ldr	ip, [sp]
	vmsr	fpscr, ip
	add	sp, sp, #4
	.cfi_adjust_cfa_offset -4
	pop	{r4-r11, pc}
	.cfi_endproc
	.fnend
	.size	torture, . - torture

	.section .note.GNU-stack,"",%progbits
