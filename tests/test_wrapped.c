/* SPDX-License-Identifier: MIT */
/*
 * More of what is wrapped: wrong times, other clocks, threads.h, and what is
 * passed on between tasklets and threads.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <threads.h>
#include <tuck.h>
#include <unistd.h>

#include "preempt/locks.h"
#include "trace.h"

#define FAR_PAST INT64_MIN

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER,
		       own = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static sem_t sem;

static void in_tasklet(void (*fn)(void *), void *arg)
{
	CHECK_EQ(tuck_join(go(fn, arg), TUCK_FOREVER), 0);
}

/* Each must wait. */
static int waits[6];

static void wait_for_all(void *until)
{
	const struct timespec *t = until;

	waits[0] = pthread_mutex_timedlock(&m, t);
	waits[1] = pthread_rwlock_timedrdlock(&rw, t);
	waits[2] = pthread_rwlock_timedwrlock(&rw, t);
	waits[3] = pthread_rwlock_clockrdlock(&rw, CLOCK_MONOTONIC, t);
	waits[4] = pthread_rwlock_clockwrlock(&rw, CLOCK_MONOTONIC, t);
	CHECK_EQ(pthread_mutex_lock(&own), 0);
	waits[5] = pthread_cond_timedwait(&cond, &own, t);
	CHECK_EQ(pthread_mutex_trylock(&own), EBUSY);
	CHECK_EQ(pthread_mutex_unlock(&own), 0);
}

static void check_waits(struct timespec until, int result)
{
	in_tasklet(wait_for_all, &until);
	for (int i = 0; i < 6; i++)
		CHECK_EQ(waits[i], result);
}

TEST(times_that_are_none)
{
	struct timespec over = { 0, 1000000000 }, under = { 0, -1 };
	struct timespec past = { (time_t)FAR_PAST, 0 };

	CHECK(tuck_self() > 0);
	CHECK_EQ(pthread_mutex_lock(&m), 0);
	CHECK_EQ(pthread_rwlock_wrlock(&rw), 0);
	check_waits(over, EINVAL);
	check_waits(under, EINVAL);
	check_waits(past, ETIMEDOUT);
	CHECK_EQ(pthread_mutex_clocklock(&m, 12345, &past), EINVAL);
	CHECK_EQ(pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &past),
		 ETIMEDOUT);
	CHECK_EQ(sem_init(&sem, 0, 0), 0);
	CHECK_EQ(sem_timedwait(&sem, &over), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(sem_clockwait(&sem, CLOCK_MONOTONIC, &past), -1);
	CHECK_EQ(errno, ETIMEDOUT);
}

/* -- threads.h -- */

static mtx_t c11_mutex;
static cnd_t c11_cond;
static int ready;

static void c11_consume(void *name)
{
	CHECK_EQ(mtx_lock(&c11_mutex), thrd_success);
	while (!ready)
		CHECK_EQ(cnd_wait(&c11_cond, &c11_mutex), thrd_success);
	ready--;
	letter(name);
	CHECK_EQ(mtx_unlock(&c11_mutex), thrd_success);
}

static void c11_busy(void *arg)
{
	struct timespec t = { 0, 0 };

	(void)arg;
	CHECK_EQ(mtx_trylock(&c11_mutex), thrd_busy);
	CHECK_EQ(mtx_timedlock(&c11_mutex, &t), thrd_timedout);
	CHECK_EQ(mtx_unlock(&c11_mutex), thrd_error);
}

TEST(threads_of_c11)
{
	struct timespec t = { 0, 0 };

	needs_fifo();
	CHECK_EQ(mtx_init(&c11_mutex, mtx_recursive | mtx_timed), thrd_success);
	CHECK_EQ(cnd_init(&c11_cond), thrd_success);
	go(c11_consume, (void *)(uintptr_t) "a");
	go(c11_consume, (void *)(uintptr_t) "b");
	go(c11_consume, (void *)(uintptr_t) "c");
	CHECK_EQ(tuck_run(0), 0);
	CHECK_EQ(mtx_lock(&c11_mutex), thrd_success);
	CHECK_EQ(mtx_lock(&c11_mutex), thrd_success);
	ready = 3;
	CHECK_EQ(cnd_signal(&c11_cond), thrd_success);
	in_tasklet(c11_busy, NULL);
	CHECK_TRACE("");
	CHECK_EQ(mtx_unlock(&c11_mutex), thrd_success);
	CHECK_EQ(cnd_timedwait(&c11_cond, &c11_mutex, &t), thrd_timedout);
	CHECK_EQ(mtx_unlock(&c11_mutex), thrd_success);
	CHECK_EQ(tuck_run(0), 0);
	CHECK_TRACE("a");
	CHECK_EQ(cnd_broadcast(&c11_cond), thrd_success);
	CHECK_EQ(tuck_run(0), 0);
	CHECK_TRACE("bc");
}

