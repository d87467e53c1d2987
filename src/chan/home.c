/* SPDX-License-Identifier: MIT */
/*
 * What others ask of a channel's home: to make it shared, or to free it.
 *
 * Whoever comes from elsewhere asks the channel's home for it, by a request,
 * and waits. The home carries it out between two turns of its tasklets, and
 * shared_move.c tells how. Then the channel has no home any more. It never
 * goes back.
 *
 * Invariants:
 * 1. Only its home makes a channel shared, unless that has ended: then its
 *    queues are empty.
 * 2. A request has two users, the home and who asks, who may be killed or
 *    give up meanwhile; the last one gives its memory back, and its use of
 *    the channel's.
 * 3. Who asks holds all channels of its call until the end of that: between
 *    the home's answer and its own turn others may have freed them.
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
#include "task/waitq.h"

struct ask {
	struct tuck__far far;
	struct tuck__request request;
	struct tuck_chan *chan;
	tuck_id id;
	int result;
	atomic_int users;
};

/* By a proc that may be the home, or else knows that the home has ended. */
static void share_now(struct tuck__sched *s, struct tuck_chan *chan)
{
	tuck_id home = atomic_load(&chan->home);

	if (home == s->main_id)
		tuck__shared_move(s, chan);
	else if (home != TUCK__SHARED)
		atomic_store(&chan->home, TUCK__SHARED);
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

/* -- asking -- */

static void drop_ask(struct ask *ask)
{
	if (atomic_fetch_sub(&ask->users, 1) > 1)
		return;
	tuck__chan_unref(ask->chan);
	tuck__free(ask);
}

/* With the lock, for once it is shared any proc may free it. */
static bool is_freed(struct tuck_chan *chan)
{
	bool freed;

	tuck__spin_lock(&chan->lock);
	freed = chan->magic != TUCK__CHAN_LIVE;
	tuck__spin_unlock(&chan->lock);
	return freed;
}

static void run_ask(struct tuck__sched *s, struct tuck__request *r)
{
	struct ask *ask = tuck__container(r, struct ask, request);
	tuck_id id = ask->id;

	if (is_freed(ask->chan))
		ask->result = -EPIPE;
	else
		share_now(s, ask->chan);
	atomic_store(&ask->far.state, TUCK__FAR_OVER);
	drop_ask(ask);
	tuck__far_wake(id);
}

static void ask_over(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct ask *ask = t->what;

	(void)s;
	if (atomic_load(&ask->far.state) == TUCK__FAR_OVER)
		t->result = ask->result;
	drop_ask(ask);
}

static void ask_text(const struct tuck__far *far, char *text, size_t n)
{
	const struct ask *ask = tuck__container(far, struct ask, far);

	snprintf(text, n, " %p", (void *)ask->chan);
}

static const struct tuck__far_kind kind = { ask_over, ask_text };

static struct ask *new_ask(struct tuck__sched *s, struct tuck_chan *chan)
{
	struct ask *ask = tuck__alloc(sizeof(*ask));

	if (!ask)
		return NULL;
	ask->far.kind = &kind;
	ask->request.run = run_ask;
	ask->chan = chan;
	ask->id = tuck__id(s->current);
	ask->users = 2;
	tuck__chan_ref(chan);
	return ask;
}

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

/* 0, or how the wait ended otherwise; or 1: the home has ended. */
static int ask_home(struct tuck__sched *s, struct tuck__sched *home,
		    struct tuck_chan *chan, tuck_ns deadline)
{
	struct ask *ask;
	int r = begin(s, deadline);

	if (r < 0)
		return r;
	ask = new_ask(s, chan);
	if (ask && tuck__request(home, &ask->request)) {
		tuck__wait_for(s, TUCK__WHY_HOME, ask);
		return tuck__park(s);
	}
	tuck__far_undo(s);
	if (!ask)
		return -ENOMEM;
	ask->users = 1;
	drop_ask(ask);
	return 1;
}

/* Apart, for all operations on a shared channel come through the other. */
static tuck__noinline int share(struct tuck__sched *s, struct tuck_chan *chan,
				tuck_ns deadline)
{
	tuck_id id = atomic_load(&chan->home);
	struct tuck__sched *home;
	int r = 1;

	if (id != s->main_id && tuck__find(id, &home))
		r = ask_home(s, home, chan, deadline);
	if (r <= 0)
		return r;
	share_now(s, chan);
	return 0;
}

int tuck__chan_share(struct tuck__sched *s, struct tuck_chan *chan,
		     tuck_ns deadline)
{
	int r;

	/* It may be cancelled while it waits: then it asks again. */
	do
		r = tuck__chan_shared(chan) ? 0 : share(s, chan, deadline);
	while (r == -ECANCELED && deadline == TUCK_NOWAIT &&
	       !(s->current->w.bits & TUCK__DOOMED));
	return r;
}

/* -- to have it freed -- */

static void run_dismissal(struct tuck__sched *s, struct tuck__request *r)
{
	struct tuck_chan *chan = tuck__container(r, struct tuck_chan,
						 dismissal);

	if (atomic_load(&chan->home) == TUCK__SHARED)
		tuck__shared_free(chan);
	else
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
