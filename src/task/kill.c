/* SPDX-License-Identifier: MIT */
/*
 * How a tasklet ends before its function returns: kill, cancel, cleanups.
 *
 * TaskletExit is a forced unwinding (Itanium C++ ABI, level I, as glibc's
 * thread cancellation uses it), raised by a call that the ctx layer lays on
 * the target's stack below the frame that waits. So library calls leave no
 * trace of it on the way of those who are not killed.
 *
 * Invariants:
 * 1. KILLED is set once; from then on the tasklet is on its way out, and
 *    cannot be killed again. It may wait in its cleanups.
 * 2. DOOMED is set from the kill to the unwinding. One that runs meanwhile,
 *    because the kill came from another proc, or because there was no memory
 *    to suspend it, does not wait: the kill would not end a wait that begins
 *    after it.
 * 3. A cleanup is taken off its list before it runs, so it runs once,
 *    whatever happens in it.
 *
 * Why not otherwise: to let waits return an error and hope that each caller
 * passes it on is what cancel does, and needs every caller's help. longjmp()
 * to the entry runs no cleanup of any frame.
 */
#include <errno.h>
#include <setjmp.h>
#include <string.h>

#include "task/waitq.h"

/* -- cleanups -- */

/* Where link-time optimisation inlined it, its caller would be another. */
TUCK_NO_PUSH tuck__noinline int tuck_defer(void (*fn)(void *), void *arg)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck__extra *extra;
	struct tuck__defer *d;
	uint32_t cls;

	TUCK__REQUIRE(fn, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	extra = tuck__extra(s, s->current);
	d = extra ? tuck__slice_get(&s->cache.slices, sizeof(*d), &cls) : NULL;
	if (!d)
		return -ENOMEM;
	*d = (struct tuck__defer){ extra->defers,
				   fn,
				   arg,
				   __builtin_dwarf_cfa(),
				   __builtin_return_address(0),
				   cls };
	extra->defers = d;
	return 0;
}

/* The caller's last cleanup, off its list; false if there is none. */
static bool pop(struct tuck__sched *s, const char *above,
		struct tuck__defer *ret_defer)
{
	struct tuck__extra *extra = s->current->extra;
	struct tuck__defer *d = extra ? extra->defers : NULL;

	if (!d || d->sp >= above)
		return false;
	*ret_defer = *d;
	extra->defers = d->next;
	tuck__slice_put(&s->cache.slices, d, d->slice_class);
	return true;
}

#define ALL ((const char *)UINTPTR_MAX)	/* above all frames */

/* How often the ends of locals may set locals again. */
#define LOCAL_ROUNDS 4

void tuck_undefer(int run)
{
	struct tuck__sched *s = tuck__tls;
	struct tuck__defer d;

	if (s && pop(s, ALL, &d) && run)
		d.fn(d.arg);
}

/* Where the function begins that pc is in; 0: not known. */
static uintptr_t function_at(void *pc)
{
#ifdef __ARM_EABI_UNWINDER__
	(void)pc;
	return 0;
#else
	return (uintptr_t)_Unwind_FindEnclosingFunction(pc);
#endif
}

/*
 * In the scope of an array of variable length, which has ended, the frame's
 * stack pointer was lower than it is now: what its function registered there
 * is no inner frame's, unless the next inner one is of the same function.
 */
static bool is_own(const struct tuck__defer *d, const struct tuck__frame *frame,
		   const struct tuck__frame *inner)
{
	if (d->sp >= frame->sp || !frame->fn ||
	    (inner->fn == frame->fn && d->sp >= inner->sp))
		return false;
	return function_at(d->pc) == frame->fn;
}

static void hold_back(const struct tuck__extra *extra,
		      const struct tuck__frame *frame)
{
	struct tuck__defer *d = extra ? extra->defers : NULL;

	for (; d && is_own(d, frame, &extra->inner); d = d->next)
		d->sp = frame->sp;
}

/* Those that inner frames registered. */
static void run_inner(struct tuck__sched *s, const struct tuck__frame *frame)
{
	struct tuck__defer d;

	hold_back(s->current->extra, frame);
	while (pop(s, frame->sp, &d)) {
		d.fn(d.arg);
		hold_back(s->current->extra, frame);
	}
}

