/* SPDX-License-Identifier: MIT */
/*
 * Tasklets that end in a call of libc's without a chance to clean up: they
 * are dropped, by name or with their proc. Neither a descriptor nor a byte is
 * left, nor a tasklet that works for them.
 */
#include <pthread.h>
#include <sys/select.h>

#include "hooked.h"

static int fds[2];

static void wait_in_read(void *arg)
{
	char c;

	(void)arg;
	CHECK_EQ(read(fds[0], &c, 1), 1);
}

static void wait_in_poll(void *arg)
{
	struct pollfd p[2] = { { fds[0], POLLIN, 0 }, { fds[0], POLLPRI, 0 } };

	(void)arg;
	poll(p, 2, -1);
}

static void wait_for_nothing(void *arg)
{
	(void)arg;
	poll(NULL, 0, -1);
}

static void (*const waits[])(void *) = { wait_in_read, wait_in_poll,
					 wait_for_nothing };

enum { WAITS = 3 };

static int tasklets(void)
{
	struct tuck_stats stats;

	CHECK_EQ(tuck_stats(&stats), 0);
	return (int)stats.tasklets;
}

/* -- by name -- */

HOOKED_TEST(nobody_works_for_who_was_dropped)
{
	tuck_id ids[WAITS];

	stream_pair(fds);
	for (int i = 0; i < WAITS; i++)
		ids[i] = go(waits[i], NULL);
	settle();
	CHECK(tasklets() > 1 + WAITS);
	for (int i = 0; i < WAITS; i++)
		CHECK_EQ(tuck_drop(ids[i]), 0);
	WAIT_FOR(tasklets() == 1);
}

/* Who still waits is served on. */
HOOKED_TEST(others_wait_on_when_one_was_dropped)
{
	tuck_id dropped, other;

	stream_pair(fds);
	dropped = go(wait_in_read, NULL);
	other = go(wait_in_read, NULL);
	settle();
	CHECK_EQ(tuck_drop(dropped), 0);
	settle();
	raw_write(fds[1], "x", 1);
	finish(other);
	WAIT_FOR(tasklets() == 1);
}

static void drop_one(void *arg)
{
	tuck_id id = go(wait_in_read, NULL);

	(void)arg;
	settle();
	CHECK_EQ(tuck_drop(id), 0);
}

HOOKED_TEST(a_proc_ends_after_a_drop)
{
	int proc;

	stream_pair(fds);
	proc = tuck_proc_start(NULL, drop_one, NULL);
	CHECK(proc >= 0);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
}

/* -- in a lock's queue -- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turns, woken;

static void wait_for_turn(void *arg)
{
	(void)arg;
	CHECK_EQ(pthread_mutex_lock(&mutex), 0);
	while (!turns)
		CHECK_EQ(pthread_cond_wait(&cond, &mutex), 0);
	turns--;
	woken++;
	CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
}

static void *leave_in_queue(void *arg)
{
	(void)arg;
	CHECK(tuck_self() > 0);
	go(wait_for_turn, NULL);
	settle();
	return NULL;
}

/* One of this proc, one that went with its proc, and one who is there. */
HOOKED_TEST(a_signal_is_not_for_who_was_dropped)
{
	tuck_id dropped = go(wait_for_turn, NULL);

	settle();
	on_thread(leave_in_queue, NULL);
	CHECK_EQ(tuck_drop(dropped), 0);
	go(wait_for_turn, NULL);
	settle();
	turns = 1;
	CHECK_EQ(pthread_cond_signal(&cond), 0);
	WAIT_FOR(woken == 1);
}

/* -- with the proc: the wake-up of its number stays -- */

static void *leave_waiting(void *arg)
{
	tuck_id killed;

	(void)arg;
	CHECK(tuck_self() > 0);
	for (int i = 0; i < WAITS; i++)
		go(waits[i], NULL);
	killed = go(wait_in_read, NULL);
	settle();
	CHECK_EQ(tuck_kill(killed), 0);		/* it has no turn any more */
	return NULL;
}

HOOKED_TEST(the_end_of_a_thread_leaves_nothing_open)
{
	int n;

	stream_pair(fds);
	n = count_fds();
	for (int i = 0; i < 5; i++)
		on_thread(leave_waiting, NULL);
	WAIT_FOR(count_fds() <= n + 1);
}

/* The hook's part of a thread ends before Tuck's then. */
TEST(the_hook_may_be_told_first_of_a_threads_end)
{
	pthread_key_t first;
	int n;

	needs_hook();
	CHECK_EQ(pthread_key_create(&first, NULL), 0);
	CHECK(tuck_self() > 0);
	CHECK_EQ(pthread_key_delete(first), 0);
	stream_pair(fds);
	n = count_fds();
	for (int i = 0; i < 5; i++)
		on_thread(leave_waiting, NULL);
	WAIT_FOR(count_fds() <= n + 1);
}

static void end_the_thread(void *arg)
{
	(void)arg;
	pthread_exit(NULL);
}

static void exit_waiting(void *arg)
{
	(void)arg;
	for (int i = 0; i < WAITS; i++)
		go(waits[i], NULL);
	settle();
	go(end_the_thread, NULL);
	tuck_sleep(patience());
}

HOOKED_TEST(a_proc_that_a_tasklet_ends_leaves_nothing_open)
{
	int n, proc;

	NOT_UNDER_TSAN("it takes pthread_exit() for that of another thread");
	stream_pair(fds);
	n = count_fds();
	for (int i = 0; i < 5; i++) {
		proc = tuck_proc_start(NULL, exit_waiting, NULL);
		CHECK(proc >= 0);
		CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	}
	WAIT_FOR(count_fds() <= n + 1);
}
