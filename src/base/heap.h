/* SPDX-License-Identifier: MIT */
/* Timers, ordered by time and, where that is equal, by when they were set. */
#ifndef TUCK__HEAP_H
#define TUCK__HEAP_H

#include <stdint.h>
#include <tuck/base.h>

struct tuck__timer {
	uint32_t place;		/* in the heap, from 1; 0: not set */
};

struct tuck__heap {
	struct tuck__heap_entry {
		tuck_ns at;
		uint64_t seq;
		struct tuck__timer *timer;
	} *entries;
	uint32_t n, room;
	uint64_t seq;
};

int tuck__heap_add(struct tuck__heap *h, struct tuck__timer *t, tuck_ns at);
void tuck__heap_remove(struct tuck__heap *h, struct tuck__timer *t);
void tuck__heap_fini(struct tuck__heap *h);

static inline tuck_ns tuck__heap_next(const struct tuck__heap *h)
{
	return h->n ? h->entries[0].at : TUCK_FOREVER;
}

static inline struct tuck__timer *tuck__heap_first(const struct tuck__heap *h)
{
	return h->entries[0].timer;
}

#endif
