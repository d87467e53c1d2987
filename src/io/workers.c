/* SPDX-License-Identifier: MIT */
/*
 * The threads of pools: how they come, what they do, and when they go.
 *
 * Invariants:
 * 1. A thread is made under the lock, by one who shares the pool's descriptor
 *    table, since it gets its maker's; and it knows the number of that table,
 *    for the calls of Tuck that it runs may make it a proc.
 * 2. Where calls wait that may begin, every worker runs one, and there are as
 *    many as there may be; or one is arriving, having been called or made, and
 *    calls or makes the next when it has taken a call and more are there. So
 *    calls that are short need no more threads than can begin meanwhile, and a
 *    burst does not wake them all to find nothing.
 * 3. Workers count as helpers while no call is queued or runs: a call's end is
 *    posted before that, so who asks whether all is stuck sees one or the
 *    other.
 * 4. A worker's struct is never freed, only used again: who called it may be
 *    about to signal it when it has ended.
 *
 * The last worker that became idle is called first: its stack is in the cache,
 * and those that are not needed get old.
 */
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "base/config.h"
#include "base/mem.h"
#include "base/thread.h"
#include "io/workers.h"

#define STACK_MIN	((size_t)256 * 1024)	/* docs/offload.md */

struct tuck__worker {
	struct tuck__link link;		/* while idle */
	struct tuck__worker *next;	/* of all that ever were */
	struct tuck__crew *pool;	/* NULL: it has ended */
	struct tuck__call *call;		/* it runs */
	pthread_cond_t wake;
	bool called, arrives;
};

static struct tuck_offload_stats *const stats = &tuck__offloads.stats;
static struct tuck__worker *workers;
static __thread struct tuck__worker *self;

/* -- more workers -- */

static void *work(void *arg);

static void init_wake(struct tuck__worker *w)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_condattr_destroy(&attr);
}

static struct tuck__worker *worker_new(void)
{
	struct tuck__worker *w = workers;

	while (w && w->pool)
		w = w->next;
	if (w)
		return w;
	w = tuck__alloc(sizeof(*w));
	if (!w)
		return NULL;
	init_wake(w);
	w->next = workers;
	workers = w;
	return w;
}

/* All that others may send; not what a fault of its own raises. */
static void block_signals(sigset_t *ret_was)
{
	static const int faults[] = { SIGSEGV, SIGBUS,	SIGFPE,
				      SIGILL,  SIGTRAP, SIGSYS };
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&set, faults[i]);
	pthread_sigmask(SIG_SETMASK, &set, ret_was);
}

/* As large as a slot; where those are small, libc's modules need more. */
static size_t stack_bytes(size_t slot_bytes)
{
	return (slot_bytes > STACK_MIN ? slot_bytes : STACK_MIN) +
	       tuck__thread_overhead();
}

static int start_thread(struct tuck__worker *w)
{
	struct tuck_config config;
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t was;
	int r;

	tuck__config_get(&config);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack_bytes(config.slot_bytes));
	pthread_attr_setguardsize(&attr, config.guard_bytes);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	block_signals(&was);
	r = pthread_create(&thread, &attr, work, w);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

static int grow(struct tuck__crew *pool)
{
	struct tuck__worker *w = worker_new();
	int r;

	if (!w)
		return -ENOMEM;
	w->pool = pool;
	w->call = NULL;
	w->arrives = true;
	r = start_thread(w);
	if (r < 0) {
		w->pool = NULL;
		return r == -ENOMEM ? r : -EAGAIN;
	}
	pool->workers++;
	pool->arriving = true;
	stats->workers++;
	tuck__offloads_count();
	return 0;
}

/* The last one that became idle has work; it is to be signalled. */
static struct tuck__worker *call_idle(struct tuck__crew *pool)
{
	struct tuck__worker *w;

	if (tuck__list_empty(&pool->idle))
		return NULL;
	w = tuck__container(pool->idle.next, struct tuck__worker, link);
	tuck__link_remove(&w->link);
	stats->idle--;
	w->called = true;
	return w;
}

int tuck__worker_provide(struct tuck__crew *pool,
			 struct tuck__worker **ret_called)
{
	*ret_called = NULL;
	if (pool->arriving)
		return 0;	/* it will look whether one is enough */
	*ret_called = call_idle(pool);
	if (*ret_called) {
		(*ret_called)->arrives = pool->arriving = true;
		return 0;
	}
	return pool->workers < stats->workers_max ? grow(pool) : 0;
}

