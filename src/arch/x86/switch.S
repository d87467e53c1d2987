/* SPDX-License-Identifier: MIT */
/*
 * The switch for i386, System V ABI. arch.h has the contract, frame.inc what
 * lies on a suspended stack.
 *
 * No shadow stack: this object is marked for indirect branch tracking at
 * most, since a slice cannot carry a shadow stack along (rule S8).
 */
#include "frame.inc"

	.text

/* int tuck__arch_switch(void **ret_sp, void *sp, int value) */
	.hidden	tuck__arch_switch
FUNCTION tuck__arch_switch
	SAVE
	movl	32(%esp), %eax		/* ret_sp */
	movl	36(%esp), %edx		/* sp */
	movl	%esp, (%eax)
	movl	40(%esp), %eax		/* value */
	RESUME
END tuck__arch_switch

/*
 * int tuck__arch_switch_via(void **ret_sp, void *low, tuck__arch_fn *via,
 *			     void *a, void *b)
 */
	.hidden	tuck__arch_switch_via
FUNCTION tuck__arch_switch_via
	SAVE
	movl	32(%esp), %eax		/* ret_sp */
	movl	%esp, (%eax)
	movl	36(%esp), %eax		/* low */
	movl	%esp, %ebp		/* for unwinders: esp moves now */
	.cfi_def_cfa_register %ebp
	cmpl	%eax, %esp
	cmoval	%eax, %esp		/* the lower of the two */
	andl	$-16, %esp
	subl	$32, %esp
	movl	44(%ebp), %ecx		/* a */
	movl	48(%ebp), %edx		/* b */
	leal	16(%esp), %eax		/* for the landing */
	movl	%eax, (%esp)
	movl	%ecx, 4(%esp)
	movl	%edx, 8(%esp)
	call	*40(%ebp)		/* via; it takes 4 bytes off */
	movl	12(%esp), %edx		/* stack pointer */
	movl	16(%esp), %eax		/* value */
	RESUME
END tuck__arch_switch_via

/* (esp): enter or null, ebx: fn, esi: its argument, edi: after */
	.hidden	tuck__arch_entry
BEGIN tuck__arch_entry
	.cfi_undefined %eip		/* the outermost frame */
	nop				/* looked at in place of what follows */
	movl	(%esp), %eax
	testl	%eax, %eax
	jz	1f
	call	*%eax
1:	movl	%esi, (%esp)
	call	*%ebx
	call	*%edi
	ud2
END tuck__arch_entry

/* edi: fn, esi: its argument, ebx: the frame to resume, fn's caller */
	.hidden	tuck__arch_interject
BEGIN tuck__arch_interject
	FRAME_AT %ebx
	nop
	movl	%esi, (%esp)
	call	*%edi
	movl	%eax, %edi
	movl	%ebx, %esi
	.cfi_def_cfa_register %esi
	HAS_SSE	%ebx
	movl	%esi, %edx
	movl	%edi, %eax
	RESUME
END tuck__arch_interject

	.section .note.GNU-stack,"",@progbits
