/* SPDX-License-Identifier: MIT */
/*
 * Register torture for 64-bit ARM; tests/torture.h has the contract.
 *
 * The frame, from the stack pointer up: the caller's x29, x30, x19 to x28,
 * d8 to d15 and FPCR (168 bytes), seed (8), FPCR of the pattern (8), 8 unused.
 *
 * Bits of the answer: 0 FPCR, 19 to 29 x19 to x29, 40 to 47 d8 to d15.
 */
#if defined(__ARM_FEATURE_BTI_DEFAULT)
#define MARK hint #34			/* bti c */
#else
#define MARK
#endif

	.text

	/* Bit nr of x0: whether reg is not seed (x9) + nr. */
	.macro	VERIFY nr, reg
	add	x10, x9, #\nr
	cmp	x10, \reg
	cset	x10, ne
	orr	x0, x0, x10, lsl #\nr
	.endm

	.macro	VERIFY_D nr, reg
	fmov	x11, \reg
	VERIFY	\nr, x11
	.endm

	.macro	FILL_D nr, reg
	add	x9, x0, #\nr
	fmov	\reg, x9
	.endm

	.globl	torture
	.hidden	torture
	.type	torture, %function
	.p2align 4
torture:
	.cfi_startproc
	MARK
	stp	x29, x30, [sp, #-192]!
	.cfi_adjust_cfa_offset 192
	.cfi_rel_offset x29, 0
	.cfi_rel_offset x30, 8
	stp	x19, x20, [sp, #16]
	.cfi_rel_offset x19, 16
	.cfi_rel_offset x20, 24
	stp	x21, x22, [sp, #32]
	.cfi_rel_offset x21, 32
	.cfi_rel_offset x22, 40
	stp	x23, x24, [sp, #48]
	.cfi_rel_offset x23, 48
	.cfi_rel_offset x24, 56
	stp	x25, x26, [sp, #64]
	.cfi_rel_offset x25, 64
	.cfi_rel_offset x26, 72
	stp	x27, x28, [sp, #80]
	.cfi_rel_offset x27, 80
	.cfi_rel_offset x28, 88
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	mrs	x9, fpcr
	stp	x9, x0, [sp, #160]

	and	x9, x0, #0x7c00000	/* rounding, flush to zero, NaN, */
	str	x9, [sp, #176]		/* half-precision */
	msr	fpcr, x9
	FILL_D	40, d8
	FILL_D	41, d9
	FILL_D	42, d10
	FILL_D	43, d11
	FILL_D	44, d12
	FILL_D	45, d13
	FILL_D	46, d14
	FILL_D	47, d15
	add	x19, x0, #19
	add	x20, x0, #20
	add	x21, x0, #21
	add	x22, x0, #22
	add	x23, x0, #23
	add	x24, x0, #24
	add	x25, x0, #25
	add	x26, x0, #26
	add	x27, x0, #27
	add	x28, x0, #28
	add	x29, x0, #29
	mov	x0, x2
	blr	x1

	ldr	x9, [sp, #168]
	ldr	x11, [sp, #176]
	mrs	x10, fpcr
	cmp	x10, x11
	cset	x0, ne
	VERIFY	19, x19
	VERIFY	20, x20
	VERIFY	21, x21
	VERIFY	22, x22
	VERIFY	23, x23
	VERIFY	24, x24
	VERIFY	25, x25
	VERIFY	26, x26
	VERIFY	27, x27
	VERIFY	28, x28
	VERIFY	29, x29
	VERIFY_D 40, d8
	VERIFY_D 41, d9
	VERIFY_D 42, d10
	VERIFY_D 43, d11
	VERIFY_D 44, d12
	VERIFY_D 45, d13
	VERIFY_D 46, d14
	VERIFY_D 47, d15

	ldr	x9, [sp, #160]
	msr	fpcr, x9
	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp], #192
	.cfi_def_cfa_offset 0
	ret
	.cfi_endproc
	.size	torture, . - torture

	.section .note.GNU-stack,"",%progbits
