/* SPDX-License-Identifier: MIT */
/*
 * Jobs, and the queues in which they wait for a worker. Each proc has two lanes
 * of the pool that serves its descriptor table, where its calls wait in order:
 * one for those that wait for other machines, one for all others. The lanes
 * that have some stand in a ring, and each gives one in its turn.
 *
 * Invariants:
 * 1. All of it is under one lock, which is never held while a call runs, or
 *    memory is given back.
 * 2. That a call has ended is the last thing that its worker writes to it, if
 *    somebody waits; whoever sees that may free it. Else the worker frees it.
 * 3. No more than half of the threads that a pool may have run remote calls, so
 *    machines that do not answer leave the other half to files. Where only such
 *    calls are queued and as many run, nothing waits for a worker, and the next
 *    one to end takes one of them.
 */
#include <errno.h>
#include <unistd.h>

#include "base/config.h"
#include "base/fork.h"
#include "base/mem.h"
#include "base/thread.h"
#include "chan/chan.h"
#include "io/workers.h"

#define WORKERS_MAX 1024

/* It is held for less time than it takes to wait for it. */
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
#define LOCK_INITIALIZER PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
#else
#define LOCK_INITIALIZER PTHREAD_MUTEX_INITIALIZER
#endif

struct tuck__lane {
	struct tuck__link ring;		/* of its pool's lanes */
	struct tuck__link calls;
	struct tuck__crew *pool;
	bool remote;			/* so are all its calls */
};

struct tuck__offloads tuck__offloads = {
	.lock = LOCK_INITIALIZER,
	.idle_max = TUCK_SEC(10),
};
static struct tuck_offload_stats *const stats = &tuck__offloads.stats;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct tuck__crew *pools;
static struct tuck__link running = { &running, &running };

/* Those that are queued or run, by their descriptors, 0 for most numbers. */
static atomic_int using_fds[256];

void tuck__offloads_count(void)
{
	bool busy = stats->queued || stats->running;

	atomic_store(&tuck__helpers, busy ? -1 : (long)stats->workers);
}

static struct tuck__call *call_of(struct tuck__link *l)
{
	return tuck__container(l, struct tuck__call, link);
}

static void set_phase(struct tuck__call *call, enum tuck__call_phase phase)
{
	atomic_store_explicit(&call->phase, (uint8_t)phase,
			      memory_order_release);
}

static void count_fd(const struct tuck__call *call, int change)
{
	if (call->fd >= 0)
		using_fds[call->fd % 256] += change;
}

/* -- queues -- */

static void enqueue(struct tuck__call *call)
{
	struct tuck__lane *lane = call->lane;

	if (tuck__list_empty(&lane->calls))
		tuck__link_before(&lane->pool->lanes, &lane->ring);
	tuck__link_before(&lane->calls, &call->link);
	count_fd(call, 1);
	set_phase(call, TUCK__CALL_QUEUED);
	stats->queued++;
	tuck__offloads_count();
}

static void dequeue(struct tuck__call *call)
{
	struct tuck__lane *lane = call->lane;

	tuck__link_remove(&call->link);
	if (tuck__list_empty(&lane->calls))
		tuck__link_remove(&lane->ring);
	stats->queued--;
}

/* It is not to run. */
static void take_back(struct tuck__call *call)
{
	dequeue(call);
	count_fd(call, -1);
}

static void withdraw(struct tuck__call *call)
{
	if (tuck__call_phase(call) != TUCK__CALL_QUEUED)
		return;
	take_back(call);
	set_phase(call, TUCK__CALL_WITHDRAWN);
	stats->withdrawn++;
	tuck__offloads_count();
}

static bool may_begin(const struct tuck__lane *lane)
{
	int most = (stats->workers_max + 1) / 2;

	return !lane->remote || lane->pool->remote < most;
}

/* The lane whose turn it is, or NULL. */
static struct tuck__lane *next_lane(const struct tuck__crew *pool)
{
	struct tuck__link *l;

