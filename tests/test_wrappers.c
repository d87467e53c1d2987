/* SPDX-License-Identifier: MIT */
/*
 * The locks of pthread.h under tasklets that are pre-empted inside them, also
 * between tasklets and ordinary threads.
 */
#include <errno.h>
#include <stdio.h>
#include <tuck.h>

#include "preempt/locks.h"
#include "trace.h"

#ifndef EXACT	/* 0: ticks are of time */
#define EXACT 1
#endif

/* Those of time need some. */
enum { MANY = 5, ROUNDS = EXACT ? 40 : 4000 };

static void lock_mutex(void *m)
{
	CHECK_EQ(pthread_mutex_lock(m), 0);
}

static void try_mutex(void *m)
{
	while (pthread_mutex_trylock(m) != 0)
		tuck_yield();
}

static void lock_mutex_in_time(void *m)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += 100;
	CHECK_EQ(pthread_mutex_timedlock(m, &t), 0);
}

static void unlock_mutex(void *m)
{
	CHECK_EQ(pthread_mutex_unlock(m), 0);
}

static void lock_twice(void *m)
{
	lock_mutex(m);
	lock_mutex(m);
}

static void unlock_twice(void *m)
{
	unlock_mutex(m);
	unlock_mutex(m);
}

static void write_lock(void *l)
{
	CHECK_EQ(pthread_rwlock_wrlock(l), 0);
}

static void rw_unlock(void *l)
{
	CHECK_EQ(pthread_rwlock_unlock(l), 0);
}

static void lock_spin(void *l)
{
	CHECK_EQ(pthread_spin_lock(l), 0);
}

static void unlock_spin(void *l)
{
	CHECK_EQ(pthread_spin_unlock(l), 0);
}

static void wait_sem(void *s)
{
	CHECK_EQ(sem_wait(s), 0);
}

static void post_sem(void *s)
{
	CHECK_EQ(sem_post(s), 0);
}

static pthread_mutex_t *mutex_of(int type)
{
	static pthread_mutex_t m;
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, type);
	CHECK_EQ(pthread_mutex_init(&m, &attr), 0);
	pthread_mutexattr_destroy(&attr);
	return &m;
}

static void *on_a_thread(void *locked)
{
	add_slowly(locked);
	return NULL;
}

static void *on_a_proc(void *locked)
{
	CHECK_EQ(tuck_quantum_set(50), 0);
	for (int i = 0; i < MANY; i++)
		go(add_slowly, locked);
	CHECK_EQ(tuck_run(0), 0);
	tuck_exit();
}

/* Tasklets of two procs and a thread that is none, with a lock. */
static void contend(void *lock, void (*take)(void *), void (*give)(void *))
{
	struct locked l = { lock, take, give, ROUNDS, 0, 0, 0, 0 };
	pthread_t thread, proc;
	struct tuck_stats stats;

	CHECK_EQ(tuck_quantum_set(50), 0);
	for (int i = 0; i < MANY; i++)
		go(add_slowly, &l);
	while (__atomic_load_n(&l.done, __ATOMIC_ACQUIRE) < MANY)
		tuck_yield();
	CHECK_EQ(tuck_stats(&stats), 0);
	CHECK(!EXACT || stats.switches > MANY * ROUNDS);
	CHECK_EQ(pthread_create(&thread, NULL, on_a_thread, &l), 0);
	CHECK_EQ(pthread_create(&proc, NULL, on_a_proc, &l), 0);
	for (int i = 0; i < MANY; i++)
		go(add_slowly, &l);
	while (__atomic_load_n(&l.done, __ATOMIC_ACQUIRE) < 3 * MANY + 1)
		CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(1))), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(pthread_join(proc, NULL), 0);
	CHECK_EQ(tuck_quantum_set(0), 0);
	CHECK_EQ(tuck_run(0), 0);
	CHECK_EQ(l.sum, (3 * MANY + 1) * ROUNDS);
	CHECK_EQ(l.most, 1);
}

