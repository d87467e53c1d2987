/* SPDX-License-Identifier: MIT */
/*
 * What each tasklet costs: its switches and its CPU time, for a proc that
 * asked for it.
 *
 * A proc that did not pays nothing: its switches do not look. One that did has
 * another host hook, and contexts whose switches all take the long way. Those
 * that began before have the other hook's end in their first frame: they are
 * given blocks, by which their end is seen.
 */
#include <errno.h>
#include <time.h>
#include <tuck/debug.h>

#include "task/task.h"

static tuck_ns cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return TUCK_SEC(t.tv_sec) + t.tv_nsec;
}

void tuck__account(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct tuck__extra *extra = tuck__extra(s, t);
	tuck_ns now = cpu_now();

	if (extra) {
		extra->switches++;
		extra->cpu += now - s->cpu_at;
	}
	s->cpu_at = now;
}

tuck_ns tuck__cpu_running(const struct tuck__sched *s)
{
	return s->cache.watched ? cpu_now() - s->cpu_at : 0;
}

static void watch(struct tuck__sched *s, struct tuck__tasklet *t, int on)
{
	tuck__ctx_watch(&t->ctx);
	if (on && tuck__ctx_started(&t->ctx))
		tuck__extra(s, t);	/* or its end is accounted to another */
}

int tuck_account(int on)
{
	struct tuck__sched *s = tuck__sched();
	uint32_t n;
	int was;

	TUCK__REQUIRE(s, tuck__sched_error());
	was = s->cache.watched;
	tuck__sched_watch(s, on);
	n = atomic_load(&s->table.n);
	for (uint32_t i = 0; i < n; i++) {
		struct tuck__tasklet *t = tuck__table_at(s, i);

		if (atomic_load_explicit(&t->id, memory_order_relaxed))
			watch(s, t, on);
	}
	if (!was)
		s->cpu_at = cpu_now();
	return was;
}
