/* SPDX-License-Identifier: MIT */
/*
 * The calls of ucontext.h that keep the point where they are called. They are
 * here and not in C, because a point may be resumed more than once: its
 * registers must be those of the caller, and no frame may lie in between.
 */
#include "frame.inc"

	.text

CAPTURE tuck_getcontext, tuck__getcontext_at
CAPTURE tuck_swapcontext, tuck__swapcontext_at
CAPTURE tuck_posix_getcontext, tuck__posix_getcontext_at
CAPTURE tuck_posix_swapcontext, tuck__posix_swapcontext_at

	.section .note.GNU-stack,"",%progbits
