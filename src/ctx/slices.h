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

/* Others on its stack may need what ctx has below this. */
static inline char *tuck__ctx_reach(const struct tuck__ctx *ctx)
{
	const struct tuck__stack *s = ctx->stack;

	return ctx->base < s->reach ? ctx->base : s->reach;
}

/* What a block must have to hold all of ctx that others may need. */
static inline size_t tuck__block_bytes(const struct tuck__ctx *ctx)
{
	ptrdiff_t reach = tuck__ctx_reach(ctx) - (char *)ctx->sp;
	size_t shadow = TUCK__ASAN && reach > 0 ? (size_t)reach / 8 : 0;

	return reach > 0 ? (size_t)reach - tuck__hole_bytes(ctx) + shadow : 0;
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

/* Have such a block: 0 or -ENOMEM. What was tucked is kept. */
int tuck__ctx_reserve(struct tuck__cache *c, struct tuck__ctx *ctx);

/* Another stack pointer for a suspended context: 0 or -ENOMEM. */
int tuck__ctx_set_sp(struct tuck__cache *c, struct tuck__ctx *ctx, char *sp);

/* Tuck away what lies below end, into the block that was reserved. */
void tuck__ctx_tuck(struct tuck__cache *c, struct tuck__ctx *ctx, char *end);

/* Put all of it back; nobody else has bytes there. */
void tuck__ctx_bring_back(struct tuck__cache *c, struct tuck__ctx *ctx);

/* Other frames than those of now had [p, p + n): their poison is gone. */
void tuck__ctx_left(struct tuck__ctx *ctx, const char *p, size_t n);

/* Call fn for each piece of memory that holds bytes of [from, base). */
int tuck__ctx_ranges(const struct tuck__ctx *ctx, char *from,
		     void (*fn)(void *arg, void *from, void *to), void *arg);

#endif
