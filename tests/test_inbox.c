/* SPDX-License-Identifier: MIT */
/* Unblocks from other procs and threads: none is lost, none comes twice. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <tuck.h>

#include "deaf.h"
#include "procs.h"
#include "sockets.h"

/* -- to and fro -- */

struct pair {
	_Atomic(tuck_id) id[2];
	int rounds, io[2];
	bool deaf;
};

static void play(struct pair *p, int me)
{
	struct deaf d;
	int fd[2];

	if (p->io[me])
		have_poller(fd);
	atomic_store(&p->id[me], tuck_self());
	WAIT_FOR(atomic_load(&p->id[!me]));
	if (p->deaf)
		become_deaf(&d);
	for (int i = 0; i < p->rounds; i++) {
		if (me == 0)
			CHECK_EQ(tuck_unblock(p->id[1]), 0);
		CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
		if (me == 1)
			CHECK_EQ(tuck_unblock(p->id[0]), 0);
	}
	if (p->deaf)
		hear_again(&d);
}

static void play_1(void *arg)
{
	play(arg, 1);
}

static void ping_pong(int rounds, int io_0, int io_1)
{
	struct pair p = { .rounds = rounds, .io = { io_0, io_1 }, .deaf = 1 };
	int proc = start(play_1, &p);

	play(&p, 0);
	join(proc);
}

TEST(ping_pong_without_pollers)
{
	ping_pong(20000, 0, 0);
}

TEST(ping_pong_with_pollers)
{
	ping_pong(10000, 1, 1);
}

TEST(ping_pong_with_one_poller)
{
	ping_pong(10000, 0, 1);
}

/* The same among tasklets, several pairs at a time, while others are busy. */
struct half {
	struct pair *pair;
	atomic_int *left;
};

static void play_half(void *arg)
{
	struct half *h = arg;

	play(h->pair, 1);
	atomic_fetch_sub(h->left, 1);
}

static void play_halves(void *arg)
{
	struct half *h = arg;

	for (int i = 0; i < 8; i++)
		CHECK(tuck_go(play_half, &h[i]) > 0);
	while (atomic_load(h->left) > 0) {
		tuck_yield();
		sched_yield();	/* its partner may need this core */
	}
}

static void play_first(void *arg)
{
	play(((struct half *)arg)->pair, 0);
}

TEST(ping_pong_of_many_tasklets)
{
	atomic_int left = 8;
	struct pair p[8];
	struct half h[8];
	tuck_id id[8];
	int proc;

	share_slots(2);
	for (int i = 0; i < 8; i++) {
		p[i] = (struct pair){ .rounds = 300 };
		h[i] = (struct half){ &p[i], &left };
	}
	proc = start(play_halves, h);
	for (int i = 0; i < 8; i++)
		id[i] = tuck_go(play_first, &h[i]);
	for (int i = 0; i < 8; i++)
		finish(id[i]);
	join(proc);
}

/* -- what an unblock does -- */

static void *unblock_twice(void *arg)
{
	CHECK_EQ(tuck_unblock(*(tuck_id *)arg), 0);
	CHECK_EQ(tuck_unblock(*(tuck_id *)arg), 0);
	return NULL;
}

static void run_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, fn, arg), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(one_early_unblock_is_remembered)
{
	tuck_id self = tuck_self();

	for (int i = 0; i < 3; i++) {
		run_thread(unblock_twice, &self);
		if (i == 1)
			settle();	/* it arrives before the block */
		CHECK_EQ(tuck_block(TUCK_NOWAIT), 0);
		CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);
		run_thread(unblock_twice, &self);
		CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
		CHECK_EQ(tuck_block(1), -ETIMEDOUT);
	}
}

struct late {
	tuck_id id;
	int ms, result;
};

static void *unblock_late(void *arg)
{
	struct late *l = arg;

	usleep((unsigned)l->ms * 1000);
	l->result = tuck_unblock(l->id);
	return NULL;
}

TEST(late_unblock_ends_a_wait)
{
	for (int io = 0; io < 2; io++) {
		struct late l = { tuck_self(), 30, 1 };
		pthread_t thread;
		tuck_ns begin;
		int fd[2];

		if (io)
			have_poller(fd);
		begin = tuck_now();
		CHECK_EQ(pthread_create(&thread, NULL, unblock_late, &l), 0);
		CHECK_EQ(tuck_block(patience()), 0);
		CHECK(tuck_now() - begin >= TUCK_MS(30));
		CHECK(tuck_now() - begin < TUCK_SEC(20));
		pthread_join(thread, NULL);
		CHECK_EQ(l.result, 0);
	}
}

