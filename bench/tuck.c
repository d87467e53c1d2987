/* SPDX-License-Identifier: MIT */
/* Tuck itself, through its public headers: the works that the peers do. */
#include <alloca.h>
#include <limits.h>
#include <sched.h>
#include <tuck.h>
#include "base/config.h"
#include "bench.h"
#include "ctx/ctx.h"
#include "interrupt.h"

static tuck_id start(void (*fn)(void *), void *arg)
{
	tuck_id id = tuck_go(fn, arg);

	BENCH_CHECK(id > 0);
	return id;
}

/* A switch without a scheduler: what a language's coroutines would call. */
static struct tuck_ctx *switch_main, switch_other;

static struct tuck_ctx *switch_back(void *arg)
{
	(void)arg;
	for (;;)
		tuck_ctx_switch(switch_main, NULL, NULL);
	return switch_main;
}

static void switch_batch(long n)
{
	while (n--)
		tuck_ctx_switch(&switch_other, NULL, NULL);
}

static double work_switch(long n)
{
	(void)n;
	switch_main = tuck_ctx_self();
	BENCH_CHECK(tuck_ctx_init(&switch_other, NULL, NULL) == 0);
	BENCH_CHECK(tuck_ctx_start(&switch_other, switch_back, NULL, NULL) ==
		    0);
	return bench_per_op(switch_batch, 2);
}

static void yielder(void *arg)
{
	(void)arg;
	for (;;)
		tuck_yield();
}

static void yield_batch(long n)
{
	while (n--)
		tuck_yield();
}

static double work_yield(long n)
{
	for (long i = 1; i < n; i++)
		start(yielder, NULL);
	return bench_per_op(yield_batch, n);
}

static void count_end(void *arg)
{
	++*(long *)arg;
}

static long spawned_ended;

static void spawn_batch(long n)
{
	spawned_ended = 0;
	for (long i = 0; i < n; i++) {
		start(count_end, &spawned_ended);
		tuck_yield();
	}
	BENCH_CHECK(spawned_ended == n);
}

static double work_spawn(long n)
{
	(void)n;
	return bench_per_op(spawn_batch, 1);
}

static void park_once(void *arg)
{
	BENCH_CHECK(!tuck_block(TUCK_FOREVER));
	++*(long *)arg;
}

static long parked_ended;

/* Nanoseconds to start n tasklets, let them park, wake them, see them end. */
static double alive_pass(tuck_id *ids, long n)
{
	int64_t t = bench_now();

	parked_ended = 0;
	for (long i = 0; i < n; i++) {
		ids[i] = tuck_go(park_once, &parked_ended);
		BENCH_CHECK(ids[i] > 0);
	}
	tuck_yield();
	for (long i = 0; i < n; i++)
		BENCH_CHECK(!tuck_unblock(ids[i]));
	tuck_yield();
	BENCH_CHECK(parked_ended == n);
	return (double)(bench_now() - t) / (double)n;
}

static double alive(long n, int passes)
{
	tuck_id *ids = malloc((size_t)n * sizeof(*ids));
	double ns = -1;

	BENCH_CHECK(ids);
	memset(ids, 1, (size_t)n * sizeof(*ids));
	while (passes--)
		ns = alive_pass(ids, n);
	free(ids);
	return ns;
}

static double work_alive(long n)
{
	return alive(n, 3);
}

static double work_alive_cold(long n)
{
	return alive(n, 1);
}

static void send_word(struct tuck_chan *c, int64_t word)
{
	BENCH_CHECK(!tuck_chan_send(c, &word, TUCK_FOREVER));
}

static int64_t recv_word(struct tuck_chan *c)
{
	int64_t word;

	BENCH_CHECK(!tuck_chan_recv(c, &word, TUCK_FOREVER));
	return word;
}

static struct tuck_chan *chan_new(size_t capacity)
{
	struct tuck_chan *c = tuck_chan_new(sizeof(int64_t), capacity);

	BENCH_CHECK(c);
	return c;
}

static struct tuck_chan *chan_to, *chan_back;

static void pong(void *arg)
{
	(void)arg;
	for (;;)
		send_word(chan_back, recv_word(chan_to) + 1);
}

