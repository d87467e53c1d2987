/* SPDX-License-Identifier: MIT */
/* Where contexts get their stacks from. */
#ifndef TUCK__SLOTS_H
#define TUCK__SLOTS_H

#include "ctx/ctx.h"

/*
 * Make sure that one more context can start later without asking the system
 * for anything: 0 or -ENOMEM. running is the context that runs now.
 */
int tuck__slots_promise(struct tuck__cache *c, struct tuck__ctx *running);

/* Take a promise back, for a context that will not start. */
void tuck__slots_release(struct tuck__cache *c);

/* Keep a promise: the slot that ctx lives on from now on. */
struct tuck__stack *tuck__slots_take(struct tuck__cache *c,
				     struct tuck__ctx *ctx);

/* Undo that for one that has not started after all. */
void tuck__slots_untake(struct tuck__cache *c, struct tuck__ctx *ctx);

/* A context has left its slot for good. */
void tuck__slots_leave(struct tuck__cache *c, struct tuck__stack *s);

/* Whether p lies on a slot: whose bytes these are, the next switch decides. */
static inline bool tuck__slots_hold(const struct tuck__cache *c, const void *p)
{
	return (uintptr_t)p - (uintptr_t)c->region < c->region_bytes;
}

void tuck__slots_fini(struct tuck__cache *c);

#endif
