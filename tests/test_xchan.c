/* SPDX-License-Identifier: MIT */
/* Channels between procs: how they become shared, and what holds then. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <tuck.h>

#include "base/mem.h"
#include "task/task.h"
#include "trace.h"

#define PROCS 4

static tuck_ns in_ms(int n)
{
	return tuck_after(PATIENCE * TUCK_MS(n));
}

static struct tuck_chan *new_chan(size_t elem_bytes, size_t capacity)
{
	struct tuck_chan *chan = tuck_chan_new(elem_bytes, capacity);

	CHECK(chan);
	return chan;
}

static int start(void (*fn)(void *), void *arg)
{
	int proc = tuck_proc_start(NULL, fn, arg);

	CHECK(proc >= 0);
	return proc;
}

static void join(int proc)
{
	CHECK_EQ(tuck_proc_join(proc, TUCK_FOREVER), 0);
}

/* Until all others of this proc wait, whatever had been sent to them. */
static void settle(void)
{
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);	/* looks */
	let_others_wait();
}

static void wait_for(atomic_int *n, int value)
{
	while (atomic_load(n) < value)
		tuck_sleep(tuck_after(TUCK_US(100)));
}

static void send_int(struct tuck_chan *chan, int elem)
{
	CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_FOREVER), 0);
}

static int recv_int(struct tuck_chan *chan)
{
	int elem = -1;

	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_FOREVER), 0);
	return elem;
}

/* -- elements -- */

#define ROUNDS 12

static struct flow {
	struct tuck_chan *chan;
	size_t bytes;
	atomic_int done;
} flow;

static unsigned char pattern(int round, size_t i)
{
	return (unsigned char)(round * 37 + i * 11 + (i >> 8) * 5 + 1);
}

static void send_rounds(void *arg)
{
	unsigned char elem[TUCK_ELEM_BYTES_MAX];

	(void)arg;
	for (int r = 0; r < ROUNDS; r++) {
		for (size_t i = 0; i < flow.bytes; i++)
			elem[i] = pattern(r, i);
		if (r % 3 == 0)
			tuck_sleep(tuck_after(TUCK_US(300)));
		CHECK_EQ(tuck_chan_send(flow.chan, elem, TUCK_FOREVER), 0);
	}
	atomic_fetch_add(&flow.done, 1);
}

#define FENCE 64

/* What lies around the element stays. */
static void recv_rounds(void *arg)
{
	unsigned char elem[FENCE + TUCK_ELEM_BYTES_MAX + FENCE];
	size_t end = FENCE + flow.bytes + FENCE;

	(void)arg;
	for (int r = 0; r < ROUNDS; r++) {
		memset(elem, 0xee, sizeof(elem));
		if (r % 3 == 1)
			tuck_sleep(tuck_after(TUCK_US(300)));
		CHECK_EQ(tuck_chan_recv(flow.chan, elem + FENCE, TUCK_FOREVER),
			 0);
		for (size_t i = 0; i < FENCE; i++)
			CHECK(elem[i] == 0xee && elem[end - 1 - i] == 0xee);
		for (size_t i = 0; i < flow.bytes; i++)
			CHECK_EQ(elem[FENCE + i], pattern(r, i));
	}
	atomic_fetch_add(&flow.done, 1);
}

static void fill_stack(void *arg)
{
	volatile char bytes[70000];

	(void)arg;
	for (int n = 0; n < 30; n++) {
		memset((char *)bytes, 0x55 + n, sizeof(bytes));
		tuck_yield();
	}
}

static const size_t sizes[] = { 0, 1, 8, 63, 4096, TUCK_ELEM_BYTES_MAX };

static void pass(void (*here)(void *), void (*there)(void *))
{
	for (size_t capacity = 0; capacity < 3; capacity += 2)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			int proc;

			flow.bytes = sizes[i];
			flow.chan = new_chan(sizes[i], capacity);
			flow.done = 0;
			go(fill_stack, NULL);
			go(here, NULL);
			go(fill_stack, NULL);
			settle();
			proc = start(there, NULL);
			join(proc);
			wait_for(&flow.done, 2);
			CHECK_EQ(tuck_chan_count(flow.chan), 0);
			CHECK_EQ(tuck_chan_balance(flow.chan), 0);
			tuck_chan_free(flow.chan);
		}
}

TEST(elements_arrive_from_elsewhere)
{
	pass(recv_rounds, send_rounds);
}

TEST(elements_arrive_elsewhere)
{
	pass(send_rounds, recv_rounds);
}

TEST(elements_arrive_at_tucked_tasklets)
{
	use_slots(1);
	pass(recv_rounds, send_rounds);
}

TEST(elements_arrive_from_tucked_tasklets)
{
	use_slots(1);
	pass(send_rounds, recv_rounds);
}

static void echo(void *arg)
{
	struct tuck_chan *chan = arg, *back;

	while (tuck_chan_recv(chan, &back, TUCK_FOREVER) == 0) {
		send_int(back, 7);
		CHECK_EQ(tuck_chan_close(back), 0);
	}
}

TEST(channel_of_channels)
{
	struct tuck_chan *chan = new_chan(sizeof(void *), 0), *back;
	int proc = start(echo, chan), elem;

	for (int i = 0; i < 50; i++) {
		back = new_chan(sizeof(int), (size_t)i % 3);
		CHECK_EQ(tuck_chan_send(chan, &back, TUCK_FOREVER), 0);
		CHECK_EQ(recv_int(back), 7);
		CHECK_EQ(tuck_chan_recv(back, &elem, TUCK_FOREVER), -EPIPE);
		tuck_chan_free(back);
	}
	CHECK_EQ(tuck_chan_close(chan), 0);
	join(proc);
	tuck_chan_free(chan);
}

/* -- becoming shared -- */

static struct tuck_chan *first, *second;

static void recv_letter(void *name)
{
	int elem = recv_int(first);

	mark(*(const char *)name);
	mark('0' + elem);
}

static void select_letter(void *name)
{
	int elem = -1;
	struct tuck_case cases[] = {
		{ .chan = second, .op = TUCK_RECV, .elem = &elem },
		{ .chan = first, .op = TUCK_RECV, .elem = &elem },
	};
	int i = tuck_select(cases, 2, TUCK_FOREVER);

	CHECK(i >= 0);
	CHECK_EQ(cases[i].ret_err, elem < 0 ? -EIO : 0);
	mark(*(const char *)name);
	mark(i ? 'F' : 'S');
	mark(elem < 0 ? 'E' : '0' + elem);
}

