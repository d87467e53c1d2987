/* SPDX-License-Identifier: MIT */
/*
 * Shared channels: the operations on those that tasklets of any proc use.
 *
 * Each channel has a lock; a wait at one is in a block of its own, which
 * shared_wait.c tells of. shared_select.c has the operations on several.
 *
 * Invariants:
 * 1. All of a channel but its home, magic and preference is under its lock.
 * 2. A channel is not touched after its unlock by who did an operation: the
 *    one who was woken may have freed it. Who is to try once more is a use of
 *    its memory until that is done, or its place is in the queue.
 * 3. No tasklet is woken with a lock held: where it waits for more channels,
 *    its proc takes their locks then.
 */
#include "chan/shared.h"
#include "task/waitq.h"

#define PAUSES_MAX	64	/* some 20 ns each */

/* -- with the lock: others' waits (shared_wait.c, 1 and 2) -- */

static inline struct tuck__place *place_of(struct tuck__link *l)
{
	return (struct tuck__place *)(void *)l;
}

static inline bool waits(const struct tuck__place *p)
{
	return atomic_load(&p->wait->far.state) <= TUCK__FAR_WATCHED;
}

/* Those who wait no more leave. */
static bool anybody_in(struct tuck__link *queue)
{
	while (!tuck__list_empty(queue) && !waits(place_of(queue->next)))
		tuck__link_remove(queue->next);
	return !tuck__list_empty(queue);
}

/*
 * Once. It is not looked at first: the line would come twice, to be read and
 * to be written.
 */
static bool take(struct tuck__shared_wait *w)
{
	uint32_t state = TUCK__FAR_WATCHED;
	bool watched = atomic_compare_exchange_strong(&w->far.state, &state,
						      TUCK__FAR_TAKEN);

	if (!watched && (state != TUCK__FAR_WAITS ||
			 !atomic_compare_exchange_strong(&w->far.state, &state,
							 TUCK__FAR_TAKEN)))
		return false;
	w->watched = watched;
	return true;
}

/* Who waits longest is taken and out of the queue; or NULL. */
static struct tuck__place *take_first(struct tuck_chan *chan,
				      struct tuck__link *queue)
{
	while (!tuck__list_empty(queue)) {
		struct tuck__place *p = place_of(queue->next);

		__builtin_prefetch((char *)p - TUCK__LINE, 1);
		tuck__link_cut(&p->link);
		if (take(p->wait)) {
			chan->places--;
			return p;
		}
		tuck__link_init(&p->link);	/* its proc takes it out, too */
	}
	return NULL;
}

/* One that was taken has its result: whom to wake, or 0. */
static tuck_id complete(struct tuck__place *p, int result)
{
	struct tuck__shared_wait *w = p->wait;
	tuck_id id = w->watched ? 0 : w->id;

	w->went = (uint32_t)(p - w->places);
	w->result = result;
	atomic_store_explicit(&w->far.state, TUCK__FAR_OVER,
			      memory_order_release);
	return id;
}

/* -- with the lock: operations -- */

bool tuck__shared_can(struct tuck_chan *chan, int op)
{
	if (op == TUCK_RECV)
		return chan->count || chan->closed ||
		       anybody_in(&chan->senders);
	return chan->closed || chan->count < chan->capacity ||
	       anybody_in(&chan->receivers);
}

/* Who is preferred is asked with the lock: later the channel may be gone. */
static struct tuck__outcome met(const struct tuck_chan *chan,
				enum tuck_prefer partner, tuck_id id,
				int result)
{
	return (struct tuck__outcome){ .result = result,
				       .first = chan->prefer == partner,
				       .id = id };
}

struct tuck__outcome tuck__shared_send(struct tuck_chan *chan, const void *elem,
				       int err)
{
	struct tuck__place *p;
	char *cell;

	if (chan->closed)
		return (struct tuck__outcome){ .result = -EPIPE };
	p = take_first(chan, &chan->receivers);
	if (p) {
		if (!err)
			tuck__elem_copy(p->cell, elem, chan->elem_bytes);
		return met(chan, TUCK_PREFER_RECEIVER, complete(p, err), 0);
	}
	if (err && tuck__ring_errs(chan) < 0)
		return (struct tuck__outcome){ .result = -ENOMEM };
	if (chan->count == chan->capacity)
		return (struct tuck__outcome){ .result = TUCK__MUST_WAIT };
	cell = tuck__ring_push(chan, err);
	if (!err)
		tuck__elem_copy(cell, elem, chan->elem_bytes);
	return (struct tuck__outcome){ .result = 0 };
}

struct tuck__outcome tuck__shared_recv(struct tuck_chan *chan, void *ret_elem)
{
	int r = chan->closed ? -EPIPE : TUCK__MUST_WAIT;
	bool had = chan->count > 0;
	struct tuck__place *p;
	void *to = ret_elem;