TEST_LIMIT(normal_mutex, 60)
{
	pthread_mutex_t *m = mutex_of(PTHREAD_MUTEX_NORMAL);

	contend(m, lock_mutex, unlock_mutex);
}

TEST_LIMIT(recursive_mutex, 60)
{
	pthread_mutex_t *m = mutex_of(PTHREAD_MUTEX_RECURSIVE);

	contend(m, lock_twice, unlock_twice);
}

TEST_LIMIT(mutex_in_time, 60)
{
	pthread_mutex_t *m = mutex_of(PTHREAD_MUTEX_ERRORCHECK);

	contend(m, lock_mutex_in_time, unlock_mutex);
}

TEST_LIMIT(tried_recursive_mutex, 60)
{
	pthread_mutex_t *m = mutex_of(PTHREAD_MUTEX_RECURSIVE);

	/* A thread that is no proc cannot yield: it only tries. */
	contend(m, try_mutex, unlock_mutex);
}

TEST_LIMIT(rwlock_to_write, 60)
{
	static pthread_rwlock_t l = PTHREAD_RWLOCK_INITIALIZER;

	contend(&l, write_lock, rw_unlock);
}

TEST_LIMIT(spin_lock, 60)
{
	static pthread_spinlock_t l;

	CHECK_EQ(pthread_spin_init(&l, PTHREAD_PROCESS_PRIVATE), 0);
	contend((void *)(uintptr_t)&l, lock_spin, unlock_spin);
}

TEST_LIMIT(semaphore, 60)
{
	static sem_t s;

	CHECK_EQ(sem_init(&s, 0, 1), 0);
	contend(&s, wait_sem, post_sem);
}

/* -- what tasklets of one thread see of each other -- */

static pthread_mutex_t *m;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static int ready, results[4];

static struct timespec in_ms(long ms, clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_nsec += ms * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

static void wait_for_all(void *arg)
{
	struct timespec t = in_ms(5, CLOCK_REALTIME);
	struct timespec mono = in_ms(5, CLOCK_MONOTONIC);

	(void)arg;
	results[0] = pthread_mutex_timedlock(m, &t);
	results[1] = pthread_rwlock_timedrdlock(&rw, &t);
	results[2] = sem_timedwait(&sem, &t) == 0 ? 0 : errno;
	results[3] = pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &mono);
	ready = 1;
}

TEST(waits_end_in_time)
{
	CHECK(tuck_self() > 0);		/* a proc from here on */
	m = mutex_of(PTHREAD_MUTEX_RECURSIVE);
	lock_mutex(m);
	write_lock(&rw);
	CHECK_EQ(sem_init(&sem, 0, 0), 0);
	CHECK_EQ(tuck_join(go(wait_for_all, NULL), TUCK_FOREVER), 0);
	CHECK_EQ(results[0], ETIMEDOUT);
	CHECK_EQ(results[1], ETIMEDOUT);
	CHECK_EQ(results[2], ETIMEDOUT);
	CHECK_EQ(results[3], ETIMEDOUT);
	unlock_mutex(m);
	rw_unlock(&rw);
	post_sem(&sem);
	CHECK_EQ(tuck_join(go(wait_for_all, NULL), TUCK_FOREVER), 0);
	CHECK_EQ(results[0] | results[1] | results[2] | results[3], 0);
}

static void check_owner(void *arg)
{
	(void)arg;
	results[0] = pthread_mutex_trylock(m);
	results[1] = pthread_mutex_unlock(m);
}

TEST(error_checking_mutex_is_a_tasklets)
{
	CHECK(tuck_self() > 0);
	m = mutex_of(PTHREAD_MUTEX_ERRORCHECK);
	lock_mutex(m);
	CHECK_EQ(pthread_mutex_lock(m), EDEADLK);
	CHECK_EQ(pthread_mutex_trylock(m), EBUSY);
	CHECK_EQ(tuck_join(go(check_owner, NULL), TUCK_FOREVER), 0);
	CHECK_EQ(results[0], EBUSY);
	CHECK_EQ(results[1], EPERM);
	unlock_mutex(m);
	if (!UNDER_TSAN)	/* which says so itself */
		CHECK_EQ(pthread_mutex_unlock(m), EPERM);
}

