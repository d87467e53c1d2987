/* SPDX-License-Identifier: MIT */
/* Slices: how a context's bytes leave its stack and come back. */
#ifndef TUCK__SLICES_H
#define TUCK__SLICES_H

#include "base/sanitize.h"
#include "ctx/ctx.h"

#define TUCK__HOLE_UNIT 16u

static inline size_t tuck__hole_bytes(const struct tuck__ctx *ctx)
{
	return (size_t)(ctx->hole_from - ctx->hole_to) * TUCK__HOLE_UNIT;
}

static inline size_t tuck__live_bytes(const struct tuck__ctx *ctx)
{
	return (size_t)(ctx->base - (char *)ctx->sp);
}

/* What a block must have to hold all of ctx. */
static inline size_t tuck__block_bytes(const struct tuck__ctx *ctx)
{
	size_t shadow = TUCK__ASAN ? tuck__live_bytes(ctx) / 8 : 0;

	return tuck__live_bytes(ctx) - tuck__hole_bytes(ctx) + shadow;
}

static inline size_t tuck__slice_room(const struct tuck__ctx *ctx)
{
	return ctx->slice ? tuck__slice_class_bytes(ctx->slice_class) : 0;
}

/* Whether ctx has a block that holds it and is not much too large. */
static inline bool tuck__ctx_has_room(const struct tuck__ctx *ctx)
{
	size_t need = tuck__block_bytes(ctx), room = tuck__slice_room(ctx);

	return need <= room && room <= need + need / 4 + 128;
}

/* Have such a block: 0 or -ENOMEM. */
int tuck__ctx_reserve(struct tuck__cache *c, struct tuck__ctx *ctx);

/* Tuck away what lies below end, into the block that was reserved. */
void tuck__ctx_tuck(struct tuck__cache *c, struct tuck__ctx *ctx, char *end);

/* Put all of it back; nobody else has bytes there. */
void tuck__ctx_bring_back(struct tuck__cache *c, struct tuck__ctx *ctx);

/* Frames that are left for good leave no poison behind. */
static inline void tuck__ctx_clean(const void *from, const char *to)
{
#if TUCK__ASAN
	__asan_unpoison_memory_region(from, (size_t)(to - (const char *)from));
#else
	(void)from, (void)to;
#endif
}

#endif
