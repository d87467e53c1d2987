/* SPDX-License-Identifier: MIT */
/*
 * Waits at channels between procs: of those that look for their partner
 * before they park, and of those that ask a channel's home.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <tuck.h>
#include <unistd.h>

#include "base/mem.h"
#include "chan/shared.h"
#include "task/waitq.h"
#include "trace.h"

static atomic_int step, ended;

static struct tuck_chan *new_chan(size_t capacity)
{
	struct tuck_chan *chan = tuck_chan_new(sizeof(int), capacity);

	CHECK(chan);
	return chan;
}

static struct tuck_chan *shared_chan(size_t capacity)
{
	struct tuck_chan *chan = new_chan(capacity);

	CHECK_EQ(tuck_chan_share(chan), 0);
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

static void stay_until(int n)
{
	while (atomic_load(&step) < n)
		usleep(10);
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

/* -- looking for a partner -- */

/* The caller's proc looks for longer than any test takes. */
static void look_for_ever(void)
{
	if (has_policy())
		SKIP("with a policy nobody looks");
	tuck_self();
	tuck__tls->spin = TUCK_SEC(3600);
}

/* What the first one in a queue of receivers is, once somebody is there. */
static uint32_t state_of_receiver(struct tuck_chan *chan)
{
	uint32_t state = TUCK__FAR_OVER;

	while (state == TUCK__FAR_OVER) {
		tuck__spin_lock(&chan->lock);
		if (!tuck__list_empty(&chan->receivers)) {
			struct tuck__place *p = tuck__container(
				chan->receivers.next, struct tuck__place, link);

			state = atomic_load(&p->wait->far.state);
		}
		tuck__spin_unlock(&chan->lock);
		usleep(10);
	}
	return state;
}

static void send_to_one_who_looks(void *arg)
{
	CHECK_EQ(state_of_receiver(arg), TUCK__FAR_WATCHED);
	send_int(arg, 7);
}

TEST(who_looks_gets_its_element_without_a_switch)
{
	struct tuck_chan *chan = shared_chan(0);
	uint64_t switches;
	int proc;

	look_for_ever();
	proc = start(send_to_one_who_looks, chan);
	switches = tuck__tls->switches;
	CHECK_EQ(recv_int(chan), 7);
	CHECK_EQ(tuck__tls->switches, switches);
	join(proc);
	tuck_chan_free(chan);
}

TEST(a_select_looks_too)
{
	struct tuck_chan *chan = shared_chan(0), *other = shared_chan(0);
	int elem = 0, proc;
	struct tuck_case cases[] = {
		{ .chan = other, .op = TUCK_RECV, .elem = &elem },
		{ .chan = chan, .op = TUCK_RECV, .elem = &elem },
	};
	uint64_t switches;

	look_for_ever();
	proc = start(send_to_one_who_looks, chan);
	switches = tuck__tls->switches;
	CHECK_EQ(tuck_select(cases, 2, TUCK_FOREVER), 1);
	CHECK_EQ(elem, 7);
	CHECK_EQ(tuck__tls->switches, switches);
	join(proc);
	tuck_chan_free(chan);
	tuck_chan_free(other);
}

static void fail_one_who_looks(void *arg)
{
	CHECK_EQ(state_of_receiver(arg), TUCK__FAR_WATCHED);
	CHECK_EQ(tuck_chan_close(arg), 0);
}

TEST(who_looks_sees_that_it_is_closed)
{
	struct tuck_chan *chan = shared_chan(0);
	int elem, proc;

	look_for_ever();
	proc = start(fail_one_who_looks, chan);
	CHECK_EQ(tuck_chan_recv(chan, &elem, TUCK_FOREVER), -EPIPE);
	join(proc);
	tuck_chan_free(chan);
}

static tuck_id wakes;

static void be_unblocked(void *chan)
{
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	send_int(chan, 9);
}

static void unblock_beside_one_who_looks(void *arg)
{
	CHECK_EQ(state_of_receiver(arg), TUCK__FAR_WATCHED);
	CHECK_EQ(tuck_unblock(wakes), 0);
}

