/* SPDX-License-Identifier: MIT */
/*
 * What procs tell one another: posts to tasklets of other procs, requests to
 * the procs.
 *
 * A post sets a flag in the tasklet's id word. Whoever sets the first flag
 * pushes the tasklet on its proc's inbox, a lock-free stack with one reader.
 * Nothing is allocated, so a post cannot fail on a live tasklet. A request
 * lies in the same stack; the lowest bit of a link tells it from a tasklet.
 *
 * Invariants:
 * 1. A tasklet is in an inbox, or about to be pushed, exactly while its id
 *    word carries a flag; it does not end before that is over.
 * 2. A reader announces that it sleeps and then looks into its inbox once
 *    more; a poster pushes and then looks whether the reader sleeps; both in
 *    sequential consistency. With acquire and release alone both may miss
 *    each other (Dekker's problem); tests/model/inbox.py shows it, and
 *    tests/fence.py that the compiler has made it so.
 * 3. Scheds are never freed, only used again, so a poster may touch one that
 *    has just ended; and neither is what an idle hook's kick uses. Whoever is
 *    kicked too late, or in another one's place, looks in vain.
 * 4. The inbox of a sched that nobody uses, or did, is CLOSED: each request
 *    is run, or refused. Tasklets that could be posted to have ended by then.
 * 5. A post takes no lock and depends on nobody's progress but its own: so a
 *    signal handler may post, whatever it has interrupted.
 */
#include <errno.h>
#include <signal.h>

#include "task/waitq.h"

#define REQUEST	((uintptr_t)1)		/* in a link */

_Static_assert(TUCK__INBOX_CLOSED == REQUEST, "a request that is none");

static void kick(struct tuck__sched *s)
{
	const struct tuck__idle *idle = atomic_load(&s->idle);

	if (idle)
		idle->kick(s);
}

void tuck__prod(struct tuck__sched *s)
{
	if (atomic_exchange(&s->sleeping, 0))
		kick(s);
}

/* Put what the link leads to on the inbox; false: that is closed. */
static bool push(struct tuck__sched *s, uintptr_t link, uintptr_t *next)
{
	uintptr_t head = atomic_load(&s->inbox);

	do {
		if (head == TUCK__INBOX_CLOSED)
			return false;
		*next = head;
	} while (!atomic_compare_exchange_weak(&s->inbox, &head, link));
	tuck__prod(s);
	return true;
}

bool tuck__request(struct tuck__sched *s, struct tuck__request *r)
{
	return push(s, (uintptr_t)r | REQUEST, &r->next);
}

int tuck__post(tuck_id id, int64_t flag)
{
	struct tuck__sched *s;
	struct tuck__tasklet *t = tuck__find(id, &s);
	int64_t word;

	if (!t)
		return -ESRCH;
	word = atomic_load(&t->id);
	do {
		if ((word & TUCK__ID_MASK) != id)
			return -ESRCH;
		if (word & flag)
			return 0;
	} while (!atomic_compare_exchange_weak(&t->id, &word, word | flag));
	if (word == id)
		push(s, (uintptr_t)t, &t->inbox_next);
	return 0;
}

int tuck_post(tuck_id id)
{
	int err = errno, r = tuck__post(id, TUCK__ID_UNBLOCK);

	errno = err;		/* of what the handler has interrupted */
	return r;
}

/* It waits for what others do, and they have. */
static bool woken(const struct tuck__tasklet *t)
{
	const struct tuck__far *far = t->what;

	if (t->w.why >= TUCK__WHY_SHARED && t->w.why <= TUCK__WHY_HOME)
		return atomic_load(&far->state) != TUCK__FAR_WAITS;
	return t->w.why == TUCK__WHY_PROC || tuck__waitq_woken(t);
}

static void deliver(struct tuck__sched *s, struct tuck__tasklet *t)
{
	tuck_id id = tuck__id(t);
	int64_t word = atomic_exchange(&t->id, id);

	if (word & TUCK__ID_UNBLOCK)
		tuck__unblock(s, t);
	if ((word & TUCK__ID_POKE) && woken(t))
		tuck__wake(s, t, 0);
	if (word & TUCK__ID_CANCEL)
		tuck__cancel(s, t);
	if (word & TUCK__ID_KILL)
		tuck__kill(s, t);
}

