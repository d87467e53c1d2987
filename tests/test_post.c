/* SPDX-License-Identifier: MIT */
/*
 * Posts from signal handlers: on any thread, in the middle of anything, at
 * any rate, none is lost and none waits for a lock.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <tuck.h>

#include "deaf.h"
#include "io/poller.h"
#include "sockets.h"
#include "trace.h"

#define FAR (TUCK_FOREVER - 1)	/* a handler ends it, so no deadlock */

static void on(int signum, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler,
				    .sa_flags = SA_RESTART | SA_ONSTACK };

	CHECK_EQ(sigaction(signum, &action, NULL), 0);
}

static _Atomic(tuck_id) target;
static atomic_int posts, last;

static void post_to_target(int signum)
{
	(void)signum;
	last = tuck_post(target);
	posts++;
}

/* -- one post -- */

TEST(a_post_ends_a_wait)
{
	on(SIGUSR1, post_to_target);
	target = tuck_self();
	raise(SIGUSR1);
	CHECK_EQ(last, 0);
	CHECK_EQ(tuck_block(FAR), 0);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);
}

static void block_once(void *ret)
{
	*(int *)ret = tuck_block(patience());
}

TEST(a_post_to_another_tasklet)
{
	int r = 1;
	tuck_id id = go(block_once, &r);

	target = id;
	on(SIGUSR1, post_to_target);
	let_others_wait();
	raise(SIGUSR1);
	CHECK_EQ(r, 1);			/* not before it is switched to */
	finish(id);
	CHECK_EQ(r, 0);
}

TEST(posts_are_not_counted)
{
	on(SIGUSR1, post_to_target);
	target = tuck_self();
	for (int i = 0; i < 5; i++)
		raise(SIGUSR1);
	CHECK_EQ(tuck_block(FAR), 0);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);
}

TEST(a_post_to_nobody)
{
	int r;

	on(SIGUSR1, post_to_target);
	target = go(block_once, &r);
	tuck_post(target);
	finish(target);
	raise(SIGUSR1);
	CHECK_EQ(last, -ESRCH);
	CHECK_EQ(tuck_post(0), -ESRCH);
	CHECK_EQ(tuck_post(-1), -ESRCH);
	CHECK_EQ(tuck_post(INT64_MAX), -ESRCH);
}

TEST(a_post_starts_a_paused_tasklet)
{
	int r = 1;
	struct tuck_attr attr = { .paused = 1 };
	tuck_id id = tuck_go_with(&attr, block_once, &r);

	on(SIGUSR1, post_to_target);
	target = id;
	raise(SIGUSR1);
	settle();
	CHECK_EQ(r, 1);			/* it has started, and waits */
	raise(SIGUSR1);
	finish(id);
	CHECK_EQ(r, 0);
}

static void sleep_in_poller(void *arg)
{
	int fd[2], r;

	have_poller(fd);
	atomic_store(&target, tuck_self());
	do
		r = tuck_block(tuck_after(TUCK_MS(200)));
	while (r == -ETIMEDOUT && !posts);
	CHECK(r == 0 || r == -ETIMEDOUT);
	*(int *)arg = 1;
}

/* Also that of a system call which fails: here it cannot kick. */
TEST(a_post_keeps_errno)
{
	int wakes[TUCK_PROCS_MAX], n, done = 0, proc;

	on(SIGUSR1, post_to_target);
	proc = tuck_proc_start(NULL, sleep_in_poller, &done);
	CHECK(proc >= 0);
	WAIT_FOR(target);
	settle();
	n = (int)tuck__poller_wakes(wakes);
	for (int i = 0; i < n; i++)
		close(wakes[i]);
	errno = ERANGE;
	raise(SIGUSR1);
	CHECK_EQ(errno, ERANGE);
	CHECK_EQ(last, 0);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	CHECK_EQ(done, 1);
}

/* -- to procs that sleep, without a look but for a kick -- */

static struct sleeper {
	_Atomic(tuck_id) id;
	atomic_long sent, seen;
	atomic_bool stop;
	bool io;
} sleepers[3];

static void sleep_deaf(void *arg)
{
	struct sleeper *me = arg;
	struct deaf d;
	int fd[2];

	if (me->io)
		have_poller(fd);
	become_deaf(&d);
	atomic_store(&me->id, tuck_self());
	while (!me->stop) {
		CHECK_EQ(tuck_block(FAR), 0);
		atomic_store(&me->seen, atomic_load(&me->sent));
	}
	hear_again(&d);
}

static void post_to_sleeper(int signum)
{
	struct sleeper *one = &sleepers[signum == SIGUSR2];

	atomic_fetch_add(&one->sent, 1);
	tuck_post(one->id);
}

static void *plain_thread(void *ready)
{
	atomic_store((atomic_bool *)ready, true);
	for (;;)
		pause();
	return NULL;
}