	for (l = pool->lanes.next; l != &pool->lanes; l = l->next) {
		struct tuck__lane *lane = tuck__container(l, struct tuck__lane,
							  ring);

		if (may_begin(lane))
			return lane;
	}
	return NULL;
}

bool tuck__call_waits(const struct tuck__crew *pool)
{
	return next_lane(pool) != NULL;
}

/* The first call of the lane whose turn it is; that lane is the last now. */
struct tuck__call *tuck__call_take(struct tuck__crew *pool)
{
	struct tuck__lane *lane = next_lane(pool);
	struct tuck__call *call;

	if (!lane)
		return NULL;
	call = call_of(lane->calls.next);
	tuck__link_remove(&lane->ring);
	tuck__link_before(&pool->lanes, &lane->ring);
	dequeue(call);
	tuck__link_before(&running, &call->link);
	set_phase(call, TUCK__CALL_RUNNING);
	call->fd_table = pool->fd_table;
	pool->remote += call->remote;
	stats->running++;
	return call;
}

int tuck__call_submit(struct tuck__call *call)
{
	struct tuck__crew *pool = call->lane->pool;
	struct tuck__worker *called = NULL;
	int r;

	tuck__offloads_lock();
	enqueue(call);
	r = tuck__call_waits(pool) ? tuck__worker_provide(pool, &called) : 0;
	if (r < 0 && pool->workers == 0) {
		take_back(call);
		set_phase(call, TUCK__CALL_NEW);
		tuck__offloads_count();
	} else {
		r = 0;
	}
	tuck__offloads_unlock();
	if (called)
		tuck__worker_signal(called);
	return r;
}

void tuck__call_withdraw(struct tuck__call *call)
{
	if (tuck__call_phase(call) == TUCK__CALL_ENDED)
		return;
	tuck__offloads_lock();
	withdraw(call);
	tuck__offloads_unlock();
}

/* Whoever takes what is in it has taken discard away, too. */
static void call_free(struct tuck__call *call)
{
	if (call->discard)
		call->discard(call->arg, call->result);
	tuck__free(call);
}

void tuck__call_leave(struct tuck__call *call)
{
	bool left;

	if (tuck__call_phase(call) == TUCK__CALL_ENDED) {
		call_free(call);
		return;
	}
	tuck__offloads_lock();
	withdraw(call);
	call->left = tuck__call_phase(call) == TUCK__CALL_RUNNING;
	left = call->left;
	tuck__offloads_unlock();
	if (!left)
		call_free(call);
}

/* -- what a call uses -- */

/* With the lock. */
static struct tuck__call *user_of(int fd, uint32_t fd_table)
{
	for (struct tuck__link *l = running.next; l != &running; l = l->next)
		if (call_of(l)->fd == fd && call_of(l)->fd_table == fd_table)
			return call_of(l);
	return NULL;
}

static struct tuck__call *queued_in(const struct tuck__crew *pool, int fd)
{
	for (struct tuck__link *l = pool->lanes.next; l != &pool->lanes;
	     l = l->next) {
		struct tuck__lane *lane = tuck__container(l, struct tuck__lane,
							  ring);
		struct tuck__link *c = lane->calls.next;

		for (; c != &lane->calls; c = c->next)
			if (call_of(c)->fd == fd)
				return call_of(c);
	}
	return NULL;
}

static struct tuck__call *queued_for(int fd)
{
	struct tuck__call *call = NULL;

	for (struct tuck__crew *pool = pools; pool && !call; pool = pool->next)
		if (pool->fd_table == tuck__fd_table)
			call = queued_in(pool, fd);
	return call;
}

/*
 * With the lock, which is given up meanwhile. They count as queued until who
 * waits has been told, as those do that have run.
 */