/* Both of the proc that looks: nobody else could send. */
TEST(a_post_ends_the_looking)
{
	struct tuck_chan *chan = shared_chan(0);
	int proc;

	look_for_ever();
	wakes = go(be_unblocked, chan);
	let_others_wait();
	proc = start(unblock_beside_one_who_looks, chan);
	CHECK_EQ(recv_int(chan), 9);
	join(proc);
	tuck_chan_free(chan);
}

TEST(a_deadline_ends_the_looking)
{
	struct tuck_chan *chan = shared_chan(0), *full = shared_chan(1);
	int elem = 0;

	look_for_ever();
	CHECK_EQ(tuck_chan_recv(chan, &elem, tuck_after(TUCK_MS(1))),
		 -ETIMEDOUT);
	send_int(full, 1);
	look_for_ever();
	CHECK_EQ(tuck_chan_send(full, &elem, tuck_after(TUCK_MS(1))),
		 -ETIMEDOUT);
	tuck_chan_free(chan);
	tuck_chan_free(full);
}

static void sleep_and_send(void *chan)
{
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(1))), 0);
	send_int(chan, 4);
}

TEST(anothers_deadline_ends_the_looking)
{
	for (size_t capacity = 0; capacity < 2; capacity++) {
		struct tuck_chan *chan = shared_chan(capacity);

		go(sleep_and_send, chan);
		let_others_wait();
		look_for_ever();
		CHECK_EQ(recv_int(chan), 4);
		tuck_chan_free(chan);
	}
}

static void kill_one_who_looks(void *arg)
{
	CHECK_EQ(state_of_receiver(arg), TUCK__FAR_WATCHED);
	CHECK_EQ(tuck_kill(wakes), 0);
}

static void be_killed(void *chan)
{
	recv_int(chan);
	CHECK(!"killed");
}

TEST(a_kill_ends_the_looking)
{
	struct tuck_chan *chan = shared_chan(0);
	int proc;

	look_for_ever();
	wakes = go(be_killed, chan);
	proc = start(kill_one_who_looks, chan);
	CHECK_EQ(tuck_join(wakes, TUCK_FOREVER), 0);
	join(proc);
	tuck_chan_free(chan);
}

static void receive(void *chan)
{
	recv_int(chan);
	atomic_fetch_add(&ended, 1);
}

/* While tuck_run() waits until all others do. */
TEST(nobody_looks_in_a_run)
{
	struct tuck_chan *chan = shared_chan(0);

	look_for_ever();
	go(receive, chan);
	CHECK_EQ(tuck_run(0), 0);
	send_int(chan, 1);
	CHECK_EQ(tuck_run(0), 0);
	CHECK_EQ(ended, 1);
	tuck_chan_free(chan);
}

/* Those who are ready come first. */
TEST(nobody_looks_while_others_are_ready)
{
	struct tuck_chan *chan = shared_chan(0);

	look_for_ever();
	go(sleep_and_send, chan);
	CHECK_EQ(recv_int(chan), 4);
	tuck_chan_free(chan);
}

static void fill_when_empty(void *arg)
{
	struct tuck_chan *chan = arg;

	stay_until(1);
	for (int i = 0; i < 10; i++)
		send_int(chan, i);
}

TEST(who_looks_at_an_empty_buffer_parks_not)
{
	struct tuck_chan *chan = shared_chan(4);
	uint64_t switches;
	int proc;

	look_for_ever();
	proc = start(fill_when_empty, chan);
	switches = tuck__tls->switches;
	atomic_store(&step, 1);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(recv_int(chan), i);
	CHECK_EQ(tuck__tls->switches, switches);
	join(proc);
	tuck_chan_free(chan);
}

static int pipe_fd[2];

static void read_one(void *arg)
{
	char c;

	(void)arg;
	CHECK_EQ(tuck_read(pipe_fd[0], &c, 1, TUCK_FOREVER), 1);
	atomic_store(&ended, 1);
}

static void talk_on(void *chan)
{
	while (tuck_chan_send(chan, &(int){ 1 }, TUCK_FOREVER) == 0)
		;
}

