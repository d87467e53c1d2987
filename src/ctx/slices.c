/* SPDX-License-Identifier: MIT */
/*
 * Slices: the copying, and what lies where.
 *
 * A slice holds [sp, base) of its context without the hole: first what lies
 * below the hole, then what lies above it; under AddressSanitizer the shadow
 * bytes lie at the block's end, in reverse order. Of a context that is only
 * overlapped in part, [sp, sp + tucked) is in the slice and the rest still on
 * the stack.
 */
#include <errno.h>
#include <string.h>

#include "ctx/slices.h"

#define HOLE_MIN	64u	/* smaller ones are not worth two copies */

/*
 * AddressSanitizer's memcpy() would report poison that is in order, and that
 * of MemorySanitizer is what copies its shadow.
 */
#define RAW		TUCK__ASAN
#define INTERCEPTED	TUCK__MSAN

#define FEW		256u	/* bytes: a call of memcpy() costs as much */

/* -- copying -- */

/*
 * n is a multiple of two words or, where a stack is aligned so, of one. from
 * is hidden from the compiler, which would make a call of either loop.
 */
static tuck__no_asan void copy_words(char *to, const char *from, size_t n)
{
	const size_t w = sizeof(uintptr_t);
	uintptr_t a, b;

	for (; n >= 2 * w; n -= 2 * w, to += 2 * w, from += 2 * w) {
		__asm__ volatile("" : "+r"(from));
		__builtin_memcpy(&a, from, w);
		__builtin_memcpy(&b, from + w, w);
		__builtin_memcpy(to, &a, w);
		__builtin_memcpy(to + w, &b, w);
	}
	if (n)
		__builtin_memcpy(to, from, w);
}

/* As wide as any CPU with 16-byte stacks has it. */
static inline void copy_wide(char *to, const char *from, size_t n)
{
	typedef uint64_t pair __attribute__((__vector_size__(16)));
	pair a, b, c, d;

	for (; n >= 64; n -= 64, to += 64, from += 64) {
		__asm__ volatile("" : "+r"(from));
		__builtin_memcpy(&a, from, 16);
		__builtin_memcpy(&b, from + 16, 16);
		__builtin_memcpy(&c, from + 32, 16);
		__builtin_memcpy(&d, from + 48, 16);
		__builtin_memcpy(to, &a, 16);
		__builtin_memcpy(to + 16, &b, 16);
		__builtin_memcpy(to + 32, &c, 16);
		__builtin_memcpy(to + 48, &d, 16);
	}
	for (; n; n -= 16, to += 16, from += 16) {
		__asm__ volatile("" : "+r"(from));
		__builtin_memcpy(&a, from, 16);
		__builtin_memcpy(to, &a, 16);
	}
}

static inline void copy(char *to, const char *from, size_t n)
{
	if (RAW)
		copy_words(to, from, n);
	else if (INTERCEPTED || n > FEW)
		memcpy(to, from, n);
	else if (sizeof(uintptr_t) < 8 || TUCK__ARCH_ALIGN < 16)
		copy_words(to, from, n);	/* 16 bytes are too wide */
	else
		copy_wide(to, from, n);
}

#if TUCK__ASAN
static inline char *shadow_of(const void *p)
{
	size_t scale, offset;

	__asan_get_shadow_mapping(&scale, &offset);
	return (char *)(((uintptr_t)p >> scale) + offset);
}
#endif

/* -- geometry -- */

static inline char *hole_start(const struct tuck__ctx *ctx)
{
	return ctx->base - (size_t)ctx->hole_from * TUCK__HOLE_UNIT;
}

static inline char *hole_end(const struct tuck__ctx *ctx)
{
	return ctx->base - (size_t)ctx->hole_to * TUCK__HOLE_UNIT;
}

size_t tuck__ctx_slice_bytes(const struct tuck__ctx *ctx)
{
	return ctx->tucked ? ctx->tucked - tuck__hole_bytes(ctx) : 0;
}

/* The place in the slice of a byte at p, which is not in the hole. */
static inline char *place_in_slice(const struct tuck__ctx *ctx, const char *p)
{
	size_t at = (size_t)(p - (char *)ctx->sp);

	if (tuck__unlikely(tuck__hole_bytes(ctx) && p >= hole_end(ctx)))
		at -= tuck__hole_bytes(ctx);
	return ctx->slice + at;
}

/* -- tucking away and bringing back -- */

#if TUCK__ASAN
/*
 * Where the shadow of the byte at p is kept. From the end, so that no place
 * depends on how much is tucked.
 */
static inline char *kept_shadow(const struct tuck__ctx *ctx, const char *p)
{
	return ctx->slice + tuck__slice_room(ctx) - 1 -
	       (p - (const char *)ctx->sp) / 8;
}

/* All that is tucked of ctx is free of poison. */
static inline void clear_kept_shadow(struct tuck__ctx *ctx)
{
	memset(kept_shadow(ctx, (char *)ctx->sp + ctx->tucked) + 1, 0,
	       ctx->tucked / 8);
}
#else
static inline void clear_kept_shadow(struct tuck__ctx *ctx)
{
	(void)ctx;
}
#endif

