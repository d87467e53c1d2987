/* SPDX-License-Identifier: MIT */
/* A channel inside: what plain operations and select have in common. */
#ifndef TUCK__CHAN_H
#define TUCK__CHAN_H

#include <errno.h>
#include <string.h>
#include <tuck/chan.h>

#include "task/task.h"

/*
 * Two cache lines, and what is seldom used. The first one hardly changes; the
 * second travels between the CPUs of procs that share the channel, once for
 * each operation.
 */
struct tuck_chan {
	uint32_t magic;
	uint32_t elem_bytes;
	size_t capacity;		/* of the ring */
	_Atomic(tuck_id) home;		/* its proc's main tasklet; or SHARED */
	char *ring;
	int *errs;			/* of cells; NULL: never any */
	struct tuck_chan *moves_next;	/* on their way to be shared, too */
	void *memory;			/* to be given back */
	_Atomic(uint8_t) prefer;
	bool moving;			/* on its way to be shared */
	atomic_bool dismissed;		/* its proc is to free it */

	struct tuck__link senders, receivers;
	size_t count, first;		/* of the ring, elements */
	atomic_int lock;		/* of all this, if it is shared */
	_Atomic(uint32_t) refs;
	uint32_t places;		/* of waits, queued or not any more */
	bool closed;
	bool left;			/* freed, but for those places */

	struct tuck__link asks;		/* of its home, with the lock, */
	struct tuck__request request;	/* all at once, */
	bool asked;			/* which is under way */
	struct tuck__request dismissal;
	_Atomic(struct tuck__source *) source;	/* or NULL */
};

/*
 * What sends to a channel without being a tasklet, as a ticker does. It holds
 * the channel's memory, and is told once when that is closed or freed, in any
 * thread; it must not switch then.
 */
struct tuck__source {
	void (*closed)(struct tuck__source *source);
};

/* One that wants a channel to be shared. Its memory stays where it is. */
struct tuck__ask {
	struct tuck__far far;		/* OVER: answered, */
	int result;			/* 0, or -EPIPE: it is freed */
	struct tuck_chan *chan;
	struct tuck__link link;		/* of its asks, with its lock */
	struct tuck_chan *bell;		/* to be rung, if not NULL; */
	tuck_id id;			/* or else to be woken */
};

#define TUCK__LINE 64u		/* bytes of a cache line */

#define TUCK__SHARED ((tuck_id)0)	/* home: any proc, under the lock */

#define TUCK__CHAN_LIVE	 0x7475636bu	/* "tuck" */
#define TUCK__CHAN_FREED 0x67676e65u

/* An operation besides enum tuck_op: send an error. */
#define TUCK__FAIL 2

/* What is_case says of a link in a queue. */
enum { TUCK__PLAIN, TUCK__CASE, TUCK__PLACE };

/*
 * What a select is woken with: the index of the case, and one of these: it
 * is closed; its ret_err has been written.
 */
#define TUCK__CASE_CLOSED (1 << 30)
#define TUCK__CASE_TOLD	  (1 << 29)

/* Make select's answer of what its wait returned. */
static inline int tuck__case_answer(struct tuck_case *cases, int r)
{
	int i = r & ~(TUCK__CASE_CLOSED | TUCK__CASE_TOLD);

	if (r >= 0 && !(r & TUCK__CASE_TOLD))
		cases[i].ret_err = r & TUCK__CASE_CLOSED ? -EPIPE : 0;
	return r < 0 ? r : i;
}

/*
 * The block of a wait of several cases: NULL without memory. More than 2 GiB
 * is never there, so that no size and no index is more than it can be.
 */
static inline void *tuck__wait_block(struct tuck__sched *s, uint64_t bytes,
				     uint32_t *ret_class)
{
	if (tuck__unlikely(bytes > INT32_MAX))
		return NULL;
	return tuck__slice_get(&s->cache.slices, (size_t)bytes, ret_class);
}

/* -- elements -- */

static inline void tuck__elem_copy(void *to, const void *from, size_t n)
{
	if (n == 8)
		__builtin_memcpy(to, from, 8);
	else if (n)
		memcpy(to, from, n);
}

/* To and from the memory of one that does not run (rule S1). */
static inline void tuck__elem_give(const struct tuck__tasklet *t, void *to,
				   const void *from, size_t n)
{
	if (tuck__unlikely(t->ctx.tucked))
		tuck__ctx_write(&t->ctx, to, from, n);
	else
		tuck__elem_copy(to, from, n);
}

static inline void tuck__elem_take(const struct tuck__tasklet *t, void *to,
				   const void *from, size_t n)
{
	if (tuck__unlikely(t->ctx.tucked))
		tuck__ctx_read(&t->ctx, to, from, n);
	else
		tuck__elem_copy(to, from, n);
}

static inline size_t tuck__ring_at(const struct tuck_chan *chan, size_t i)
{
	return i >= chan->capacity ? i - chan->capacity : i;
}

static inline char *tuck__ring_cell(const struct tuck_chan *chan, size_t i)
{
	return chan->ring + i * chan->elem_bytes;
}