/* Other waits do not end by it; it is for the next block. */
TEST(unblock_does_not_end_another_wait)
{
	struct late l = { tuck_self(), 5, 1 };
	tuck_ns until = tuck_after(TUCK_MS(30));
	pthread_t thread;
	int fd[2];
	char c;

	CHECK_EQ(pthread_create(&thread, NULL, unblock_late, &l), 0);
	tuck_sleep(until);
	CHECK(tuck_now() >= until);
	pthread_join(thread, NULL);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), 0);
	pipe_pair(fd);
	CHECK_EQ(pthread_create(&thread, NULL, unblock_late, &l), 0);
	CHECK_EQ(tuck_read(fd[0], &c, 1, tuck_after(TUCK_MS(30))), -ETIMEDOUT);
	pthread_join(thread, NULL);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), 0);
}

static void say(void *arg)
{
	*(int *)arg = 1;
}

TEST(a_paused_tasklet_is_started_from_elsewhere)
{
	struct tuck_attr paused = { .paused = 1 };
	struct late l = { 0, 5, 1 };
	pthread_t thread;
	int said = 0;

	l.id = tuck_go_with(&paused, say, &said);
	settle();
	CHECK_EQ(said, 0);
	CHECK_EQ(pthread_create(&thread, NULL, unblock_late, &l), 0);
	WAIT_FOR(said);
	pthread_join(thread, NULL);
}

static struct order {
	int n, seen[100];
} order;

static void note_order(void *arg)
{
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	order.seen[order.n++] = (int)(intptr_t)arg;
}

static void *unblock_in_order(void *arg)
{
	for (int i = 0; i < 100; i++)
		CHECK_EQ(tuck_unblock(((tuck_id *)arg)[i]), 0);
	return NULL;
}

TEST(unblocks_arrive_in_order)
{
	tuck_id id[100];

	if (seeded())
		SKIP("needs the fair order");
	for (int i = 0; i < 100; i++)
		id[i] = tuck_go(note_order, (void *)(intptr_t)i);
	settle();
	run_thread(unblock_in_order, id);
	WAIT_FOR(order.n == 100);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(order.seen[i], i);
}

static void *unblock_stale(void *arg)
{
	CHECK_EQ(tuck_unblock(*(tuck_id *)arg), -ESRCH);
	CHECK_EQ(tuck_unblock(0), -ESRCH);
	CHECK_EQ(tuck_unblock(-1), -ESRCH);
	CHECK_EQ(tuck_unblock(INT64_MIN), -ESRCH);
	CHECK_EQ(tuck_unblock(INT64_MAX), -ESRCH);
	return NULL;
}

TEST(unblock_of_nobody)
{
	tuck_id id = tuck_go(say, &(int){ 0 });

	settle();
	run_thread(unblock_stale, &id);
}

static void *tell_own_id(void *arg)
{
	*(tuck_id *)arg = tuck_self();
	return NULL;
}

/* The next proc gets the same place, but not the same name. */
TEST(unblock_of_the_main_tasklet_of_a_proc_that_ended)
{
	tuck_id id, next;

	run_thread(tell_own_id, &id);
	CHECK_EQ(tuck_unblock(id), -ESRCH);
	run_thread(tell_own_id, &next);
	CHECK(next != id);
	CHECK_EQ(tuck_unblock(id), -ESRCH);
}

/* A wake-up also reaches a proc whose tasklets never wait. */
static void *stop_busy(void *arg)
{
	usleep(10000);
	CHECK_EQ(tuck_unblock(*(tuck_id *)arg), 0);
	return NULL;
}

static int stopped;

static void stop_all(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	stopped = 1;
}

static void never_wait(void *arg)
{
	(void)arg;
	while (!stopped)
		tuck_yield();
}

TEST(unblock_reaches_a_busy_proc)
{
	tuck_id id = tuck_go(stop_all, NULL);
	tuck_ns begin = tuck_now();
	pthread_t thread;

	for (int i = 0; i < 3; i++)
		CHECK(tuck_go(never_wait, NULL) > 0);
	CHECK_EQ(pthread_create(&thread, NULL, stop_busy, &id), 0);
	never_wait(NULL);
	CHECK(tuck_now() - begin < TUCK_SEC(20));
	pthread_join(thread, NULL);
}

/* -- storms -- */

struct storm {
	tuck_id target;
	atomic_int stop;
	atomic_long sent;
};

static void unblock_without_end(void *arg)
{
	struct storm *s = arg;

	while (!atomic_load(&s->stop)) {
		CHECK_EQ(tuck_unblock(s->target), 0);
		atomic_fetch_add(&s->sent, 1);
	}
}

