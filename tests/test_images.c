/* SPDX-License-Identifier: MIT */
/*
 * A library that knows nothing of tasklets, compiled so that it counts: those
 * who use it and never yield take turns inside it, and get what they would
 * have got alone.
 */
#include <stdio.h>
#include <tuck.h>

#include "preempt/images.h"
#include "trace.h"

#ifndef EXACT	/* 0: ticks are of time */
#define EXACT 1
#endif

enum { SEEDS = EXACT ? 8 : 300 };

static struct job {
	uint64_t (*fn)(uint32_t seed);
	uint64_t alone[SEEDS], results[SEEDS];
	int done;
} jobs[] = { { .fn = image_as_png }, { .fn = image_as_jpeg } };

static void work(void *arg)
{
	struct job *job = arg;

	for (uint32_t i = 0; i < SEEDS; i++)
		job->results[i] = job->fn(i);
	job->done = 1;
}

static void work_alone(void)
{
	for (int j = 0; j < 2; j++) {
		for (uint32_t i = 0; i < SEEDS; i++) {
			jobs[j].alone[i] = jobs[j].fn(i);
			CHECK(jobs[j].alone[i] != 0);
		}
		CHECK(jobs[j].alone[0] != jobs[j].alone[1]);
	}
}

static uint64_t switches(void)
{
	struct tuck_stats stats;

	CHECK_EQ(tuck_stats(&stats), 0);
	return stats.switches;
}

static void work_in_turns(int64_t quantum)
{
	uint64_t before;

	work_alone();
	CHECK_EQ(tuck_quantum_set(quantum), 0);
	go(work, &jobs[0]);
	go(work, &jobs[1]);
	before = switches();
	while (!jobs[0].done && !jobs[1].done)
		tuck_yield();
	CHECK(switches() - before > (EXACT ? 300 : 10));
	while (!jobs[0].done || !jobs[1].done)
		tuck_yield();
	for (int j = 0; j < 2; j++)
		CHECK_MEM(jobs[j].results, jobs[j].alone,
			  sizeof(jobs[j].alone));
}

TEST_LIMIT(results_are_those_of_each_alone, 60)
{
	work_in_turns(5000);
}

/* On one slot all of what they have on the stack is copied each time. */
TEST_LIMIT(results_when_stacks_are_shared, 60)
{
	use_slots(1);
	work_in_turns(5003);
}
