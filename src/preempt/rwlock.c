/* SPDX-License-Identifier: MIT */
/*
 * Rwlocks, spin locks and semaphores for tasklets. A semaphore that is posted
 * in a signal handler is seen by those who wait when they look again, within
 * 10 ms.
 */
#include <pthread.h>
#include <semaphore.h>

#include "preempt/lot.h"

int __real_pthread_rwlock_rdlock(pthread_rwlock_t *l);
int __real_pthread_rwlock_wrlock(pthread_rwlock_t *l);
int __real_pthread_rwlock_timedrdlock(pthread_rwlock_t *l,
				      const struct timespec *until);
int __real_pthread_rwlock_clockrdlock(pthread_rwlock_t *l, clockid_t clock,
				      const struct timespec *until);
int __real_pthread_rwlock_timedwrlock(pthread_rwlock_t *l,
				      const struct timespec *until);
int __real_pthread_rwlock_clockwrlock(pthread_rwlock_t *l, clockid_t clock,
				      const struct timespec *until);
int __real_pthread_rwlock_unlock(pthread_rwlock_t *l);
int __real_pthread_spin_lock(pthread_spinlock_t *l);
int __real_pthread_spin_unlock(pthread_spinlock_t *l);
int __real_sem_wait(sem_t *s);
int __real_sem_timedwait(sem_t *s, const struct timespec *until);
int __real_sem_clockwait(sem_t *s, clockid_t clock,
			 const struct timespec *until);
int __real_sem_post(sem_t *s);

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *l);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *l);
int __wrap_pthread_rwlock_timedrdlock(pthread_rwlock_t *l,
				      const struct timespec *until);
int __wrap_pthread_rwlock_timedwrlock(pthread_rwlock_t *l,
				      const struct timespec *until);
int __wrap_pthread_rwlock_clockrdlock(pthread_rwlock_t *l, clockid_t clock,
				      const struct timespec *until);
int __wrap_pthread_rwlock_clockwrlock(pthread_rwlock_t *l, clockid_t clock,
				      const struct timespec *until);
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *l);
int __wrap_pthread_spin_lock(pthread_spinlock_t *l);
int __wrap_pthread_spin_unlock(pthread_spinlock_t *l);
int __wrap_sem_wait(sem_t *s);
int __wrap_sem_timedwait(sem_t *s, const struct timespec *until);
int __wrap_sem_clockwait(sem_t *s, clockid_t clock,
			 const struct timespec *until);
int __wrap_sem_post(sem_t *s);

static int take_to_read(void *lock)
{
	return pthread_rwlock_tryrdlock(lock);
}

static int take_to_write(void *lock)
{
	return pthread_rwlock_trywrlock(lock);
}

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *l)
{
	if (!tuck__may_wait())
		return __real_pthread_rwlock_rdlock(l);
	return tuck__lot_acquire(l, take_to_read, TUCK_FOREVER);
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *l)
{
	if (!tuck__may_wait())
		return __real_pthread_rwlock_wrlock(l);
	return tuck__lot_acquire(l, take_to_write, TUCK_FOREVER);
}

int __wrap_pthread_rwlock_clockrdlock(pthread_rwlock_t *l, clockid_t clock,
				      const struct timespec *until)
{
	if (!tuck__may_wait())
		return __real_pthread_rwlock_clockrdlock(l, clock, until);
	return tuck__lot_acquire(l, take_to_read,
				 tuck__lot_deadline(clock, until));
}

int __wrap_pthread_rwlock_clockwrlock(pthread_rwlock_t *l, clockid_t clock,
				      const struct timespec *until)
{
	if (!tuck__may_wait())
		return __real_pthread_rwlock_clockwrlock(l, clock, until);
	return tuck__lot_acquire(l, take_to_write,
				 tuck__lot_deadline(clock, until));
}

int __wrap_pthread_rwlock_timedrdlock(pthread_rwlock_t *l,
				      const struct timespec *until)
{
	if (!tuck__may_wait())
		return __real_pthread_rwlock_timedrdlock(l, until);
	return tuck__lot_acquire(l, take_to_read,
				 tuck__lot_deadline(CLOCK_REALTIME, until));
}

int __wrap_pthread_rwlock_timedwrlock(pthread_rwlock_t *l,
				      const struct timespec *until)
{
	if (!tuck__may_wait())
		return __real_pthread_rwlock_timedwrlock(l, until);
	return tuck__lot_acquire(l, take_to_write,
				 tuck__lot_deadline(CLOCK_REALTIME, until));
}

int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *l)
{
	int r = __real_pthread_rwlock_unlock(l);

	if (r == 0)
		tuck__lot_wake(l, true);
	return r;
}

/* -- spin lock -- */

static int take_spin_lock(void *lock)
{
	return pthread_spin_trylock(lock);
}

int __wrap_pthread_spin_lock(pthread_spinlock_t *l)
{
	if (!tuck__may_wait())
		return __real_pthread_spin_lock(l);
	return tuck__lot_acquire((void *)(uintptr_t)l, take_spin_lock,
				 TUCK_FOREVER);
}

int __wrap_pthread_spin_unlock(pthread_spinlock_t *l)
{
	int r = __real_pthread_spin_unlock(l);

	tuck__lot_wake((void *)(uintptr_t)l, false);
	return r;
}

/* -- semaphore -- */

static int take_one(void *sem)
{
	if (sem_trywait(sem) == 0)
		return 0;
	return errno == EAGAIN ? EBUSY : errno;
}

static int wait_until(sem_t *s, tuck_ns deadline)
{
	int r = tuck__lot_acquire(s, take_one, deadline);

	if (r == 0)
		return 0;
	errno = r;
	return -1;
}

int __wrap_sem_wait(sem_t *s)
{
	if (!tuck__may_wait())
		return __real_sem_wait(s);
	return wait_until(s, TUCK_FOREVER);
}

int __wrap_sem_clockwait(sem_t *s, clockid_t clock,
			 const struct timespec *until)
{
	if (!tuck__may_wait())
		return __real_sem_clockwait(s, clock, until);
	return wait_until(s, tuck__lot_deadline(clock, until));
}

int __wrap_sem_timedwait(sem_t *s, const struct timespec *until)
{
	if (!tuck__may_wait())
		return __real_sem_timedwait(s, until);
	return wait_until(s, tuck__lot_deadline(CLOCK_REALTIME, until));
}

int __wrap_sem_post(sem_t *s)
{
	int r = __real_sem_post(s);

	if (r == 0 && !tuck__handling())
		tuck__lot_wake(s, false);
	return r;
}
