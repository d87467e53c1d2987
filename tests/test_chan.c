/* SPDX-License-Identifier: MIT */
/* Channels: elements, order, preference, closing, freeing, errors. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>
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

/* -- elements -- */

#define ROUNDS 6

static struct flow {
	struct tuck_chan *chan;
	size_t bytes;
	int start_late;
} flow;

static unsigned char pattern(int round, size_t i)
{
	return (unsigned char)(round * 37 + i * 11 + (i >> 8) * 5 + 1);
}

static void send_rounds(void *arg)
{
	unsigned char elem[TUCK_ELEM_BYTES_MAX];

	for (int r = 0; r < ROUNDS; r++) {
		for (size_t i = 0; i < flow.bytes; i++)
			elem[i] = pattern(r, i);
		if (arg)
			let_others_wait();
		CHECK_EQ(tuck_chan_send(flow.chan, elem, TUCK_FOREVER), 0);
		for (size_t i = 0; i < flow.bytes; i++)
			CHECK_EQ(elem[i], pattern(r, i));
	}
	done++;
}

#define FENCE 64

/* What lies around the element stays. */
static void recv_rounds(void *arg)
{
	unsigned char elem[FENCE + TUCK_ELEM_BYTES_MAX + FENCE];
	size_t end = FENCE + flow.bytes + FENCE;

	for (int r = 0; r < ROUNDS; r++) {
		memset(elem, 0xee, sizeof(elem));
		if (arg)
			let_others_wait();
		CHECK_EQ(tuck_chan_recv(flow.chan, elem + FENCE, TUCK_FOREVER),
			 0);
		for (size_t i = 0; i < FENCE; i++)
			CHECK(elem[i] == 0xee && elem[end - 1 - i] == 0xee);
		for (size_t i = 0; i < flow.bytes; i++)
			CHECK_EQ(elem[FENCE + i], pattern(r, i));
	}
	done++;
}

static void fill_stack(void *arg)
{
	volatile char bytes[70000];

	(void)arg;
	for (int n = 0; n < 3; n++) {
		memset((char *)bytes, 0x55 + n, sizeof(bytes));
		tuck_yield();
	}
}

static const size_t sizes[] = { 0, 1, 7, 8, 64, 4096, TUCK_ELEM_BYTES_MAX };

/* late: who of the two tasklets waits until the other one does. */
static void pass_between(size_t capacity, int late)
{
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		flow.bytes = sizes[i];
		flow.chan = new_chan(sizes[i], capacity);
		done = 0;
		go(fill_stack, NULL);
		go(send_rounds, late == 's' ? "" : NULL);
		go(recv_rounds, late == 'r' ? "" : NULL);
		go(fill_stack, NULL);
		while (done < 2)
			tuck_yield();
		CHECK_EQ(tuck_chan_count(flow.chan), 0);
		tuck_chan_free(flow.chan);
	}
}

TEST(elements_arrive)
{
	pass_between(0, 0);
	pass_between(3, 0);
}

TEST(elements_arrive_between_tucked_tasklets)
{
	use_slots(1);
	pass_between(0, 0);
	pass_between(1, 0);
	pass_between(3, 0);
}

static void with_main(void)
{
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		flow.bytes = sizes[i];
		flow.chan = new_chan(sizes[i], 0);
		go(send_rounds, NULL);
		go(fill_stack, NULL);
		recv_rounds(NULL);
		go(recv_rounds, NULL);
		go(fill_stack, NULL);
		send_rounds(NULL);
		go(send_rounds, NULL);
		go(fill_stack, NULL);
		recv_rounds("");
		go(recv_rounds, NULL);
		go(fill_stack, NULL);
		send_rounds("");
		let_others_wait();
		tuck_chan_free(flow.chan);
	}
}

TEST(elements_arrive_in_main)
{
	with_main();
}

TEST(elements_arrive_in_main_from_tucked_tasklets)
{
	use_slots(1);
	with_main();
}

static void own_stack_recv(void *arg)
{
	recv_rounds(arg);
}

TEST(elements_arrive_on_an_own_stack)
{
	struct tuck_attr attr = { .stack_bytes = 1 << 20 };

	use_slots(1);
	flow.bytes = 4096;
	flow.chan = new_chan(4096, 0);
	CHECK(tuck_go_with(&attr, own_stack_recv, NULL) > 0);
	go(send_rounds, NULL);
	go(fill_stack, NULL);
	let_others_wait();
	CHECK_EQ(done, 2);
	tuck_chan_free(flow.chan);
}

