/* SPDX-License-Identifier: MIT */
/*
 * Waits at shared channels, inside: what plain operations, select, and the
 * move of those who waited at home have in common.
 */
#ifndef TUCK__SHARED_H
#define TUCK__SHARED_H

#include "chan/chan.h"

/* Where a wait stands in the queue of one of its channels. */
struct tuck__place {
	struct tuck__link link;
	uint8_t is_case;	/* where struct tuck__waiter has it */
	uint8_t op;
	int err;		/* to be sent */
	uint32_t elem_bytes;	/* chan's, which may be gone once it is over */
	struct tuck__shared_wait *wait;
	struct tuck_chan *chan;	/* NULL: never goes */
	void *elem;		/* the tasklet's, */
	char *cell;		/* and in the block */
};

_Static_assert(offsetof(struct tuck__place, is_case) ==
		       offsetof(struct tuck__waiter, is_case),
	       "both are found in queues");

/*
 * The block of a wait; the cells of its elements are behind the places. All
 * that its partner writes is in the first cache line, if it has one place and
 * its element is small.
 */
struct tuck__shared_wait {
	struct tuck__far far;
	tuck_id id;
	uint32_t went;		/* once it is OVER: which one, */
	int result;		/* and how */
	uint64_t small;		/* a cell */
	struct tuck_case *user;	/* NULL: no select */
	uint32_t n, slice_class;
	bool watches;		/* its proc, at first */
	bool watched;		/* and still when it was taken */
	_Alignas(8) struct tuck__place places[];
};

_Static_assert(sizeof(void *) != 8 ||
		       offsetof(struct tuck__shared_wait, places) == 64,
	       "its places begin with a cache line");

/* -- shared_wait.c -- */

static inline uint64_t tuck__shared_wait_bytes(uint32_t n, uint64_t bytes)
{
	return sizeof(struct tuck__shared_wait) +
	       (uint64_t)n * sizeof(struct tuck__place) + bytes;
}

/* For n places and their elements' bytes; NULL without memory. */
struct tuck__shared_wait *tuck__shared_wait_new(struct tuck__sched *s,
						struct tuck__tasklet *t,
						uint32_t n, uint64_t bytes);

/* For the current tasklet to wait at chan, if one is at hand; or NULL. */
struct tuck__shared_wait *tuck__shared_wait_spare(struct tuck__sched *s,
						  const struct tuck_chan *chan);

/*
 * One that is to begin: its partner need not wake who waits, if its proc has
 * nothing better to do than to look for it.
 */
static inline void tuck__shared_wait_watch(struct tuck__sched *s,
					   struct tuck__shared_wait *w)
{
	w->watches = tuck__may_watch(s);
	w->far.state = w->watches ? TUCK__FAR_WATCHED : TUCK__FAR_WAITS;
}

/* One that has not begun, or is over. */
void tuck__shared_wait_free(struct tuck__sched *s, struct tuck__shared_wait *w);

/* Set up place i, in no queue yet; returns where the next one's cell is. */
char *tuck__place_init(struct tuck__shared_wait *w, uint32_t i,
		       struct tuck_chan *chan, int op, void *elem, char *cell);

/* By the running tasklet, which has entered: until w is over. The result. */
int tuck__shared_park(struct tuck__sched *s, struct tuck__shared_wait *w);

/* With the channel's lock: to the end of its queue, or before another. */
void tuck__place_enter(struct tuck__place *p);
void tuck__place_enter_before(struct tuck__place *p, struct tuck__link *l);

/* -- shared.c -- */

/* Not a result, for any of those below 0 may be sent. */
#define TUCK__MUST_WAIT 1

/* What an operation came to; small enough for two registers. */
struct tuck__outcome {
	int result;
	bool first;		/* id is preferred, if it is of this proc */
	tuck_id id;		/* to be woken, or 0 */
};

/* With the lock: whether tuck__shared_attempt() would have a result. */
bool tuck__shared_can(struct tuck_chan *chan, int op);

/* With the lock; what is sent is err, if that is not 0. */
struct tuck__outcome tuck__shared_send(struct tuck_chan *chan, const void *elem,
				       int err);
struct tuck__outcome tuck__shared_recv(struct tuck_chan *chan, void *ret_elem);

static inline struct tuck__outcome tuck__shared_attempt(struct tuck_chan *chan,
							int op, void *elem,
							int err)
{
	return op == TUCK_RECV ? tuck__shared_recv(chan, elem) :
				 tuck__shared_send(chan, elem, err);
}

void tuck__shared_let_go(struct tuck__sched *s, tuck_id id, bool first);

/* Without any lock: the one whose wait has ended goes on. The result. */
static inline int tuck__shared_done(struct tuck__sched *s,
				    struct tuck__outcome o)
{
	if (o.id)
		tuck__shared_let_go(s, o.id, o.first);
	return o.result;
}

#endif
