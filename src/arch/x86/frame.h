/* SPDX-License-Identifier: MIT */
/*
 * What a suspended context of i386 (System V ABI) leaves on its stack, from
 * its stack pointer up, and how it is laid there and taken:
 *
 *	+0	MXCSR; undefined on a CPU without SSE
 *	+4	x87 control word (2 bytes), 2 unused
 *	+8	unused: the frame's ends are 16-aligned
 *	+12	edi
 *	+16	esi
 *	+20	ebx
 *	+24	ebp
 *	+28	return address
 *
 * All other registers are the caller's to save across a call, and the x87
 * stack is empty at one. Moves, not pushes and pops, and a jump in place of
 * a return, as on x86-64.
 *
 * Whether there is an MXCSR: Debian's i386 runs on a Pentium II, which has
 * none. But what the library was compiled for says nothing of the program:
 * one that uses SSE, or calls fesetround(), sets the MXCSR of any CPU that
 * has it, and must find its own after a switch (rule S8). So unless the
 * compiler was told that there is one, cpuid is asked, once. Rejected: to
 * keep it only if compiled for SSE, which breaks the rule for some programs;
 * an indirect function, which not all C libraries have.
 */
#if defined(__CET__) && (__CET__ & 1)
#define SWITCH_MARK endbr32
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
	.cfi_def_cfa \reg, 32
	.cfi_offset %eip, -4
	.cfi_offset %ebp, -8
	.cfi_offset %ebx, -12
	.cfi_offset %esi, -16
	.cfi_offset %edi, -20
	.endm

	.macro	SAVE
	leal	-28(%esp), %esp
	.cfi_adjust_cfa_offset 28
	movl	%edi, 12(%esp)
	movl	%esi, 16(%esp)
	movl	%ebx, 20(%esp)
	movl	%ebp, 24(%esp)
	FRAME_AT %esp
	fnstcw	4(%esp)
	HAS_SSE	%ebx
	js	.Lsaved\@
	stmxcsr	(%esp)
.Lsaved\@:
	.endm

	/*
	 * Take the frame at edx; eax stays. ebx has been set by SAVE or by
	 * HAS_SSE. The unwinder's view is that of the frame that is being
	 * taken, at edx, until esp is there too.
	 */
	.macro	RESUME
	FRAME_AT %edx
	testl	%ebx, %ebx
	js	.Lx87\@
	ldmxcsr	(%edx)
.Lx87\@:
	fldcw	4(%edx)
	movl	28(%edx), %ecx
	movl	12(%edx), %edi
	movl	16(%edx), %esi
	movl	20(%edx), %ebx
	movl	24(%edx), %ebp
	leal	32(%edx), %esp
	notrack jmp *%ecx
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
	movl	%esp, %esi
	.cfi_def_cfa_register %esi
	subl	$16, %esp
	movl	32(%esi), %eax
	movl	36(%esi), %edx
	movl	%eax, (%esp)
	movl	%edx, 4(%esp)
	movl	%esi, 8(%esp)
	call	\fn
	movl	%esi, %edx
	RESUME
	END \name
	.endm

#ifdef __SSE__
	.macro	HAS_SSE reg
	xorl	\reg, \reg
	.endm
#else
	.local	sse		/* 1: the CPU has it, -1: not, 0: unknown */
	.comm	sse, 4, 4

	.text
	/* Find out; the answer is in edx, the address of sse in ecx. */
	.type	ask_for_sse, @function
	.p2align 4
ask_for_sse:
	.cfi_startproc
	pushl	%ebx
	.cfi_adjust_cfa_offset 4
	.cfi_rel_offset %ebx, 0
	pushl	%ecx
	.cfi_adjust_cfa_offset 4
	movl	$1, %eax
	cpuid
	shrl	$25, %edx		/* SSE is its bit 25 */
	andl	$1, %edx
	leal	-1(%edx,%edx), %edx
	popl	%ecx
	.cfi_adjust_cfa_offset -4
	movl	%edx, (%ecx)
	popl	%ebx
	.cfi_adjust_cfa_offset -4
	.cfi_restore %ebx
	ret
	.cfi_endproc
	.size	ask_for_sse, . - ask_for_sse

	/* Set reg to sse, and the flags by it; eax, ecx, edx are lost. */
	.macro	HAS_SSE reg
	call	.Lhere\@		/* position-independent */
	.cfi_adjust_cfa_offset 4
.Lhere\@:
	popl	%ecx
	.cfi_adjust_cfa_offset -4
	addl	$sse - .Lhere\@, %ecx
	movl	(%ecx), \reg
	testl	\reg, \reg
	jnz	.Lknown\@
	call	ask_for_sse
	movl	%edx, \reg
	testl	\reg, \reg
.Lknown\@:
	.endm
#endif
