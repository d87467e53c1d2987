/* SPDX-License-Identifier: MIT */
/*
 * The sleep family, which no signal interrupts, and sched_yield. A tasklet
 * that was cancelled does not sleep: ECANCELED, which POSIX does not know.
 */
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "hook/hook.h"
#include "preempt/lot.h"

static bool valid(const struct timespec *t)
{
	return t && t->tv_sec >= 0 && t->tv_nsec >= 0 &&
	       t->tv_nsec < TUCK_SEC(1);
}

static int fail(int r)
{
	if (r == 0)
		return 0;
	errno = -r;
	return -1;
}

unsigned __wrap_sleep(unsigned s)
{
	if (!tuck__hook_on())
		return __real_sleep(s);
	return tuck_sleep(tuck_after(TUCK_SEC((tuck_ns)s))) == 0 ? 0 : s;
}

int __wrap_usleep(useconds_t us)
{
	if (!tuck__hook_on())
		return __real_usleep(us);
	return fail(tuck_sleep(tuck_after(TUCK_US((tuck_ns)us))));
}

int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
	if (!tuck__hook_on() || !valid(t))
		return __real_nanosleep(t, left);
	return fail(tuck_sleep(tuck__hook_deadline(t)));
}

/* Clocks of CPU time, and those that a jump of the time of day would move. */
int __wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *t,
			   struct timespec *left)
{
	tuck_ns deadline;

	if (!tuck__hook_on() || !valid(t) ||
	    (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC &&
	     clock != CLOCK_BOOTTIME && clock != CLOCK_TAI))
		return __real_clock_nanosleep(clock, flags, t, left);
	deadline = flags & TIMER_ABSTIME ? tuck__lot_deadline(clock, t) :
					   tuck__hook_deadline(t);
	return -tuck_sleep(deadline);
}

/* Whoever spins until another one has done something may wait for a tasklet. */
int __wrap_sched_yield(void)
{
	if (tuck__hook_on())
		tuck_yield();
	return __real_sched_yield();
}
