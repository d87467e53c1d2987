/* SPDX-License-Identifier: MIT */
/*
 * Conditions for tasklets: they wait in the parking lot, ordinary threads in
 * the condition. A signal is for the first tasklet, or else for a thread; a
 * broadcast for all. Other processes do not see the lot: of a condition that is
 * shared with some, a tasklet is woken every TUCK__LOT_POLL to look for itself.
 */
#include <pthread.h>
#include <stddef.h>

#include "preempt/lot.h"

int __real_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __real_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
				  const struct timespec *until);
int __real_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m,
				  clockid_t clock,
				  const struct timespec *until);
int __real_pthread_cond_signal(pthread_cond_t *c);
int __real_pthread_cond_broadcast(pthread_cond_t *c);

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
				  const struct timespec *until);
int __wrap_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m,
				  clockid_t clock,
				  const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);

int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);

struct waiting {
	pthread_cond_t *cond;
	struct tuck__parked *parked;
};

/* A signal that came in vain goes to a thread, when no tasklet waits. */
static void leave(struct waiting *w)
{
	if (w->parked && !tuck__lot_leave(w->parked))
		__real_pthread_cond_signal(w->cond);
}

/* Without memory to own it, it must try on: nobody expects to be without it. */
static int relock(pthread_mutex_t **m)
{
	int r;

	while ((r = __wrap_pthread_mutex_lock(*m)) == EAGAIN)
		if (tuck__lot_sleep(tuck_after(TUCK_MS(1))) < 0)
			tuck_yield();
	*m = NULL;
	return r;
}

/* Also when it is left by a kill, before cleanups run. */
static void lock_again(pthread_mutex_t **m)
{
	if (*m)
		relock(m);
}

static int result(int r)
{
	if (r == -ETIMEDOUT)
		return ETIMEDOUT;
	if (r == -EDEADLK)
		return EDEADLK;
	if (r != 0)
		tuck_yield();
	return 0;
}

/* What pthread_condattr_setpshared() said, where libc is known to keep it. */
static bool is_shared(const pthread_cond_t *c)
{
#ifdef __GLIBC__
	return c->__data.__wrefs & 1;
#else
	(void)c;
	return false;
#endif
}

static tuck__noinline int park(const pthread_cond_t *c, struct tuck__parked *p,
			       tuck_ns deadline)
{
	tuck_ns soon = is_shared(c) ? tuck_after(TUCK__LOT_POLL) : TUCK_FOREVER;
	int r;

	if (soon >= deadline)
		return tuck__lot_wait(p, deadline);
	r = tuck__lot_wait(p, soon);
	return r == -ETIMEDOUT ? 0 : r;
}

/*
 * The mutex is unlocked once this tasklet is in the lot, so no signal is lost.
 * Without memory, and for one whose group is late, it is a wake-up without a
 * signal, which POSIX allows. A robust mutex may have lost its owner meanwhile.
 */
static int wait_until(pthread_cond_t *c, pthread_mutex_t *m, tuck_ns deadline)
{
	pthread_mutex_t *locked __attribute__((__cleanup__(lock_again))) = NULL;
	struct waiting w __attribute__((__cleanup__(leave))) = { c, NULL };
	int r, err;

	if (deadline < 0)
		return EINVAL;
	w.parked = tuck__lot_enter(c);
	r = __wrap_pthread_mutex_unlock(m);
	if (r != 0)
		return r;
	locked = m;
	r = w.parked ? park(c, w.parked, deadline) : -ENOMEM;
	r = result(r);
	err = relock(&locked);
	return err ? err : r;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	if (!tuck__may_wait())
		return __real_pthread_cond_wait(c, m);
	return wait_until(c, m, TUCK_FOREVER);
}

/* As glibc keeps what pthread_condattr_setclock() said. */
static clockid_t clock_of(const pthread_cond_t *c)
{
	return c->__data.__wrefs & 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
				  const struct timespec *until)
{
	if (!tuck__may_wait())
		return __real_pthread_cond_timedwait(c, m, until);
	return wait_until(c, m, tuck__lot_deadline(clock_of(c), until));
}

int __wrap_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m,
				  clockid_t clock, const struct timespec *until)
{
	if (!tuck__may_wait())
		return __real_pthread_cond_clockwait(c, m, clock, until);
	return wait_until(c, m, tuck__lot_deadline(clock, until));
}

int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
	return tuck__lot_wake(c, false) ? 0 : __real_pthread_cond_signal(c);
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
	tuck__lot_wake(c, true);
	return __real_pthread_cond_broadcast(c);
}
