/* SPDX-License-Identifier: MIT */
/*
 * Channels: a ring of elements and two queues of those who wait.
 *
 * Invariants:
 * 1. Receivers wait only while the ring is empty and no sender waits;
 *    senders wait only while the ring is full (always, without capacity).
 * 2. Whoever waits has its element's address in its tasklet or case; the
 *    partner copies there or from there by rule S1's translation, for the
 *    stack may be tucked away.
 * 3. Who was woken does not touch the channel again: it may be freed.
 * 4. Until another proc wants to use it, only its home proc touches a
 *    channel, so it needs no lock. Then it becomes shared for good: home.c
 *    and shared_move.c tell how, shared.c what it is from then on.
 *
 * Why not otherwise: copying through a cell in the channel costs a second
 * copy; locks would cost each proc-local message more than its switch. That
 * a channel is shared costs one that is not no instruction: nobody is at
 * home then.
 */
#include "base/fork.h"
#include "base/mem.h"
#include "chan/chan.h"

#define REMEMBERED	64

/* At the beginning of a cache line. */
static struct tuck_chan *allocate(void)
{
	char *memory = tuck__alloc(sizeof(struct tuck_chan) + TUCK__LINE);
	struct tuck_chan *chan;

	if (!memory)
		return NULL;
	chan = (void *)(memory + TUCK__LINE - (uintptr_t)memory % TUCK__LINE);
	chan->memory = memory;
	return chan;
}

struct tuck_chan *tuck_chan_new(size_t elem_bytes, size_t capacity)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck_chan *chan;
	size_t bytes;

	if (!s || elem_bytes > TUCK_ELEM_BYTES_MAX ||
	    __builtin_mul_overflow(elem_bytes, capacity, &bytes) ||
	    bytes > PTRDIFF_MAX)
		return NULL;
	chan = allocate();
	if (!chan)
		return NULL;
	chan->ring = capacity ? tuck__alloc(bytes ? bytes : 1) : NULL;
	if (capacity && !chan->ring) {
		tuck__free(chan->memory);
		return NULL;
	}
	chan->magic = TUCK__CHAN_LIVE;
	chan->refs = 1;
	chan->elem_bytes = (uint32_t)elem_bytes;
	chan->capacity = capacity;
	chan->home = s->main_id;
	chan->prefer = capacity ? TUCK_PREFER_NEITHER : TUCK_PREFER_RECEIVER;
	tuck__link_init(&chan->senders);
	tuck__link_init(&chan->receivers);
	tuck__link_init(&chan->asks);
	return chan;
}

int tuck__chan_check(const struct tuck_chan *chan, const void *elem,
		     tuck_ns deadline)
{
	TUCK__REQUIRE(chan, -EINVAL);
	TUCK__REQUIRE(chan->magic == TUCK__CHAN_LIVE, -EBADF);
	TUCK__REQUIRE(deadline >= 0 && (elem || !chan->elem_bytes), -EINVAL);
	return 0;
}

int tuck__ring_errs(struct tuck_chan *chan)
{
	if (!chan->capacity || chan->errs)
		return 0;
	TUCK__REQUIRE(chan->capacity <= PTRDIFF_MAX / sizeof(int), -ENOMEM);
	chan->errs = tuck__alloc(chan->capacity * sizeof(int));
	return chan->errs ? 0 : -ENOMEM;
}

/* -- partners -- */

struct partner {
	struct tuck__tasklet *t;
	void *elem;
	int result;
};

/* The one who waits longest, in a plain operation or in a select. */
static inline struct partner partner_at(struct tuck__link *l)
{
	struct tuck__tasklet *t = tuck__tasklet_of(l);
	struct tuck__select *select;
	struct tuck__case *c;

	if (tuck__likely(!t->w.is_case))
		return (struct partner){ t, t->elem, 0 };
	c = (struct tuck__case *)(void *)l;
	select = c->owner->what;
	return (struct partner){ c->owner, c->elem, (int)(c - select->cases) };
}

