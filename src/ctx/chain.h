/* SPDX-License-Identifier: MIT */
/* A context's place on a stack, and in its chain. */
#ifndef TUCK__CHAIN_H
#define TUCK__CHAIN_H

#include "ctx/carry.h"
#include "ctx/ctx.h"

/*
 * For the check of each switch that it is on the right stack, in units of
 * 4 KiB; none if it must take the long way.
 */
static inline uint16_t tuck__pages_of(const struct tuck__stack *s)
{
	size_t pages = (size_t)(s->base - s->limit) / 4096 + 1;

	if (tuck__carry_bytes() || s->owner->watched)
		return 0;
	return pages < UINT16_MAX ? (uint16_t)pages : UINT16_MAX;
}

static inline void tuck__unchain(struct tuck__ctx *ctx)
{
	struct tuck__ctx **at = &ctx->stack->top;

	while (*at && *at != ctx)
		at = &(*at)->above;
	if (*at)
		*at = ctx->above;
}

/* The last one on its stack lies there whole: it need not reserve. */
static inline void tuck__stop_sharing(struct tuck__ctx *ctx)
{
	ctx->flags &= (uint8_t)~TUCK__CTX_SHARED;
	ctx->stack->reach = NULL;
}

#endif