/* A block for ctx as it is, with what it has tucked already. */
static int new_block(struct tuck__cache *c, struct tuck__ctx *ctx)
{
	char *old = ctx->slice;
	size_t shadow = TUCK__ASAN ? ctx->tucked / 8 : 0;
	uint32_t cls;
	char *block = NULL;

	if (tuck__block_bytes(ctx) <= UINT32_MAX)
		block = tuck__slice_get(&c->slices, tuck__block_bytes(ctx),
					&cls);
	if (!block)
		return -ENOMEM;
	if (ctx->tucked) {
		memcpy(block, old, tuck__ctx_slice_bytes(ctx));
		memcpy(block + tuck__slice_class_bytes(cls) - shadow,
		       old + tuck__slice_room(ctx) - shadow, shadow);
	}
	tuck__slice_put(&c->slices, old, ctx->slice_class);
	ctx->slice = block;
	ctx->slice_class = cls;
	return 0;
}

int tuck__ctx_reserve(struct tuck__cache *c, struct tuck__ctx *ctx)
{
	if (tuck__ctx_has_room(ctx) || new_block(c, ctx) == 0)
		return 0;
	return tuck__block_bytes(ctx) <= tuck__slice_room(ctx) ? 0 : -ENOMEM;
}

/* The same tucked bytes in the same block, which begins at sp now. */
static void shift_slice(struct tuck__ctx *ctx, char *sp)
{
	char *end = (char *)ctx->sp + ctx->tucked;
	ptrdiff_t up = (char *)ctx->sp - sp;
	char *shadow_end = ctx->slice + tuck__slice_room(ctx);
	size_t skip = up < 0 ? (size_t)-up : 0, grow = up > 0 ? (size_t)up : 0;
	size_t n = ctx->tucked - skip;

	memmove(ctx->slice + grow, ctx->slice + skip, n);
	if (TUCK__ASAN) {
		memmove(shadow_end - grow / 8 - n / 8,
			shadow_end - skip / 8 - n / 8, n / 8);
		memset(shadow_end - grow / 8, 0, grow / 8);
	}
	ctx->sp = sp;
	ctx->tucked = (uint32_t)(end - sp);
}

/*
 * Whose bytes are all on the stack: the new ones, too, as far as nobody else
 * may lie there, and those below in the slice.
 */
static void grow_down(struct tuck__ctx *ctx, char *sp)
{
	char *was = ctx->sp, *end = tuck__ctx_reach(ctx);

	if (!(ctx->flags & TUCK__CTX_SHARED) ||
	    !(ctx->flags & TUCK__CTX_ABSENT) || end < sp)
		end = sp;
	if (end > was)
		end = was;
	ctx->sp = sp;
	ctx->tucked = (uint32_t)(end - sp);
	if (ctx->tucked)
		clear_kept_shadow(ctx);
	tuck__note_gone(end, was);
	tuck__note_fresh(end, (size_t)(was - end));
}

static int lower_sp(struct tuck__cache *c, struct tuck__ctx *ctx, char *sp)
{
	char *was = ctx->sp;
	int r = 0;

	/* Room first, for as many bytes as it will have. */
	ctx->sp = sp;
	if (ctx->tucked || ctx->flags & TUCK__CTX_SHARED)
		r = tuck__ctx_reserve(c, ctx);
	ctx->sp = was;
	if (r < 0)
		return r;
	if (ctx->tucked)
		shift_slice(ctx, sp);
	else
		grow_down(ctx, sp);
	return 0;
}

int tuck__ctx_set_sp(struct tuck__cache *c, struct tuck__ctx *ctx, char *sp)
{
	char *end = (char *)ctx->sp + ctx->tucked;

	TUCK__ASSERT(!ctx->tucked || !tuck__hole_bytes(ctx));
	if (sp < (char *)ctx->sp)
		return lower_sp(c, ctx, sp);
	if (sp < end) {
		shift_slice(ctx, sp);
	} else {
		tuck__note_gone(end, sp);
		ctx->sp = sp;
		ctx->tucked = 0;
	}
	return 0;
}

/* Move [from, to) of the stack, where no hole is, out of it or into it. */
static inline void move_piece(struct tuck__ctx *ctx, char *from, char *to,
			      bool out)
{
	if (from >= to)
		return;
	if (out)
		copy(place_in_slice(ctx, from), from, (size_t)(to - from));
	else
		copy(from, place_in_slice(ctx, from), (size_t)(to - from));
}

static tuck__noinline void move_around_hole(struct tuck__ctx *ctx, char *from,
					    char *to, bool out)
{
	char *start = hole_start(ctx), *end = hole_end(ctx);

	move_piece(ctx, from, to < start ? to : start, out);
	move_piece(ctx, from > end ? from : end, to, out);
}

static inline void move(struct tuck__ctx *ctx, char *from, char *to, bool out)
{
	if (tuck__unlikely(tuck__hole_bytes(ctx)))
		move_around_hole(ctx, from, to, out);
	else
		move_piece(ctx, from, to, out);
}

