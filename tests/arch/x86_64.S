/* SPDX-License-Identifier: MIT */
/*
 * Register torture for x86-64; tests/torture.h has the contract.
 *
 * The frame, from the stack pointer up:
 *
 *	+0	the caller's MXCSR (4 bytes), x87 control word (2), 2 unused
 *	+8	seed
 *	+16	MXCSR of the pattern (4), x87 control word of it (2), 2 unused
 *	+24	r15, r14, r13, r12, rbx, rbp: the caller's
 *	+72	return address
 *
 * Bits of the answer: 0 MXCSR, 1 rbx, 2 rbp, 3 to 6 r12 to r15, 7 x87.
 */
	.text

	/* Bit nr of rax: whether reg is not seed (rcx) + nr. */
	.macro	VERIFY nr, reg
	leaq	\nr(%rcx), %rdx
	cmpq	%rdx, \reg
	je	1f
	btsq	$\nr, %rax
1:
	.endm

	.globl	torture
	.hidden	torture
	.type	torture, @function
	.p2align 4
torture:
	.cfi_startproc
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15, 0
	subq	$24, %rsp
	.cfi_adjust_cfa_offset 24
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	movq	%rdi, 8(%rsp)

	movl	%edi, %eax
	andl	$0xe040, %eax		/* rounding, flush to zero, denormals */
	orl	$0x1f80, %eax		/* no traps */
	movl	%eax, 16(%rsp)
	ldmxcsr	16(%rsp)
	movl	%edi, %eax
	andl	$0xd00, %eax		/* rounding, precision */
	xorl	$0x37f, %eax
	movl	%eax, 20(%rsp)
	fldcw	20(%rsp)
	leaq	1(%rdi), %rbx
	leaq	2(%rdi), %rbp
	leaq	3(%rdi), %r12
	leaq	4(%rdi), %r13
	leaq	5(%rdi), %r14
	leaq	6(%rdi), %r15

	movq	%rdx, %rdi
	call	*%rsi

	movq	8(%rsp), %rcx
	xorl	%eax, %eax
	VERIFY	1, %rbx
	VERIFY	2, %rbp
	VERIFY	3, %r12
	VERIFY	4, %r13
	VERIFY	5, %r14
	VERIFY	6, %r15
	stmxcsr	8(%rsp)
	movl	8(%rsp), %edx
	xorl	16(%rsp), %edx
	testl	$~0x3f, %edx		/* less the flags of exceptions */
	jz	1f
	btsq	$0, %rax
1:	fnstcw	8(%rsp)
	movzwl	8(%rsp), %edx
	cmpw	20(%rsp), %dx
	je	1f
	btsq	$7, %rax
1:
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	addq	$24, %rsp
	.cfi_adjust_cfa_offset -24
	popq	%r15
	.cfi_adjust_cfa_offset -8
	popq	%r14
	.cfi_adjust_cfa_offset -8
	popq	%r13
	.cfi_adjust_cfa_offset -8
	popq	%r12
	.cfi_adjust_cfa_offset -8
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_endproc
	.size	torture, . - torture

	.section .note.GNU-stack,"",@progbits