TEST(new_refuses_what_cannot_be)
{
	CHECK(!chan_new(TUCK_ELEM_BYTES_MAX + 1, 0));
	CHECK(!chan_new(SIZE_MAX, 1));
	CHECK(!chan_new(4, SIZE_MAX / 2));
	CHECK(!chan_new(2, SIZE_MAX / 2 + 2));
}

/* -- errors -- */

static void check_all(struct tuck_chan *chan, int err)
{
	int elem = 1;

	CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_FOREVER), err);
	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_FOREVER), err);
	CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_NOWAIT), err);
	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_NOWAIT), err);
	CHECK_EQ(tuck_chan_fail(chan, -EIO, TUCK_FOREVER), err);
	CHECK_EQ(tuck_chan_close(chan), err);
	CHECK_EQ(tuck_chan_share(chan), err);
	CHECK_EQ(tuck_chan_prefer(chan, TUCK_PREFER_SENDER), err);
}

TEST(null_channel)
{
	check_all(NULL, -EINVAL);
	CHECK_EQ(tuck_chan_balance(NULL), 0);
	CHECK_EQ(tuck_chan_count(NULL), 0);
	tuck_chan_free(NULL);
}

TEST(null_element)
{
	struct tuck_chan *chan = new_chan(1, 1), *empty = new_chan(0, 1);

	CHECK_EQ(tuck_chan_send(chan, NULL, TUCK_NOWAIT), -EINVAL);
	CHECK_EQ(tuck_chan_recv(chan, NULL, TUCK_NOWAIT), -EINVAL);
	CHECK_EQ(tuck_chan_count(chan), 0);
	CHECK_EQ(tuck_chan_send(empty, NULL, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_chan_count(empty), 1);
	CHECK_EQ(tuck_chan_recv(empty, NULL, TUCK_NOWAIT), 0);
	tuck_chan_free(chan);
	tuck_chan_free(empty);
}

TEST(negative_deadline)
{
	struct tuck_chan *chan = new_chan(4, 1);
	int elem = 1;

	CHECK_EQ(tuck_chan_send(chan, &elem, -1), -EINVAL);
	CHECK_EQ(tuck_chan_count(chan), 0);
	CHECK_EQ(tuck_chan_recv(chan, &elem, INT64_MIN), -EINVAL);
	tuck_chan_free(chan);
}

TEST(deadlines)
{
	struct tuck_chan *chan = new_chan(4, 0);
	int elem = 1;

	for (int i = 0; i < 2; i++) {
		tuck_ns deadline = in_ms(2);

		CHECK_EQ(tuck_chan_send(chan, &elem, deadline), -ETIMEDOUT);
		CHECK(tuck_now() >= deadline);
		deadline = in_ms(2);
		CHECK_EQ(tuck_chan_recv(chan, &elem, deadline), -ETIMEDOUT);
		CHECK(tuck_now() >= deadline);
		CHECK_EQ(tuck_chan_send(chan, &elem, 1), -ETIMEDOUT);
		CHECK_EQ(tuck_chan_recv(chan, &elem, 1), -ETIMEDOUT);
		CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_NOWAIT), -EAGAIN);
		CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_NOWAIT), -EAGAIN);
		CHECK_EQ(tuck_chan_balance(chan), 0);
	}
	CHECK_EQ(elem, 1);
	tuck_chan_free(chan);
}

TEST(a_ready_operation_ignores_its_deadline)
{
	struct tuck_chan *chan = new_chan(4, 2);
	int elem = 5;

	CHECK_EQ(tuck_chan_send(chan, &elem, 1), 0);
	CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_chan_recv(chan, &elem, 1), 0);
	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_NOWAIT), 0);
	tuck_chan_free(chan);
}

static void send_5_soon(void *arg)
{
	int elem = 5;

	CHECK_EQ(tuck_chan_send(arg, &elem, in_ms(1)), -ETIMEDOUT);
	done++;
	elem = 6;
	CHECK_EQ(tuck_chan_send(arg, &elem, TUCK_FOREVER), 0);
	done++;
}