/* Cleanups run from here on: they may wait, and nobody kills them. */
static void shield(struct tuck__tasklet *t)
{
	t->w.bits |= TUCK__KILLED;
	t->w.bits &= (uint8_t) ~(TUCK__IN_SCOPE);
	tuck__ctx_uncall(&t->ctx);
}

void tuck__at_end(struct tuck__sched *s)
{
	const struct tuck__extra *extra = s->current->extra;
	const struct tuck__frame outermost = { ALL, 0 };
	int again = LOCAL_ROUNDS;

	shield(s->current);
	do
		run_inner(s, &outermost);
	while (extra && again-- > 0 && tuck__locals_end(extra));
}

/* -- unwinding -- */

static void swallowed(_Unwind_Reason_Code reason, struct _Unwind_Exception *e)
{
	(void)reason, (void)e;
	tuck__fatal("a catch (...) kept TaskletExit: it must rethrow");
}

/* By a cleanup in a catch (...) that ended the tasklet once more. */
static void left(_Unwind_Reason_Code reason, struct _Unwind_Exception *e)
{
	(void)reason, (void)e;
}

struct unwinding {
	const struct _Unwind_Exception *e;
	jmp_buf here;
};

static void take_up(struct unwinding *u)
{
	if (u->e->exception_cleanup)	/* raised meanwhile */
		longjmp(u->here, 1);
}

/*
 * The same while e is on its way. One that ends the tasklet once more is
 * unwound as far as here, where the first unwinding is taken up again: the
 * second one could not pass the unwinder's own frames everywhere.
 */
static void run_on_the_way(struct tuck__sched *s,
			   const struct tuck__frame *frame,
			   struct _Unwind_Exception *e)
{
	struct unwinding u __attribute__((__cleanup__(take_up)));

	u.e = e;
	(void)setjmp(u.here);
	e->exception_cleanup = NULL;
	run_inner(s, frame);
}

/*
 * Whether a frame is the last one once more, after a cleanup in it, which may
 * be in another section. On i386 the arguments of a call are pushed.
 */
static bool is_same(const struct tuck__frame *a, const struct tuck__frame *b)
{
#if defined(__i386__)
	const uintptr_t pushed = 16;
#else
	const uintptr_t pushed = 0;
#endif

	return (uintptr_t)a->sp - (uintptr_t)b->sp + pushed <= 2 * pushed;
}

/* Where the function of a frame begins; 0: not known. */
static uintptr_t function_of(struct _Unwind_Context *frame)
{
#ifdef __ARM_EABI_UNWINDER__
	(void)frame;	/* it asks a register that is not set for us */
	return 0;
#else
	return (uintptr_t)_Unwind_GetRegionStart(frame);
#endif
}

/* Called for each frame, before what is to be cleaned up in it. */
static _Unwind_Reason_Code at_frame(int version, _Unwind_Action actions,
				    _Unwind_Exception_Class cls,
				    struct _Unwind_Exception *e,
				    struct _Unwind_Context *frame, void *arg)
{
	const struct _Unwind_Exception kept = *e;
	struct tuck__sched *s = arg;
	struct tuck__extra *extra = s->current->extra;
	struct tuck__frame here;

	(void)version, (void)cls;
	if (actions & _UA_END_OF_STACK)
		s->cache.host->ended();
	here.sp = (const char *)_Unwind_GetCFA(frame);
	here.fn = function_of(frame);
	run_on_the_way(s, &here, e);
	if (extra && !is_same(&extra->inner, &here))
		extra->inner = here;
	if (s->current->ctx.flags & TUCK__CTX_TICKED && !tuck__pass_by(frame))
		s->cache.host->ended();
	*e = kept;
	return _URC_NO_REASON;
}

static struct tuck__exit *take_exit(struct tuck__sched *s,
				    struct tuck__extra *extra)
{
	struct tuck__exit *exit;
	uint32_t cls;

