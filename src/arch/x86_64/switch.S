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
 * All other registers are the caller's to save across a call. The control
 * words are loaded only where they differ: loading costs more than looking.
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
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	.endm

	/*
	 * Take the registers of the frame at rsp; rax stays. A return would
	 * be predicted to go where the suspended context came from; a jump
	 * is predicted by where contexts went before.
	 */
	.macro	RESTORE_AND_RETURN
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r12
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbp
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	.cfi_register %rip, %rcx
	notrack jmp *%rcx
	.endm

/* int tuck__arch_switch(void **ret_sp: rdi, void *sp: rsi, value: rdx) */
	.globl	tuck__arch_switch
	.hidden	tuck__arch_switch
	.type	tuck__arch_switch, @function
	.p2align 4
tuck__arch_switch:
	.cfi_startproc
	SWITCH_MARK
	SAVE
	movl	(%rsp), %ecx		/* own MXCSR */
	movzwl	4(%rsp), %r8d		/* own x87 control word */
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp		/* from here on the other's stack */
	movq	%rdx, %rax
	cmpl	(%rsp), %ecx
	jne	1f
	cmpw	4(%rsp), %r8w
	jne	1f
0:	.cfi_remember_state
	RESTORE_AND_RETURN
	.cfi_restore_state
1:	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	jmp	0b
	.cfi_endproc
	.size	tuck__arch_switch, . - tuck__arch_switch

/*
 * int tuck__arch_switch_via(void **ret_sp: rdi, void *low: rsi,
 *				  via: rdx, void *a: rcx, void *b: r8)
 */
	.globl	tuck__arch_switch_via
	.hidden	tuck__arch_switch_via
	.type	tuck__arch_switch_via, @function
	.p2align 4
tuck__arch_switch_via:
	.cfi_startproc
	SWITCH_MARK
	SAVE
	movl	(%rsp), %ebx		/* own MXCSR */
	movzwl	4(%rsp), %r12d		/* own x87 control word */
	movq	%rsp, (%rdi)
	movq	%rsp, %rbp		/* for unwinders: rsp moves now */
	.cfi_remember_state
	.cfi_def_cfa_register %rbp
	cmpq	%rsi, %rsp
	cmovaq	%rsi, %rsp		/* the lower of the two */
	andq	$-16, %rsp
	movq	%rcx, %rdi
	movq	%r8, %rsi
	call	*%rdx			/* rax: stack pointer, rdx: result */
	.cfi_restore_state
	movq	%rax, %rsp
	movq	%rdx, %rax
	cmpl	(%rsp), %ebx
	jne	1f
	cmpw	4(%rsp), %r12w
	jne	1f
0:	.cfi_remember_state
	RESTORE_AND_RETURN
	.cfi_restore_state
1:	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	jmp	0b
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
