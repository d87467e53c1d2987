/* SPDX-License-Identifier: MIT */
/* C++ that is pre-empted, with what its compiler has libstdc++ do. */
#include <cerrno>

#include <tuck.h>

#include "preempt/objects.h"
#include "trace.h"

#ifndef EXACT	/* 0: ticks are of time */
#define EXACT 1
#endif

enum { MANY = 5 };

static int deferred;

static void count_deferred(void *)
{
	deferred++;
}

static void spins(void *objects)
{
	CHECK_EQ(tuck_defer(count_deferred, nullptr), 0);
	holds_an_object(objects);
}

/* Whatever it was at, which the compiler did not think could be left. */
TEST(killed_wherever_it_is)
{
	int objects = 0, rounds = EXACT ? 100 : 5;

	for (int i = 0; i < rounds; i++) {
		tuck_id id = go(spins, &objects);

		CHECK_EQ(tuck_run(1000 + i), id);
		CHECK_EQ(objects, 1);
		CHECK_EQ(tuck_kill(id), 0);
		CHECK_EQ(tuck_run(0), 0);
		CHECK_EQ(tuck_join(id, TUCK_FOREVER), -ESRCH);
		CHECK_EQ(objects, 0);
		CHECK_EQ(deferred, i + 1);
	}
}

static int done;

static void calls_static(void *)
{
	CHECK_EQ(slow_static(), 42);
	CHECK_EQ(static_builds, 1);
	done++;
}

TEST(static_local_is_built_once)
{
	CHECK_EQ(tuck_quantum_set(100), 0);
	for (int i = 0; i < MANY; i++)
		go(calls_static, nullptr);
	tuck_yield();
	CHECK(!EXACT || done == 0);
	while (done < MANY)
		tuck_yield();
}

static void calls_many(void *n)
{
	int times = *static_cast<int *>(n);

	CHECK_EQ(calls_once(times), times);
	done++;
}

TEST(each_calls_its_own_once)
{
	int times[MANY];

	CHECK_EQ(tuck_quantum_set(1), 0);
	for (int i = 0; i < MANY; i++) {
		times[i] = 50 + i;
		go(calls_many, &times[i]);
	}
	while (done < MANY)
		tuck_yield();
}

TEST(condition_variable)
{
	int n = 40;

	CHECK_EQ(tuck_quantum_set(30), 0);
	go(consumes, &n);
	go(consumes, &n);
	CHECK_EQ(tuck_run(0), 0);
	go(produces, &n);
	go(produces, &n);
	while (has_taken() < 2 * n)
		CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(1))), 0);
}