static void pingpong_batch(long n)
{
	int64_t word = 0;

	for (long i = 0; i < n; i++) {
		send_word(chan_to, word);
		word = recv_word(chan_back);
	}
	BENCH_CHECK(word == n);
}

static double work_pingpong(long n)
{
	(void)n;
	chan_to = chan_new(0);
	chan_back = chan_new(0);
	start(pong, NULL);
	return bench_per_op(pingpong_batch, 2);
}

static void producer(void *arg)
{
	for (int64_t word = 0;; word++)
		send_word(arg, word);
}

static void consume_batch(long n)
{
	static int64_t expected;

	while (n--) {
		BENCH_CHECK(recv_word(chan_to) == expected);
		expected++;
	}
}

static double work_buffered(long n)
{
	chan_to = chan_new((size_t)n);
	start(producer, chan_to);
	return bench_per_op(consume_batch, 1);
}

/* The same with the other end on another thread, each on a CPU of its own. */
static void start_elsewhere(void (*fn)(void *), void *arg)
{
	struct tuck_proc_attr attr = { 0 };
	cpu_set_t cpus;
	int cpu = 0;

	BENCH_CHECK(!sched_getaffinity(0, sizeof(cpus), &cpus));
	while (!CPU_ISSET(cpu, &cpus))
		cpu++;
	for (attr.cpu = cpu + 2; attr.cpu <= CPU_SETSIZE; attr.cpu++)
		if (CPU_ISSET(attr.cpu - 1, &cpus))
			break;
	BENCH_CHECK(attr.cpu <= CPU_SETSIZE);
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	BENCH_CHECK(!sched_setaffinity(0, sizeof(cpus), &cpus));
	BENCH_CHECK(tuck_proc_start(&attr, fn, arg) >= 0);
}

static double work_procs_pingpong(long n)
{
	(void)n;
	chan_to = chan_new(0);
	chan_back = chan_new(0);
	start_elsewhere(pong, NULL);
	return bench_per_op_bursts(pingpong_batch, 2);
}

static double work_procs_buffered(long n)
{
	chan_to = chan_new((size_t)n);
	start_elsewhere(producer, chan_to);
	return bench_per_op_bursts(consume_batch, 1);
}

/* Fibonacci's numbers by tasklets, the small ones by calls, on N procs. */
static struct tuck_pool *pool;

struct fib {
	int n;
	long result;
};