static void refuse_queued(int fd)
{
	struct tuck__call *call;
	tuck_id id;

	while ((call = queued_for(fd)) != NULL) {
		id = call->id;
		take_back(call);
		stats->withdrawn++;
		call->result = -EBADF;
		atomic_store(&call->far.state, TUCK__FAR_OVER);
		set_phase(call, TUCK__CALL_ENDED);	/* now it is gone */
		tuck__offloads_unlock();
		tuck__far_wake(id);
		tuck__offloads_lock();
	}
	tuck__offloads_count();
}

bool tuck__calls_close(int fd)
{
	struct tuck__call *user;

	if (tuck__likely(fd < 0 || using_fds[fd % 256] == 0))
		return false;
	tuck__offloads_lock();
	refuse_queued(fd);
	user = user_of(fd, tuck__fd_table);
	if (user)
		user->closes = true;
	tuck__offloads_unlock();
	return user != NULL;
}

/* With the lock, of one that runs no more: what to close, or -1. */
static int leave_fd(struct tuck__call *call)
{
	struct tuck__call *other;

	count_fd(call, -1);
	if (!call->closes)
		return -1;
	other = user_of(call->fd, call->fd_table);
	if (!other)
		return call->fd;
	other->closes = true;
	return -1;
}

/* -- the end of a call -- */

/* With the lock: nobody waits for it, and it is the caller's to free. */
static bool end_call(struct tuck__call *call, int result, int *ret_fd)
{
	bool left = call->left;

	tuck__link_remove(&call->link);
	*ret_fd = leave_fd(call);
	call->result = result;
	stats->ended++;
	if (left)
		return true;
	atomic_store(&call->far.state, TUCK__FAR_OVER);
	set_phase(call, TUCK__CALL_ENDED);	/* from here on it is gone */
	return false;
}

struct tuck__call_end tuck__call_end(struct tuck__crew *pool,
				     struct tuck__call *call, int result)
{
	struct tuck__call_end end = { .id = call->id };

	pool->remote -= call->remote;
	if (end_call(call, result, &end.fd))
		end.left = call;
	return end;
}

void tuck__call_tell(struct tuck__call_end end)
{
	if (end.fd >= 0)
		close(end.fd);
	if (end.left)
		call_free(end.left);
	else
		tuck__far_wake(end.id);
}

/* -- fork -- */

/*
 * Nobody runs it in this process, but for a function that has forked: it may
 * read what it was passed until it calls exec. Its proc may be gone, too.
 */
static void orphan(struct tuck__call *call)
{
	struct tuck__sched *home;
	tuck_id id = call->id;
	int fd;
	bool left;

	call->discard = NULL;
	call->out_bytes = 0;		/* half of it may be there */
	left = end_call(call, -ECANCELED, &fd);
	if (fd >= 0 && call->fd_table == tuck__fd_table)
		close(fd);
	if (left && !tuck__worker_runs(call))
		call_free(call);
	else if (!left && tuck__find(id, &home) && home == tuck__tls)
		tuck__far_wake(id);
}

static void forget_workers(struct tuck__crew *pool)
{
	pool->workers = 0;
	pool->arriving = false;
	tuck__link_init(&pool->idle);
	do
		pool->remote = 0;	/* there is no bound for what is gone */
	while (tuck__call_take(pool));
}

static void in_child(void)
{
	tuck__workers_forget();
	for (struct tuck__crew *pool = pools; pool; pool = pool->next)
		forget_workers(pool);
	while (!tuck__list_empty(&running))
		orphan(call_of(running.next));
	*stats = (struct tuck_offload_stats){
		.workers_max = stats->workers_max
	};
	tuck__offloads_count();
}

TUCK__AT_FORK_MUTEX(TUCK__FORK_OFFLOADS, tuck__offloads.lock, in_child)

/* -- pools and lanes -- */

static void set_up(void)
{
	struct tuck_config config;

	tuck__config_get(&config);
	if (!stats->workers_max)
		stats->workers_max = (int)config.offload_workers;
}

/* With the lock. */
static struct tuck__crew *pool_for(uint32_t fd_table)
{
	struct tuck__crew *pool = pools;

