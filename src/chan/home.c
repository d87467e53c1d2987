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
 *
 * Why not otherwise: if the home carried out each operation for others, an
 * element would cost two messages and the time that the home takes to look,
 * also in a full buffer. A lock from the beginning would cost those who
 * stay at home. To make the user say at the beginning who will come is what
 * tuck_chan_share() is, for who cannot wait for the home.
 */
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

/* -- asking -- */

static void drop_ask(struct ask *ask)
{
	if (atomic_fetch_sub(&ask->users, 1) > 1)
		return;
	tuck__chan_unref(ask->chan);
	tuck__free(ask);
}

static void run_ask(struct tuck__sched *s, struct tuck__request *r)
{
	struct ask *ask = tuck__container(r, struct ask, request);
	tuck_id id = ask->id;

	if (ask->chan->magic == TUCK__CHAN_LIVE)
		share_now(s, ask->chan);
	else
		ask->result = -EPIPE;
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

static struct ask *new_ask(struct tuck__sched *s, struct tuck_chan *chan)
{
	struct ask *ask = tuck__alloc(sizeof(*ask));

	if (!ask)
		return NULL;
	ask->far.over = ask_over;
	ask->request.run = run_ask;
	ask->chan = chan;
	ask->id = tuck__id(s->current);
	ask->users = 2;
	tuck__chan_ref(chan);
	return ask;
}

/* 0, or how the wait ended otherwise; or 1: the home has ended. */
static int ask_home(struct tuck__sched *s, struct tuck__sched *home,
		    struct tuck_chan *chan, tuck_ns deadline)
{
	struct ask *ask;
	int r = tuck__far_begin(s, deadline);

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

	if (deadline == TUCK_NOWAIT)
		deadline = TUCK_FOREVER;	/* for who waits there */
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
	bool shared = atomic_load(&chan->home) == TUCK__SHARED;

	return shared ? 0 : share(s, chan, deadline);
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