static void lock_and_end(void *arg)
{
	(void)arg;
	lock_mutex(m);
}

/* Its owner is gone, and the memory is used for another one. */
TEST(recursive_mutex_of_one_that_has_ended)
{
	NOT_UNDER_TSAN("it knows the mutex as locked still");
	m = mutex_of(PTHREAD_MUTEX_RECURSIVE);
	CHECK_EQ(tuck_join(go(lock_and_end, NULL), TUCK_FOREVER), 0);
	m = mutex_of(PTHREAD_MUTEX_RECURSIVE);
	lock_mutex(m);
	unlock_mutex(m);
}

static void lock_marked(void *name)
{
	lock_mutex(m);
	letter(name);
	unlock_mutex(m);
}

TEST(killed_waiter_leaves_the_lot)
{
	tuck_id id;

	m = mutex_of(PTHREAD_MUTEX_NORMAL);
	lock_mutex(m);
	id = go(lock_marked, (void *)(uintptr_t) "k");
	CHECK_EQ(tuck_run(0), 0);
	go(lock_marked, (void *)(uintptr_t) "b");
	CHECK_EQ(tuck_run(0), 0);
	unlock_mutex(m);		/* lets k go, */
	CHECK_EQ(tuck_kill(id), 0);	/* which lets b go instead */
	CHECK_EQ(tuck_run(0), 0);
	CHECK_TRACE("b");
}

static void lock_cancelled(void *name)
{
	CHECK_EQ(tuck_cancel(tuck_self()), 0);
	lock_marked(name);
}

TEST(cancelled_waiter_gets_it_all_the_same)
{
	m = mutex_of(PTHREAD_MUTEX_NORMAL);
	lock_mutex(m);
	go(lock_cancelled, (void *)(uintptr_t) "c");
	for (int i = 0; i < 10; i++)
		tuck_yield();
	CHECK_TRACE("");
	unlock_mutex(m);
	CHECK_EQ(tuck_run(0), 0);
	CHECK_TRACE("c");
}

/* -- condition -- */

static void consume(void *name)
{
	lock_mutex(m);
	while (!ready)
		CHECK_EQ(pthread_cond_wait(&cond, m), 0);
	ready--;
	letter(name);
	unlock_mutex(m);
}

static void *produce(void *arg)
{
	lock_mutex(m);
	ready += *(int *)arg;
	if (ready > 1)
		CHECK_EQ(pthread_cond_broadcast(&cond), 0);
	else
		CHECK_EQ(pthread_cond_signal(&cond), 0);
	unlock_mutex(m);
	return NULL;
}

TEST(condition)
{
	int one = 1, two = 2;

	needs_fifo();
	m = mutex_of(PTHREAD_MUTEX_RECURSIVE);
	go(consume, (void *)(uintptr_t) "a");
	go(consume, (void *)(uintptr_t) "b");
	go(consume, (void *)(uintptr_t) "c");
	CHECK_EQ(tuck_run(0), 0);
	CHECK_TRACE("");
	produce(&one);
	CHECK_EQ(tuck_run(0), 0);
	CHECK_TRACE("a");
	on_thread(produce, &two);
	while (trace_used < 2)
		tuck_sleep(tuck_after(TUCK_MS(1)));
	CHECK_TRACE("bc");
}

static void *consume_as_thread(void *name)
{
	consume(name);
	return NULL;
}

/* Others mark under the mutex. */
static size_t marks(void)
{
	size_t n;

	lock_mutex(m);
	n = trace_used;
	unlock_mutex(m);
	return n;
}

TEST(condition_of_a_thread_and_a_tasklet)
{
	pthread_t thread;
	int one = 1;

	m = mutex_of(PTHREAD_MUTEX_NORMAL);
	CHECK_EQ(pthread_create(&thread, NULL, consume_as_thread, "t"), 0);
	go(consume, (void *)(uintptr_t) "a");
	CHECK_EQ(tuck_run(0), 0);
	produce(&one);
	while (marks() < 1)
		tuck_sleep(tuck_after(TUCK_MS(1)));
	produce(&one);
	while (marks() < 2)
		tuck_sleep(tuck_after(TUCK_MS(1)));
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(strlen(trace_text), 2);
}

