/* SPDX-License-Identifier: MIT */
/*
 * The sleep family, and sched_yield. A tasklet that was cancelled does not
 * sleep: ECANCELED, which POSIX does not know.
 */
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "hook/hook.h"

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

/* A signal interrupts a main tasklet's. */
int tuck__hook_rest(tuck_ns deadline)
{
	int r;

	if (!tuck__hook_interruptible())
		return tuck_sleep(deadline);
	r = tuck__hook_wait(NULL, 0, deadline);
	if (r == -ENOMEM)
		return tuck_sleep(deadline);
	return r == -ETIMEDOUT ? 0 : r;
}

static struct timespec left_until(tuck_ns deadline)
{
	tuck_ns left = deadline - tuck_now();

	if (left < 0)
		left = 0;
	return (struct timespec){ left / TUCK_SEC(1), left % TUCK_SEC(1) };
}

/* What is left is rounded up. */
unsigned __wrap_sleep(unsigned s)
{
	tuck_ns deadline = tuck_after(TUCK_SEC((tuck_ns)s));
	struct timespec left;

	if (!tuck__hook_on())
		return __real_sleep(s);
	if (tuck__hook_rest(deadline) == 0)
		return 0;
	left = left_until(deadline);
	return (unsigned)left.tv_sec + (left.tv_nsec > 0);
}

int __wrap_usleep(useconds_t us)
{
	if (!tuck__hook_on())
		return __real_usleep(us);
	return fail(tuck__hook_rest(tuck_after(TUCK_US((tuck_ns)us))));
}

int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
	tuck_ns deadline;
	int r;

	if (!tuck__hook_on() || !valid(t))
		return __real_nanosleep(t, left);
	deadline = tuck__hook_deadline(t);
	r = tuck__hook_rest(deadline);
	if (r < 0 && left)
		*left = left_until(deadline);
	return fail(r);
}

static tuck_ns deadline_on(clockid_t clock, const struct timespec *until)
{
	struct timespec now, left;

	clock_gettime(clock, &now);
	left = (struct timespec){ until->tv_sec - now.tv_sec,
				  until->tv_nsec - now.tv_nsec };
	return left.tv_sec < 0 ? 1 : tuck__hook_deadline(&left);
}

/* Clocks of CPU time, and those that a jump of the time of day would move. */
int __wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *t,
			   struct timespec *left)
{
	tuck_ns deadline;
	int r;

	if (!tuck__hook_on() || !valid(t) ||
	    (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC &&
	     clock != CLOCK_BOOTTIME && clock != CLOCK_TAI))
		return __real_clock_nanosleep(clock, flags, t, left);
	deadline = flags & TIMER_ABSTIME ? deadline_on(clock, t) :
					   tuck__hook_deadline(t);
	r = tuck__hook_rest(deadline);
	if (r < 0 && left && !(flags & TIMER_ABSTIME))
		*left = left_until(deadline);
	return -r;
}

/* Libc's own thrd_sleep has the clock of nanosleep(), and these results. */
int __wrap_thrd_sleep(const struct timespec *t, struct timespec *left)
{
	if (!tuck__hook_on())
		return __real_thrd_sleep(t, left);
	if (__wrap_nanosleep(t, left) == 0)
		return 0;
	return errno == EINTR ? -1 : -2;
}

/* Whoever spins until another one has done something may wait for a tasklet. */
int __wrap_sched_yield(void)
{
	if (tuck__hook_on())
		tuck_yield();
	return __real_sched_yield();
}
