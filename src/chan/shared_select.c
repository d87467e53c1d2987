/* SPDX-License-Identifier: MIT */
/*
 * Select over shared channels: one of several operations.
 *
 * Invariants:
 * 1. A select has all its channels' locks while it looks for a case and while
 *    it enters their queues, so it never meets itself.
 * 2. Who takes locks of several channels takes them in the order of their
 *    addresses.
 *
 * Why not otherwise: with a lock for all channels no select would have to
 * sort, but all procs would meet there. Without the locks of all its
 * channels, a select that found a partner would have to take two waits at
 * once, its own and that, while others do the same.
 */
#include "base/random.h"
#include "chan/shared.h"
#include "task/waitq.h"

/* -- all locks -- */

/* Shell's sort: places by the addresses of their channels. */
static void sort(struct tuck__place **order, uint32_t n)
{
	for (uint32_t gap = n / 2; gap > 0; gap /= 2)
		for (uint32_t i = gap; i < n; i++) {
			struct tuck__place *p = order[i];
			uint32_t k = i;

			for (; k >= gap && (uintptr_t)order[k - gap]->chan >
						   (uintptr_t)p->chan;
			     k -= gap)
				order[k] = order[k - gap];
			order[k] = p;
		}
}

static void lock_all(struct tuck__place **order, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (i == 0 || order[i]->chan != order[i - 1]->chan)
			tuck__spin_lock(&order[i]->chan->lock);
}

static void unlock_all(struct tuck__place **order, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (i + 1 == n || order[i]->chan != order[i + 1]->chan)
			tuck__spin_unlock(&order[i]->chan->lock);
}

/* -- with the locks -- */

/* Any of those that can go, each as likely as the others. */
static struct tuck__place *pick(struct tuck__sched *s,
				struct tuck__place **order, uint32_t n)
{
	struct tuck__place *one = NULL;
	uint32_t can = 0;

	for (uint32_t i = 0; i < n; i++)
		if (tuck__shared_can(order[i]->chan, order[i]->op) &&
		    (tuck__random(&s->random) >> 32) * ++can >> 32 == 0)
			one = order[i];
	return one;
}

/* Do one of them; again, if the one that it would have met gave up. */
static struct tuck__outcome go(struct tuck__sched *s,
			       struct tuck__place **order, uint32_t n,
			       struct tuck__place **ret_place)
{
	struct tuck__outcome o = { .result = TUCK__MUST_WAIT };

	while (o.result == TUCK__MUST_WAIT &&
	       (*ret_place = pick(s, order, n)) != NULL)
		o = tuck__shared_attempt((*ret_place)->chan, (*ret_place)->op,
					 (*ret_place)->elem, 0);
	return o;
}

/* -- the call -- */

static uint64_t bytes_of(const struct tuck_case *cases, int n)
{
	uint64_t bytes = 0;

	for (int i = 0; i < n; i++)
		if (cases[i].chan)
			bytes += cases[i].chan->elem_bytes;
	return bytes;
}

/* Places for all cases, and those with a channel in the order of locking. */
static struct tuck__shared_wait *prepare(struct tuck__sched *s,
					 struct tuck_case *cases, int n,
					 struct tuck__place ***ret_order,
					 uint32_t *ret_n)
{
	uint64_t room = (uint64_t)n * sizeof(struct tuck__place *);
	struct tuck__shared_wait *w = tuck__shared_wait_new(
		s, s->current, (uint32_t)n, room + bytes_of(cases, n));
	struct tuck__place **order;
	char *cell;

	if (!w)
		return NULL;
	w->user = cases;
	*ret_order = order = (struct tuck__place **)(void *)&w->places[n];
	*ret_n = 0;
	cell = (char *)order + room;
	for (int i = 0; i < n; i++) {
		struct tuck_case *c = &cases[i];

		cell = tuck__place_init(w, (uint32_t)i, c->chan, (int)c->op,
					c->elem, cell);
		if (!c->chan)
			continue;
		if (c->op == TUCK_SEND)
			tuck__elem_copy(w->places[i].cell, c->elem,
					c->chan->elem_bytes);
		order[(*ret_n)++] = &w->places[i];
	}
	sort(order, *ret_n);
	return w;
}

/*
 * If begun is 0, a wait has begun, in case that none can go; else that is the
 * answer then. One look does for both: between two of them others might free a
 * channel, in whose queue there is nothing of this tasklet's yet.
 */
static int select_once(struct tuck__sched *s, struct tuck_case *cases, int n,
		       int begun)
{
	struct tuck__place **order, *p;
	struct tuck__shared_wait *w;
	struct tuck__outcome o;
	bool waits = false;
	uint32_t n_order;
	int i;

	w = prepare(s, cases, n, &order, &n_order);
	if (!w && begun == 0)
		tuck__far_undo(s);
	if (!w)
		return -ENOMEM;
	lock_all(order, n_order);
	o = go(s, order, n_order, &p);
	if (!p && begun == 0) {
		waits = true;
		tuck__shared_wait_watch(s, w);
		for (uint32_t k = 0; k < n_order; k++)
			tuck__place_enter(order[k]);
	}
	unlock_all(order, n_order);
	if (waits)
		return tuck__case_answer(cases, tuck__shared_park(s, w));
	i = p ? (int)(p - w->places) : begun;
	tuck__shared_wait_free(s, w);
	if (begun == 0)
		tuck__far_undo(s);
	if (p) {
		cases[i].ret_err = o.result;
		tuck__shared_done(s, o);
	}
	return i;
}

int tuck__shared_select(struct tuck__sched *s, struct tuck_case *cases, int n,
			tuck_ns deadline)
{
	int begun = -EAGAIN;

	if (deadline != TUCK_NOWAIT)
		begun = tuck__far_begin(s, deadline);
	return select_once(s, cases, n, begun);
}