static void wait_in_vain(void *clock)
{
	struct timespec t = in_ms(5, *(clockid_t *)clock);

	lock_mutex(m);
	results[0] = pthread_cond_timedwait(&cond, m, &t);
	results[1] = pthread_mutex_trylock(m);
	unlock_mutex(m);
}

TEST(condition_in_time)
{
	clockid_t real = CLOCK_REALTIME, mono = CLOCK_MONOTONIC;
	pthread_condattr_t attr;

	m = mutex_of(PTHREAD_MUTEX_NORMAL);
	CHECK_EQ(tuck_join(go(wait_in_vain, &real), TUCK_FOREVER), 0);
	CHECK_EQ(results[0], ETIMEDOUT);
	CHECK_EQ(results[1], EBUSY);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	CHECK_EQ(pthread_cond_init(&cond, &attr), 0);
	CHECK_EQ(tuck_join(go(wait_in_vain, &mono), TUCK_FOREVER), 0);
	CHECK_EQ(results[0], ETIMEDOUT);
}

static void unlock_at_end(void *arg)
{
	(void)arg;
	results[0] = pthread_mutex_unlock(m);
}

static void killed_in_wait(void *arg)
{
	(void)arg;
	lock_mutex(m);
	CHECK_EQ(tuck_defer(unlock_at_end, NULL), 0);
	pthread_cond_wait(&cond, m);
	mark('!');
}

TEST(killed_in_a_condition_it_has_the_mutex_again)
{
	tuck_id id;

	m = mutex_of(PTHREAD_MUTEX_ERRORCHECK);
	results[0] = -1;
	id = go(killed_in_wait, NULL);
	CHECK_EQ(tuck_run(0), 0);
	lock_mutex(m);
	CHECK_EQ(tuck_kill(id), 0);
	CHECK_EQ(tuck_run(0), 0);
	CHECK_EQ(results[0], -1);
	unlock_mutex(m);
	CHECK_EQ(tuck_run(0), 0);
	CHECK_EQ(results[0], 0);
	CHECK_TRACE("");
	CHECK_EQ(pthread_cond_signal(&cond), 0);
}

/* -- once -- */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void *call_once(void *arg)
{
	CHECK_EQ(pthread_once(&once, slow_once), 0);
	CHECK_EQ(once_runs, 1);
	return arg;
}

static void go_once(void *arg)
{
	call_once(NULL);
	++*(int *)arg;
}

TEST(once_is_pre_empted)
{
	pthread_t thread;
	int done = 0;

	CHECK_EQ(tuck_quantum_set(100), 0);
	for (int i = 0; i < MANY; i++)
		go(go_once, &done);
	tuck_yield();
	CHECK(!EXACT || done == 0);
	CHECK_EQ(pthread_create(&thread, NULL, call_once, NULL), 0);
	while (done < MANY)
		tuck_yield();
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(once_that_was_run_keeps_nobody_waiting)
{
	int done = 0;

	CHECK(tuck_self() > 0);
	call_once(NULL);
	CHECK_EQ(tuck_join(go(go_once, &done), tuck_after(TUCK_SEC(1))), 0);
	CHECK_EQ(done, 1);
}

/* -- signals -- */

static void post_in_handler(int sig)
{
	(void)sig;
	CHECK_EQ(sem_post(&sem), 0);
}

static void wait_for_post(void *arg)
{
	(void)arg;
	wait_sem(&sem);
	mark('s');
}

TEST(semaphore_that_a_handler_posts)
{
	CHECK_EQ(sem_init(&sem, 0, 0), 0);
	CHECK(signal(SIGUSR1, post_in_handler) == SIG_DFL);
	go(wait_for_post, NULL);
	CHECK_EQ(tuck_run(0), 0);
	CHECK_EQ(raise(SIGUSR1), 0);
	while (trace_used < 1)
		CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(1))), 0);
	CHECK_TRACE("s");
}
