/* SPDX-License-Identifier: MIT */
/*
 * A parking lot, after WebKit's: the locks of pthread.h stay what they are,
 * so ordinary threads go on using them; a tasklet takes one by its try call,
 * and if that fails waits here, under the lock's address, until whoever
 * unlocks lets it try again.
 *
 * Invariants:
 * 1. Who waits is in the lot before its last try, and who unlocks looks into
 *    the lot after that: so none is left waiting. An unlock by code that was
 *    linked without the wrappers is found by looking every TUCK__LOT_POLL.
 * 2. Nothing in here switches while a bucket is locked.
 * 3. A fork has all locks, so no thread is in a list then which the child
 *    does not have. Those that it had in the lists count as ended.
 *
 * Why not otherwise: a Tuck mutex in place of each pthread_mutex_t would leave
 * out threads that are no procs, and what the program has in shared memory.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "preempt/lot.h"

#define BUCKETS	256
#define LOCKS	16	/* of as many buckets each: a fork takes all */

struct owned {
	struct tuck__link link;
	const void *object;
	tuck_id owner;
	int depth;
};

static struct bucket {
	atomic_int n;				/* of those who wait */
	struct tuck__link waiters, owned;
} buckets[BUCKETS];

static pthread_mutex_t locks[LOCKS];	/* glibc's: zero is good */
static __thread int forking;	/* so many deep: the thread has all locks */

int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __real_pthread_mutex_unlock(pthread_mutex_t *m);

static __attribute__((__constructor__)) void check_link(void)
{
	if (dlsym(RTLD_DEFAULT, "tuck_yield"))
		return;
	fputs("tuck: libtuck-preempt needs the shared libtuck: the wrappers "
	      "would take the locks of a static one for the program's\n",
	      stderr);
	abort();
}

static struct bucket *bucket_of(const void *at)
{
	uint64_t hash = (uintptr_t)at * UINT64_C(0x9e3779b97f4a7c15);

	return &buckets[hash >> 56];
}

static pthread_mutex_t *lock_of(const struct bucket *b)
{
	return &locks[(b - buckets) % LOCKS];
}

static struct bucket *lock(const void *at)
{
	struct bucket *b = bucket_of(at);

	if (!forking)
		__real_pthread_mutex_lock(lock_of(b));
	if (!b->waiters.next) {		/* constructors may lock, too */
		tuck__link_init(&b->waiters);
		tuck__link_init(&b->owned);
	}
	return b;
}

static void unlock(struct bucket *b)
{
	if (!forking)
		__real_pthread_mutex_unlock(lock_of(b));
}

/*
 * -- fork --
 *
 * What other libraries do about it may lock and unlock meanwhile, and does so
 * as the thread: libtuck's own locks may be taken already.
 */

static void lock_all(void)
{
	tuck__hold_waits++;
	if (forking++ > 0)
		return;
	for (int i = 0; i < LOCKS; i++)
		__real_pthread_mutex_lock(&locks[i]);
}

static void unlock_all(void)
{
	tuck__hold_waits--;
	if (--forking > 0)
		return;
	for (int i = LOCKS - 1; i >= 0; i--)
		__real_pthread_mutex_unlock(&locks[i]);
}

/*
 * Early, so that the locks are taken late, after what others do: a handler may
 * wait for a recursive mutex, whose owner needs them to unlock it. That of a
 * library which was there before may not. Where there is no memory for it at
 * the program's start, it is left out.
 */
static __attribute__((__constructor__(101))) void watch(void)
{
	pthread_atfork(lock_all, unlock_all, unlock_all);
}

/* -- waiting -- */

static void put_in(struct tuck__parked *p)
{
	struct bucket *b = lock(p->at);

	tuck__link_before(&b->waiters, &p->link);
	atomic_fetch_add(&b->n, 1);
	p->in = true;
	p->settled = false;
	unlock(b);
}

/* False if somebody has let it go. */
static bool take_out(struct tuck__parked *p)
{
	struct bucket *b = lock(p->at);
	bool was = p->in;

	if (was) {
		tuck__link_cut(&p->link);
		atomic_fetch_sub(&b->n, 1);
	}
	p->in = false;
	unlock(b);
	return was;
}

struct tuck__parked *tuck__lot_enter(const void *at)
{
	struct tuck__parked *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->at = at;
	p->of = tuck_self();
	put_in(p);
	return p;
}

bool tuck__lot_leave(struct tuck__parked *p)
{
	bool used = take_out(p) || p->settled || tuck__lot_wake(p->at, false);

	free(p);
	return used;
}

/* Until the semaphore's post or the deadline; NULL: only that. */
static int wait_on(struct tuck_sem *sem, tuck_ns deadline)
{
	bool cancelled = false;
	int r;

	do {
		cancelled |= tuck_uncancel();
		r = sem ? tuck_sem_wait(sem, deadline) : tuck_sleep(deadline);
	} while (r == -ECANCELED);
	if (cancelled)
		tuck_cancel(tuck_self());
	return r;
}