static inline bool prefers(const struct tuck_chan *chan, enum tuck_prefer who)
{
	return atomic_load_explicit(&chan->prefer, memory_order_relaxed) == who;
}

static inline void meet(struct tuck__sched *s, const struct partner *p,
			bool partner_first)
{
	if (partner_first)
		tuck__hand_over(s, p->t, p->result);
	else
		tuck__wake(s, p->t, p->result);
}

/* What a case sends in place of an element; or 0. */
static inline int error_at(const struct tuck__link *l)
{
	const struct tuck__case *c = (const void *)l;

	return c->w.is_case ? c->err : 0;
}

/* -- operations that can go -- */

bool tuck__chan_can(const struct tuck_chan *chan, enum tuck_op op)
{
	if (op == TUCK_SEND)
		return chan->closed || chan->count < chan->capacity ||
		       !tuck__list_empty(&chan->receivers);
	return chan->count || chan->closed || !tuck__list_empty(&chan->senders);
}

/* A receiver waits: it gets the element. */
static inline void send_to_receiver(struct tuck__sched *s,
				    struct tuck_chan *chan, const void *elem)
{
	struct partner p = partner_at(chan->receivers.next);

	tuck__elem_give(p.t, p.elem, elem, chan->elem_bytes);
	meet(s, &p, prefers(chan, TUCK_PREFER_RECEIVER));
}

/* A sender waits: what it has is taken, or moves up into the ring. */
static tuck__noinline int recv_and_refill(struct tuck__sched *s,
					  struct tuck_chan *chan,
					  void *ret_elem)
{
	struct tuck__link *l = chan->senders.next;
	struct partner p = partner_at(l);
	int err = error_at(l), r = err;
	void *to = ret_elem;

	if (chan->capacity) {
		r = tuck__ring_pop(chan, ret_elem);
		to = tuck__ring_push(chan, err);
	}
	if (!err)
		tuck__elem_take(p.t, to, p.elem, chan->elem_bytes);
	meet(s, &p, prefers(chan, TUCK_PREFER_SENDER));
	return r;
}

/* The same, where most often there is no ring, and an element. */
static inline int recv_from_sender(struct tuck__sched *s,
				   struct tuck_chan *chan, void *ret_elem)
{
	struct tuck__link *l = chan->senders.next;
	struct partner p = partner_at(l);

	if (tuck__unlikely(chan->capacity || error_at(l)))
		return recv_and_refill(s, chan, ret_elem);
	tuck__elem_take(p.t, ret_elem, p.elem, chan->elem_bytes);
	meet(s, &p, prefers(chan, TUCK_PREFER_SENDER));
	return 0;
}

/* What can be done at once: 0; or -EPIPE, or -EAGAIN. */
static inline int try_send(struct tuck__sched *s, struct tuck_chan *chan,
			   const void *elem)
{
	if (tuck__unlikely(chan->closed))
		return -EPIPE;
	if (!tuck__list_empty(&chan->receivers)) {
		send_to_receiver(s, chan, elem);
		return 0;
	}
	if (chan->count == chan->capacity)
		return -EAGAIN;
	tuck__elem_copy(tuck__ring_push(chan, 0), elem, chan->elem_bytes);
	return 0;
}

/* A receiver waits: it gets the error. */
static void fail_receiver(struct tuck__sched *s, struct tuck_chan *chan,
			  int err)
{
	struct partner p = partner_at(chan->receivers.next);
	struct tuck__select *select = p.t->what;

	if (p.t->w.why == TUCK__WHY_SELECT) {
		tuck__elem_give(p.t, &select->user[p.result].ret_err, &err,
				sizeof(err));
		p.result |= TUCK__CASE_TOLD;
	} else {
		p.result = err;
	}
	meet(s, &p, prefers(chan, TUCK_PREFER_RECEIVER));
}