static void send_four(void *arg)
{
	(void)arg;
	for (int i = 1; i <= 4; i++)
		send_int(first, i);
}

/* a, c: plain; b, d: selects, of which one waits in two channels first. */
TEST(receivers_keep_their_places)
{
	needs_fifo();
	first = new_chan(sizeof(int), 0);
	second = new_chan(sizeof(int), 0);
	go(recv_letter, "a");
	go(select_letter, "b");
	go(recv_letter, "c");
	go(select_letter, "d");
	settle();
	join(start(send_four, NULL));
	settle();
	CHECK_TRACE("a1bF2c3dF4");
	CHECK_EQ(tuck_chan_balance(first), 0);
	CHECK_EQ(tuck_chan_balance(second), 0);
	tuck_chan_free(first);
	tuck_chan_free(second);
}

static void send_letter(void *name)
{
	send_int(first, *(const char *)name);
	mark(*(const char *)name);
}

static void fail_letter(void *name)
{
	CHECK_EQ(tuck_chan_fail(first, -*(const char *)name, TUCK_FOREVER), 0);
	mark(*(const char *)name);
}

static void select_send(void *name)
{
	int elem = *(const char *)name, other = 1;
	struct tuck_case cases[] = {
		{ .chan = second, .op = TUCK_RECV, .elem = &other },
		{ .op = TUCK_RECV },
		{ .chan = first, .op = TUCK_SEND, .elem = &elem },
	};

	CHECK_EQ(tuck_select(cases, 3, TUCK_FOREVER), 2);
	CHECK_EQ(cases[2].ret_err, 0);
	mark(*(const char *)name);
}

static void recv_four(void *arg)
{
	char *text = arg;

	for (int i = 0; i < 4; i++) {
		int elem = -1, r = tuck_chan_recv(first, &elem, TUCK_FOREVER);

		text[i] = (char)(r < 0 ? -r : elem);
	}
}

TEST(senders_keep_their_places)
{
	char text[5] = "";

	needs_fifo();
	first = new_chan(sizeof(int), 0);
	second = new_chan(sizeof(int), 0);
	go(send_letter, "a");
	go(fail_letter, "b");
	go(select_send, "c");
	go(send_letter, "d");
	settle();
	join(start(recv_four, text));
	settle();
	CHECK_STR(text, "abcd");
	CHECK_TRACE("abcd");
	tuck_chan_free(first);
	tuck_chan_free(second);
}

static void send_second(void *arg)
{
	send_int(arg, 5);
}

static void fail_second(void *arg)
{
	CHECK_EQ(tuck_chan_fail(arg, -EIO, TUCK_FOREVER), 0);
}

/* A select that waits takes its other channels along. */
TEST(channels_of_a_select_go_together)
{
	first = new_chan(sizeof(int), 0);
	second = new_chan(sizeof(int), 0);
	go(select_letter, "x");
	settle();
	join(start(send_second, second));
	settle();
	CHECK_TRACE("xS5");
	go(select_letter, "x");
	go(recv_letter, "y");
	settle();
	send_int(second, 6);
	send_int(first, 7);
	settle();
	CHECK_TRACE("xS6y7");
	go(select_letter, "x");
	settle();
	join(start(fail_second, first));
	settle();
	CHECK_TRACE("xFE");
	tuck_chan_free(first);
	tuck_chan_free(second);
}

/* Nobody but this proc, which uses both kinds of channels then. */
static void send_or_recv_second(void *arg)
{
	int elem = 7;
	struct tuck_case cases[] = {
		{ .chan = first, .op = TUCK_SEND, .elem = &elem },
		{ .chan = second, .op = TUCK_RECV, .elem = arg },
	};

	CHECK_EQ(tuck_select(cases, 2, TUCK_FOREVER), 1);
	CHECK_EQ(cases[1].ret_err, 0);
}

static void look_at_sender(void *arg)
{
	CHECK_EQ(tuck_chan_balance(arg), 1);
}

/* It waits among the senders of the one that another proc uses. */
TEST(channels_of_a_select_that_sends_go_together)
{
	int elem = 0;

	first = new_chan(sizeof(int), 0);
	second = new_chan(sizeof(int), 0);
	go(send_or_recv_second, &elem);
	settle();
	join(start(look_at_sender, first));
	send_int(second, 9);
	settle();
	CHECK_EQ(elem, 9);
	CHECK_EQ(tuck_chan_balance(first), 0);
	tuck_chan_free(first);
	tuck_chan_free(second);
}

static int wait_too_late(void *arg)
{
	int elem = 1;
	struct tuck_case c = { .chan = arg, .op = TUCK_SEND, .elem = &elem };

	CHECK_EQ(tuck_chan_recv(arg, &elem, TUCK_FOREVER), -ETIME);
	CHECK_EQ(tuck_chan_send(arg, &elem, in_ms(60000)), -ETIME);
	CHECK_EQ(tuck_chan_fail(arg, -EIO, TUCK_FOREVER), -ETIME);
	CHECK_EQ(tuck_select(&c, 1, TUCK_FOREVER), -ETIME);
	CHECK_EQ(tuck_chan_recv(arg, &elem, TUCK_NOWAIT), -EAGAIN);
	return 0;
}

TEST(a_groups_deadline_ends_waits_at_shared_channels)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 0);
	struct tuck_group *group;

	CHECK_EQ(tuck_chan_share(chan), 0);
	CHECK_EQ(tuck_group_new(&group, in_ms(2)), 0);
	CHECK(tuck_group_go(group, wait_too_late, chan) > 0);
	CHECK_EQ(tuck_group_wait(group, TUCK_GROUP_ALL, in_ms(20000)), 0);
	CHECK_EQ(tuck_group_free(group), 0);
	tuck_chan_free(chan);
}

TEST(a_select_waits_on_no_two_kinds_of_channels)
{
	first = new_chan(sizeof(int), 0);
	second = new_chan(sizeof(int), 0);
	go(select_letter, "x");
	settle();
	CHECK_EQ(tuck_chan_share(first), 0);
	CHECK_EQ(tuck_chan_balance(second), -1);
	send_int(second, 5);
	settle();
	CHECK_TRACE("xS5");
	second = new_chan(sizeof(int), 0);
	go(select_letter, "x");		/* a new one at home, an old one not */
	settle();
	CHECK_EQ(tuck_chan_balance(first), -1);
	send_int(second, 6);
	settle();
	CHECK_TRACE("xS6");
	CHECK_EQ(tuck_chan_balance(first), 0);
	tuck_chan_free(first);
	tuck_chan_free(second);
}