/* A handler of a thread that is no proc; each wait has to be ended by it. */
static void wake_by_handler(struct sleeper *one, int signum, long rounds)
{
	atomic_bool ready = false;
	pthread_t thread;
	int proc;

	on(signum, post_to_sleeper);
	CHECK_EQ(pthread_create(&thread, NULL, plain_thread, &ready), 0);
	proc = tuck_proc_start(NULL, sleep_deaf, one);
	CHECK(proc >= 0);
	WAIT_FOR(ready && atomic_load(&one->id));
	for (long i = 1; i <= rounds; i++) {
		CHECK_EQ(pthread_kill(thread, signum), 0);
		while (atomic_load(&one->seen) < i)
			sched_yield();
	}
	one->stop = true;
	CHECK_EQ(pthread_kill(thread, signum), 0);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	CHECK_EQ(pthread_cancel(thread), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(each_post_wakes_a_proc_without_a_poller)
{
	wake_by_handler(&sleepers[0], SIGUSR1, 2000);
}

TEST(each_post_wakes_a_proc_with_a_poller)
{
	sleepers[1].io = true;
	wake_by_handler(&sleepers[1], SIGUSR2, 2000);
}

/* -- between the last look into the inbox and the sleep -- */

static const struct tuck__idle *real;
static void *real_arg;

static void interrupted_wait(struct tuck__sched *s, void *arg, tuck_ns deadline)
{
	if (deadline != TUCK_NOWAIT) {
		raise(SIGUSR1);
		deadline = TUCK_FOREVER;
	}
	real->wait(s, arg, deadline);
}

static bool interrupted_busy(void *arg)
{
	return real->busy(arg);
}

static void interrupted_kick(struct tuck__sched *s)
{
	real->kick(s);
}

static void sleep_interrupted(int rounds)
{
	static const struct tuck__idle hook = { interrupted_wait,
						interrupted_busy,
						interrupted_kick };

	on(SIGUSR1, post_to_target);
	target = tuck_self();
	real = tuck__tls->idle;
	real_arg = tuck__tls->idle_arg;
	tuck__sched_set_idle(tuck__tls, &hook, real_arg);
	for (int i = 0; i < rounds; i++)
		CHECK_EQ(tuck_block(FAR), 0);
	tuck__sched_set_idle(tuck__tls, real, real_arg);
}

TEST(a_post_just_before_the_sleep)
{
	sleep_interrupted(100);
}

TEST(a_post_just_before_the_sleep_in_a_poller)
{
	int fd[2];

	have_poller(fd);
	sleep_interrupted(100);
}

/* -- storms -- */

static struct busy {
	_Atomic(tuck_id) id;	/* of who waits for posts */
	atomic_long sent, seen;
	_Atomic(pthread_t) thread;
	atomic_bool known;
	bool io;
} crew[3];

static atomic_bool storm_over;
static atomic_long handled;

/* Whoever it interrupts: a post to each of the crew. */
static void storm(int signum)
{
	(void)signum;
	for (int i = 0; i < 3; i++) {
		atomic_fetch_add(&crew[i].sent, 1);
		tuck_post(crew[i].id);
	}
	atomic_fetch_add(&handled, 1);	/* last: as many have been sent */
}

/* Whatever was sent is seen in the end, though posts are not counted. */
static void wait_for_posts(void *arg)
{
	struct busy *me = arg;

	atomic_store(&me->id, tuck_self());
	while (!storm_over || me->seen < me->sent) {
		CHECK_EQ(tuck_block(FAR), 0);
		me->seen = atomic_load(&me->sent);
	}
}

static struct tuck_chan *round_trip;
static struct tuck_mutex mutex;

/* What a storm interrupts: switches, channels, locks, malloc, the poller. */
static void work(void *arg)
{
	const struct busy *me = arg;
	char bytes[300];
	int fd[2], n = 0;

	stream_pair(fd);
	while (!storm_over) {
		CHECK_EQ(tuck_mutex_lock(&mutex, patience()), 0);
		tuck_yield();
		CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
		CHECK_EQ(tuck_chan_send(round_trip, &n, patience()), 0);
		CHECK_EQ(tuck_chan_recv(round_trip, &n, patience()), 0);
		free(malloc((size_t)(n++ % 5000)));
		memset(bytes, n, sizeof(bytes));
		CHECK_EQ(tuck_sleep(tuck_after(TUCK_US(n % 50))), 0);
		if (me->io) {
			raw_write(fd[1], bytes, 10);
			CHECK_EQ(tuck_read_full(fd[0], bytes, 10, FAR), 10);
		}
		for (int i = 0; i < 3; i++)
			CHECK(crew[i].id == 0 ||
			      tuck_unblock(crew[i].id) >= -ESRCH);
		for (size_t i = 0; i < sizeof(bytes); i++)
			CHECK_EQ(bytes[i], (char)n);
	}
	tuck_fd_close(fd[0]);
	tuck_fd_close(fd[1]);
}

static void crew_member(void *arg)
{
	struct busy *me = arg;
	tuck_id waiter = go(wait_for_posts, me), worker[2];

	atomic_store(&me->thread, pthread_self());
	atomic_store(&me->known, true);
	for (int i = 0; i < 2; i++)
		worker[i] = go(work, me);
	for (int i = 0; i < 2; i++)
		finish(worker[i]);
	WAIT_FOR(atomic_load(&me->id));
	tuck_post(me->id);
	finish(waiter);
}

static timer_t start_timer(int signum, tuck_ns every)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
				  .sigev_signo = signum };
	struct itimerspec when = { .it_interval = { 0, every },
				   .it_value = { 0, every } };
	timer_t id;

	CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &id), 0);
	CHECK_EQ(timer_settime(id, 0, &when, NULL), 0);
	return id;
}