static int try_fail(struct tuck__sched *s, struct tuck_chan *chan, int err)
{
	if (chan->closed)
		return -EPIPE;
	if (!tuck__list_empty(&chan->receivers)) {
		fail_receiver(s, chan, err);
		return 0;
	}
	if (tuck__ring_errs(chan) < 0)
		return -ENOMEM;
	if (chan->count == chan->capacity)
		return -EAGAIN;
	tuck__ring_push(chan, err);
	return 0;
}

/* -- the calls -- */

static inline bool usable(const struct tuck_chan *chan,
			  const struct tuck__sched *s, const void *elem,
			  tuck_ns deadline)
{
	return tuck__likely(chan && chan->magic == TUCK__CHAN_LIVE && s &&
			    tuck__chan_at_home(chan, s) && deadline >= 0 &&
			    (elem || !chan->elem_bytes));
}

/*
 * Hold a channel that is not at home and make it shared. After an error it is
 * not held.
 */
static int hold_and_share(struct tuck__sched *s, struct tuck_chan *chan,
			  tuck_ns deadline)
{
	const struct tuck_case c = { .chan = chan };
	int r = tuck__chan_hold(s, &c, 1);

	if (r < 0)
		return r;
	r = tuck__chan_share(s, chan, deadline);
	if (r < 0)
		tuck__chan_let_go(s);
	return r;
}

static tuck__noinline int first_use(struct tuck__sched *s,
				    struct tuck_chan *chan, int op, void *elem,
				    int err, tuck_ns deadline)
{
	int r = hold_and_share(s, chan, deadline);

	if (r < 0)
		return r;
	r = tuck__shared_op(s, chan, op, elem, err, deadline);
	tuck__chan_let_go(s);
	return r;
}

/* An operation that is not usable(): what is wrong, or it is not at home. */
static tuck__cold int elsewhere(struct tuck_chan *chan, const void *elem,
				tuck_ns deadline, int op, int err)
{
	void *e = (void *)(uintptr_t)elem;
	struct tuck__sched *s;
	int r = tuck__chan_check(chan, elem, deadline);

	if (r < 0)
		return r;
	s = tuck__sched();
	TUCK__REQUIRE(s, tuck__sched_error());
	if (tuck__chan_shared(chan))
		return tuck__shared_op(s, chan, op, e, err, deadline);
	return first_use(s, chan, op, e, err, deadline);
}

/* Its frame is all that a waiting tasklet keeps of the call (rule S5). */
static tuck__noinline int wait_in(struct tuck__link *queue, enum tuck__why why,
				  struct tuck_chan *chan, const void *elem,
				  tuck_ns deadline)
{
	struct tuck__sched *s = tuck__tls;
	struct tuck__tasklet *self = s->current;

	self->elem = (void *)(uintptr_t)elem;
	tuck__link_before(queue, &self->w.link);
	return tuck__wait(s, why, chan, deadline);
}

int tuck_chan_send(struct tuck_chan *chan, const void *elem, tuck_ns deadline)
{
	struct tuck__sched *s = tuck__tls;
	int r;

	if (!usable(chan, s, elem, deadline))
		return elsewhere(chan, elem, deadline, TUCK_SEND, 0);
	r = try_send(s, chan, elem);
	if (r != -EAGAIN || deadline == TUCK_NOWAIT)
		return r;
	return wait_in(&chan->senders, TUCK__WHY_SEND, chan, elem, deadline);
}

int tuck_chan_recv(struct tuck_chan *chan, void *ret_elem, tuck_ns deadline)
{
	struct tuck__sched *s = tuck__tls;

	if (!usable(chan, s, ret_elem, deadline))
		return elsewhere(chan, ret_elem, deadline, TUCK_RECV, 0);
	if (!tuck__list_empty(&chan->senders))
		return recv_from_sender(s, chan, ret_elem);
	if (chan->count)
		return tuck__ring_pop(chan, ret_elem);
	if (chan->closed)
		return -EPIPE;
	if (deadline == TUCK_NOWAIT)
		return -EAGAIN;
	return wait_in(&chan->receivers, TUCK__WHY_RECV, chan, ret_elem,
		       deadline);
}