static void look_at(void *arg)
{
	struct tuck_chan *chan = arg;
	int elem = 0;

	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_NOWAIT), 0);
	CHECK_EQ(elem, 3);
	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_chan_recv(chan, &elem, in_ms(1)), -ETIMEDOUT);
}

TEST(the_first_use_waits_for_the_home_even_with_nowait)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 1);

	send_int(chan, 3);
	join(start(look_at, chan));
	tuck_chan_free(chan);
}

static atomic_int arrived;

static void be_late(void *arg)
{
	int elem = 0;

	atomic_fetch_add(&arrived, 1);
	CHECK_EQ(tuck_chan_recv(arg, &elem, in_ms(1)), -ETIMEDOUT);
	atomic_fetch_add(&arrived, 1);
}

static void be_cancelled(void *arg)
{
	int elem = 0;

	CHECK_EQ(tuck_chan_recv(arg, &elem, TUCK_FOREVER), -ECANCELED);
	atomic_fetch_add(&arrived, 1);
}

static void be_killed(void *arg)
{
	int elem = 0;

	tuck_chan_recv(arg, &elem, TUCK_FOREVER);
	CHECK(!"killed");
}

static void give_up(void *arg)
{
	tuck_id killed = go(be_killed, arg), cancelled = go(be_cancelled, arg);
	tuck_id dropped = go(be_killed, arg);

	settle();
	CHECK_EQ(tuck_kill(killed), 0);
	CHECK_EQ(tuck_cancel(cancelled), 0);
	CHECK_EQ(tuck_drop(dropped), 0);
	be_late(arg);
}

/* This proc, which made the channel, does not look meanwhile. */
TEST(who_asks_may_give_up)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 1);
	int proc = start(give_up, chan);

	while (atomic_load(&arrived) < 3)
		usleep(100);
	join(proc);
	send_int(chan, 1);
	CHECK_EQ(recv_int(chan), 1);
	tuck_chan_free(chan);
}

/* -- who must not wait asks all the same, for what need not wait -- */

static void use_at_once(struct tuck_chan *chan)
{
	int elem = 5;

	CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_NOWAIT), 0);
	tuck_chan_free(chan);
}

static void close_at_once(struct tuck_chan *chan)
{
	CHECK_EQ(tuck_chan_close(chan), 0);
	CHECK_EQ(tuck_chan_count(chan), 2);
	tuck_chan_free(chan);
}

static void look_at_once(struct tuck_chan *chan)
{
	CHECK_EQ(tuck_chan_count(chan), 2);
	tuck_chan_free(chan);
}

static void prefer_at_once(struct tuck_chan *chan)
{
	CHECK_EQ(tuck_chan_prefer(chan, TUCK_PREFER_SENDER), 0);
	tuck_chan_free(chan);
}

static void select_at_once(struct tuck_chan *chan)
{
	int elem = 0;
	struct tuck_case c = { .chan = chan, .op = TUCK_RECV, .elem = &elem };

	CHECK_EQ(tuck_select(&c, 1, TUCK_NOWAIT), 0);
	CHECK_EQ(elem, 7);
	tuck_chan_free(chan);
}

#define AT_ONCE 5

static void (*const at_once[AT_ONCE])(struct tuck_chan *) = {
	use_at_once,	close_at_once,	look_at_once,
	prefer_at_once, select_at_once,
};

static struct tuck_chan **make_for_each(void)
{
	static struct tuck_chan *chans[AT_ONCE];

	for (int i = 0; i < AT_ONCE; i++) {
		chans[i] = new_chan(sizeof(int), 3);
		send_int(chans[i], 7);
		send_int(chans[i], 7);
	}
	return chans;
}

static void use_each_cancelled(void *arg)
{
	struct tuck_chan **chans = arg;

	CHECK_EQ(tuck_cancel(tuck_self()), 0);
	for (int i = 0; i < AT_ONCE; i++)
		at_once[i](chans[i]);
	CHECK_EQ(tuck_uncancel(), 1);
}

TEST(one_that_is_cancelled_asks)
{
	join(start(use_each_cancelled, make_for_each()));
}

static int use_each_late(void *arg)
{
	struct tuck_chan **chans = arg;

	CHECK_EQ(tuck_block(TUCK_FOREVER), -ETIME);
	for (int i = 0; i < AT_ONCE; i++)
		at_once[i](chans[i]);
	return 0;
}

static void use_each_in_group(void *arg)
{
	struct tuck_group *group;

	CHECK_EQ(tuck_group_new(&group, in_ms(1)), 0);
	CHECK(tuck_group_go(group, use_each_late, arg) > 0);
	CHECK_EQ(tuck_group_wait(group, TUCK_GROUP_ALL, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_group_free(group), 0);
}

TEST(one_whose_group_is_late_asks)
{
	join(start(use_each_in_group, make_for_each()));
}

static void close_it_at_once(void *arg)
{
	close_at_once(arg);
}

static void cancel_who_closes(void *arg)
{
	tuck_id id = go(close_it_at_once, arg);

	settle();
	CHECK_EQ(tuck_cancel(id), 0);
	settle();
	CHECK_EQ(tuck_cancel(id), 0);
	atomic_fetch_add(&arrived, 1);
	CHECK_EQ(tuck_join(id, TUCK_FOREVER), 0);
}

/* This proc does not look until the other one has been cancelled twice. */
TEST(a_close_that_is_cancelled_while_it_asks_is_done)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 2);
	int proc;

	send_int(chan, 1);
	send_int(chan, 2);
	proc = start(cancel_who_closes, chan);
	while (atomic_load(&arrived) < 1)
		usleep(100);
	join(proc);
}

/* -- freed while others ask -- */

#define REMEMBERED 64

static struct tuck_chan *asked;
static atomic_int step, ended;

static void spin_until(int n)
{
	while (atomic_load(&step) < n)
		usleep(10);
}

/* So that it is forgotten, too. */
static void free_many(struct tuck_chan *chan)
{
	tuck_chan_free(chan);
	for (int i = 0; i <= REMEMBERED; i++)
		tuck_chan_free(new_chan(sizeof(int), 0));
}

static void ask_to_send(void *arg)
{
	int elem = 0;

	(void)arg;
	CHECK_EQ(tuck_chan_send(asked, &elem, TUCK_FOREVER), -EPIPE);
	atomic_fetch_add(&ended, 1);
}

static void ask_to_recv(void *arg)
{
	int elem = 0;

	(void)arg;
	CHECK_EQ(tuck_chan_recv(asked, &elem, in_ms(60000)), -EPIPE);
	atomic_fetch_add(&ended, 1);
}