static long fib(int n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static void fib_in_pool(void *arg)
{
	struct fib *f = arg, *parts;
	tuck_id id[2];

	if (f->n <= BENCH_TREE_LEAF) {
		f->result = fib(f->n);
		return;
	}
	parts = malloc(2 * sizeof(*parts));
	BENCH_CHECK(parts);
	for (int i = 0; i < 2; i++) {
		parts[i].n = f->n - 1 - i;
		id[i] = tuck_pool_go(pool, fib_in_pool, &parts[i]);
		BENCH_CHECK(id[i] > 0);
	}
	for (int i = 1; i >= 0; i--)
		tuck_join(id[i], TUCK_FOREVER);
	f->result = parts[0].result + parts[1].result;
	free(parts);
}

static void tree_batch(long n)
{
	while (n--) {
		struct fib f = { .n = BENCH_TREE };

		tuck_join(tuck_pool_go(pool, fib_in_pool, &f), TUCK_FOREVER);
		BENCH_CHECK(f.result == BENCH_TREE_RESULT);
	}
}

static double work_procs_tree(long n)
{
	bench_clock = n == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
	BENCH_CHECK(tuck_pool_new(&pool, (int)n) == 0);
	return bench_per_op(tree_batch, BENCH_TREE_TASKLETS);
}

static struct tuck_mutex mutex;

static void lock_batch(long n)
{
	while (n--) {
		BENCH_CHECK(!tuck_mutex_lock(&mutex, TUCK_FOREVER));
		BENCH_CHECK(!tuck_mutex_unlock(&mutex));
	}
}

static double work_mutex(long n)
{
	(void)n;
	return bench_per_op(lock_batch, 1);
}

/* Locked across a yield, so that each unlock finds the others waiting. */
static void hold_batch(long n)
{
	while (n--) {
		BENCH_CHECK(!tuck_mutex_lock(&mutex, TUCK_FOREVER));
		tuck_yield();
		BENCH_CHECK(!tuck_mutex_unlock(&mutex));
	}
}

static void hold_for_ever(void *arg)
{
	(void)arg;
	hold_batch(LONG_MAX);
}

static double work_handover(long n)
{
	for (long i = 1; i < n; i++)
		start(hold_for_ever, NULL);
	return bench_per_op(hold_batch, n);
}

static struct tuck_chan **ring;
static long ring_size;

static void ring_hop(void *arg)
{
	struct tuck_chan **c = arg;
	struct tuck_chan *to = ring[(c - ring + 1) % ring_size];

	for (;;)
		send_word(to, recv_word(*c) + 1);
}

static void ring_batch(long n)
{
	int64_t word = 0;

	for (long i = 0; i < n; i++) {
		send_word(ring[1], word + 1);
		word = recv_word(ring[0]);
	}
	BENCH_CHECK(word == n * ring_size);
}

static double work_ring(long n)
{
	ring_size = n;
	ring = malloc((size_t)n * sizeof(struct tuck_chan *));
	BENCH_CHECK(ring && n > 1);
	for (long i = 0; i < n; i++)
		ring[i] = chan_new(0);
	for (long i = 1; i < n; i++)
		start(ring_hop, &ring[i]);
	return bench_per_op(ring_batch, n);
}

enum { SELECT_MAX = 64 };

static struct tuck_case cases[SELECT_MAX];
static int64_t case_words[SELECT_MAX], case_went[SELECT_MAX];
static int n_cases;

static void select_batch(long n)
{
	int i;

	while (n--) {
		i = tuck_select(cases, n_cases, TUCK_FOREVER);
		BENCH_CHECK(i >= 0 && !cases[i].ret_err);
		BENCH_CHECK(case_words[i] == case_went[i]);
		case_went[i]++;
	}
}

static double work_select(long n)
{
	double ns;

	BENCH_CHECK(n <= SELECT_MAX);
	n_cases = (int)n;
	for (int i = 0; i < n_cases; i++) {
		cases[i] = (struct tuck_case){ chan_new(0), TUCK_RECV,
					       &case_words[i], 0 };
		start(producer, cases[i].chan);
	}
	ns = bench_per_op(select_batch, 1);
	for (int i = 0; i < n_cases; i++)
		BENCH_CHECK(case_went[i] > 0);
	return ns;
}

/*
 * Two tasklets share the only slot, so each of their switches copies one
 * out and the other in. FRAMES is about what the functions of a tasklet that
 * yields take, so that n bytes in all are live.
 */
enum { FRAMES = 144 };

static struct {
	tuck_id main;
	size_t bytes;
	long left;
} copied;

static void hold(void *counts)
{
	char *live = alloca(copied.bytes);

	memset(live, 1, copied.bytes);
	for (;;) {
		tuck_yield();
		__asm__ volatile("" : : "r"(live) : "memory");
		if (counts && !--copied.left)
			tuck_unblock(copied.main);
	}
}

static void copied_batch(long n)
{
	copied.left = n;
	BENCH_CHECK(!tuck_block(TUCK_FOREVER));
}

static double work_copied(long n)
{
	struct tuck_config config = { .stack_slots = 1 };
	struct tuck_stats stats;
	double ns;

	BENCH_CHECK(n > FRAMES && !tuck_config_set(&config));
	copied.main = tuck_self();
	copied.bytes = (size_t)n - FRAMES;
	start(hold, &copied);
	start(hold, NULL);
	ns = bench_per_op(copied_batch, 2);
	BENCH_CHECK(!tuck_stats(&stats));
	BENCH_CHECK(stats.switches_copied > stats.switches / 2);
	BENCH_CHECK(stats.slice_bytes_max >= copied.bytes);
	return ns;
}

static long finished;

static void park_and_finish(void *arg)
{
	(void)arg;
	BENCH_CHECK(!tuck_block(TUCK_FOREVER));
	finished++;
}

/* All of them are woken and end, too. */
static double work_resident(long n)
{
	tuck_id *ids = malloc((size_t)n * sizeof(*ids));
	double before, bytes;

	BENCH_CHECK(ids);
	memset(ids, 1, (size_t)n * sizeof(*ids));	/* resident now */
	tuck_yield();		/* makes the proc */
	before = bench_resident();
	for (long i = 0; i < n; i++)
		ids[i] = start(park_and_finish, NULL);
	tuck_yield();
	bytes = bench_resident() - before;
	for (long i = 0; i < n; i++)
		BENCH_CHECK(!tuck_unblock(ids[i]));
	while (finished < n)
		tuck_yield();
	free(ids);
	return bytes / (double)n;
}

static struct {
	tuck_id main;
	long left;
} sleepers;

static void sleeper(void *arg)
{
	long i = (intptr_t)arg;
	tuck_ns deadline;

	for (int k = 0; k < BENCH_SLEEPS; k++) {
		deadline = tuck_after(TUCK_US(BENCH_SLEEP_US(i, k)));
		BENCH_CHECK(!tuck_sleep(deadline));
	}
	if (!--sleepers.left)
		tuck_unblock(sleepers.main);
}

static double work_sleepers(long n)
{
	sleepers.main = tuck_self();
	sleepers.left = n;
	for (long i = 0; i < n; i++)
		start(sleeper, (void *)(intptr_t)i);
	BENCH_CHECK(!tuck_block(TUCK_FOREVER));
	return bench_cpu_s();
}

static struct {
	tuck_id main;
	long left, at_once;
} offloaders;

static int do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void offloader(void *arg)
{
	for (long n = (intptr_t)arg; n > 0; n--)
		BENCH_CHECK(!tuck_offload(do_nothing, NULL, 0, TUCK_FOREVER));
	if (!--offloaders.left)
		tuck_unblock(offloaders.main);
}

static void offload_batch(long n)
{
	offloaders.left = offloaders.at_once;
	for (long i = 0; i < offloaders.at_once; i++)
		start(offloader, (void *)(intptr_t)n);
	BENCH_CHECK(!tuck_block(TUCK_FOREVER));
}

/* With as many threads as libuv has. */
static double work_offload(long n)
{
	bench_clock = CLOCK_PROCESS_CPUTIME_ID;
	BENCH_CHECK(!tuck_offload_limit(4, 0));
	offloaders.main = tuck_self();
	offloaders.at_once = n;
	return bench_per_op(offload_batch, n);
}

/* A tasklet attached to an interrupt by tuck_post(). */
static tuck_id attached, waiting;

static void post_attached(int signum)
{
	(void)signum;
	tuck_post(attached);
}

static void handle_interrupts(void *arg)
{
	(void)arg;
	for (;;) {
		BENCH_CHECK(!tuck_block(TUCK_FOREVER - 1));
		signal_seen();
		tuck_unblock(waiting);
	}
}

static void attach(void)
{
	waiting = tuck_self();
	attached = start(handle_interrupts, NULL);
	signal_handle(post_attached);
	tuck_yield();
}

static void interrupt_batch(long n)
{
	while (n--) {
		raise(SIGUSR1);
		BENCH_CHECK(!tuck_block(TUCK_FOREVER - 1));
	}
}

static double work_signal(long n)
{
	(void)n;
	attach();
	return bench_per_op(interrupt_batch, 1);
}

static void wait_for_interrupt(void)
{
	BENCH_CHECK(!tuck_block(TUCK_FOREVER - 1));
}

static double work_signal_wake(long n)
{
	attach();
	return signal_wake(n, wait_for_interrupt);
}

static const struct bench_work works[] = {
	{ "switch", 2, work_switch },
	{ "yield", 2, work_yield },
	{ "spawn", 1, work_spawn },
	{ "alive", 100000, work_alive },
	{ "alive-cold", 100000, work_alive_cold },
	{ "pingpong", 2, work_pingpong },
	{ "buffered", 128, work_buffered },
	{ "procs-pingpong", 2, work_procs_pingpong },
	{ "procs-buffered", 128, work_procs_buffered },
	{ "procs-tree", 2, work_procs_tree },
	{ "mutex", 1, work_mutex },
	{ "handover", 2, work_handover },
	{ "ring", 1000, work_ring },
	{ "select", 4, work_select },
	{ "copied", 1024, work_copied },
	{ "resident", 1000000, work_resident },
	{ "sleepers", 100000, work_sleepers },
	{ "offload", 1, work_offload },
	{ "signal", 1, work_signal },
	{ "signal-wake", 2000, work_signal_wake },
	{ NULL, 0, NULL },
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, works);
}
