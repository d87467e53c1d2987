/* SPDX-License-Identifier: MIT */
/*
 * POSIX's ucontext over the contexts of ctx.h.
 *
 * A struct tuck_ucontext is two things: a *point*, where some context can be
 * resumed, and the place for a context of its own, which makecontext() makes.
 * swapcontext() keeps the point of a context in whatever struct it is given,
 * often the one in which that context was made, so keeping a point leaves the
 * own context alone.
 *
 * A point that a context waits at, since it called swapcontext(), is resumed
 * by a plain switch to that context, which is told by the place where it wants
 * its value. Any other (of getcontext(), or for a second time) is jumped to:
 * the context's stack pointer is set to it, and
 * the registers kept in the point are put back there.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <tuck/ucontext.h>

#include "ctx/flow.h"
#include "ctx/slices.h"

struct point {
	void *gets;	/* who waits here wants its value here */
	uintptr_t made_mark;		/* if own is valid */
	uintptr_t mark;			/* if the rest is */
	bool starts;			/* the point is the start of own */
	bool has_mask;
	int err;			/* own cannot start */
	struct tuck__flow *of;		/* whose point it is */
	char *sp;
	uint64_t serial;		/* of those kept in the thread */
	char frame[TUCK__ARCH_FRAME];	/* what was at sp */

	struct tuck_ctx own;
	struct tuck__stack stack;	/* of own, if it has memory for it */
	void (*fn)(void);
	uintptr_t args[TUCK_UCONTEXT_ARGS];
};

_Static_assert(sizeof(struct point) <=
		       sizeof(((struct tuck_ucontext *)0)->opaque),
	       "ucontext.h leaves room for it");

/* Called by the public ones without _at: see ucontext.S. */
int tuck__getcontext_at(struct tuck_ucontext *ucp, void *unused, void *sp);
int tuck__swapcontext_at(struct tuck_ucontext *oucp,
			 const struct tuck_ucontext *ucp, void *sp);
int tuck__posix_getcontext_at(struct tuck_ucontext *ucp, void *unused,
			      void *sp);
int tuck__posix_swapcontext_at(struct tuck_ucontext *oucp,
			       const struct tuck_ucontext *ucp, void *sp);

static struct point *point_of(const struct tuck_ucontext *ucp)
{
	return (struct point *)(uintptr_t)ucp->opaque;
}

/* Memory that was never filled in can be told from a point. */
static uintptr_t mark_of(const struct point *p)
{
	return (uintptr_t)p ^ (uintptr_t)0x7475636b706f696e;
}

static bool made(const struct point *p)
{
	return p->made_mark == mark_of(p) && tuck__flow(&p->own)->number;
}

/* Others are sliced on the stack that was made for the own context of p. */
static bool has_guests(const struct point *p)
{
	return made(p) && tuck__flow(&p->own)->stack == &p->stack &&
	       p->stack.holders > 1;
}

static int forget_own(struct point *p)
{
	if (!made(p))
		return 0;
	return has_guests(p) ? -EBUSY : tuck_ctx_fini(&p->own);
}

static bool own_alive(const struct point *p)
{
	return made(p) && tuck__flow(&p->own)->alive;
}

/* -- keeping points -- */

/* Not the mask of a point that was kept before masks travelled. */
static void take_mask(const struct tuck__thread *th,
		      const struct tuck_ucontext *ucp, sigset_t *ret_was)
{
	const sigset_t *set = &ucp->uc_sigmask;

	if (th->sigmask)
		pthread_sigmask(SIG_SETMASK,
				point_of(ucp)->has_mask ? set : NULL, ret_was);
}

static struct tuck__thread *keep(struct tuck_ucontext *ucp, char *sp)
{
	struct tuck__thread *th = tuck__thread();
	struct point *p = point_of(ucp);

	if (!th)
		return NULL;
	p->mark = mark_of(p);
	p->starts = false;
	p->of = th->running;
	p->sp = sp;
	p->serial = ++th->points;
	memcpy(p->frame, sp, sizeof(p->frame));
	p->has_mask = th->sigmask;
	if (p->has_mask)
		pthread_sigmask(SIG_SETMASK, NULL, &ucp->uc_sigmask);
	return th;
}

int tuck__getcontext_at(struct tuck_ucontext *ucp, void *unused, void *sp)
{
	(void)unused;
	TUCK__REQUIRE(ucp, -EINVAL);
	return keep(ucp, sp) ? 0 : -ENOMEM;
}

/* -- going to points -- */

/* Resumes a point in the context that runs: as longjmp() does. */
static struct tuck__landing jump(void *point, void *unused)
{
	const struct point *p = point;

	(void)unused;
	memcpy(p->sp, p->frame, sizeof(p->frame));
	return (struct tuck__landing){ p->sp, 0 };
}

