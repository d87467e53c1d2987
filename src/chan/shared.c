/* SPDX-License-Identifier: MIT */
/*
 * Shared channels: those that tasklets of any proc use.
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
 * 1. All of a channel but its home, magic and preference is under its lock. A
 *    select has all its channels' locks while it looks for a case and while
 *    it enters their queues, so it never meets itself; those who take locks
 *    of several take them in the order of their addresses.
 * 2. A wait's state goes from WAITS once: to TAKEN by who has the lock of a
 *    channel where it has a place, or to OVER by its own proc, which so gives
 *    up. A taken one becomes OVER before that lock is given up, and whoever
 *    took it does not touch it any more.
 * 3. A place whose wait is over may still be in a queue; it is passed by. Its
 *    own proc takes it out, under the lock, before the block is given back.
 * 4. A place, out of its queue or not, is a use of its channel's memory.
 * 5. A channel is not touched after its unlock by who did an operation: the
 *    one who was woken may have freed it.
 * 6. No tasklet is woken with a lock held: where it waits for more channels,
 *    its proc takes their locks then.
 *
 * Why not otherwise: with a lock for all channels no select would have to
 * sort, but all procs would meet there. Without the locks of all its
 * channels, a select that found a partner would have to take two waits at
 * once, its own and that, while others do the same.
 */
#include <sched.h>

#include "chan/chan.h"
#include "task/waitq.h"

struct place {
	struct tuck__link link;
	uint8_t is_case;	/* where struct tuck__waiter has it */
	uint8_t op;
	int err;		/* to be sent */
	struct wait *wait;
	struct tuck_chan *chan;	/* NULL: never goes */
	void *elem;		/* the tasklet's, */
	char *cell;		/* and in the block */
};

_Static_assert(offsetof(struct place, is_case) ==
		       offsetof(struct tuck__waiter, is_case),
	       "both are found in queues");

struct wait {
	struct tuck__far far;
	tuck_id id;
	struct tuck_case *user;	/* NULL: no select */
	uint32_t n, slice_class;
	uint32_t went;		/* once it is OVER: which one, */
	int result;		/* and how */
	struct place places[];
};

/* Not a result, for any of those below 0 may be sent. */
#define MUST_WAIT 1

/* -- a wait's block -- */

static void wait_over(struct tuck__sched *s, struct tuck__tasklet *t);

/* For n places and their elements' bytes. */
static struct wait *wait_new(struct tuck__sched *s, struct tuck__tasklet *t,
			     uint32_t n, size_t bytes)
{
	struct wait *w;
	uint32_t cls;

	w = tuck__slice_get(&s->cache.slices,
			    sizeof(*w) + n * sizeof(w->places[0]) + bytes,
			    &cls);
	if (!w)
		return NULL;
	w->far.state = TUCK__FAR_WAITS;
	w->far.over = wait_over;
	w->id = tuck__id(t);
	w->user = NULL;
	w->n = n;
	w->slice_class = cls;
	return w;
}

static void wait_free(struct tuck__sched *s, struct wait *w)
{
	tuck__slice_put(&s->cache.slices, w, w->slice_class);
}

/* Returns the end of the cells. */
static char *place_init(struct wait *w, uint32_t i, struct tuck_chan *chan,
			int op, void *elem, char *cell)
{
	struct place *p = &w->places[i];

	*p = (struct place){ .is_case = TUCK__PLACE,
			     .op = (uint8_t)op,
			     .wait = w,
			     .chan = chan,
			     .elem = elem,
			     .cell = cell };
	tuck__link_init(&p->link);
	return chan ? cell + chan->elem_bytes : cell;
}

static inline struct place *place_of(struct tuck__link *l)
{
	return (struct place *)(void *)l;
}

static inline struct tuck__link *queue_of(struct tuck_chan *chan, int op)
{
	return op == TUCK_RECV ? &chan->receivers : &chan->senders;
}

/* -- with the lock: others' waits -- */

static inline bool waits(const struct place *p)
{
	return atomic_load(&p->wait->far.state) == TUCK__FAR_WAITS;
}

