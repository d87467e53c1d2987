/* SPDX-License-Identifier: MIT */
/*
 * Offloaded calls, from the side of the tasklet that waits.
 *
 * Invariants:
 * 1. A worker sees the job's block only, never a stack (rule S3): the argument
 *    is copied in before the wait, and out after it, by the tasklet itself.
 * 2. The tasklet holds the job from before anybody else knows of it until the
 *    call returns. If it ends first, in whichever way, it lets go then; so a
 *    result is either taken or discarded, also if the kill comes when it was
 *    ready to be taken.
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
	tuck__job_withdraw(tuck__container(far, struct tuck__job, far));
}

static void text(const struct tuck__far *far, char *text, size_t n)
{
	static const char *const words[] = {
		[TUCK__JOB_NEW] = "",
		[TUCK__JOB_QUEUED] = " (queued)",
		[TUCK__JOB_WITHDRAWN] = "",
		[TUCK__JOB_RUNNING] = " (running)",
		[TUCK__JOB_ENDED] = " (ended)",
	};
	const struct tuck__job *job = tuck__container(far, struct tuck__job,
						      far);

	snprintf(text, n, "%s", words[tuck__job_phase(job)]);
}

static const struct tuck__far_kind kind = { over, text };

static struct tuck__job *held_job(struct tuck__held *held)
{
	return tuck__container(held, struct tuck__job, held);
}

static void release(struct tuck__held *held)
{
	tuck__job_leave(held_job(held));
}

struct tuck__job *tuck__job_new(int (*fn)(void *block), size_t bytes)
{
	struct tuck__job *job = NULL;

	if (bytes <= PTRDIFF_MAX - sizeof(*job))
		job = tuck__resize(NULL, sizeof(*job) + bytes);
	if (!job)
		return NULL;
	memset(job, 0, sizeof(*job));
	job->far.kind = &kind;
	job->held.release = release;
	job->fn = fn;
	job->arg = job->block;
	return job;
}

/* Before anybody knows of it. */
static int prepare(struct tuck__sched *s, struct tuck__job *job,
		   tuck_ns deadline)
{
	TUCK__REQUIRE(deadline >= 0, -EINVAL);
	TUCK__REQUIRE(deadline != TUCK_NOWAIT, -EAGAIN);
	job->lane = tuck__lane(s);
	job->id = tuck__id(s->current);
	return job->lane ? tuck__hold(s, &job->held) : -ENOMEM;
}

/* 0: it is under way, and the wait has begun. */
static tuck__noinline int begin(struct tuck__job *job, tuck_ns deadline)
{
	struct tuck__sched *s = tuck__sched();
	int r = !job ? -ENOMEM : !s ? tuck__sched_error() : 0;

	if (r == 0)
		r = prepare(s, job, deadline);
	if (r < 0) {
		tuck__free(job);
		return r;
	}
	r = tuck__far_begin(s, deadline);
	if (r == 0) {
		r = tuck__job_submit(job);
		if (r < 0)
			tuck__far_undo(s);
	}
	if (r == 0)
		tuck__wait_for(s, TUCK__WHY_OFFLOAD, &job->far);
	else
		tuck__let_go(s->current->extra);
	return r;
}

/* The result is taken here, or nowhere. */
static tuck__noinline int end(int r)
{
	struct tuck__extra *extra = tuck__tls->current->extra;
	struct tuck__job *job = held_job(extra->held);

	if (tuck__job_phase(job) == TUCK__JOB_ENDED) {
		r = job->result;
		job->discard = NULL;
		if (job->user && job->out_bytes)
			memcpy(job->user, job->out, job->out_bytes);
	}
	tuck__let_go(extra);
	return r;
}

int tuck__job_do(struct tuck__job *job, tuck_ns deadline)
{
	int r = begin(job, deadline);

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

static tuck__noinline int make(void (*discard)(void *arg, int result),
			       int (*fn)(void *arg), void *arg, size_t bytes,
			       struct tuck__job **ret_job)
{
	struct tuck__job *job;

	TUCK__REQUIRE(fn && (arg || !bytes), -EINVAL);
	TUCK__REQUIRE(bytes || !on_shared_stack(arg), -EFAULT);
	job = tuck__job_new(fn, bytes);
	if (!job)
		return -ENOMEM;
	job->discard = discard;
	if (bytes) {
		memcpy(job->block, arg, bytes);
		job->user = arg;
		job->out = job->block;
		job->out_bytes = bytes;
	} else {
		job->arg = arg;
	}
	*ret_job = job;
	return 0;
}

int tuck_offload_with(void (*discard)(void *arg, int result),
		      int (*fn)(void *arg), void *arg, size_t arg_bytes,
		      tuck_ns deadline)
{
	struct tuck__job *job;
	int r = make(discard, fn, arg, arg_bytes, &job);

	return r < 0 ? r : tuck__job_do(job, deadline);
}

int tuck_offload(int (*fn)(void *arg), void *arg, size_t arg_bytes,
		 tuck_ns deadline)
{
	return tuck_offload_with(NULL, fn, arg, arg_bytes, deadline);
}
