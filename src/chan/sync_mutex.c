/* SPDX-License-Identifier: MIT */
/*
 * Mutex, condition and once. A mutex's word is its owner's id; a once's the
 * id of who runs its function, then RAN.
 *
 * A condition does not move its waiters to the mutex: each is woken and
 * locks. To move them would spare a switch where a signal comes with the
 * mutex held, but a wait that ends by its deadline has to lock anyway.
 */
#include "chan/sync.h"

#define RAN	((int64_t)1 << 61)

_Static_assert(sizeof(struct tuck_mutex) == sizeof(struct tuck__ownedq) ||
		       sizeof(void *) != 8,
	       "the public struct has just room");
_Static_assert(sizeof(struct tuck_mutex) >= sizeof(struct tuck__ownedq) &&
		       sizeof(struct tuck_once) >=
			       sizeof(struct tuck__ownedq) &&
		       _Alignof(struct tuck_mutex) >=
			       _Alignof(struct tuck__ownedq) &&
		       sizeof(struct tuck_cond) >= sizeof(struct tuck__waitq),
	       "the public struct has room");

static const struct tuck__waitq_kind mutex_kind = { .why = TUCK__WHY_MUTEX,
						    .owned = true };

static const struct tuck__waitq_kind once_kind = { .why = TUCK__WHY_ONCE,
						   .owned = true };

/* -- owning -- */

static bool ended(tuck_id id)
{
	struct tuck__sched *s;

	return !tuck__find(id, &s);
}

/*
 * Owners locked: take q. 1: the caller must wait, and q is marked. When an
 * owner has ended and others wait, it is about to hand over to the first.
 * -ELOOP: a cycle, which cannot change while the owners are locked.
 * Not inlined: clang makes no tail call where a local's address was passed.
 */
static tuck__noinline int try_own(struct tuck__waitq *q,
				  struct tuck__tasklet *self, tuck_ns deadline)
{
	tuck_id id = tuck__id(self);
	int64_t w = atomic_load(&q->word);

	do {
		while (w == 0 || (!(w & (TUCK__WAITERS | RAN)) && ended(w)))
			if (atomic_compare_exchange_strong(&q->word, &w, id)) {
				tuck__own(self);
				return w ? -EOWNERDEAD : 0;
			}
		if (w & RAN)
			return 0;
		TUCK__REQUIRE((w & TUCK__ID_MASK) != id, -EDEADLK);
		TUCK__REQUIRE(deadline != TUCK_NOWAIT, -EAGAIN);
		if (tuck__waitq_for_good(self, deadline) &&
		    tuck__waitq_cycle(self, q))
			return -ELOOP;
	} while (!tuck__waitq_mark(q, &w));
	return 1;
}

static tuck__noinline int own_slowly(struct tuck__waitq *q,
				     const struct tuck__waitq_kind *kind,
				     tuck_ns deadline)
{
	struct tuck__sched *s;
	int r = tuck__sync_check(q, deadline);

	if (r < 0)
		return r;
	s = tuck__tls;
	tuck__owners_lock();
	r = try_own(q, s->current, deadline);
	if (r == 1)
		return tuck__waitq_wait(s, q, kind, deadline);
	tuck__owners_unlock();
	if (r != -ELOOP)
		return r;
	tuck__waitq_call_deadlock();
	return -EDEADLK;
}

/* The caller, who owns q, leaves it to the first who waits. */
static tuck__noinline void disown_slowly(struct tuck__waitq *q)
{
	tuck_id next;

	tuck__owners_lock();
	next = tuck__waitq_hand_over(q, TUCK__OWNS);
	tuck__owners_unlock();
	if (next)
		tuck__waitq_wake(next);
}

/* -- mutex -- */

int tuck_mutex_init(struct tuck_mutex *mutex)
{
	return tuck__sync_init(mutex, sizeof(*mutex), 0);
}

int tuck_mutex_fini(struct tuck_mutex *mutex)
{
	return tuck__sync_fini(mutex, mutex && TUCK__QUEUE(mutex)->word != 0);
}

int tuck_mutex_lock(struct tuck_mutex *mutex, tuck_ns deadline)
{
	struct tuck__waitq *q = TUCK__QUEUE(mutex);
	struct tuck__sched *s = tuck__tls;
	int64_t none = 0;

	if (tuck__unlikely(!q || deadline < 0 || !s ||
			   !atomic_compare_exchange_strong(
				   &q->word, &none, tuck__id(s->current))))
		return own_slowly(q, &mutex_kind, deadline);
	tuck__own(s->current);
	return 0;
}

int tuck_mutex_unlock(struct tuck_mutex *mutex)
{
	struct tuck__sched *s = tuck__tls;
	struct tuck__waitq *q = TUCK__QUEUE(mutex);
	int64_t w;

	TUCK__REQUIRE(q, -EINVAL);
	TUCK__REQUIRE(s, -EPERM);
	w = tuck__id(s->current);
	if (tuck__unlikely(!atomic_compare_exchange_strong(&q->word, &w, 0))) {
		TUCK__REQUIRE((w & TUCK__ID_MASK) == tuck__id(s->current),
			      -EPERM);
		disown_slowly(q);
	}
	tuck__disown(s->current);
	return 0;
}

