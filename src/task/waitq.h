/* SPDX-License-Identifier: MIT */
/*
 * Wait queues, in which tasklets of any proc wait, first come first served.
 * What sync.h offers is built of them; waitq.c tells how they work.
 */
#ifndef TUCK__WAITQ_H
#define TUCK__WAITQ_H

#include "task/task.h"

/* What became of a tasklet's wait in a queue. */
enum tuck__grant {
	TUCK__NOT_QUEUED,
	TUCK__QUEUED,
	TUCK__QUEUED_FOR_GOOD,	/* behind an owner, without a deadline */
	/* From here on it is out of the queue and has what it waited for: */
	TUCK__RELEASED,		/* as all others were */
	TUCK__GIVEN,		/* another one gets it, if this one is killed */
	TUCK__OWNS,		/* the same, of a queue with an owner */
	TUCK__INHERITS		/* the same, because the owner ended */
};

/* In a word: somebody waits. */
#define TUCK__WAITERS	((int64_t)1 << 62)

struct tuck__waitq;

/* All that wait in a queue share one, but for why. */
struct tuck__waitq_kind {
	enum tuck__why why;
	bool owned;		/* it is a struct tuck__ownedq */

	/*
	 * What was GIVEN to a tasklet goes to another one: the first one was
	 * killed or dropped before it ran.
	 */
	void (*pass_on)(struct tuck__waitq *q, tuck_id id);

	/* Locked: somebody gave up waiting; NULL: that concerns nobody. */
	void (*left)(struct tuck__waitq *q);
};

/* Lies in the caller's memory; all zero is a good one, but for its word. */
struct tuck__waitq {
	_Atomic(int64_t) word;		/* the object's state, and WAITERS */
	struct tuck__link waiters;	/* set up by the first one, */
	const struct tuck__waitq_kind *kind;	/* and so is this */
	atomic_int lock;
	uint32_t n;			/* waiters */
} __attribute__((__may_alias__));

/* One whose word is the id of a tasklet, for which the others wait. */
struct tuck__ownedq {
	struct tuck__waitq q;
	struct tuck__link contended;	/* while somebody waits */
} __attribute__((__may_alias__));

/*
 * A lock of our own: nobody waits, switches or calls the system while he has
 * it, but where many are told at once. All zero it is free.
 */
void tuck__spin_for(atomic_int *l);

static inline void tuck__spin_lock(atomic_int *l)
{
	if (tuck__unlikely(
		    atomic_exchange_explicit(l, 1, memory_order_acquire)))
		tuck__spin_for(l);
}

static inline void tuck__spin_unlock(atomic_int *l)
{
	atomic_store_explicit(l, 0, memory_order_release);
}

/* Queues with an owner share one, so that who waits for whom can be seen. */
void tuck__waitq_lock(struct tuck__waitq *q);
void tuck__waitq_unlock(struct tuck__waitq *q);
void tuck__owners_lock(void);
void tuck__owners_unlock(void);

/*
 * Set WAITERS, if the word is still w: from then on nobody changes it but
 * with the lock held. Loads w anew if not.
 */
static inline bool tuck__waitq_mark(struct tuck__waitq *q, int64_t *w)
{
	return *w & TUCK__WAITERS ||
	       atomic_compare_exchange_strong(&q->word, w, *w | TUCK__WAITERS);
}

/* Whether a wait that begins now can end but by what it waits for. */
static inline bool tuck__waitq_for_good(const struct tuck__tasklet *self,
					tuck_ns deadline)
{
	return deadline == TUCK_FOREVER && !(self->w.bits & TUCK__IN_SCOPE);
}

/*
 * Locked and marked: wait at the end of the queue, which is unlocked then.
 * Returns 0, -EOWNERDEAD, or how else the wait ended.
 */
int tuck__waitq_wait(struct tuck__sched *s, struct tuck__waitq *q,
		     const struct tuck__waitq_kind *kind, tuck_ns deadline);

/*
 * Locked: let the first one go. It must be woken by its id, and that after
 * the unlock if it is alone. 0: nobody waits.
 */
tuck_id tuck__waitq_take(struct tuck__waitq *q, enum tuck__grant grant);
void tuck__waitq_wake(tuck_id id);

/* Locked: let all go. */
void tuck__waitq_tell_all(struct tuck__waitq *q);

/*
 * Owners locked: the first one owns q now, and is to be woken after the
 * unlock; or 0, and nobody owns it.
 */
tuck_id tuck__waitq_hand_over(struct tuck__waitq *q, enum tuck__grant grant);

static inline tuck_id tuck__waitq_owner(const struct tuck__waitq *q)
{
	return atomic_load(&q->word) & TUCK__ID_MASK;
}

/* The running tasklet owns one more, or one less. */
static inline void tuck__own(struct tuck__tasklet *self)
{
	self->ctx.mark += self->ctx.mark < UINT8_MAX;
}

static inline void tuck__disown(struct tuck__tasklet *self)
{
	self->ctx.mark -= self->ctx.mark < UINT8_MAX;	/* too many: stays */
}

/*
 * Owners locked: whether the caller, waiting for q for ever, would close a
 * cycle of such waits. If so it is reported, by a function of the program's
 * after the unlock.
 */
bool tuck__waitq_cycle(const struct tuck__tasklet *self,
		       const struct tuck__waitq *q);
void tuck__waitq_call_deadlock(void);

/* -- for the scheduler -- */

/* t's wait is over in some other way, perhaps just too late. */
void tuck__waitq_leave(struct tuck__tasklet *t);

/* t will not go on from its wait: what it was given goes to others. */
void tuck__waitq_pass_on(struct tuck__tasklet *t, tuck_id id);

/* A tasklet has ended that owned some. */
void tuck__waitq_orphan(tuck_id id);

static inline bool tuck__waitq_granted(const struct tuck__tasklet *t)
{
	return atomic_load_explicit(&t->w.grant, memory_order_acquire) >=
	       TUCK__RELEASED;
}

/* It waits, and need not any more: what a post came to tell. */
static inline bool tuck__waitq_woken(const struct tuck__tasklet *t)
{
	return t->w.why != TUCK__WHY_NONE && tuck__waitq_granted(t);
}

#endif
