/* SPDX-License-Identifier: MIT */
/*
 * Select: one of several channel operations.
 *
 * The cases that wait are a block of the slice pool, linked into the
 * channels' queues like tasklets (rule S1: not on the stack). Whoever wakes
 * the tasklet takes all of them out at once and gives the block back, so a
 * channel never meets a case whose select is over.
 */
#include "base/random.h"
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
		r = tuck__chan_check(c->chan, c->elem, deadline);
		if (r < 0)
			return r;
		TUCK__REQUIRE((unsigned)c->op <= TUCK_RECV, -EINVAL);
	}
	return 0;
}

static bool all_at_home(const struct tuck__sched *s,
			const struct tuck_case *cases, int n)
{
	bool all = true;

	for (int i = 0; i < n; i++)
		all &= !cases[i].chan || tuck__chan_at_home(cases[i].chan, s);
	return all;
}

static bool all_shared(const struct tuck_case *cases, int n)
{
	bool all = true;

	for (int i = 0; i < n; i++)
		all &= !cases[i].chan || tuck__chan_shared(cases[i].chan);
	return all;
}

static tuck__cold int elsewhere(struct tuck__sched *s, struct tuck_case *cases,
				int n, tuck_ns deadline)
{
	if (all_shared(cases, n))
		return tuck__shared_select(s, cases, n, deadline);
	return tuck__first_select(s, cases, n, deadline);
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

struct tuck__select *tuck__select_new(struct tuck__sched *s, int n)
{
	struct tuck__select *select;
	uint32_t cls;

	select = tuck__wait_block(
		s, sizeof(*select) + (uint64_t)n * sizeof(select->cases[0]),
		&cls);
	if (!select)
		return NULL;
	select->n = (uint32_t)n;
	select->slice_class = cls;
	select->user = NULL;
	for (int i = 0; i < n; i++) {
		struct tuck__case *c = &select->cases[i];

		c->w.is_case = TUCK__CASE;
		c->owner = s->current;
		c->chan = NULL;
		c->err = 0;
		tuck__link_init(&c->w.link);
	}
	return select;
}

void tuck__select_enlist(struct tuck__select *select, int i,
			 struct tuck_chan *chan, int op, void *elem)
{
	struct tuck__case *c = &select->cases[i];

	c->chan = chan;
	c->op = op;
	c->elem = elem;
	tuck__link_before(op == TUCK_RECV ? &chan->receivers : &chan->senders,
			  &c->w.link);
}

static int wait_in_all(struct tuck__sched *s, struct tuck_case *cases, int n,
		       tuck_ns deadline)
{
	struct tuck__select *select = tuck__select_new(s, n);

	if (!select)
		return -ENOMEM;
	select->user = cases;
	for (int i = 0; i < n; i++)
		if (cases[i].chan)
			tuck__select_enlist(select, i, cases[i].chan,
					    (int)cases[i].op, cases[i].elem);
	return tuck__case_answer(cases, tuck__wait(s, TUCK__WHY_SELECT, select,
						   deadline));
}

static int go(const struct tuck_case *c)
{
	return c->op == TUCK_SEND ?
		       tuck_chan_send(c->chan, c->elem, TUCK_NOWAIT) :
		       tuck_chan_recv(c->chan, c->elem, TUCK_NOWAIT);
}

int tuck_select(struct tuck_case *cases, int n, tuck_ns deadline)
{
	struct tuck__sched *s = tuck__sched();
	int r = check(s, cases, n, deadline);
	int i;

	if (r < 0)
		return r;
	if (tuck__unlikely(!all_at_home(s, cases, n)))
		return elsewhere(s, cases, n, deadline);
	i = pick(s, cases, n);
	if (i >= 0) {
		cases[i].ret_err = go(&cases[i]);
		return i;
	}
	if (deadline == TUCK_NOWAIT)
		return -EAGAIN;
	return wait_in_all(s, cases, n, deadline);
}
