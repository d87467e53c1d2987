/* SPDX-License-Identifier: MIT */
/* Select: one of several channel operations. */
#include <errno.h>
#include <pthread.h>
#include <tuck.h>

#include "trace.h"

static int done;

static tuck_ns in_ms(int n)
{
	return tuck_after(PATIENCE * TUCK_MS(n));
}

static struct tuck_chan *new_chan(size_t elem_bytes, size_t capacity)
{
	struct tuck_chan *chan = chan_new(elem_bytes, capacity);

	CHECK(chan);
	return chan;
}

static void put(struct tuck_chan *chan, int elem)
{
	CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_NOWAIT), 0);
}

static struct tuck_case recv_case(struct tuck_chan *chan, int *ret_elem)
{
	return (struct tuck_case){ chan, TUCK_RECV, ret_elem, 77 };
}

static struct tuck_case send_case(struct tuck_chan *chan, int *elem)
{
	return (struct tuck_case){ chan, TUCK_SEND, elem, 77 };
}

/* -- cases that can go at once -- */

TEST(takes_the_case_that_can_go)
{
	struct tuck_chan *chan[3];
	struct tuck_case cases[3];
	int elem[3] = { 0 };

	for (int i = 0; i < 3; i++) {
		chan[i] = new_chan(sizeof(int), 2);
		cases[i] = recv_case(chan[i], &elem[i]);
	}
	for (int i = 2; i >= 0; i--) {
		put(chan[i], 10 + i);
		CHECK_EQ(tuck_select(cases, 3, TUCK_FOREVER), i);
		CHECK_EQ(elem[i], 10 + i);
		CHECK_EQ(cases[i].ret_err, 0);
		CHECK_EQ(tuck_chan_count(chan[i]), 0);
		CHECK_EQ(tuck_select(cases, 3, TUCK_NOWAIT), -EAGAIN);
	}
	for (int i = 0; i < 3; i++)
		tuck_chan_free(chan[i]);
}

TEST(does_only_one)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 8);
	int elem[4] = { 1, 2, 3, 4 }, got = 0;
	struct tuck_case cases[4];

	for (int i = 0; i < 4; i++)
		cases[i] = send_case(chan, &elem[i]);
	for (int n = 1; n <= 8; n++) {
		int i = tuck_select(cases, 4, TUCK_FOREVER);

		CHECK(i >= 0 && i < 4);
		CHECK_EQ(cases[i].ret_err, 0);
		CHECK_EQ(tuck_chan_count(chan), n);
	}
	CHECK_EQ(tuck_select(cases, 4, TUCK_NOWAIT), -EAGAIN);
	while (tuck_chan_recv(chan, &got, TUCK_NOWAIT) == 0)
		CHECK(got >= 1 && got <= 4);
	tuck_chan_free(chan);
}

TEST(sends_and_receives_in_one)
{
	struct tuck_chan *in = new_chan(sizeof(int), 1);
	struct tuck_chan *out = new_chan(sizeof(int), 1);
	int got = 0, sent = 5;
	struct tuck_case cases[] = { recv_case(in, &got),
				     send_case(out, &sent) };

	CHECK_EQ(tuck_select(cases, 2, TUCK_FOREVER), 1);
	CHECK_EQ(tuck_chan_count(out), 1);
	put(in, 6);
	CHECK_EQ(tuck_select(cases, 2, TUCK_FOREVER), 0);
	CHECK_EQ(got, 6);
	CHECK_EQ(tuck_select(cases, 2, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_chan_recv(out, &got, TUCK_NOWAIT), 0);
	CHECK_EQ(got, 5);
	tuck_chan_free(in);
	tuck_chan_free(out);
}

TEST(a_case_without_channel_never_goes)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 1);
	int elem = 3;
	struct tuck_case cases[] = { recv_case(NULL, NULL),
				     send_case(chan, &elem),
				     send_case(NULL, NULL) };

	CHECK_EQ(tuck_select(cases, 3, TUCK_FOREVER), 1);
	CHECK_EQ(cases[0].ret_err, 77);
	CHECK_EQ(cases[2].ret_err, 77);
	CHECK_EQ(tuck_select(cases, 3, in_ms(1)), -ETIMEDOUT);
	CHECK_EQ(tuck_select(cases, 1, in_ms(1)), -ETIMEDOUT);
	CHECK_EQ(tuck_select(cases, 1, TUCK_NOWAIT), -EAGAIN);
	tuck_chan_free(chan);
}