	if (had)
		r = tuck__ring_pop(chan, ret_elem);
	p = take_first(chan, &chan->senders);
	if (!p)
		return (struct tuck__outcome){ .result = r };
	if (had)
		to = tuck__ring_push(chan, p->err);
	else
		r = p->err;
	if (!p->err)
		tuck__elem_copy(to, p->cell, chan->elem_bytes);
	return met(chan, TUCK_PREFER_SENDER, complete(p, 0), r);
}

/* -- plain operations -- */

void tuck__shared_let_go(struct tuck__sched *s, tuck_id id, bool first)
{
	struct tuck__sched *home;
	struct tuck__tasklet *t = first ? tuck__find(id, &home) : NULL;

	if (t && home == s)
		tuck__hand_over(s, t, 0);
	else
		tuck__far_wake(id);
}

static void prepare(struct tuck__sched *s, struct tuck__shared_wait *w,
		    struct tuck_chan *chan, int op, void *elem, int err)
{
	struct tuck__place *p = &w->places[0];

	tuck__place_init(w, 0, chan, op, elem, (char *)(p + 1));
	p->err = err;
	tuck__shared_wait_watch(s, w);
	if (op == TUCK_SEND)
		tuck__elem_copy(p->cell, elem, chan->elem_bytes);
}

/*
 * Once more, with what waits prepared, so that it is in the queue before the
 * lock is given up. No address of a local is passed on, or the call of park
 * would be none that takes this frame's place (rule S5).
 */
static int attempt_or_wait(struct tuck__sched *s, struct tuck_chan *chan,
			   int op, void *elem, int err)
{
	struct tuck__shared_wait *w = tuck__shared_wait_new(s, s->current, 1,
							    chan->elem_bytes);
	struct tuck__outcome o;

	if (!w) {
		tuck__chan_unref(chan);
		tuck__far_undo(s);
		return -ENOMEM;
	}
	prepare(s, w, chan, op, elem, err);
	tuck__spin_lock(&chan->lock);
	o = tuck__shared_attempt(chan, op, elem, err);
	if (o.result == TUCK__MUST_WAIT)
		tuck__place_enter(&w->places[0]);
	tuck__spin_unlock(&chan->lock);
	tuck__chan_unref(chan);
	if (o.result == TUCK__MUST_WAIT)
		return tuck__shared_park(s, w);
	tuck__shared_wait_free(s, w);
	tuck__far_undo(s);
	return tuck__shared_done(s, o);
}

/* With the lock, and it must wait: in the queue, if that calls nobody. */
static struct tuck__shared_wait *enter_at_once(struct tuck__sched *s,
					       struct tuck_chan *chan, int op,
					       void *elem, int err,
					       tuck_ns deadline)
{
	struct tuck__shared_wait *w;

	if (!tuck__waitq_for_good(s->current, deadline))
		return NULL;
	w = tuck__shared_wait_spare(s, chan);
	if (!w)
		return NULL;
	tuck__far_begin(s, TUCK_FOREVER);
	prepare(s, w, chan, op, elem, err);
	tuck__place_enter(&w->places[0]);
	return w;
}

/* The same; or NULL, and the channel's memory stays until must_wait() ends. */
static struct tuck__shared_wait *enter_or_hold(struct tuck__sched *s,
					       struct tuck_chan *chan, int op,
					       void *elem, int err,
					       tuck_ns deadline)
{
	struct tuck__shared_wait *w = NULL;

	if (!chan->capacity)
		w = enter_at_once(s, chan, op, elem, err, deadline);
	if (!w)
		tuck__chan_ref(chan);
	return w;
}

/*
 * A buffer that is full or empty need not be so for long: look again, after
 * such a time as it takes to fill or empty half of it. So each side has the
 * channel's cache line to itself for some elements, instead of waiting for it
 * at each.
 */
static void pause_for_some(const struct tuck_chan *chan)
{
	size_t n = chan->capacity / 2;

	if (n > PAUSES_MAX)
		n = PAUSES_MAX;
	do
		tuck__arch_relax();
	while (n-- > 1);
}

static struct tuck__outcome try_again(struct tuck__sched *s,
				      struct tuck_chan *chan, int op,
				      void *elem, int err, tuck_ns deadline)
{
	tuck_ns end = tuck_now() + s->spin;
	struct tuck__outcome o;

	if (end > deadline)
		end = deadline;
	if (end > tuck__heap_next(&s->timers))
		end = tuck__heap_next(&s->timers);

	do {
		pause_for_some(chan);
		tuck__spin_lock(&chan->lock);
		o = tuck__shared_attempt(chan, op, elem, err);
		tuck__spin_unlock(&chan->lock);
	} while (o.result == TUCK__MUST_WAIT && !tuck__has_post(s) &&
		 tuck_now() < end);
	tuck__spun(s, o.result == TUCK__MUST_WAIT);
	return o;
}

