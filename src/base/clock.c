/* SPDX-License-Identifier: MIT */
/* The one clock that deadlines are on. */
#include <time.h>
#include <tuck/base.h>

tuck_ns tuck_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return TUCK_SEC(t.tv_sec) + t.tv_nsec;
}

tuck_ns tuck_after(tuck_ns from_now)
{
	tuck_ns now = tuck_now(), at;

	if (__builtin_add_overflow(now, from_now, &at))
		return TUCK_FOREVER;
	return at > TUCK_NOWAIT ? at : 1;
}