static void c11_once(void *done)
{
	static once_flag flag = ONCE_FLAG_INIT;

	call_once(&flag, slow_once);
	CHECK_EQ(once_runs, 1);
	++*(int *)done;
}

TEST(call_once_is_pre_empted)
{
	int done = 0;

	CHECK_EQ(tuck_quantum_set(100), 0);
	for (int i = 0; i < 5; i++)
		go(c11_once, &done);
	while (done < 5)
		tuck_yield();
}

/* -- a signal that a tasklet was given, but did not live to see -- */

static int woken;

static void *wait_as_thread(void *began)
{
	CHECK_EQ(pthread_mutex_lock(&m), 0);
	*(int *)began = 1;
	while (!ready)
		CHECK_EQ(pthread_cond_wait(&cond, &m), 0);
	woken = 1;
	CHECK_EQ(pthread_mutex_unlock(&m), 0);
	return NULL;
}

static int under_mutex(const int *what)
{
	int value;

	CHECK_EQ(pthread_mutex_lock(&m), 0);
	value = *what;
	CHECK_EQ(pthread_mutex_unlock(&m), 0);
	return value;
}

static void unlock(void *mutex)
{
	CHECK_EQ(pthread_mutex_unlock(mutex), 0);
}

static void wait_as_tasklet(void *arg)
{
	(void)arg;
	CHECK_EQ(pthread_mutex_lock(&m), 0);
	CHECK_EQ(tuck_defer(unlock, &m), 0);
	pthread_cond_wait(&cond, &m);
	mark('!');
}

TEST(signal_of_one_that_is_killed_goes_to_a_thread)
{
	pthread_t thread;
	int began = 0;
	tuck_id id;

	CHECK_EQ(pthread_create(&thread, NULL, wait_as_thread, &began), 0);
	while (!under_mutex(&began))
		tuck_sleep(tuck_after(TUCK_MS(1)));
	id = go(wait_as_tasklet, NULL);
	CHECK_EQ(tuck_run(0), 0);
	CHECK_EQ(pthread_mutex_lock(&m), 0);
	ready = 1;
	CHECK_EQ(pthread_mutex_unlock(&m), 0);
	CHECK_EQ(pthread_cond_signal(&cond), 0);
	CHECK_EQ(tuck_kill(id), 0);
	while (!under_mutex(&woken))
		tuck_sleep(tuck_after(TUCK_MS(1)));
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_TRACE("");
}

/* -- a robust mutex whose thread has ended with it -- */

static pthread_mutex_t robust;

static void make_robust(int type)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, type);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	CHECK_EQ(pthread_mutex_init(&robust, &attr), 0);
	pthread_mutexattr_destroy(&attr);
}

static void *end_with_it(void *arg)
{
	(void)arg;
	CHECK_EQ(pthread_mutex_lock(&robust), 0);
	ready = 1;
	CHECK_EQ(pthread_cond_signal(&cond), 0);
	return NULL;
}

static void try_in_vain(void *arg)
{
	(void)arg;
	CHECK_EQ(pthread_mutex_trylock(&robust), EBUSY);
	CHECK_EQ(pthread_mutex_unlock(&robust), EPERM);
}

static void inherit(int type)
{
	make_robust(type);
	on_thread(end_with_it, NULL);
	CHECK_EQ(pthread_mutex_lock(&robust), EOWNERDEAD);
	in_tasklet(try_in_vain, NULL);
	CHECK_EQ(pthread_mutex_consistent(&robust), 0);
	in_tasklet(try_in_vain, NULL);
	CHECK_EQ(pthread_mutex_unlock(&robust), 0);
}

TEST(heir_of_a_robust_mutex_is_its_owner)
{
	NOT_UNDER_TSAN("it knows of no robust mutex");
	CHECK(tuck_self() > 0);
	inherit(PTHREAD_MUTEX_RECURSIVE);
	inherit(PTHREAD_MUTEX_ERRORCHECK);
}

static void wait_to_inherit(void *arg)
{
	int r = 0;

	(void)arg;
	CHECK_EQ(pthread_mutex_lock(&robust), 0);
	while (!ready && r == 0)
		r = pthread_cond_wait(&cond, &robust);
	CHECK_EQ(r, EOWNERDEAD);
	CHECK_EQ(pthread_mutex_consistent(&robust), 0);
	CHECK_EQ(pthread_mutex_unlock(&robust), 0);
}

TEST(condition_tells_of_a_robust_mutex)
{
	tuck_id id;

	NOT_UNDER_TSAN("it knows of no robust mutex");
	make_robust(PTHREAD_MUTEX_NORMAL);
	id = go(wait_to_inherit, NULL);
	CHECK_EQ(tuck_run(0), 0);
	on_thread(end_with_it, NULL);
	CHECK_EQ(tuck_join(id, TUCK_FOREVER), 0);
	CHECK_EQ(pthread_mutex_lock(&robust), 0);
}

