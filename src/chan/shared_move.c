/* SPDX-License-Identifier: MIT */
/*
 * The move of a channel from its home to all procs: those who wait at it get
 * waits that any proc may end (shared_wait.c). The home does that between two
 * turns of its tasklets, so nobody sees half of it.
 *
 * Invariants:
 * 1. Who waits keeps its place in each queue, or is told that there was no
 *    memory for its wait.
 * 2. A wait is of one kind, so all channels of a select that waits move at
 *    once; and with them those of other selects that wait there, and so on.
 * 3. A channel is open to others after all have moved, and is not touched
 *    any more: they may free it.
 */
#include "chan/shared.h"

/* -- who waits -- */

/* In the place of l, which is out then. */
static void replace(struct tuck__shared_wait *w, uint32_t i,
		    struct tuck__tasklet *t, struct tuck__link *l)
{
	struct tuck__place *p = &w->places[i];

	if (p->op == TUCK_SEND)
		tuck__elem_take(t, p->cell, p->elem, p->chan->elem_bytes);
	tuck__place_enter_before(p, l);
	tuck__link_cut(l);
}

static struct tuck__shared_wait *move_plain(struct tuck__sched *s,
					    struct tuck__tasklet *t)
{
	struct tuck_chan *chan = t->what;
	struct tuck__shared_wait *w = tuck__shared_wait_new(s, t, 1,
							    chan->elem_bytes);

	if (!w)
		return NULL;
	tuck__place_init(w, 0, chan,
			 t->w.why == TUCK__WHY_SEND ? TUCK_SEND : TUCK_RECV,
			 t->elem, (char *)&w->places[1]);
	replace(w, 0, t, &t->w.link);
	return w;
}

static struct tuck__shared_wait *move_select(struct tuck__sched *s,
					     struct tuck__tasklet *t)
{
	struct tuck__select *select = t->what;
	struct tuck__shared_wait *w;
	uint64_t bytes = 0;
	char *cell;

	for (uint32_t i = 0; i < select->n; i++)
		if (select->cases[i].chan)
			bytes += select->cases[i].chan->elem_bytes;
	w = tuck__shared_wait_new(s, t, select->n, bytes);
	if (!w)
		return NULL;
	w->user = select->user;
	cell = (char *)&w->places[select->n];
	for (uint32_t i = 0; i < select->n; i++) {
		struct tuck__case *c = &select->cases[i];

		cell = tuck__place_init(w, i, c->chan, c->op, c->elem, cell);
		w->places[i].err = c->err;
		if (c->chan)
			replace(w, i, t, &c->w.link);
	}
	tuck__slice_put(&s->cache.slices, select, select->slice_class);
	return w;
}

/* The one who waits at l; without memory it is woken. */
static void move_wait(struct tuck__sched *s, struct tuck__link *l)
{
	struct tuck__tasklet *t = tuck__tasklet_of(l);
	struct tuck__shared_wait *w;

	if (t->w.is_case == TUCK__CASE)
		t = ((struct tuck__case *)(void *)l)->owner;
	w = t->w.why == TUCK__WHY_SELECT ? move_select(s, t) : move_plain(s, t);
	if (!w) {
		tuck__wake(s, t, -ENOMEM);
		return;
	}
	tuck__link_init(&t->w.link);
	t->w.why = TUCK__WHY_SHARED;
	t->what = w;
}

static void move_queue(struct tuck__sched *s, struct tuck__link *queue)
{
	struct tuck__link *l, *before = queue;	/* moved up to here */

	while ((l = before->next) != queue)
		if (tuck__tasklet_of(l)->w.is_case == TUCK__PLACE)
			before = l;
		else
			move_wait(s, l);
}

/* -- which channels -- */

/* Of a select: its channels come along. */
static struct tuck_chan *add_all(struct tuck_chan *last,
				 const struct tuck__link *queue)
{
	for (const struct tuck__link *l = queue->next; l != queue;
	     l = l->next) {
		const struct tuck__case *c = (const void *)l;
		const struct tuck__select *select;

		if (c->w.is_case != TUCK__CASE)
			continue;
		select = c->owner->what;
		for (uint32_t i = 0; i < select->n; i++) {
			struct tuck_chan *chan = select->cases[i].chan;

			if (!chan || chan->moving)
				continue;
			chan->moving = true;
			chan->moves_next = NULL;
			last = last->moves_next = chan;
		}
	}
	return last;
}

void tuck__shared_move(struct tuck__sched *s, struct tuck_chan *first)
{
	struct tuck_chan *chan, *next, *last = first;

	first->moving = true;
	first->moves_next = NULL;
	for (chan = first; chan; chan = chan->moves_next) {
		last = add_all(last, &chan->senders);
		last = add_all(last, &chan->receivers);
	}
	for (chan = first; chan; chan = chan->moves_next) {
		move_queue(s, &chan->senders);
		move_queue(s, &chan->receivers);
	}
	for (chan = first; chan; chan = next) {
		next = chan->moves_next;
		atomic_store(&chan->home, TUCK__SHARED);
	}
}