TEST(a_send_that_timed_out_sent_nothing)
{
	struct tuck_chan *chan = new_chan(4, 0);
	int elem = 0;

	go(send_5_soon, chan);
	while (done < 1)
		tuck_yield();
	let_others_wait();
	CHECK_EQ(tuck_chan_balance(chan), 1);
	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_FOREVER), 0);
	CHECK_EQ(elem, 6);
	CHECK_EQ(tuck_chan_recv(chan, &elem, in_ms(1)), -ETIMEDOUT);
	let_others_wait();
	CHECK_EQ(done, 2);
	tuck_chan_free(chan);
}

static void send_5(void *arg)
{
	int elem = 5;

	CHECK_EQ(tuck_chan_send(arg, &elem, TUCK_FOREVER), 0);
}

TEST(nowait_meets_who_waits)
{
	struct tuck_chan *chan = new_chan(4, 0);
	int elem = 0;

	go(send_5, chan);
	while (tuck_chan_balance(chan) < 1)
		tuck_yield();
	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_NOWAIT), 0);
	CHECK_EQ(elem, 5);
	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_NOWAIT), -EAGAIN);
	tuck_chan_free(chan);
}

static void *make_one(void *arg)
{
	struct tuck_chan **ret_chan = arg;

	*ret_chan = chan_new(4, 1);
	return NULL;
}

TEST(free_after_the_end_of_its_proc)
{
	struct tuck_chan *chan = NULL;

	tuck_self();
	on_thread(make_one, &chan);
	CHECK(chan);
	tuck_chan_free(chan);
}

/* -- errors in place of elements -- */

struct failing {
	struct tuck_chan *chan;
	int err, result;
};

static void fail_once(void *arg)
{
	struct failing *f = arg;

	f->result = tuck_chan_fail(f->chan, f->err, TUCK_FOREVER);
	done++;
}

static void recv_once(void *arg)
{
	struct failing *f = arg;
	int elem = 77;

	f->result = tuck_chan_recv(f->chan, &elem, TUCK_FOREVER);
	CHECK_EQ(elem, 77);
	done++;
}

/* What ends a wait might be an error that was sent: it is no such thing. */
static const int errors[] = { -EIO, -EAGAIN, -EPIPE, -ETIMEDOUT, -1, INT_MIN };

TEST(a_receiver_that_waits_gets_the_error)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 0);

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct failing f = { chan, 0, 1 };

		go(recv_once, &f);
		let_others_wait();
		CHECK_EQ(tuck_chan_fail(chan, errors[i], TUCK_NOWAIT), 0);
		let_others_wait();
		CHECK_EQ(f.result, errors[i]);
	}
	tuck_chan_free(chan);
}

TEST(an_error_waits_for_a_receiver)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 0);
	int elem = 77;

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct failing f = { chan, errors[i], 1 };

		go(fail_once, &f);
		let_others_wait();
		CHECK_EQ(f.result, 1);
		CHECK_EQ(tuck_chan_balance(chan), 1);
		CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_FOREVER), errors[i]);
		let_others_wait();
		CHECK_EQ(f.result, 0);
		CHECK_EQ(elem, 77);
	}
	tuck_chan_free(chan);
}

static void send_odd_numbers(void *arg)
{
	for (int i = 0; i < 30; i++)
		CHECK_EQ(i % 2 ? tuck_chan_send(arg, &i, TUCK_FOREVER) :
				 tuck_chan_fail(arg, -1 - i, TUCK_FOREVER),
			 0);
	done++;
}

/* Through buffers of any size, in any place of them. */
TEST(errors_and_elements_keep_their_order)
{
	for (size_t capacity = 0; capacity < 5; capacity++) {
		struct tuck_chan *chan = new_chan(sizeof(int), capacity);

		done = 0;
		go(send_odd_numbers, chan);
		for (int i = 0; i < 30; i++) {
			int elem = -7;

			if (i % 5 == 0)
				let_others_wait();
			CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_FOREVER),
				 i % 2 ? 0 : -1 - i);
			CHECK_EQ(elem, i % 2 ? i : -7);
		}
		let_others_wait();
		CHECK_EQ(done, 1);
		CHECK_EQ(tuck_chan_count(chan), 0);
		tuck_chan_free(chan);
	}
}