static int jump_here(const struct tuck_ucontext *ucp)
{
	struct point *p = point_of(ucp);
	void *from;

	/* Our frame may be higher than its registers, but not its caller's. */
	if ((uintptr_t)p->sp + TUCK__ARCH_FRAME < tuck__arch_sp() ||
	    p->serial <= p->of->since)
		return -EINVAL;
	take_mask(p->of->owner, ucp, NULL);
	tuck__note_gone((void *)tuck__arch_sp(), p->sp + TUCK__ARCH_FRAME);
	return tuck__arch_switch_via(&from, p->sp, jump, p, NULL);
}

static struct tuck_ctx *run_made(void *arg);

/* Make the own context of ucp ready to start. */
static int ready_to_start(struct tuck_ucontext *ucp)
{
	struct point *p = point_of(ucp);
	struct tuck__flow *f = tuck__flow(&p->own);

	if (p->err)
		return p->err;
	if (own_alive(p)) {
		if (f == f->owner->running)
			return -EBUSY;
		tuck__ctx_retire(&f->owner->cache, &f->ctx);
		f->alive = 0;
	}
	p->of = f;
	return 0;
}

#if TUCK__ASAN
static int arrive(void *unused)
{
	(void)unused;
	tuck__note_entry();
	return 0;
}
#endif

/* Let a suspended context wait at point p, to which it never switched. */
static int move_to(const struct point *p)
{
	struct tuck__cache *c = &p->of->owner->cache;
	struct tuck__ctx *ctx = &p->of->ctx;
	char *sp = p->sp, *low = sp;
	int r;

	if (sp < (char *)ctx->sp || p->serial <= p->of->since)
		return -EINVAL;		/* its frame was left since then */
#if TUCK__ASAN
	low -= TUCK__ARCH_FIRST;
#endif
	r = tuck__ctx_set_sp(c, ctx, low);
	if (r < 0)
		return r;
	tuck__ctx_left(ctx, low, (size_t)(sp + sizeof(p->frame) - low));
#if TUCK__ASAN
	char bytes[TUCK__ARCH_FIRST];

	tuck__arch_prepare_call(bytes, p->frame, sp, arrive, NULL);
	tuck__ctx_write(ctx, low, bytes, sizeof(bytes));
#endif
	tuck__ctx_write(ctx, sp, p->frame, sizeof(p->frame));
	p->of->ret_value = NULL;	/* that of another frame */
	return 0;
}

/* Make the context that ucp is a point of ready to be switched to. */
static int prepare(struct tuck__thread *th, struct tuck_ucontext *ucp)
{
	struct point *p;

	if (!ucp)
		return -EINVAL;
	p = point_of(ucp);
	if (p->mark != mark_of(p))
		return -EINVAL;
	if (p->starts)
		return p->of->number == th->number ? ready_to_start(ucp) :
						     -EXDEV;
	if (!p->of->alive)
		return -EINVAL;
	if (p->of->number != th->number)
		return -EXDEV;
	if (p->of == th->running)
		return jump_here(ucp);
	return p->of->ret_value == &p->gets ? 0 : move_to(p);
}

static int go_on(struct tuck__thread *th, const struct tuck_ucontext *ucp,
		 void **gets)
{
	struct point *p = point_of(ucp);
	void *arg = (void *)(uintptr_t)ucp;

	if (p->starts)
		return tuck__flow_start(p->of, run_made, arg, gets);
	return tuck__flow_go(th, p->of, NULL, gets);
}

static tuck__noinline int go_on_with_mask(struct tuck__thread *th,
					  const struct tuck_ucontext *ucp,
					  void **gets)
{
	sigset_t was;
	int r;

	take_mask(th, ucp, &was);
	r = go_on(th, ucp, gets);
	if (r < 0)
		pthread_sigmask(SIG_SETMASK, &was, NULL);
	return r;
}

/* gets: the caller's, if it waits at a point. */
static int go(struct tuck__thread *th, const struct tuck_ucontext *ucp,
	      void **gets)
{
	int r = prepare(th, (struct tuck_ucontext *)(uintptr_t)ucp);

	if (r < 0)
		return r;
	if (th->sigmask)
		return go_on_with_mask(th, ucp, gets);
	return go_on(th, ucp, gets);
}

int tuck_setcontext(const struct tuck_ucontext *ucp)
{
	struct tuck__thread *th = tuck__thread();

	if (!th)
		return -ENOMEM;
	return go(th, ucp, NULL);
}

int tuck__swapcontext_at(struct tuck_ucontext *oucp,
			 const struct tuck_ucontext *ucp, void *sp)
{
	struct tuck__thread *th;

	TUCK__REQUIRE(oucp, -EINVAL);
	th = keep(oucp, sp);
	if (!th)
		return -ENOMEM;
	return go(th, ucp, &point_of(oucp)->gets);
}