/* Who waits longest is taken and out of the queue; or NULL. */
static struct place *take_first(struct tuck__link *queue)
{
	while (!tuck__list_empty(queue)) {
		struct place *p = place_of(queue->next);
		uint32_t state = TUCK__FAR_WAITS;

		tuck__link_remove(&p->link);
		if (atomic_compare_exchange_strong(&p->wait->far.state, &state,
						   TUCK__FAR_TAKEN))
			return p;
	}
	return NULL;
}

static bool anybody_in(struct tuck__link *queue)
{
	while (!tuck__list_empty(queue) && !waits(place_of(queue->next)))
		tuck__link_remove(queue->next);
	return !tuck__list_empty(queue);
}

/* One that was taken has its result: whom to wake. */
static tuck_id complete(struct place *p, int result)
{
	struct wait *w = p->wait;
	tuck_id id = w->id;

	w->went = (uint32_t)(p - w->places);
	w->result = result;
	atomic_store(&w->far.state, TUCK__FAR_OVER);
	return id;
}

/* -- with the lock: operations -- */

static bool can_go(struct tuck_chan *chan, int op)
{
	if (op == TUCK_RECV)
		return chan->count || chan->closed ||
		       anybody_in(&chan->senders);
	return chan->closed || chan->count < chan->capacity ||
	       anybody_in(&chan->receivers);
}

/* An element, or err. Its result, or MUST_WAIT; and whom to wake, or 0. */
static int send(struct tuck_chan *chan, const void *elem, int err,
		tuck_id *ret_id)
{
	struct place *p;

	*ret_id = 0;
	if (chan->closed)
		return -EPIPE;
	p = take_first(&chan->receivers);
	if (p) {
		if (!err)
			tuck__elem_copy(p->cell, elem, chan->elem_bytes);
		*ret_id = complete(p, err);
		return 0;
	}
	if (err && tuck__ring_errs(chan) < 0)
		return -ENOMEM;
	if (chan->count == chan->capacity)
		return MUST_WAIT;
	elem = err ? NULL : elem;
	if (elem)
		tuck__elem_copy(tuck__ring_push(chan, 0), elem,
				chan->elem_bytes);
	else
		tuck__ring_push(chan, err);
	return 0;
}

static int recv(struct tuck_chan *chan, void *ret_elem, tuck_id *ret_id)
{
	bool had = chan->count > 0;
	int r = had ? tuck__ring_pop(chan, ret_elem) : MUST_WAIT;
	struct place *p = take_first(&chan->senders);
	void *to = ret_elem;

	*ret_id = 0;
	if (!p)
		return had || !chan->closed ? r : -EPIPE;
	if (had)
		to = tuck__ring_push(chan, p->err);
	else
		r = p->err;
	if (!p->err)
		tuck__elem_copy(to, p->cell, chan->elem_bytes);
	*ret_id = complete(p, 0);
	return r;
}

static int attempt(struct tuck_chan *chan, int op, void *elem, int err,
		   tuck_id *ret_id)
{
	return op == TUCK_RECV ? recv(chan, elem, ret_id) :
				 send(chan, elem, err, ret_id);
}

static void enlist(struct place *p)
{
	tuck__chan_ref(p->chan);
	tuck__link_before(queue_of(p->chan, p->op), &p->link);
}

/* -- a wait's end, on its proc -- */

static void leave(struct place *p, bool out_already)
{
	if (!p->chan)
		return;
	if (!out_already) {
		tuck__spin_lock(&p->chan->lock);
		tuck__link_remove(&p->link);
		tuck__spin_unlock(&p->chan->lock);
	}
	tuck__chan_unref(p->chan);
}

/* What its partner left in the block. */
static void unpack(struct tuck__tasklet *t, const struct wait *w)
{
	const struct place *p = &w->places[w->went];

	if (p->op == TUCK_RECV && w->result == 0)
		tuck__elem_give(t, p->elem, p->cell, p->chan->elem_bytes);
	t->result = w->result;
	if (!w->user)
		return;
	tuck__elem_give(t, &w->user[w->went].ret_err, &w->result,
			sizeof(w->result));
	t->result = (int)w->went | TUCK__CASE_TOLD;
}

