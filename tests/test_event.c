/* SPDX-License-Identifier: MIT */
/* Tickers and timers as channels: what they give, when they stop. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <tuck.h>

#include "procs.h"
#include "sockets.h"
#include "task/task.h"
#include "trace.h"

#define PERIOD TUCK_MS(2)

static struct tuck_chan *everywhere;

/* What the caller's proc has set, of tickers and waits. */
static unsigned timers_set(void)
{
	return tuck__tls ? tuck__tls->timers.n : 0;
}

static struct tuck_chan *ticker(tuck_ns period)
{
	struct tuck_chan *chan = tuck_ticker(period);

	CHECK(chan);
	return chan;
}

static tuck_ns next_tick(struct tuck_chan *chan)
{
	tuck_ns at = 0;

	CHECK_EQ(tuck_chan_recv(chan, &at, patience()), 0);
	CHECK(at <= tuck_now());
	return at;
}

/* -- tickers -- */

TEST(a_ticker_does_not_drift)
{
	tuck_ns before = tuck_now();
	struct tuck_chan *chan = ticker(PERIOD);
	tuck_ns first = next_tick(chan), last = first, at;

	CHECK(first >= before + PERIOD);
	for (int i = 0; i < 20; i++) {
		at = next_tick(chan);
		CHECK(at > last);
		CHECK_EQ((at - first) % PERIOD, 0);
		last = at;
	}
	tuck_chan_free(chan);
}

TEST(ticks_are_dropped_for_who_is_slow)
{
	struct tuck_chan *chan = ticker(PERIOD);
	tuck_ns first, second, third, taken;

	tuck_sleep(tuck_after(20 * PERIOD));
	WAIT_FOR(tuck_chan_count(chan) == 1);
	taken = tuck_now();
	first = next_tick(chan);
	second = next_tick(chan);
	third = next_tick(chan);
	CHECK(second > taken - PERIOD);
	CHECK_EQ((second - first) % PERIOD, 0);
	CHECK_EQ((third - first) % PERIOD, 0);
	tuck_chan_free(chan);
}

/* Its proc has not looked for long: one tick, the last one. */
TEST(a_busy_proc_gives_the_last_tick)
{
	struct tuck_chan *chan = ticker(PERIOD);
	tuck_ns end = tuck_after(10 * PERIOD);

	while (tuck_now() < end)
		;
	CHECK(end - next_tick(chan) <= PERIOD);
	CHECK(next_tick(chan) >= end);
	tuck_chan_free(chan);
}

TEST(the_shortest_period)
{
	struct tuck_chan *chan = ticker(1);
	tuck_ns last = 0, at;

	for (int i = 0; i < 100; i++) {
		at = next_tick(chan);
		CHECK(at > last);
		last = at;
	}
	tuck_chan_free(chan);
	CHECK_EQ(timers_set(), 0);
}