TEST(closed_cases_go)
{
	struct tuck_chan *open = new_chan(sizeof(int), 0);
	struct tuck_chan *closed = new_chan(sizeof(int), 1);
	int elem = 3, got = 0;
	struct tuck_case cases[] = { recv_case(open, &got),
				     recv_case(closed, &got),
				     send_case(closed, &elem) };

	put(closed, 8);
	CHECK_EQ(tuck_chan_close(closed), 0);
	CHECK_EQ(tuck_select(cases, 2, TUCK_FOREVER), 1);
	CHECK_EQ(cases[1].ret_err, 0);		/* drains first */
	CHECK_EQ(got, 8);
	CHECK_EQ(tuck_select(cases, 2, TUCK_NOWAIT), 1);
	CHECK_EQ(cases[1].ret_err, -EPIPE);
	cases[1] = cases[2];
	CHECK_EQ(tuck_select(cases, 2, TUCK_FOREVER), 1);
	CHECK_EQ(cases[1].ret_err, -EPIPE);
	CHECK_EQ(tuck_chan_count(closed), 0);
	tuck_chan_free(open);
	tuck_chan_free(closed);
}

#define PICKS 20000

static void check_even(const int *count, int n)
{
	for (int i = 0; i < n; i++) {
		CHECK(count[i] >= PICKS / 100 * 80 / n);
		CHECK(count[i] <= PICKS / 100 * 120 / n);
	}
}

TEST(each_that_can_go_is_as_likely)
{
	struct tuck_chan *chan[5];
	struct tuck_case cases[5];
	int count[5] = { 0 }, elem = 0;

	for (int i = 0; i < 5; i++) {
		chan[i] = new_chan(sizeof(int), 1);
		cases[i] = recv_case(chan[i], &elem);
	}
	cases[4].op = TUCK_SEND;
	for (int n = 0; n < PICKS; n++) {
		for (int i = 0; i < 4; i++)
			if (tuck_chan_count(chan[i]) == 0)
				put(chan[i], i);
		if (tuck_chan_count(chan[4]) == 1)
			CHECK_EQ(tuck_chan_recv(chan[4], &elem, 1), 0);
		count[tuck_select(cases, 5, TUCK_FOREVER)]++;
	}
	check_even(count, 5);
	memset(count, 0, sizeof(count));
	for (int n = 0; n < PICKS; n++) {
		for (int i = 0; i < 4; i++)
			if (tuck_chan_count(chan[i]) == 0)
				put(chan[i], i);
		count[tuck_select(cases, 4, TUCK_FOREVER)]++;
	}
	check_even(count, 4);
	for (int i = 0; i < 5; i++)
		tuck_chan_free(chan[i]);
}

/* -- errors -- */

static void select_one(void *arg)
{
	int elem = 5;
	struct tuck_case cases[] = { recv_case(NULL, &elem),
				     recv_case(arg, &elem) };

	CHECK_EQ(tuck_select(cases, 2, TUCK_FOREVER), 1);
	CHECK_EQ(cases[1].ret_err, -EIO);
	CHECK_EQ(cases[0].ret_err, 77);
	CHECK_EQ(elem, 5);
	done++;
}

