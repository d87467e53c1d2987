/* SPDX-License-Identifier: MIT */
/*
 * Names for tasklets: an id says the proc, the place in the proc's table,
 * and the generation of that place.
 *
 * Invariants:
 * 1. An id is never given twice: a place whose generations are used up is
 *    not used again (128 bytes lost in 16 million tasklets).
 * 2. The memory of a table is never given back, not even when its proc ends
 *    (the next proc of that number goes on with it): so any thread may look
 *    whether an id is still alive.
 *
 * Why not otherwise: a hash of 64-bit numbers costs two cache misses at each
 * start and end; pointers as handles cannot tell that they are stale.
 */
#include <errno.h>

#include "base/mem.h"
#include "task/task.h"

#define CHUNK		512u		/* tasklets */
#define PLACE_BITS	27
#define GEN_BITS	24
#define CHUNKS		((1u << PLACE_BITS) / CHUNK)

_Static_assert(PLACE_BITS + GEN_BITS == TUCK__ID_PROC_SHIFT, "id layout");

struct tuck__tasklet *tuck__table_at(const struct tuck__sched *s, uint32_t i)
{
	return atomic_load_explicit(&s->table.chunks[i / CHUNK],
				    memory_order_acquire) +
	       i % CHUNK;
}

/* While a place is free, it keeps its number and generation here. */
static void keep(struct tuck__tasklet *t, uintptr_t place, uintptr_t gen)
{
	t->what = (void *)place;
	t->extra = (void *)gen;
}

static struct tuck__tasklet *grow(struct tuck__sched *s)
{
	struct tuck__table *table = &s->table;
	uint32_t i = atomic_load_explicit(&table->n, memory_order_relaxed);
	struct tuck__tasklet *chunk;

	if (!table->chunks)
		table->chunks = tuck__map(CHUNKS * sizeof(table->chunks[0]));
	if (!table->chunks || i == CHUNKS * CHUNK)
		return NULL;
	if (i % CHUNK == 0) {
		chunk = tuck__map(CHUNK * sizeof(*chunk));
		if (!chunk)
			return NULL;
		atomic_store_explicit(&table->chunks[i / CHUNK], chunk,
				      memory_order_release);
	}
	keep(tuck__table_at(s, i), i, 1);
	atomic_store_explicit(&table->n, i + 1, memory_order_release);
	return tuck__table_at(s, i);
}

static tuck_id next_id(const struct tuck__sched *s,
		       const struct tuck__tasklet *t)
{
	return (tuck_id)s->number << TUCK__ID_PROC_SHIFT |
	       (tuck_id)(uintptr_t)t->extra << PLACE_BITS |
	       (tuck_id)(uintptr_t)t->what;
}

struct tuck__tasklet *tuck__table_new(struct tuck__sched *s)
{
	struct tuck__tasklet *t = s->table.free;
	tuck_id id;

	if (t)
		s->table.free = (struct tuck__tasklet *)t->inbox_next;
	else
		t = grow(s);
	if (!t)
		return NULL;
	id = next_id(s, t);
	t->w = (struct tuck__waiter){ .why = TUCK__WHY_NONE };
	t->what = NULL;
	t->extra = NULL;
	atomic_store_explicit(&t->id, id, memory_order_release);
	return t;
}

void tuck__table_free(struct tuck__sched *s, struct tuck__tasklet *t,
		      tuck_id id)
{
	uintptr_t place = (uint32_t)id & ((1u << PLACE_BITS) - 1);
	uintptr_t gen = (uintptr_t)(id >> PLACE_BITS) & ((1u << GEN_BITS) - 1);

	if (gen == (1u << GEN_BITS) - 1)
		return;
	keep(t, place, gen + 1);
	t->inbox_next = (uintptr_t)s->table.free;
	s->table.free = t;
}

struct tuck__tasklet *tuck__find(tuck_id id, struct tuck__sched **ret_sched)
{
	struct tuck__sched *s;
	struct tuck__tasklet *t;
	uint32_t place = (uint32_t)id & ((1u << PLACE_BITS) - 1);

	if (id <= 0 || id & ~TUCK__ID_MASK)
		return NULL;
	s = tuck__registry_at(tuck__proc_of(id));
	if (!s ||
	    place >= atomic_load_explicit(&s->table.n, memory_order_acquire))
		return NULL;
	t = tuck__table_at(s, place);
	if ((atomic_load_explicit(&t->id, memory_order_acquire) &
	     TUCK__ID_MASK) != id)
		return NULL;
	*ret_sched = s;
	return t;
}

int tuck__find_here(struct tuck__sched *s, tuck_id id,
		    struct tuck__tasklet **ret_tasklet)
{
	struct tuck__sched *home;
	struct tuck__tasklet *t = tuck__find(id, &home);

	if (!t)
		return -ESRCH;
	if (home != s)
		return -EXDEV;
	*ret_tasklet = t;
	return 0;
}