static void wait_over(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct wait *w = t->what;
	uint32_t state = TUCK__FAR_WAITS;
	bool gave_up = atomic_compare_exchange_strong(&w->far.state, &state,
						      TUCK__FAR_OVER);

	while (!gave_up && atomic_load(&w->far.state) != TUCK__FAR_OVER)
		sched_yield();		/* its partner is copying */
	if (!gave_up)
		unpack(t, w);
	for (uint32_t i = 0; i < w->n; i++)
		leave(&w->places[i], !gave_up && i == w->went);
	wait_free(s, w);
}

/* -- waking -- */

void tuck__far_wake(tuck_id id)
{
	struct tuck__sched *s = tuck__tls, *home;
	struct tuck__tasklet *t = tuck__find(id, &home);

	if (t && home != s)
		tuck__post(id, TUCK__ID_POKE);
	else if (t && t->w.why >= TUCK__WHY_SHARED &&
		 t->w.why <= TUCK__WHY_HOME)
		tuck__wake(s, t, 0);
}

/* One who was met: first, if it lives here and is preferred. */
static void meet(struct tuck__sched *s, tuck_id id, bool first)
{
	struct tuck__sched *home;
	struct tuck__tasklet *t;

	if (!id)
		return;
	t = first ? tuck__find(id, &home) : NULL;
	if (t && home == s)
		tuck__hand_over(s, t, 0);
	else
		tuck__far_wake(id);
}

/* Asked with the lock held. */
static bool prefers_partner(const struct tuck_chan *chan, int op)
{
	return chan->prefer ==
	       (op == TUCK_RECV ? TUCK_PREFER_SENDER : TUCK_PREFER_RECEIVER);
}

/* -- waiting -- */

int tuck__far_begin(struct tuck__sched *s, tuck_ns deadline)
{
	struct tuck__tasklet *self = s->current;

	tuck__link_init(&self->w.link);
	if (tuck__unlikely(self->w.bits & TUCK__IN_SCOPE))
		deadline = tuck__scope(s, self, deadline);
	if (deadline < 0)
		return (int)deadline;
	if (deadline == TUCK_FOREVER)
		return 0;
	return tuck__heap_add(&s->timers, &self->w.timer, deadline);
}

void tuck__far_undo(struct tuck__sched *s)
{
	tuck__heap_remove(&s->timers, &s->current->w.timer);
}

/* -- plain operations -- */

/* Once more, or wait: what waits is in the queue before others see it. */
static int attempt_or_enlist(struct tuck__sched *s, struct tuck_chan *chan,
			     int op, void *elem, int err)
{
	struct wait *w = wait_new(s, s->current, 1, chan->elem_bytes);
	bool first;
	tuck_id id;
	int r;

	if (!w) {
		tuck__far_undo(s);
		return -ENOMEM;
	}
	place_init(w, 0, chan, op, elem, (char *)&w->places[1]);
	w->places[0].err = err;
	if (op == TUCK_SEND)
		tuck__elem_copy(w->places[0].cell, elem, chan->elem_bytes);
	tuck__spin_lock(&chan->lock);
	r = attempt(chan, op, elem, err, &id);
	if (r == MUST_WAIT)
		enlist(&w->places[0]);
	first = prefers_partner(chan, op);
	tuck__spin_unlock(&chan->lock);
	if (r == MUST_WAIT) {
		tuck__wait_for(s, TUCK__WHY_SHARED, w);
		return r;
	}
	wait_free(s, w);
	tuck__far_undo(s);
	meet(s, id, first);
	return r;
}

int tuck__shared_op(struct tuck__sched *s, struct tuck_chan *chan, int op,
		    void *elem, int err, tuck_ns deadline)
{
	bool first;
	tuck_id id;
	int r;

	tuck__spin_lock(&chan->lock);
	r = attempt(chan, op, elem, err, &id);
	first = prefers_partner(chan, op);
	tuck__spin_unlock(&chan->lock);
	if (r != MUST_WAIT) {
		meet(s, id, first);
		return r;
	}
	if (deadline == TUCK_NOWAIT)
		return -EAGAIN;
	r = tuck__far_begin(s, deadline);
	if (r < 0)
		return r;
	r = attempt_or_enlist(s, chan, op, elem, err);
	return r == MUST_WAIT ? tuck__park(s) : r;
}