TEST(an_error_takes_room_of_a_buffer)
{
	struct tuck_chan *chan = new_chan(0, 1);

	CHECK_EQ(tuck_chan_fail(chan, -EIO, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_chan_count(chan), 1);
	CHECK_EQ(tuck_chan_fail(chan, -EIO, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_chan_fail(chan, -EIO, in_ms(1)), -ETIMEDOUT);
	CHECK_EQ(tuck_chan_send(chan, NULL, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_chan_balance(chan), 0);
	CHECK_EQ(tuck_chan_close(chan), 0);
	CHECK_EQ(tuck_chan_fail(chan, -EIO, TUCK_NOWAIT), -EPIPE);
	CHECK_EQ(tuck_chan_recv(chan, NULL, TUCK_NOWAIT), -EIO);
	CHECK_EQ(tuck_chan_recv(chan, NULL, TUCK_NOWAIT), -EPIPE);
	tuck_chan_free(chan);
}

/* There is room for errors beside the cells, if they can be counted. */
TEST(an_error_needs_memory_for_each_cell)
{
	struct tuck_chan *chan = new_chan(0, SIZE_MAX / sizeof(int) + 2);

	CHECK_EQ(tuck_chan_fail(chan, -EIO, TUCK_NOWAIT), -ENOMEM);
	CHECK_EQ(tuck_chan_count(chan), 0);
	CHECK_EQ(tuck_chan_send(chan, NULL, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_chan_recv(chan, NULL, TUCK_NOWAIT), 0);
	tuck_chan_free(chan);
}

TEST(an_error_is_below_0)
{
	struct tuck_chan *chan = new_chan(4, 1);

	CHECK_EQ(tuck_chan_fail(chan, 0, TUCK_NOWAIT), -EINVAL);
	CHECK_EQ(tuck_chan_fail(chan, EIO, TUCK_NOWAIT), -EINVAL);
	CHECK_EQ(tuck_chan_fail(chan, -EIO, -1), -EINVAL);
	CHECK_EQ(tuck_chan_count(chan), 0);
	tuck_chan_free(chan);
}

TEST(who_waits_to_fail_is_woken_by_a_close)
{
	struct tuck_chan *chan = new_chan(4, 0);
	struct failing f = { chan, -EIO, 1 };

	go(fail_once, &f);
	let_others_wait();
	CHECK_EQ(tuck_chan_close(chan), 0);
	let_others_wait();
	CHECK_EQ(f.result, -EPIPE);
	tuck_chan_free(chan);
}

/* -- freeing -- */

TEST(use_after_free_is_told)
{
	struct tuck_chan *chan[64], *new[64];

	for (int i = 0; i < 64; i++) {
		chan[i] = new_chan(4, 1);
		CHECK_EQ(tuck_chan_send(chan[i], &i, TUCK_NOWAIT), 0);
	}
	for (int i = 0; i < 64; i++)
		tuck_chan_free(chan[i]);
	for (int i = 0; i < 64; i++) {
		check_all(chan[i], -EBADF);
		CHECK_EQ(tuck_chan_balance(chan[i]), 0);
		CHECK_EQ(tuck_chan_count(chan[i]), 0);
	}
	/* They are still in memory, so no new one has their place. */
	for (int i = 0; i < 64; i++) {
		new[i] = new_chan(4, 1);
		for (int k = 0; k < 64; k++)
			CHECK(new[i] != chan[k]);
	}
	for (int i = 0; i < 64; i++)
		tuck_chan_free(new[i]);
}

TEST(double_free_dies)
{
	CHECK_DIES(-SIGABRT, "freed twice", {
		struct tuck_chan *chan = chan_new(4, 1);

		tuck_chan_free(chan);
		tuck_chan_free(chan);
	});
}

static void send_to_end(void *arg)
{
	int elem = 9;

	CHECK_EQ(tuck_chan_send(arg, &elem, TUCK_FOREVER), -EPIPE);
	mark('s');
}

static void recv_to_end(void *arg)
{
	int elem = 9;

	CHECK_EQ(tuck_chan_recv(arg, &elem, in_ms(5000)), -EPIPE);
	CHECK_EQ(elem, 9);
	mark('r');
}

TEST(free_wakes_who_waits)
{
	struct tuck_chan *a = new_chan(4, 0), *b = new_chan(4, 0);

	for (int i = 0; i < 3; i++) {
		go(send_to_end, a);
		go(recv_to_end, b);
	}
	let_others_wait();
	CHECK_EQ(tuck_chan_balance(a), 3);
	CHECK_EQ(tuck_chan_balance(b), -3);
	tuck_chan_free(a);
	tuck_chan_free(b);
	CHECK_TRACE("");
	let_others_wait();
	CHECK_EQ(strlen(trace_text), 6);
	check_all(a, -EBADF);
}

/* -- closing -- */

TEST(close_wakes_who_waits)
{
	struct tuck_chan *a = new_chan(4, 0), *b = new_chan(4, 2);
	int elem = 1;

	for (int i = 0; i < 3; i++) {
		go(send_to_end, a);
		go(recv_to_end, b);
	}
	let_others_wait();
	CHECK_EQ(tuck_chan_close(a), 0);
	CHECK_EQ(tuck_chan_close(b), 0);
	CHECK_EQ(tuck_chan_balance(a), 0);
	CHECK_EQ(tuck_chan_balance(b), 0);
	CHECK_TRACE("");
	let_others_wait();
	CHECK_EQ(strlen(trace_text), 6);
	CHECK_EQ(tuck_chan_recv(a, &elem, TUCK_FOREVER), -EPIPE);
	CHECK_EQ(tuck_chan_close(a), -EPIPE);
	tuck_chan_free(a);
	tuck_chan_free(b);
}

TEST(close_drains)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 3);
	int elem;

	for (elem = 0; elem < 3; elem++)
		CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_NOWAIT), 0);
	go(send_to_end, chan);	/* waits, and gets nothing in */
	let_others_wait();
	CHECK_EQ(tuck_chan_close(chan), 0);
	CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_FOREVER), -EPIPE);
	CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_NOWAIT), -EPIPE);
	let_others_wait();
	CHECK_TRACE("s");
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(tuck_chan_count(chan), 3 - i);
		CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_FOREVER), 0);
		CHECK_EQ(elem, i);
	}
	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_FOREVER), -EPIPE);
	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_NOWAIT), -EPIPE);
	CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_FOREVER), -EPIPE);
	tuck_chan_free(chan);
}