/* The next free cell, for an element; or for err, if that is not 0. */
static inline char *tuck__ring_push(struct tuck_chan *chan, int err)
{
	size_t i = tuck__ring_at(chan, chan->first + chan->count++);

	if (tuck__unlikely(chan->errs != NULL))
		chan->errs[i] = err;
	return tuck__ring_cell(chan, i);
}

/* The first element, or the error in its place. */
static inline int tuck__ring_pop(struct tuck_chan *chan, void *ret_elem)
{
	size_t i = chan->first;

	chan->first = tuck__ring_at(chan, i + 1);
	chan->count--;
	if (tuck__unlikely(chan->errs && chan->errs[i]))
		return chan->errs[i];
	tuck__elem_copy(ret_elem, tuck__ring_cell(chan, i), chan->elem_bytes);
	return 0;
}

/* Have room for errors in a ring: 0 or -ENOMEM. */
int tuck__ring_errs(struct tuck_chan *chan);

/* -- chan.c -- */

/* Whether an operation would neither wait nor be refused for waiting. */
bool tuck__chan_can(const struct tuck_chan *chan, enum tuck_op op);

/* 0, or what is wrong with the arguments of an operation. */
int tuck__chan_check(const struct tuck_chan *chan, const void *elem,
		     tuck_ns deadline);

/* One more use of its memory, or one less. */
void tuck__chan_ref(struct tuck_chan *chan);
void tuck__chan_unref(struct tuck_chan *chan);

/*
 * For a source, between two turns of tasklets of chan's home: send without a
 * wait or a switch. 0, -EAGAIN or -EPIPE.
 */
int tuck__chan_offer(struct tuck__sched *s, struct tuck_chan *chan,
		     const void *elem);

/* The same for its end: others may be about to free it, but for its memory. */
void tuck__chan_end(struct tuck__sched *s, struct tuck_chan *chan);

/* It is closed or freed: what fed it is told. */
void tuck__chan_unfeed(struct tuck_chan *chan);

/* One that is not shared, by its home, or after that has ended. */
void tuck__chan_free_local(struct tuck__sched *s, struct tuck_chan *chan);

static inline bool tuck__chan_shared(const struct tuck_chan *chan)
{
	return atomic_load(&chan->home) == TUCK__SHARED;
}

static inline bool tuck__chan_at_home(const struct tuck_chan *chan,
				      const struct tuck__sched *s)
{
	return atomic_load_explicit(&chan->home, memory_order_relaxed) ==
	       s->main_id;
}

/* -- select.c -- */

/* Waits in a block of n cases: NULL without memory. */
struct tuck__select *tuck__select_new(struct tuck__sched *s, int n);

/* Put case i in a queue. */
void tuck__select_enlist(struct tuck__select *select, int i,
			 struct tuck_chan *chan, int op, void *elem);

/* -- home.c -- */

/*
 * The memory of the cases' channels stays until the call that the caller is
 * in lets go of it, whoever frees them: 0 or -ENOMEM.
 */
int tuck__chan_hold(struct tuck__sched *s, const struct tuck_case *cases,
		    int n);
void tuck__chan_let_go(struct tuck__sched *s);

/*
 * From now on any proc may use chan: its home asks, or has it asked.
 * Switches, unless it is done already, or the caller is its home: then the
 * caller holds chan. With TUCK_NOWAIT only a kill ends the wait for that. 0,
 * or why it has ended.
 */
int tuck__chan_share(struct tuck__sched *s, struct tuck_chan *chan,
		     tuck_ns deadline);

/*
 * Ask for chan, which is not at home here; it is answered at once if its home
 * has ended. Then end it, in any case: true, if it was answered.
 */
void tuck__ask(struct tuck__sched *s, struct tuck__ask *ask,
	       struct tuck_chan *chan);
bool tuck__ask_end(struct tuck__ask *ask);

/* -- first_select.c -- */

/* As tuck_select() that may wait, where channels are not shared yet. */
int tuck__first_select(struct tuck__sched *s, struct tuck_case *cases, int n,
		       tuck_ns deadline);

/* -- home.c, still -- */

/* As tuck_chan_free(), by a proc that is not its home. */
void tuck__chan_dismiss(struct tuck_chan *chan);

/* -- shared*.c: as the calls of these names, on shared channels -- */

int tuck__shared_op(struct tuck__sched *s, struct tuck_chan *chan, int op,
		    void *elem, int err, tuck_ns deadline);
int tuck__shared_select(struct tuck__sched *s, struct tuck_case *cases, int n,
			tuck_ns deadline);
int tuck__shared_offer(struct tuck_chan *chan, const void *elem);
int tuck__shared_close(struct tuck_chan *chan);
void tuck__shared_free(struct tuck_chan *chan);
int tuck__shared_balance(struct tuck_chan *chan);
size_t tuck__shared_count(struct tuck_chan *chan);

/* -- shared_move.c -- */

/*
 * By its home: chan is shared, with all channels of selects that wait at it.
 */
void tuck__shared_move(struct tuck__sched *s, struct tuck_chan *chan);

#endif
