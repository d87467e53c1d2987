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
 * 4. Only its home proc touches a channel, so it needs no lock.
 *
 * Why not otherwise: copying through a cell in the channel costs a second
 * copy; locks would cost each proc-local message more than its switch.
 */
#include <string.h>

#include "base/mem.h"
#include "chan/chan.h"

#define MAGIC_LIVE	0x7475636bu	/* "tuck" */
#define MAGIC_FREED	0x67676e65u
#define REMEMBERED	64

struct tuck_chan *tuck_chan_new(size_t elem_bytes, size_t capacity)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck_chan *chan;
	size_t bytes;

	if (!s || elem_bytes > TUCK_ELEM_BYTES_MAX ||
	    __builtin_mul_overflow(elem_bytes, capacity, &bytes) ||
	    bytes > PTRDIFF_MAX)
		return NULL;
	chan = tuck__alloc(sizeof(*chan));
	if (!chan)
		return NULL;
	chan->ring = capacity ? tuck__alloc(bytes ? bytes : 1) : NULL;
	if (capacity && !chan->ring) {
		tuck__free(chan);
		return NULL;
	}
	chan->magic = MAGIC_LIVE;
	chan->elem_bytes = (uint32_t)elem_bytes;
	chan->capacity = capacity;
	chan->home = s->main_id;
	chan->prefer = capacity ? TUCK_PREFER_NEITHER : TUCK_PREFER_RECEIVER;
	tuck__link_init(&chan->senders);
	tuck__link_init(&chan->receivers);
	return chan;
}

int tuck__chan_check(const struct tuck_chan *chan, const struct tuck__sched *s)
{
	TUCK__REQUIRE(chan, -EINVAL);
	TUCK__REQUIRE(chan->magic == MAGIC_LIVE, -EBADF);
	TUCK__REQUIRE(s && chan->home == s->main_id, -EXDEV);
	return 0;
}

/* -- elements -- */

static inline void copy(void *to, const void *from, size_t n)
{
	if (n == 8)
		__builtin_memcpy(to, from, 8);
	else if (n)
		memcpy(to, from, n);
}

static inline char *cell(const struct tuck_chan *chan, size_t i)
{
	if (i >= chan->capacity)
		i -= chan->capacity;
	return chan->ring + i * chan->elem_bytes;
}

static inline void ring_put(struct tuck_chan *chan, const void *elem)
{
	copy(cell(chan, chan->first + chan->count++), elem, chan->elem_bytes);
}