/* Messages come without a sleep, so that the poller is never waited in. */
TEST(who_looks_all_the_time_reads_descriptors_too)
{
	struct tuck_chan *chan = shared_chan(0);
	int proc;

	look_for_ever();
	CHECK_EQ(pipe(pipe_fd), 0);
	go(read_one, NULL);
	let_others_wait();
	proc = start(talk_on, chan);
	CHECK_EQ(write(pipe_fd[1], "x", 1), 1);
	while (atomic_load(&ended) == 0) {
		tuck__tls->spin = TUCK_SEC(3600);
		recv_int(chan);
	}
	CHECK_EQ(tuck_chan_close(chan), 0);
	join(proc);
	tuck_chan_free(chan);
}

/* -- asking a home -- */

static struct tuck_chan *its;

/* A home that computes: it looks only when it is told to. */
static void make_and_compute(void *arg)
{
	its = new_chan(1);
	if (arg)
		send_int(its, *(int *)arg);
	atomic_store(&step, 1);
	stay_until(2);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);	/* answers */
}

static void select_other(void *other)
{
	int elem = 0;
	struct tuck_case cases[] = {
		{ .chan = its, .op = TUCK_RECV, .elem = &elem },
		{ .chan = NULL },
		{ .chan = other, .op = TUCK_RECV, .elem = &elem },
	};

	CHECK_EQ(tuck_select(cases, 3, TUCK_FOREVER), 2);
	CHECK_EQ(cases[2].ret_err, 0);
	CHECK_EQ(elem, 5);
	atomic_fetch_add(&ended, 1);
}

static void settle(void)
{
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);	/* looks */
	let_others_wait();
}

TEST(a_select_that_asks_hears_its_other_channels)
{
	struct tuck_chan *other = new_chan(1);
	int proc = start(make_and_compute, NULL);

	stay_until(1);
	go(select_other, other);
	settle();
	send_int(other, 5);
	while (atomic_load(&ended) < 1)
		tuck_yield();
	atomic_store(&step, 2);
	join(proc);
	tuck_chan_free(its);
	tuck_chan_free(other);
}

static void select_its(void *other)
{
	int elem = 0;
	struct tuck_case cases[] = {
		{ .chan = other, .op = TUCK_RECV, .elem = &elem },
		{ .chan = its, .op = TUCK_RECV, .elem = &elem },
	};

	cases[1].ret_err = -1;
	CHECK_EQ(tuck_select(cases, 2, TUCK_FOREVER), 1);
	CHECK_EQ(cases[1].ret_err, 0);
	CHECK_EQ(elem, 6);
	atomic_fetch_add(&ended, 1);
}

TEST(a_select_that_asks_hears_the_answer)
{
	struct tuck_chan *other = new_chan(1);
	int six = 6, proc = start(make_and_compute, &six);

	stay_until(1);
	go(select_its, other);
	settle();
	CHECK_EQ(atomic_load(&ended), 0);
	atomic_store(&step, 2);
	while (atomic_load(&ended) < 1)
		tuck_yield();
	join(proc);
	tuck_chan_free(its);
	tuck_chan_free(other);
}

static uintptr_t *next_of(uintptr_t link)
{
	if (link & 1)
		return &((struct tuck__request *)(link & ~(uintptr_t)1))->next;
	return &((struct tuck__tasklet *)link)->inbox_next;
}

/* What lies in the inbox of this proc, which does not look meanwhile. */
static int posts_here(void)
{
	uintptr_t link = atomic_load(&tuck__tls->inbox);
	int n = 0;

	for (; link; link = *next_of(link))
		n++;
	return n;
}

#define TIMES 20

static void ask_and_give_up(void *chan)
{
	int elem;
	struct tuck_case c = { .chan = chan, .op = TUCK_RECV, .elem = &elem };

	for (int i = 0; i < TIMES; i++) {
		CHECK_EQ(tuck_chan_recv(chan, &elem, tuck_after(TUCK_US(10))),
			 -ETIMEDOUT);
		CHECK_EQ(tuck_select(&c, 1, tuck_after(TUCK_US(10))),
			 -ETIMEDOUT);
	}
	atomic_store(&step, 1);
	stay_until(2);
}