/* -- the buffer -- */

TEST(buffer_fills_and_wraps)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 5);
	int next_in = 0, next_out = 0, elem;
	uint32_t random = 5;

	for (int i = 0; i < 5000; i++) {
		int r, count = next_in - next_out;

		CHECK_EQ(tuck_chan_count(chan), count);
		if (next_random(&random) % 2) {
			r = tuck_chan_send(chan, &next_in, TUCK_NOWAIT);
			CHECK_EQ(r, count < 5 ? 0 : -EAGAIN);
			next_in += r == 0;
		} else {
			r = tuck_chan_recv(chan, &elem, TUCK_NOWAIT);
			CHECK_EQ(r, count > 0 ? 0 : -EAGAIN);
			if (r == 0)
				CHECK_EQ(elem, next_out++);
		}
	}
	CHECK_EQ(tuck_chan_balance(chan), 0);
	tuck_chan_free(chan);
}

#define COUNT 2000

static void send_numbers(void *arg)
{
	for (int i = 0; i < COUNT; i++)
		CHECK_EQ(tuck_chan_send(arg, &i, TUCK_FOREVER), 0);
}

static void recv_numbers(void *arg)
{
	for (int i = 0, elem; i < COUNT; i++) {
		CHECK_EQ(tuck_chan_recv(arg, &elem, TUCK_FOREVER), 0);
		CHECK_EQ(elem, i);
		if (i % 7 == 0)
			tuck_yield();
	}
	done++;
}

static void keep_order(size_t capacity, enum tuck_prefer prefer)
{
	struct tuck_chan *chan = new_chan(sizeof(int), capacity);

	done = 0;
	CHECK_EQ(tuck_chan_prefer(chan, prefer), 0);
	go(send_numbers, chan);
	go(recv_numbers, chan);
	let_others_wait();
	CHECK_EQ(done, 1);
	tuck_chan_free(chan);
}

static void keep_orders(void)
{
	for (size_t capacity = 0; capacity < 5; capacity++) {
		keep_order(capacity, TUCK_PREFER_RECEIVER);
		keep_order(capacity, TUCK_PREFER_SENDER);
		keep_order(capacity, TUCK_PREFER_NEITHER);
	}
}

TEST(elements_keep_their_order)
{
	keep_orders();
}

TEST(elements_keep_their_order_on_one_stack)
{
	use_slots(1);
	keep_orders();
}

static void send_three(void *arg)
{
	for (int i = 10; i < 13; i++)
		CHECK_EQ(tuck_chan_send(arg, &i, TUCK_FOREVER), 0);
}

