/* SPDX-License-Identifier: MIT */
/*
 * Register torture for ppc64le; tests/torture.h has the contract.
 *
 * The frame, from the stack pointer up:
 *
 *	+0	linkage area
 *	+32	seed
 *	+40	the caller's FPSCR
 *	+48	the caller's r14 to r31
 *	+192	the caller's f14 to f31
 *	+336	the caller's v20 to v31
 *	+528	a pattern on its way to or from a vector register
 *
 * Bits of the answer: 0 to 17 r14 to r31, 18 to 35 f14 to f31, 36 to 47 v20
 * to v31, 48 CR2 to CR4 and 49 FPSCR's modes.
 */
#define FRAME 544

	.abiversion 2
	.text

	.macro	ALL int, fp, vec
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17
	\int	14 + \n, 48 + 8 * \n(%r1)
	\fp	14 + \n, 192 + 8 * \n(%r1)
	.endr
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	li	%r9, 336 + 16 * \n
	\vec	20 + \n, %r1, %r9
	.endr
	.endm

	/* Set bit nr of r3 unless CR0 says equal; clobbers r9. */
	.macro	NOTE nr
	beq	1f
	li	%r9, 1
	sldi	%r9, %r9, \nr
	or	%r3, %r3, %r9
1:
	.endm

	/* Bit nr of r3: whether reg is not seed (r6) + nr. */
	.macro	VERIFY nr, reg
	addi	%r9, %r6, \nr
	cmpd	%r9, \reg
	NOTE	\nr
	.endm

	/* What FPSCR's modes are to be by the seed in r6: in r10. */
	.macro	MODES_OF_SEED
	rldicl	%r10, %r6, 0, 61
	sldi	%r10, %r10, 32
	rldimi	%r10, %r6, 0, 62
	.endm

	.globl	torture
	.hidden	torture
	.type	torture, @function
	.p2align 4
torture:
	.cfi_startproc
	mflr	%r0
	std	%r0, 16(%r1)
	mfcr	%r0
	stw	%r0, 8(%r1)
	stdu	%r1, -FRAME(%r1)
	.cfi_adjust_cfa_offset FRAME
	.cfi_offset lr, 16
	.cfi_offset cr2, 8
	.cfi_offset cr3, 8
	.cfi_offset cr4, 8
	std	%r2, 24(%r1)
	std	%r3, 32(%r1)
	mffs	%f0
	stfd	%f0, 40(%r1)
	ALL	std, stfd, stvx
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17
	.cfi_rel_offset 14 + \n, 48 + 8 * \n	/* r14 on */
	.cfi_rel_offset 46 + \n, 192 + 8 * \n	/* f14 on */
	.endr
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	.cfi_rel_offset 97 + \n, 336 + 16 * \n	/* v20 on */
	.endr

	mr	%r6, %r3
	MODES_OF_SEED
	std	%r10, 528(%r1)
	lfd	%f0, 528(%r1)
	mtfsf	255, %f0, 1, 0
	li	%r7, 528
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	addi	%r8, %r6, 36 + \n
	std	%r8, 528(%r1)
	not	%r8, %r8
	std	%r8, 536(%r1)
	lvx	20 + \n, %r1, %r7
	.endr
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17
	addi	14 + \n, %r6, \n
	addi	%r8, %r6, 18 + \n
	std	%r8, 528(%r1)
	lfd	14 + \n, 528(%r1)
	.endr
	mtcrf	0x38, %r6
	fmr	%f0, %f14		/* or it held FPSCR, where others do */

	mr	%r12, %r4
	mtctr	%r12
	mr	%r3, %r5
	bctrl
	ld	%r2, 24(%r1)

	mfcr	%r5
	ld	%r6, 32(%r1)
	li	%r3, 0
	xor	%r5, %r5, %r6
	rlwinm.	%r5, %r5, 0, 8, 19	/* CR2 to CR4 */
	NOTE	48
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17
	VERIFY	\n, 14 + \n
	stfd	14 + \n, 528(%r1)
	ld	%r8, 528(%r1)
	VERIFY	18 + \n, %r8
	.endr
	li	%r7, 528
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	stvx	20 + \n, %r1, %r7
	ld	%r8, 528(%r1)
	VERIFY	36 + \n, %r8
	ld	%r8, 536(%r1)
	not	%r8, %r8
	VERIFY	36 + \n, %r8
	.endr
	mffs	%f0
	stfd	%f0, 528(%r1)
	ld	%r8, 528(%r1)
	MODES_OF_SEED
	xor	%r8, %r8, %r10
	rldicl	%r9, %r8, 0, 62		/* binary */
	rldicl	%r8, %r8, 32, 61	/* decimal */
	or.	%r8, %r8, %r9
	NOTE	49

	lfd	%f0, 40(%r1)
	mtfsf	255, %f0, 1, 0
	ALL	ld, lfd, lvx
	addi	%r1, %r1, FRAME
	.cfi_adjust_cfa_offset -FRAME
	lwz	%r0, 8(%r1)
	mtcrf	0x38, %r0
	ld	%r0, 16(%r1)
	mtlr	%r0
	blr
	.cfi_endproc
	.size	torture, . - torture

	.section .note.GNU-stack,"",@progbits
