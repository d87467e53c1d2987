/* SPDX-License-Identifier: MIT */
/*
 * The lack of memory: each scenario runs with its 1st, 2nd, 3rd ... request
 * for memory failing, once and for good, until none fails any more. Each
 * failure must be a clean -ENOMEM, and the scenario works afterwards.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <tuck.h>

#include "base/mem.h"
#include "trace.h"

/* A scenario in a process of its own: 0 or -ENOMEM. */
typedef int scenario_fn(void);

/* Of what its tasklets met: 0 or -ENOMEM, and how many run. */
static int met, live;

static void note(int r)
{
	if (r < 0) {
		CHECK_EQ(r, -ENOMEM);
		met = r;
	}
}

static tuck_id try_go(void (*fn)(void *), void *arg)
{
	tuck_id id = tuck_go(fn, arg);

	note(id < 0 ? (int)id : 0);
	live += id > 0;
	return id;
}

static void wait_for_all(void)
{
	while (live > 0)
		tuck_yield();
}

enum { WENT = 0, NO_MORE = 42 };

/* In a child: fail, then work. */
static void fail_at(scenario_fn *run, long nth, int lasting)
{
	struct tuck_stats stats;
	long seen;
	int r;

	use_slots(1);
	tuck__fault_set(nth, lasting);
	r = run();
	seen = tuck__fault_count();
	tuck__fault_set(0, 0);
	CHECK(r == 0 || r == -ENOMEM);
	if (seen < nth) {
		CHECK_EQ(r, 0);
		exit(NO_MORE);
	}
	CHECK_EQ(run(), 0);
	CHECK_EQ(tuck_stats(&stats), 0);
	CHECK_EQ(stats.tasklets, 1);
	exit(WENT);
}

