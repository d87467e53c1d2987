/* SPDX-License-Identifier: MIT */
/*
 * Policies that order tasklets by a number: priorities, deadlines, strides.
 *
 * A priority that grows with the time that a tasklet waits, at the same rate
 * for all, never changes who of two is first. So ages need no second look at
 * those who wait: the key is the tick at which a tasklet became ready, less
 * what its priority is worth in ticks. A tick is a choice.
 *
 * Why not otherwise: a list for each priority and a bitmap choose in fewer
 * instructions, but must be gone through to promote who is old.
 */
#include <errno.h>

#include "base/check.h"
#include "base/mem.h"
#include "task/pile.h"

#define AGING_DEFAULT	128
#define AGING_MAX	4096
#define STRICT		((uint64_t)1 << 48)	/* never that many ticks */
#define STRIDE		((uint64_t)1 << 32)	/* of weight 1 */

struct order {
	struct tuck__pile pile;
	uint64_t now;		/* ticks, or where the last one stood */
	uint64_t level;		/* ticks that one of priority is worth */
};

static int order_init(void **ret_state, const void *arg)
{
	struct order *o = tuck__alloc(sizeof(*o));

	(void)arg;
	*ret_state = o;
	return o ? 0 : -ENOMEM;
}

static void order_removed(void *state, struct tuck_entity *e)
{
	struct order *o = state;

	tuck__pile_remove(&o->pile, e);
}

static tuck_id order_next(void *state)
{
	struct order *o = state;
	struct tuck_entity *e = o->pile.first;

	if (!e)
		return 0;
	o->now++;
	tuck__pile_remove(&o->pile, e);
	return e->id;
}

/* -- priorities -- */

static int priority_init(void **ret_state, const void *arg)
{
	uint32_t aging = arg ? *(const uint32_t *)arg : AGING_DEFAULT;
	int r;

	TUCK__REQUIRE(aging <= AGING_MAX, -EINVAL);
	r = order_init(ret_state, NULL);
	if (r == 0)
		((struct order *)*ret_state)->level = aging ? aging : STRICT;
	return r;
}

static void priority_ready(void *state, struct tuck_entity *e)
{
	struct order *o = state;
	uint64_t behind = (uint64_t)(TUCK_PRIORITY_MAX - e->priority);

	tuck__pile_add(&o->pile, e, o->now + behind * o->level);
}

const struct tuck_policy *tuck_policy_priority(void)
{
	static const struct tuck_policy policy = {
		"priority",	priority_init, tuck__free,
		priority_ready, order_next,    order_removed,
	};

	return &policy;
}

/* -- the earliest deadline -- */

static void deadline_ready(void *state, struct tuck_entity *e)
{
	struct order *o = state;

	tuck__pile_add(&o->pile, e, (uint64_t)e->due);
}

const struct tuck_policy *tuck_policy_deadline(void)
{
	static const struct tuck_policy policy = {
		"deadline",	order_init, tuck__free,
		deadline_ready, order_next, order_removed,
	};

	return &policy;
}

/* -- strides -- */

/*
 * A tasklet's key is its pass: where it stands on a road of turns, on which
 * each turn takes it a stride ahead. Who comes back joins the last chosen
 * one, or goes on from where it stood if that is farther.
 */
static void stride_ready(void *state, struct tuck_entity *e)
{
	struct order *o = state;
	uint64_t pass = tuck__pile_key(e);

	if ((int64_t)(pass - o->now) < 0)
		pass = o->now;
	tuck__pile_add(&o->pile, e, pass);
}

static tuck_id stride_next(void *state)
{
	struct order *o = state;
	struct tuck_entity *e = o->pile.first;

	if (!e)
		return 0;
	tuck__pile_remove(&o->pile, e);
	o->now = tuck__pile_key(e);
	tuck__pile_set_key(e, o->now + STRIDE / e->weight);
	return e->id;
}

const struct tuck_policy *tuck_policy_stride(void)
{
	static const struct tuck_policy policy = {
		"stride",     order_init,  tuck__free,
		stride_ready, stride_next, order_removed,
	};

	return &policy;
}
