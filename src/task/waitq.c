/* SPDX-License-Identifier: MIT */
/*
 * Wait queues across procs. Who waits is in the queue by its own link (rule
 * S1), whatever proc it lives on. To let it go has two steps: under the
 * queue's lock it is taken out and its grant is noted in it; then it is
 * woken, by a post if it lives elsewhere. From the first step on it has what
 * it waited for, also if its deadline comes before the post.
 *
 * Invariants:
 * 1. A tasklet's grant is QUEUED just while it is in a queue, and changes
 *    from and to that under the queue's lock. Its own proc alone takes the
 *    grant away after that: when it goes on, or is killed or dropped.
 * 2. WAITERS is set in a word while somebody waits, and it is set before the
 *    lock is given up in which it was seen that a wait is necessary. So who
 *    finds it unset needs no lock.
 * 3. A queue is not touched after its unlock by who let others go, and they
 *    do not go on before that: their call may be the last one, and the
 *    memory may be theirs to give back.
 * 4. All queues with an owner in which somebody waits are in one list.
 * 5. No cycle of waits without a deadline: each such wait was checked under
 *    the lock of all owners, and a new owner waits for nobody.
 *
 * Why not otherwise: a lock for each queue with an owner cannot see a cycle
 * that two procs close at the same time, nor follow a chain whose memory the
 * next unlock may free. Only contended ones take that lock. A word to spin on
 * for the lock, not a futex: it is held for less than a system call takes.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fork.h"
#include "ctx/slots.h"
#include "task/waitq.h"

#define SPINS	128		/* then its holder may have no CPU */
#define SPINS_EACH	16	/* at most, between two looks */

static atomic_int owners;
static struct tuck__link contended = { &contended, &contended };

/* -- locks -- */

void tuck__spin_for(atomic_int *l)
{
	int n = 0, each = 1;

	do {
		for (int i = 0; i < each; i++)
			tuck__arch_relax();
		n += each;
		if (each < SPINS_EACH)
			each *= 2;
		if (n > SPINS)
			sched_yield();
	} while (atomic_load_explicit(l, memory_order_relaxed) ||
		 atomic_exchange_explicit(l, 1, memory_order_acquire));
}

void tuck__waitq_lock(struct tuck__waitq *q)
{
	tuck__spin_lock(&q->lock);
}

void tuck__waitq_unlock(struct tuck__waitq *q)
{
	tuck__spin_unlock(&q->lock);
}

void tuck__owners_lock(void)
{
	tuck__spin_lock(&owners);
}

void tuck__owners_unlock(void)
{
	tuck__spin_unlock(&owners);
}

TUCK__AT_FORK(TUCK__FORK_TASKLETS, tuck__owners_lock, tuck__owners_unlock,
	      tuck__tasklets_fork)

static inline atomic_int *lock_of(struct tuck__waitq *q)
{
	return q->kind->owned ? &owners : &q->lock;
}

/* -- in and out -- */

static inline struct tuck__ownedq *owned(struct tuck__waitq *q)
{
	return (struct tuck__ownedq *)(void *)q;
}

static inline void set_grant(struct tuck__tasklet *t, enum tuck__grant grant)
{
	atomic_store_explicit(&t->w.grant, (uint8_t)grant,
			      memory_order_release);
}

static inline enum tuck__grant grant_of(const struct tuck__tasklet *t)
{
	return atomic_load_explicit(&t->w.grant, memory_order_acquire);
}

/* Its kind is set once: who has waited reads it without the lock. */
static void put_in(struct tuck__waitq *q, const struct tuck__waitq_kind *kind,
		   struct tuck__tasklet *t)
{
	if (!q->kind) {
		q->kind = kind;
		tuck__link_init(&q->waiters);
	}
	tuck__link_before(&q->waiters, &t->w.link);
	if (q->n++ == 0 && q->kind->owned)
		tuck__link_before(&contended, &owned(q)->contended);
}

static struct tuck__tasklet *first_of(struct tuck__waitq *q)
{
	return q->n ? tuck__tasklet_of(q->waiters.next) : NULL;
}