TEST(the_longest_period)
{
	struct tuck_chan *chan = ticker(TUCK_FOREVER);

	CHECK_EQ(tuck_chan_recv(chan, &(tuck_ns){ 0 }, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(timers_set(), 0);
	tuck_chan_free(chan);
}

TEST(no_ticker_without_a_period)
{
	CHECK(!tuck_ticker(0));
	CHECK(!tuck_ticker(-1));
	CHECK(!tuck_ticker(INT64_MIN));
}

TEST(a_closed_ticker_gives_what_it_had)
{
	struct tuck_chan *chan = ticker(PERIOD);
	tuck_ns at;

	WAIT_FOR(tuck_chan_count(chan) == 1);
	CHECK_EQ(tuck_chan_close(chan), 0);
	CHECK_EQ(timers_set(), 0);
	CHECK_EQ(tuck_chan_recv(chan, &at, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_chan_recv(chan, &at, TUCK_NOWAIT), -EPIPE);
	tuck_chan_free(chan);
}

static void receive_tick(void *arg)
{
	tuck_ns at;

	while (tuck_chan_recv(arg, &at, patience()) == 0)
		mark('t');
	mark('e');
}

TEST(freeing_a_ticker_wakes_who_waits)
{
	struct tuck_chan *chan = ticker(TUCK_SEC(1000));
	tuck_id id = go(receive_tick, chan);

	settle();
	tuck_chan_free(chan);
	finish(id);
	CHECK_TRACE("e");
	CHECK_EQ(timers_set(), 0);
}

static void exit_with_ticker(void *arg)
{
	(void)arg;
	everywhere = ticker(TUCK_SEC(1000));
	tuck_exit();
}

TEST(no_end_waits_for_a_ticker)
{
	int proc = tuck_proc_start(NULL, exit_with_ticker, NULL);

	CHECK(proc >= 0);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	tuck_chan_free(everywhere);
}

static void count_ticks(void *arg)
{
	tuck_ns at;

	while (tuck_chan_recv(arg, &at, patience()) == 0)
		;
}

TEST(ticks_for_who_is_killed_go_to_others)
{
	struct tuck_chan *chan = ticker(PERIOD);
	tuck_id id[3];

	for (int i = 0; i < 3; i++)
		id[i] = go(count_ticks, chan);
	settle();
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(tuck_kill(id[i]), 0);
		finish(id[i]);
	}
	next_tick(chan);
	tuck_chan_free(chan);
}

/* -- timers -- */

TEST(a_timer_gives_its_deadline_once)
{
	tuck_ns deadline = tuck_after(PERIOD), at = 0;
	struct tuck_chan *chan = tuck_timer_chan(deadline);

	CHECK(chan);
	CHECK_EQ(tuck_chan_recv(chan, &at, patience()), 0);
	CHECK(tuck_now() >= deadline);
	CHECK_EQ(at, deadline);
	CHECK_EQ(tuck_chan_recv(chan, &at, patience()), -EPIPE);
	CHECK_EQ(timers_set(), 0);
	tuck_chan_free(chan);
}

TEST(a_timer_of_the_past)
{
	struct tuck_chan *chan = tuck_timer_chan(TUCK_NOWAIT);
	tuck_ns at = 1;

	CHECK(chan);
	CHECK_EQ(tuck_chan_recv(chan, &at, patience()), 0);
	CHECK_EQ(at, 0);
	tuck_chan_free(chan);
	CHECK(!tuck_timer_chan(-1));
}

TEST(a_timer_that_is_stopped)
{
	struct tuck_chan *chan = tuck_timer_chan(tuck_after(TUCK_SEC(1000)));
	struct tuck_chan *never = tuck_timer_chan(TUCK_FOREVER);

	CHECK(chan && never);
	CHECK_EQ(timers_set(), 1);
	tuck_chan_free(chan);
	CHECK_EQ(timers_set(), 0);
	tuck_chan_free(never);
}

TEST(a_select_of_times)
{
	struct tuck_chan *soon = tuck_timer_chan(tuck_after(PERIOD));
	struct tuck_chan *late = tuck_timer_chan(tuck_after(TUCK_SEC(1000)));
	struct tuck_chan *words = tuck_chan_new(1, 0);
	tuck_ns at;
	struct tuck_case cases[] = {
		{ .chan = late, .op = TUCK_RECV, .elem = &at },
		{ .chan = words, .op = TUCK_RECV, .elem = &at },
		{ .chan = soon, .op = TUCK_RECV, .elem = &at },
	};

	CHECK_EQ(tuck_select(cases, 3, patience()), 2);
	CHECK_EQ(cases[2].ret_err, 0);
	tuck_chan_free(soon);
	tuck_chan_free(late);
	tuck_chan_free(words);
}

TEST(a_thousand_timers)
{
	enum { N = 1000 };
	static struct tuck_chan *chan[N];
	tuck_ns begin = tuck_now(), at, last = 0;

	for (int i = 0; i < N; i++) {
		chan[i] = tuck_timer_chan(begin + TUCK_US(i * 10));
		CHECK(chan[i]);
	}
	for (int i = 0; i < N; i++) {
		CHECK_EQ(tuck_chan_recv(chan[i], &at, patience()), 0);
		CHECK_EQ(at, begin + TUCK_US(i * 10));
		CHECK(at > last);
		last = at;
		tuck_chan_free(chan[i]);
	}
	CHECK_EQ(timers_set(), 0);
}

/* -- between procs -- */

static atomic_int received;
static atomic_bool enough;

static void receive_elsewhere(void *arg)
{
	tuck_ns at;
	int r;

	(void)arg;
	while ((r = tuck_chan_recv(everywhere, &at, patience())) == 0)
		received++;
	CHECK_EQ(r, -EPIPE);
}

static void close_elsewhere(void *arg)
{
	tuck_ns at;

	(void)arg;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_chan_recv(everywhere, &at, patience()), 0);
	tuck_chan_free(everywhere);
	enough = true;
}

TEST(ticks_for_several_procs)
{
	int proc[2];

	everywhere = ticker(PERIOD);
	for (int i = 0; i < 2; i++)
		proc[i] = start(receive_elsewhere, NULL);
	WAIT_FOR(received >= 10);
	CHECK_EQ(tuck_chan_close(everywhere), 0);
	for (int i = 0; i < 2; i++)
		join(proc[i]);
	CHECK_EQ(timers_set(), 0);
	tuck_chan_free(everywhere);
}

TEST(a_ticker_freed_by_another_proc)
{
	int proc;

	everywhere = ticker(PERIOD);
	proc = start(close_elsewhere, NULL);
	WAIT_FOR(enough);
	join(proc);
	WAIT_FOR(timers_set() == 0);
}

/* Not shared yet: it is this proc that frees it. */
static void free_elsewhere(void *arg)
{
	(void)arg;
	tuck_chan_free(everywhere);
}

TEST(a_ticker_of_its_proc_alone_freed_by_another)
{
	everywhere = ticker(TUCK_SEC(1000));
	join(start(free_elsewhere, NULL));
	settle();
	CHECK_EQ(timers_set(), 0);
}

static void tick_and_end(void *arg)
{
	(void)arg;
	everywhere = ticker(PERIOD);
	CHECK_EQ(tuck_chan_share(everywhere), 0);
	atomic_store(&received, 1);
	WAIT_FOR(enough);
}

TEST(a_ticker_ends_with_its_proc)
{
	int proc = start(tick_and_end, NULL);
	tuck_ns at;

	WAIT_FOR(received);
	CHECK_EQ(tuck_chan_recv(everywhere, &at, patience()), 0);
	enough = true;
	join(proc);
	while (tuck_chan_count(everywhere) > 0)
		CHECK_EQ(tuck_chan_recv(everywhere, &at, patience()), 0);
	CHECK_EQ(tuck_chan_recv(everywhere, &at, patience()), -EPIPE);
	tuck_chan_free(everywhere);
}

static void tick_and_go(void *arg)
{
	(void)arg;
	everywhere = ticker(PERIOD);
}

TEST(a_ticker_ends_with_its_proc_before_its_first_use)
{
	tuck_ns at;

	join(start(tick_and_go, NULL));
	CHECK_EQ(tuck_chan_recv(everywhere, &at, patience()), -EPIPE);
	tuck_chan_free(everywhere);
}

/* Freed here while its proc ends there: who is later finds all in order. */
TEST(tickers_freed_while_their_procs_end)
{
	for (int i = 0; i < 100 / PATIENCE; i++) {
		int proc;

		received = 0;
		enough = false;
		proc = start(tick_and_end, NULL);
		WAIT_FOR(received);
		enough = true;
		if (i % 2)
			tuck_sleep(tuck_after(TUCK_US(i * 10)));
		tuck_chan_free(everywhere);
		join(proc);
	}
}
