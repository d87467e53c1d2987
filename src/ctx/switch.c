/* SPDX-License-Identifier: MIT */
/*
 * The switch: make the target resident, which may take bytes of others out of
 * its way, then swap registers. Both ends may lie on one stack, so the middle
 * of a switch that copies runs below the bytes of both.
 *
 * ctx.h has the short way, for targets that are resident; here are the long
 * ways, with what travels in the frame of who waits.
 */
#include <errno.h>
#include <signal.h>

#include "ctx/carry.h"
#include "ctx/chain.h"
#include "ctx/slices.h"
#include "ctx/slots.h"

#define SCRIBBLE	UINT64_C(0xa5a5a5a5a5a5a5a5)

/* -- residence -- */

/* Leave ctx the stack below its base. */
static void make_room(struct tuck__cache *c, struct tuck__ctx *ctx)
{
	struct tuck__stack *s = ctx->stack;
	struct tuck__ctx *x;

	while ((x = s->top) != NULL && x != ctx) {
		x->flags |= TUCK__CTX_ABSENT;
		if (x->base > ctx->base) {
			if ((char *)x->sp < ctx->base)
				tuck__ctx_tuck(c, x, ctx->base);
			break;
		}
		tuck__ctx_tuck(c, x, x->base);
		s->top = x->above;
	}
}

/* Memory where contexts may have been that nobody has told us the end of. */
static bool borrowed(const struct tuck__stack *s)
{
	return s->kind == TUCK__STACK_BORROWED ||
	       s->kind == TUCK__STACK_SEGMENTED;
}

/* Lay the first frame of ctx. */
static void begin(struct tuck__cache *c, struct tuck__ctx *ctx)
{
	void (*fn)(void *) = ctx->fn;
	void *arg = ctx->arg;

	c->started++;
	ctx->slice = NULL;
	ctx->pages = tuck__pages_of(ctx->stack);
	if (TUCK__ASAN && !ctx->stack->top && borrowed(ctx->stack))
		tuck__note_gone(ctx->stack->limit, ctx->base);
	tuck__note_fresh(ctx->base - TUCK__ARCH_FIRST, TUCK__ARCH_FIRST);
	ctx->sp = tuck__arch_prepare(ctx->base, TUCK__FIRST_CALL, fn, arg,
				     c->host->ended);
	ctx->flags &= (uint8_t)~TUCK__CTX_NEW;
}

static int do_call(void *arg)
{
	struct tuck__ctx *ctx = arg;
	struct tuck__cache *c = ctx->stack->owner;
	int value = c->value;

	tuck__note_entry();
	c->host->called(ctx);
	tuck__note_turn(ctx->stack->limit, ctx->stack->base);
	return value;
}

/* Below the frame that ctx waits in. */
static void lay_call(struct tuck__ctx *ctx)
{
	char *sp = ctx->sp, *below = sp - TUCK__ARCH_FIRST;

	tuck__note_fresh(below, TUCK__ARCH_FIRST);
	tuck__arch_prepare_call(below, sp, sp, do_call, ctx);
	ctx->sp = below;
	ctx->flags &= (uint8_t)~TUCK__CTX_CALL;
}

/* Put ctx on top of its stack's chain, whole. */
static void make_resident(struct tuck__cache *c, struct tuck__ctx *ctx)
{
	make_room(c, ctx);
	if (!tuck__ctx_started(ctx))
		begin(c, ctx);
	else if (ctx->tucked)
		tuck__ctx_bring_back(c, ctx);
	if (ctx->stack->top != ctx) {
		ctx->above = ctx->stack->top;
		ctx->stack->top = ctx;
	}
	ctx->flags &= (uint8_t)~TUCK__CTX_ABSENT;
	if (ctx->stack->users == 1 && ctx->stack->kind != TUCK__STACK_SLOT)
		tuck__stop_sharing(ctx);
	if (tuck__unlikely(ctx->flags & TUCK__CTX_CALL))
		lay_call(ctx);
}

/* -- switching -- */

#if TUCK_TORMENT
/* Nothing may depend on a stack staying put: take it away at once. */
static tuck__no_asan void torment(struct tuck__cache *c, struct tuck__ctx *ctx)
{
	char *p = ctx->sp, *end = tuck__ctx_reach(ctx);

	if (p >= end)
		return;
	tuck__ctx_tuck(c, ctx, end);
	if (end == ctx->base)
		tuck__unchain(ctx);
	ctx->flags |= TUCK__CTX_ABSENT;
	for (; p < end; p += 8) {
		uint64_t word = SCRIBBLE;

		__asm__ volatile("" : "+r"(word));
		*(volatile uint64_t *)(void *)p = word;
	}
}

