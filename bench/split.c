/* SPDX-License-Identifier: MIT */
/*
 * What a stack that grows costs beside a slice. This file makes two programs
 * with the same works: bench_split, compiled with -fsplit-stack, whose
 * contexts grow by segments, and bench_slice, compiled without, whose
 * contexts share the thread's slots.
 */
#include "bench.h"

#if SPLIT
#include <tuck/split.h>
#else
#include <tuck/ctx.h>
#endif

#define NOINLINE __attribute__((__noinline__))

/* Of functions that call library code and yet shall not need a megabyte. */
#if SPLIT
#define WHOLE __attribute__((__no_split_stack__, __noinline__))
#else
#define WHOLE NOINLINE
#endif

struct flow {
	struct tuck_ctx ctx;
#if SPLIT
	struct tuck_split split;
#endif
};

static struct tuck_ctx *home;
static struct flow one;

/* Inline, as a return that is not the switch's own would be mispredicted. */
static inline void go_to(struct tuck_ctx *to)
{
#if SPLIT
	tuck_split_switch(to, NULL, NULL);
#else
	tuck_ctx_switch(to, NULL, NULL);
#endif
}

static int start(struct flow *f, tuck_ctx_fn *fn, void *arg)
{
#if SPLIT
	return tuck_split_init(&f->ctx, &f->split, 1) < 0 ?
		       -1 :
		       tuck_split_start(&f->ctx, &f->split, fn, arg, NULL);
#else
	return tuck_ctx_init(&f->ctx, NULL, NULL) < 0 ?
		       -1 :
		       tuck_ctx_start(&f->ctx, fn, arg, NULL);
#endif
}

static void begin(void)
{
	home = tuck_ctx_self();
	BENCH_CHECK(home);
}

/* -- switches -- */

static struct tuck_ctx *switch_back(void *arg)
{
	(void)arg;
	for (;;)
		go_to(home);
	return home;
}

/*
 * Nanoseconds per operation of the best of many short batches, each of n * ops
 * of them: what differs by a few instructions is lost in the noise of a mean.
 */
static WHOLE double best_ns(void (*batch)(long n), long n, long ops, int tries)
{
	int64_t best = INT64_MAX, t;

	while (tries--) {
		t = bench_now();
		batch(n);
		t = bench_now() - t;
		best = t < best ? t : best;
	}
	return (double)best / ((double)n * (double)ops);
}

static void switch_batch(long n)
{
	while (n--)
		go_to(&one.ctx);
}

static double work_switch(long n)
{
	(void)n;
	begin();
	BENCH_CHECK(start(&one, switch_back, NULL) == 0);
	return best_ns(switch_batch, 1000, 2, 2000);
}

/* -- memory of those that wait -- */

static NOINLINE void wait_with(volatile char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = 1;
	go_to(home);
}

static struct tuck_ctx *wait_for_good(void *arg)
{
	(void)arg;
	go_to(home);
	return home;
}

static struct tuck_ctx *wait_with_1k(void *arg)
{
	volatile char bytes[1024];

	(void)arg;
	wait_with(bytes, sizeof(bytes));
	return home;
}

static double resident(long n, tuck_ctx_fn *fn)
{
	struct flow *flows;
	double before;

	begin();
	before = bench_resident();
	flows = calloc((size_t)n, sizeof(*flows));
	BENCH_CHECK(flows);
	for (long i = 0; i < n; i++)
		BENCH_CHECK(start(&flows[i], fn, NULL) == 0);
	return (bench_resident() - before) / (double)n;
}

static double work_resident(long n)
{
	return resident(n, wait_for_good);
}

static double work_resident_1k(long n)
{
	return resident(n, wait_with_1k);
}

/* -- calls -- */

static NOINLINE unsigned fib(unsigned n)
{
	__asm__ volatile("" : "+r"(n));
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static void fib_batch(long n)
{
	while (n--)
		BENCH_CHECK(fib(22) == 17711);
}

/* In a context, as code that is split runs there. */
static struct tuck_ctx *run_fib(void *arg)
{
	double *ret = arg;

	*ret = best_ns(fib_batch, 1, 57313, 2000);
	return home;
}

static double work_fib(long n)
{
	double ns;

	(void)n;
	begin();
	BENCH_CHECK(start(&one, run_fib, &ns) == 0);
	return ns;
}

static NOINLINE unsigned leaf(unsigned n)
{
	volatile char frame[600];

	frame[0] = (char)n;
	return (unsigned)frame[0];
}

static NOINLINE void call_leaf(long n)
{
	while (n--)
		leaf((unsigned)n);
}

static NOINLINE unsigned sink(unsigned depth, long calls)
{
	volatile char frame[64];

	frame[0] = 1;
	if (depth)
		return sink(depth - 1, calls) + (unsigned)frame[0];
	call_leaf(calls);
	return 0;
}

static unsigned sink_depth;

static void sink_batch(long n)
{
	sink(sink_depth, n);
}

/* The dearest place, where each call needs the next segment, or would. */
static WHOLE struct tuck_ctx *run_boundary(void *arg)
{
	double *ret = arg, ns;

	for (sink_depth = 0; sink_depth < 200; sink_depth++) {
		ns = best_ns(sink_batch, 2000, 1, 5);
		*ret = ns > *ret ? ns : *ret;
	}
	return home;
}

#if SPLIT
void __splitstack_block_signals(int *block, int *ret_was);

/* libgcc blocks all signals while it changes segments, unless told not to. */
static WHOLE struct tuck_ctx *run_boundary_unblocked(void *arg)
{
	int block = 0;

	__splitstack_block_signals(&block, NULL);
	return run_boundary(arg);
}

static double work_boundary_unblocked(long n)
{
	double ns = 0;

	(void)n;
	begin();
	BENCH_CHECK(start(&one, run_boundary_unblocked, &ns) == 0);
	return ns;
}
#endif

static double work_boundary(long n)
{
	double ns = 0;

	(void)n;
	begin();
	BENCH_CHECK(start(&one, run_boundary, &ns) == 0);
	return ns;
}

static const struct bench_work works[] = {
	{ "switch", 2, work_switch },
	{ "resident", 10000, work_resident },
	{ "resident-1k", 10000, work_resident_1k },
	{ "fib", 22, work_fib },
	{ "boundary", 1, work_boundary },
#if SPLIT
	{ "boundary-unblocked", 1, work_boundary_unblocked },
#endif
	{ NULL, 0, NULL },
};

WHOLE int main(int argc, char **argv)
{
#if SPLIT
	tuck_split_none();
#endif
	return bench_main(argc, argv, works);
}