TEST(a_waiting_sender_moves_into_the_buffer)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 2);
	int elem;

	for (elem = 0; elem < 2; elem++)
		CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_NOWAIT), 0);
	go(send_three, chan);
	let_others_wait();
	CHECK_EQ(tuck_chan_balance(chan), 1);
	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_NOWAIT), 0);
	CHECK_EQ(elem, 0);
	CHECK_EQ(tuck_chan_count(chan), 2);
	let_others_wait();
	CHECK_EQ(tuck_chan_balance(chan), 1);
	for (int i = 1; i < 5; i++) {
		CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_NOWAIT), 0);
		CHECK_EQ(elem, i < 2 ? i : i + 8);
		let_others_wait();
	}
	CHECK_EQ(tuck_chan_count(chan), 0);
	CHECK_EQ(tuck_chan_balance(chan), 0);
	tuck_chan_free(chan);
}

/* -- who waits, and who runs on -- */

struct party {
	struct tuck_chan *chan;
	char name;
};

static void send_named(void *arg)
{
	const struct party *p = arg;
	int elem = p->name;

	CHECK_EQ(tuck_chan_send(p->chan, &elem, TUCK_FOREVER), 0);
	mark(p->name);
}

static void recv_named(void *arg)
{
	const struct party *p = arg;
	int elem;

	CHECK_EQ(tuck_chan_recv(p->chan, &elem, TUCK_FOREVER), 0);
	mark(p->name);
}

TEST(balance_counts_who_waits)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 0);
	struct party p = { chan, 'x' };
	int elem = 0;

	CHECK_EQ(tuck_chan_balance(chan), 0);
	for (int i = 1; i <= 5; i++) {
		go(send_named, &p);
		let_others_wait();
		CHECK_EQ(tuck_chan_balance(chan), i);
	}
	for (int i = 4; i >= 0; i--) {
		CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_FOREVER), 0);
		CHECK_EQ(tuck_chan_balance(chan), i);
	}
	for (int i = 1; i <= 5; i++) {
		go(recv_named, &p);
		let_others_wait();
		CHECK_EQ(tuck_chan_balance(chan), -i);
	}
	for (int i = 4; i >= 0; i--) {
		CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_FOREVER), 0);
		CHECK_EQ(tuck_chan_balance(chan), -i);
	}
	let_others_wait();
	tuck_chan_free(chan);
}

TEST(who_waits_longest_is_served_first)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 0);
	struct party p[3] = { { chan, 'a' }, { chan, 'b' }, { chan, 'c' } };
	int elem = 0;

	needs_fifo();
	for (int i = 0; i < 3; i++)
		go(send_named, &p[i]);
	tuck_yield();
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_NOWAIT), 0);
		CHECK_EQ(elem, 'a' + i);
	}
	let_others_wait();
	CHECK_TRACE("abc");
	for (int i = 0; i < 3; i++)
		go(recv_named, &p[i]);
	tuck_yield();
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_NOWAIT), 0);
	CHECK_TRACE("abc");
	tuck_chan_free(chan);
}

/*
 * Main, 'm', meets a partner 'p' that waits, while 'x' is ready; then both
 * leave their marks and the rest runs.
 */
static void meet(struct tuck_chan *chan, int main_sends, const char *want)
{
	struct party p = { chan, 'p' };
	int elem = 0;

	go(main_sends ? recv_named : send_named, &p);
	tuck_yield();
	go_letter("x");
	if (main_sends)
		CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_FOREVER), 0);
	else
		CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_FOREVER), 0);
	mark('m');
	tuck_yield();
	CHECK_TRACE(want);
}

TEST(prefer_receiver)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 0);

	needs_fifo();
	meet(chan, 1, "pmx");	/* handed over; the sender right after */
	meet(chan, 0, "mxp");	/* the receiver goes on */
	CHECK_EQ(tuck_chan_prefer(chan, TUCK_PREFER_SENDER), 0);
	CHECK_EQ(tuck_chan_prefer(chan, TUCK_PREFER_RECEIVER), 0);
	meet(chan, 1, "pmx");
	meet(chan, 0, "mxp");
	tuck_chan_free(chan);
}

TEST(prefer_sender)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 0);

	needs_fifo();
	CHECK_EQ(tuck_chan_prefer(chan, TUCK_PREFER_SENDER), 0);
	meet(chan, 1, "mxp");
	meet(chan, 0, "pmx");
	tuck_chan_free(chan);
}

