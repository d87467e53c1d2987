/* SPDX-License-Identifier: MIT */
/*
 * Offloaded calls, from the side of the tasklet that waits.
 *
 * Invariants:
 * 1. A worker sees the call's block only, never a stack (rule S3): the argument
 *    is copied in before the wait, and out after it, by the tasklet itself.
 * 2. The tasklet holds the call from before anybody else knows of it until the
 *    call returns. If it ends first, in whichever way, it lets go then; so
 *    what the call owns is either taken or discarded, also if it never ran, or
 *    the kill comes when its result was ready to be taken.
 * 3. When the wait is over, for whatever reason, what was not begun is out of
 *    its queue at once. Only what has ended counts: when the tasklet runs, it
 *    takes a result that came later than its deadline, but before itself.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "chan/chan.h"
#include "io/offload.h"

static void over(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct tuck__far *far = t->what;

	(void)s;
	tuck__call_withdraw(tuck__container(far, struct tuck__call, far));
}

static void text(const struct tuck__far *far, char *text, size_t n)
{
	static const char *const words[] = {
		[TUCK__CALL_NEW] = "",
		[TUCK__CALL_QUEUED] = " (queued)",
		[TUCK__CALL_WITHDRAWN] = "",
		[TUCK__CALL_RUNNING] = " (running)",
		[TUCK__CALL_ENDED] = " (ended)",
	};
	const struct tuck__call *call = tuck__container(far, struct tuck__call,
							far);

	snprintf(text, n, "%s", words[tuck__call_phase(call)]);
}

static const struct tuck__far_kind kind = { over, text };

static struct tuck__call *held_job(struct tuck__held *held)
{
	return tuck__container(held, struct tuck__call, held);
}

static void release(struct tuck__held *held)
{
	tuck__call_leave(held_job(held));
}

struct tuck__call *tuck__call_new(int (*fn)(void *block), size_t bytes)
{
	struct tuck__call *call = NULL;

	if (bytes <= PTRDIFF_MAX - sizeof(*call))
		call = tuck__resize(NULL, sizeof(*call) + bytes);
	if (!call)
		return NULL;
	memset(call, 0, sizeof(*call));
	call->far.kind = &kind;
	call->held.release = release;
	call->fn = fn;
	call->result = -ECANCELED;	/* until it has run */
	call->fd = -1;
	call->arg = call->block;
	return call;
}

/* Before anybody knows of it. */
static int prepare(struct tuck__sched *s, struct tuck__call *call,
		   tuck_ns deadline)
{
	TUCK__REQUIRE(deadline >= 0, -EINVAL);
	TUCK__REQUIRE(deadline != TUCK_NOWAIT, -EAGAIN);
	call->lane = tuck__lane(s, call->remote);
	call->id = tuck__id(s->current);
	return call->lane ? tuck__hold(s, &call->held) : -ENOMEM;
}

/* 0: it is under way, and the wait has begun. */
static tuck__noinline int begin(struct tuck__call *call, tuck_ns deadline)
{
	struct tuck__sched *s = tuck__sched();
	int r = !call ? -ENOMEM : !s ? tuck__sched_error() : 0;

	if (r == 0)
		r = prepare(s, call, deadline);
	if (r < 0) {
		if (call)
			tuck__call_leave(call);
		return r;
	}
	r = tuck__far_begin(s, deadline);
	if (r == 0) {
		r = tuck__call_submit(call);
		if (r < 0)
			tuck__far_undo(s);
	}
	if (r == 0)
		tuck__wait_for(s, TUCK__WHY_OFFLOAD, &call->far);
	else
		tuck__let_go(s->current->extra);
	return r;
}

/* The result is taken here, or nowhere. */
static tuck__noinline int end(int r)
{
	struct tuck__extra *extra = tuck__tls->current->extra;
	struct tuck__call *call = held_job(extra->held);

	if (tuck__call_phase(call) == TUCK__CALL_ENDED) {
		r = call->result;
		call->discard = NULL;
		if (call->user && call->out_bytes)
			memcpy(call->user, call->out, call->out_bytes);
	}
	tuck__let_go(extra);
	return r;
}

int tuck__call_do(struct tuck__call *call, tuck_ns deadline)
{
	int r = begin(call, deadline);

	return r < 0 ? r : end(tuck__park(tuck__tls));
}

/* -- the program's own -- */

/* Where other tasklets' bytes may be by the time somebody looks. */
static bool on_shared_stack(const void *p)
{
	const struct tuck__sched *s = tuck__tls;

	return s && (uintptr_t)p - (uintptr_t)s->cache.region <
			    s->cache.region_bytes;
}

static int fill(void (*discard)(void *arg, int result), int (*fn)(void *arg),
		void *arg, size_t bytes, struct tuck__call **ret_job)
{
	struct tuck__call *call;

	TUCK__REQUIRE(fn && (arg || !bytes), -EINVAL);
	TUCK__REQUIRE(bytes || !on_shared_stack(arg), -EFAULT);
	call = tuck__call_new(fn, bytes);
	if (!call)
		return -ENOMEM;
	call->discard = discard;
	if (bytes) {
		memcpy(call->block, arg, bytes);
		call->user = arg;
		call->out = call->block;
		call->out_bytes = bytes;
	} else {
		call->arg = arg;
	}
	*ret_job = call;
	return 0;
}

static tuck__noinline int make(void (*discard)(void *arg, int result),
			       int (*fn)(void *arg), void *arg, size_t bytes,
			       struct tuck__call **ret_job)
{
	int r = fill(discard, fn, arg, bytes, ret_job);

	if (r < 0 && discard)
		discard(arg, -ECANCELED);
	return r;
}

int tuck_offload_with(void (*discard)(void *arg, int result),
		      int (*fn)(void *arg), void *arg, size_t arg_bytes,
		      tuck_ns deadline)
{
	struct tuck__call *call;
	int r = make(discard, fn, arg, arg_bytes, &call);

	return r < 0 ? r : tuck__call_do(call, deadline);
}

int tuck_offload_remote(void (*discard)(void *arg, int result),
			int (*fn)(void *arg), void *arg, size_t arg_bytes,
			tuck_ns deadline)
{
	struct tuck__call *call;
	int r = make(discard, fn, arg, arg_bytes, &call);

	if (r < 0)
		return r;
	call->remote = true;
	return tuck__call_do(call, deadline);
}

int tuck_offload(int (*fn)(void *arg), void *arg, size_t arg_bytes,
		 tuck_ns deadline)
{
	return tuck_offload_with(NULL, fn, arg, arg_bytes, deadline);
}
