/* SPDX-License-Identifier: MIT */
/*
 * Waits that any proc may end (struct tuck__far): how they begin, and who is
 * woken.
 *
 * The timer is set before anybody else can know of the wait: from then on it
 * may be over at any time, and could not fail any more.
 */
#include "task/task.h"

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
