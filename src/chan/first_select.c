/* SPDX-License-Identifier: MIT */
/*
 * A select where one channel is not shared yet and not the caller's own: all
 * of them become shared. It asks all the homes at once, and waits meanwhile
 * at those of its channels that are shared already. So a home that is busy
 * keeps nobody from the others.
 *
 * One case more than the caller's is a channel of the select's own, its bell:
 * who answers sends there, and the select begins anew with one channel more.
 * The bell is a buffer of one, for there is no more to be told than "again".
 *
 * Why not otherwise: that a home's answer takes the wait itself, as a partner
 * does, would be a second kind of partner, with a lock for each request.
 */
#include "base/mem.h"
#include "chan/chan.h"

/* What the call keeps, with the caller's cases and the bell's. */
struct asking {
	struct tuck__held held;
	struct tuck_chan *bell;
	struct tuck__ask *asks;		/* of each case; chan NULL: none */
	int n;
	struct tuck_case cases[];
};

static void release(struct tuck__held *held)
{
	struct asking *a = tuck__container(held, struct asking, held);

	for (int i = 0; i < a->n; i++)
		if (a->asks[i].chan)
			tuck__ask_end(&a->asks[i]);
	tuck__shared_free(a->bell);
	tuck__free(a);
}

static struct tuck_chan *bell_new(void)
{
	struct tuck_chan *bell = tuck_chan_new(0, 1);

	if (bell)
		atomic_store(&bell->home, TUCK__SHARED);
	return bell;
}

static struct asking *asking_new(struct tuck__sched *s,
				 const struct tuck_case *cases, int n)
{
	size_t cases_bytes = ((size_t)n + 1) * sizeof(cases[0]);
	struct asking *a = tuck__alloc(sizeof(*a) + cases_bytes +
				       (size_t)n * sizeof(a->asks[0]));

	if (!a)
		return NULL;
	a->bell = bell_new();
	if (!a->bell || tuck__hold(s, &a->held) < 0) {
		tuck_chan_free(a->bell);
		tuck__free(a);
		return NULL;
	}
	a->held.release = release;
	a->asks = (struct tuck__ask *)(void *)&a->cases[n + 1];
	a->n = n;
	memcpy(a->cases, cases, (size_t)n * sizeof(cases[0]));
	a->cases[n] = (struct tuck_case){ .chan = a->bell, .op = TUCK_RECV };
	return a;
}

static void ask_all(struct tuck__sched *s, struct asking *a)
{
	for (int i = 0; i < a->n; i++) {
		struct tuck_chan *chan = a->cases[i].chan;

		if (!chan || tuck__chan_shared(chan))
			continue;
		if (tuck__chan_at_home(chan, s)) {
			tuck__chan_share(s, chan, TUCK_NOWAIT);
			continue;
		}
		a->asks[i].bell = a->bell;
		tuck__ask(s, &a->asks[i], chan);
	}
}

/* Shared, or freed by its home: its case can go then. */
static bool is_answered(const struct asking *a, int i)
{
	return !a->asks[i].chan ||
	       atomic_load(&a->asks[i].far.state) == TUCK__FAR_OVER;
}

static int select_and_hear(struct tuck__sched *s, struct asking *a,
			   struct tuck_case *cases, tuck_ns deadline)
{
	int r;

	do {
		for (int i = 0; i < a->n; i++)
			a->cases[i].chan = is_answered(a, i) ? cases[i].chan :
							       NULL;
		r = tuck__shared_select(s, a->cases, a->n + 1, deadline);
	} while (r == a->n);
	if (r >= 0)
		cases[r].ret_err = a->cases[r].ret_err;
	return r;
}

/* Without a wait for the others: first the homes, then a look at all. */
static int share_all(struct tuck__sched *s, const struct tuck_case *cases,
		     int n)
{
	int r = 0;

	for (int i = 0; i < n && r == 0; i++) {
		if (!cases[i].chan)
			continue;
		r = tuck__chan_share(s, cases[i].chan, TUCK_NOWAIT);
		if (r == -EPIPE)
			r = 0;		/* it is freed: its case can go */
	}
	return r;
}

static int ask_and_select(struct tuck__sched *s, struct tuck_case *cases, int n,
			  tuck_ns deadline)
{
	struct asking *a = asking_new(s, cases, n);
	int r;

	if (!a)
		return -ENOMEM;
	ask_all(s, a);
	r = select_and_hear(s, a, cases, deadline);
	tuck__let_go(s->current->extra);
	return r;
}

int tuck__first_select(struct tuck__sched *s, struct tuck_case *cases, int n,
		       tuck_ns deadline)
{
	int r = tuck__chan_hold(s, cases, n);

	if (r < 0)
		return r;
	if (deadline == TUCK_NOWAIT) {
		r = share_all(s, cases, n);
		if (r == 0)
			r = tuck__shared_select(s, cases, n, TUCK_NOWAIT);
	} else {
		r = ask_and_select(s, cases, n, deadline);
	}
	tuck__chan_let_go(s);
	return r;
}
