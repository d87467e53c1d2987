/* SPDX-License-Identifier: MIT */
/*
 * A lock for one writer or many readers. Its word is the number of readers,
 * or WRITER and the writer's id.
 *
 * Who comes waits behind all who wait already, so neither side starves the
 * other; a free lock goes to the first writer, or to all readers up to the
 * next writer.
 */
#include "chan/sync.h"

#define WRITER	((int64_t)1 << 61)

_Static_assert(sizeof(struct tuck_rwlock) >= sizeof(struct tuck__waitq),
	       "the public struct has room");

static void pass_on(struct tuck__waitq *q, tuck_id id);
static void admit(struct tuck__waitq *q);

static const struct tuck__waitq_kind read_kind = { .why = TUCK__WHY_RDLOCK,
						   .pass_on = pass_on,
						   .left = admit };

static const struct tuck__waitq_kind write_kind = { .why = TUCK__WHY_WRLOCK,
						    .pass_on = pass_on,
						    .left = admit };

/* Locked: let those go for whom the lock is free. */
static void admit(struct tuck__waitq *q)
{
	int64_t w;

	while (q->n && !((w = atomic_load(&q->word)) & WRITER)) {
		const struct tuck__tasklet *first = tuck__tasklet_of(
			q->waiters.next);
		bool reads = first->w.why == TUCK__WHY_RDLOCK;

		if (!reads && TUCK__COUNT(w))
			return;
		atomic_fetch_add(&q->word,
				 reads ? 1 : WRITER | tuck__id(first));
		tuck__waitq_wake(tuck__waitq_take(q, TUCK__GIVEN));
	}
}

/* What the word is for one who wants the lock so; 0: it cannot have it now. */
static inline int64_t taken(int64_t w, bool reads, tuck_id id)
{
	if (reads)
		return w & (WRITER | TUCK__WAITERS) ? 0 : w + 1;
	return w ? 0 : WRITER | id;
}

static inline bool take(struct tuck__waitq *q, int64_t *w, bool reads,
			tuck_id id)
{
	int64_t to;

	*w = atomic_load(&q->word);
	while ((to = taken(*w, reads, id)) != 0)
		if (atomic_compare_exchange_weak(&q->word, w, to))
			return true;
	return false;
}

static tuck__noinline int lock_slowly(struct tuck__waitq *q, bool reads,
				      tuck_ns deadline)
{
	struct tuck__sched *s = tuck__tls;
	tuck_id id = tuck__id(s->current);
	int64_t w;

	if (deadline == TUCK_NOWAIT)
		return -EAGAIN;
	tuck__waitq_lock(q);
	do {
		if (!take(q, &w, reads, id))
			continue;
		tuck__waitq_unlock(q);
		return 0;
	} while (!tuck__waitq_mark(q, &w));
	return tuck__waitq_wait(s, q, reads ? &read_kind : &write_kind,
				deadline);
}

static inline int lock(struct tuck__waitq *q, bool reads, tuck_ns deadline)
{
	int r = tuck__sync_check(q, deadline);
	tuck_id id;
	int64_t w;

	if (tuck__unlikely(r < 0))
		return r;
	id = tuck__id(tuck__tls->current);
	if (tuck__likely(take(q, &w, reads, id)))
		return 0;
	TUCK__REQUIRE(!(w & WRITER) || (w & TUCK__ID_MASK) != id, -EDEADLK);
	return lock_slowly(q, reads, deadline);
}

static int release(struct tuck__waitq *q, tuck_id id, bool locked)
{
	int64_t w = atomic_load(&q->word), left;

	do {
		if (w & WRITER) {
			TUCK__REQUIRE((w & TUCK__ID_MASK) == id, -EPERM);
			left = w & TUCK__WAITERS;
		} else {
			TUCK__REQUIRE(TUCK__COUNT(w), -EPERM);
			left = w - 1;
		}
		if ((w & TUCK__WAITERS) && !locked)
			return 1;
	} while (!atomic_compare_exchange_weak(&q->word, &w, left));
	return 0;
}

static int unlock(struct tuck__waitq *q, tuck_id id)
{
	int r = release(q, id, false);

	while (tuck__unlikely(r == 1)) {
		tuck__waitq_lock(q);
		if (q->n) {
			r = release(q, id, true);
			admit(q);
		}
		tuck__waitq_unlock(q);
		if (r == 1)
			r = release(q, id, false);
	}
	return r;
}

static void pass_on(struct tuck__waitq *q, tuck_id id)
{
	unlock(q, id);
}

/* -- the calls -- */

int tuck_rwlock_init(struct tuck_rwlock *rwlock)
{
	return tuck__sync_init(rwlock, sizeof(*rwlock), 0);
}

int tuck_rwlock_fini(struct tuck_rwlock *rwlock)
{
	return tuck__sync_fini(rwlock,
			       rwlock && TUCK__QUEUE(rwlock)->word != 0);
}

int tuck_rwlock_rdlock(struct tuck_rwlock *rwlock, tuck_ns deadline)
{
	return lock(TUCK__QUEUE(rwlock), true, deadline);
}

int tuck_rwlock_wrlock(struct tuck_rwlock *rwlock, tuck_ns deadline)
{
	return lock(TUCK__QUEUE(rwlock), false, deadline);
}

int tuck_rwlock_unlock(struct tuck_rwlock *rwlock)
{
	struct tuck__sched *s = tuck__tls;

	TUCK__REQUIRE(rwlock, -EINVAL);
	TUCK__REQUIRE(s, -EPERM);
	return unlock(TUCK__QUEUE(rwlock), tuck__id(s->current));
}
