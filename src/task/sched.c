/* SPDX-License-Identifier: MIT */
/*
 * The scheduler of a proc: a FIFO ring of ready tasklets, timers, an inbox
 * and an idle hook. There is no scheduler context: whoever stops picks the
 * next and switches straight to it, and who finds nobody ready waits in the
 * idle hook on its own stack. docs/scheduling.md tells the order.
 *
 * Invariants:
 * 1. Of a proc's tasklets one is current and in no queue; each other is in
 *    the ready ring, or waits, in at most one queue (a select: one per case)
 *    and with at most one timer.
 * 2. Every LOOK_EVERY switches inbox, timers and poller are looked at, and
 *    of so many hand-overs one is a mere wake: so tasklets that keep each
 *    other busy do not starve the rest. Each has a count of its own: in a
 *    common one a regular rhythm might never hit a hand-over.
 *
 * Why not otherwise: a scheduler context costs a second switch for each
 * hand-over. Work stealing is for those that have not started, in pools: a
 * started tasklet cannot leave its thread (rule S4).
 */
#include <errno.h>
#include <stdio.h>

#include "task/waitq.h"

/* With fewer tasklets than this all of them are in the cache anyway. */
#define MANY		256

/* -- who runs next -- */

/* Who is next is known, so its memory can be on its way here. */
static inline void prefetch(const struct tuck__sched *s,
			    const struct tuck__link *soon)
{
	const struct tuck__tasklet *t = (const void *)soon;
	const char *bytes;

	if (s->alive < MANY || soon == &s->ready)
		return;
	__builtin_prefetch(soon->next);
	__builtin_prefetch((const char *)soon->next + 64);
	bytes = t->ctx.flags & TUCK__CTX_ABSENT ? t->ctx.slice : t->ctx.sp;
	if (!bytes)
		return;
	__builtin_prefetch(bytes);
	__builtin_prefetch(bytes + 64);
	__builtin_prefetch(bytes + 128);
}

static inline struct tuck__tasklet *take(struct tuck__sched *s,
					 struct tuck__link *l)
{
	prefetch(s, l->next);
	tuck__link_cut(l);
	return tuck__tasklet_of(l);
}

/* The long way: look around, wait if need be, ask a policy. */
static tuck__cold struct tuck__tasklet *find_next(struct tuck__sched *s)
{
	if (s->until_look < 0 || tuck__list_empty(&s->ready))
		tuck__find_work(s);
	return s->policy ? tuck__policy_next(s) : take(s, s->ready.next);
}

/* Whether the first of the ready is the next, with nothing else to do. */
static inline bool plain_next(struct tuck__sched *s)
{
	return tuck__likely(--s->until_look >= 0 &&
			    !tuck__list_empty(&s->ready));
}

struct tuck__tasklet *tuck__next(struct tuck__sched *s)
{
	return plain_next(s) ? take(s, s->ready.next) : find_next(s);
}

/* -- switching -- */

static inline int switch_to(struct tuck__sched *s, struct tuck__tasklet *self,
			    struct tuck__tasklet *next)
{
	s->current = next;
	s->switches++;
	return tuck__ctx_switch(&s->cache, &self->ctx, &next->ctx,
				next->result);
}

/* Killed, but not by a switch away and back. */
static inline void raise_if_doomed(struct tuck__sched *s,
				   const struct tuck__tasklet *self)
{
	if (tuck__unlikely(self->w.bits & TUCK__DOOMED))
		tuck__raise(s);
}

static tuck__cold int park_slow(struct tuck__sched *s)
{
	struct tuck__tasklet *self = s->current, *next = find_next(s);

	if (next != self)
		return switch_to(s, self, next);
	raise_if_doomed(s, self);
	return self->result;
}

tuck_ns tuck__scope(struct tuck__sched *s, struct tuck__tasklet *self,
		    tuck_ns deadline)
{
	tuck_ns outer;

	if (self->w.bits & (TUCK__CANCELED | TUCK__DOOMED)) {
		tuck__unwait(s, self);
		raise_if_doomed(s, self);
		return -ECANCELED;
	}
	self->w.bits &= (uint8_t)~TUCK__OUTER;
	outer = tuck__group_deadline(self);
	if (deadline <= outer)
		return deadline;
	self->w.bits |= TUCK__OUTER;
	return outer;
}

int tuck__wait_in_scope(struct tuck__sched *s, struct tuck__tasklet *self,
			tuck_ns deadline)
{
	deadline = tuck__scope(s, self, deadline);
	if (deadline < 0)
		return (int)deadline;
	if (deadline != TUCK_FOREVER)
		return tuck__wait_until(s, self, deadline);
	return tuck__park(s);
}

int tuck__park(struct tuck__sched *s)
{
	if (!plain_next(s))
		return park_slow(s);
	return switch_to(s, s->current, take(s, s->ready.next));
}

int tuck__run_now(struct tuck__sched *s, struct tuck__tasklet *t)
{
	return switch_to(s, s->current, t);
}

/* What the idle hook or the deadlock callback calls must not switch. */
static inline void check_may_switch(const struct tuck__sched *s)
{
	if (tuck__unlikely(s->current->w.why != TUCK__WHY_NONE))
		tuck__fatal("a switch inside the deadlock callback");
}

