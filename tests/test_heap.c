/* SPDX-License-Identifier: MIT */
/* The timer heap against a reference, and the order of equal times. */
#include <errno.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/mem.h"
#include "check.h"

#define TIMERS 600

/* The reference: times, and when they were set; 0: not set. */
static struct {
	struct tuck__timer timer;
	tuck_ns at;
	uint64_t since;
} all[TIMERS];

static struct tuck__heap heap;
static uint64_t clock_now;

static void add(int i, tuck_ns at)
{
	CHECK_EQ(tuck__heap_add(&heap, &all[i].timer, at), 0);
	all[i].at = at;
	all[i].since = ++clock_now;
}

static void remove_timer(int i)
{
	tuck__heap_remove(&heap, &all[i].timer);
	all[i].since = 0;
	CHECK_EQ(all[i].timer.place, 0);
}

static int reference_first(void)
{
	int best = -1;

	for (int i = 0; i < TIMERS; i++) {
		if (!all[i].since)
			continue;
		if (best < 0 || all[i].at < all[best].at ||
		    (all[i].at == all[best].at &&
		     all[i].since < all[best].since))
			best = i;
	}
	return best;
}

static void check_first(void)
{
	int first = reference_first();

	if (first < 0) {
		CHECK_EQ(heap.n, 0);
		CHECK_EQ(tuck__heap_next(&heap), TUCK_FOREVER);
		return;
	}
	CHECK_EQ(tuck__heap_next(&heap), all[first].at);
	CHECK(tuck__heap_first(&heap) == &all[first].timer);
}

static void check_places(void)
{
	for (uint32_t i = 0; i < heap.n; i++)
		CHECK_EQ(heap.entries[i].timer->place, i + 1);
}

/* times: how many different ones; fewer make more equal ones. */
static void random_ops(unsigned random, int times, int share)
{
	for (int n = 0; n < 6000; n++) {
		int i = rand_r(&random) % TIMERS;

		if (all[i].since)
			remove_timer(i);
		else if (rand_r(&random) % 10 < share)
			add(i, 1 + rand_r(&random) % times);
		if (n % 3 == 0 && heap.n > 0)
			remove_timer(reference_first());
		check_first();
		if (n % 100 == 0)
			check_places();
	}
}

static void drain(void)
{
	while (heap.n > 0) {
		check_first();
		remove_timer(reference_first());
	}
	check_first();
}

TEST(random_operations)
{
	for (unsigned seed = 1; seed < 6; seed++) {
		random_ops(seed, 1000000, 9);
		random_ops(seed, 5, 9);
		random_ops(seed, 50, 5);
		drain();
	}
	tuck__heap_fini(&heap);
}

TEST(equal_times_keep_the_order_of_setting)
{
	for (int i = 0; i < TIMERS; i++)
		add(i, 7);
	for (int i = 0; i < TIMERS; i++) {
		CHECK(tuck__heap_first(&heap) == &all[i].timer);
		remove_timer(i);
	}
	tuck__heap_fini(&heap);
}

TEST(removing_one_that_is_not_set_does_nothing)
{
	add(0, 5);
	remove_timer(1);
	remove_timer(0);
	remove_timer(0);
	CHECK_EQ(heap.n, 0);
	tuck__heap_fini(&heap);
}

TEST(order_of_sorted_input)
{
	for (int i = 0; i < TIMERS; i++)
		add(i, TIMERS - i);
	check_places();
	drain();
	for (int i = 0; i < TIMERS; i++)
		add(i, i);
	drain();
	tuck__heap_fini(&heap);
}

TEST(memory_shrinks_again)
{
	uint32_t most;

	for (int i = 0; i < TIMERS; i++)
		add(i, i);
	most = heap.room;
	CHECK(most >= TIMERS && most < 4 * TIMERS);
	while (heap.n > 3)
		remove_timer(reference_first());
	CHECK(heap.room < most);
	drain();
	tuck__heap_fini(&heap);
	CHECK(!heap.entries);
}

TEST(no_memory_leaves_the_heap_as_it_was)
{
	int i;

	for (i = 0; i < 64; i++)
		add(i, 1000 - i);
	for (; heap.n < heap.room; i++)
		add(i, 1000 - i);
	tuck__fault_set(1, 1);
	CHECK_EQ(tuck__heap_add(&heap, &all[i].timer, 1), -ENOMEM);
	CHECK_EQ(all[i].timer.place, 0);
	check_first();
	check_places();
	tuck__fault_set(0, 0);
	for (; i < TIMERS; i++)
		add(i, 1000 - i);
	tuck__fault_set(1, 1);		/* it stays large */
	drain();
	tuck__fault_set(0, 0);
	add(3, 4);
	check_first();
	tuck__heap_fini(&heap);
}