static void ask_to_fail(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_chan_fail(asked, -EIO, TUCK_NOWAIT), -EPIPE);
	atomic_fetch_add(&ended, 1);
}

static void ask_to_select(void *arg)
{
	int elem = 0;
	struct tuck_case cases[] = {
		{ .chan = NULL },
		{ .chan = asked, .op = TUCK_RECV, .elem = &elem },
	};

	(void)arg;
	CHECK_EQ(tuck_select(cases, 2, TUCK_FOREVER), 1);
	CHECK_EQ(cases[1].ret_err, -EPIPE);
	atomic_fetch_add(&ended, 1);
}

static void ask_to_close(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_chan_close(asked), -EPIPE);
	atomic_fetch_add(&ended, 1);
}

static void ask_to_look(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_chan_count(asked), 0);
	CHECK_EQ(tuck_chan_balance(asked), 0);
	atomic_fetch_add(&ended, 1);
}

static void ask_to_share(void *arg)
{
	CHECK_EQ(tuck_chan_share(asked), *(int *)arg);
	atomic_fetch_add(&ended, 1);
}

static void ask_to_prefer(void *arg)
{
	CHECK_EQ(tuck_chan_prefer(asked, TUCK_PREFER_SENDER), *(int *)arg);
	atomic_fetch_add(&ended, 1);
}

static void ask_to_end(void *arg)
{
	int elem = 0;

	tuck_chan_recv(arg, &elem, TUCK_FOREVER);
	CHECK(!"killed");
}

static void (*const ways_to_ask[])(void *arg) = {
	ask_to_send,  ask_to_recv, ask_to_fail,	 ask_to_select,
	ask_to_close, ask_to_look, ask_to_share, ask_to_prefer,
};

/* Those who are ready hold it; those who end do not. */
static void ask_in_all_ways(void *arg)
{
	int n = sizeof(ways_to_ask) / sizeof(ways_to_ask[0]);
	tuck_id killed = go(ask_to_end, asked), dropped;

	dropped = go(ask_to_end, asked);
	for (int i = 0; i < n; i++)
		go(ways_to_ask[i], arg);
	settle();
	atomic_store(&step, 1);
	spin_until(2);			/* the home has answered */
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);	/* all are ready */
	atomic_store(&step, 3);
	spin_until(4);
	CHECK_EQ(tuck_kill(killed), 0);
	CHECK_EQ(tuck_drop(dropped), 0);
	while (ended < n)
		tuck_yield();
}

TEST(freed_after_the_home_has_answered)
{
	int proc, r = 0;

	asked = new_chan(sizeof(int), 0);
	proc = start(ask_in_all_ways, &r);
	spin_until(1);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);	/* answers */
	atomic_store(&step, 2);
	spin_until(3);
	free_many(asked);
	atomic_store(&step, 4);
	join(proc);
}

TEST(freed_before_the_home_has_answered)
{
	int proc, r = -EPIPE;

	asked = new_chan(sizeof(int), 1);
	send_int(asked, 1);
	proc = start(ask_in_all_ways, &r);
	spin_until(1);
	free_many(asked);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);	/* answers */
	atomic_store(&step, 2);
	spin_until(3);
	atomic_store(&step, 4);
	join(proc);
}

static void make_and_compute(void *arg)
{
	(void)arg;
	second = new_chan(sizeof(int), 0);
	atomic_store(&step, 1);
	spin_until(2);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);	/* answers */
}

static void select_between(void *arg)
{
	int elem = 0;
	struct tuck_case cases[] = {
		{ .chan = second, .op = TUCK_RECV, .elem = &elem },
		{ .chan = arg, .op = TUCK_RECV, .elem = &elem },
	};

	CHECK_EQ(tuck_select(cases, 2, TUCK_FOREVER), 1);
	CHECK_EQ(cases[1].ret_err, -EPIPE);
	atomic_fetch_add(&ended, 1);
}

static void end_one_while_a_select_asks(void (*end)(struct tuck_chan *))
{
	struct tuck_chan *chan = new_chan(sizeof(int), 1);
	int proc = start(make_and_compute, NULL);

	spin_until(1);
	go(select_between, chan);
	settle();
	end(chan);
	atomic_store(&step, 2);
	while (ended < 1)
		tuck_yield();
	join(proc);
	tuck_chan_free(second);
}

TEST(freed_while_a_select_asks_for_another)
{
	end_one_while_a_select_asks(free_many);
}

static void *use_from_thread(void *arg)
{
	send_int(arg, recv_int(arg) + 1);
	CHECK_EQ(tuck_chan_count(arg), 1);
	return NULL;
}

TEST(a_shared_one_needs_no_home)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 1);

	send_int(chan, 4);
	CHECK_EQ(tuck_chan_share(chan), 0);
	CHECK_EQ(tuck_chan_share(chan), 0);
	on_thread(use_from_thread, chan);	/* and this one is a join */
	CHECK_EQ(recv_int(chan), 5);
	tuck_chan_free(chan);
}

/* -- the home ends -- */

static void make_and_end(void *arg)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 4);

	for (int i = 0; i < 3; i++)
		send_int(chan, i);
	*(struct tuck_chan **)arg = chan;
}

static void drain_three(void *arg)
{
	for (int i = 0; i < 3; i++)
		CHECK_EQ(recv_int(arg), i);
}

TEST(a_channel_outlives_its_home)
{
	struct tuck_chan *chan;

	join(start(make_and_end, &chan));
	CHECK_EQ(tuck_chan_count(chan), 3);
	join(start(drain_three, chan));
	CHECK_EQ(tuck_chan_count(chan), 0);
	tuck_chan_free(chan);
	join(start(make_and_end, &chan));
	tuck_chan_free(chan);
}

static _Atomic(struct tuck_chan *) given;

static void wait_and_end(void *arg)
{
	atomic_store(&given, new_chan(sizeof(int), 1));
	wait_for(&arrived, 1);
	usleep((useconds_t)(intptr_t)arg);
}

static void use_given(void *arg)
{
	struct tuck_chan *chan;

	(void)arg;
	while (!(chan = atomic_load(&given)))
		usleep(10);
	atomic_store(&arrived, 1);
	send_int(chan, 8);
	CHECK_EQ(recv_int(chan), 8);
	tuck_chan_free(chan);
}

/* The request comes before, at, or after its end. */
TEST(the_home_ends_while_others_ask)
{
	for (int i = 0; i < 100; i++) {
		int home, user;

		atomic_store(&given, NULL);
		atomic_store(&arrived, 0);
		home = start(wait_and_end, (void *)(intptr_t)(i * 3));
		user = start(use_given, NULL);
		join(home);
		join(user);
	}
}