static tuck__cold void yield_slow(struct tuck__sched *s)
{
	if (s->until_look < 0)
		tuck__look_if_due(s);
	if (tuck__list_empty(&s->ready)) {
		raise_if_doomed(s, s->current);
		return;
	}
	check_may_switch(s);
	tuck__link_before(&s->ready, &s->current->w.link);
	park_slow(s);
}

void tuck_yield(void)
{
	struct tuck__sched *s = tuck__tls;
	struct tuck__tasklet *self;

	if (tuck__unlikely(!s))
		return;			/* nobody is there to yield to */
	if (!plain_next(s)) {
		yield_slow(s);
		return;
	}
	self = s->current;
	tuck__link_before(&s->ready, &self->w.link);
	switch_to(s, self, take(s, s->ready.next));
}

/*
 * There was no memory to tuck from away: it goes on as if it had not tried,
 * or with the wake that came while it looked for a successor.
 */
static int stay(struct tuck__ctx *from_ctx, struct tuck__ctx *to_ctx)
{
	struct tuck__sched *s = tuck__tls;
	struct tuck__tasklet *from, *to;
	bool waits;

	from = tuck__container(from_ctx, struct tuck__tasklet, ctx);
	to = tuck__container(to_ctx, struct tuck__tasklet, ctx);
	waits = from->w.why != TUCK__WHY_NONE;
	if (waits) {
		from->result = -ENOMEM;
		tuck__unwait(s, from);
	} else {
		tuck__unready(s, from);
	}
	tuck__link_before(s->ready.next, &to->w.link);
	s->current = from;
	s->switches--;
	return from->result;
}

static const struct tuck__ctx *running(const struct tuck__cache *c, char *who,
				       size_t n)
{
	const struct tuck__sched *s = tuck__container(
		c, const struct tuck__sched, cache);

	snprintf(who, n, "tasklet %lld \"%s\"", (long long)tuck__id(s->current),
		 tuck__name(s, s->current));
	return &s->current->ctx;
}

const struct tuck__host tuck__host = { .stay = stay,
				       .ended = tuck__task_after,
				       .called = tuck__called,
				       .running = running };

/* -- with accounts -- */

static int stay_watched(struct tuck__ctx *from, struct tuck__ctx *to)
{
	struct tuck__tasklet *t = tuck__container(from, struct tuck__tasklet,
						  ctx);

	if (t->extra)
		t->extra->switches--;
	return stay(from, to);
}

/* With a block it is accounted at its end, where the block can be had. */
static void ended_watched(void)
{
	struct tuck__sched *s = tuck__tls;

	if (!tuck__extra(s, s->current))
		tuck__account(s, s->current);
	tuck__task_after();
}

static void switching(struct tuck__ctx *from)
{
	tuck__account(tuck__tls,
		      tuck__container(from, struct tuck__tasklet, ctx));
}

static const struct tuck__host watching = { .stay = stay_watched,
					    .ended = ended_watched,
					    .called = tuck__called,
					    .running = running,
					    .switching = switching };

void tuck__sched_watch(struct tuck__sched *s, bool on)
{
	s->cache.watched = on;
	s->cache.host = on ? &watching : &tuck__host;
}

/* -- waiting -- */

void tuck__unwait_special(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct tuck__select *select = t->what;
	struct tuck__far *far = t->what;

	tuck__heap_remove(&s->timers, &t->w.timer);
	if (t->w.why >= TUCK__WHY_SHARED && t->w.why <= TUCK__WHY_HOME) {
		far->kind->over(s, t);
		return;
	}
	if (t->w.why == TUCK__WHY_SELECT) {
		for (uint32_t i = 0; i < select->n; i++)
			tuck__link_cut(&select->cases[i].w.link);
		tuck__slice_put(&s->cache.slices, select, select->slice_class);
		return;
	}
	if (t->w.why == TUCK__WHY_JOB) {
		tuck__job_over(t);
		return;
	}
	if (t->w.why > TUCK__WHY_SELECT && t->w.why < TUCK__WHY_READ) {
		tuck__waitq_leave(t);
		return;
	}
	if (t->w.why >= TUCK__WHY_READ)
		s->fd_waiters--;
	tuck__link_cut(&t->w.link);
}

int tuck__wait_until(struct tuck__sched *s, struct tuck__tasklet *self,
		     tuck_ns deadline)
{
	if (tuck__likely(tuck__heap_add(&s->timers, &self->w.timer, deadline) ==
			 0))
		return tuck__park(s);
	tuck__unwait(s, self);
	return -ENOMEM;
}

void tuck__hand_over(struct tuck__sched *s, struct tuck__tasklet *t, int result)
{
	struct tuck__tasklet *self = s->current;

	check_may_switch(s);
	if (tuck__unlikely(--s->until_look < 0 || --s->until_fair < 0)) {
		s->until_fair = TUCK__FAIR_EVERY;
		tuck__wake(s, t, result);
		tuck_yield();
		return;
	}
	t->result = result;
	tuck__unwait(s, t);
	tuck__link_before(s->ready.next, &self->w.link);
	switch_to(s, self, t);
}