TEST(four_procs_unblock_one_tasklet)
{
	struct storm s = { .target = tuck_self() };
	int proc[4], woken = 0;
	tuck_ns end = tuck_after(TUCK_MS(500));

	for (int i = 0; i < 4; i++)
		proc[i] = start(unblock_without_end, &s);
	while (woken <= 10 || tuck_now() < end) {
		CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
		woken++;
		if (woken % 3 == 0)
			tuck_sleep(tuck_after(TUCK_US(50)));
		if (woken % 5 == 0)
			tuck_yield();
	}
	atomic_store(&s.stop, 1);
	for (int i = 0; i < 4; i++)
		join(proc[i]);
	CHECK(woken <= s.sent + 1);
	/* At most one is left over. */
	tuck_block(TUCK_NOWAIT);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Two kinds of post meet in one tasklet. */
TEST(unblocks_of_one_who_joins_procs)
{
	struct storm s = { .target = tuck_self() };
	tuck_ns end = tuck_after(TUCK_MS(500));
	int proc[2], joined = 0;

	for (int i = 0; i < 2; i++)
		proc[i] = start(unblock_without_end, &s);
	for (; joined <= 5 || tuck_now() < end; joined++)
		join(start(nothing, NULL));
	atomic_store(&s.stop, 1);
	for (int i = 0; i < 2; i++)
		join(proc[i]);
}

/* Tasklets whose names others use while they end. */
static struct mortal {
	_Atomic(tuck_id) id[32];
	atomic_int stop;
	atomic_long hits, misses;
} mortal;

static void live_shortly(void *arg)
{
	int n = (int)(intptr_t)arg;

	if (n % 3 == 1)
		tuck_yield();
	else if (n % 3 == 2)
		tuck_block(tuck_after(TUCK_US(20)));
}

static void unblock_mortals(void *arg)
{
	(void)arg;
	for (unsigned i = 0; !atomic_load(&mortal.stop); i++) {
		int r = tuck_unblock(atomic_load(&mortal.id[i % 32]));

		CHECK(r == 0 || r == -ESRCH);
		atomic_fetch_add(r ? &mortal.misses : &mortal.hits, 1);
	}
}

/* Those who lived, and those who had ended. */
static int met_both(void)
{
	return mortal.hits > 0 && mortal.misses > 0;
}

static void breed(void *arg)
{
	int drops = *(int *)arg;
	tuck_ns end = tuck_after(drops ? TUCK_MS(500) : TUCK_SEC(1));

	for (unsigned n = 0; !met_both() || tuck_now() < end; n++) {
		tuck_id id = tuck_go(live_shortly, (void *)(uintptr_t)n);

		CHECK(id > 0);
		atomic_store(&mortal.id[n % 32], id);
		if (drops && n % 4 == 0)
			CHECK_EQ(tuck_drop(id), 0);
		if (n % 8 == 7)
			tuck_yield();
	}
}

static void unblock_while_ending(int drops)
{
	int proc[3];

	mortal.stop = 0;
	for (int i = 0; i < 3; i++)
		proc[i] = start(unblock_mortals, NULL);
	breed(&drops);
	atomic_store(&mortal.stop, 1);
	for (int i = 0; i < 3; i++)
		join(proc[i]);
}

TEST(unblock_of_tasklets_that_end_at_the_same_time)
{
	share_slots(4);
	unblock_while_ending(0);
}

TEST(unblock_of_tasklets_that_are_dropped_at_the_same_time)
{
	unblock_while_ending(1);
}

static void *come_and_go(void *arg)
{
	atomic_store(&mortal.id[(intptr_t)arg % 32], tuck_self());
	tuck_block(tuck_after(TUCK_US(50)));
	return NULL;
}

/* Whole procs, with pollers and without, that end at the same time. */
static void *come_and_go_with_poller(void *arg)
{
	int fd[2];

	have_poller(fd);
	come_and_go(arg);
	tuck_fd_close(fd[0]);
	tuck_fd_close(fd[1]);
	return NULL;
}

TEST(unblock_of_procs_that_end_at_the_same_time)
{
	tuck_ns end = tuck_after(TUCK_MS(500));
	int proc[2];

	for (int i = 0; i < 2; i++)
		proc[i] = start(unblock_mortals, NULL);
	for (intptr_t n = 0; !met_both() || tuck_now() < end; n++) {
		pthread_t thread;

		CHECK_EQ(pthread_create(&thread, NULL,
					n & 1 ? come_and_go_with_poller :
						come_and_go,
					(void *)n),
			 0);
		pthread_join(thread, NULL);
	}
	atomic_store(&mortal.stop, 1);
	for (int i = 0; i < 2; i++)
		join(proc[i]);
}

/* A ring of procs: each unblocks the next one, many times around. */
static struct ring {
	_Atomic(tuck_id) id[6];
} ring;

static void be_in_ring(void *arg)
{
	int me = (int)(intptr_t)arg;

	atomic_store(&ring.id[me], tuck_self());
	WAIT_FOR(atomic_load(&ring.id[(me + 1) % 6]));
	for (int i = 0; i < 1000; i++) {
		if (me || i)
			CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
		CHECK_EQ(tuck_unblock(ring.id[(me + 1) % 6]), 0);
	}
	if (me == 0)		/* the last one comes back */
		CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
}

TEST(ring_of_procs)
{
	int proc[6];

	for (intptr_t i = 0; i < 6; i++)
		proc[i] = start(be_in_ring, (void *)i);
	for (int i = 0; i < 6; i++)
		join(proc[i]);
}

/* -- everybody waits for ever -- */

static atomic_int told;

static void note_deadlock(void)
{
	atomic_fetch_add(&told, 1);
}

TEST(no_deadlock_while_a_post_is_under_way)
{
	struct pair p = { .rounds = 3000 };
	int proc;

	tuck_on_deadlock(note_deadlock);
	proc = start(play_1, &p);
	play(&p, 0);
	join(proc);
	CHECK_EQ(told, 0);
}

struct waker {
	tuck_id target;
	int fd;
};

static void unblock_after_sleep(void *arg)
{
	struct waker *w = arg;

	tuck_sleep(tuck_after(TUCK_MS(250)));
	CHECK_EQ(tuck_unblock(w->target), 0);
}

static void unblock_after_read(void *arg)
{
	struct waker *w = arg;
	char c;

	CHECK_EQ(tuck_read(w->fd, &c, 1, TUCK_FOREVER), 1);
	CHECK_EQ(tuck_unblock(w->target), 0);
}

static void *write_late(void *arg)
{
	usleep(250000);
	raw_write(*(int *)arg, "x", 1);
	return NULL;
}

TEST(no_deadlock_while_another_proc_sleeps)
{
	struct waker w = { tuck_self(), -1 };
	int proc;

	tuck_on_deadlock(note_deadlock);
	proc = start(unblock_after_sleep, &w);
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	join(proc);
	CHECK_EQ(told, 0);
}

TEST(no_deadlock_while_another_proc_reads)
{
	struct waker w = { .target = tuck_self() };
	pthread_t thread;
	int fd[2], proc;

	tuck_on_deadlock(note_deadlock);
	pipe_pair(fd);
	w.fd = fd[0];
	proc = start(unblock_after_read, &w);
	CHECK_EQ(pthread_create(&thread, NULL, write_late, &fd[1]), 0);
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	pthread_join(thread, NULL);
	join(proc);
	CHECK_EQ(told, 0);
}

/* -- requests -- */

#define REQUESTS 2000

static struct errand {
	struct tuck__request request;
	atomic_int done;
} errands[REQUESTS];

static atomic_int errands_done;
static _Atomic(struct tuck__sched *) employer;

static void carry_out(struct tuck__sched *s, struct tuck__request *r)
{
	struct errand *o = (struct errand *)(void *)r;

	CHECK(s == tuck__tls);
	CHECK_EQ(atomic_fetch_add(&o->done, 1), 0);
	atomic_fetch_add(&errands_done, 1);
}

static void employ(void *arg)
{
	atomic_store(&employer, tuck__tls);
	while (atomic_load(&errands_done) < (int)(intptr_t)arg)
		tuck_sleep(tuck_after(TUCK_US(50)));
}

/* To a proc that ends meanwhile: how many it has taken on. */
static void *send_all(void *arg)
{
	struct tuck__sched *s;
	int taken = 0;

	while (!(s = atomic_load(&employer)))
		usleep(10);
	for (int i = 0; i < REQUESTS; i++) {
		errands[i].request.run = carry_out;
		taken += tuck__request(s, &errands[i].request);
	}
	*(int *)arg = taken;
	return NULL;
}

/* Each request is run once or refused, and posts come between them. */
TEST(requests_are_run_or_refused)
{
	pthread_t thread;
	int proc, taken;

	CHECK(tuck_self() > 0);		/* else ours may take its sched over */
	proc = start(employ, (void *)100);
	CHECK_EQ(pthread_create(&thread, NULL, send_all, &taken), 0);
	join(proc);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(errands_done, taken);
	CHECK(taken >= 100);
	CHECK(!tuck__request(employer, &errands[0].request));
	CHECK_EQ(errands_done, taken);
}

TEST(requests_end_a_sleep)
{
	struct errand one = { .request = { .run = carry_out } };
	int proc = start(employ, (void *)1);

	WAIT_FOR(atomic_load(&employer));
	usleep(20000);
	CHECK(tuck__request(employer, &one.request));
	join(proc);
	CHECK_EQ(one.done, 1);
}
