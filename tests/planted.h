/* SPDX-License-Identifier: MIT */
/* What tests with planted bugs have in common, for AddressSanitizer. */
#ifndef PLANTED_H
#define PLANTED_H

#include <stdlib.h>
#include <string.h>

#include "base/sanitize.h"
#include "check.h"

/* So that no compiler, and no check of array bounds, sees the bug. */
static inline char *opaque(char *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

static inline void needs_asan(void)
{
	if (!TUCK__ASAN)
		SKIP("not built with AddressSanitizer");
}

/* Else locals are not on the stack, and LeakSanitizer does not see them. */
static inline void needs_real_stack(void)
{
	const char *options = getenv("ASAN_OPTIONS");

	needs_asan();
	if (options && strstr(options, "detect_stack_use_after_return=1"))
		SKIP("locals are on a fake stack");
}

#endif
