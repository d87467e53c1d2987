/* SPDX-License-Identifier: MIT */
/*
 * The least scheduler that can stand on a bare context switch, and the works
 * measured with it: a round-robin ring, stacks from one mapping without
 * guards, and channels that pass a word. It lacks whatever a library owes
 * its users (deadlines, kill, errors, checks), so its figures are what the
 * switch underneath allows at best.
 *
 * A peer defines flow_ctx, ctx_make() and ctx_switch(), then includes this.
 */
#ifndef BENCH_FLOWS_H
#define BENCH_FLOWS_H

#include <sys/mman.h>
#include "bench.h"

enum { FLOW_STACK = 8192, FLOWS_MAX = 1000001, FLOW_PAGE = 4096 };

/*
 * Stacks whose tops all lie at the same offset in a page fight for the same
 * cache sets; so they start in one of 16 places, still in the last page.
 */
#define FLOW_STAGGER(i) ((i) % 16 * 128)

/* Lies above its own stack, as Boost's own coroutines have it. */
struct flow {
	flow_ctx ctx;
	struct flow *next;
	void (*fn)(void *);
	void *arg;
	intptr_t word;		/* on its way through a channel */
	char *stack;
	size_t bytes;
};

struct flow_queue {
	struct flow *head;
	struct flow *tail;
};

static struct flow flow_main;
static struct flow *flow_self = &flow_main;
static struct flow_queue flow_ready;
static struct flow *flow_free;
static char *flow_stacks;
static long flow_stacks_used;

static void queue_push(struct flow_queue *q, struct flow *f)
{
	f->next = NULL;
	if (q->head)
		q->tail->next = f;
	else
		q->head = f;
	q->tail = f;
}

static struct flow *queue_pop(struct flow_queue *q)
{
	struct flow *f = q->head;

	if (f)
		q->head = f->next;
	return f;
}

/* Let the head of the ring run; somebody is always ready in these works. */
static void flow_park(void)
{
	struct flow *from = flow_self;

	flow_self = queue_pop(&flow_ready);
	ctx_switch(&from->ctx, &flow_self->ctx);
}

static void flow_yield(void)
{
	queue_push(&flow_ready, flow_self);
	flow_park();
}

static void flow_entry(void)
{
	flow_self->fn(flow_self->arg);
	flow_self->next = flow_free;
	flow_free = flow_self;
	flow_park();
}

static struct flow *flow_carve(void)
{
	struct flow *f;
	char *top;

	if (!flow_stacks) {
		flow_stacks = mmap(NULL, (size_t)FLOWS_MAX * FLOW_STACK,
				   PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				   -1, 0);
		BENCH_CHECK(flow_stacks != MAP_FAILED);
	}
	BENCH_CHECK(flow_stacks_used < FLOWS_MAX);
	top = flow_stacks + (flow_stacks_used + 1) * FLOW_STACK;
	top -= FLOW_STAGGER(flow_stacks_used) + sizeof(*f);
	f = (struct flow *)((uintptr_t)top & ~(uintptr_t)63);
	f->stack = flow_stacks + flow_stacks_used++ * FLOW_STACK;
	f->bytes = (size_t)((char *)f - f->stack);
	return f;
}

static struct flow *flow_go(void (*fn)(void *), void *arg)
{
	struct flow *f = flow_free;

	if (f)
		flow_free = f->next;
	else
		f = flow_carve();
	f->fn = fn;
	f->arg = arg;
	ctx_make(&f->ctx, f->stack, f->bytes);
	queue_push(&flow_ready, f);
	return f;
}

/* A channel of words; capacity 0 is a rendezvous. */
enum { CHAN_ROOM = 128 };

struct chan {
	struct flow_queue senders;
	struct flow_queue receivers;
	unsigned capacity;
	unsigned first;
	unsigned count;
	intptr_t room[CHAN_ROOM];
};

static void chan_send(struct chan *c, intptr_t word)
{
	struct flow *f = queue_pop(&c->receivers);

	if (f) {
		f->word = word;
		queue_push(&flow_ready, f);
	} else if (c->count < c->capacity) {
		c->room[(c->first + c->count++) % CHAN_ROOM] = word;
	} else {
		flow_self->word = word;
		queue_push(&c->senders, flow_self);
		flow_park();
	}
}

static intptr_t chan_recv(struct chan *c)
{
	struct flow *f;
	intptr_t word;

	if (c->count) {
		word = c->room[c->first++ % CHAN_ROOM];
		c->count--;
		f = queue_pop(&c->senders);
		if (f) {
			c->room[(c->first + c->count++) % CHAN_ROOM] = f->word;
			queue_push(&flow_ready, f);
		}
		return word;
	}
	f = queue_pop(&c->senders);
	if (f) {
		queue_push(&flow_ready, f);
		return f->word;
	}
	queue_push(&c->receivers, flow_self);
	flow_park();
	return flow_self->word;
}

