/* SPDX-License-Identifier: MIT */
/* Looking into suspended contexts, and changing them: the rest of ctx.h. */
#include <errno.h>
#include <string.h>
#include <unwind.h>

#include "base/mem.h"
#include "ctx/flow.h"
#include "ctx/slices.h"

#define ROOM_TO_UNWIND	8192u	/* for libgcc's unwinder */

/* -- looking -- */

static enum tuck_ctx_state state_of(const struct tuck__flow *f)
{
	if (!f->alive)
		return f->fn ? TUCK_CTX_ENDED : TUCK_CTX_NEW;
	if (f == f->owner->running)
		return TUCK_CTX_RUNNING;
	return f->ctx.tucked ? TUCK_CTX_TUCKED : TUCK_CTX_RESIDENT;
}

int tuck_ctx_info(const struct tuck_ctx *ctx, struct tuck_ctx_info *ret_info)
{
	const struct tuck__flow *f = tuck__flow(ctx);
	const struct tuck__ctx *x;
	const struct tuck__stack *s;
	struct tuck_ctx_info info = { 0 };
	int r = tuck__flow_check(ctx);

	if (r < 0)
		return r;
	TUCK__REQUIRE(ret_info, -EINVAL);
	x = &f->ctx;
	info.state = state_of(f);
	s = f->alive ? x->stack : f->stack;
	info.base = f->alive ? x->base : f->base;
	if (s) {
		info.limit = s->limit;
		info.end = s->base;
	}
	info.shared = f->alive && x->flags & TUCK__CTX_SHARED;
	if (info.state == TUCK_CTX_RESIDENT || info.state == TUCK_CTX_TUCKED)
		info.sp = x->sp;
	if (info.state == TUCK_CTX_TUCKED) {
		info.slice = x->slice;
		info.slice_bytes = x->tucked;
	}
	*ret_info = info;
	return 0;
}

void *tuck_ctx_addr(const struct tuck_ctx *ctx, const void *p)
{
	const struct tuck__flow *f = tuck__flow(ctx);

	return f && f->alive ? tuck__ctx_addr(&f->ctx, p) :
			       (void *)(uintptr_t)p;
}

int tuck_ctx_ranges(const struct tuck_ctx *ctx,
		    void (*fn)(void *arg, void *from, void *to), void *arg)
{
	const struct tuck__flow *f = tuck__flow(ctx);
	int r = tuck__flow_check(ctx);
	char *sp;

	if (r < 0)
		return r;
	TUCK__REQUIRE(fn, -EINVAL);
	if (!f->alive)
		return 0;
	if (tuck__segmented(f))
		return -ENOTSUP;
	if (f != f->owner->running)
		return tuck__ctx_ranges(&f->ctx, f->ctx.sp, fn, arg);
	__builtin_unwind_init();	/* its registers, into this frame */
	sp = (char *)(tuck__arch_sp() & -(uintptr_t)TUCK__ARCH_ALIGN);
	r = tuck__ctx_ranges(&f->ctx, sp, fn, arg);
	__asm__ volatile("" : "+r"(r)); /* the frame is there till now */
	return r;
}

size_t tuck_ctx_frame_bytes(void)
{
	return TUCK__ARCH_FRAME;
}

/* -- changing -- */

int tuck_ctx_set_sp(struct tuck_ctx *ctx, void *sp)
{
	struct tuck__flow *f = tuck__flow(ctx);
	uintptr_t at = (uintptr_t)sp;
	int r = tuck__flow_check_suspended(ctx);

	if (r < 0)
		return r;
	if (tuck__segmented(f))
		return -ENOTSUP;
	if (at % TUCK__ARCH_ALIGN ||
	    at < (uintptr_t)f->ctx.stack->limit + TUCK__STACK_MIN ||
	    at > (uintptr_t)f->ctx.base - TUCK__ARCH_FRAME)
		return -EINVAL;
	r = tuck__ctx_set_sp(&f->owner->cache, &f->ctx, sp);
	if (r == 0)
		f->ret_value = NULL;	/* that of another frame */
	return r;
}

