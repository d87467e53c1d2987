/* SPDX-License-Identifier: MIT */
/*
 * Policies for tests: a random order, and PCT. Both are deterministic: the
 * same seed and the same program give the same order.
 */
#include <errno.h>
#include <stddef.h>

#include "base/mem.h"
#include "base/random.h"
#include "task/pile.h"
#include "task/task.h"

static uint32_t below(uint64_t *random, uint32_t n)
{
	/* Without a division (Lemire, 2016). */
	return (uint32_t)((tuck__random(random) >> 32) * n >> 32);
}

/* -- random -- */

#define WINDOW	64
#define NEXT	links[0]
#define PREV	links[1]
#define PLACE	words[0]	/* in the window, from 1; 0: in the rest */

/* The window holds those who wait longest, so nothing need ever grow. */
struct chance {
	uint64_t random;
	uint32_t n;
	struct tuck_entity *window[WINDOW];
	struct tuck_entity rest;	/* the head of a ring */
};

static int random_init(void **ret_state, const void *arg)
{
	struct chance *c = tuck__alloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->random = tuck__random_from(arg ? *(const uint64_t *)arg : 0);
	c->rest.NEXT = c->rest.PREV = &c->rest;
	*ret_state = c;
	return 0;
}

static void put_in_window(struct chance *c, struct tuck_entity *e)
{
	c->window[c->n++] = e;
	e->PLACE = c->n;
}

static void cut_from_rest(struct tuck_entity *e)
{
	e->NEXT->PREV = e->PREV;
	e->PREV->NEXT = e->NEXT;
}

static void random_ready(void *state, struct tuck_entity *e)
{
	struct chance *c = state;

	if (c->n < WINDOW) {
		put_in_window(c, e);
		return;
	}
	e->PLACE = 0;
	e->NEXT = &c->rest;
	e->PREV = c->rest.PREV;
	e->PREV->NEXT = e->NEXT->PREV = e;
}

/* The last one takes its place, and the eldest of the rest the last place. */
static void take_from_window(struct chance *c, struct tuck_entity *e)
{
	struct tuck_entity *last = c->window[--c->n], *eldest = c->rest.NEXT;

	c->window[e->PLACE - 1] = last;
	last->PLACE = e->PLACE;
	if (eldest != &c->rest) {
		cut_from_rest(eldest);
		put_in_window(c, eldest);
	}
}

static void random_removed(void *state, struct tuck_entity *e)
{
	if (e->PLACE)
		take_from_window(state, e);
	else
		cut_from_rest(e);
}

static tuck_id random_next(void *state)
{
	struct chance *c = state;
	struct tuck_entity *e;

	if (c->n == 0)
		return 0;
	e = c->window[below(&c->random, c->n)];
	take_from_window(c, e);
	return e->id;
}

const struct tuck_policy *tuck_policy_random(void)
{
	static const struct tuck_policy policy = {
		"random",     random_init, tuck__free,
		random_ready, random_next, random_removed,
	};

	return &policy;
}

/* -- PCT -- */

#define DEPTH_DEFAULT	3
#define STEPS_DEFAULT	1000

/*
 * The key of a tasklet is drawn when it is first ready and kept; the least
 * runs. Drawn keys are below LOW. A change point lowers whoever would run:
 * its key is then behind those of earlier windows of steps, and in a random
 * order to those of its own, as the paper's proof wants it. A last one ends
 * each window, for one that polls would keep the others waiting for ever.
 */
#define LOW		((uint64_t)1 << 62)

struct pct {
	struct tuck__pile pile;
	uint64_t random, low;		/* for the window's lowered */
	uint32_t changes;		/* depth - 1 */
	uint32_t steps, step;		/* of the window */
	uint32_t at[TUCK_PCT_DEPTH_MAX];
};

static void begin_window(struct pct *p)
{
	p->step = 0;
	p->low += TUCK_PCT_DEPTH_MAX;
	for (uint32_t i = 0; i < p->changes; i++)
		p->at[i] = 1 + below(&p->random, p->steps);
}

static int pct_init(void **ret_state, const void *arg)
{
	static const struct tuck_pct defaults;
	const struct tuck_pct *a = arg ? arg : &defaults;
	struct pct *p;

	TUCK__REQUIRE(a->depth <= TUCK_PCT_DEPTH_MAX, -EINVAL);
	p = tuck__alloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->random = tuck__random_from(a->seed);
	p->low = LOW;
	p->changes = (a->depth ? a->depth : DEPTH_DEFAULT) - 1;
	p->steps = a->steps ? a->steps : STEPS_DEFAULT;
	begin_window(p);
	*ret_state = p;
	return 0;
}

static void pct_ready(void *state, struct tuck_entity *e)
{
	struct pct *p = state;
	uint64_t key = tuck__pile_key(e);

	if (!key)
		key = tuck__random(&p->random) >> 2 | 1;
	tuck__pile_add(&p->pile, e, key);
}

static void pct_removed(void *state, struct tuck_entity *e)
{
	struct pct *p = state;

	tuck__pile_remove(&p->pile, e);
}

static void lower(struct pct *p, uint32_t i)
{
	struct tuck_entity *e = p->pile.first;

	tuck__pile_remove(&p->pile, e);
	tuck__pile_add(&p->pile, e, p->low + i);
}

static void step(struct pct *p)
{
	p->step++;
	for (uint32_t i = 0; i < p->changes; i++)
		if (p->at[i] == p->step)
			lower(p, i);
	if (p->step > p->steps) {
		lower(p, p->changes);
		begin_window(p);
	}
}

static tuck_id pct_next(void *state)
{
	struct pct *p = state;
	struct tuck_entity *e;

	if (!p->pile.first)
		return 0;
	step(p);
	e = p->pile.first;
	tuck__pile_remove(&p->pile, e);
	return e->id;
}

const struct tuck_policy *tuck_policy_pct(void)
{
	static const struct tuck_policy policy = {
		"pct", pct_init, tuck__free, pct_ready, pct_next, pct_removed,
	};

	return &policy;
}
