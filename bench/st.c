/* SPDX-License-Identifier: MIT */
/*
 * The peer State Threads: its threads, condition variables and timers. It
 * has no channels and no yield (a sleep of no length costs 80 to 600 ns), so
 * these are made of condition variables, which is faster.
 */
#include <st.h>
#include "bench.h"

enum { STACK = 16384, THREADS_MAX = 100000, CHAN_ROOM = 128 };

struct chan {
	st_cond_t can_send;
	st_cond_t can_recv;
	st_cond_t taken;
	unsigned rendezvous;
	unsigned capacity;
	unsigned first;
	unsigned count;
	intptr_t room[CHAN_ROOM];
};

static void start(void *(*fn)(void *), void *arg)
{
	BENCH_CHECK(st_thread_create(fn, arg, 0, STACK));
}

static struct chan chan_new(unsigned capacity)
{
	return (struct chan){
		.can_send = st_cond_new(),
		.can_recv = st_cond_new(),
		.taken = st_cond_new(),
		.rendezvous = !capacity,
		.capacity = capacity ? capacity : 1,
	};
}

static void chan_send(struct chan *c, intptr_t word)
{
	while (c->count == c->capacity)
		st_cond_wait(c->can_send);
	c->room[(c->first + c->count++) % CHAN_ROOM] = word;
	st_cond_signal(c->can_recv);
	if (c->rendezvous)
		st_cond_wait(c->taken);
}

static intptr_t chan_recv(struct chan *c)
{
	intptr_t word;

	while (!c->count)
		st_cond_wait(c->can_recv);
	word = c->room[c->first++ % CHAN_ROOM];
	c->count--;
	st_cond_signal(c->rendezvous ? c->taken : c->can_send);
	if (c->rendezvous)
		st_cond_signal(c->can_send);
	return word;
}

static st_cond_t turn, main_wakes;

/* Those who wait for their turn are a ring: wake its head, join its end. */
static void yield(void)
{
	st_cond_signal(turn);
	st_cond_wait(turn);
}

static void *yielder(void *arg)
{
	(void)arg;
	st_cond_wait(turn);
	for (;;)
		yield();
	return NULL;
}

static void yield_batch(long n)
{
	while (n--)
		yield();
}

static double work_yield(long n)
{
	if (n > THREADS_MAX)
		return -1;
	turn = st_cond_new();
	for (long i = 1; i < n; i++)
		start(yielder, NULL);
	st_usleep(0);
	return bench_per_op(yield_batch, n);
}

static void *count_end(void *arg)
{
	++*(long *)arg;
	st_cond_signal(main_wakes);
	return NULL;
}

static void spawn_batch(long n)
{
	long ended = 0;

	for (long i = 0; i < n; i++) {
		start(count_end, &ended);
		st_cond_wait(main_wakes);
	}
	BENCH_CHECK(ended == n);
}

static double work_spawn(long n)
{
	(void)n;
	main_wakes = st_cond_new();
	return bench_per_op(spawn_batch, 1);
}

static st_cond_t gate;
static long parked, ended;

static void *park_once(void *arg)
{
	long n = (intptr_t)arg;

	if (++parked == n)
		st_cond_signal(main_wakes);
	st_cond_wait(gate);
	if (++ended == n)
		st_cond_signal(main_wakes);
	return NULL;
}

static void park_all(long n)
{
	parked = ended = 0;
	for (long i = 0; i < n; i++)
		start(park_once, (void *)(intptr_t)n);
	st_cond_wait(main_wakes);
	BENCH_CHECK(parked == n);
}

static double alive_pass(long n)
{
	int64_t t = bench_now();

	park_all(n);
	st_cond_broadcast(gate);
	st_cond_wait(main_wakes);
	BENCH_CHECK(ended == n);
	return (double)(bench_now() - t) / (double)n;
}

static double alive(long n, int passes)
{
	double ns = -1;

	gate = st_cond_new();
	main_wakes = st_cond_new();
	while (n <= THREADS_MAX && passes--)
		ns = alive_pass(n);
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

static struct chan chan_to, chan_back;

static void *pong(void *arg)
{
	(void)arg;
	for (;;)
		chan_send(&chan_back, chan_recv(&chan_to) + 1);
	return NULL;
}

static void pingpong_batch(long n)
{
	intptr_t word = 0;

	for (long i = 0; i < n; i++) {
		chan_send(&chan_to, word);
		word = chan_recv(&chan_back);
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

static void *producer(void *arg)
{
	(void)arg;
	for (intptr_t word = 0;; word++)
		chan_send(&chan_to, word);
	return NULL;
}

static void consume_batch(long n)
{
	static intptr_t expected;

	while (n--) {
		BENCH_CHECK(chan_recv(&chan_to) == expected);
		expected++;
	}
}

static double work_buffered(long n)
{
	BENCH_CHECK(n <= CHAN_ROOM);
	chan_to = chan_new((unsigned)n);
	start(producer, NULL);
	return bench_per_op(consume_batch, 1);
}

static struct chan *ring;
static long ring_size;

static void *ring_hop(void *arg)
{
	long i = (intptr_t)arg;

	for (;;)
		chan_send(&ring[(i + 1) % ring_size], chan_recv(&ring[i]) + 1);
	return NULL;
}

static void ring_batch(long n)
{
	intptr_t word = 0;

	for (long i = 0; i < n; i++) {
		chan_send(&ring[1], word + 1);
		word = chan_recv(&ring[0]);
	}
	BENCH_CHECK(word == n * ring_size);
}

static double work_ring(long n)
{
	ring_size = n;
	ring = malloc((size_t)n * sizeof(*ring));
	BENCH_CHECK(ring);
	for (long i = 0; i < n; i++)
		ring[i] = chan_new(0);
	for (long i = 1; i < n; i++)
		start(ring_hop, (void *)(intptr_t)i);
	return bench_per_op(ring_batch, n);
}

/* Fewer will do: what each one takes does not depend on their number. */
static double work_resident(long n)
{
	double before = bench_resident();

	if (n > THREADS_MAX)
		n = THREADS_MAX;
	gate = st_cond_new();
	main_wakes = st_cond_new();
	park_all(n);
	return (bench_resident() - before) / (double)n;
}

static void *sleeper(void *arg)
{
	long i = (intptr_t)arg;

	for (int k = 0; k < BENCH_SLEEPS; k++)
		st_usleep((st_utime_t)BENCH_SLEEP_US(i, k));
	ended++;
	return NULL;
}

static double work_sleepers(long n)
{
	if (n > THREADS_MAX)
		return -1;
	for (long i = 0; i < n; i++)
		start(sleeper, (void *)(intptr_t)i);
	while (ended < n)
		st_usleep(10000);
	return bench_cpu_s();
}

static const struct bench_work works[] = {
	{ "yield", 2, work_yield },
	{ "spawn", 1, work_spawn },
	{ "alive", 100000, work_alive },
	{ "alive-cold", 100000, work_alive_cold },
	{ "pingpong", 2, work_pingpong },
	{ "buffered", 128, work_buffered },
	{ "ring", 1000, work_ring },
	{ "resident", 100000, work_resident },
	{ "sleepers", 100000, work_sleepers },
	{ NULL, 0, NULL },
};

int main(int argc, char **argv)
{
	st_set_eventsys(ST_EVENTSYS_ALT);
	BENCH_CHECK(!st_init());
	return bench_main(argc, argv, works);
}