TEST(prefer_neither)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 0);
	struct tuck_chan *buffered = new_chan(sizeof(int), 1);

	needs_fifo();
	CHECK_EQ(tuck_chan_prefer(chan, TUCK_PREFER_NEITHER), 0);
	meet(chan, 1, "mxp");
	meet(chan, 0, "mxp");
	meet(buffered, 1, "mxp");	/* the default with capacity */
	tuck_chan_free(chan);
	tuck_chan_free(buffered);
}

static void receives(void *chan)
{
	int elem;

	mark('r'), mark('0');
	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_FOREVER), 0);
	mark('r'), mark('1');
}

static void sends(void *chan)
{
	mark('s'), mark('0');
	CHECK_EQ(tuck_chan_send(chan, &(int){ 1 }, TUCK_FOREVER), 0);
	mark('s'), mark('1');
}

static void meet_as(enum tuck_prefer preference, const char *receiver_first,
		    const char *sender_first)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 0);

	CHECK_EQ(tuck_chan_prefer(chan, preference), 0);
	for (int i = 0; i < 2; i++) {
		go(i ? sends : receives, chan);
		go(i ? receives : sends, chan);
		go_letter("x");
		let_others_wait();
		CHECK_TRACE(i ? sender_first : receiver_first);
	}
	tuck_chan_free(chan);
}

TEST(meetings_as_in_scheduling_md)
{
	needs_fifo();
	meet_as(TUCK_PREFER_RECEIVER, "r0s0r1s1x", "s0r0r1xs1");
	meet_as(TUCK_PREFER_SENDER, "r0s0s1xr1", "s0r0s1r1x");
	meet_as(TUCK_PREFER_NEITHER, "r0s0s1xr1", "s0r0r1xs1");
}

TEST(a_buffered_element_switches_nobody)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 1);
	int elem = 0;

	needs_fifo();
	CHECK_EQ(tuck_chan_prefer(chan, TUCK_PREFER_RECEIVER), 0);
	go_letter("x");
	CHECK_EQ(tuck_chan_send(chan, &elem, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_FOREVER), 0);
	CHECK_TRACE("");
	meet(chan, 1, "xpmx");
	tuck_chan_free(chan);
}

static void recv_error(void *arg)
{
	struct party *p = arg;
	int elem = 0;

	CHECK_EQ(tuck_chan_recv(p->chan, &elem, TUCK_FOREVER), -EIO);
	mark(p->name);
}

static void fail_named(void *arg)
{
	struct party *p = arg;

	CHECK_EQ(tuck_chan_fail(p->chan, -EIO, TUCK_FOREVER), 0);
	mark(p->name);
}

/* As meet(), with an error in place of the element. */
static void meet_with_error(struct tuck_chan *chan, int main_fails,
			    const char *want)
{
	struct party p = { chan, 'p' };
	int elem = 0;

	go(main_fails ? recv_error : fail_named, &p);
	tuck_yield();
	go_letter("x");
	if (main_fails)
		CHECK_EQ(tuck_chan_fail(chan, -EIO, TUCK_FOREVER), 0);
	else
		CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_FOREVER), -EIO);
	mark('m');
	tuck_yield();
	CHECK_TRACE(want);
}

TEST(errors_meet_by_the_preference)
{
	static const char *const want[][2] = {
		[TUCK_PREFER_RECEIVER] = { "mxp", "pmx" },
		[TUCK_PREFER_SENDER] = { "pmx", "mxp" },
		[TUCK_PREFER_NEITHER] = { "mxp", "mxp" },
	};
	struct tuck_chan *chan = new_chan(sizeof(int), 0);

	needs_fifo();
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(tuck_chan_prefer(chan, (enum tuck_prefer)i), 0);
		meet_with_error(chan, 0, want[i][0]);
		meet_with_error(chan, 1, want[i][1]);
	}
	tuck_chan_free(chan);
}

TEST(prefer_refuses_the_unknown)
{
	struct tuck_chan *chan = new_chan(4, 0);

	CHECK_EQ(tuck_chan_prefer(chan, (enum tuck_prefer)3), -EINVAL);
	CHECK_EQ(tuck_chan_prefer(chan, (enum tuck_prefer) - 1), -EINVAL);
	tuck_chan_free(chan);
}

static int stop;

static void yield_and_count(void *arg)
{
	int *ret_count = arg;

	while (!stop) {
		++*ret_count;
		tuck_yield();
	}
}

#define MESSAGES 40000

static void send_many(void *arg)
{
	for (int i = 0; i < MESSAGES; i++)
		CHECK_EQ(tuck_chan_send(arg, &i, TUCK_FOREVER), 0);
	stop = 1;
}