static void exit_thread(void *arg)
{
	(void)arg;
	pthread_exit(NULL);
}

static void *wait_and_be_ended(void *arg)
{
	go(exit_thread, NULL);
	recv_int(arg);
	CHECK(!"woken");
	return NULL;
}

/* A tasklet must not end the thread; but if it does, others go on. */
TEST(a_main_tasklet_that_is_ended_leaves_its_place)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 0);
	int elem = 1;

	NOT_UNDER_TSAN("pthread_exit() on the stack of a tasklet");
	CHECK_EQ(tuck_chan_share(chan), 0);
	on_thread(wait_and_be_ended, chan);
	CHECK_EQ(tuck_chan_balance(chan), 0);
	CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_NOWAIT), -EAGAIN);
	tuck_chan_free(chan);
}

/* -- closing and freeing -- */

static struct tuck_chan *chans[3];
static void expect_pipe(void *arg)
{
	int elem = 9;
	struct tuck_case cases[] = {
		{ .chan = chans[1], .op = TUCK_RECV, .elem = &elem },
		{ .chan = chans[2], .op = TUCK_SEND, .elem = &elem },
	};
	int i;

	(void)arg;
	atomic_fetch_add(&arrived, 1);
	switch (tuck_self() % 3) {
	case 0:
		CHECK_EQ(tuck_chan_recv(chans[0], &elem, TUCK_FOREVER), -EPIPE);
		break;
	case 1:
		CHECK_EQ(tuck_chan_fail(chans[2], -1, TUCK_FOREVER), -EPIPE);
		break;
	case 2:
		i = tuck_select(cases, 2, TUCK_FOREVER);
		CHECK(i >= 0);
		CHECK_EQ(cases[i].ret_err, -EPIPE);
		break;
	}
	CHECK_EQ(elem, 9);
	atomic_fetch_add(&ended, 1);
}

static void expect_nine(void *arg)
{
	for (int i = 0; i < 9; i++)
		go(expect_pipe, arg);
	while (atomic_load(&ended) < 2 * 9)
		tuck_sleep(tuck_after(TUCK_US(100)));
}

static void end_while_they_wait(void (*end)(struct tuck_chan *chan))
{
	int proc[2];

	for (int i = 0; i < 3; i++)
		chans[i] = new_chan(sizeof(int), 0);
	for (int i = 0; i < 2; i++)
		proc[i] = start(expect_nine, NULL);
	wait_for(&arrived, 2 * 9);
	while (tuck_chan_balance(chans[2]) - tuck_chan_balance(chans[0]) <
	       2 * 9)
		tuck_sleep(tuck_after(TUCK_US(100)));
	for (int i = 0; i < 3; i++)
		end(chans[i]);
	for (int i = 0; i < 2; i++)
		join(proc[i]);
}

static void close_it(struct tuck_chan *chan)
{
	CHECK_EQ(tuck_chan_close(chan), 0);
	CHECK_EQ(tuck_chan_close(chan), -EPIPE);
}

TEST(close_wakes_who_waits_anywhere)
{
	end_while_they_wait(close_it);
	for (int i = 0; i < 3; i++)
		tuck_chan_free(chans[i]);
}

TEST(free_wakes_who_waits_anywhere)
{
	end_while_they_wait(tuck_chan_free);
}

/* So that it is forgotten, and others in its place have no elements. */
static void free_and_write_over(struct tuck_chan *chan)
{
	tuck_chan_free(chan);
	for (int i = 0; i < 2 * REMEMBERED; i++)
		tuck_chan_free(new_chan(0, 0));
}

static void recv_the_last(void *chan)
{
	CHECK_EQ(recv_int(chan), 42);
}

static void select_the_last(void *chan)
{
	int elem = 0;
	struct tuck_case cases[] = {
		{ .chan = chan, .op = TUCK_RECV, .elem = &elem },
		{ .chan = NULL }
	};

	CHECK_EQ(tuck_select(cases, 2, TUCK_FOREVER), 0);
	CHECK_EQ(elem, 42);
}

static void (*last_one)(void *chan);

/* Does not look between the send and the end of the channel. */
static void wait_for_the_last(void *chan)
{
	tuck_id id = go(last_one, chan);

	while (tuck_chan_balance(chan) != -1)
		tuck_yield();
	atomic_store(&step, 1);
	spin_until(2);
	CHECK_EQ(tuck_join(id, TUCK_FOREVER), 0);
}

TEST(freed_by_who_sent_the_last)
{
	void (*const fns[])(void *) = { recv_the_last, select_the_last };

	for (int i = 0; i < 2; i++) {
		struct tuck_chan *chan = new_chan(sizeof(int), 0);
		int proc;

		last_one = fns[i];
		atomic_store(&step, 0);
		proc = start(wait_for_the_last, chan);
		while (!atomic_load(&step))
			tuck_sleep(tuck_after(TUCK_US(100)));
		send_int(chan, 42);
		free_and_write_over(chan);
		atomic_store(&step, 2);
		join(proc);
	}
}

/*
 * A stand-in that keeps the one who looks at a channel again until that has
 * been freed and forgotten.
 */
static _Thread_local bool is_held_up;
static atomic_int held_up;

#ifdef SYS_clock_gettime64	/* where a long has 32 bits */
#define CLOCK_GETTIME SYS_clock_gettime64
#else
#define CLOCK_GETTIME SYS_clock_gettime
#endif

#if !UNDER_MSAN		/* which is to know what it writes */
int clock_gettime(clockid_t clock, struct timespec *t)
{
	if (is_held_up && atomic_load(&held_up) == 1) {
		atomic_store(&held_up, 2);
		while (atomic_load(&held_up) == 2)
			sched_yield();
	}
	return (int)syscall(CLOCK_GETTIME, clock, t);
}
#endif

static void look_for_what_is_freed(void *chan)
{
	long elem;

	tuck__tls->spin = TUCK_MS(1);
	tuck__tls->until_look = 100;
	is_held_up = true;
	atomic_store(&held_up, 1);
	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_FOREVER), -EPIPE);
	is_held_up = false;
}

