/* SPDX-License-Identifier: MIT */
/*
 * What others ask of a channel's home: to make it shared, or to free it.
 *
 * Whoever comes from elsewhere asks the channel's home for it, and waits. The
 * home carries that out between two turns of its tasklets, and shared_move.c
 * tells how. Then the channel has no home any more. It never goes back.
 *
 * Invariants:
 * 1. Only its home makes a channel shared, unless that has ended: then its
 *    queues are empty; or a fork has left the home behind, and with it all
 *    who are in them.
 * 2. All who ask for a channel are in its list, under its lock, and its home
 *    has one request of them all, which is the channel's own: so who gives up
 *    leaves nothing behind. Whoever finds that the home has ended answers all.
 * 3. The request is a use of the channel's memory, and who asks holds all
 *    channels of its call until the end of that: between the home's answer
 *    and its own turn others may have freed them.
 *
 * Why not otherwise: if the home carried out each operation for others, an
 * element would cost two messages and the time that the home takes to look,
 * also in a full buffer. A lock from the beginning would cost those who
 * stay at home. To make the user say at the beginning who will come is what
 * tuck_chan_share() is, for who cannot wait for the home.
 */
#include <stdio.h>

#include "base/mem.h"
#include "chan/chan.h"
#include "chan/shared.h"
#include "task/waitq.h"

/* Nobody waits at a channel whose home has ended, or is of a fork's parent. */
static void forget_lost(struct tuck_chan *chan)
{
	tuck__link_init(&chan->senders);
	tuck__link_init(&chan->receivers);
}

static void share_lost(struct tuck_chan *chan)
{
	forget_lost(chan);
	atomic_store(&chan->home, TUCK__SHARED);
}

/* By a proc that may be the home, or else knows that the home has ended. */
static void share_now(struct tuck__sched *s, struct tuck_chan *chan)
{
	tuck_id home = atomic_load(&chan->home);

	if (home == s->main_id)
		tuck__shared_move(s, chan);
	else if (home != TUCK__SHARED)
		share_lost(chan);
}

/* -- holding -- */

struct hold {
	struct tuck__held held;
	int n;
	struct tuck_chan *chans[];
};

static void release(struct tuck__held *held)
{
	struct hold *h = tuck__container(held, struct hold, held);

	for (int i = 0; i < h->n; i++)
		if (h->chans[i])
			tuck__chan_unref(h->chans[i]);
	tuck__free(h);
}

int tuck__chan_hold(struct tuck__sched *s, const struct tuck_case *cases, int n)
{
	struct hold *h = tuck__alloc(sizeof(*h) +
				     (size_t)n * sizeof(h->chans[0]));

	if (!h || tuck__hold(s, &h->held) < 0) {
		tuck__free(h);
		return -ENOMEM;
	}
	h->held.release = release;
	h->n = n;
	for (int i = 0; i < n; i++) {
		h->chans[i] = cases[i].chan;
		if (h->chans[i])
			tuck__chan_ref(h->chans[i]);
	}
	return 0;
}

void tuck__chan_let_go(struct tuck__sched *s)
{
	tuck__let_go(s->current->extra);
}

/* -- answering -- */

/* With the lock, for once it is shared any proc may free it. */
static bool is_freed(struct tuck_chan *chan)
{
	bool freed;

	tuck__spin_lock(&chan->lock);
	freed = chan->magic != TUCK__CHAN_LIVE;
	tuck__spin_unlock(&chan->lock);
	return freed;
}

static bool is_asked_for(struct tuck_chan *chan)
{
	bool any;

	tuck__spin_lock(&chan->lock);
	any = !tuck__list_empty(&chan->asks);
	tuck__spin_unlock(&chan->lock);
	return any;
}

/* Somebody looks at a bell, or is going to: once is enough. */
static void ring(struct tuck_chan *bell)
{
	struct tuck__outcome o;

	tuck__spin_lock(&bell->lock);
	o = tuck__shared_send(bell, NULL, 0);
	tuck__spin_unlock(&bell->lock);
	if (o.id)
		tuck__far_wake(o.id);
	tuck__chan_unref(bell);
}

/* The first who asks; false: there is none, and the request is done. */
static bool answer_one(struct tuck_chan *chan, int result)
{
	struct tuck_chan *bell;
	struct tuck__ask *ask;
	tuck_id id;

	tuck__spin_lock(&chan->lock);
	chan->asked = !tuck__list_empty(&chan->asks);
	if (!chan->asked) {
		tuck__spin_unlock(&chan->lock);
		return false;
	}
	ask = tuck__container(chan->asks.next, struct tuck__ask, link);
	tuck__link_remove(&ask->link);
	id = ask->id;
	bell = ask->bell;
	if (bell)
		tuck__chan_ref(bell);
	ask->result = result;
	atomic_store(&ask->far.state, TUCK__FAR_OVER);
	tuck__spin_unlock(&chan->lock);
	if (bell)
		ring(bell);
	else
		tuck__far_wake(id);
	return true;
}