TEST(who_gives_up_leaves_nothing_behind)
{
	struct tuck_chan *chan = new_chan(0);
	int proc = start(ask_and_give_up, chan);

	stay_until(1);
	CHECK_EQ(posts_here(), 1);
	CHECK(tuck__list_empty(&chan->asks));
	settle();
	CHECK_EQ(posts_here(), 0);
	CHECK_EQ(atomic_load(&chan->refs), 1);
	CHECK(tuck__chan_at_home(chan, tuck__tls));	/* nobody wants it */
	atomic_store(&step, 2);
	join(proc);
	tuck_chan_free(chan);
}

#define TRIES 12

/* One more of the requests for memory succeeds each time. */
static void select_without_memory(void *arg)
{
	struct tuck_chan **chans = arg;
	int r = -ENOMEM, elem = 0, i;

	for (i = 0; i < TRIES && r == -ENOMEM; i++) {
		struct tuck_case c = { .chan = chans[i],
				       .op = TUCK_RECV,
				       .elem = &elem };

		tuck__fault_set(i + 1, 0);
		r = tuck_select(&c, 1, TUCK_FOREVER);
		tuck__fault_set(0, 0);
	}
	CHECK(i > 2);
	CHECK_EQ(r, 0);
	CHECK_EQ(elem, i - 1);
}

TEST(a_select_that_cannot_ask_loses_nothing)
{
	struct tuck_chan *chans[TRIES];

	for (int i = 0; i < TRIES; i++) {
		chans[i] = new_chan(1);
		send_int(chans[i], i);
	}
	join(start(select_without_memory, chans));
	for (int i = 0; i < TRIES; i++) {
		int elem = -1, r = tuck_chan_recv(chans[i], &elem, TUCK_NOWAIT);

		CHECK_EQ(atomic_load(&chans[i]->refs), 1);
		CHECK(r == -EAGAIN || elem == i);
		tuck_chan_free(chans[i]);
	}
}

/* -- a call holds its channels no longer than it lasts -- */

static void use_by_send(struct tuck_chan *chan)
{
	send_int(chan, 1);
}

static void use_by_count(struct tuck_chan *chan)
{
	CHECK_EQ(tuck_chan_count(chan), 0);
}

static void use_by_select(struct tuck_chan *chan)
{
	int elem = 1;
	struct tuck_case c = { .chan = chan, .op = TUCK_SEND, .elem = &elem };

	CHECK_EQ(tuck_select(&c, 1, TUCK_FOREVER), 0);
}

static void use_by_select_at_once(struct tuck_chan *chan)
{
	int elem = 1;
	struct tuck_case c = { .chan = chan, .op = TUCK_SEND, .elem = &elem };

	CHECK_EQ(tuck_select(&c, 1, TUCK_NOWAIT), 0);
}

static void use_too_late(struct tuck_chan *chan)
{
	int elem = 1;

	CHECK_EQ(tuck_chan_send(chan, &elem, tuck_after(TUCK_US(10))),
		 -ETIMEDOUT);
}

static void (*use)(struct tuck_chan *);

static void use_and_live(void *chan)
{
	use(chan);
	atomic_store(&step, 1);
	stay_until(2);
}

static void expect_let_go(void (*by)(struct tuck_chan *), bool look)
{
	struct tuck_chan *chan = new_chan(1);
	int proc;

	use = by;
	atomic_store(&step, 0);
	proc = start(use_and_live, chan);
	while (atomic_load(&step) < 1)
		if (look)
			tuck_sleep(tuck_after(TUCK_US(100)));
	settle();
	CHECK_EQ(atomic_load(&chan->refs), 1);
	atomic_store(&step, 2);
	join(proc);
	tuck_chan_free(chan);
}

TEST(calls_let_go_of_their_channels)
{
	expect_let_go(use_by_send, true);
	expect_let_go(use_by_count, true);
	expect_let_go(use_by_select, true);
	expect_let_go(use_by_select_at_once, true);
	expect_let_go(use_too_late, false);
}