static bool must_reserve(const struct tuck__ctx *ctx)
{
	return ctx->stack->kind == TUCK__STACK_SLOT ||
	       ctx->flags & TUCK__CTX_SHARED;
}
#else
static void torment(struct tuck__cache *c, struct tuck__ctx *ctx)
{
	(void)c, (void)ctx;
}

static bool must_reserve(const struct tuck__ctx *ctx)
{
	return ctx->flags & TUCK__CTX_SHARED;
}
#endif

/* Below what lies on s; the caller runs on from. */
static tuck__noinline void settle_low(const struct tuck__stack *from,
				      struct tuck__ctx *ctx)
{
	const uintptr_t frames = TUCK__ARCH_FRAME + 256; /* of our own */
	struct tuck__stack *s = ctx->stack;
	uintptr_t low;

	if (s == from)
		low = tuck__arch_sp() - frames;
	else
		low = (uintptr_t)(s->top ? s->top->sp : s->base);
	ctx->base = (char *)(low & -(uintptr_t)TUCK__ARCH_ALIGN);
	if (s->reach < ctx->base)
		s->reach = ctx->base;
}

/* Where ctx, which starts, has its base. */
static tuck__noinline void settle(struct tuck__cache *c,
				  const struct tuck__stack *from,
				  struct tuck__ctx *ctx)
{
	if (tuck__likely(!ctx->stack)) {
		ctx->stack = tuck__slots_take(c, ctx);
		ctx->base = ctx->stack->base;
	} else if (ctx->flags & TUCK__CTX_LOW) {
		settle_low(from, ctx);
	}
}

/* It does not start after all. */
static void unsettle(struct tuck__cache *c, struct tuck__ctx *ctx)
{
	if (tuck__ctx_started(ctx))
		return;
	if (ctx->flags & TUCK__CTX_PROMISED)
		tuck__slots_untake(c, ctx);
	if (ctx->flags & TUCK__CTX_LOW)
		ctx->base = NULL;
}

/* There is no memory to tuck from away: it runs on. */
static tuck__no_tsan struct tuck__landing stay(struct tuck__cache *c,
					       struct tuck__ctx *from,
					       struct tuck__ctx *to)
{
	unsettle(c, to);
	*c->err = from->err;
	tuck__note_refusal(&from->annotated, from->stack->limit,
			   from->stack->base);
	return (struct tuck__landing){ from->sp, c->host->stay(from, to) };
}

/*
 * The middle of a slow switch. It runs below the bytes of both contexts, so
 * it may move either.
 */
static tuck__no_tsan struct tuck__landing exchange(void *cache, void *ctx)
{
	struct tuck__cache *c = cache;
	struct tuck__ctx *to = ctx, *from = c->leaving;
	uint64_t copied = c->copied_bytes;

	if (!from)
		tuck__note_gone(c->dead_sp, c->dead_base);
	else if (must_reserve(from)) {
		if (tuck__unlikely(!tuck__ctx_has_room(from)) &&
		    tuck__ctx_reserve(c, from) < 0)
			return stay(c, from, to);
		torment(c, from);
	}
	if (to->flags & TUCK__CTX_ABSENT)
		make_resident(c, to);
	c->copied_switches += c->copied_bytes != copied;
	tuck__note_landing();
	return (struct tuck__landing){ to->sp, c->value };
}

/* Below what to has, or will have, on the stack that runs now. */
static void *low_end(const struct tuck__stack *from, const struct tuck__ctx *to)
{
	char *low;

	if (to->stack != from)
		return (void *)UINTPTR_MAX;
	low = tuck__ctx_started(to) ? to->sp : to->base;
	return low - TUCK__ARCH_FIRST;
}

/* On its alternate stack; no allocation is safe then. */
static bool in_handler(void)
{
	stack_t now;

	return sigaltstack(NULL, &now) == 0 && now.ss_flags & SS_ONSTACK;
}

/* The native stack's limit may have been raised since it was looked at. */
tuck__cold bool tuck__ctx_has_moved(const struct tuck__ctx *ctx)
{
	const struct tuck__stack *s = ctx->stack;

	if (s->kind == TUCK__STACK_SEGMENTED)
		return true;
	if (s->kind != TUCK__STACK_NATIVE || in_handler())
		return false;
	tuck__stack_find_native(s->owner);
	return tuck__ctx_in_place(ctx);
}

