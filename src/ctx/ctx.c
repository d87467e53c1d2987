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
#include "ctx/chain.h"
#include "ctx/slices.h"
#include "ctx/slots.h"

void __asan_init(void) __attribute__((__weak__));

void tuck__ctx_watch(struct tuck__ctx *ctx)
{
	if (tuck__ctx_started(ctx))
		ctx->pages = tuck__pages_of(ctx->stack);
}

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
	};
	tuck__ctx_watch(ctx);
	tuck__fibers_init(&ctx->annotated);
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

void tuck__ctx_init_none(struct tuck__ctx *ctx)
{
	*ctx = (struct tuck__ctx){ .flags = TUCK__CTX_ABSENT | TUCK__CTX_NEW };
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
		tuck__stop_sharing(last);
	else if (s->users == 0)
		s->reach = NULL;
}

void tuck__ctx_retire(struct tuck__cache *c, struct tuck__ctx *ctx)
{
	struct tuck__stack *s = ctx->stack;

	tuck__fiber_put(&c->fibers, &ctx->annotated);
	if (!s) {
		if (ctx->flags & TUCK__CTX_PROMISED)
			tuck__slots_release(c);
		return;
	}
	if (s == &c->native && ctx->base == s->base)
		return;		/* the thread's main one */
	if (tuck__ctx_started(ctx)) {
		tuck__note_gone((char *)ctx->sp + ctx->tucked, ctx->base);
		tuck__unchain(ctx);
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
