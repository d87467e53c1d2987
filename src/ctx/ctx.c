/* SPDX-License-Identifier: MIT */
/*
 * Contexts that share stacks: a context that is not running lies on its
 * stack (*resident*) or its bytes are tucked away in a heap block, its
 * *slice*, and are put back at the same addresses before it runs. After
 * Stackless Python's stack slicing (Tismer, 2002) and greenlet.
 *
 * Each stack keeps a chain of the contexts that have bytes on it, smallest
 * base first. To run, a context must be on top of that chain: those with a
 * base not above its own are tucked whole, the next one as far as it is
 * overlapped. A slot, whose contexts have one base, is the simple case: the
 * chain has one link.
 *
 * Invariants:
 * 1. A context that is not marked ABSENT is its chain's top and lies whole
 *    on its stack. So a switch to it copies nothing.
 * 2. Bytes of different contexts in a chain do not overlap: each one's
 *    resident bytes [sp + tucked, base) end where those of the next begin,
 *    or below.
 * 3. A suspended context that others share the stack with has a block for
 *    what they may overlap, all of [sp, reach) less its hole, from before
 *    anybody may need its place: nothing on the way of a switch allocates
 *    for another context than the one that leaves.
 *
 * Rules that slicing imposes on all of the library; other files cite them.
 * S1  No pointer into a tasklet's stack is followed while it is suspended,
 *     except through tuck__ctx_addr() and its kin. Wait queue nodes, select
 *     cases and timers live in the tasklet, not on its stack.
 * S2  Elements cross a channel through its own cells, or through S1's
 *     translation on the same proc; never blindly stack to stack.
 * S3  The kernel and other threads never hold a buffer on a suspended
 *     tasklet's stack: wait for readiness, then call.
 * S4  A started tasklet lives and dies on its proc: its addresses, errno
 *     and thread-locals are that thread's.
 * S5  The frame is paid at each switch: functions that can switch are
 *     small, without alloca or variable-length arrays.
 * S6  Nothing runs on a dying tasklet's stack after its last switch.
 * S7  No switch while a lock of ours is held, or inside a signal handler.
 * S8  The switch is a .S file with CFI and a note against executable
 *     stacks; it keeps the floating-point control words.
 * S9  Calls return negative errno values; errno is kept per tasklet.
 * S10 Sanitizers are part of the contract: shadow bytes travel with slices.
 *
 * Why not otherwise: copying on a separate scheduler stack costs two
 * switches instead of one; copying eagerly at each switch costs two copies
 * where often none is needed; swapping page tables (mremap) costs a system
 * call and a TLB flush, more than copying some hundred bytes.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "ctx/carry.h"
#include "ctx/ctx.h"
#include "ctx/slices.h"
#include "ctx/slots.h"

#define SCRIBBLE	UINT64_C(0xa5a5a5a5a5a5a5a5)

void __asan_init(void) __attribute__((__weak__));

/*
 * For the check of each switch that it is on the right stack, in units of
 * 4 KiB; none if it must take the long way.
 */
static uint16_t pages_of(const struct tuck__stack *s)
{
	size_t pages = (size_t)(s->base - s->limit) / 4096 + 1;

	if (tuck__carry_bytes() || s->owner->watched)
		return 0;
	return pages < UINT16_MAX ? (uint16_t)pages : UINT16_MAX;
}

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

void tuck__ctx_watch(struct tuck__ctx *ctx)
{
	if (tuck__ctx_started(ctx))
		ctx->pages = pages_of(ctx->stack);
}

static void unchain(struct tuck__ctx *ctx)
{
	struct tuck__ctx **at = &ctx->stack->top;

	while (*at && *at != ctx)
		at = &(*at)->above;
	if (*at)
		*at = ctx->above;
}

/* Lay the first frame of ctx. */
static void begin(struct tuck__cache *c, struct tuck__ctx *ctx)
{
	void (*fn)(void *) = ctx->fn;
	void *arg = ctx->arg;

	c->started++;
	ctx->slice = NULL;
	ctx->pages = pages_of(ctx->stack);
	tuck__note_fresh(ctx->base - TUCK__ARCH_FIRST, TUCK__ARCH_FIRST);
	ctx->sp = tuck__arch_prepare(ctx->base, tuck__note_start, fn, arg,
				     c->host->ended);
	ctx->flags &= (uint8_t)~TUCK__CTX_NEW;
}