/* -- select -- */

/* Shell's sort: places by the addresses of their channels. */
static void sort(struct place **order, uint32_t n)
{
	for (uint32_t gap = n / 2; gap > 0; gap /= 2)
		for (uint32_t i = gap; i < n; i++) {
			struct place *p = order[i];
			uint32_t k = i;

			for (; k >= gap && (uintptr_t)order[k - gap]->chan >
						   (uintptr_t)p->chan;
			     k -= gap)
				order[k] = order[k - gap];
			order[k] = p;
		}
}

static void lock_all(struct place **order, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (i == 0 || order[i]->chan != order[i - 1]->chan)
			tuck__spin_lock(&order[i]->chan->lock);
}

static void unlock_all(struct place **order, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (i + 1 == n || order[i]->chan != order[i + 1]->chan)
			tuck__spin_unlock(&order[i]->chan->lock);
}

/* Any of those that can go, each as likely as the others. */
static struct place *pick(struct tuck__sched *s, struct place **order,
			  uint32_t n)
{
	struct place *one = NULL;
	uint32_t can = 0;

	for (uint32_t i = 0; i < n; i++)
		if (can_go(order[i]->chan, order[i]->op) &&
		    (tuck__random(&s->random) >> 32) * ++can >> 32 == 0)
			one = order[i];
	return one;
}

/* Do one of them, and say which; or enter all queues. */
static int go_or_enlist(struct tuck__sched *s, struct place **order, uint32_t n,
			bool wait, struct place **ret_place, tuck_id *ret_id)
{
	int r = MUST_WAIT;

	do {
		*ret_place = pick(s, order, n);
		if (*ret_place)
			r = attempt((*ret_place)->chan, (*ret_place)->op,
				    (*ret_place)->elem, 0, ret_id);
	} while (*ret_place && r == MUST_WAIT);
	for (uint32_t i = 0; i < n && wait && !*ret_place; i++)
		enlist(order[i]);
	return r;
}

static size_t bytes_of(const struct tuck_case *cases, int n)
{
	size_t bytes = 0;

	for (int i = 0; i < n; i++)
		if (cases[i].chan)
			bytes += cases[i].chan->elem_bytes;
	return bytes;
}

/* Places for all cases, and those with a channel in the order of locking. */
static struct wait *prepare(struct tuck__sched *s, struct tuck_case *cases,
			    int n, struct place ***ret_order, uint32_t *ret_n)
{
	size_t room = (size_t)n * sizeof(struct place *);
	struct wait *w = wait_new(s, s->current, (uint32_t)n,
				  room + bytes_of(cases, n));
	struct place **order;
	char *cell;

	if (!w)
		return NULL;
	w->user = cases;
	*ret_order = order = (struct place **)(void *)&w->places[n];
	*ret_n = 0;
	cell = (char *)order + room;
	for (int i = 0; i < n; i++) {
		struct tuck_case *c = &cases[i];

		if (c->chan && c->op == TUCK_SEND)
			tuck__elem_copy(cell, c->elem, c->chan->elem_bytes);
		cell = place_init(w, (uint32_t)i, c->chan, (int)c->op, c->elem,
				  cell);
		if (c->chan)
			order[(*ret_n)++] = &w->places[i];
	}
	sort(order, *ret_n);
	return w;
}

/* One went: its index. */
static int went(struct tuck__sched *s, struct wait *w, struct place *p, int r,
		tuck_id id, bool first)
{
	int i = (int)(p - w->places);

	w->user[i].ret_err = r;
	wait_free(s, w);
	meet(s, id, first);
	return i;
}