static int in_child(scenario_fn *run, long nth, int lasting)
{
	int status, fd;
	pid_t pid = check_fork(&fd);

	if (pid == 0) {
		close(fd);
		fail_at(run, nth, lasting);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	close(fd);
	if (WIFEXITED(status) && WEXITSTATUS(status) != TEST_FAILED)
		return WEXITSTATUS(status);
	fprintf(stderr, "# failing request %ld, lasting %d\n", nth, lasting);
	if (WIFSIGNALED(status))
		CHECK_EQ(WTERMSIG(status), 0);
	_exit(TEST_FAILED);	/* the child has said why */
}

static void scenario(scenario_fn *run, long least)
{
	for (int lasting = 0; lasting < 2; lasting++) {
		long nth = 1;

		while (in_child(run, nth, lasting) != NO_MORE)
			nth++;
		CHECK(nth > least);
		fprintf(stderr, "# %ld requests\n", nth - 1);
	}
}

/* -- go -- */

static void touch_stack(void *arg)
{
	volatile char pad[2000];

	KEEP(pad);
	memset((char *)pad, 1, sizeof(pad));
	CHECK(!arg || pad[77] == 1);
	live--;
}

static int go_some(void)
{
	met = 0;
	for (int i = 0; i < 5; i++)
		try_go(touch_stack, NULL);
	wait_for_all();
	return met;
}

TEST(go)
{
	scenario(go_some, 4);
}

static int go_with_attributes(void)
{
	struct tuck_attr attr = { .name = "named", .stack_bytes = 20000 };

	met = 0;
	for (int i = 0; i < 3; i++) {
		tuck_id id = tuck_go_with(&attr, touch_stack, NULL);

		note(id < 0 ? (int)id : 0);
		live += id > 0;
	}
	wait_for_all();
	return met;
}

TEST(go_with_an_own_stack)
{
	scenario(go_with_attributes, 5);
}

static int find_self(void)
{
	tuck_id id = tuck_self();

	CHECK(id > 0 || id == -ENOMEM);
	return id < 0 ? (int)id : 0;
}

TEST(first_call)
{
	scenario(find_self, 2);
}

/* -- yield -- */

static void fill(volatile char *pad, int n, int key)
{
	for (int i = 0; i < n; i++)
		pad[i] = (char)(key + i);
}

static void check_filled(const volatile char *pad, int n, int key)
{
	for (int i = 0; i < n; i++)
		CHECK_EQ(pad[i], (char)(key + i));
}

/* Without memory it runs on, with all of its bytes. */
static void yield_deeply(void *arg)
{
	volatile char pad[9000];
	int key = (int)(intptr_t)arg;

	fill(pad, sizeof(pad), key);
	for (int i = 0; i < 4; i++) {
		errno = key;
		tuck_yield();
		CHECK_EQ(errno, key);
		check_filled(pad, sizeof(pad), key);
	}
	live--;
}

static int yield_around(void)
{
	met = 0;
	for (intptr_t i = 1; i <= 6; i++)
		try_go(yield_deeply, (void *)(i * 10));
	wait_for_all();
	return met;
}

TEST(yield)
{
	scenario(yield_around, 4);
}

/* -- block, sleep, join, transfer -- */

static tuck_id ids[8];

static void block_deeply(void *arg)
{
	volatile char pad[5000];
	int key = (int)(intptr_t)arg;

	fill(pad, sizeof(pad), key);
	note(tuck_block(TUCK_FOREVER));
	check_filled(pad, sizeof(pad), key);
	note(tuck_block(tuck_after(TUCK_SEC(100))));
	check_filled(pad, sizeof(pad), key);
	live--;
}

/* Who could not block has ended; the others are woken twice. */
static int block_around(void)
{
	met = 0;
	for (intptr_t i = 0; i < 6; i++)
		ids[i] = try_go(block_deeply, (void *)i);
	while (live > 0) {
		for (int i = 0; i < 6; i++)
			if (ids[i] > 0)
				tuck_unblock(ids[i]);
		tuck_yield();
	}
	return met;
}

TEST(block)
{
	scenario(block_around, 4);
}

static void sleep_deeply(void *arg)
{
	volatile char pad[5000];
	int key = (int)(intptr_t)arg;

	fill(pad, sizeof(pad), key);
	for (int i = 0; i < 3; i++) {
		note(tuck_sleep(tuck_after(TUCK_US(50))));
		check_filled(pad, sizeof(pad), key);
	}
	live--;
}

static int sleep_around(void)
{
	met = 0;
	for (intptr_t i = 0; i < 70; i++)	/* the heap grows, too */
		try_go(sleep_deeply, (void *)i);
	note(tuck_sleep(tuck_after(TUCK_US(10))));
	wait_for_all();
	return met;
}

TEST(sleep)
{
	scenario(sleep_around, 5);
}

static void join_deeply(void *arg)
{
	volatile char pad[3000];
	int r;

	fill(pad, sizeof(pad), 5);
	r = tuck_join(*(tuck_id *)arg, TUCK_FOREVER);
	check_filled(pad, sizeof(pad), 5);
	if (r != -ESRCH)
		note(r);
	live--;
}

static int join_around(void)
{
	met = 0;
	ids[0] = try_go(yield_deeply, (void *)3);
	for (int i = 0; i < 4 && ids[0] > 0; i++)
		try_go(join_deeply, &ids[0]);
	if (ids[0] > 0)
		join_deeply((live++, &ids[0]));
	wait_for_all();
	return met;
}

TEST(join)
{
	scenario(join_around, 4);
}

static void transfer_deeply(void *arg)
{
	volatile char pad[3000];

	int r;

	fill(pad, sizeof(pad), 6);
	r = tuck_transfer(*(tuck_id *)arg);
	if (r != -ESRCH)
		note(r);
	check_filled(pad, sizeof(pad), 6);
	live--;
}

/* It transfers to a tasklet that shares its stack. */
static int transfer_around(void)
{
	met = 0;
	ids[0] = try_go(transfer_deeply, &ids[1]);
	ids[1] = ids[0] > 0 ? try_go(yield_deeply, (void *)9) : -1;
	if (ids[1] < 0 && ids[0] > 0) {
		CHECK_EQ(tuck_drop(ids[0]), 0);
		live--;
	}
	while (live > 0) {
		tuck_yield();
		if (live == 1 && ids[0] > 0)
			tuck_unblock(ids[0]);
	}
	return met;
}

TEST(transfer)
{
	scenario(transfer_around, 4);
}

/* -- channels -- */

static struct tuck_chan *chan;
static int sent, received;

static void send_deeply(void *arg)
{
	volatile char pad[3000];
	int elem, r;

	fill(pad, sizeof(pad), 1);
	for (int i = 0; i < 4; i++) {
		elem = (int)(intptr_t)arg * 100 + i;
		r = tuck_chan_send(chan, &elem, TUCK_FOREVER);
		if (r != -EPIPE)
			note(r);
		sent += r == 0;
		check_filled(pad, sizeof(pad), 1);
	}
	live--;
}

static void recv_deeply(void *arg)
{
	volatile char pad[3000];
	int elem = -1, r = 0;

	(void)arg;
	fill(pad, sizeof(pad), 2);
	while (r == 0) {
		r = tuck_chan_recv(chan, &elem, TUCK_FOREVER);
		received += r == 0;
		check_filled(pad, sizeof(pad), 2);
	}
	if (r != -EPIPE)
		note(r);
	live--;
}

/* Once nothing moves any more, close; what was sent was received. */
static int pass(size_t capacity)
{
	struct tuck_stats stats;

	met = sent = received = 0;
	chan = chan_new(sizeof(int), capacity);
	if (!chan)
		return -ENOMEM;
	for (intptr_t i = 0; i < 3; i++) {
		try_go(send_deeply, (void *)i);
		try_go(recv_deeply, NULL);
	}
	while (live > 0) {
		tuck_yield();
		CHECK_EQ(tuck_stats(&stats), 0);
		if (stats.ready == 0 && tuck_chan_close(chan) < 0)
			CHECK_EQ(live, 0);
	}
	CHECK_EQ(tuck_chan_balance(chan), 0);
	CHECK_EQ(sent, received + (int)tuck_chan_count(chan));
	if (!met)
		CHECK_EQ(received, 12);
	tuck_chan_free(chan);
	return met;
}

static int pass_by_rendezvous(void)
{
	return pass(0);
}

static int pass_by_buffer(void)
{
	return pass(2);
}

TEST(channel)
{
	scenario(pass_by_rendezvous, 5);
}

TEST(buffered_channel)
{
	scenario(pass_by_buffer, 6);
}

/* -- select -- */

static void select_deeply(void *arg)
{
	volatile char pad[3000];
	int elem = 1, r = 0;
	struct tuck_case cases[] = {
		{ chan, arg ? TUCK_SEND : TUCK_RECV, &elem, 0 },
		{ NULL, TUCK_RECV, NULL, 0 },
		{ chan, arg ? TUCK_SEND : TUCK_RECV, &elem, 0 },
	};

	fill(pad, sizeof(pad), 3);
	for (int i = 0; i < 4 && r >= 0; i++) {
		r = tuck_select(cases, 3, TUCK_FOREVER);
		check_filled(pad, sizeof(pad), 3);
		if (r < 0 || cases[r].ret_err)
			break;
		*(arg ? &sent : &received) += 1;
	}
	note(r < 0 ? r : 0);
	live--;
}

static int select_around(void)
{
	struct tuck_stats stats;

	met = sent = received = 0;
	chan = chan_new(sizeof(int), 0);
	if (!chan)
		return -ENOMEM;
	for (int i = 0; i < 6; i++)
		try_go(select_deeply, i % 2 ? "" : NULL);
	while (live > 0) {
		tuck_yield();
		CHECK_EQ(tuck_stats(&stats), 0);
		if (stats.ready == 0 && tuck_chan_close(chan) < 0)
			CHECK_EQ(live, 0);
	}
	CHECK_EQ(tuck_chan_balance(chan), 0);
	CHECK_EQ(sent, received);
	if (!met)
		CHECK_EQ(received, 12);
	tuck_chan_free(chan);
	return met;
}

TEST(select)
{
	scenario(select_around, 5);
}

/* -- kill, cleanups, locals -- */

static int ended;

static void count_end(void *arg)
{
	(void)arg;
	ended++;
}

static struct tuck_local own = { .end = count_end };

static void defer_and_block(void *arg)
{
	volatile char pad[3000];

	fill(pad, sizeof(pad), 5);
	note(tuck_local_set(&own, &own));
	note(tuck_defer(count_end, NULL));
	note(tuck_defer(count_end, NULL));
	note(tuck_block(TUCK_FOREVER));
	check_filled(pad, sizeof(pad), 5);
	(void)arg;
}

static uint64_t count_tasklets(void)
{
	struct tuck_stats stats;

	return tuck_stats(&stats) < 0 ? 0 : stats.tasklets; /* no proc: none */
}

/* The unwinding itself needs no memory. */
static int kill_some(void)
{
	tuck_id victims[5];
	int r;

	met = ended = 0;
	for (int i = 0; i < 5; i++)
		victims[i] = try_go(defer_and_block, NULL);
	live = 0;
	for (int i = 0; i < 5; i++)
		tuck_yield();
	for (int i = 0; i < 5; i++) {
		r = tuck_kill(victims[i]);
		CHECK(r == 0 || (met && r == -ESRCH));
	}
	while (count_tasklets() > 1)
		tuck_yield();
	if (!met)
		CHECK_EQ(ended, 15);
	return met;
}

TEST(kill)
{
	needs_fifo();
	scenario(kill_some, 4);
}

/* -- groups -- */

static int block_with_bytes(void *arg)
{
	volatile char pad[3000];
	int r;

	fill(pad, sizeof(pad), 6);
	r = tuck_block(TUCK_FOREVER);
	check_filled(pad, sizeof(pad), 6);
	(void)arg;
	return r;
}

static int run_group(void)
{
	struct tuck_group *g;
	int r = tuck_group_new(&g, tuck_after(TUCK_SEC(100)));

	if (r < 0)
		return r;
	met = 0;
	for (int i = 0; i < 5; i++) {
		tuck_id id = tuck_group_go(g, block_with_bytes, NULL);

		note(id < 0 ? (int)id : 0);
	}
	for (int i = 0; i < 5; i++)
		tuck_yield();
	r = tuck_group_wait(g, TUCK_GROUP_ALL, tuck_after(TUCK_MS(1)));
	CHECK(r == -ETIMEDOUT || r == -ENOMEM || (met && r == 0));
	note(r == -ENOMEM ? r : 0);
	note(tuck_group_free(g));
	CHECK_EQ(count_tasklets(), 1);
	return met;
}

TEST(group)
{
	needs_fifo();
	scenario(run_group, 4);
}
