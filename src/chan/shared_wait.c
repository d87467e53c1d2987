/* SPDX-License-Identifier: MIT */
/*
 * A wait at shared channels: its block, how it is taken, and how it ends.
 *
 * Who has to wait leaves a block with a place in the queue of each channel,
 * one for a plain operation, and with room for its elements: other threads
 * never touch a stack (rule S3). Whoever comes and finds a place takes the
 * wait that it belongs to, which can be done once; copies the element to or
 * from the block; and wakes who waits, by a post if it lives elsewhere. From
 * the taking on the operation is done, also if its deadline comes first, or
 * its tasklet is killed. On its own proc, when the wait is over, the element
 * goes from the block to where the tasklet wants it.
 *
 * Invariants:
 * 1. A wait's state goes once from WAITS, or from WATCHED: to TAKEN by who
 *    has the lock of a channel where it has a place, or to OVER by its own
 *    proc, which so gives up. A taken one becomes OVER before that lock is
 *    given up, and whoever took it does not touch it any more.
 * 2. A place whose wait is over may still be in a queue; it is passed by. Its
 *    own proc takes it out, under the lock, before the block is given back.
 * 3. A place is a use of its channel's memory, in its queue or not, until its
 *    wait is taken by way of it.
 * 4. While its own proc looks at the state, with the tasklet still running,
 *    it is WATCHED, and who takes it then wakes nobody. The proc makes it
 *    WAITS, unless it has been taken, before it does anything else.
 *
 * tests/model/shared_wait.py tries all orders in which these can meet.
 */
#include <sched.h>
#include <stdio.h>

#include "chan/shared.h"
#include "task/waitq.h"

/* -- the block -- */

static void wait_over(struct tuck__sched *s, struct tuck__tasklet *t);

static void wait_text(const struct tuck__far *far, char *text, size_t n)
{
	const struct tuck__shared_wait *w;

	w = tuck__container(far, struct tuck__shared_wait, far);
	snprintf(text, n, " (%u)", w->n);
	for (uint32_t i = 0; i < w->n; i++)
		tuck__text_case(text, n, i, w->places[i].op, w->places[i].chan);
}

static const struct tuck__far_kind kind = { wait_over, wait_text };

static void set_up(struct tuck__shared_wait *w, struct tuck__tasklet *t,
		   uint32_t n, uint32_t cls)
{
	w->far.state = TUCK__FAR_WAITS;
	w->far.kind = &kind;
	w->id = tuck__id(t);
	w->user = NULL;
	w->watches = false;
	w->n = n;
	w->slice_class = cls;
}

struct tuck__shared_wait *tuck__shared_wait_new(struct tuck__sched *s,
						struct tuck__tasklet *t,
						uint32_t n, uint64_t bytes)
{
	struct tuck__shared_wait *w;
	uint32_t cls;

	w = tuck__wait_block(s, tuck__shared_wait_bytes(n, bytes), &cls);
	if (w)
		set_up(w, t, n, cls);
	return w;
}

struct tuck__shared_wait *tuck__shared_wait_spare(struct tuck__sched *s,
						  const struct tuck_chan *chan)
{
	struct tuck__shared_wait *w = s->spare_wait;

	if (!w || chan->elem_bytes > sizeof(w->small))
		return NULL;
	s->spare_wait = NULL;
	set_up(w, s->current, 1, w->slice_class);
	return w;
}

/* A small one is kept, untouched: its partner's CPU may still have it. */
void tuck__shared_wait_free(struct tuck__sched *s, struct tuck__shared_wait *w)
{
	if (w->n == 1 && !s->spare_wait)
		s->spare_wait = w;
	else
		tuck__slice_put(&s->cache.slices, w, w->slice_class);
}

char *tuck__place_init(struct tuck__shared_wait *w, uint32_t i,
		       struct tuck_chan *chan, int op, void *elem, char *cell)
{
	struct tuck__place *p = &w->places[i];

	if (chan && w->n == 1 && chan->elem_bytes <= sizeof(w->small))
		cell = (char *)&w->small;
	*p = (struct tuck__place){ .is_case = TUCK__PLACE,
				   .op = (uint8_t)op,
				   .elem_bytes = chan ? chan->elem_bytes : 0,
				   .wait = w,
				   .chan = chan,
				   .elem = elem,
				   .cell = cell };
	tuck__link_init(&p->link);
	return cell + p->elem_bytes;
}

void tuck__place_enter_before(struct tuck__place *p, struct tuck__link *l)
{
	p->chan->places++;
	tuck__link_before(l, &p->link);
}

static struct tuck__link *queue_of(const struct tuck__place *p)
{
	return p->op == TUCK_RECV ? &p->chan->receivers : &p->chan->senders;
}

void tuck__place_enter(struct tuck__place *p)
{
	tuck__place_enter_before(p, queue_of(p));
}

int tuck__shared_park(struct tuck__sched *s, struct tuck__shared_wait *w)
{
	struct tuck__tasklet *self = s->current;

	tuck__wait_for(s, TUCK__WHY_SHARED, w);
	if (!w->watches || !tuck__watch(s, &w->far.state))
		return tuck__park(s);
	tuck__unwait(s, self);
	return self->result;
}

/* -- the end, on its own proc -- */

static void leave(struct tuck__place *p)
{
	struct tuck_chan *chan = p->chan;
	bool last;

	tuck__spin_lock(&chan->lock);
	tuck__link_remove(&p->link);
	last = --chan->places == 0 && chan->left;
	tuck__spin_unlock(&chan->lock);
	if (last)
		tuck__chan_unref(chan);
}

/* What its partner left in the block, who may have freed the channel since. */
static void unpack(struct tuck__tasklet *t, const struct tuck__shared_wait *w)
{
	const struct tuck__place *p = &w->places[w->went];

	if (p->op == TUCK_RECV && w->result == 0)
		tuck__elem_give(t, p->elem, p->cell, p->elem_bytes);
	t->result = w->result;
	if (!w->user)
		return;
	tuck__elem_give(t, &w->user[w->went].ret_err, &w->result,
			sizeof(w->result));
	t->result = (int)w->went | TUCK__CASE_TOLD;
}

static void wait_over(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct tuck__shared_wait *w = t->what;
	uint32_t state = atomic_load(&w->far.state);
	bool gave_up = state == TUCK__FAR_WAITS &&
		       atomic_compare_exchange_strong(&w->far.state, &state,
						      TUCK__FAR_OVER);

	while (!gave_up && atomic_load(&w->far.state) != TUCK__FAR_OVER)
		sched_yield();		/* its partner is copying */
	if (!gave_up)
		unpack(t, w);
	for (uint32_t i = 0; i < w->n; i++)
		if (w->places[i].chan && (gave_up || i != w->went))
			leave(&w->places[i]);
	tuck__shared_wait_free(s, w);
}