/* What is given back is written over: a lock there is taken for good. */
TEST(freed_while_somebody_looks_again)
{
	struct tuck_chan *chan = new_chan(sizeof(long), 4);
	struct tuck_chan *others[3 * REMEMBERED];
	int proc, i;

	NOT_UNDER_MSAN("it has the clock that holds it up");
	for (i = 0; i < 3 * REMEMBERED; i++)
		others[i] = new_chan(0, 0);
	mallopt(M_PERTURB, 0xee);
	CHECK_EQ(tuck_chan_share(chan), 0);
	proc = start(look_for_what_is_freed, chan);
	wait_for(&held_up, 2);
	for (i = 0; i < 2 * REMEMBERED; i++)
		tuck_chan_free(others[i]);	/* libc keeps some unwritten */
	tuck_chan_free(chan);
	for (; i < 3 * REMEMBERED; i++)
		tuck_chan_free(others[i]);
	atomic_store(&held_up, 3);
	join(proc);
}

static void end_elsewhere(void *arg)
{
	struct tuck_chan *chan = arg;

	CHECK_EQ(tuck_chan_prefer(chan, TUCK_PREFER_SENDER), 0);
	CHECK_EQ(tuck_chan_prefer(chan, (enum tuck_prefer)3), -EINVAL);
	CHECK_EQ(tuck_chan_balance(chan), -2);
	CHECK_EQ(tuck_chan_count(chan), 0);
	CHECK_EQ(tuck_chan_close(chan), 0);
}

static void *be_refused(void *arg)
{
	int elem = 0;

	CHECK_EQ(tuck_chan_send(arg, NULL, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_chan_recv(arg, &elem, -1), -EINVAL);
	CHECK_EQ(tuck_chan_fail(arg, 0, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_chan_prefer(arg, (enum tuck_prefer)3), -EINVAL);
	return NULL;
}

/* Which could not answer now, for it waits for the thread's end. */
TEST(what_is_refused_asks_no_home)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 1);

	on_thread(be_refused, chan);
	tuck_chan_free(chan);
}

static void expect_end(void *arg)
{
	int elem = 0;

	CHECK_EQ(tuck_chan_recv(arg, &elem, TUCK_FOREVER), -EPIPE);
	atomic_fetch_add(&ended, 1);
}

TEST(every_call_from_elsewhere)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 2);

	go(expect_end, chan);
	go(expect_end, chan);
	settle();
	join(start(end_elsewhere, chan));
	settle();
	CHECK_EQ(ended, 2);
	tuck_chan_free(chan);
}

static void free_elsewhere(void *arg)
{
	tuck_chan_free(arg);
}

/* Its home frees it for the other proc, also if that ends at once. */
TEST(free_from_elsewhere)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 2);
	int elem = 0;

	go(expect_end, chan);
	go(expect_end, chan);
	settle();
	join(start(free_elsewhere, chan));
	settle();
	CHECK_EQ(ended, 2);
	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_NOWAIT), -EBADF);
	chan = new_chan(sizeof(int), 2);
	CHECK_EQ(tuck_chan_share(chan), 0);
	join(start(free_elsewhere, chan));
	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_NOWAIT), -EBADF);
}

static void *free_in_thread(void *arg)
{
	tuck_chan_free(arg);
	return NULL;
}

TEST(freed_twice_by_two_procs_dies)
{
	CHECK_DIES(-SIGABRT, "freed twice", {
		struct tuck_chan *chan = new_chan(4, 1);

		on_thread(free_in_thread, chan);
		tuck_chan_free(chan);
	});
}

TEST(a_wait_that_nobody_can_end)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 0);
	int elem = 0;

	CHECK_EQ(tuck_chan_share(chan), 0);
	CHECK_DIES(0, "waits for channels of several procs", {
		CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_FOREVER), -EDEADLK);
	});
	tuck_chan_free(chan);
}

/* -- order and fairness -- */

#define EACH 3000

static void send_in_order(void *arg)
{
	struct tuck_chan *chan = arg;
	static atomic_int next_sender;
	int from = atomic_fetch_add(&next_sender, 1) % PROCS;

	for (int i = 0; i < EACH; i++)
		send_int(chan, from * EACH + i);
}

static void keep_order(size_t capacity)
{
	struct tuck_chan *chan = new_chan(sizeof(int), capacity);
	int next[PROCS] = { 0 }, proc[PROCS];

	for (int i = 0; i < PROCS; i++)
		proc[i] = start(send_in_order, chan);
	for (int i = 0; i < PROCS * EACH; i++) {
		int elem = recv_int(chan);

		CHECK_EQ(elem % EACH, next[elem / EACH]);
		next[elem / EACH]++;
	}
	for (int i = 0; i < PROCS; i++)
		join(proc[i]);
	tuck_chan_free(chan);
}

TEST(each_senders_order_is_kept)
{
	keep_order(0);
}

TEST(each_senders_order_is_kept_in_a_buffer)
{
	keep_order(16);
}

static void keep_full(void *arg)
{
	int elem = 1;

	while (tuck_chan_send(arg, &elem, TUCK_FOREVER) == 0)
		;
}

static void keep_four_full(void *arg)
{
	struct tuck_chan **four = arg;

	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 3; k++)
			go(keep_full, four[i]);
	keep_full(four[0]);
}

/* All four ready at each select: 20 to 30 % each. */
TEST(select_is_fair_among_shared_channels)
{
	struct tuck_chan *four[4];
	struct tuck_case cases[4];
	int went[4] = { 0 }, elem, proc;

	for (int i = 0; i < 4; i++) {
		four[i] = new_chan(sizeof(int), 2000);
		cases[i] = (struct tuck_case){ .chan = four[i],
					       .op = TUCK_RECV,
					       .elem = &elem };
	}
	proc = start(keep_four_full, four);
	for (int i = 0; i < 4; i++)
		while (tuck_chan_count(four[i]) < 2000)
			tuck_sleep(tuck_after(TUCK_US(100)));
	for (int i = 0; i < 4000; i++) {
		int r = tuck_select(cases, 4, TUCK_FOREVER);

		CHECK(r >= 0);
		CHECK_EQ(cases[r].ret_err, 0);
		went[r]++;
	}
	for (int i = 0; i < 4; i++) {
		CHECK(went[i] > 800 && went[i] < 1200);
		CHECK_EQ(tuck_chan_close(four[i]), 0);
	}
	join(proc);
	for (int i = 0; i < 4; i++)
		tuck_chan_free(four[i]);
}

/* -- exactly once, whatever happens -- */

#define CHANS	3
#define WORKERS 6		/* in each proc */
#define SOME	20		/* that a cancel, or a kill, has to come upon */

static struct storm {
	struct tuck_chan *chan[CHANS];
	_Atomic(int64_t) sent, received, elements;
	atomic_int cancelled;		/* calls */
	atomic_int unsure;		/* killed in a call */
	atomic_int over, living;
	tuck_id _Atomic alive[PROCS * WORKERS];
} storm;