/* -- as POSIX wants to be told -- */

static int posix(int result)
{
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

int tuck__posix_getcontext_at(struct tuck_ucontext *ucp, void *unused, void *sp)
{
	return posix(tuck__getcontext_at(ucp, unused, sp));
}

int tuck_posix_setcontext(const struct tuck_ucontext *ucp)
{
	return posix(tuck_setcontext(ucp));
}

int tuck__posix_swapcontext_at(struct tuck_ucontext *oucp,
			       const struct tuck_ucontext *ucp, void *sp)
{
	return posix(tuck__swapcontext_at(oucp, ucp, sp));
}

/* -- contexts of their own -- */

static void end_thread(void *unused)
{
	(void)unused;
	pthread_exit(NULL);
}

/* Where to go when the function of ucp has returned. */
static struct tuck_ctx *successor(struct tuck__thread *th,
				  struct tuck_ucontext *ucp)
{
	struct tuck_ctx *main_ctx = tuck__public(&th->main);
	struct point *link;

	if (!ucp->uc_link) {
		if (tuck_ctx_inject(main_ctx, end_thread, NULL) < 0)
			pthread_exit(NULL);
		return main_ctx;
	}
	link = point_of(ucp->uc_link);
	if (prepare(th, ucp->uc_link) < 0 ||
	    (link->starts &&
	     tuck__flow_admit(link->of, run_made, ucp->uc_link) < 0))
		tuck__fatal("uc_link of a context that ended is no point that "
			    "can be gone on with");
	take_mask(th, ucp->uc_link, NULL);
	return tuck__public(link->of);
}

static struct tuck_ctx *run_made(void *arg)
{
	struct tuck_ucontext *ucp = arg;
	struct point *p = point_of(ucp);
	const uintptr_t *a = p->args;
	typedef void fn(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t,
			uintptr_t, uintptr_t, uintptr_t);

	((fn *)p->fn)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
	return successor(tuck__flow(&p->own)->owner, ucp);
}

/* The stack that is meant for the own context of ucp; NULL for none. */
static struct tuck__stack *stack_for(struct tuck__thread *th,
				     struct tuck_ucontext *ucp)
{
	struct point *p = point_of(ucp);
	char *memory = ucp->uc_stack.ss_sp;
	uintptr_t base = (uintptr_t)memory + ucp->uc_stack.ss_size;

	/* A slot has one base, and goes with the one who got it. */
	if (!memory && ucp->uc_base &&
	    th->running->ctx.stack->kind != TUCK__STACK_SLOT)
		return th->running->ctx.stack;
	if (!memory)
		return NULL;
	if (ucp->uc_stack.ss_size < TUCK__STACK_MIN)
		return NULL;
	p->stack = (struct tuck__stack){
		.owner = &th->cache,
		.kind = TUCK__STACK_BORROWED,
		.limit = memory,
		.base = (char *)(base & -(uintptr_t)TUCK__ARCH_ALIGN),
	};
	return &p->stack;
}

void tuck_makecontext(struct tuck_ucontext *ucp, void (*fn)(void), int argc,
		      ...)
{
	struct tuck__thread *th = tuck__thread();
	struct point *p = point_of(ucp);
	struct tuck__stack *s;
	va_list args;
	int r = forget_own(p);

	p->mark = p->made_mark = mark_of(p);
	p->starts = true;
	p->err = r;
	if (r < 0)
		return;		/* it is in use, or another thread's */
	p->fn = fn;
	p->of = tuck__flow(&p->own);
	memset(&p->own, 0, sizeof(p->own));
	p->err = -EINVAL;
	p->of->owner = th;
	p->of->number = th ? th->number : 0;
	if (!th || !fn || argc < 0 || argc > TUCK_UCONTEXT_ARGS)
		return;
	va_start(args, argc);
	for (int i = 0; i < TUCK_UCONTEXT_ARGS; i++)
		p->args[i] = i < argc ? va_arg(args, uintptr_t) : 0;
	va_end(args);
	s = stack_for(th, ucp);
	if (s)
		p->err = tuck_ctx_init(&p->own, (struct tuck_stack *)(void *)s,
				       ucp->uc_stack.ss_sp ? NULL :
							     ucp->uc_base);
}

int tuck_dropcontext(struct tuck_ucontext *ucp)
{
	return ucp ? forget_own(point_of(ucp)) : 0;
}

int tuck_ucontext_sigmask(int on)
{
	struct tuck__thread *th = tuck__thread();
	int was;

	if (!th)
		return -ENOMEM;
	was = th->sigmask;
	th->sigmask = on != 0;
	return was;
}