int tuck__lot_wait(struct tuck__parked *p, tuck_ns deadline)
{
	int r = wait_on(&p->sem, deadline);

	if (r != 0 && !take_out(p))
		r = tuck_sem_wait(&p->sem, TUCK_NOWAIT);
	p->settled = true;
	return r;
}

int tuck__lot_sleep(tuck_ns deadline)
{
	return wait_on(NULL, deadline);
}

/*
 * Whether there was anybody to let go. To ask Tuck of one who was dropped would
 * make a proc of a thread that is none.
 */
static bool let_one_go(struct tuck__parked *p)
{
	bool dropped = tuck_can_switch() && tuck__ended(p->of);

	p->in = false;
	if (dropped)
		free(p);
	else
		tuck_sem_post(&p->sem);
	return !dropped;
}

bool tuck__lot_wake(const void *at, bool all)
{
	struct bucket *b = bucket_of(at);
	struct tuck__link *l, *next;
	bool any = false;

	atomic_thread_fence(memory_order_seq_cst);
	if (tuck__likely(atomic_load(&b->n) == 0))
		return false;
	lock(at);
	for (l = b->waiters.next; l != &b->waiters && (all || !any); l = next) {
		struct tuck__parked *p = tuck__container(l, struct tuck__parked,
							 link);

		next = l->next;
		if (p->at != at)
			continue;
		tuck__link_cut(l);
		atomic_fetch_sub(&b->n, 1);
		any |= let_one_go(p);
	}
	unlock(b);
	return any;
}

static void leave(struct tuck__parked **p)
{
	if (*p)
		tuck__lot_leave(*p);
}

/* One whose group is late cannot wait, but must try on. */
static void wait_a_while(struct tuck__parked *p, tuck_ns deadline)
{
	tuck_ns soon = tuck_after(TUCK__LOT_POLL);
	int r = p ? tuck__lot_wait(p, soon < deadline ? soon : deadline) :
		    tuck__lot_sleep(tuck_after(TUCK_MS(1)));

	if (r != 0 && r != -ETIMEDOUT)
		tuck_yield();
}

int tuck__lot_acquire(void *object, tuck__attempt *attempt, tuck_ns deadline)
{
	struct tuck__parked *p __attribute__((__cleanup__(leave))) = NULL;
	int r;

	r = attempt(object);
	if (tuck__likely(r != EBUSY))
		return r;
	p = tuck__lot_enter(object);
	while ((r = attempt(object)) == EBUSY) {
		if (deadline < 0)
			return EINVAL;
		if (deadline != TUCK_FOREVER && tuck_now() >= deadline)
			return ETIMEDOUT;
		wait_a_while(p, deadline);
		if (p && !p->in)
			put_in(p);
	}
	return r;
}

/* -- owning -- */

static struct owned *find(const struct bucket *b, const void *object)
{
	struct tuck__link *l;

	for (l = b->owned.next; l != &b->owned; l = l->next) {
		struct owned *o = tuck__container(l, struct owned, link);

		if (o->object == object)
			return o;
	}
	return NULL;
}

static struct owned *add(struct bucket *b, const void *object)
{
	struct owned *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->object = object;
	tuck__link_before(&b->owned, &o->link);
	return o;
}

static void drop(struct owned *o)
{
	tuck__link_cut(&o->link);
	free(o);
}

static int own(struct bucket *b, void *object, tuck__attempt *take, bool deep)
{
	struct owned *o = find(b, object);
	tuck_id self = tuck_self();
	bool taken;
	int r;

	if (o && o->owner == self && !deep)
		return EDEADLK;
	if (o && o->owner != self && !tuck__ended(o->owner))
		return EBUSY;
	if (!o)
		o = add(b, object);
	if (!o)
		return EAGAIN;
	r = take ? take(object) : 0;
	taken = r == 0 || r == EOWNERDEAD;
	if (taken && o->owner == self) {
		o->depth++;
	} else if (taken) {
		o->owner = self;
		o->depth = 1;
	} else if (o->owner != self) {
		drop(o);
	}
	return r;
}

int tuck__lot_own(void *object, tuck__attempt *take, bool deep)
{
	struct bucket *b = lock(object);
	int r = own(b, object, take, deep);

	unlock(b);
	return r;
}

int tuck__lot_disown(void *object)
{
	struct bucket *b = lock(object);
	struct owned *o = find(b, object);
	int r = o && o->owner != tuck_self() ? EPERM : 0;

	if (o && r == 0 && --o->depth == 0)
		drop(o);
	unlock(b);
	return r;
}

tuck_ns tuck__lot_deadline(clockid_t clock, const struct timespec *until)
{
	struct timespec now;
	tuck_ns left;

	if ((clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) ||
	    until->tv_nsec < 0 || until->tv_nsec >= TUCK_SEC(1))
		return -EINVAL;
	clock_gettime(clock, &now);
	if (until->tv_sec < now.tv_sec)
		return 1;
	left = (tuck_ns)(until->tv_sec - now.tv_sec);
	if (left > INT64_MAX / TUCK_SEC(2))
		return TUCK_FOREVER;
	left = TUCK_SEC(left) + until->tv_nsec - now.tv_nsec;
	return left > 0 ? tuck_after(left) : 1;
}