static void count_unsure(int *in_call)
{
	if (*in_call)
		atomic_fetch_add(&storm.unsure, 1);
	atomic_fetch_sub(&storm.living, 1);
}

static tuck_ns any_deadline(uint32_t *random)
{
	switch (next_random(random) % 4) {
	case 0: return TUCK_NOWAIT;
	case 1: return tuck_after(TUCK_US(next_random(random) % 50));
	default: return tuck_after(TUCK_US(next_random(random) % 2000));
	}
}

static void account(int op, int64_t elem, int r)
{
	if (r == 0 && op == TUCK_SEND)
		atomic_fetch_add(&storm.sent, elem);
	if (r == 0 && op == TUCK_RECV)
		atomic_fetch_add(&storm.received, elem);
	if (r == 0)
		atomic_fetch_add(&storm.elements, op == TUCK_SEND ? 1 : -1);
	if (r == -ECANCELED) {
		atomic_fetch_add(&storm.cancelled, 1);
		tuck_uncancel();
	}
	CHECK(r == 0 || r == -EAGAIN || r == -ETIMEDOUT || r == -ECANCELED);
}

static int any_op(uint32_t *random)
{
	return next_random(random) % 2 ? TUCK_SEND : TUCK_RECV;
}

static void one_plain(uint32_t *random)
{
	struct tuck_chan *chan = storm.chan[next_random(random) % CHANS];
	int64_t elem = next_random(random) % 1000 + 1;
	tuck_ns deadline = any_deadline(random);
	int op = any_op(random), r;

	r = op == TUCK_SEND ? tuck_chan_send(chan, &elem, deadline) :
			      tuck_chan_recv(chan, &elem, deadline);
	account(op, elem, r);
}

static void one_select(uint32_t *random)
{
	struct tuck_case cases[4];
	int64_t elem[4];
	int i;

	for (i = 0; i < 4; i++) {
		elem[i] = next_random(random) % 1000 + 1;
		cases[i] = (struct tuck_case){
			.chan = storm.chan[next_random(random) % CHANS],
			.op = (enum tuck_op)any_op(random),
			.elem = &elem[i],
			.ret_err = 77
		};
	}
	i = tuck_select(cases, 4, any_deadline(random));
	if (i < 0)
		account(TUCK_RECV, 0, i);
	else
		account((int)cases[i].op, elem[i], cases[i].ret_err);
}

static void work(void *arg)
{
	uint32_t random = (uint32_t)tuck_self() * 2654435761u |
			  (uint32_t)(uintptr_t)arg | 1;

	while (!atomic_load(&storm.over))
		if (next_random(&random) % 2)
			one_plain(&random);
		else
			one_select(&random);
}

static void work_in_proc(void *arg)
{
	int proc = (int)(intptr_t)arg;
	tuck_id ids[WORKERS];

	for (int i = 0; i < WORKERS; i++) {
		ids[i] = go(work, (void *)(intptr_t)i);
		atomic_store(&storm.alive[proc * WORKERS + i], ids[i]);
	}
	for (int i = 0; i < WORKERS; i++)
		CHECK_EQ(tuck_join(ids[i], TUCK_FOREVER) == 0 ||
				 tuck_join(ids[i], TUCK_NOWAIT) == -ESRCH,
			 1);
}

static tuck_ns too_late(void)
{
	return tuck_after(TUCK_SEC(check_limit_s()) / 2);
}

/* What was sent was received, or is in a buffer still. */
static void check_sums(void)
{
	for (int i = 0; i < CHANS; i++) {
		int64_t elem;

		CHECK_EQ(tuck_chan_balance(storm.chan[i]), 0);
		while (tuck_chan_recv(storm.chan[i], &elem, TUCK_NOWAIT) == 0)
			account(TUCK_RECV, elem, 0);
		tuck_chan_free(storm.chan[i]);
	}
	CHECK_EQ(storm.elements, 0);
	CHECK_EQ(storm.sent, storm.received);
}

static void brew(int ms, bool cancel)
{
	tuck_ns end = tuck_after(TUCK_MS(ms)), last = too_late();
	int proc[PROCS];
	uint32_t random = 5;

	for (int i = 0; i < CHANS; i++)
		storm.chan[i] = new_chan(sizeof(int64_t), (size_t)i);
	for (int i = 0; i < PROCS; i++)
		proc[i] = start(work_in_proc, (void *)(intptr_t)i);
	while (tuck_now() < end || storm.sent < 100000 ||
	       (cancel && storm.cancelled < SOME)) {
		CHECK(tuck_now() < last);
		tuck_sleep(tuck_after(TUCK_US(50)));
		if (cancel)
			tuck_cancel(storm.alive[next_random(&random) %
						(PROCS * WORKERS)]);
	}
	atomic_store(&storm.over, 1);
	for (int i = 0; i < PROCS; i++)
		join(proc[i]);
	check_sums();
}

TEST(exactly_once_with_deadlines)
{
	brew(800, false);
}

TEST(exactly_once_with_cancels)
{
	brew(800, true);
}

TEST(exactly_once_when_tucked)
{
	use_slots(1);
	brew(800, true);
}

/* -- kills -- */

/* A cleanup of one that was killed in one of its operations, or between. */
static void live(void *arg)
{
	int in_call __attribute__((__cleanup__(count_unsure))) = 0;
	uint32_t random = (uint32_t)tuck_self() * 2654435761u |
			  (uint32_t)(uintptr_t)arg | 1;

	atomic_fetch_add(&storm.living, 1);
	while (!atomic_load(&storm.over)) {
		in_call = 1;
		if (next_random(&random) % 2)
			one_plain(&random);
		else
			one_select(&random);
		in_call = 0;
		tuck_yield();
	}
}

static void keep_alive(void *arg)
{
	int proc = (int)(intptr_t)arg;

	for (int n = 0; !atomic_load(&storm.over); n++) {
		for (int i = 0; i < WORKERS; i++) {
			int at = proc * WORKERS + i;
			tuck_id id = atomic_load(&storm.alive[at]);

			if (id && tuck_join(id, TUCK_NOWAIT) == -EAGAIN)
				continue;
			id = go(live, (void *)(intptr_t)n);
			atomic_store(&storm.alive[at], id);
		}
		tuck_sleep(tuck_after(TUCK_US(200)));
	}
	for (int i = 0; i < WORKERS; i++) {
		tuck_id id = atomic_load(&storm.alive[proc * WORKERS + i]);

		while (tuck_join(id, in_ms(1)) == -ETIMEDOUT)
			;
	}
}