/* A plain wait would not say that this is no element: it is one of a case. */
static int wait_to_fail(struct tuck__sched *s, struct tuck_chan *chan, int err,
			tuck_ns deadline)
{
	struct tuck__select *select = tuck__select_new(s, 1);
	int r;

	if (!select)
		return -ENOMEM;
	tuck__select_enlist(select, 0, chan, TUCK__FAIL, NULL);
	select->cases[0].err = err;
	r = tuck__wait(s, TUCK__WHY_SELECT, select, deadline);
	return r > 0 ? -EPIPE : r;
}

int tuck_chan_fail(struct tuck_chan *chan, int err, tuck_ns deadline)
{
	struct tuck__sched *s = tuck__tls;
	int r;

	TUCK__REQUIRE(err < 0, -EINVAL);
	/* There is no element; what is passed for one is only not NULL. */
	if (!usable(chan, s, &err, deadline))
		return elsewhere(chan, &err, deadline, TUCK__FAIL, err);
	r = try_fail(s, chan, err);
	if (r != -EAGAIN || deadline == TUCK_NOWAIT)
		return r;
	return wait_to_fail(s, chan, err, deadline);
}

static void wake_all(struct tuck__sched *s, struct tuck__link *queue)
{
	while (!tuck__list_empty(queue)) {
		struct partner p = partner_at(queue->next);
		bool is_case = p.t->w.why == TUCK__WHY_SELECT;

		tuck__wake(s, p.t,
			   is_case ? p.result | TUCK__CASE_CLOSED : -EPIPE);
	}
}

/* -- sources -- */

int tuck__chan_offer(struct tuck__sched *s, struct tuck_chan *chan,
		     const void *elem)
{
	struct partner p;

	if (tuck__chan_shared(chan))
		return tuck__shared_offer(chan, elem);
	if (chan->closed)
		return -EPIPE;
	if (!tuck__list_empty(&chan->receivers)) {
		p = partner_at(chan->receivers.next);
		tuck__elem_give(p.t, p.elem, elem, chan->elem_bytes);
		tuck__wake(s, p.t, p.result);
		return 0;
	}
	if (chan->count == chan->capacity)
		return -EAGAIN;
	tuck__elem_copy(tuck__ring_push(chan, 0), elem, chan->elem_bytes);
	return 0;
}

void tuck__chan_unfeed(struct tuck_chan *chan)
{
	struct tuck__source *source = atomic_exchange(&chan->source, NULL);

	if (tuck__unlikely(source != NULL))
		source->closed(source);
}

/* -- calls that do not wait, but at another proc's first use -- */

enum where { AT_HOME, SHARED, HELD };	/* HELD: shared, until leave() */

/* One of these, or an error. */
static int enter(struct tuck_chan *chan)
{
	struct tuck__sched *s = tuck__tls;
	int r = tuck__chan_check(chan, chan, 0);

	if (r < 0)
		return r;
	if (s && tuck__chan_at_home(chan, s))
		return AT_HOME;
	if (tuck__chan_shared(chan))
		return SHARED;
	s = tuck__sched();
	TUCK__REQUIRE(s, tuck__sched_error());
	r = hold_and_share(s, chan, TUCK_NOWAIT);
	return r < 0 ? r : HELD;
}

static void leave(int where)
{
	if (where == HELD)
		tuck__chan_let_go(tuck__tls);
}

int tuck_chan_share(struct tuck_chan *chan)
{
	int where = enter(chan);

	if (where == AT_HOME)
		return tuck__chan_share(tuck__tls, chan, TUCK_NOWAIT);
	leave(where);
	return where < 0 ? where : 0;
}

static int close_at_home(struct tuck__sched *s, struct tuck_chan *chan)
{
	TUCK__REQUIRE(!chan->closed, -EPIPE);
	chan->closed = true;
	wake_all(s, &chan->senders);
	wake_all(s, &chan->receivers);
	tuck__chan_unfeed(chan);
	return 0;
}

