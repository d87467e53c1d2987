/* SPDX-License-Identifier: MIT */
/*
 * Alarms: timers that call a function instead of making a tasklet ready. They
 * are in the heap of their proc, and in a list for its end.
 *
 * Why not a tasklet that sleeps: it would keep tuck_exit() waiting, take its
 * turn when a policy likes, and need memory for a slice each time.
 */
#include <errno.h>

#include "task/task.h"

int tuck__alarm_set(struct tuck__sched *s, struct tuck__alarm *a, tuck_ns at)
{
	a->w = (struct tuck__waiter){ .why = TUCK__WHY_ALARM };
	if (at != TUCK_FOREVER &&
	    tuck__heap_add(&s->timers, &a->w.timer, at) < 0)
		return -ENOMEM;
	tuck__link_before(&s->alarms, &a->w.link);
	return 0;
}

void tuck__alarm_again(struct tuck__sched *s, struct tuck__alarm *a, tuck_ns at)
{
	/* It just left the heap, which does not shrink to less than it has. */
	if (at != TUCK_FOREVER)
		TUCK__ASSERT(tuck__heap_add(&s->timers, &a->w.timer, at) == 0);
}

void tuck__alarm_stop(struct tuck__sched *s, struct tuck__alarm *a)
{
	tuck__heap_remove(&s->timers, &a->w.timer);
	tuck__link_remove(&a->w.link);
}

void tuck__alarm_ring(struct tuck__sched *s, struct tuck__waiter *w)
{
	struct tuck__alarm *a = tuck__container(w, struct tuck__alarm, w);

	tuck__heap_remove(&s->timers, &w->timer);
	a->ring(s, a);
}

void tuck__alarms_end(struct tuck__sched *s)
{
	while (!tuck__list_empty(&s->alarms)) {
		struct tuck__alarm *a = tuck__container(
			s->alarms.next, struct tuck__alarm, w.link);

		tuck__alarm_stop(s, a);
		a->ended(s, a);
	}
}
