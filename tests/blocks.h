/* SPDX-License-Identifier: MIT */
/* Free blocks of a pool put out of reach, so that requests meet the system. */
#ifndef BLOCKS_H
#define BLOCKS_H

#include <string.h>

#include "ctx/flow.h"

struct tuck__block {
	struct tuck__block *next;
};

static struct tuck__slice_pool hidden;

static inline void hide_blocks(void)
{
	struct tuck__slice_pool *p = &tuck__thread()->cache.slices;

	hidden = *p;
	memset(p->free, 0, sizeof(p->free));
	p->fresh = p->fresh_end = NULL;
}

/* After any use of the pool; without effect if none are hidden. */
static inline void show_blocks(void)
{
	struct tuck__slice_pool *p = &tuck__thread()->cache.slices;

	for (int i = 0; i < TUCK__SLICE_CLASSES; i++) {
		struct tuck__block **at = &p->free[i];

		while (*at)
			at = &(*at)->next;
		*at = hidden.free[i];
	}
	if (!p->fresh) {
		p->fresh = hidden.fresh;
		p->fresh_end = hidden.fresh_end;
	}
	memset(&hidden, 0, sizeof(hidden));
}

#endif
