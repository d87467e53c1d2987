/* SPDX-License-Identifier: MIT */
/*
 * Select: one of several channel operations.
 *
 * The cases that wait are a block of the slice pool, linked into the
 * channels' queues like tasklets (rule S1: not on the stack). Whoever wakes
 * the tasklet takes all of them out at once and gives the block back, so a
 * channel never meets a case whose select is over.
 */
#include "chan/chan.h"

static int check(const struct tuck__sched *s, const struct tuck_case *cases,
		 int n, tuck_ns deadline)
{
	TUCK__REQUIRE(n >= 0 && (cases || n == 0) && deadline >= 0, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	for (int i = 0; i < n; i++) {
		const struct tuck_case *c = &cases[i];
		int r;

		if (!c->chan)
			continue;
		r = tuck__chan_check(c->chan, s);
		if (r < 0)
			return r;
		TUCK__REQUIRE((c->elem || !c->chan->elem_bytes) &&
				      (unsigned)c->op <= TUCK_RECV,
			      -EINVAL);
	}
	return 0;
}

static inline bool can_go(const struct tuck_case *c)
{
	return c->chan && tuck__chan_can(c->chan, c->op);
}

/* Any of those that can go, each as likely as the others; or -1. */
static int pick(struct tuck__sched *s, const struct tuck_case *cases, int n)
{
	uint32_t can = 0;
	int i, first = -1;

	for (i = n - 1; i >= 0; i--) {
		if (!can_go(&cases[i]))
			continue;
		can++;
		first = i;
	}
	if (can < 2)
		return first;
	/* A random number below can, without a division (Lemire, 2016). */
	can = (uint32_t)((tuck__random(&s->random) >> 32) * can >> 32);
	for (i = first; can > 0; can--)
		do
			i++;
		while (!can_go(&cases[i]));
	return i;
}

static struct tuck__select *prepare(struct tuck__sched *s,
				    const struct tuck_case *cases, int n)
{
	struct tuck__select *select;
	uint32_t cls;

	select = tuck__slice_get(
		&s->cache.slices,
		sizeof(*select) + (size_t)n * sizeof(select->cases[0]), &cls);
	if (!select)
		return NULL;
	select->n = (uint32_t)n;
	select->slice_class = cls;
	for (int i = 0; i < n; i++) {
		struct tuck__case *c = &select->cases[i];

		c->w.is_case = 1;
		c->owner = s->current;
		c->elem = cases[i].elem;
		tuck__link_init(&c->w.link);
		if (cases[i].chan)
			tuck__link_before(cases[i].op == TUCK_SEND ?
						  &cases[i].chan->senders :
						  &cases[i].chan->receivers,
					  &c->w.link);
	}
	return select;
}

int tuck_select(struct tuck_case *cases, int n, tuck_ns deadline)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck__select *select;
	int r = check(s, cases, n, deadline);
	int i;

	if (r < 0)
		return r;
	i = pick(s, cases, n);
	if (i >= 0) {
		r = tuck__chan_do(s, cases[i].chan, cases[i].op, cases[i].elem);
		cases[i].ret_err = r;
		return i;
	}
	if (deadline == TUCK_NOWAIT)
		return -EAGAIN;
	select = prepare(s, cases, n);
	if (!select)
		return -ENOMEM;
	r = tuck__wait(s, TUCK__WHY_SELECT, select, deadline);
	if (r < 0)
		return r;
	i = (r & ~TUCK__CASE_CLOSED);
	cases[i].ret_err = r & TUCK__CASE_CLOSED ? -EPIPE : 0;
	return i;
}
