/* SPDX-License-Identifier: MIT */
/* Waiting and waking: sleep, block, unblock, transfer, join. */
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

static bool take_permit(struct tuck__sched *s)
{
	struct tuck__tasklet *self = s->current;
	bool had;

	tuck__inbox_drain(s);
	had = self->w.bits & TUCK__PERMIT;
	self->w.bits &= (uint8_t)~TUCK__PERMIT;
	return had;
}

int tuck_block(tuck_ns deadline)
{
	struct tuck__sched *s = tuck__sched();

	TUCK__REQUIRE(deadline >= 0, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	if (take_permit(s))
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

int tuck_transfer(tuck_id id)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck__tasklet *self, *t;
	int r;

	TUCK__REQUIRE(s, tuck__sched_error());
	r = tuck__find_here(s, id, &t);
	if (r < 0)
		return r;
	self = s->current;
	TUCK__REQUIRE(t != self && (t->w.why == TUCK__WHY_NONE || blocked(t)),
		      -EINVAL);
	TUCK__REQUIRE(!(self->w.bits & TUCK__CANCELED), -ECANCELED);
	if (take_permit(s)) {
		if (blocked(t))
			tuck__wake(s, t, 0);
		return 0;
	}
	if (blocked(t))
		tuck__wake(s, t, 0);
	tuck__link_cut(&t->w.link);
	tuck__link_init(&self->w.link);
	self->w.why = TUCK__WHY_BLOCK;
	self->what = NULL;
	self->ctx.note = s->now_ms;
	return tuck__run_now(s, t);
}

int tuck_join(tuck_id id, tuck_ns deadline)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck__extra *extra;
	struct tuck__tasklet *t;
	int r;

	TUCK__REQUIRE(deadline >= 0, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	r = tuck__find_here(s, id, &t);
	if (r < 0)
		return r;
	TUCK__REQUIRE(t != s->current, -EDEADLK);
	TUCK__REQUIRE(deadline != TUCK_NOWAIT, -EAGAIN);
	extra = tuck__extra(s, t);
	if (!extra)
		return -ENOMEM;
	tuck__link_before(&extra->joiners, &s->current->w.link);
	return tuck__wait(s, TUCK__WHY_JOIN, t, deadline);
}