static bool is_taken(const struct tuck__tasklet *t)
{
	const struct tuck__far *far = t->what;

	return t->w.why >= TUCK__WHY_SHARED && t->w.why <= TUCK__WHY_HOME &&
	       atomic_load(&far->state) == TUCK__FAR_TAKEN;
}

static struct tuck__request *request_of(uintptr_t link)
{
	return (struct tuck__request *)(link & ~REQUEST);
}

static uintptr_t *next_of(uintptr_t link)
{
	return link & REQUEST ? &request_of(link)->next :
				&((struct tuck__tasklet *)link)->inbox_next;
}

static void empty(struct tuck__sched *s, uintptr_t end)
{
	uintptr_t link, next, oldest = 0;

	for (link = atomic_exchange(&s->inbox, end); link; link = next) {
		next = *next_of(link);
		*next_of(link) = oldest;
		oldest = link;
	}
	for (link = oldest; link; link = next) {
		next = *next_of(link);
		if (link & REQUEST)
			request_of(link)->run(s, request_of(link));
		else
			deliver(s, (struct tuck__tasklet *)link);
	}
}

void tuck__inbox_drain(struct tuck__sched *s)
{
	if (tuck__unlikely(
		    atomic_load_explicit(&s->inbox, memory_order_relaxed)))
		empty(s, 0);
}

bool tuck__requested(struct tuck__sched *s, const struct tuck__request *r)
{
	uintptr_t link = atomic_load(&s->inbox);

	while (link && link != ((uintptr_t)r | REQUEST))
		link = *next_of(link);
	return link != 0;
}

void tuck__inbox_close(struct tuck__sched *s)
{
	empty(s, TUCK__INBOX_CLOSED);
}

/* -- fork -- */

/* It waits for a proc, as they do whose wait has no lock to be taken. */
static bool waits_for_proc(const struct tuck__tasklet *t)
{
	return t->w.why == TUCK__WHY_FAR_JOIN || t->w.why == TUCK__WHY_JOB;
}

static void catch_up(struct tuck__sched *s, struct tuck__tasklet *t)
{
	if (atomic_load(&t->id) != tuck__id(t))
		deliver(s, t);
	if (!atomic_load(&t->id))
		return;
	if (t->w.why == TUCK__WHY_JOB)
		tuck__job_catch_up(s, t);
	else if (t->w.why != TUCK__WHY_FAR_JOIN)
		return;
	else if (woken(t))
		tuck__wake(s, t, 0);
	else
		tuck__join_catch_up(s, t);
}

/* What the inbox has of requests, in its order. */
static uintptr_t take_requests(struct tuck__sched *s)
{
	uintptr_t link, next, first = 0, *last = &first;

	for (link = atomic_exchange(&s->inbox, 0); link; link = next) {
		next = *next_of(link);
		if (!(link & REQUEST))
			continue;
		*last = link;
		last = next_of(link);
	}
	*last = 0;
	return first;
}

/* All with a flag, also where who set it was going to push, or to set it. */
static void push_flagged(struct tuck__sched *s)
{
	uintptr_t first = take_requests(s);

	for (uint32_t i = 0; i < atomic_load(&s->table.n); i++) {
		struct tuck__tasklet *t = tuck__table_at(s, i);

		if (!atomic_load(&t->id) || waits_for_proc(t))
			continue;
		if (woken(t) && !is_taken(t))
			atomic_fetch_or(&t->id, TUCK__ID_POKE);
		if (atomic_load(&t->id) == tuck__id(t))
			continue;
		t->inbox_next = first;
		first = (uintptr_t)t;
	}
	atomic_store(&s->inbox, first);
}

/*
 * Not done here, but at the next look: what might take a lock of the program's
 * objects, which a gone proc may hold; most children call exec. No handler
 * posts meanwhile.
 */
void tuck__inbox_fork(struct tuck__sched *s)
{
	sigset_t all, was;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	push_flagged(s);
	for (uint32_t i = 0; i < atomic_load(&s->table.n); i++)
		if (waits_for_proc(tuck__table_at(s, i)))
			catch_up(s, tuck__table_at(s, i));
	pthread_sigmask(SIG_SETMASK, &was, NULL);
}