void tuck__worker_signal(struct tuck__worker *w)
{
	pthread_cond_signal(&w->wake);
}

void tuck__workers_look(struct tuck__crew *pool)
{
	struct tuck__worker *w;

	while ((w = call_idle(pool)) != NULL)
		tuck__worker_signal(w);
}

void tuck__workers_forget(void)
{
	for (struct tuck__worker *w = workers; w; w = w->next) {
		w->pool = NULL;
		init_wake(w);
	}
}

bool tuck__worker_runs(const struct tuck__call *call)
{
	return self && self->call == call;
}

/* -- a worker's life -- */

/* With the lock: what is still queued is another worker's. */
static void serve_rest(struct tuck__crew *pool)
{
	struct tuck__worker *called;

	if (tuck__call_waits(pool) &&
	    tuck__worker_provide(pool, &called) == 0 && called)
		tuck__worker_signal(called);
}

/* With the lock: until it is called, or has been idle for too long. */
static void idle(struct tuck__worker *w)
{
	tuck_ns at = tuck_after(tuck__offloads.idle_max);
	struct timespec t = { (time_t)(at / TUCK_SEC(1)), at % TUCK_SEC(1) };
	int r = 0;

	w->called = false;
	tuck__link_before(w->pool->idle.next, &w->link);
	stats->idle++;
	while (!w->called && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&w->wake, &tuck__offloads.lock, &t);
	if (w->called)
		return;
	tuck__link_remove(&w->link);
	stats->idle--;
}

/* With the lock. */
static bool take(struct tuck__worker *w)
{
	w->call = tuck__call_take(w->pool);
	if (!w->call)
		return false;
	serve_rest(w->pool);
	return true;
}

/* With the lock: who comes next may be called. */
static void arrive(struct tuck__worker *w)
{
	if (w->arrives)
		w->pool->arriving = false;
	w->arrives = false;
}

static bool one_too_many(const struct tuck__worker *w)
{
	return w->pool->workers > stats->workers_max;
}

/*
 * With the lock: w has a call to run; false: it is not needed any more, being
 * one too many, idle for too long, or in a pool without procs.
 */
static bool await_job(struct tuck__worker *w)
{
	w->called = true;
	for (;;) {
		arrive(w);
		if (one_too_many(w))
			return false;
		if (take(w))
			return true;
		if (!w->called || w->pool->users == 0)
			return false;
		idle(w);
	}
}

/*
 * The lock is taken here, and not given back. The next call is taken at once,
 * if there is one: then all is as busy as before, and may be told later.
 */
static bool end_and_take(struct tuck__worker *w, int result, bool goes_on)
{
	struct tuck__call_end end;
	bool more;

	tuck__offloads_lock();
	end = tuck__call_end(w->pool, w->call, result);
	w->call = NULL;
	more = goes_on && !one_too_many(w) && take(w);
	stats->running -= more;
	tuck__offloads_unlock();
	tuck__call_tell(end);
	if (more)
		return true;
	tuck__offloads_lock();
	stats->running--;
	tuck__offloads_count();
	return false;
}

/* Until no call follows at once; the lock is given up meanwhile. */
static void run(struct tuck__worker *w)
{
	int result;

	tuck__offloads_unlock();
	do {
		result = w->call->fn(w->call->arg);
		if (tuck__tls)
			tuck__sched_fini(tuck__tls);
	} while (end_and_take(w, result, true));
}

/* With the lock: w ends. */
static void retire(struct tuck__worker *w)
{
	struct tuck__crew *pool = w->pool;

	pool->workers--;
	stats->workers--;
	w->pool = NULL;
	serve_rest(pool);
	tuck__offloads_count();
	tuck__crew_left(pool);
}

/* The call's function has called pthread_exit(3). */
static void torn_away(void *arg)
{
	struct tuck__worker *w = arg;

	if (tuck__tls)
		tuck__sched_fini(tuck__tls);
	end_and_take(w, -ECANCELED, false);
	retire(w);
	tuck__offloads_unlock();
}

static void *work(void *arg)
{
	struct tuck__worker *w = arg;

	pthread_setname_np(pthread_self(), "tuck-offload");
	self = w;
	tuck__fd_table = w->pool->fd_table;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_cleanup_push(torn_away, w);
	tuck__offloads_lock();
	while (await_job(w))
		run(w);
	retire(w);
	tuck__offloads_unlock();
	pthread_cleanup_pop(0);
	return NULL;
}
