/* SPDX-License-Identifier: MIT */
/* Waiting and waking: sleep, block, unblock, transfer. */
#include <errno.h>

#include "task/task.h"

int tuck_sleep(tuck_ns deadline)
{
	struct tuck__sched *s = tuck__sched();

	TUCK__REQUIRE(deadline >= 0, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	if (deadline == TUCK_NOWAIT || deadline <= tuck_now()) {
		tuck_yield();
		return 0;
	}
	tuck__link_init(&s->current->w.link);
	return tuck__wait(s, TUCK__WHY_SLEEP, NULL, deadline);
}

static bool take_permit(struct tuck__tasklet *self)
{
	bool had;

	had = self->w.bits & TUCK__PERMIT;
	self->w.bits &= (uint8_t)~TUCK__PERMIT;
	return had;
}

int tuck_block(tuck_ns deadline)
{
	struct tuck__sched *s = tuck__sched();

	TUCK__REQUIRE(deadline >= 0, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	tuck__inbox_drain(s);
	if (take_permit(s->current))
		return 0;
	if (deadline == TUCK_NOWAIT)
		return -EAGAIN;
	tuck__link_init(&s->current->w.link);
	return tuck__wait(s, TUCK__WHY_BLOCK, NULL, deadline);
}

static bool blocked(const struct tuck__tasklet *t)
{
	return (t->w.why == TUCK__WHY_BLOCK || t->w.why == TUCK__WHY_PAUSED);
}

void tuck__unblock(struct tuck__sched *s, struct tuck__tasklet *t)
{
	if (blocked(t))
		tuck__wake(s, t, 0);
	else if (tuck__unlikely(t->w.why == TUCK__WHY_JOB))
		tuck__job_tell(t, TUCK__ID_UNBLOCK);
	else
		t->w.bits |= TUCK__PERMIT;
}

int tuck_unblock(tuck_id id)
{
	struct tuck__sched *s = tuck__tls, *home;
	struct tuck__tasklet *t = tuck__find(id, &home);

	if (!t)
		return -ESRCH;
	if (home != s)
		return tuck__post(id, TUCK__ID_UNBLOCK);
	tuck__unblock(s, t);
	return 0;
}

/* What comes from elsewhere may end the one that will run: look before. */
static void look(struct tuck__sched *s)
{
	if (tuck__unlikely(--s->until_look < 0))
		tuck__look_if_due(s);
	else
		tuck__inbox_drain(s);
}

/* The caller's wait in a transfer, up to the switch. */
static int begin_wait(struct tuck__sched *s, struct tuck__tasklet *self)
{
	tuck_ns deadline;

	tuck__link_init(&self->w.link);
	self->w.why = TUCK__WHY_BLOCK;
	self->what = NULL;
	self->ctx.note = s->now_ms;
	if (tuck__likely(!(self->w.bits & TUCK__IN_SCOPE)))
		return 0;
	deadline = tuck__scope(s, self, TUCK_FOREVER);
	if (deadline < 0)
		return (int)deadline;
	if (deadline == TUCK_FOREVER ||
	    tuck__heap_add(&s->timers, &self->w.timer, deadline) == 0)
		return 0;
	tuck__unwait(s, self);
	return -ENOMEM;
}

/* Ready from now on, whether it was blocked or not. */
static void make_ready(struct tuck__sched *s, struct tuck__tasklet *t)
{
	if (blocked(t))
		tuck__wake(s, t, 0);
}

int tuck_transfer(tuck_id id)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck__tasklet *t;
	int r;

	TUCK__REQUIRE(s, tuck__sched_error());
	look(s);
	r = tuck__find_here(s, id, &t);
	if (r < 0)
		return r;
	TUCK__REQUIRE(t != s->current &&
			      (t->w.why == TUCK__WHY_NONE || blocked(t)),
		      -EINVAL);
	if (take_permit(s->current)) {
		make_ready(s, t);
		return 0;
	}
	r = begin_wait(s, s->current);
	if (r < 0)
		return r;
	make_ready(s, t);
	tuck__unready(s, t);
	return tuck__run_now(s, t);
}
