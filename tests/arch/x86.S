/* SPDX-License-Identifier: MIT */
/*
 * Register torture for i386; tests/torture.h has the contract.
 *
 * The frame, from the stack pointer up:
 *
 *	+0	argument of the call, 12 unused
 *	+16	the caller's MXCSR (4 bytes), x87 control word (2), 2 unused
 *	+24	MXCSR of the pattern (4), x87 control word of it (2), 2 unused
 *	+32	what is found (4), whether there is an MXCSR (4), 4 unused
 *	+44	edi, esi, ebx, ebp: the caller's
 *	+60	return address
 *	+64	seed, the call, its argument
 *
 * Bits of the answer: 0 MXCSR, 1 ebx, 2 ebp, 3 esi, 4 edi, 7 x87.
 */
	.text

	/* Bit nr of eax: whether reg is not seed (ecx) + nr. */
	.macro	VERIFY nr, reg
	leal	\nr(%ecx), %edx
	cmpl	%edx, \reg
	je	1f
	btsl	$\nr, %eax
1:
	.endm

	.globl	torture
	.hidden	torture
	.type	torture, @function
	.p2align 4
torture:
	.cfi_startproc
	pushl	%ebp
	.cfi_adjust_cfa_offset 4
	.cfi_rel_offset %ebp, 0
	pushl	%ebx
	.cfi_adjust_cfa_offset 4
	.cfi_rel_offset %ebx, 0
	pushl	%esi
	.cfi_adjust_cfa_offset 4
	.cfi_rel_offset %esi, 0
	pushl	%edi
	.cfi_adjust_cfa_offset 4
	.cfi_rel_offset %edi, 0
	subl	$44, %esp
	.cfi_adjust_cfa_offset 44
	movl	$1, %eax
	cpuid
	andl	$1 << 25, %edx
	movl	%edx, 36(%esp)
	fnstcw	20(%esp)

	movl	64(%esp), %ecx		/* seed */
	movl	%ecx, %eax
	andl	$0xe000, %eax		/* rounding, flush to zero */
	orl	$0x1f80, %eax		/* no traps */
	movl	%eax, 24(%esp)
	testl	%edx, %edx
	jz	1f
	stmxcsr	16(%esp)
	ldmxcsr	24(%esp)
1:	movl	%ecx, %eax
	andl	$0xd00, %eax		/* rounding, precision */
	xorl	$0x37f, %eax
	movl	%eax, 28(%esp)
	fldcw	28(%esp)
	leal	1(%ecx), %ebx
	leal	2(%ecx), %ebp
	leal	3(%ecx), %esi
	leal	4(%ecx), %edi

	movl	72(%esp), %eax
	movl	%eax, (%esp)
	call	*68(%esp)

	movl	64(%esp), %ecx
	xorl	%eax, %eax
	VERIFY	1, %ebx
	VERIFY	2, %ebp
	VERIFY	3, %esi
	VERIFY	4, %edi
	cmpl	$0, 36(%esp)
	je	1f
	stmxcsr	32(%esp)
	ldmxcsr	16(%esp)
	movl	32(%esp), %edx
	xorl	24(%esp), %edx
	testl	$~0x3f, %edx		/* less the flags of exceptions */
	jz	1f
	btsl	$0, %eax
1:	fnstcw	32(%esp)
	movzwl	32(%esp), %edx
	cmpw	28(%esp), %dx
	je	1f
	btsl	$7, %eax
1:	fldcw	20(%esp)
	xorl	%edx, %edx		/* the answer's upper half */
	addl	$44, %esp
	.cfi_adjust_cfa_offset -44
	popl	%edi
	.cfi_adjust_cfa_offset -4
	popl	%esi
	.cfi_adjust_cfa_offset -4
	popl	%ebx
	.cfi_adjust_cfa_offset -4
	popl	%ebp
	.cfi_adjust_cfa_offset -4
	ret
	.cfi_endproc
	.size	torture, . - torture

	.section .note.GNU-stack,"",@progbits