static inline void ring_get(struct tuck_chan *chan, void *ret_elem)
{
	copy(ret_elem, cell(chan, chan->first), chan->elem_bytes);
	chan->first = chan->first + 1 == chan->capacity ? 0 : chan->first + 1;
	chan->count--;
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

static inline void give(const struct partner *to, const void *elem, size_t n)
{
	if (tuck__unlikely(to->t->ctx.tucked))
		tuck__ctx_write(&to->t->ctx, to->elem, elem, n);
	else
		copy(to->elem, elem, n);
}

static inline void take(const struct partner *from, void *ret_elem, size_t n)
{
	if (tuck__unlikely(from->t->ctx.tucked))
		tuck__ctx_read(&from->t->ctx, ret_elem, from->elem, n);
	else
		copy(ret_elem, from->elem, n);
}

static inline void meet(struct tuck__sched *s, const struct partner *p,
			bool partner_first)
{
	if (partner_first)
		tuck__hand_over(s, p->t, p->result);
	else
		tuck__wake(s, p->t, p->result);
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

	give(&p, elem, chan->elem_bytes);
	meet(s, &p, chan->prefer == TUCK_PREFER_RECEIVER);
}

/* A sender waits: its element is taken, or moves up into the ring. */
static inline void recv_from_sender(struct tuck__sched *s,
				    struct tuck_chan *chan, void *ret_elem)
{
	struct partner p = partner_at(chan->senders.next);

	if (chan->capacity) {
		ring_get(chan, ret_elem);
		take(&p, cell(chan, chan->first + chan->count++),
		     chan->elem_bytes);
	} else {
		take(&p, ret_elem, chan->elem_bytes);
	}
	meet(s, &p, chan->prefer == TUCK_PREFER_SENDER);
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
	ring_put(chan, elem);
	return 0;
}

static inline int try_recv(struct tuck__sched *s, struct tuck_chan *chan,
			   void *ret_elem)
{
	if (!tuck__list_empty(&chan->senders)) {
		recv_from_sender(s, chan, ret_elem);
		return 0;
	}
	if (chan->count) {
		ring_get(chan, ret_elem);
		return 0;
	}
	return chan->closed ? -EPIPE : -EAGAIN;
}

int tuck__chan_do(struct tuck__sched *s, struct tuck_chan *chan,
		  enum tuck_op op, void *elem)
{
	return op == TUCK_SEND ? try_send(s, chan, elem) :
				 try_recv(s, chan, elem);
}

/* -- the calls -- */

static inline bool usable(const struct tuck_chan *chan,
			  const struct tuck__sched *s, const void *elem,
			  tuck_ns deadline)
{
	return tuck__likely(chan && chan->magic == MAGIC_LIVE && s &&
			    chan->home == s->main_id && deadline >= 0 &&
			    (elem || !chan->elem_bytes));
}

/* What was wrong with a call that is not usable(). */
static tuck__cold int complaint(const struct tuck_chan *chan,
				const struct tuck__sched *s)
{
	int r = tuck__chan_check(chan, s);

	return r < 0 ? r : -EINVAL;
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
		return complaint(chan, s);
	r = try_send(s, chan, elem);
	if (r != -EAGAIN || deadline == TUCK_NOWAIT)
		return r;
	return wait_in(&chan->senders, TUCK__WHY_SEND, chan, elem, deadline);
}

int tuck_chan_recv(struct tuck_chan *chan, void *ret_elem, tuck_ns deadline)
{
	struct tuck__sched *s = tuck__tls;
	int r;

	if (!usable(chan, s, ret_elem, deadline))
		return complaint(chan, s);
	r = try_recv(s, chan, ret_elem);
	if (r != -EAGAIN || deadline == TUCK_NOWAIT)
		return r;
	return wait_in(&chan->receivers, TUCK__WHY_RECV, chan, ret_elem,
		       deadline);
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

int tuck_chan_close(struct tuck_chan *chan)
{
	struct tuck__sched *s = tuck__tls;
	int r = tuck__chan_check(chan, s);

	if (r < 0)
		return r;
	TUCK__REQUIRE(!chan->closed, -EPIPE);
	chan->closed = true;
	wake_all(s, &chan->senders);
	wake_all(s, &chan->receivers);
	return 0;
}

/* The last freed ones stay in memory, so that their late users are told. */
static void remember(struct tuck_chan *chan)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct tuck_chan *freed[REMEMBERED];
	static unsigned next;
	struct tuck_chan *oldest;

	pthread_mutex_lock(&lock);
	oldest = freed[next];
	freed[next] = chan;
	next = (next + 1) % REMEMBERED;
	pthread_mutex_unlock(&lock);
	tuck__free(oldest);
}

void tuck_chan_free(struct tuck_chan *chan)
{
	struct tuck__sched *s = tuck__tls, *owner;
	bool mine;

	if (!chan)
		return;
	if (chan->magic != MAGIC_LIVE)
		tuck__fatal("channel %p is freed twice, or is none",
			    (void *)chan);
	mine = s && chan->home == s->main_id;
	if (!mine && tuck__find(chan->home, &owner))
		tuck__fatal("channel %p is freed by a proc that did not make "
			    "it",
			    (void *)chan);
	if (mine) {
		wake_all(s, &chan->senders);
		wake_all(s, &chan->receivers);
	}
	chan->magic = MAGIC_FREED;
	tuck__free(chan->ring);
	remember(chan);
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
	if (tuck__chan_check(chan, tuck__tls) < 0)
		return 0;
	return length(&chan->senders) - length(&chan->receivers);
}

size_t tuck_chan_count(const struct tuck_chan *chan)
{
	return tuck__chan_check(chan, tuck__tls) < 0 ? 0 : chan->count;
}

int tuck_chan_prefer(struct tuck_chan *chan, enum tuck_prefer prefer)
{
	int r = tuck__chan_check(chan, tuck__tls);

	if (r < 0)
		return r;
	TUCK__REQUIRE((unsigned)prefer <= TUCK_PREFER_NEITHER, -EINVAL);
	chan->prefer = (uint8_t)prefer;
	return 0;
}
