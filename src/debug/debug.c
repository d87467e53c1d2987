/* SPDX-License-Identifier: MIT */
/* Looking in from outside: figures and dumps. */
#include <errno.h>
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