int tuck_ctx_inject(struct tuck_ctx *ctx, void (*fn)(void *), void *arg)
{
	struct tuck__flow *f = tuck__flow(ctx);
	int r = tuck__flow_check_suspended(ctx);

	if (r < 0)
		return r;
	TUCK__REQUIRE(fn, -EINVAL);
	if (tuck__segmented(f))
		return -ENOTSUP;
	if (f->ctx.flags & TUCK__CTX_CALL)
		return -EBUSY;
	if ((uintptr_t)f->ctx.sp <
	    (uintptr_t)f->ctx.stack->limit + TUCK__STACK_MIN)
		return -EINVAL;
	f->call = fn;
	f->call_arg = arg;
	tuck__ctx_call(&f->ctx);
	return 0;
}

/* -- backtraces -- */

/* Not on the caller's stack, which may be tucked away meanwhile (rule S1). */
struct trace {
	struct tuck__flow *caller, *self;
	void *sp;		/* where self waits */
	bool skip;		/* frames before those of the context */
	int n, max;
	void *pcs[];
};

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *frame, void *arg)
{
	struct trace *t = arg;
	uintptr_t pc = (uintptr_t)_Unwind_GetIP(frame);

	if (t->skip)
		t->skip = pc - (uintptr_t)tuck__arch_interject > 64;
	else if (pc && t->n < t->max)
		t->pcs[t->n++] = (void *)pc;
	return t->n < t->max ? _URC_NO_REASON : _URC_END_OF_STACK;
}

/* On the stack of the suspended context; goes back as if never been there. */
static void trace_and_return(void *arg)
{
	struct trace *t = arg;
	struct tuck__thread *th = t->self->owner;

	_Unwind_Backtrace(note_frame, t);
	t->self->ctx.sp = t->sp;
	th->running = t->caller;
	tuck__ctx_leave(&th->cache, t->self->ctx.stack, t->sp, &t->caller->ctx,
			0);
}

/* Have t filled in on the stack of t->self, before any call that waits. */
static int trace_suspended(struct trace *t)
{
	struct tuck__flow *f = t->self, was = *f;
	bool calls = f->ctx.flags & TUCK__CTX_CALL;
	int r;

	f->call = trace_and_return;
	f->call_arg = t;
	f->ret_value = NULL;	/* it gets none */
	tuck__ctx_call(&f->ctx);
	r = tuck__flow_go(f->owner, f, NULL, NULL);
	f->call = was.call;
	f->call_arg = was.call_arg;
	f->ret_value = was.ret_value;
	if (calls)
		tuck__ctx_call(&f->ctx);
	else
		f->ctx.flags &= (uint8_t)~TUCK__CTX_CALL;
	return r;
}

int tuck_ctx_backtrace(struct tuck_ctx *ctx, void **ret_pcs, int n)
{
	struct tuck__flow *f = tuck__flow(ctx);
	struct trace *t;
	int r = tuck__flow_check(ctx);

	if (r < 0)
		return r;
	TUCK__REQUIRE(ret_pcs && n > 0, -EINVAL);
	if (!f->alive)
		return -ESRCH;
	if (f != f->owner->running && tuck__segmented(f))
		return -ENOTSUP;
	if (f != f->owner->running &&
	    (uintptr_t)f->ctx.sp <
		    (uintptr_t)f->ctx.stack->limit + ROOM_TO_UNWIND)
		return -EINVAL;
	t = tuck__alloc(sizeof(*t) + (size_t)n * sizeof(t->pcs[0]));
	if (!t)
		return -ENOMEM;
	*t = (struct trace){ .max = n,
			     .self = f,
			     .caller = f->owner->running,
			     .sp = f->ctx.sp,
			     .skip = f != f->owner->running };
	if (t->skip)
		r = trace_suspended(t);
	else
		_Unwind_Backtrace(note_frame, t);
	memcpy(ret_pcs, t->pcs, (size_t)t->n * sizeof(t->pcs[0]));
	r = r < 0 ? r : t->n;
	tuck__free(t);
	return r;
}