void tuck__chan_end(struct tuck__sched *s, struct tuck_chan *chan)
{
	if (tuck__chan_shared(chan))
		tuck__shared_close(chan);
	else
		close_at_home(s, chan);
}

int tuck_chan_close(struct tuck_chan *chan)
{
	int where = enter(chan), r;

	if (where < 0)
		return where;
	r = where == AT_HOME ? close_at_home(tuck__tls, chan) :
			       tuck__shared_close(chan);
	leave(where);
	return r;
}

static pthread_mutex_t freed_lock = PTHREAD_MUTEX_INITIALIZER;
TUCK__AT_FORK_MUTEX(TUCK__FORK_CHANNELS, freed_lock, NULL)

/* The last freed ones stay in memory, so that their late users are told. */
static void remember(struct tuck_chan *chan)
{
	static struct tuck_chan *freed[REMEMBERED];
	static unsigned next;
	struct tuck_chan *oldest;

	pthread_mutex_lock(&freed_lock);
	oldest = freed[next];
	freed[next] = chan;
	next = (next + 1) % REMEMBERED;
	pthread_mutex_unlock(&freed_lock);
	if (oldest)
		tuck__free(oldest->memory);
}

void tuck__chan_ref(struct tuck_chan *chan)
{
	atomic_fetch_add(&chan->refs, 1);
}

void tuck__chan_unref(struct tuck_chan *chan)
{
	if (atomic_fetch_sub(&chan->refs, 1) > 1)
		return;
	tuck__free(chan->ring);
	tuck__free(chan->errs);
	remember(chan);
}

void tuck__chan_free_local(struct tuck__sched *s, struct tuck_chan *chan)
{
	chan->magic = TUCK__CHAN_FREED;
	chan->closed = true;		/* for those who hold it */
	chan->count = 0;
	wake_all(s, &chan->senders);
	wake_all(s, &chan->receivers);
	tuck__chan_unfeed(chan);
	tuck__chan_unref(chan);
}

void tuck_chan_free(struct tuck_chan *chan)
{
	struct tuck__sched *s = tuck__tls;

	if (!chan)
		return;
	if (chan->magic != TUCK__CHAN_LIVE)
		tuck__fatal("channel %p is freed twice, or is none",
			    (void *)chan);
	if (!s || !tuck__chan_at_home(chan, s))
		tuck__chan_dismiss(chan);
	else if (chan->dismissed)
		tuck__fatal("channel %p is freed twice", (void *)chan);
	else
		tuck__chan_free_local(s, chan);
}

static int length(const struct tuck__link *queue)
{
	const struct tuck__link *l;
	int n = 0;

	for (l = queue->next; l != queue; l = l->next)
		n++;
	return n;
}

int tuck_chan_balance(const struct tuck_chan *chan)
{
	struct tuck_chan *c = (struct tuck_chan *)(uintptr_t)chan;
	int where = enter(c), n;

	if (where < 0)
		return 0;
	n = where == AT_HOME ? length(&c->senders) - length(&c->receivers) :
			       tuck__shared_balance(c);
	leave(where);
	return n;
}

size_t tuck_chan_count(const struct tuck_chan *chan)
{
	struct tuck_chan *c = (struct tuck_chan *)(uintptr_t)chan;
	int where = enter(c);
	size_t n;

	if (where < 0)
		return 0;
	n = where == AT_HOME ? c->count : tuck__shared_count(c);
	leave(where);
	return n;
}

int tuck_chan_prefer(struct tuck_chan *chan, enum tuck_prefer prefer)
{
	int where;

	TUCK__REQUIRE((unsigned)prefer <= TUCK_PREFER_NEITHER, -EINVAL);
	where = enter(chan);
	if (where < 0)
		return where;
	atomic_store_explicit(&chan->prefer, (uint8_t)prefer,
			      memory_order_relaxed);
	leave(where);
	return 0;
}