/* -- a condition that another process signals -- */

struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	int waits, ready;
};

static struct shared *make_shared(void)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t mutex;
	pthread_condattr_t attr;

	CHECK(s != MAP_FAILED);
	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
	CHECK_EQ(pthread_mutex_init(&s->mutex, &mutex), 0);
	pthread_condattr_init(&attr);
	pthread_condattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	CHECK_EQ(pthread_cond_init(&s->cond, &attr), 0);
	return s;
}

static void signal_once_it_waits(struct shared *s)
{
	while (!s->ready) {
		pthread_mutex_lock(&s->mutex);
		s->ready = s->waits;
		pthread_mutex_unlock(&s->mutex);
		usleep(1000);
	}
	pthread_cond_signal(&s->cond);
	_exit(0);
}

static void wait_for_process(void *arg)
{
	struct shared *s = arg;

	CHECK_EQ(pthread_mutex_lock(&s->mutex), 0);
	s->waits = 1;
	while (!s->ready)
		CHECK_EQ(pthread_cond_wait(&s->cond, &s->mutex), 0);
	CHECK_EQ(pthread_mutex_unlock(&s->mutex), 0);
}

TEST(condition_that_another_process_signals)
{
	struct shared *s = make_shared();
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (child == 0)
		signal_once_it_waits(s);
	in_tasklet(wait_for_process, s);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
}

/* -- fork -- */

/*
 * What another library does about a fork: it has its mutex meanwhile. Libc does
 * not say who unlocks in the child what the parent's thread locked.
 */
#define HANDLED(name, priority)						\
	static pthread_mutex_t name =					\
		PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;			\
	static void lock_##name(void)					\
	{								\
		CHECK_EQ(pthread_mutex_lock(&name), 0);			\
	}								\
	static void unlock_##name(void)					\
	{								\
		CHECK_EQ(pthread_mutex_unlock(&name), 0);		\
	}								\
	static void renew_##name(void)					\
	{								\
		static const pthread_mutex_t unlocked =			\
			PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;		\
									\
		pthread_mutex_unlock(&name);				\
		name = unlocked;					\
	}								\
	__attribute__((__constructor__(priority)))			\
	static void handle_##name(void)					\
	{								\
		pthread_atfork(lock_##name, unlock_##name,		\
			       renew_##name);				\
	}

HANDLED(taken_last, 101)	/* before the lot's, by the linker's order */
HANDLED(taken_first, 200)

/* Enough for each list of the lot. */
#define MANY 2000

static pthread_mutex_t many[MANY] = {
	[0 ... MANY - 1] = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP
};

static void lock_and_unlock(pthread_mutex_t *mutex)
{
	CHECK_EQ(pthread_mutex_lock(mutex), 0);
	CHECK_EQ(pthread_mutex_unlock(mutex), 0);
}

static atomic_bool stop;

static void lock_until_stopped(void *arg)
{
	while (!atomic_load(&stop))
		lock_and_unlock(arg);
}

static void lock_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < MANY; i++)
		lock_and_unlock(&many[i]);
}

static void fork_and_lock(void *arg)
{
	int status;
	pid_t pid = fork();

	(void)arg;
	CHECK(pid >= 0);
	if (pid == 0) {
		alarm(60);
		in_tasklet(lock_many, NULL);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

TEST(fork_while_a_proc_locks)
{
	pthread_mutex_t other = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	int proc;

	NOT_UNDER_SANITIZERS(
		"its locks do not go through a fork with busy threads");
	proc = tuck_proc_start(NULL, lock_until_stopped, &other);
	CHECK(proc >= 0);
	for (int i = 0; i < 100; i++)
		fork_and_lock(NULL);
	atomic_store(&stop, true);
	CHECK_EQ(tuck_proc_join(proc, tuck_after(TUCK_SEC(60))), 0);
}

static void own_taken_first(void *arg)
{
	atomic_bool *owned = arg;

	lock_taken_first();
	atomic_store(owned, true);
	tuck_sleep(tuck_after(TUCK_MS(20)));
	unlock_taken_first();
}

TEST(handlers_lock_in_a_tasklet_that_forks)
{
	atomic_bool owned = false;
	int proc;

	in_tasklet(fork_and_lock, NULL);
	NOT_UNDER_SANITIZERS(
		"its locks do not go through a fork with busy threads");
	proc = tuck_proc_start(NULL, own_taken_first, &owned);
	CHECK(proc >= 0);
	while (!atomic_load(&owned))
		tuck_yield();
	in_tasklet(fork_and_lock, NULL);
	CHECK_EQ(tuck_proc_join(proc, tuck_after(TUCK_SEC(60))), 0);
}
