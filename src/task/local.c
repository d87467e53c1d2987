/* SPDX-License-Identifier: MIT */
/*
 * Tasklet-local storage: a table in the tasklet's extra block, and for each
 * struct tuck_local its place there, which it gets when it is first set.
 *
 * Why not otherwise: a hash by address costs more than an index, and __thread
 * variables belong to a proc, not to a tasklet.
 */
#include <errno.h>
#include <string.h>

#include "base/fork.h"
#include "task/task.h"

#define LOCALS_MAX	1024
#define FIRST		7	/* places; with the head 120 bytes */

struct tuck__locals {
	uint32_t n, slice_class;
	struct {
		void *value;
		void (*end)(void *);
	} of[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
TUCK__AT_FORK_MUTEX(TUCK__FORK_LOCALS, lock, NULL)
static unsigned places;

/* From 0 on; without one, a number that no table has. */
static inline uint32_t place_of(const struct tuck_local *local)
{
	return __atomic_load_n(&local->place, __ATOMIC_RELAXED) - 1u;
}

static int give_place(struct tuck_local *local)
{
	int r = 0;

	if (place_of(local) < LOCALS_MAX)
		return 0;
	pthread_mutex_lock(&lock);
	if (local->place == 0 && places == LOCALS_MAX)
		r = -EAGAIN;
	else if (local->place == 0)
		__atomic_store_n(&local->place, ++places, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lock);
	return r;
}

void *tuck_local_get(const struct tuck_local *local)
{
	const struct tuck__sched *s = tuck__tls;
	const struct tuck__extra *extra = s ? s->current->extra : NULL;
	const struct tuck__locals *table = extra ? extra->locals : NULL;
	uint32_t i;

	if (!table || !local)
		return NULL;
	i = place_of(local);
	return i < table->n ? table->of[i].value : NULL;
}

/* The caller's table, with room for place i; or NULL. */
static struct tuck__locals *table_for(struct tuck__sched *s, uint32_t i)
{
	struct tuck__extra *extra = tuck__extra(s, s->current);
	struct tuck__locals *old = extra ? extra->locals : NULL, *table;
	uint32_t n = i < FIRST ? FIRST : 2 * i, cls;
	size_t had = old ? old->n * sizeof(old->of[0]) : 0;
	size_t bytes = n * sizeof(table->of[0]);

	if (!extra || (old && i < old->n))
		return old;
	table = tuck__slice_get(&s->cache.slices, sizeof(*table) + bytes, &cls);
	if (!table)
		return NULL;
	table->n = n;
	table->slice_class = cls;
	if (old)
		memcpy(table->of, old->of, had);
	memset((char *)table->of + had, 0, bytes - had);
	tuck__locals_forget(s, extra);
	extra->locals = table;
	return table;
}

int tuck_local_set(struct tuck_local *local, void *value)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck__locals *table;
	int r;

	TUCK__REQUIRE(local, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	r = give_place(local);
	if (r < 0)
		return r;
	table = table_for(s, place_of(local));
	if (!table)
		return -ENOMEM;
	table->of[place_of(local)].value = value;
	table->of[place_of(local)].end = local->end;
	return 0;
}

/* An end may wait, and set others: the table may be another one after it. */
bool tuck__locals_end(const struct tuck__extra *extra)
{
	bool any = false;

	for (uint32_t i = 0; extra->locals && i < extra->locals->n; i++) {
		void *value = extra->locals->of[i].value;

		extra->locals->of[i].value = NULL;
		if (!value || !extra->locals->of[i].end)
			continue;
		any = true;
		extra->locals->of[i].end(value);
	}
	return any;
}

void tuck__locals_forget(struct tuck__sched *s, struct tuck__extra *extra)
{
	if (extra->locals)
		tuck__slice_put(&s->cache.slices, extra->locals,
				extra->locals->slice_class);
	extra->locals = NULL;
}