/* Whether it waits or finds it, and on a stack with others or alone. */
static void get_errors(void)
{
	struct tuck_chan *meet = new_chan(sizeof(int), 0);
	struct tuck_chan *full = new_chan(sizeof(int), 1);

	done = 0;
	go(select_one, meet);
	let_others_wait();
	CHECK_EQ(tuck_chan_fail(meet, -EIO, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_chan_fail(full, -EIO, TUCK_NOWAIT), 0);
	go(select_one, full);
	go(select_one, meet);
	CHECK_EQ(tuck_chan_fail(meet, -EIO, TUCK_FOREVER), 0);
	let_others_wait();
	CHECK_EQ(done, 3);
	tuck_chan_free(meet);
	tuck_chan_free(full);
}

TEST(errors_arrive)
{
	get_errors();
}

TEST(errors_arrive_when_tucked)
{
	use_slots(1);
	get_errors();
}

TEST(refuses_bad_arguments)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 1);
	int elem = 1;
	struct tuck_case cases[] = { recv_case(chan, &elem),
				     send_case(chan, &elem) };

	CHECK_EQ(tuck_select(cases, -1, TUCK_NOWAIT), -EINVAL);
	CHECK_EQ(tuck_select(NULL, 1, TUCK_NOWAIT), -EINVAL);
	CHECK_EQ(tuck_select(cases, 2, -1), -EINVAL);
	CHECK_EQ(tuck_select(NULL, 0, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_select(NULL, 0, in_ms(1)), -ETIMEDOUT);
	cases[0].elem = NULL;
	CHECK_EQ(tuck_select(cases, 2, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_chan_count(chan), 0);
	cases[0].elem = &elem;
	cases[0].op = (enum tuck_op)2;
	CHECK_EQ(tuck_select(cases, 2, TUCK_FOREVER), -EINVAL);
	cases[0] = recv_case(chan, &elem);
	tuck_chan_free(chan);
	CHECK_EQ(tuck_select(cases, 2, TUCK_FOREVER), -EBADF);
}

#define MANY (32768 + 1)

/* Room for their elements would be 2 GiB, and on 32 bits no number. */
TEST(more_elements_than_memory)
{
	static struct tuck_case cases[MANY];
	static char elem[TUCK_ELEM_BYTES_MAX];
	struct tuck_chan *chan = new_chan(sizeof(elem), 0);

	CHECK_EQ(tuck_chan_share(chan), 0);
	for (int i = 0; i < MANY; i++)
		cases[i] = (struct tuck_case){ .chan = chan,
					       .op = TUCK_RECV,
					       .elem = elem };
	CHECK_EQ(tuck_select(cases, MANY, TUCK_NOWAIT), -ENOMEM);
	CHECK_EQ(tuck_select(cases, MANY, in_ms(1)), -ENOMEM);
	CHECK_EQ(tuck_chan_balance(chan), 0);
	tuck_chan_free(chan);
}

TEST(times_out_and_leaves_the_queues)
{
	struct tuck_chan *a = new_chan(sizeof(int), 0);
	struct tuck_chan *b = new_chan(sizeof(int), 0);
	int elem[2] = { 1, 2 };
	struct tuck_case cases[] = { recv_case(a, &elem[0]),
				     send_case(b, &elem[1]) };

	for (int i = 0; i < 3; i++) {
		tuck_ns deadline = in_ms(2);

		CHECK_EQ(tuck_select(cases, 2, deadline), -ETIMEDOUT);
		CHECK(tuck_now() >= deadline);
		CHECK_EQ(tuck_select(cases, 2, 1), -ETIMEDOUT);
		CHECK_EQ(tuck_select(cases, 2, TUCK_NOWAIT), -EAGAIN);
		CHECK_EQ(tuck_chan_balance(a), 0);
		CHECK_EQ(tuck_chan_balance(b), 0);
	}
	CHECK_EQ(cases[0].ret_err, 77);
	CHECK_EQ(cases[1].ret_err, 77);
	CHECK_EQ(elem[0], 1);
	tuck_chan_free(a);
	tuck_chan_free(b);
}

/* -- cases that wait -- */

static struct tuck_chan *chans[4];

/* Waits for all four; says which went and what came. */
static void select_once(void *arg)
{
	int elem[4] = { 100, 101, 102, 103 };
	struct tuck_case cases[4];
	int *ret = arg, i;

	for (i = 0; i < 4; i++)
		cases[i] = i < 2 ? recv_case(chans[i], &elem[i]) :
				   send_case(chans[i], &elem[i]);
	ret[0] = tuck_select(cases, 4, TUCK_FOREVER);
	for (i = 0; i < 4; i++)
		CHECK_EQ(elem[i] == 100 + i,
			 ret[0] >= 2 || i != ret[0] || cases[i].ret_err);
	CHECK(ret[0] >= 0);
	ret[1] = cases[ret[0]].ret_err;
	ret[2] = elem[ret[0]];
	for (i = 0; i < 4; i++)
		CHECK(i == ret[0] || cases[i].ret_err == 77);
	done++;
}

static void make_chans(void)
{
	for (int i = 0; i < 4; i++)
		chans[i] = new_chan(sizeof(int), 0);
}

static void free_chans(void)
{
	for (int i = 0; i < 4; i++)
		tuck_chan_free(chans[i]);
}

static void check_balance(int n)
{
	for (int i = 0; i < 4; i++)
		CHECK_EQ(tuck_chan_balance(chans[i]), i < 2 ? -n : n);
}

/* A partner comes to case i. */
static void meet_case(int i)
{
	int ret[3], elem = 50 + i;

	go(select_once, ret);
	let_others_wait();
	check_balance(1);
	done = 0;
	if (i < 2)
		CHECK_EQ(tuck_chan_send(chans[i], &elem, TUCK_NOWAIT), 0);
	else
		CHECK_EQ(tuck_chan_recv(chans[i], &elem, TUCK_NOWAIT), 0);
	check_balance(0);
	let_others_wait();
	CHECK_EQ(done, 1);
	CHECK_EQ(ret[0], i);
	CHECK_EQ(ret[1], 0);
	CHECK_EQ(ret[2], elem);
	CHECK_EQ(elem, i < 2 ? 50 + i : 100 + i);
}

static void meet_all(void)
{
	make_chans();
	for (int n = 0; n < 20; n++)
		for (int i = 0; i < 4; i++)
			meet_case(i);
	free_chans();
}

TEST(waits_for_any_case)
{
	meet_all();
}

static void fill_stack(void *arg)
{
	volatile char bytes[9000];

	(void)arg;
	for (;;) {
		memset((char *)bytes, 0x55, sizeof(bytes));
		if (tuck_sleep(in_ms(1)) < 0)
			break;
	}
}

TEST(waits_for_any_case_when_tucked)
{
	tuck_id id;

	use_slots(1);
	id = go(fill_stack, NULL);
	meet_all();
	CHECK_EQ(tuck_drop(id), 0);
}

static void close_case(int i, int how)
{
	int ret[3];

	make_chans();
	go(select_once, ret);
	let_others_wait();
	done = 0;
	if (how)
		CHECK_EQ(tuck_chan_close(chans[i]), 0);
	else
		tuck_chan_free(chans[i]);
	let_others_wait();
	CHECK_EQ(done, 1);
	CHECK_EQ(ret[0], i);
	CHECK_EQ(ret[1], -EPIPE);
	for (int k = 0; k < 4; k++) {
		CHECK_EQ(tuck_chan_balance(chans[k]), 0);
		if (k != i || how)
			tuck_chan_free(chans[k]);
	}
}

TEST(close_and_free_end_the_wait)
{
	for (int i = 0; i < 4; i++) {
		close_case(i, 1);
		close_case(i, 0);
	}
}

TEST(queues_mix_selects_and_plain_waits)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 0);
	int ret[5][3];

	for (int i = 0; i < 4; i++)
		chans[i] = chan;
	for (int i = 0; i < 5; i++)
		go(select_once, ret[i]);
	let_others_wait();		/* they meet one another */
	CHECK_EQ(done, 4);
	CHECK_EQ(tuck_chan_balance(chan), 0);	/* 2 send, 2 receive */
	tuck_chan_free(chan);
	let_others_wait();
	CHECK_EQ(done, 5);
}