static int flows_fit(long n)
{
	return n < FLOWS_MAX && bench_has_room((double)n * FLOW_PAGE);
}

static void yielder(void *arg)
{
	(void)arg;
	for (;;)
		flow_yield();
}

static void yield_batch(long n)
{
	while (n--)
		flow_yield();
}

static double work_yield(long n)
{
	if (!flows_fit(n))
		return -1;
	for (long i = 1; i < n; i++)
		flow_go(yielder, NULL);
	return bench_per_op(yield_batch, n);
}

static void count_end(void *arg)
{
	++*(long *)arg;
}

static void spawn_batch(long n)
{
	long ended = 0;

	for (long i = 0; i < n; i++) {
		flow_go(count_end, &ended);
		flow_yield();
	}
	BENCH_CHECK(ended == n);
}

static double work_spawn(long n)
{
	(void)n;
	return bench_per_op(spawn_batch, 1);
}

static void park_once(void *arg)
{
	flow_park();
	++*(long *)arg;
}

/* Nanoseconds to start n flows, let them park, wake them and see them end. */
static double alive_pass(struct flow **flows, long n)
{
	int64_t t = bench_now();
	long ended = 0;

	for (long i = 0; i < n; i++)
		flows[i] = flow_go(park_once, &ended);
	flow_yield();
	for (long i = 0; i < n; i++)
		queue_push(&flow_ready, flows[i]);
	flow_yield();
	BENCH_CHECK(ended == n);
	return (double)(bench_now() - t) / (double)n;
}

static double alive(long n, int passes)
{
	struct flow **flows = malloc((size_t)n * sizeof(*flows));
	double ns = -1;

	BENCH_CHECK(flows);
	memset(flows, 1, (size_t)n * sizeof(*flows));
	while (flows_fit(n) && passes--)
		ns = alive_pass(flows, n);
	free(flows);
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

static void pong(void *arg)
{
	(void)arg;
	for (;;)
		chan_send(&chan_back, chan_recv(&chan_to) + 1);
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
	flow_go(pong, NULL);
	return bench_per_op(pingpong_batch, 2);
}

static void producer(void *arg)
{
	(void)arg;
	for (intptr_t word = 0;; word++)
		chan_send(&chan_to, word);
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
	chan_to.capacity = (unsigned)n;
	flow_go(producer, NULL);
	return bench_per_op(consume_batch, 1);
}

static struct chan *ring;
static long ring_size;

static void ring_hop(void *arg)
{
	long i = (intptr_t)arg;

	for (;;)
		chan_send(&ring[(i + 1) % ring_size], chan_recv(&ring[i]) + 1);
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
	ring = calloc((size_t)n, sizeof(*ring));
	BENCH_CHECK(ring);
	for (long i = 1; i < n; i++)
		flow_go(ring_hop, (void *)(intptr_t)i);
	return bench_per_op(ring_batch, n);
}

static void park_for_good(void *arg)
{
	(void)arg;
	flow_park();
}

static double work_resident(long n)
{
	double before = bench_resident();

	if (!flows_fit(n))
		return -1;
	for (long i = 0; i < n; i++)
		flow_go(park_for_good, NULL);
	flow_yield();
	return (bench_resident() - before) / (double)n;
}

/* Two contexts, no scheduler. */
static flow_ctx switch_here, switch_there;

static void switch_back(void)
{
	for (;;)
		ctx_switch(&switch_there, &switch_here);
}

static void switch_batch(long n)
{
	while (n--)
		ctx_switch(&switch_here, &switch_there);
}

static struct flow switch_flow;

static void switch_start(void *arg)
{
	(void)arg;
	switch_back();
}

static double work_switch(long n)
{
	static char stack[FLOW_STACK] __attribute__((aligned(64)));

	(void)n;
	switch_flow.fn = switch_start;
	flow_self = &switch_flow;
	ctx_make(&switch_there, stack, sizeof(stack));
	return bench_per_op(switch_batch, 2);
}

static const struct bench_work flow_works[] = {
	{ "switch", 2, work_switch },
	{ "yield", 2, work_yield },
	{ "spawn", 1, work_spawn },
	{ "alive", 100000, work_alive },
	{ "alive-cold", 100000, work_alive_cold },
	{ "pingpong", 2, work_pingpong },
	{ "buffered", 128, work_buffered },
	{ "ring", 1000, work_ring },
	{ "resident", 100000, work_resident },
	{ NULL, 0, NULL },
};

#endif
