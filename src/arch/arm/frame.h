/* SPDX-License-Identifier: MIT */
/*
 * What a suspended context of 32-bit ARM (AAPCS, hard-float) leaves on its
 * stack, from its stack pointer up, and how it is laid there and taken:
 *
 *	+0	d8 to d15
 *	+64	r4 to r11
 *	+96	FPSCR
 *	+100	return address, odd if it is Thumb code
 *
 * All other registers are the caller's to save across a call. This is
 * assembled as the compiler's code is, for ARM or for Thumb, so that calls
 * and jumps between the two need no veneer; entries may be of either kind.
 *
 * Two sorts of unwind tables: DWARF's for debuggers, and those of ARM's EHABI,
 * one rule for a whole function, for exceptions and backtrace().
 */
#ifndef __ARM_PCS_VFP
#error "this port is for the hard-float ABI, whose d8 to d15 a call preserves"
#endif

	.syntax	unified
#ifdef __thumb__
	.thumb
#else
	.arm
#endif
	.fpu	vfpv3-d16

	.macro	FUNCTION name
	.globl	\name
	.type	\name, %function
	.p2align 2
\name:
	.fnstart
	.cfi_startproc
	.endm

	.macro	END name
	.cfi_endproc
	.fnend
	.size	\name, . - \name
	.endm

	/* Unwinders look before a return address: let them find nothing. */
	.macro	GAP
	.fnstart
	.cantunwind
	nop
	.fnend
	.endm

	/* Where the registers of the frame at reg are, for debuggers. */
	.macro	FRAME_AT reg
	.cfi_def_cfa \reg, 104
	.cfi_offset lr, -4
	.cfi_offset r11, -12
	.cfi_offset r10, -16
	.cfi_offset r9, -20
	.cfi_offset r8, -24
	.cfi_offset r7, -28
	.cfi_offset r6, -32
	.cfi_offset r5, -36
	.cfi_offset r4, -40
	.cfi_offset d15, -48
	.cfi_offset d14, -56
	.cfi_offset d13, -64
	.cfi_offset d12, -72
	.cfi_offset d11, -80
	.cfi_offset d10, -88
	.cfi_offset d9, -96
	.cfi_offset d8, -104
	.endm

	/* The same for EHABI: the frame is at sp, or where .setfp says. */
	.macro	FRAME_SAVED
	.save	{r4-r11, ip, lr}
	.vsave	{d8-d15}
	.endm

	.macro	SAVE
	vmrs	ip, fpscr
	push	{r4-r11, ip, lr}
	.cfi_adjust_cfa_offset 40
	vpush	{d8-d15}
	FRAME_AT sp
	FRAME_SAVED
	.endm

	/*
	 * Take the frame at r1; r0 stays. The debugger's view is that of the
	 * frame that is being taken.
	 */
	.macro	RESUME
	FRAME_AT r1
	vldmia	r1!, {d8-d15}
	.cfi_def_cfa_offset 40
	ldmia	r1!, {r4-r11, ip, lr}
	.cfi_def_cfa_offset 0
	mov	sp, r1
	vmsr	fpscr, ip
	bx	lr
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
	mov	r2, sp
	bl	\fn
	mov	r1, sp
	RESUME
	END \name
	.endm