	while (pool && (pool->fd_table != fd_table || pool->users == 0))
		pool = pool->next;
	if (pool)
		return pool;
	pool = tuck__alloc(sizeof(*pool));
	if (!pool)
		return NULL;
	pool->fd_table = fd_table;
	tuck__link_init(&pool->lanes);
	tuck__link_init(&pool->idle);
	pool->next = pools;
	pools = pool;
	return pool;
}

void tuck__crew_left(struct tuck__crew *pool)
{
	struct tuck__crew **p = &pools;

	if (pool->users || pool->workers)
		return;
	while (*p != pool)
		p = &(*p)->next;
	*p = pool->next;
	tuck__free(pool);
}

/* The proc has no tasklets any more, and so no queued calls. */
static void lanes_fini(struct tuck__sched *s)
{
	struct tuck__lane *lanes = s->offload;
	struct tuck__crew *pool = lanes->pool;

	tuck__offloads_lock();
	if (--pool->users == 0)
		tuck__workers_look(pool);
	tuck__crew_left(pool);
	tuck__offloads_unlock();
	tuck__free(lanes);
}

static struct tuck__crew *pool_join(void)
{
	struct tuck__crew *pool;

	tuck__thread_overhead();	/* is known when a worker is made */
	tuck__offloads_lock();
	pool = pool_for(tuck__fd_table);
	if (pool)
		pool->users++;
	tuck__offloads_unlock();
	return pool;
}

/* Both, the remote one last. */
static struct tuck__lane *lanes_new(void)
{
	struct tuck__lane *lanes = tuck__alloc(2 * sizeof(*lanes));
	struct tuck__crew *pool = lanes ? pool_join() : NULL;

	if (!pool) {
		tuck__free(lanes);
		return NULL;
	}
	for (int i = 0; i < 2; i++) {
		tuck__link_init(&lanes[i].ring);
		tuck__link_init(&lanes[i].calls);
		lanes[i].pool = pool;
		lanes[i].remote = i == 1;
	}
	return lanes;
}

/* Of the program, or of this proc, the first call. */
static tuck__noinline void set_up_lanes(struct tuck__sched *s)
{
	pthread_once(&once, set_up);
	s->offload = lanes_new();
	if (s->offload)
		s->offload_fini = lanes_fini;
}

struct tuck__lane *tuck__lane(struct tuck__sched *s, bool remote)
{
	struct tuck__lane *lanes;

	if (!tuck__likely(s->offload != NULL))
		set_up_lanes(s);
	lanes = s->offload;
	return lanes ? &lanes[remote] : NULL;
}

/* -- the program's say -- */

/*
 * Idle workers look whether they are too many. One more is made for those that
 * wait, and looks whether that is enough; unless its table is not ours.
 */
static void raise_or_lower(struct tuck__crew *pool)
{
	struct tuck__worker *none;

	tuck__workers_look(pool);
	if (tuck__call_waits(pool) && pool->fd_table == tuck__fd_table)
		tuck__worker_provide(pool, &none);
}

int tuck_offload_limit(int n, tuck_ns idle_ns)
{
	TUCK__REQUIRE(n >= 0 && n <= WORKERS_MAX && idle_ns >= 0, -EINVAL);
	pthread_once(&once, set_up);
	tuck__offloads_lock();
	if (n)
		stats->workers_max = n;
	if (idle_ns)
		tuck__offloads.idle_max = idle_ns;
	for (struct tuck__crew *pool = pools; pool; pool = pool->next)
		raise_or_lower(pool);
	tuck__offloads_unlock();
	return 0;
}

int tuck_offload_stats(struct tuck_offload_stats *ret_stats)
{
	TUCK__REQUIRE(ret_stats, -EINVAL);
	pthread_once(&once, set_up);
	tuck__offloads_lock();
	*ret_stats = *stats;
	tuck__offloads_unlock();
	return 0;
}