static int do_call(void *arg)
{
	struct tuck__ctx *ctx = arg;
	struct tuck__cache *c = ctx->stack->owner;
	int value = c->value;

	tuck__fiber_arrived();
	c->host->called(ctx);
	tuck__fiber_stay(ctx->stack);
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

/* Of the last one on its stack, which lies there whole. */
static void stop_sharing(struct tuck__ctx *ctx)
{
	ctx->flags &= (uint8_t)~TUCK__CTX_SHARED;
	ctx->stack->reach = NULL;
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
		stop_sharing(ctx);
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
		unchain(ctx);
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
		tuck__ctx_clean(c->dead_sp, c->dead_base);
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

/* A signal handler on its alternate stack must not switch (rule S7). */
static void check_place(const struct tuck__ctx *from)
{
	uintptr_t sp = tuck__arch_sp();

	if (from->stack->kind == TUCK__STACK_SEGMENTED)
		return;
	if (sp < (uintptr_t)from->stack->limit || sp > (uintptr_t)from->base)
		tuck__fatal("a switch on a stack that is not the tasklet's "
			    "own: inside a signal handler, below a frame that "
			    "leapt over the guard, or after a longjmp out of "
			    "a tasklet?");
}

/* The switch itself. */
static int switch_now(struct tuck__cache *c, struct tuck__ctx *from,
		      struct tuck__ctx *to, int value)
{
	check_place(from);
	if (tuck__unlikely(!tuck__ctx_started(to)))
		settle(c, from->stack, to);
	c->leaving = from;
	c->value = value;
	from->err = *c->err;
	*c->err = to->err;
	tuck__note_departure(&from->annotated, &to->annotated, to->stack->limit,
			     to->stack->base);
	return tuck__note_arrival(
		&from->annotated,
		tuck__arch_switch_via(&from->sp, low_end(from->stack, to),
				      exchange, c, to));
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
	*c->err = to->err;
	if (tuck__carry_bytes())
		tuck__carry_out(NULL);
	if (TUCK__CTX_PLAIN && !(to->flags & TUCK__CTX_ABSENT))
		tuck__arch_switch(&c->dead_sp, to->sp, value);
	if (!tuck__ctx_started(to))
		settle(c, stack, to);
	c->leaving = NULL;
	c->value = value;
	c->dead_base = base;
	tuck__note_departure(NULL, &to->annotated, to->stack->limit,
			     to->stack->base);
	tuck__arch_switch_via(&c->dead_sp, low_end(stack, to), exchange, c, to);
	__builtin_unreachable();
}

/* -- life -- */

void tuck__cache_init(struct tuck__cache *c, const struct tuck__host *host,
		      const struct tuck_config *config)
{
	if (!TUCK__ASAN && __asan_init)
		tuck__fatal("the program has AddressSanitizer and this library "
			    "has not: build it with -Db_sanitize=address");
	if (tuck__arch_has_shadow_stack())
		tuck__fatal("this thread has a shadow stack, which cannot be "
			    "tucked away: link without -z shstk, or set "
			    "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off (on arm64 "
			    "glibc.cpu.aarch64_gcs=0)");

	*c = (struct tuck__cache){
		.err = &errno,
		.eh = tuck__cxx_globals(),
		.host = host,
		.slot_bytes = tuck__whole_pages(config->slot_bytes),
		.guard_bytes = tuck__whole_pages(config->guard_bytes),
		.slots_max = (uint32_t)config->stack_slots,
		.dice = (uint32_t)config->seed,
	};
	if (!c->eh)
		c->eh = &c->no_cxx;
	tuck__stack_find_native(c);
	tuck__carry_freeze();
}

void tuck__cache_fini(struct tuck__cache *c)
{
	tuck__overflow_unwatch(c);
	tuck__stack_free(c->doomed);
	c->doomed = NULL;
	tuck__slots_fini(c);
	tuck__fibers_fini(&c->fibers);
	tuck__slice_pool_fini(&c->slices);
}

void tuck__ctx_init_native(struct tuck__cache *c, struct tuck__ctx *ctx)
{
	*ctx = (struct tuck__ctx){
		.base = c->native.base,
		.stack = &c->native,
		.pages = pages_of(&c->native),
	};
	tuck__fibers_init(&c->fibers, &ctx->annotated);
	c->native.top = ctx;
	c->native.users = 1;
	tuck__overflow_watch(c);
}

static int init(struct tuck__cache *c, struct tuck__ctx *ctx,
		struct tuck__stack *stack, void (*fn)(void *), void *arg)
{
	*ctx = (struct tuck__ctx){
		.fn = fn,
		.arg = arg,
		.flags = TUCK__CTX_ABSENT | TUCK__CTX_NEW,
		.base = stack ? stack->base : NULL,
		.stack = stack,
	};
	return tuck__fiber_take(&c->fibers, &ctx->annotated);
}

int tuck__ctx_admit(struct tuck__cache *c, struct tuck__ctx *ctx,
		    struct tuck__ctx *running, void (*fn)(void *), void *arg)
{
	if (tuck__slots_promise(c, running) < 0)
		return -ENOMEM;
	if (init(c, ctx, NULL, fn, arg) < 0) {
		tuck__slots_release(c);
		return -ENOMEM;
	}
	ctx->flags |= TUCK__CTX_PROMISED;
	return 0;
}

int tuck__ctx_admit_own(struct tuck__cache *c, struct tuck__ctx *ctx,
			size_t stack_bytes, void (*fn)(void *), void *arg)
{
	struct tuck__stack *s = tuck__stack_new(c, stack_bytes);

	if (!s)
		return -ENOMEM;
	s->users = 1;
	if (init(c, ctx, s, fn, arg) == 0)
		return 0;
	tuck__stack_free(s);
	return -ENOMEM;
}

/*
 * Somebody will have this base on s: those who have bytes below it must be
 * ready to be tucked that far.
 */
static int extend_reach(struct tuck__cache *c, struct tuck__stack *s,
			const struct tuck__ctx *running, char *base)
{
	char *before = s->reach;
	struct tuck__ctx *x;

	if (s->reach < base)
		s->reach = base;
	for (x = s->top; x; x = x->above) {
		if (x != running && tuck__ctx_reserve(c, x) < 0) {
			s->reach = before;
			return -ENOMEM;
		}
		x->flags |= TUCK__CTX_SHARED;
	}
	return 0;
}

int tuck__ctx_admit_on(struct tuck__cache *c, struct tuck__ctx *ctx,
		       struct tuck__ctx *running, struct tuck__stack *s,
		       char *base, void (*fn)(void *), void *arg)
{
	bool shared = s->users > 0;

	if (shared && extend_reach(c, s, running, base) < 0)
		return -ENOMEM;
	if (init(c, ctx, s, fn, arg) < 0)
		return -ENOMEM;
	ctx->base = base;
	ctx->flags |= (base ? 0 : TUCK__CTX_LOW) |
		      (shared ? TUCK__CTX_SHARED : 0);
	s->users++;
	return 0;
}

static void leave_stack(struct tuck__stack *s)
{
	struct tuck__ctx *last = s->top;

	if (--s->users == 1 && last && !(last->flags & TUCK__CTX_ABSENT))
		stop_sharing(last);
	else if (s->users == 0)
		s->reach = NULL;
}

void tuck__ctx_retire(struct tuck__cache *c, struct tuck__ctx *ctx)
{
	struct tuck__stack *s = ctx->stack;

	tuck__fiber_put(&c->fibers, &ctx->annotated);
	if (!s) {
		tuck__slots_release(c);
		return;
	}
	if (s == &c->native && ctx->base == s->base)
		return;		/* the thread's main one */
	if (tuck__ctx_started(ctx)) {
		tuck__ctx_clean((char *)ctx->sp + ctx->tucked, ctx->base);
		unchain(ctx);
		tuck__slice_put(&c->slices, ctx->slice, ctx->slice_class);
		ctx->slice = NULL;
	}
	if (s->kind == TUCK__STACK_SLOT) {
		tuck__slots_leave(c, s);
	} else if (s->kind == TUCK__STACK_OWN) {
		tuck__stack_free(c->doomed);
		c->doomed = s;
	} else {
		leave_stack(s);
	}
}
