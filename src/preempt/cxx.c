/* SPDX-License-Identifier: MIT */
/*
 * What a C++ compiler and libstdc++'s headers leave to libstdc++ itself, which
 * is linked elsewhere: the guards of static locals, and the parts of
 * std::condition_variable that are not inline. Its names and the layout of
 * what they are given are a frozen ABI.
 */
#include <pthread.h>

#include "preempt/lot.h"

/* std::unique_lock<std::mutex> */
struct unique_lock {
	pthread_mutex_t *mutex;
	bool owns;
};

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);

int __real___cxa_guard_acquire(void *guard);
void __real___cxa_guard_release(void *guard);
void __real___cxa_guard_abort(void *guard);

int __wrap___cxa_guard_acquire(void *guard);
void __wrap___cxa_guard_release(void *guard);
void __wrap___cxa_guard_abort(void *guard);

/* std::condition_variable's wait(unique_lock &), notify_one(), notify_all() */
void __wrap__ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE(
	pthread_cond_t *c, struct unique_lock *l);
void __wrap__ZNSt18condition_variable10notify_oneEv(pthread_cond_t *c);
void __wrap__ZNSt18condition_variable10notify_allEv(pthread_cond_t *c);

void __wrap__ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE(
	pthread_cond_t *c, struct unique_lock *l)
{
	__wrap_pthread_cond_wait(c, l->mutex);
}

void __wrap__ZNSt18condition_variable10notify_oneEv(pthread_cond_t *c)
{
	__wrap_pthread_cond_signal(c);
}

void __wrap__ZNSt18condition_variable10notify_allEv(pthread_cond_t *c)
{
	__wrap_pthread_cond_broadcast(c);
}

/* -- static locals -- */

static int claim(void *guard)
{
	return tuck__lot_own(guard, NULL, false);
}

static void let_go(void *guard)
{
	if (!tuck__may_wait())
		return;
	tuck__lot_disown(guard);
	tuck__lot_wake(guard, true);
}

/* Who initialises is known, so others wait; one that does it already fails. */
int __wrap___cxa_guard_acquire(void *guard)
{
	int r;

	if (!tuck__may_wait() ||
	    tuck__lot_acquire(guard, claim, TUCK_FOREVER) != 0)
		return __real___cxa_guard_acquire(guard);
	r = __real___cxa_guard_acquire(guard);
	if (r == 0)
		let_go(guard);
	return r;
}

void __wrap___cxa_guard_release(void *guard)
{
	__real___cxa_guard_release(guard);
	let_go(guard);
}

void __wrap___cxa_guard_abort(void *guard)
{
	__real___cxa_guard_abort(guard);
	let_go(guard);
}