/* Its grant is to be set next. */
static void take_out(struct tuck__waitq *q, struct tuck__tasklet *t)
{
	tuck__link_cut(&t->w.link);
	if (--q->n == 0) {
		if (q->kind->owned)
			tuck__link_cut(&owned(q)->contended);
		atomic_fetch_and(&q->word, ~TUCK__WAITERS);
	}
}

/*
 * The wait is over. If it was granted, that is what counts, and whoever
 * granted it is out of the queue when its lock can be had. Not inlined: the
 * registers that it needs would lie in the frame that waits (rule S5).
 */
static tuck__noinline int settle(int r)
{
	struct tuck__tasklet *self = tuck__tls->current;
	enum tuck__grant grant = grant_of(self);
	struct tuck__waitq *q = self->what;

	if (tuck__unlikely(grant == TUCK__NOT_QUEUED))
		return r;
	set_grant(self, TUCK__NOT_QUEUED);
	if (grant >= TUCK__OWNS) {
		tuck__own(self);
		return grant == TUCK__INHERITS ? -EOWNERDEAD : 0;
	}
	tuck__spin_lock(lock_of(q));
	tuck__spin_unlock(lock_of(q));
	return 0;
}

int tuck__waitq_wait(struct tuck__sched *s, struct tuck__waitq *q,
		     const struct tuck__waitq_kind *kind, tuck_ns deadline)
{
	struct tuck__tasklet *self = s->current;
	bool for_good = kind->owned && tuck__waitq_for_good(self, deadline);

	if (tuck__unlikely(tuck__slots_hold(&s->cache, q)))
		tuck__fatal("an object of tuck/sync.h, at %p, lies on a stack "
			    "that tasklets share (rule S1)",
			    (void *)q);
	tuck__wait_for(s, kind->why, q);
	set_grant(self, for_good ? TUCK__QUEUED_FOR_GOOD : TUCK__QUEUED);
	put_in(q, kind, self);
	tuck__spin_unlock(lock_of(q));
	return settle(tuck__wait_now(s, deadline));
}

tuck_id tuck__waitq_take(struct tuck__waitq *q, enum tuck__grant grant)
{
	struct tuck__tasklet *t = first_of(q);
	tuck_id id;

	if (!t)
		return 0;
	id = tuck__id(t);
	take_out(q, t);
	set_grant(t, grant);
	return id;
}

void tuck__waitq_wake(tuck_id id)
{
	struct tuck__sched *s = tuck__tls, *home;
	struct tuck__tasklet *t = tuck__find(id, &home);

	if (t && home != s)
		tuck__post(id, TUCK__ID_POKE);
	else if (t)
		tuck__wake(s, t, 0);
}

void tuck__waitq_tell_all(struct tuck__waitq *q)
{
	tuck_id id;

	while ((id = tuck__waitq_take(q, TUCK__RELEASED)) != 0)
		tuck__waitq_wake(id);
}

void tuck__waitq_leave(struct tuck__tasklet *t)
{
	struct tuck__waitq *q = t->what;
	atomic_int *l;

	if (tuck__waitq_granted(t))
		return;			/* q may be gone */
	l = lock_of(q);
	tuck__spin_lock(l);
	if (!tuck__waitq_granted(t)) {
		take_out(q, t);
		set_grant(t, TUCK__NOT_QUEUED);
		if (q->kind->left)
			q->kind->left(q);
	}
	tuck__spin_unlock(l);
}

/* -- owners -- */

/*
 * The grant comes last: whose deadline comes just then goes on with it, without
 * a look at the lock, and may give q to others or to the system.
 */
tuck_id tuck__waitq_hand_over(struct tuck__waitq *q, enum tuck__grant grant)
{
	struct tuck__tasklet *t = first_of(q);
	tuck_id id = t ? tuck__id(t) : 0;

	if (t)
		take_out(q, t);
	atomic_store(&q->word, id | (q->n ? TUCK__WAITERS : 0));
	if (t)
		set_grant(t, grant);
	return id;
}

