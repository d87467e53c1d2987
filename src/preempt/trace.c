/* SPDX-License-Identifier: MIT */
/*
 * What object files call that are compiled with -fsanitize-coverage=trace-pc:
 * each basic block is a tick.
 *
 * It is an ordinary call for the compiler, so a switch inside it is as any
 * other. Nothing in here may be compiled with that flag itself.
 */
#include "preempt/preempt.h"

static const uint64_t never;

/* So the first tick of a thread takes the long way. */
static struct tuck_ticks nobody = { 0, 1, &never };
static __thread struct tuck_ticks *ticks = &nobody;

static tuck__cold void count_slowly(void)
{
	ticks = tuck_ticks();
	if (!tuck__in_handler())
		tuck_tick(1);
}

void __sanitizer_cov_trace_pc(void);

void __sanitizer_cov_trace_pc(void)
{
	struct tuck_ticks *t = ticks;

	if (tuck__unlikely(!t))
		return;		/* an ifunc is resolved: before TLS is set */
	if (tuck__likely(t->seen == *t->switches && t->left > 1))
		t->left--;
	else
		count_slowly();
}
