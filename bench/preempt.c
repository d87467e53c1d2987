/* SPDX-License-Identifier: MIT */
/*
 * What it costs to be pre-empted: two tasklets do each work at once, at a
 * quantum of 20,000 ticks. A line for each: name, CPU nanoseconds of one,
 * switches, hash of the results.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <tuck.h>

#include "counted.h"

static uint64_t results[2];
static const struct work *work;

static void run(void *arg)
{
	*(uint64_t *)arg = work->fn();
}

static int64_t cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return TUCK_SEC(t.tv_sec) + t.tv_nsec;
}

static void measure(void)
{
	struct tuck_stats before, after;
	int64_t start = cpu();

	tuck_stats(&before);
	for (int i = 0; i < 2; i++)
		tuck_go(run, &results[i]);
	tuck_run(0);
	tuck_stats(&after);
	printf("%s %" PRId64 " %" PRIu64 " %" PRIx64 "\n", work->name,
	       (cpu() - start) / 2, after.switches - before.switches,
	       results[0] ^ (results[1] * 3));
}

int main(void)
{
	if (tuck_quantum_set(20000) < 0)
		return 1;
	for (work = works; work < works + WORKS; work++)
		measure();
	return 0;
}
