/* SPDX-License-Identifier: MIT */
/*
 * Semaphore, waitgroup, event and barrier: a number, and who waits for it.
 * The word of a semaphore is what it has left, of a waitgroup what is still
 * to do, of a barrier how many must come; of an event, SET and AUTO.
 */
#include "chan/sync.h"

#define SET	((int64_t)1)
#define AUTO	((int64_t)2)

_Static_assert(
	sizeof(struct tuck_sem) >= sizeof(struct tuck__waitq) &&
		sizeof(struct tuck_waitgroup) >= sizeof(struct tuck__waitq) &&
		sizeof(struct tuck_event) >= sizeof(struct tuck__waitq) &&
		sizeof(struct tuck_barrier) >= sizeof(struct tuck__waitq),
	"the public structs have room");

/*
 * Try without the lock, then with it; then wait. What is to be tried gets
 * the word as it is and says what it becomes, or -1: it must wait.
 */
typedef int64_t after_fn(int64_t word);

static inline bool attempt(struct tuck__waitq *q, int64_t *w, after_fn *after)
{
	int64_t to;

	*w = atomic_load(&q->word);
	while ((to = after(*w)) >= 0)
		if (to == *w || atomic_compare_exchange_weak(&q->word, w, to))
			return true;
	return false;
}

static inline int wait_slowly(struct tuck__waitq *q, after_fn *after,
			      const struct tuck__waitq_kind *kind,
			      tuck_ns deadline)
{
	int64_t w;

	if (deadline == TUCK_NOWAIT)
		return -EAGAIN;
	tuck__waitq_lock(q);
	do {
		if (!attempt(q, &w, after))
			continue;
		tuck__waitq_unlock(q);
		return 0;
	} while (!tuck__waitq_mark(q, &w));
	return tuck__waitq_wait(tuck__tls, q, kind, deadline);
}

/* Let one go; false if nobody waits any more. */
static bool give_one(struct tuck__waitq *q)
{
	tuck_id id;

	tuck__waitq_lock(q);
	id = tuck__waitq_take(q, TUCK__GIVEN);
	tuck__waitq_unlock(q);
	if (id)
		tuck__waitq_wake(id);
	return id;
}

/* Who let the caller go may hold the lock still, and q is the caller's. */
static void let_others_out(struct tuck__waitq *q)
{
	tuck__waitq_lock(q);
	tuck__waitq_unlock(q);
}

/* -- semaphore -- */

static void sem_pass_on(struct tuck__waitq *q, tuck_id id)
{
	(void)id;
	tuck_sem_post((struct tuck_sem *)(void *)q);
}

static const struct tuck__waitq_kind sem_kind = { .why = TUCK__WHY_SEM,
						  .pass_on = sem_pass_on };

static inline int64_t after_sem_wait(int64_t w)
{
	return TUCK__COUNT(w) ? w - 1 : -1;	/* 0, if somebody waits */
}

static tuck__noinline int sem_wait_slowly(struct tuck__waitq *q,
					  tuck_ns deadline)
{
	return wait_slowly(q, after_sem_wait, &sem_kind, deadline);
}

int tuck_sem_init(struct tuck_sem *sem, int value)
{
	TUCK__REQUIRE(value >= 0, -EINVAL);
	return tuck__sync_init(sem, sizeof(*sem), value);
}

int tuck_sem_fini(struct tuck_sem *sem)
{
	return tuck__sync_fini(sem, false);
}

int tuck_sem_wait(struct tuck_sem *sem, tuck_ns deadline)
{
	struct tuck__waitq *q = TUCK__QUEUE(sem);
	int64_t w;
	int r;

	r = tuck__sync_check(sem, deadline);
	if (tuck__unlikely(r < 0))
		return r;
	if (tuck__likely(attempt(q, &w, after_sem_wait)))
		return 0;
	return sem_wait_slowly(q, deadline);
}

/* One more, unless somebody waits: then 1. */
static inline int add_one(struct tuck__waitq *q)
{
	int64_t w = atomic_load(&q->word);

	do {
		if (w & TUCK__WAITERS)
			return 1;
		TUCK__REQUIRE(w < INT32_MAX, -EOVERFLOW);
	} while (!atomic_compare_exchange_weak(&q->word, &w, w + 1));
	return 0;
}

int tuck_sem_post(struct tuck_sem *sem)
{
	struct tuck__waitq *q = TUCK__QUEUE(sem);
	int r;

	TUCK__REQUIRE(q, -EINVAL);
	do
		r = add_one(q);
	while (r == 1 && !give_one(q));
	return r < 0 ? r : 0;
}

/* -- waitgroup -- */

static const struct tuck__waitq_kind waitgroup_kind = {
	.why = TUCK__WHY_WAITGROUP
};

static inline int64_t after_waitgroup_wait(int64_t w)
{
	return TUCK__COUNT(w) ? -1 : w;
}

static tuck__noinline int waitgroup_wait_slowly(struct tuck__waitq *q,
						tuck_ns deadline)
{
	return wait_slowly(q, after_waitgroup_wait, &waitgroup_kind, deadline);
}

int tuck_waitgroup_init(struct tuck_waitgroup *group)
{
	return tuck__sync_init(group, sizeof(*group), 0);
}

int tuck_waitgroup_fini(struct tuck_waitgroup *group)
{
	return tuck__sync_fini(group, false);
}

