/* SPDX-License-Identifier: MIT */
/*
 * Joining an ordinary thread. The end of one is told to nobody but by a futex
 * of libc's own, so it is looked for, less and less often up to every 10 ms.
 */
#include <pthread.h>

#include "hook/hook.h"
#include "preempt/lot.h"

#define FIRST	TUCK_US(100)
#define MOST	TUCK_MS(10)

static int join_until(pthread_t thread, void **ret, tuck_ns deadline)
{
	tuck_ns step = FIRST, at;
	int r;

	while ((r = pthread_tryjoin_np(thread, ret)) == EBUSY) {
		if (deadline < 0)
			return EINVAL;
		at = tuck_after(step);
		if (tuck_now() >= deadline)
			return ETIMEDOUT;
		r = tuck__lot_sleep(at < deadline ? at : deadline);
		if (r < 0)
			tuck_yield();	/* it must go on: POSIX has no way */
		step = step < MOST ? 2 * step : MOST;
	}
	return r;
}

/* Itself it cannot join, as libc says. */
static bool may_wait_for(pthread_t thread)
{
	return tuck__hook_on() && !pthread_equal(thread, pthread_self());
}

int __wrap_pthread_join(pthread_t thread, void **ret)
{
	if (!may_wait_for(thread))
		return __real_pthread_join(thread, ret);
	return join_until(thread, ret, TUCK_FOREVER);
}

int __wrap_pthread_timedjoin_np(pthread_t thread, void **ret,
				const struct timespec *until)
{
	if (!may_wait_for(thread) || !until)
		return __real_pthread_timedjoin_np(thread, ret, until);
	return join_until(thread, ret,
			  tuck__lot_deadline(CLOCK_REALTIME, until));
}

int __wrap_pthread_clockjoin_np(pthread_t thread, void **ret, clockid_t clock,
				const struct timespec *until)
{
	if (!may_wait_for(thread) || !until)
		return __real_pthread_clockjoin_np(thread, ret, clock, until);
	return join_until(thread, ret, tuck__lot_deadline(clock, until));
}
