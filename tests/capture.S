/* SPDX-License-Identifier: MIT */
/*
 * For test_arch: int capture(void *a, void *b), which calls captured() as
 * frame.inc says of CAPTURE, with its .cfi_ lines.
 */
#include "frame.inc"

	.text
	.hidden	capture
	.hidden	captured
	CAPTURE	capture, captured

	.section .note.GNU-stack,"",%progbits
