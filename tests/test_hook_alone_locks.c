/* SPDX-License-Identifier: MIT */
/* The locks of pthread.h, semaphore.h and threads.h: each waits alone. */
#include <pthread.h>
#include <semaphore.h>
#include <threads.h>
#include <time.h>

#include "alone.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static mtx_t mtx;
static cnd_t cnd;

static void lock(void)
{
	CHECK_EQ(pthread_mutex_lock(&mutex), 0);
}

static void unlock(void)
{
	CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
}

static void by_lock(void)
{
	lock();
	unlock();
}

static void by_timedlock(void)
{
	struct timespec t = late(CLOCK_REALTIME);

	CHECK_EQ(pthread_mutex_timedlock(&mutex, &t), 0);
	unlock();
}

static void by_clocklock(void)
{
	struct timespec t = late(CLOCK_MONOTONIC);

	CHECK_EQ(pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &t), 0);
	unlock();
}

static void lock_mtx(void)
{
	CHECK_EQ(mtx_init(&mtx, mtx_timed), thrd_success);
	CHECK_EQ(mtx_lock(&mtx), thrd_success);
}

static void unlock_mtx(void)
{
	CHECK_EQ(mtx_unlock(&mtx), thrd_success);
}

static void by_mtx_lock(void)
{
	CHECK_EQ(mtx_lock(&mtx), thrd_success);
	unlock_mtx();
}

static void by_mtx_timedlock(void)
{
	struct timespec t = late(CLOCK_REALTIME);

	CHECK_EQ(mtx_timedlock(&mtx, &t), thrd_success);
	unlock_mtx();
}

static void wrlock(void)
{
	CHECK_EQ(pthread_rwlock_wrlock(&rwlock), 0);
}

static void rwunlock(void)
{
	CHECK_EQ(pthread_rwlock_unlock(&rwlock), 0);
}

static void by_wrlock(void)
{
	wrlock();
	rwunlock();
}

static void by_rdlock(void)
{
	CHECK_EQ(pthread_rwlock_rdlock(&rwlock), 0);
	rwunlock();
}

static void by_timedrdlock(void)
{
	struct timespec t = late(CLOCK_REALTIME);

	CHECK_EQ(pthread_rwlock_timedrdlock(&rwlock, &t), 0);
	rwunlock();
}

static void by_timedwrlock(void)
{
	struct timespec t = late(CLOCK_REALTIME);

	CHECK_EQ(pthread_rwlock_timedwrlock(&rwlock, &t), 0);
	rwunlock();
}

static void by_clockrdlock(void)
{
	struct timespec t = late(CLOCK_MONOTONIC);

	CHECK_EQ(pthread_rwlock_clockrdlock(&rwlock, CLOCK_MONOTONIC, &t), 0);
	rwunlock();
}

static void by_clockwrlock(void)
{
	struct timespec t = late(CLOCK_MONOTONIC);

	CHECK_EQ(pthread_rwlock_clockwrlock(&rwlock, CLOCK_MONOTONIC, &t), 0);
	rwunlock();
}

HOOKED_TEST(locks)
{
	static const struct call calls[] = {
		{ "pthread_mutex_timedlock", lock, by_timedlock, unlock },
		{ "pthread_mutex_clocklock", lock, by_clocklock, unlock },
		{ "pthread_mutex_lock", lock, by_lock, unlock },
		{ "mtx_timedlock", lock_mtx, by_mtx_timedlock, unlock_mtx },
		{ "mtx_lock", lock_mtx, by_mtx_lock, unlock_mtx },
		{ "timedrdlock", wrlock, by_timedrdlock, rwunlock },
		{ "timedwrlock", wrlock, by_timedwrlock, rwunlock },
		{ "clockrdlock", wrlock, by_clockrdlock, rwunlock },
		{ "clockwrlock", wrlock, by_clockwrlock, rwunlock },
		{ "pthread_rwlock_rdlock", wrlock, by_rdlock, rwunlock },
		{ "pthread_rwlock_wrlock", wrlock, by_wrlock, rwunlock },
	};

	CHECK_ALONE(calls);
}

static void new_sem(void)
{
	CHECK_EQ(sem_init(&sem, 0, 0), 0);
}

static void post(void)
{
	CHECK_EQ(sem_post(&sem), 0);
}

static void by_sem_wait(void)
{
	CHECK_EQ(sem_wait(&sem), 0);
}

static void by_sem_timedwait(void)
{
	struct timespec t = late(CLOCK_REALTIME);

	CHECK_EQ(sem_timedwait(&sem, &t), 0);
}

static void by_sem_clockwait(void)
{
	struct timespec t = late(CLOCK_MONOTONIC);

	CHECK_EQ(sem_clockwait(&sem, CLOCK_MONOTONIC, &t), 0);
}

HOOKED_TEST(semaphores)
{
	static const struct call calls[] = {
		{ "sem_timedwait", new_sem, by_sem_timedwait, post },
		{ "sem_clockwait", new_sem, by_sem_clockwait, post },
		{ "sem_wait", new_sem, by_sem_wait, post },
	};

	CHECK_ALONE(calls);
}

static void notify(void)
{
	lock();
	CHECK_EQ(pthread_cond_signal(&cond), 0);
	unlock();
}

static void by_cond_wait(void)
{
	lock();
	CHECK_EQ(pthread_cond_wait(&cond, &mutex), 0);
	unlock();
}

static void by_cond_timedwait(void)
{
	struct timespec t = late(CLOCK_REALTIME);

	lock();
	CHECK_EQ(pthread_cond_timedwait(&cond, &mutex, &t), 0);
	unlock();
}

static void by_cond_clockwait(void)
{
	struct timespec t = late(CLOCK_MONOTONIC);

	lock();
	CHECK_EQ(pthread_cond_clockwait(&cond, &mutex, CLOCK_MONOTONIC, &t), 0);
	unlock();
}

static void new_cnd(void)
{
	CHECK_EQ(mtx_init(&mtx, mtx_timed), thrd_success);
	CHECK_EQ(cnd_init(&cnd), thrd_success);
}

static void notify_cnd(void)
{
	CHECK_EQ(mtx_lock(&mtx), thrd_success);
	CHECK_EQ(cnd_broadcast(&cnd), thrd_success);
	unlock_mtx();
}

static void by_cnd_wait(void)
{
	CHECK_EQ(mtx_lock(&mtx), thrd_success);
	CHECK_EQ(cnd_wait(&cnd, &mtx), thrd_success);
	unlock_mtx();
}

static void by_cnd_timedwait(void)
{
	struct timespec t = late(CLOCK_REALTIME);

	CHECK_EQ(mtx_lock(&mtx), thrd_success);
	CHECK_EQ(cnd_timedwait(&cnd, &mtx, &t), thrd_success);
	unlock_mtx();
}

HOOKED_TEST(conditions)
{
	static const struct call calls[] = {
		{ "pthread_cond_timedwait", NULL, by_cond_timedwait, notify },
		{ "pthread_cond_clockwait", NULL, by_cond_clockwait, notify },
		{ "pthread_cond_wait", NULL, by_cond_wait, notify },
		{ "cnd_timedwait", new_cnd, by_cnd_timedwait, notify_cnd },
		{ "cnd_wait", new_cnd, by_cnd_wait, notify_cnd },
	};

	CHECK_ALONE(calls);
}