#if TUCK__ASAN
static tuck__no_asan void move_shadow(struct tuck__ctx *ctx, char *from,
				      char *to, bool out)
{
	char *kept = kept_shadow(ctx, from);
	char *shadow = shadow_of(from);

	for (size_t i = 0; i < (size_t)(to - from) / 8; i++) {
		if (out) {
			*kept-- = shadow[i];
			shadow[i] = 0;
		} else {
			shadow[i] = *kept--;
		}
	}
}
#else
static inline void move_shadow(struct tuck__ctx *ctx, char *from, char *to,
			       bool out)
{
	(void)ctx, (void)from, (void)to, (void)out;
}
#endif

void tuck__ctx_tuck(struct tuck__cache *c, struct tuck__ctx *ctx, char *end)
{
	char *from = (char *)ctx->sp + ctx->tucked;

	if (from >= end)
		return;
	TUCK__ASSERT(tuck__block_bytes(ctx) <= tuck__slice_room(ctx));
	move(ctx, from, end, true);
	move_shadow(ctx, from, end, true);
	ctx->tucked = (uint32_t)(end - (char *)ctx->sp);
	ctx->stack->traffic++;
	c->copied_bytes += (size_t)(end - from);
}

void tuck__ctx_bring_back(struct tuck__cache *c, struct tuck__ctx *ctx)
{
	char *from = ctx->sp, *end = from + ctx->tucked;

	tuck__note_fresh(from, ctx->tucked);
	move(ctx, from, end, false);
	move_shadow(ctx, from, end, false);
	c->copied_bytes += ctx->tucked;
	ctx->tucked = 0;
}

/* -- looking into a suspended context -- */

static size_t least(ptrdiff_t a, size_t b)
{
	return (size_t)a < b ? (size_t)a : b;
}

/*
 * How many bytes from p on lie in one piece, of at most n, and where: NULL
 * for the hole of a tucked context, which lies nowhere.
 */
static size_t piece(const struct tuck__ctx *ctx, const char *p, size_t n,
		    char **ret_at)
{
	const char *from = hole_start(ctx), *to = hole_end(ctx);
	const char *sp = ctx->sp, *end;

	*ret_at = (char *)(uintptr_t)p;
	if (!ctx->tucked)	/* and sp may be null */
		return n;
	end = sp + ctx->tucked;
	if (p < sp || p >= end)
		return p < sp ? least(sp - p, n) : n;
	if (p >= from && p < to) {
		*ret_at = NULL;
		return least((to < end ? to : end) - p, n);
	}
	*ret_at = place_in_slice(ctx, p);
	return least((p < from && from < end ? from : end) - p, n);
}

char *tuck__ctx_addr(const struct tuck__ctx *ctx, const void *p)
{
	char *at;

	piece(ctx, p, 1, &at);
	return at;
}

void tuck__ctx_read(const struct tuck__ctx *ctx, void *to, const void *from,
		    size_t n)
{
	for (size_t done = 0, k; done < n; done += k) {
		char *at;

		k = piece(ctx, (const char *)from + done, n - done, &at);
		if (at)
			memcpy((char *)to + done, at, k);
		else
			memset((char *)to + done, 0, k);
	}
}

void tuck__ctx_write(const struct tuck__ctx *ctx, void *to, const void *from,
		     size_t n)
{
	for (size_t done = 0, k; done < n; done += k) {
		char *at;

		k = piece(ctx, (char *)to + done, n - done, &at);
		if (at)
			memcpy(at, (const char *)from + done, k);
	}
}

void tuck__ctx_hole(struct tuck__ctx *ctx, const void *p, size_t n)
{
	uintptr_t base = (uintptr_t)ctx->base, at = (uintptr_t)p;
	uintptr_t from, to;

	tuck__ctx_unhole(ctx);
	if (n < HOLE_MIN || at < tuck__arch_sp() || at >= base ||
	    n > base - at || base - at >= 65535 * (uintptr_t)TUCK__HOLE_UNIT)
		return;
	from = (base - at) / TUCK__HOLE_UNIT;
	to = (base - at - n + TUCK__HOLE_UNIT - 1) / TUCK__HOLE_UNIT;
	if (from > to) {
		ctx->hole_from = (uint16_t)from;
		ctx->hole_to = (uint16_t)to;
	}
}

void tuck__ctx_left(struct tuck__ctx *ctx, const char *p, size_t n)
{
#if TUCK__ASAN
	for (size_t i = 0; i < n; i += 8)
		if (p + i >= (char *)ctx->sp &&
		    p + i < (char *)ctx->sp + ctx->tucked)
			*kept_shadow(ctx, p + i) = 0;
		else
			tuck__note_gone(p + i, p + i + 8);
#else
	(void)ctx, (void)p, (void)n;
#endif
}

int tuck__ctx_ranges(const struct tuck__ctx *ctx, char *from,
		     void (*fn)(void *arg, void *from, void *to), void *arg)
{
	int n = 0;

	for (size_t k; from < ctx->base; from += k) {
		char *at;

		k = piece(ctx, from, (size_t)(ctx->base - from), &at);
		if (at) {
			fn(arg, at, at + k);
			n++;
		}
	}
	return n;
}