static tuck__cold void misplaced(const struct tuck__ctx *from)
{
	if (tuck__ctx_has_moved(from))
		return;
	tuck__fatal("a switch on a stack that is not the tasklet's own: inside "
		    "a signal handler, in a context of tuck/ctx.h on another "
		    "stack, below a frame that leapt over the guard, or after "
		    "a longjmp out of a tasklet?");
}

static inline void check_place(const struct tuck__ctx *from)
{
	if (tuck__unlikely(!tuck__ctx_in_place(from)))
		misplaced(from);
}

void tuck__ctx_check_place(const struct tuck__ctx *ctx)
{
	check_place(ctx);
}

/*
 * The switch itself, away from stack and, unless it has ended, from. Inlined
 * for ThreadSanitizer, to which the caller goes on as another fiber.
 */
tuck__annotation int pass(struct tuck__cache *c,
			  const struct tuck__stack *stack,
			  struct tuck__ctx *from, struct tuck__ctx *to,
			  int value)
{
	if (tuck__unlikely(!tuck__ctx_started(to)))
		settle(c, stack, to);
	c->leaving = from;
	c->value = value;
	*c->err = to->err;
	tuck__note_departure(from ? &from->annotated : NULL, &to->annotated,
			     to->stack->limit, to->stack->base);
	return tuck__arch_switch_via(from ? &from->sp : &c->dead_sp,
				     low_end(stack, to), exchange, c, to);
}

static int switch_now(struct tuck__cache *c, struct tuck__ctx *from,
		      struct tuck__ctx *to, int value)
{
	check_place(from);
	from->err = *c->err;
	value = pass(c, from->stack, from, to, value);
	return tuck__note_arrival(&from->annotated, value);
}

struct kept_eh {
	struct tuck__eh *at, eh;
};

/* When the switch has returned, or an exception passes it. */
static void put_eh_back(struct kept_eh *kept)
{
	unsigned int now = kept->at->uncaught;

	*kept->at = kept->eh;
	kept->at->uncaught += now;
}

/* C++ keeps what is being caught per thread: it travels in this frame. */
static tuck__noinline int switch_inside_catch(struct tuck__cache *c,
					      struct tuck__ctx *from,
					      struct tuck__ctx *to, int value)
{
	struct kept_eh kept __attribute__((__cleanup__(put_eh_back),
					   __unused__)) = { c->eh, *c->eh };

	*c->eh = c->no_cxx;
	return switch_now(c, from, to, value);
}

static inline int switch_with_cxx(struct tuck__cache *c, struct tuck__ctx *from,
				  struct tuck__ctx *to, int value)
{
	if (tuck__unlikely(c->eh->caught || c->eh->uncaught))
		return switch_inside_catch(c, from, to, value);
	return switch_now(c, from, to, value);
}

/* The program's own bytes travel in this frame. */
static tuck__noinline int switch_with_slots(struct tuck__cache *c,
					    struct tuck__ctx *from,
					    struct tuck__ctx *to, int value)
{
	struct tuck__carried kept __attribute__((__cleanup__(tuck__carry_in)));

	tuck__carry_out(&kept);
	return switch_with_cxx(c, from, to, value);
}

static inline int switch_carrying(struct tuck__cache *c, struct tuck__ctx *from,
				  struct tuck__ctx *to, int value)
{
	if (tuck__unlikely(tuck__carry_bytes()))
		return switch_with_slots(c, from, to, value);
	return switch_with_cxx(c, from, to, value);
}

static tuck__noinline int switch_watched(struct tuck__cache *c,
					 struct tuck__ctx *from,
					 struct tuck__ctx *to, int value)
{
	c->host->switching(from);
	return switch_carrying(c, from, to, value);
}

int tuck__ctx_switch_slow(struct tuck__cache *c, struct tuck__ctx *from,
			  struct tuck__ctx *to, int value)
{
	if (tuck__unlikely(c->watched))
		return switch_watched(c, from, to, value);
	return switch_carrying(c, from, to, value);
}

void tuck__ctx_leave(struct tuck__cache *c, struct tuck__stack *stack,
		     char *base, struct tuck__ctx *to, int value)
{
	*c->eh = c->no_cxx;
	if (tuck__carry_bytes())
		tuck__carry_out(NULL);
	if (TUCK__CTX_PLAIN && !(to->flags & TUCK__CTX_ABSENT)) {
		*c->err = to->err;
		tuck__arch_switch(&c->dead_sp, to->sp, value);
	}
	c->dead_base = base;
	pass(c, stack, NULL, to, value);
	__builtin_unreachable();
}
