/* SPDX-License-Identifier: MIT */
/* Looking in from outside: figures and dumps. */
#include <errno.h>
#include <stdio.h>
#include <tuck/debug.h>

#include "task/task.h"

static void count(const struct tuck__sched *s, const struct tuck__tasklet *t,
		  struct tuck_stats *stats)
{
	size_t bytes = tuck__ctx_slice_bytes(&t->ctx);

	stats->ready += t->w.why == TUCK__WHY_NONE && t != s->current;
	if (!tuck__ctx_started(&t->ctx) || !t->ctx.tucked)
		return;
	stats->slices++;
	stats->slice_bytes += bytes;
	if (bytes > stats->slice_bytes_max)
		stats->slice_bytes_max = bytes;
}

int tuck_stats(struct tuck_stats *ret_stats)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck_stats stats = { 0 };
	uint32_t n;

	TUCK__REQUIRE(ret_stats, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	n = atomic_load(&s->table.n);
	for (uint32_t i = 0; i < n; i++) {
		const struct tuck__tasklet *t = tuck__table_at(s, i);

		if (atomic_load_explicit(&t->id, memory_order_relaxed))
			count(s, t, &stats);
	}
	stats.tasklets = s->alive;
	stats.started = 1 + s->cache.started;	/* main did */
	stats.switches = s->switches;
	stats.switches_copied = s->cache.copied_switches;
	stats.copied_bytes = s->cache.copied_bytes;
	stats.slice_pool_bytes = s->cache.slices.bytes;
	stats.slots = s->cache.slots_made - s->cache.vacant;
	*ret_stats = stats;
	return 0;
}

static void describe(struct tuck__sched *s, const struct tuck__tasklet *t,
		     struct tuck_task_info *ret_info)
{
	const struct tuck__extra *extra = t->extra;
	tuck_ns now = tuck_now();
	bool waits = t->w.why > TUCK__WHY_ENDING;

	s->now_ms = (uint32_t)(now / TUCK_MS(1));
	*ret_info = (struct tuck_task_info){
		.id = tuck__id(t),
		.main = s->main_id,
		.state = tuck__state(s, t),
		.since = waits ? now - TUCK_MS(s->now_ms - t->ctx.note) : 0,
		.switches = extra ? extra->switches : 0,
		.cpu = extra ? extra->cpu : 0,
	};
	if (t == s->current)
		ret_info->cpu += tuck__cpu_running(s);
	snprintf(ret_info->name, sizeof(ret_info->name), "%s",
		 tuck__name(s, t));
}

int tuck_each(int (*fn)(const struct tuck_task_info *info, void *arg),
	      void *arg)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck_task_info info;
	uint32_t n;
	int r = 0;

	TUCK__REQUIRE(fn, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	n = atomic_load(&s->table.n);
	for (uint32_t i = 0; i < n && r == 0; i++) {
		const struct tuck__tasklet *t = tuck__table_at(s, i);

		if (!atomic_load_explicit(&t->id, memory_order_relaxed))
			continue;
		describe(s, t, &info);
		r = fn(&info, arg);
	}
	return r;
}

int tuck_dump(int fd)
{
	struct tuck__sched *s = tuck__sched();

	TUCK__REQUIRE(s, tuck__sched_error());
	return tuck__dump(s, fd);
}

int tuck_on_deadlock(void (*fn)(void))
{
	atomic_store(&tuck__deadlock_fn, fn);
	return 0;
}
