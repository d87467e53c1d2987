/* SPDX-License-Identifier: MIT */
/*
 * Pre-emption by ticks: a tasklet that has counted its quantum yields, or is
 * paused for whoever watches in tuck_run().
 *
 * Invariants:
 * 1. Ticks count from the last switch, but a switch does not know of them: who
 *    counts sees by the proc's number of switches that there was one. So
 *    programs without ticks pay nothing.
 * 2. While nobody can be pre-empted, that number is a constant, and left is
 *    endless.
 * 3. The switch is made by the tasklet itself, at a call on its own stack:
 *    never in a signal handler, nor inside a call into the library.
 *
 * Why not otherwise: a timer's signal handler that switches would do so
 * inside malloc() and with the signal blocked for all (rule S7). To set the
 * count at each switch is exact in the same way, and costs all others a store.
 */
#include <errno.h>
#include <tuck/preempt.h>

#include "base/mem.h"
#include "task/task.h"

#define RETRY 64	/* ticks, where one cannot be pre-empted */

static const uint64_t none;

static __thread struct tuck_ticks mine
	__attribute__((__tls_model__("initial-exec"))) = { INT64_MAX, 0,
							   &none };

struct tuck_ticks *tuck_ticks(void)
{
	return &mine;
}

/* What a tasklet may count; 0: any number. */
static int64_t limit_of(const struct tuck__sched *s)
{
	return s->run_ticks && tuck__run_by(s) ? s->run_ticks : s->quantum;
}

/* The running tasklet starts anew. */
static void set_anew(const struct tuck__sched *s)
{
	int64_t limit = limit_of(s);

	mine.left = limit ? limit : INT64_MAX;
	mine.switches = limit ? &s->switches : &none;
	mine.seen = *mine.switches;
}

void tuck__ticks_stop(void)
{
	mine = (struct tuck_ticks){ INT64_MAX, 0, &none };
}

int tuck_can_switch(void)
{
	const struct tuck__sched *s = tuck__tls;

	return s && s->current->w.why == TUCK__WHY_NONE && !s->asking &&
	       !tuck__calls_out && tuck__ctx_in_place(&s->current->ctx);
}

/*
 * It has used up its ticks, and waits for an unblock; or ends, if it has been
 * killed meanwhile: a kill of the watcher's would come too late for it.
 */
static void pause_for(struct tuck__sched *s, struct tuck__tasklet *watcher)
{
	struct tuck__tasklet *self = s->current;

	if (tuck__unlikely(self->w.bits & TUCK__DOOMED))
		tuck__raise(s);
	s->ran_out = tuck__id(self);
	tuck__link_init(&self->w.link);
	tuck__wait_for(s, TUCK__WHY_PAUSED, NULL);
	tuck__wake(s, watcher, 1);
	tuck__unready(s, watcher);
	if (tuck__run_now(s, watcher) == -ENOMEM)
		watcher->result = -ENOMEM;	/* it comes next */
}

/* Marked meanwhile: a kill finds frames that are not at a call. */
static void pre_empt(struct tuck__sched *s)
{
	struct tuck__tasklet *watcher = s->run_ticks ? tuck__run_by(s) : NULL;
	uint8_t *flags = &s->current->ctx.flags;
	uint8_t before = *flags & TUCK__CTX_TICKED;

	*flags |= TUCK__CTX_TICKED;
	if (watcher)
		pause_for(s, watcher);
	else
		tuck_yield();
	*flags = (uint8_t)((*flags & ~TUCK__CTX_TICKED) | before);
}

void tuck_tick(int64_t n)
{
	struct tuck__sched *s = tuck__tls;

	if (mine.switches == &none)
		return;
	if (mine.seen != *mine.switches)
		set_anew(s);
	if (n > 0)
		mine.left -= n;
	if (tuck__likely(mine.left > 0))
		return;
	if (!tuck_can_switch()) {
		set_anew(s);
		if (mine.left > RETRY)
			mine.left = RETRY;
		return;
	}
	if (s->current->ctx.flags & TUCK__CTX_ATOMIC) {
		mine.left = INT64_MAX;		/* until tuck_atomic(0) */
		return;
	}
	set_anew(s);
	pre_empt(s);
}

int tuck_quantum_set(int64_t ticks)
{
	struct tuck__sched *s = tuck__sched();

	TUCK__REQUIRE(ticks >= 0, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	s->quantum = ticks;
	set_anew(s);
	return 0;
}

int tuck_atomic(int on)
{
	struct tuck__sched *s = tuck__sched();
	uint8_t *flags;
	int was;

	TUCK__REQUIRE(s, tuck__sched_error());
	flags = &s->current->ctx.flags;
	was = (*flags & TUCK__CTX_ATOMIC) != 0;
	if (on) {
		*flags |= TUCK__CTX_ATOMIC;
		return was;
	}
	*flags &= (uint8_t)~TUCK__CTX_ATOMIC;
	if (mine.seen == *mine.switches && limit_of(s) &&
	    mine.left > limit_of(s))
		mine.left = 1;			/* it was due */
	return was;
}

tuck_id tuck_run(int64_t ticks)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck__tasklet *self;
	int r;

	TUCK__REQUIRE(ticks >= 0, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	TUCK__REQUIRE(!tuck__run_by(s), -EBUSY);
	self = s->current;
	s->runner = self;
	s->run_ticks = ticks;
	s->ran_out = 0;
	tuck__link_init(&self->w.link);
	self->w.why = TUCK__WHY_RUN;	/* for what follows */
	set_anew(s);
	r = tuck__wait(s, TUCK__WHY_RUN, NULL, TUCK_FOREVER);
	set_anew(s);
	return r > 0 ? s->ran_out : r;
}