/* Nobody may be left who asks: then it stays at home. */
static void answer(struct tuck__sched *s, struct tuck_chan *chan)
{
	int result = 0;

	if (is_freed(chan))
		result = -EPIPE;
	else if (is_asked_for(chan))
		share_now(s, chan);
	while (answer_one(chan, result))
		;
	tuck__chan_unref(chan);
}

static void run_asked(struct tuck__sched *s, struct tuck__request *r)
{
	answer(s, tuck__container(r, struct tuck_chan, request));
}

/* -- asking -- */

void tuck__ask(struct tuck__sched *s, struct tuck__ask *ask,
	       struct tuck_chan *chan)
{
	tuck_id id = atomic_load(&chan->home);
	struct tuck__sched *home;
	bool first;

	ask->far.state = TUCK__FAR_WAITS;
	ask->chan = chan;
	ask->id = tuck__id(s->current);
	tuck__spin_lock(&chan->lock);
	tuck__link_before(&chan->asks, &ask->link);
	first = !chan->asked;
	chan->asked = true;
	tuck__spin_unlock(&chan->lock);
	if (!first)
		return;
	tuck__chan_ref(chan);
	chan->request.run = run_asked;
	if (id == TUCK__SHARED || !tuck__find(id, &home) ||
	    !tuck__request(home, &chan->request))
		answer(s, chan);
}

bool tuck__ask_end(struct tuck__ask *ask)
{
	bool answered;

	tuck__spin_lock(&ask->chan->lock);
	answered = atomic_load(&ask->far.state) == TUCK__FAR_OVER;
	tuck__link_remove(&ask->link);
	tuck__spin_unlock(&ask->chan->lock);
	return answered;
}

/* -- a wait for the answer -- */

static void ask_over(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct tuck__ask *ask = t->what;

	(void)s;
	if (tuck__ask_end(ask))
		t->result = ask->result;
	tuck__free(ask);
}

static void ask_text(const struct tuck__far *far, char *text, size_t n)
{
	const struct tuck__ask *ask = tuck__container(far, struct tuck__ask,
						      far);

	snprintf(text, n, " %p", (void *)ask->chan);
}

static const struct tuck__far_kind kind = { ask_over, ask_text };

/* With TUCK_NOWAIT neither deadlines nor a cancel concern the wait. */
static int begin(struct tuck__sched *s, tuck_ns deadline)
{
	struct tuck__tasklet *self = s->current;

	if (deadline != TUCK_NOWAIT)
		return tuck__far_begin(s, deadline);
	TUCK__REQUIRE(!(self->w.bits & TUCK__DOOMED), -ECANCELED);
	tuck__link_init(&self->w.link);
	return 0;
}

/* 0, or how the wait ended otherwise. Where the home has ended, at once. */
static int ask_home(struct tuck__sched *s, struct tuck_chan *chan,
		    tuck_ns deadline)
{
	struct tuck__ask *ask;
	int r = begin(s, deadline);

	if (r < 0)
		return r;
	ask = tuck__alloc(sizeof(*ask));
	if (!ask) {
		tuck__far_undo(s);
		return -ENOMEM;
	}
	ask->far.kind = &kind;
	tuck__ask(s, ask, chan);
	tuck__wait_for(s, TUCK__WHY_HOME, ask);
	if (atomic_load(&ask->far.state) != TUCK__FAR_OVER)
		return tuck__park(s);
	tuck__unwait(s, s->current);
	return s->current->result;
}

int tuck__chan_share(struct tuck__sched *s, struct tuck_chan *chan,
		     tuck_ns deadline)
{
	int r;

	if (tuck__chan_shared(chan))
		return 0;
	if (tuck__chan_at_home(chan, s)) {
		share_now(s, chan);
		return 0;
	}
	/* It may be cancelled while it waits: then it asks again. */
	do
		r = ask_home(s, chan, deadline);
	while (r == -ECANCELED && deadline == TUCK_NOWAIT &&
	       !(s->current->w.bits & TUCK__DOOMED));
	return r;
}

/* -- to have it freed -- */

static void run_dismissal(struct tuck__sched *s, struct tuck__request *r)
{
	struct tuck_chan *chan = tuck__container(r, struct tuck_chan,
						 dismissal);

	if (atomic_load(&chan->home) == TUCK__SHARED) {
		tuck__shared_free(chan);
		return;
	}
	if (!s || !tuck__chan_at_home(chan, s))
		forget_lost(chan);
	tuck__chan_free_local(s, chan);
}

void tuck__chan_dismiss(struct tuck_chan *chan)
{
	tuck_id id = atomic_load(&chan->home);
	struct tuck__sched *home;

	if (atomic_exchange(&chan->dismissed, true))
		tuck__fatal("channel %p is freed twice", (void *)chan);
	chan->dismissal.run = run_dismissal;
	if (id != TUCK__SHARED && tuck__find(id, &home) &&
	    tuck__request(home, &chan->dismissal))
		return;
	run_dismissal(tuck__tls, &chan->dismissal);
}
