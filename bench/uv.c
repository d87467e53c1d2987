/* SPDX-License-Identifier: MIT */
/* The peer libuv: its pool of threads, by callbacks. */
#include <uv.h>
#include "bench.h"

static uv_loop_t loop;
static long in_flight, left;

static void nothing(uv_work_t *work)
{
	(void)work;
}

static void again(uv_work_t *work, int status)
{
	BENCH_CHECK(status == 0);
	if (--left >= in_flight)
		BENCH_CHECK(!uv_queue_work(&loop, work, nothing, again));
}

static uv_work_t *requests;

static void offload_batch(long n)
{
	left = n * in_flight;
	for (long i = 0; i < in_flight; i++)
		BENCH_CHECK(
			!uv_queue_work(&loop, &requests[i], nothing, again));
	BENCH_CHECK(!uv_run(&loop, UV_RUN_DEFAULT) && !left);
}

static double work_offload(long n)
{
	double ns;

	bench_clock = CLOCK_PROCESS_CPUTIME_ID;
	in_flight = n;
	requests = calloc((size_t)n, sizeof(*requests));
	BENCH_CHECK(requests && !uv_loop_init(&loop));
	ns = bench_per_op(offload_batch, n);
	free(requests);
	return ns;
}

static const struct bench_work works[] = {
	{ "offload", 1, work_offload },
	{ NULL, 0, NULL },
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, works);
}