static void select_same(void *arg)
{
	int elem[3] = { 0 }, *ret = arg;
	struct tuck_case cases[] = { recv_case(chans[0], &elem[0]),
				     recv_case(chans[0], &elem[1]),
				     recv_case(chans[0], &elem[2]) };

	ret[0] = tuck_select(cases, 3, TUCK_FOREVER);
	CHECK(ret[0] >= 0);
	ret[1] = elem[ret[0]];
	CHECK_EQ(elem[0] + elem[1] + elem[2], ret[1]);
	done++;
}

TEST(one_channel_in_several_cases)
{
	int ret[2], elem = 9;

	make_chans();
	go(select_same, ret);
	let_others_wait();
	CHECK_EQ(tuck_chan_balance(chans[0]), -3);
	CHECK_EQ(tuck_chan_send(chans[0], &elem, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_chan_balance(chans[0]), 0);
	CHECK_EQ(tuck_chan_send(chans[0], &elem, TUCK_NOWAIT), -EAGAIN);
	let_others_wait();
	CHECK_EQ(done, 1);
	CHECK_EQ(ret[1], 9);
	go(select_same, ret);
	let_others_wait();
	CHECK_EQ(tuck_chan_close(chans[0]), 0);
	let_others_wait();
	CHECK_EQ(done, 2);
	free_chans();
}

static void select_then_change(void *arg)
{
	static int here, there;
	struct tuck_case c = recv_case(chans[0], &here);
	struct tuck_case *cases = arg;

	*cases = c;
	CHECK_EQ(tuck_select(cases, 1, TUCK_FOREVER), 0);
	CHECK_EQ(here, 4);
	CHECK_EQ(there, 0);
	done++;
}

TEST(cases_are_read_before_the_wait)
{
	struct tuck_case cases[1];
	int elem = 4;

	make_chans();
	go(select_then_change, cases);
	let_others_wait();
	cases[0] = send_case(NULL, NULL);
	CHECK_EQ(tuck_chan_send(chans[0], &elem, TUCK_FOREVER), 0);
	let_others_wait();
	CHECK_EQ(done, 1);
	free_chans();
}

/* Like plain operations, a select hands over by preference. */
static void select_mark(void *arg)
{
	int elem = 1;
	struct tuck_case c = recv_case(arg, &elem);

	CHECK_EQ(tuck_select(&c, 1, TUCK_FOREVER), 0);
	mark('s');
}

TEST(meets_by_the_channels_preference)
{
	int elem = 1;
	struct tuck_case c;

	needs_fifo();
	make_chans();
	go(select_mark, chans[0]);
	tuck_yield();
	go_letter("x");
	c = send_case(chans[0], &elem);
	CHECK_EQ(tuck_select(&c, 1, TUCK_FOREVER), 0);
	mark('m');
	tuck_yield();
	CHECK_TRACE("smx");
	CHECK_EQ(tuck_chan_prefer(chans[0], TUCK_PREFER_NEITHER), 0);
	go(select_mark, chans[0]);
	tuck_yield();
	go_letter("x");
	CHECK_EQ(tuck_select(&c, 1, TUCK_FOREVER), 0);
	mark('m');
	tuck_yield();
	CHECK_TRACE("mxs");
	free_chans();
}

TEST(dropped_while_it_waits)
{
	struct tuck_stats before, after;
	int ret[3], elem = 1;

	make_chans();
	for (int i = 0; i < 6000; i++) {
		tuck_id id = go(select_once, ret);

		let_others_wait();
		check_balance(1);
		CHECK_EQ(tuck_drop(id), 0);
		check_balance(0);
		if (i == 10)
			CHECK_EQ(tuck_stats(&before), 0);
	}
	CHECK_EQ(tuck_stats(&after), 0);
	CHECK_EQ(after.slice_pool_bytes, before.slice_pool_bytes);
	CHECK_EQ(tuck_chan_send(chans[0], &elem, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(done, 0);
	free_chans();
}

TEST(a_wait_keeps_no_memory)
{
	struct tuck_stats before, after;

	make_chans();
	for (int i = 0; i < 6000; i++) {
		meet_case(i % 4);
		if (i == 10)
			CHECK_EQ(tuck_stats(&before), 0);
	}
	CHECK_EQ(tuck_stats(&after), 0);
	CHECK_EQ(after.slice_pool_bytes, before.slice_pool_bytes);
	free_chans();
}

/* -- many at once -- */

#define TASKLETS 40
#define TURNS 100

static int sent[4], received[4];

/* Whatever goes, goes; counts must agree in the end. */
static void mingle(void *arg)
{
	uint32_t random = (uint32_t)(uintptr_t)arg;

	for (int n = 0; n < TURNS; n++) {
		struct tuck_case cases[6];
		int elem[6], count = 1 + (int)(next_random(&random) % 6), i;

		for (i = 0; i < count; i++) {
			int k = (int)(next_random(&random) % 4);

			elem[i] = k;
			cases[i] = next_random(&random) % 2 ?
					   send_case(chans[k], &elem[i]) :
					   recv_case(chans[k], &elem[i]);
			if (cases[i].op == TUCK_RECV)
				elem[i] = -1;
		}
		i = tuck_select(cases, count, in_ms(1));
		if (i == -ETIMEDOUT)
			continue;
		CHECK(i >= 0 && i < count);
		CHECK(cases[i].chan == chans[elem[i]]);
		if (cases[i].op == TUCK_SEND)
			sent[elem[i]]++;
		else
			received[elem[i]]++;
	}
	done++;
}

static void mingle_all(void)
{
	int total = 0;

	for (int i = 0; i < 4; i++)
		chans[i] = new_chan(sizeof(int), (size_t)i % 3);
	for (uintptr_t i = 1; i <= TASKLETS; i++)
		go(mingle, (void *)(i * 7919));
	while (done < TASKLETS)
		CHECK_EQ(tuck_sleep(in_ms(1)), 0);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(sent[i], received[i] + (int)tuck_chan_count(chans[i]));
		CHECK_EQ(tuck_chan_balance(chans[i]), 0);
		total += sent[i];
	}
	CHECK(total > TASKLETS * TURNS / 10);
	free_chans();
}

TEST(many_selects_lose_nothing)
{
	mingle_all();
}

TEST(many_selects_lose_nothing_on_one_stack)
{
	use_slots(1);
	mingle_all();
}

TEST(many_selects_lose_nothing_on_three_stacks)
{
	use_slots(3);
	mingle_all();
}
