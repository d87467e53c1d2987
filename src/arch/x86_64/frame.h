/* SPDX-License-Identifier: MIT */
/*
 * What a suspended context of x86-64 (System V ABI) leaves on its stack, from
 * its stack pointer up, and how it is laid there and taken:
 *
 *	+0	MXCSR (4 bytes), x87 control word (2), 2 unused
 *	+8	r15
 *	+16	r14
 *	+24	r13
 *	+32	r12
 *	+40	rbx
 *	+48	rbp
 *	+56	return address
 *
 * All other registers are the caller's to save across a call. Storing and
 * loading the control words is three fifths of a switch; to load them only
 * where they differ was tried, and costs more, since a compare has to wait for
 * the stores. Moves, not pushes and pops, which need the stack pointer in
 * between: they are a nanosecond slower in six.
 */
#if defined(__CET__) && (__CET__ & 1)
#define SWITCH_MARK endbr64
#else
#define SWITCH_MARK
#endif

	.macro	FUNCTION name
	.globl	\name
	.type	\name, @function
	.p2align 4
\name:
	.cfi_startproc
	SWITCH_MARK
	.endm

	.macro	END name
	.cfi_endproc
	.size	\name, . - \name
	.endm

	/* Where the registers of the frame at reg are, for unwinders. */
	.macro	FRAME_AT reg
	.cfi_def_cfa \reg, 64
	.cfi_offset %rip, -8
	.cfi_offset %rbp, -16
	.cfi_offset %rbx, -24
	.cfi_offset %r12, -32
	.cfi_offset %r13, -40
	.cfi_offset %r14, -48
	.cfi_offset %r15, -56
	.endm

	.macro	SAVE
	leaq	-56(%rsp), %rsp
	.cfi_adjust_cfa_offset 56
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	movq	%r15, 8(%rsp)
	movq	%r14, 16(%rsp)
	movq	%r13, 24(%rsp)
	movq	%r12, 32(%rsp)
	movq	%rbx, 40(%rsp)
	movq	%rbp, 48(%rsp)
	FRAME_AT %rsp
	.endm

	/*
	 * Take the frame at rsi; rax stays. A return would be predicted to go
	 * where the suspended context came from; a jump is predicted by where
	 * contexts went before. The unwinder's view is that of the frame that
	 * is being taken, at rsi, until rsp is there too.
	 */
	.macro	RESUME
	FRAME_AT %rsi
	movq	56(%rsi), %rcx
	ldmxcsr	(%rsi)
	fldcw	4(%rsi)
	movq	8(%rsi), %r15
	movq	16(%rsi), %r14
	movq	24(%rsi), %r13
	movq	32(%rsi), %r12
	movq	40(%rsi), %rbx
	movq	48(%rsi), %rbp
	leaq	64(%rsi), %rsp
	notrack jmp *%rcx
	.endm

	/*
	 * A function name(a, b) that calls fn(a, b, sp), sp being where its
	 * caller's registers lie as a suspended context's, and returns what
	 * that returns: to keep a point and come back to it often, as
	 * getcontext() does, no C function may stand in between.
	 */
	.macro	CAPTURE name, fn
	FUNCTION \name
	SAVE
	movq	%rsp, %rdx
	call	\fn
	movq	%rsp, %rsi
	RESUME
	END \name
	.endm
