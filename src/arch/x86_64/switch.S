/* SPDX-License-Identifier: MIT */
/*
 * The switch for x86-64, System V ABI. arch.h has the contract, frame.inc what
 * lies on a suspended stack.
 *
 * No shadow stack: this object is marked for indirect branch tracking at
 * most, since a slice cannot carry a shadow stack along (rule S8).
 */
#include "frame.inc"

	.text

/* int tuck__arch_switch(void **ret_sp: rdi, void *sp: rsi, int value: edx) */
	.hidden	tuck__arch_switch
FUNCTION tuck__arch_switch
	SAVE
	movq	%rsp, (%rdi)
	movl	%edx, %eax
	RESUME
END tuck__arch_switch

/*
 * int tuck__arch_switch_via(void **ret_sp: rdi, void *low: rsi, via: rdx,
 *			     void *a: rcx, void *b: r8)
 */
	.hidden	tuck__arch_switch_via
FUNCTION tuck__arch_switch_via
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
	/*
	 * Here what was at rbp may be gone already, but a debugger that steps
	 * over the call knows by it that it is back.
	 */
	movq	%rax, %rsi
	FRAME_AT %rsi
	movl	%edx, %eax
	RESUME
END tuck__arch_switch_via

/* r15: enter or null, r12: fn, r13: its argument, r14: after */
	.hidden	tuck__arch_entry
BEGIN tuck__arch_entry
	.cfi_undefined %rip		/* the outermost frame */
	nop				/* looked at in place of what follows */
	testq	%r15, %r15
	jz	1f
	call	*%r15
1:	movq	%r13, %rdi
	call	*%r12
	call	*%r14
	ud2
END tuck__arch_entry

/* r12: fn, r13: its argument, rbx: the frame to resume, fn's caller */
	.hidden	tuck__arch_interject
BEGIN tuck__arch_interject
	FRAME_AT %rbx
	nop
	movq	%r13, %rdi
	call	*%r12
	movq	%rbx, %rsi
	RESUME
END tuck__arch_interject

	.section .note.GNU-stack,"",@progbits