static void weather(tuck_ns timer_every, long storms)
{
	int proc[3];
	timer_t timer = 0;
	tuck_ns end = patience();

	on(SIGUSR1, storm);
	round_trip = tuck_chan_new(sizeof(int), 8);
	CHECK_EQ(tuck_mutex_init(&mutex), 0);
	for (int i = 0; i < 3; i++) {
		crew[i].io = i > 0;
		proc[i] = tuck_proc_start(NULL, crew_member, &crew[i]);
		CHECK(proc[i] >= 0);
	}
	for (int i = 0; i < 3; i++)
		WAIT_FOR(crew[i].known && crew[i].id);
	if (timer_every)
		timer = start_timer(SIGUSR1, timer_every);
	while (handled < storms) {
		CHECK(tuck_now() < end);
		if (!timer_every)
			for (int i = 0; i < 3; i++)
				CHECK_EQ(pthread_kill(crew[i].thread, SIGUSR1),
					 0);
		tuck_sleep(tuck_after(TUCK_US(20)));
	}
	if (timer_every)
		CHECK_EQ(timer_delete(timer), 0);
	storm_over = true;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_proc_join(proc[i], patience()), 0);
	for (int i = 0; i < 3; i++)
		CHECK(crew[i].seen >= storms);
	tuck_chan_free(round_trip);
}

TEST(a_storm_from_a_timer)
{
	weather(TUCK_US(50), 4000 / PATIENCE);
}

TEST(a_storm_on_each_proc)
{
	weather(0, 4000 / PATIENCE);
}

/* -- procs that end -- */

static _Atomic(tuck_id) mortals[4];
static atomic_bool go_on = true;

static void post_to_mortals(int signum)
{
	(void)signum;
	posts++;
	for (int i = 0; i < 4; i++) {
		int r = tuck_post(mortals[i]);

		if (r != 0 && r != -ESRCH)
			abort();
	}
}

/* A life of a few waits, with a poller or without. */
static void mortal(void *arg)
{
	_Atomic(tuck_id) *place = arg;
	int fd[2];

	if ((place - mortals) % 2) {
		have_poller(fd);
		tuck_fd_close(fd[0]);
		close(fd[1]);
	}
	atomic_store(place, tuck_self());
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_block(patience()), 0);
}

static void *send_storm(void *arg)
{
	(void)arg;
	while (go_on) {
		raise(SIGUSR1);
		sched_yield();
	}
	return NULL;
}

TEST(posts_to_procs_that_end_meanwhile)
{
	pthread_t thread;
	int proc[4];

	on(SIGUSR1, post_to_mortals);
	CHECK_EQ(pthread_create(&thread, NULL, send_storm, NULL), 0);
	for (int round = 0; round < 100 / PATIENCE; round++) {
		for (int i = 0; i < 4; i++) {
			proc[i] = tuck_proc_start(NULL, mortal, &mortals[i]);
			CHECK(proc[i] >= 0);
		}
		for (int i = 0; i < 4; i++)
			CHECK_EQ(tuck_proc_join(proc[i], patience()), 0);
	}
	go_on = false;
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(posts > 0);
}

/* Tasklets are killed, dropped, and end, while posts to them are on the way. */
TEST(posts_to_tasklets_that_end_meanwhile)
{
	int r[4];
	timer_t timer;

	on(SIGUSR1, post_to_mortals);
	timer = start_timer(SIGUSR1, TUCK_US(100));
	for (int round = 0; round < 3000 / PATIENCE; round++) {
		for (int i = 0; i < 4; i++)
			mortals[i] = go(block_once, &r[i]);
		if (round % 3 == 0)
			tuck_yield();
		for (int i = 0; i < 3; i++)
			if (round % 2)
				tuck_drop(mortals[i]);
			else
				tuck_kill(mortals[i]);
		tuck_post(mortals[3]);
		finish(mortals[3]);
	}
	CHECK_EQ(timer_delete(timer), 0);
}