static int select_once(struct tuck__sched *s, struct tuck_case *cases, int n,
		       bool wait)
{
	struct place **order, *p;
	struct wait *w;
	bool first = false;
	uint32_t n_order;
	tuck_id id;
	int r;

	w = prepare(s, cases, n, &order, &n_order);
	if (!w && wait)
		tuck__far_undo(s);
	if (!w)
		return -ENOMEM;
	lock_all(order, n_order);
	r = go_or_enlist(s, order, n_order, wait, &p, &id);
	if (p)
		first = prefers_partner(p->chan, p->op);
	unlock_all(order, n_order);
	if (p) {
		if (wait)
			tuck__far_undo(s);
		return went(s, w, p, r, id, first);
	}
	if (!wait) {
		wait_free(s, w);
		return -EAGAIN;
	}
	return tuck__case_answer(cases, (tuck__wait_for(s, TUCK__WHY_SHARED, w),
					 tuck__park(s)));
}

int tuck__shared_select(struct tuck__sched *s, struct tuck_case *cases, int n,
			tuck_ns deadline)
{
	int r = select_once(s, cases, n, false);

	if (r != -EAGAIN || deadline == TUCK_NOWAIT)
		return r;
	r = tuck__far_begin(s, deadline);
	return r < 0 ? r : select_once(s, cases, n, true);
}

/* -- the other calls -- */

static void wake_all(struct tuck_chan *chan, struct tuck__link *queue)
{
	struct place *p;
	tuck_id id;

	do {
		tuck__spin_lock(&chan->lock);
		p = take_first(queue);
		id = p ? complete(p, -EPIPE) : 0;
		tuck__spin_unlock(&chan->lock);
		if (id)
			tuck__far_wake(id);
	} while (id);
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
	tuck__chan_unref(chan);
	return was ? -EPIPE : 0;
}

/* After all who wait at it found it alive, since they had its lock then. */
void tuck__shared_free(struct tuck_chan *chan)
{
	tuck__spin_lock(&chan->lock);
	chan->magic = TUCK__CHAN_FREED;
	chan->closed = true;
	chan->count = 0;
	tuck__spin_unlock(&chan->lock);
	wake_all(chan, &chan->senders);
	wake_all(chan, &chan->receivers);
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

/* -- becoming shared, by the home -- */

/* In the place of l, which is out then. */
static void replace(struct wait *w, uint32_t i, struct tuck__tasklet *t,
		    struct tuck__link *l)
{
	struct place *p = &w->places[i];

	if (p->op == TUCK_SEND)
		tuck__elem_take(t, p->cell, p->elem, p->chan->elem_bytes);
	tuck__chan_ref(p->chan);
	tuck__link_before(l, &p->link);
	tuck__link_cut(l);
}

static struct wait *move_plain(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct tuck_chan *chan = t->what;
	struct wait *w = wait_new(s, t, 1, chan->elem_bytes);

	if (!w)
		return NULL;
	place_init(w, 0, chan,
		   t->w.why == TUCK__WHY_SEND ? TUCK_SEND : TUCK_RECV, t->elem,
		   (char *)&w->places[1]);
	replace(w, 0, t, &t->w.link);
	return w;
}

static struct wait *move_select(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct tuck__select *select = t->what;
	size_t bytes = 0;
	struct wait *w;
	char *cell;

	for (uint32_t i = 0; i < select->n; i++)
		if (select->cases[i].chan)
			bytes += select->cases[i].chan->elem_bytes;
	w = wait_new(s, t, select->n, bytes);
	if (!w)
		return NULL;
	w->user = select->user;
	cell = (char *)&w->places[select->n];
	for (uint32_t i = 0; i < select->n; i++) {
		struct tuck__case *c = &select->cases[i];

		cell = place_init(w, i, c->chan, c->op, c->elem, cell);
		w->places[i].err = c->err;
		if (c->chan)
			replace(w, i, t, &c->w.link);
	}
	tuck__slice_put(&s->cache.slices, select, select->slice_class);
	return w;
}

void tuck__shared_move(struct tuck__sched *s, struct tuck__link *l)
{
	struct tuck__tasklet *t = tuck__tasklet_of(l);
	struct wait *w;

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
