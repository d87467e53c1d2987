/* SPDX-License-Identifier: MIT */
/*
 * threads.h of C11, whose objects are those of pthread.h in glibc, which calls
 * its own functions for them.
 */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t) &&
		       sizeof(cnd_t) == sizeof(pthread_cond_t) &&
		       sizeof(once_flag) == sizeof(pthread_once_t),
	       "objects of threads.h are those of pthread.h");

int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *m);
int __wrap_pthread_mutex_timedlock(pthread_mutex_t *m,
				   const struct timespec *until);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
				  const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);
int __wrap_pthread_once(pthread_once_t *once, void (*fn)(void));

int __wrap_mtx_lock(mtx_t *m);
int __wrap_mtx_trylock(mtx_t *m);
int __wrap_mtx_timedlock(mtx_t *m, const struct timespec *until);
int __wrap_mtx_unlock(mtx_t *m);
int __wrap_cnd_wait(cnd_t *c, mtx_t *m);
int __wrap_cnd_timedwait(cnd_t *c, mtx_t *m, const struct timespec *until);
int __wrap_cnd_signal(cnd_t *c);
int __wrap_cnd_broadcast(cnd_t *c);
void __wrap_call_once(once_flag *once, void (*fn)(void));

static int result(int err)
{
	switch (err) {
	case 0: return thrd_success;
	case EBUSY: return thrd_busy;
	case ETIMEDOUT: return thrd_timedout;
	case ENOMEM: return thrd_nomem;
	default: return thrd_error;
	}
}

static pthread_mutex_t *mutex(mtx_t *m)
{
	return (pthread_mutex_t *)m;
}

static pthread_cond_t *cond(cnd_t *c)
{
	return (pthread_cond_t *)c;
}

int __wrap_mtx_lock(mtx_t *m)
{
	return result(__wrap_pthread_mutex_lock(mutex(m)));
}

int __wrap_mtx_trylock(mtx_t *m)
{
	return result(__wrap_pthread_mutex_trylock(mutex(m)));
}

int __wrap_mtx_timedlock(mtx_t *m, const struct timespec *until)
{
	return result(__wrap_pthread_mutex_timedlock(mutex(m), until));
}

int __wrap_mtx_unlock(mtx_t *m)
{
	return result(__wrap_pthread_mutex_unlock(mutex(m)));
}

int __wrap_cnd_wait(cnd_t *c, mtx_t *m)
{
	return result(__wrap_pthread_cond_wait(cond(c), mutex(m)));
}

int __wrap_cnd_timedwait(cnd_t *c, mtx_t *m, const struct timespec *until)
{
	return result(__wrap_pthread_cond_timedwait(cond(c), mutex(m), until));
}

int __wrap_cnd_signal(cnd_t *c)
{
	return result(__wrap_pthread_cond_signal(cond(c)));
}

int __wrap_cnd_broadcast(cnd_t *c)
{
	return result(__wrap_pthread_cond_broadcast(cond(c)));
}

void __wrap_call_once(once_flag *once, void (*fn)(void))
{
	__wrap_pthread_once((pthread_once_t *)once, fn);
}
