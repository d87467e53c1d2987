/* SPDX-License-Identifier: MIT */
/*
 * Mutexes and once for tasklets that are pre-empted while they hold one: the
 * others of the same thread wait as tasklets, not as the thread.
 *
 * What the system takes for the thread's own, a recursive mutex and one that
 * checks errors, belongs to a tasklet here. Two tasklets of a thread would
 * both get a recursive one otherwise.
 */
#include <pthread.h>

#include "preempt/lot.h"

int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __real_pthread_mutex_trylock(pthread_mutex_t *m);
int __real_pthread_mutex_timedlock(pthread_mutex_t *m,
				   const struct timespec *until);
int __real_pthread_mutex_clocklock(pthread_mutex_t *m, clockid_t clock,
				   const struct timespec *until);
int __real_pthread_mutex_unlock(pthread_mutex_t *m);
int __real_pthread_once(pthread_once_t *once, void (*fn)(void));

int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *m);
int __wrap_pthread_mutex_timedlock(pthread_mutex_t *m,
				   const struct timespec *until);
int __wrap_pthread_mutex_clocklock(pthread_mutex_t *m, clockid_t clock,
				   const struct timespec *until);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_once(pthread_once_t *once, void (*fn)(void));

/* As glibc has it, in the low bits of the kind. */
static int type_of(const pthread_mutex_t *m)
{
	return m->__data.__kind & 3;
}

static bool has_owner(const pthread_mutex_t *m)
{
	return type_of(m) == PTHREAD_MUTEX_RECURSIVE ||
	       type_of(m) == PTHREAD_MUTEX_ERRORCHECK;
}

static int take(void *object)
{
	return __real_pthread_mutex_trylock(object);
}

static int take_owned(void *object)
{
	return tuck__lot_own(object, take,
			     type_of(object) == PTHREAD_MUTEX_RECURSIVE);
}

static int lock(pthread_mutex_t *m, tuck_ns deadline)
{
	return tuck__lot_acquire(m, has_owner(m) ? take_owned : take, deadline);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	if (!tuck__may_wait())
		return __real_pthread_mutex_lock(m);
	return lock(m, TUCK_FOREVER);
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *m)
{
	int r;

	if (!has_owner(m) || !tuck__may_wait())
		return take(m);
	r = take_owned(m);
	return r == EDEADLK ? EBUSY : r;
}

int __wrap_pthread_mutex_timedlock(pthread_mutex_t *m,
				   const struct timespec *until)
{
	if (!tuck__may_wait())
		return __real_pthread_mutex_timedlock(m, until);
	return lock(m, tuck__lot_deadline(CLOCK_REALTIME, until));
}

int __wrap_pthread_mutex_clocklock(pthread_mutex_t *m, clockid_t clock,
				   const struct timespec *until)
{
	if (!tuck__may_wait())
		return __real_pthread_mutex_clocklock(m, clock, until);
	return lock(m, tuck__lot_deadline(clock, until));
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
	int r = 0;

	if (has_owner(m) && tuck__may_wait())
		r = tuck__lot_disown(m);
	if (r == 0)
		r = __real_pthread_mutex_unlock(m);
	if (r == 0)
		tuck__lot_wake(m, false);
	return r;
}

/* -- once -- */

static int claim(void *once)
{
	return tuck__lot_own(once, NULL, false);
}

static void let_go(pthread_once_t **once)
{
	tuck__lot_disown(*once);
	tuck__lot_wake(*once, true);
}

/* It may be left by a kill. */
static int run_once(pthread_once_t *once, void (*fn)(void))
{
	pthread_once_t *claimed
		__attribute__((__cleanup__(let_go), __unused__)) = once;

	return __real_pthread_once(once, fn);
}

/* Who runs fn is known for that long, so the others can wait for it. */
int __wrap_pthread_once(pthread_once_t *once, void (*fn)(void))
{
	int r;

	if (!tuck__may_wait())
		return __real_pthread_once(once, fn);
	r = tuck__lot_acquire(once, claim, TUCK_FOREVER);
	return r ? r : run_once(once, fn);
}