int tuck_waitgroup_wait(struct tuck_waitgroup *group, tuck_ns deadline)
{
	struct tuck__waitq *q = TUCK__QUEUE(group);
	int64_t w;
	int r;

	r = tuck__sync_check(group, deadline);
	if (r < 0)
		return r;
	if (!attempt(q, &w, after_waitgroup_wait))
		return waitgroup_wait_slowly(q, deadline);
	let_others_out(q);
	return 0;
}

/* Add n, unless that must be told to those who wait: then 1. */
static int add(struct tuck__waitq *q, int n, bool locked)
{
	int64_t w = atomic_load(&q->word), count;

	do {
		count = TUCK__COUNT(w) + n;
		TUCK__REQUIRE(count >= 0, -EINVAL);
		TUCK__REQUIRE(count <= INT32_MAX, -EOVERFLOW);
		if (count == 0 && (w & TUCK__WAITERS) && !locked)
			return 1;
	} while (!atomic_compare_exchange_weak(&q->word, &w, w + n));
	if (count == 0 && locked)
		tuck__waitq_tell_all(q);
	return 0;
}

int tuck_waitgroup_add(struct tuck_waitgroup *group, int n)
{
	struct tuck__waitq *q = TUCK__QUEUE(group);
	int r;

	TUCK__REQUIRE(q, -EINVAL);
	r = add(q, n, false);
	if (r <= 0)
		return r;
	tuck__waitq_lock(q);
	r = add(q, n, true);
	tuck__waitq_unlock(q);
	return r;
}

int tuck_waitgroup_done(struct tuck_waitgroup *group)
{
	return tuck_waitgroup_add(group, -1);
}

/* -- event -- */

static void event_pass_on(struct tuck__waitq *q, tuck_id id)
{
	(void)id;
	tuck_event_set((struct tuck_event *)(void *)q);
}

static const struct tuck__waitq_kind event_kind = { .why = TUCK__WHY_EVENT,
						    .pass_on = event_pass_on };

static inline int64_t after_event_wait(int64_t w)
{
	if (!(w & SET))
		return -1;
	return w & AUTO ? w & ~SET : w;
}

static tuck__noinline int event_wait_slowly(struct tuck__waitq *q,
					    tuck_ns deadline)
{
	return wait_slowly(q, after_event_wait, &event_kind, deadline);
}

int tuck_event_init(struct tuck_event *event, int auto_reset)
{
	return tuck__sync_init(event, sizeof(*event), auto_reset ? AUTO : 0);
}

int tuck_event_fini(struct tuck_event *event)
{
	return tuck__sync_fini(event, false);
}

int tuck_event_wait(struct tuck_event *event, tuck_ns deadline)
{
	struct tuck__waitq *q = TUCK__QUEUE(event);
	int64_t w;
	int r;

	r = tuck__sync_check(event, deadline);
	if (r < 0)
		return r;
	if (!attempt(q, &w, after_event_wait))
		return event_wait_slowly(q, deadline);
	if (!(w & AUTO))
		let_others_out(q);
	return 0;
}

static void set_for_all(struct tuck__waitq *q)
{
	tuck__waitq_lock(q);
	atomic_fetch_or(&q->word, SET);
	tuck__waitq_tell_all(q);
	tuck__waitq_unlock(q);
}

static inline bool set_alone(struct tuck__waitq *q)
{
	int64_t w = atomic_load(&q->word);

	while (!(w & TUCK__WAITERS))
		if (atomic_compare_exchange_weak(&q->word, &w, w | SET))
			return true;
	return false;
}

int tuck_event_set(struct tuck_event *event)
{
	struct tuck__waitq *q = TUCK__QUEUE(event);

	TUCK__REQUIRE(q, -EINVAL);
	while (!set_alone(q)) {
		if (!(atomic_load(&q->word) & AUTO)) {
			set_for_all(q);
			return 0;
		}
		if (give_one(q))
			return 0;
	}
	return 0;
}

int tuck_event_reset(struct tuck_event *event)
{
	TUCK__REQUIRE(event, -EINVAL);
	atomic_fetch_and(&TUCK__QUEUE(event)->word, ~SET);
	return 0;
}

/* -- barrier -- */

static const struct tuck__waitq_kind barrier_kind = {
	.why = TUCK__WHY_BARRIER
};

int tuck_barrier_init(struct tuck_barrier *barrier, int n)
{
	TUCK__REQUIRE(n > 0, -EINVAL);
	return tuck__sync_init(barrier, sizeof(*barrier), n);
}

int tuck_barrier_fini(struct tuck_barrier *barrier)
{
	return tuck__sync_fini(barrier, false);
}

int tuck_barrier_wait(struct tuck_barrier *barrier, tuck_ns deadline)
{
	struct tuck__waitq *q = TUCK__QUEUE(barrier);
	bool last;
	int r;

	r = tuck__sync_check(barrier, deadline);
	if (r < 0)
		return r;
	tuck__waitq_lock(q);
	last = q->n + 1 >= TUCK__COUNT(atomic_load(&q->word));
	if (!last && deadline != TUCK_NOWAIT) {
		atomic_fetch_or(&q->word, TUCK__WAITERS);
		return tuck__waitq_wait(tuck__tls, q, &barrier_kind, deadline);
	}
	if (last)
		tuck__waitq_tell_all(q);
	tuck__waitq_unlock(q);
	return last ? 1 : -EAGAIN;
}
