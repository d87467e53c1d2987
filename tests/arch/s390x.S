/* SPDX-License-Identifier: MIT */
/*
 * Register torture for s390x; tests/torture.h has the contract.
 *
 * The caller's r6 to r15 are in the place that it keeps for them. The frame,
 * from the stack pointer up: 160 bytes for whom this calls, seed (8), the
 * caller's floating-point control (4), that of the pattern (4), the caller's
 * f8 to f15.
 *
 * Bits of the answer: 0 floating-point control, 6 to 13 r6 to r13, 24 to 31
 * f8 to f15.
 */
	.text

	/* Bit nr of r2: whether reg is not seed (r1) + nr. Free: r3, r4. */
	.macro	VERIFY nr, reg
	la	%r3, \nr(%r1)
	cgr	%r3, \reg
	je	9f
	SET_BIT \nr
9:
	.endm

	/* Bit nr of r2. */
	.macro	SET_BIT nr
	.if	\nr < 16
	oill	%r2, 1 << \nr
	.else
	oilh	%r2, 1 << (\nr - 16)
	.endif
	.endm

	.macro	VERIFY_F nr, reg
	lgdr	%r4, \reg
	VERIFY	\nr, %r4
	.endm

	.macro	FILL_F nr, reg
	la	%r1, \nr(%r2)
	ldgr	\reg, %r1
	.endm

	.globl	torture
	.hidden	torture
	.type	torture, @function
	.p2align 4
torture:
	.cfi_startproc
	stmg	%r6, %r15, 48(%r15)
	.cfi_offset %r6, -112
	.cfi_offset %r7, -104
	.cfi_offset %r8, -96
	.cfi_offset %r9, -88
	.cfi_offset %r10, -80
	.cfi_offset %r11, -72
	.cfi_offset %r12, -64
	.cfi_offset %r13, -56
	.cfi_offset %r14, -48
	.cfi_offset %r15, -40
	aghi	%r15, -240
	.cfi_adjust_cfa_offset 240
	stg	%r2, 160(%r15)
	efpc	%r1
	st	%r1, 168(%r15)
	std	%f8, 176(%r15)
	std	%f9, 184(%r15)
	std	%f10, 192(%r15)
	std	%f11, 200(%r15)
	std	%f12, 208(%r15)
	std	%f13, 216(%r15)
	std	%f14, 224(%r15)
	std	%f15, 232(%r15)

	lgr	%r1, %r2
	nill	%r1, 0x73		/* rounding, binary and decimal */
	nilh	%r1, 0
	st	%r1, 172(%r15)
	sfpc	%r1
	FILL_F	24, %f8
	FILL_F	25, %f9
	FILL_F	26, %f10
	FILL_F	27, %f11
	FILL_F	28, %f12
	FILL_F	29, %f13
	FILL_F	30, %f14
	FILL_F	31, %f15
	lgr	%r5, %r3		/* call */
	la	%r6, 6(%r2)
	la	%r7, 7(%r2)
	la	%r8, 8(%r2)
	la	%r9, 9(%r2)
	la	%r10, 10(%r2)
	la	%r11, 11(%r2)
	la	%r12, 12(%r2)
	la	%r13, 13(%r2)
	lgr	%r2, %r4
	basr	%r14, %r5

	lg	%r1, 160(%r15)
	lghi	%r2, 0
	VERIFY	6, %r6
	VERIFY	7, %r7
	VERIFY	8, %r8
	VERIFY	9, %r9
	VERIFY	10, %r10
	VERIFY	11, %r11
	VERIFY	12, %r12
	VERIFY	13, %r13
	VERIFY_F 24, %f8
	VERIFY_F 25, %f9
	VERIFY_F 26, %f10
	VERIFY_F 27, %f11
	VERIFY_F 28, %f12
	VERIFY_F 29, %f13
	VERIFY_F 30, %f14
	VERIFY_F 31, %f15
	efpc	%r3
	nill	%r3, 0x73
	nilh	%r3, 0
	c	%r3, 172(%r15)
	je	9f
	SET_BIT	0
9:
	l	%r1, 168(%r15)
	sfpc	%r1
	ld	%f8, 176(%r15)
	ld	%f9, 184(%r15)
	ld	%f10, 192(%r15)
	ld	%f11, 200(%r15)
	ld	%f12, 208(%r15)
	ld	%f13, 216(%r15)
	ld	%f14, 224(%r15)
	ld	%f15, 232(%r15)
	lmg	%r6, %r15, 288(%r15)
	.cfi_def_cfa_offset 160
	br	%r14
	.cfi_endproc
	.size	torture, . - torture

	.section .note.GNU-stack,"",@progbits
