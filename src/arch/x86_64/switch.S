/* SPDX-License-Identifier: MIT */
/*
 * The switch for x86-64, System V ABI. arch.h has the contract.
 *
 * What a suspended context leaves on its stack, from its stack pointer up:
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
 * No shadow stack: this object is marked for indirect branch tracking at
 * most, since a slice cannot carry a shadow stack along (rule S8).
 */
#if defined(__CET__) && (__CET__ & 1)
#define SWITCH_MARK endbr64
#else
#define SWITCH_MARK
#endif

	.text

	.macro	SAVE
	leaq	-56(%rsp), %rsp
	.cfi_adjust_cfa_offset 56
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	movq	%r15, 8(%rsp)
	.cfi_rel_offset %r15, 8
	movq	%r14, 16(%rsp)
	.cfi_rel_offset %r14, 16
	movq	%r13, 24(%rsp)
	.cfi_rel_offset %r13, 24
	movq	%r12, 32(%rsp)
	.cfi_rel_offset %r12, 32
	movq	%rbx, 40(%rsp)
	.cfi_rel_offset %rbx, 40
	movq	%rbp, 48(%rsp)
	.cfi_rel_offset %rbp, 48
	.endm

	/*
	 * Take the frame at rsi; rax stays. A return would be predicted to go
	 * where the suspended context came from; a jump is predicted by where
	 * contexts went before. The unwinder's view is that of the frame that
	 * is being taken, at rsi, until rsp is there too.
	 */
	.macro	RESUME
	.cfi_def_cfa %rsi, 64
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

/* int tuck__arch_switch(void **ret_sp: rdi, void *sp: rsi, int value: edx) */
	.globl	tuck__arch_switch
	.hidden	tuck__arch_switch
	.type	tuck__arch_switch, @function
	.p2align 4
tuck__arch_switch:
	.cfi_startproc
	SWITCH_MARK
	SAVE
	movq	%rsp, (%rdi)
	movl	%edx, %eax
	RESUME
	.cfi_endproc
	.size	tuck__arch_switch, . - tuck__arch_switch

/*
 * int tuck__arch_switch_via(void **ret_sp: rdi, void *low: rsi, via: rdx,
 *			     void *a: rcx, void *b: r8)
 */
	.globl	tuck__arch_switch_via
	.hidden	tuck__arch_switch_via
	.type	tuck__arch_switch_via, @function
	.p2align 4
tuck__arch_switch_via:
	.cfi_startproc
	SWITCH_MARK
	SAVE
	movq	%rsp, (%rdi)
	movq	%rsp, %rbp		/* for unwinders: rsp moves now */
	.cfi_def_cfa_register %rbp
	cmpq	%rsi, %rsp
	cmovaq	%rsi, %rsp		/* the lower of the two */
	andq	$-16, %rsp
	movq	%rcx, %rdi
	movq	%r8, %rsi
	call	*%rdx			/* rax: stack pointer, edx: value */
	movq	%rax, %rsi
	movl	%edx, %eax
	RESUME
	.cfi_endproc
	.size	tuck__arch_switch_via, . - tuck__arch_switch_via

/* r15: enter or null, r12: fn, r13: its argument, r14: after */
	.globl	tuck__arch_entry
	.hidden	tuck__arch_entry
	.type	tuck__arch_entry, @function
	.p2align 4
	/* Unwinders look one byte before a return address. */
	nop
tuck__arch_entry:
	.cfi_startproc
	.cfi_undefined %rip		/* the outermost frame */
	SWITCH_MARK
	testq	%r15, %r15
	jz	1f
	call	*%r15
1:	movq	%r13, %rdi
	call	*%r12
	call	*%r14
	ud2
	.cfi_endproc
	.size	tuck__arch_entry, . - tuck__arch_entry

	.section .note.GNU-stack,"",@progbits