/*
 * Of the operations that a kill came upon some were done and nobody could
 * say so: at most that many elements are missing or too many.
 */
TEST(killed_at_random_times)
{
	tuck_ns end = tuck_after(TUCK_MS(1500)), last = too_late();
	int64_t elem, off;
	uint32_t random = 7;
	int proc[PROCS], kills = 0;

	for (int i = 0; i < CHANS; i++)
		storm.chan[i] = new_chan(sizeof(int64_t), (size_t)i);
	for (int i = 0; i < PROCS; i++)
		proc[i] = start(keep_alive, (void *)(intptr_t)i);
	while (tuck_now() < end || kills < 100 || storm.unsure < SOME) {
		CHECK(tuck_now() < last);
		tuck_sleep(tuck_after(TUCK_US(300)));
		kills += tuck_kill(storm.alive[next_random(&random) %
					       (PROCS * WORKERS)]) == 0;
	}
	atomic_store(&storm.over, 1);
	for (int i = 0; i < PROCS; i++)
		join(proc[i]);
	for (int i = 0; i < CHANS; i++) {
		CHECK_EQ(tuck_chan_balance(storm.chan[i]), 0);
		while (tuck_chan_recv(storm.chan[i], &elem, TUCK_NOWAIT) == 0)
			account(TUCK_RECV, elem, 0);
		tuck_chan_free(storm.chan[i]);
	}
	off = storm.elements;
	CHECK(off >= -storm.unsure && off <= storm.unsure);
	CHECK(storm.unsure <= kills);
	CHECK_EQ(storm.living, 0);
}

static void send_at_end(void *arg)
{
	send_int(arg, 11);
}

static void recv_at_end(void *arg)
{
	mark('0' + recv_int(arg));
}

static void clean_up_by_channels(void *arg)
{
	struct tuck_chan **two = arg;

	CHECK_EQ(tuck_defer(send_at_end, two[0]), 0);
	CHECK_EQ(tuck_defer(recv_at_end, two[1]), 0);
	recv_int(two[2]);
}

static void serve_cleanup(void *arg)
{
	struct tuck_chan **three = arg;

	tuck_sleep(in_ms(2));
	send_int(three[1], 6);
	CHECK_EQ(recv_int(three[0]), 11);
}

TEST(cleanups_of_the_killed_talk_to_other_procs)
{
	struct tuck_chan *three[3];
	tuck_id id;
	int proc;

	for (int i = 0; i < 3; i++) {
		three[i] = new_chan(sizeof(int), 0);
		CHECK_EQ(tuck_chan_share(three[i]), 0);
	}
	id = go(clean_up_by_channels, three);
	settle();
	proc = start(serve_cleanup, three);
	CHECK_EQ(tuck_kill(id), 0);
	CHECK_EQ(tuck_join(id, TUCK_FOREVER), 0);
	CHECK_TRACE("6");
	join(proc);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(tuck_chan_balance(three[i]), 0);
		tuck_chan_free(three[i]);
	}
}

/* -- the lack of memory -- */

static void lack_memory(void *arg)
{
	struct tuck_chan *chan = arg;
	int elem = 5, r;

	for (long n = 1; n < 10; n++) {
		tuck__fault_set(n, 1);
		r = tuck_chan_recv(chan, &elem, in_ms(1));
		tuck__fault_set(0, 0);
		CHECK(r == -ENOMEM || r == -ETIMEDOUT);
		if (r == -ETIMEDOUT)
			return;
	}
	CHECK(!"never enough");
}

TEST(without_memory_to_ask_or_wait)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 0);
	int proc = start(lack_memory, chan), r;

	do
		r = tuck_proc_join(proc, TUCK_FOREVER);
	while (r == -ENOMEM);		/* it lacks for everybody */
	CHECK_EQ(r, 0);
	CHECK_EQ(tuck_chan_balance(chan), 0);
	tuck_chan_free(chan);
}

static void expect_no_memory(void *arg)
{
	char elem[TUCK_ELEM_BYTES_MAX];

	CHECK_EQ(tuck_chan_recv(arg, elem, TUCK_FOREVER), -ENOMEM);
	atomic_fetch_add(&ended, 1);
}

static void expect_no_memory_in_select(void *arg)
{
	char elem[TUCK_ELEM_BYTES_MAX];
	struct tuck_case cases[] = {
		{ .chan = second, .op = TUCK_RECV, .elem = elem },
		{ .chan = arg, .op = TUCK_RECV, .elem = elem },
	};

	CHECK_EQ(tuck_select(cases, 2, TUCK_FOREVER), -ENOMEM);
	atomic_fetch_add(&ended, 1);
}

/* Those who wait at home then are told. */
TEST(without_memory_to_move)
{
	struct tuck_chan *chan = new_chan(TUCK_ELEM_BYTES_MAX, 0);

	second = new_chan(sizeof(int), 0);
	go(expect_no_memory, chan);
	go(expect_no_memory_in_select, chan);
	go(expect_no_memory, chan);
	settle();
	tuck__fault_set(1, 1);
	CHECK_EQ(tuck_chan_share(chan), 0);
	tuck__fault_set(0, 0);
	settle();
	CHECK_EQ(ended, 3);
	CHECK_EQ(tuck_chan_balance(chan), 0);
	CHECK_EQ(tuck_chan_balance(second), 0);
	tuck_chan_free(chan);
	tuck_chan_free(second);
}

static void expect_after_select(void *arg)
{
	static char large[TUCK_ELEM_BYTES_MAX];
	struct tuck_case c = { .chan = arg, .op = TUCK_RECV, .elem = large };
	int elem = 0, r;

	for (int n = 1;; n++) {
		tuck__fault_set(n, 1);
		r = tuck_select(&c, 1, in_ms(2));
		tuck__fault_set(0, 0);
		if (r != -ENOMEM)
			break;
		CHECK_EQ(tuck_chan_recv(second, &elem, TUCK_FOREVER), 0);
	}
	CHECK_EQ(r, -ETIMEDOUT);
	ended = 1;
}

/* The deadline of a select that could not wait ends no other wait. */
TEST(without_memory_a_select_has_no_deadline)
{
	struct tuck_chan *chan = new_chan(TUCK_ELEM_BYTES_MAX, 0);

	second = new_chan(sizeof(int), 0);
	CHECK_EQ(tuck_chan_share(chan), 0);
	go(expect_after_select, chan);
	while (!ended) {
		tuck_sleep(in_ms(5));
		if (tuck_chan_balance(second) < 0)
			send_int(second, 1);
	}
	tuck_chan_free(chan);
	tuck_chan_free(second);
}