static void recv_many(void *arg)
{
	for (int i = 0, elem; i < MESSAGES; i++)
		CHECK_EQ(tuck_chan_recv(arg, &elem, TUCK_FOREVER), 0);
}

/* Two that keep each other busy let a third one run, but seldom. */
static void starve(enum tuck_prefer prefer)
{
	struct tuck_chan *chan = new_chan(sizeof(int), 0);
	int count = 0;

	stop = 0;
	CHECK_EQ(tuck_chan_prefer(chan, prefer), 0);
	go(send_many, chan);
	go(recv_many, chan);
	go(yield_and_count, &count);
	while (!stop)
		tuck_yield();
	let_others_wait();
	CHECK(count >= MESSAGES / 300);
	if (!has_policy())
		CHECK(count <= MESSAGES / 30);
	tuck_chan_free(chan);
}

TEST(hand_overs_are_fair_in_the_long_run)
{
	starve(TUCK_PREFER_RECEIVER);
	starve(TUCK_PREFER_SENDER);
}

/* A pipeline of four: hand-overs and waits, in a rhythm of six. */
static struct tuck_chan *pipe_chan[3];

static void pipe_begin(void *arg)
{
	for (int i = 0; i < MESSAGES / 8; i++) {
		CHECK_EQ(tuck_chan_send(pipe_chan[0], &i, TUCK_FOREVER), 0);
		CHECK_EQ(tuck_chan_send(pipe_chan[1], &i, TUCK_FOREVER), 0);
	}
	stop = 1;
	(void)arg;
}

static void pipe_end(void *arg)
{
	for (int i = 0, elem; i < MESSAGES / 8; i++)
		CHECK_EQ(tuck_chan_recv(arg, &elem, TUCK_FOREVER), 0);
}

static void pipe_middle(void *arg)
{
	for (int i = 0, elem; i < MESSAGES / 8; i++) {
		CHECK_EQ(tuck_chan_recv(arg, &elem, TUCK_FOREVER), 0);
		CHECK_EQ(tuck_chan_send(pipe_chan[2], &elem, TUCK_FOREVER), 0);
	}
}

/* After some more or fewer switches, for the phase of the scheduler's count. */
static void starve_in_phase(int phase)
{
	int count = 0;

	stop = 0;
	for (int i = 0; i < 3; i++)
		pipe_chan[i] = new_chan(sizeof(int), 0);
	for (int i = 0; i < phase; i++) {
		go_letter("x");
		tuck_yield();
	}
	go(pipe_end, pipe_chan[0]);
	go(pipe_middle, pipe_chan[1]);
	go(pipe_end, pipe_chan[2]);
	go(pipe_begin, NULL);
	go(yield_and_count, &count);
	let_others_wait();
	CHECK(count >= MESSAGES / 8 * 6 / 1000);
	for (int i = 0; i < 3; i++)
		tuck_chan_free(pipe_chan[i]);
}

TEST(hand_overs_are_fair_in_any_rhythm)
{
	for (int phase = 0; phase < 12; phase++)
		starve_in_phase(phase);
}

static void ping(void *arg)
{
	struct tuck_chan **chan = arg;
	int elem;

	for (int i = 0; i < 500; i++) {
		CHECK_EQ(tuck_chan_recv(chan[0], &elem, TUCK_FOREVER), 0);
		elem++;
		CHECK_EQ(tuck_chan_send(chan[1], &elem, TUCK_FOREVER), 0);
	}
}

static void ring(void)
{
	struct tuck_chan *chan[21];
	int elem = 0;

	for (int i = 0; i < 21; i++)
		chan[i] = new_chan(sizeof(int), 0);
	for (int i = 0; i < 20; i++)
		go(ping, &chan[i]);
	for (int i = 0; i < 500; i++) {
		CHECK_EQ(tuck_chan_send(chan[0], &elem, TUCK_FOREVER), 0);
		CHECK_EQ(tuck_chan_recv(chan[20], &elem, TUCK_FOREVER), 0);
		CHECK_EQ(elem, (i + 1) * 20);
	}
	let_others_wait();
	for (int i = 0; i < 21; i++)
		tuck_chan_free(chan[i]);
}

TEST(ring_of_channels)
{
	ring();
}

TEST(ring_of_channels_on_two_stacks)
{
	use_slots(2);
	ring();
}
