/* SPDX-License-Identifier: MIT */
/*
 * A 4-ary heap in an array.
 *
 * Invariants:
 * 1. entries[i] is not later than any of its children 4i+1 .. 4i+4.
 * 2. entries[i].timer->place == i + 1.
 *
 * Why not otherwise: a binary heap takes twice the levels, each a cache
 * miss; a timer wheel is quicker to fill, but rounds deadlines and cannot
 * say when the next one is without a search.
 */
#include <errno.h>

#include "base/check.h"
#include "base/heap.h"
#include "base/mem.h"

#define ROOM_MIN 64

static bool earlier(const struct tuck__heap_entry *a,
		    const struct tuck__heap_entry *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void put(struct tuck__heap *h, uint32_t i, struct tuck__heap_entry e)
{
	h->entries[i] = e;
	e.timer->place = i + 1;
}

static void rise(struct tuck__heap *h, uint32_t i, struct tuck__heap_entry e)
{
	while (i > 0) {
		uint32_t parent = (i - 1) / 4;

		if (!earlier(&e, &h->entries[parent]))
			break;
		put(h, i, h->entries[parent]);
		i = parent;
	}
	put(h, i, e);
}

static uint32_t earliest_child(const struct tuck__heap *h, uint32_t i)
{
	uint32_t best = 4 * i + 1;
	uint32_t end = best + 4 < h->n ? best + 4 : h->n;

	for (uint32_t c = best + 1; c < end; c++)
		if (earlier(&h->entries[c], &h->entries[best]))
			best = c;
	return best;
}

static void sink(struct tuck__heap *h, uint32_t i, struct tuck__heap_entry e)
{
	while (4 * i + 1 < h->n) {
		uint32_t child = earliest_child(h, i);

		if (!earlier(&h->entries[child], &e))
			break;
		put(h, i, h->entries[child]);
		i = child;
	}
	put(h, i, e);
}

static int resize(struct tuck__heap *h, uint32_t room)
{
	void *p = tuck__resize(h->entries, room * sizeof(h->entries[0]));

	if (!p)
		return -ENOMEM;
	h->entries = p;
	h->room = room;
	return 0;
}

int tuck__heap_add(struct tuck__heap *h, struct tuck__timer *t, tuck_ns at)
{
	struct tuck__heap_entry e = { at, h->seq, t };

	if (h->n == h->room) {
		int r = resize(h, h->room ? 2 * h->room : ROOM_MIN);

		if (r < 0)
			return r;
	}
	h->seq++;
	rise(h, h->n++, e);
	return 0;
}

void tuck__heap_remove(struct tuck__heap *h, struct tuck__timer *t)
{
	struct tuck__heap_entry last;
	uint32_t i = t->place - 1;

	if (t->place == 0)
		return;
	t->place = 0;
	last = h->entries[--h->n];
	if (i < h->n) {
		if (i > 0 && earlier(&last, &h->entries[(i - 1) / 4]))
			rise(h, i, last);
		else
			sink(h, i, last);
	}
	if (h->room > ROOM_MIN && h->n < h->room / 8)
		resize(h, h->room / 4);	/* if it fails, it stays large */
}

void tuck__heap_fini(struct tuck__heap *h)
{
	tuck__free(h->entries);
	*h = (struct tuck__heap){ 0 };
}