	if (extra && extra->exit)
		return extra->exit;
	exit = extra ? tuck__slice_get(&s->cache.slices, sizeof(*exit), &cls) :
		       NULL;
	if (!exit)
		return &s->exit;
	memset(exit, 0, sizeof(*exit));
	exit->slice_class = cls;
	extra->exit = exit;
	return exit;
}

void tuck__raise(struct tuck__sched *s)
{
	struct tuck__tasklet *t = s->current;
	struct tuck__extra *extra = tuck__extra(s, t);
	bool again = extra && extra->exit;
	struct _Unwind_Exception *e = &take_exit(s, extra)->raised;

	if (t->w.why != TUCK__WHY_NONE)
		tuck__fatal("a tasklet ends inside the deadlock callback");
	shield(t);
	if (extra)
		extra->inner = (struct tuck__frame){ NULL, 0 };
	if (tuck__waitq_granted(t))
		tuck__waitq_pass_on(t, tuck__id(t));
	tuck__ctx_unhole(&t->ctx);
	memset(e, 0, sizeof(*e));
	memcpy(&e->exception_class, "TUCKEXIT", sizeof(e->exception_class));
	e->exception_cleanup = again ? left : swallowed;
	tuck__note_unwinding();
	_Unwind_ForcedUnwind(e, at_frame, s);
	s->cache.host->ended();	/* it could not: there are no unwind tables */
	__builtin_unreachable();
}

void tuck__called(struct tuck__ctx *ctx)
{
	(void)ctx;
	tuck__raise(tuck__tls);
}

/* -- kill -- */

int tuck__kill(struct tuck__sched *s, struct tuck__tasklet *t)
{
	if (t == s->main)
		return -EINVAL;
	if (t->w.bits & TUCK__KILLED)
		return -EALREADY;
	if (!tuck__ctx_started(&t->ctx)) {
		if (t->w.why == TUCK__WHY_JOB && !tuck__job_take_back(t))
			return tuck__job_tell(t, TUCK__ID_KILL);
		tuck__drop(s, t);
		return 0;
	}
	t->w.bits |= TUCK__KILLED | TUCK__DOOMED;
	if (t->w.why != TUCK__WHY_NONE)
		tuck__wake(s, t, -ECANCELED);
	tuck__ctx_call(&t->ctx);
	return 0;
}

bool tuck__runs(const struct tuck__sched *s, const struct tuck__tasklet *t)
{
	return t == s->current && t->w.why == TUCK__WHY_NONE;
}

static bool is_main(const struct tuck__sched *s, tuck_id id)
{
	return id == s->main_id;
}

int tuck_kill(tuck_id id)
{
	struct tuck__sched *s = tuck__tls, *home;
	struct tuck__tasklet *t = tuck__find(id, &home);

	if (!t)
		return -ESRCH;
	TUCK__REQUIRE(!is_main(home, id), -EINVAL);
	if (home != s)
		return tuck__post(id, TUCK__ID_KILL);
	if (tuck__runs(s, t))
		tuck__raise(s);
	return tuck__kill(s, t);
}

/* -- cancel -- */

void tuck__cancel(struct tuck__sched *s, struct tuck__tasklet *t)
{
	if (t->w.bits & TUCK__KILLED)
		return;
	if (tuck__unlikely(t->w.why == TUCK__WHY_JOB)) {
		tuck__job_tell(t, TUCK__ID_CANCEL);
		return;
	}
	t->w.bits |= TUCK__CANCELED;
	if (t->w.why > TUCK__WHY_PAUSED)
		tuck__wake(s, t, -ECANCELED);
}

int tuck_cancel(tuck_id id)
{
	struct tuck__sched *s = tuck__tls, *home;
	struct tuck__tasklet *t = tuck__find(id, &home);

	if (!t)
		return -ESRCH;
	if (home != s)
		return tuck__post(id, TUCK__ID_CANCEL);
	tuck__cancel(s, t);
	return 0;
}

int tuck_uncancel(void)
{
	struct tuck__sched *s = tuck__tls;
	bool was;

	if (!s)
		return 0;
	was = s->current->w.bits & TUCK__CANCELED;
	s->current->w.bits &= (uint8_t)~TUCK__CANCELED;
	return was;
}