/*
 * Whoever inherits q without having run passes that on too: if nobody waits,
 * by keeping it until its end.
 */
static void pass_on_owned(struct tuck__tasklet *t, struct tuck__waitq *q,
			  tuck_id id, enum tuck__grant grant)
{
	tuck_id next = 0;

	tuck__spin_lock(&owners);
	if (tuck__waitq_owner(q) == id) {
		if (grant == TUCK__INHERITS && q->n == 0)
			tuck__own(t);
		else
			next = tuck__waitq_hand_over(q, grant);
	}
	tuck__spin_unlock(&owners);
	if (next)
		tuck__waitq_wake(next);
}

void tuck__waitq_pass_on(struct tuck__tasklet *t, tuck_id id)
{
	enum tuck__grant grant = grant_of(t);
	struct tuck__waitq *q = t->what;

	set_grant(t, TUCK__NOT_QUEUED);
	if (grant >= TUCK__OWNS) {
		pass_on_owned(t, q, id, grant);
		return;
	}
	tuck__spin_lock(lock_of(q));		/* who told it is out */
	tuck__spin_unlock(lock_of(q));
	if (grant == TUCK__GIVEN)
		q->kind->pass_on(q, id);
}

static struct tuck__waitq *owned_by(tuck_id id)
{
	for (struct tuck__link *l = contended.next; l != &contended;
	     l = l->next) {
		struct tuck__ownedq *q = tuck__container(l, struct tuck__ownedq,
							 contended);

		if (tuck__waitq_owner(&q->q) == id)
			return &q->q;
	}
	return NULL;
}

void tuck__waitq_orphan(tuck_id id)
{
	struct tuck__waitq *q;
	tuck_id next;

	do {
		tuck__spin_lock(&owners);
		q = owned_by(id);
		next = q ? tuck__waitq_hand_over(q, TUCK__INHERITS) : 0;
		tuck__spin_unlock(&owners);
		if (next)
			tuck__waitq_wake(next);
	} while (next);
}

/* -- cycles -- */

/* Whom the owner of q waits for in its turn, and for good; or NULL. */
static const struct tuck__waitq *next_in_chain(const struct tuck__waitq *q,
					       struct tuck__tasklet **ret_owner,
					       struct tuck__sched **ret_sched)
{
	struct tuck__tasklet *t = tuck__find(tuck__waitq_owner(q), ret_sched);

	*ret_owner = t;
	if (!t || grant_of(t) != TUCK__QUEUED_FOR_GOOD)
		return NULL;
	return t->what;
}

static void report(const struct tuck__waitq *q)
{
	struct tuck__sched *s = tuck__tls;
	struct tuck__tasklet *self = s->current, *t = self;
	const struct tuck__waitq *next;
	char line[256];
	int n = snprintf(line, sizeof(line), "tuck: deadlock, a cycle:\n");

	do {
		if (write(STDERR_FILENO, line, (size_t)n) < 0)
			return;
		n = snprintf(line, sizeof(line),
			     "  tasklet %lld \"%s\" waits for %p held by "
			     "tasklet %lld\n",
			     (long long)tuck__id(t), tuck__name(s, t),
			     (const void *)q, (long long)tuck__waitq_owner(q));
		next = next_in_chain(q, &t, &s);
		q = next;
	} while (t != self);
	n = (int)write(STDERR_FILENO, line, (size_t)n);
}

void tuck__waitq_call_deadlock(void)
{
	void (*fn)(void) = atomic_load(&tuck__deadlock_fn);

	if (fn)
		fn();
}

bool tuck__waitq_cycle(const struct tuck__tasklet *self,
		       const struct tuck__waitq *q)
{
	const struct tuck__waitq *at = q;
	struct tuck__tasklet *t;
	struct tuck__sched *s;

	do
		at = next_in_chain(at, &t, &s);
	while (at && t != self);
	if (t != self)
		return false;
	if (!atomic_load(&tuck__deadlock_fn))
		report(q);
	return true;
}
