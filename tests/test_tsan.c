/* SPDX-License-Identifier: MIT */
/*
 * ThreadSanitizer still finds races between tasklets of two threads whose
 * stacks are sliced, and none where there is none (rule S10).
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <tuck.h>
#include <unistd.h>

#include "base/sanitize.h"
#include "check.h"

static void needs_tsan(void)
{
	if (!TUCK__TSAN)
		SKIP("not built with ThreadSanitizer");
}

/* -- two threads, each with several tasklets on one stack -- */

enum { OFTEN = 50, MANY = 8 };

static int shared;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t all_there;

/* Atomic in relaxed order: gives the threads turns, but no order. */
static _Atomic(int) turn;

static void await_turn(int mine)
{
	while (atomic_load_explicit(&turn, memory_order_relaxed) < mine) {
		tuck_yield();
		usleep(100);	/* what is remembered of a thread is short */
	}
}

static void end_turn(void)
{
	atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed);
}

static void chatter(void *arg)
{
	(void)arg;
	for (int i = 0; i < OFTEN; i++)
		tuck_yield();
}

static void with_lock(void *arg)
{
	(void)arg;
	for (int i = 0; i < OFTEN; i++) {
		pthread_mutex_lock(&lock);
		shared++;
		pthread_mutex_unlock(&lock);
		tuck_yield();
	}
}

static void without_lock(void *arg)
{
	await_turn(arg ? 1 : 0);
	shared++;
	end_turn();
}

/*
 * Rule S1 broken: the address of what is on a stack is used while that is
 * tucked away. It is far down, where the others have no bytes to spoil.
 */
static _Atomic(volatile int *) lent;

static void lend(void *arg)
{
	volatile int mine[1024] = { 5 };

	(void)arg;
	atomic_store_explicit(&lent, mine, memory_order_relaxed);
	end_turn();
	await_turn(2);
	mine[0]++;
}

static void write_lent(void *arg)
{
	(void)arg;
	await_turn(1);
	++*atomic_load_explicit(&lent, memory_order_relaxed);
	end_turn();
}

struct plan {
	void (*fn)(void *);
	void *arg;
};

static void *run_thread(void *arg)
{
	const struct plan *plan = arg;
	tuck_id id;

	pthread_barrier_wait(&all_there);
	for (int i = 0; i < MANY; i++)
		CHECK(tuck_go(chatter, NULL) > 0);
	id = tuck_go(plan->fn, plan->arg);
	CHECK(id > 0);
	CHECK_EQ(tuck_join(id, TUCK_FOREVER), 0);
	end_turn();
	await_turn(4);
	return NULL;
}

/* Both threads' tasklets share a stack with the others of their thread. */
static void run_two(void (*one)(void *), void (*two)(void *))
{
	const struct tuck_config one_slot = { .stack_slots = 1 };
	struct plan first = { one, NULL }, second = { two, &first };
	pthread_t threads[2];

	tuck_config_set(&one_slot);
	pthread_barrier_init(&all_there, NULL, 2);
	pthread_create(&threads[0], NULL, run_thread, &first);
	pthread_create(&threads[1], NULL, run_thread, &second);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	exit(0);	/* 66, by ThreadSanitizer, if it had to report */
}

TEST(no_false_race)
{
	needs_tsan();
	turn = 2;
	CHECK_DIES(0, "", { run_two(with_lock, with_lock); });
}

TEST(race_of_two_threads_is_found)
{
	needs_tsan();
	CHECK_DIES(66, "data race", { run_two(without_lock, without_lock); });
}

TEST(race_on_a_tasklets_stack_is_found)
{
	needs_tsan();
	CHECK_DIES(66, "data race", { run_two(lend, write_lent); });
}

/* Each is a fiber, and the runtime ends a process that has too many. */
TEST_LIMIT(too_many_tasklets_are_refused, 60)
{
	tuck_id id, one = 0;
	uint32_t n = 0;

	needs_tsan();
	while ((id = tuck_go(chatter, NULL)) > 0) {
		n++;
		one = id;
	}
	CHECK_EQ(id, -ENOMEM);
	CHECK(n > 1000 && n < 8000);
	CHECK_EQ(tuck_drop(one), 0);
	CHECK(tuck_go(chatter, NULL) > 0);
	CHECK_EQ(tuck_go(chatter, NULL), -ENOMEM);
}

static struct tuck_ctx *never_end(void *main)
{
	tuck_ctx_switch(main, NULL, NULL);
	return main;
}

#define LEFT 450

static void *leave_some(void *arg)
{
	struct tuck_ctx *ctx = calloc(LEFT, sizeof(*ctx));

	(void)arg;
	CHECK(ctx);
	for (int i = 0; i < LEFT; i++) {
		CHECK_EQ(tuck_ctx_init(&ctx[i], NULL, NULL), 0);
		CHECK_EQ(tuck_ctx_start(&ctx[i], never_end, tuck_ctx_self(),
					NULL),
			 0);
	}
	return ctx;
}

/* More than there may be at once. */
TEST_LIMIT(those_of_a_thread_that_has_ended_do_not_count, 60)
{
	needs_tsan();
	for (int i = 0; i < 6; i++) {
		pthread_t thread;
		void *ctx;

		CHECK_EQ(pthread_create(&thread, NULL, leave_some, NULL), 0);
		CHECK_EQ(pthread_join(thread, &ctx), 0);
		free(ctx);
	}
}
