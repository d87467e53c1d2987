/* SPDX-License-Identifier: MIT */
/*
 * Register torture for riscv64; tests/torture.h has the contract.
 *
 * The frame, from the stack pointer up:
 *
 *	+0	seed
 *	+8	the caller's fcsr
 *	+16	s0 to s11, ra: the caller's
 *	+120	fs0 to fs11: the caller's
 *
 * Bits of the answer: 0 to 11 s0 to s11, 12 to 23 fs0 to fs11, 24 the
 * rounding mode.
 */
#define FRAME 224

	.text

	/* Bit nr of a0: whether reg is not seed (t0) + nr; clobbers t1. */
	.macro	VERIFY nr, reg
	addi	t1, t0, \nr
	beq	t1, \reg, 1f
	li	t1, 1 << \nr
	or	a0, a0, t1
1:
	.endm

	.globl	torture
	.hidden	torture
	.type	torture, @function
	.p2align 4
torture:
	.cfi_startproc
	addi	sp, sp, -FRAME
	.cfi_adjust_cfa_offset FRAME
	sd	a0, 0(sp)
	frcsr	t0
	sd	t0, 8(sp)
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	sd	s\n, 16 + 8 * \n(sp)
	.cfi_rel_offset s\n, 16 + 8 * \n
	fsd	fs\n, 120 + 8 * \n(sp)
	.cfi_rel_offset fs\n, 120 + 8 * \n
	.endr
	sd	ra, 112(sp)
	.cfi_rel_offset ra, 112

	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	addi	s\n, a0, \n
	addi	t0, a0, 12 + \n
	fmv.d.x	fs\n, t0
	.endr
	andi	t0, a0, 3		/* one of the first four modes */
	fsrm	t0

	mv	a0, a2
	jalr	a1

	ld	t0, 0(sp)
	li	a0, 0
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	VERIFY	\n, s\n
	fmv.x.d	t2, fs\n
	VERIFY	12 + \n, t2
	.endr
	frrm	t1
	andi	t0, t0, 3
	beq	t0, t1, 1f
	li	t1, 1 << 24
	or	a0, a0, t1
1:
	ld	t0, 8(sp)
	fscsr	t0
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	ld	s\n, 16 + 8 * \n(sp)
	fld	fs\n, 120 + 8 * \n(sp)
	.endr
	ld	ra, 112(sp)
	addi	sp, sp, FRAME
	.cfi_adjust_cfa_offset -FRAME
	ret
	.cfi_endproc
	.size	torture, . - torture

	.section .note.GNU-stack,"",@progbits