/* -- condition -- */

static void cond_pass_on(struct tuck__waitq *q, tuck_id id)
{
	(void)id;
	tuck_cond_signal((struct tuck_cond *)(void *)q);
}

static const struct tuck__waitq_kind cond_kind = { .why = TUCK__WHY_COND,
						   .pass_on = cond_pass_on };

int tuck_cond_init(struct tuck_cond *cond)
{
	return tuck__sync_init(cond, sizeof(*cond), 0);
}

int tuck_cond_fini(struct tuck_cond *cond)
{
	return tuck__sync_fini(cond, false);
}

/* Neither a cancel nor a group's deadline keeps a waiter from its mutex. */
static int lock_again(struct tuck_mutex *mutex)
{
	struct tuck__waiter *w = &tuck__tls->current->w;
	uint8_t bits = 0;
	int r;

	do {
		bits |= w->bits & (TUCK__CANCELED | TUCK__SCOPED);
		w->bits &= (uint8_t)~bits;
		r = tuck_mutex_lock(mutex, TUCK_FOREVER);
	} while (r == -ECANCELED);
	w->bits |= bits;
	return r == 0 || r == -EOWNERDEAD ? r : -ENOTRECOVERABLE;
}

/* When the wait is left by unwinding, cleanups find the mutex locked. */
static void lock_if_unwound(struct tuck_mutex **mutex)
{
	if (*mutex)
		lock_again(*mutex);
}

int tuck_cond_wait(struct tuck_cond *cond, struct tuck_mutex *mutex,
		   tuck_ns deadline)
{
	struct tuck_mutex *left
		__attribute__((__cleanup__(lock_if_unwound))) = NULL;
	struct tuck__waitq *q = TUCK__QUEUE(cond);
	int r = tuck__sync_check(mutex ? cond : NULL, deadline);
	int locked;

	if (r < 0)
		return r;
	TUCK__REQUIRE(tuck__waitq_owner(TUCK__QUEUE(mutex)) == tuck_self(),
		      -EPERM);
	TUCK__REQUIRE(deadline != TUCK_NOWAIT, -EAGAIN);
	left = mutex;
	tuck__waitq_lock(q);
	atomic_fetch_or(&q->word, TUCK__WAITERS); /* whom the next owner sees */
	tuck_mutex_unlock(mutex);
	r = tuck__waitq_wait(tuck__tls, q, &cond_kind, deadline);
	locked = lock_again(mutex);
	left = NULL;
	return locked < 0 ? locked : r;
}

int tuck_cond_signal(struct tuck_cond *cond)
{
	struct tuck__waitq *q = TUCK__QUEUE(cond);
	tuck_id id;

	TUCK__REQUIRE(q, -EINVAL);
	if (!(atomic_load(&q->word) & TUCK__WAITERS))
		return 0;
	tuck__waitq_lock(q);
	id = tuck__waitq_take(q, TUCK__GIVEN);
	tuck__waitq_unlock(q);
	if (id)
		tuck__waitq_wake(id);
	return 0;
}

int tuck_cond_broadcast(struct tuck_cond *cond)
{
	struct tuck__waitq *q = TUCK__QUEUE(cond);

	TUCK__REQUIRE(q, -EINVAL);
	if (!(atomic_load(&q->word) & TUCK__WAITERS))
		return 0;
	tuck__waitq_lock(q);
	tuck__waitq_tell_all(q);
	tuck__waitq_unlock(q);
	return 0;
}

/* -- once -- */

int tuck_once_init(struct tuck_once *once)
{
	return tuck__sync_init(once, sizeof(*once), 0);
}

int tuck_once_fini(struct tuck_once *once)
{
	return tuck__sync_fini(
		once, once && tuck__waitq_owner(TUCK__QUEUE(once)) != 0);
}

static void ran(struct tuck__waitq *q)
{
	tuck__owners_lock();
	atomic_store(&q->word, RAN | (q->n ? TUCK__WAITERS : 0));
	tuck__waitq_tell_all(q);
	tuck__owners_unlock();
	tuck__disown(tuck__tls->current);
}

static void leave_if_unwound(struct tuck__waitq **q)
{
	if (!*q)
		return;
	disown_slowly(*q);
	tuck__disown(tuck__tls->current);
}

static void run(struct tuck__waitq *q, void (*fn)(void *), void *arg)
{
	struct tuck__waitq *owned
		__attribute__((__cleanup__(leave_if_unwound))) = q;

	fn(arg);
	owned = NULL;
	ran(q);
}

int tuck_once(struct tuck_once *once, void (*fn)(void *), void *arg,
	      tuck_ns deadline)
{
	struct tuck__waitq *q = TUCK__QUEUE(once);
	int r = tuck__sync_check(fn ? once : NULL, deadline);

	if (r < 0)
		return r;
	if (tuck__likely(atomic_load(&q->word) & RAN))
		return 0;
	r = own_slowly(q, &once_kind, deadline);
	if (r < 0 && r != -EOWNERDEAD)
		return r;
	if (!(atomic_load(&q->word) & RAN))
		run(q, fn, arg);
	return 0;
}