static tuck__noinline int must_wait(struct tuck__sched *s,
				    struct tuck_chan *chan, int op, void *elem,
				    int err, tuck_ns deadline)
{
	int r;

	if (chan->capacity && tuck__may_watch(s)) {
		struct tuck__outcome o = try_again(s, chan, op, elem, err,
						   deadline);

		if (o.result != TUCK__MUST_WAIT) {
			tuck__chan_unref(chan);
			return tuck__shared_done(s, o);
		}
	}
	r = tuck__far_begin(s, deadline);
	if (r == 0)
		return attempt_or_wait(s, chan, op, elem, err);
	tuck__chan_unref(chan);
	return r;
}

/* Lines that partners had last: all on their way at once. */
static inline void fetch_lines(const struct tuck_chan *chan,
			       const struct tuck__shared_wait *w)
{
	__builtin_prefetch(&chan->lock, 1);
	if (!w)
		return;
	__builtin_prefetch(w, 1);
	__builtin_prefetch(w->places, 1);
}

int tuck__shared_op(struct tuck__sched *s, struct tuck_chan *chan, int op,
		    void *elem, int err, tuck_ns deadline)
{
	struct tuck__shared_wait *w = NULL;
	struct tuck__outcome o;

	fetch_lines(chan, s->spare_wait);
	tuck__spin_lock(&chan->lock);
	o = tuck__shared_attempt(chan, op, elem, err);
	if (o.result == TUCK__MUST_WAIT && deadline == TUCK_NOWAIT)
		o.result = -EAGAIN;
	if (o.result == TUCK__MUST_WAIT)
		w = enter_or_hold(s, chan, op, elem, err, deadline);
	tuck__spin_unlock(&chan->lock);
	if (w)
		return tuck__shared_park(s, w);
	if (o.result == TUCK__MUST_WAIT)
		return must_wait(s, chan, op, elem, err, deadline);
	return tuck__shared_done(s, o);
}

/* -- the other calls -- */

int tuck__shared_offer(struct tuck_chan *chan, const void *elem)
{
	struct tuck__outcome o;

	tuck__spin_lock(&chan->lock);
	o = tuck__shared_send(chan, elem, 0);
	tuck__spin_unlock(&chan->lock);
	if (o.id)
		tuck__far_wake(o.id);
	return o.result == TUCK__MUST_WAIT ? -EAGAIN : o.result;
}

static void wake_all(struct tuck_chan *chan, struct tuck__link *queue)
{
	struct tuck__place *p;
	tuck_id id;

	do {
		tuck__spin_lock(&chan->lock);
		p = take_first(chan, queue);
		id = p ? complete(p, -EPIPE) : 0;
		tuck__spin_unlock(&chan->lock);
		if (id)
			tuck__far_wake(id);
	} while (p);
}

int tuck__shared_close(struct tuck_chan *chan)
{
	bool was;

	tuck__spin_lock(&chan->lock);
	was = chan->closed;
	chan->closed = true;
	tuck__chan_ref(chan);	/* who is woken may free it */
	tuck__spin_unlock(&chan->lock);
	wake_all(chan, &chan->senders);
	wake_all(chan, &chan->receivers);
	tuck__chan_unfeed(chan);
	tuck__chan_unref(chan);
	return was ? -EPIPE : 0;
}

/* After all who wait at it found it alive, since they had its lock then. */
void tuck__shared_free(struct tuck_chan *chan)
{
	bool last;

	tuck__spin_lock(&chan->lock);
	chan->magic = TUCK__CHAN_FREED;
	chan->closed = true;
	chan->count = 0;
	tuck__spin_unlock(&chan->lock);
	wake_all(chan, &chan->senders);
	wake_all(chan, &chan->receivers);
	tuck__chan_unfeed(chan);
	tuck__spin_lock(&chan->lock);
	chan->left = chan->places > 0;
	last = !chan->left;
	tuck__spin_unlock(&chan->lock);
	if (last)
		tuck__chan_unref(chan);
}

static int length(const struct tuck__link *queue)
{
	int n = 0;

	for (struct tuck__link *l = queue->next; l != queue; l = l->next)
		n += waits(place_of(l));
	return n;
}

int tuck__shared_balance(struct tuck_chan *chan)
{
	int n;

	tuck__spin_lock(&chan->lock);
	n = length(&chan->senders) - length(&chan->receivers);
	tuck__spin_unlock(&chan->lock);
	return n;
}

size_t tuck__shared_count(struct tuck_chan *chan)
{
	size_t n;

	tuck__spin_lock(&chan->lock);
	n = chan->count;
	tuck__spin_unlock(&chan->lock);
	return n;
}
