/* SPDX-License-Identifier: MIT */
/*
 * A call that code did not know of: everything but the stack below it comes
 * back as it was. It is entered with the interrupted instruction's address on
 * the stack, below the red zone. From %rbp up lie then:
 *
 *	  0 rbp    8 r11   16 r10   24 r9   32 r8   40 rdi  48 rsi
 *	 56 rdx   64 rcx   72 rax   80 flags        88 where to go on
 *	 96 red zone       224 the interrupted stack pointer
 */
#define STATES	0xe7		/* x87, SSE, AVX, AVX-512 */

	.text
	.globl	tuck__safepoint_entry
	.hidden	tuck__safepoint_entry
	.type	tuck__safepoint_entry, @function
tuck__safepoint_entry:
	.cfi_startproc
	.cfi_signal_frame		/* it need not be a call's address */
	.cfi_def_cfa %rsp, 136
	.cfi_offset %rip, -136
	pushfq
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%rbp
	movq	%rsp, %rbp
	.cfi_def_cfa %rbp, 224
	.cfi_offset %rbp, -224
	subq	tuck__xsave_bytes(%rip), %rsp
	andq	$-64, %rsp
	xorl	%eax, %eax
	movq	%rax, 512(%rsp)		/* XSAVE's header must begin as zero */
	movq	%rax, 520(%rsp)
	movq	%rax, 528(%rsp)
	movq	%rax, 536(%rsp)
	movq	%rax, 544(%rsp)
	movq	%rax, 552(%rsp)
	movq	%rax, 560(%rsp)
	movq	%rax, 568(%rsp)
	movl	$STATES, %eax
	xorl	%edx, %edx
	xsave64	(%rsp)
	cld
	call	tuck__safepoint
	movl	$STATES, %eax
	xorl	%edx, %edx
	xrstor64 (%rsp)
	movq	%rbp, %rsp
	popq	%rbp
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rax
	popfq
	ret	$128			/* the red zone */
	.cfi_endproc
	.size	tuck__safepoint_entry, . - tuck__safepoint_entry

	.bss
	.globl	tuck__xsave_bytes
	.hidden	tuck__xsave_bytes
	.balign	8
tuck__xsave_bytes:
	.zero	8

/* The program's counters begin on a page by this, and end on one. */
	.section __sancov_cntrs, "aw", @progbits
	.balign	4096
	.zero	4096

	.section .note.GNU-stack, "", @progbits
