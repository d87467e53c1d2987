/* SPDX-License-Identifier: MIT */
/*
 * What procs know of one another: a registry of schedulers, posts to
 * tasklets of other procs, requests to the procs, and whether everybody
 * waits for ever.
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
 *    each other (Dekker's problem); tests/model/inbox.py shows it.
 * 3. Scheds are never freed, only used again, so a poster may touch one that
 *    has just ended; and neither is what an idle hook's kick uses. Whoever is
 *    kicked too late, or in another one's place, looks in vain.
 * 4. The inbox of a sched that nobody uses, or did, is CLOSED: each request
 *    is run, or refused. Tasklets that could be posted to have ended by then.
 * 5. A post takes no lock and depends on nobody's progress but its own: so a
 *    signal handler may post, whatever it has interrupted.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/mem.h"
#include "task/waitq.h"

#define REQUEST	((uintptr_t)1)		/* in a link */
#define CLOSED	REQUEST			/* in place of the first link */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
TUCK__AT_FORK_MUTEX(TUCK__FORK_REGISTRY, lock, NULL)
static _Atomic(struct tuck__sched *) scheds[TUCK__SCHEDS_MAX];
static uint32_t in_use, stuck, limit = TUCK__SCHEDS_MAX;

/* In place of each that was in use and did not come along through a fork. */
static struct tuck__sched gone = { .in_use = true, .inbox = CLOSED };

_Atomic(void (*)(void)) tuck__deadlock_fn;
atomic_long tuck__helpers;
atomic_int tuck__outside, tuck__ending;

/* -- registry -- */

struct tuck__sched *tuck__registry_at(uint32_t number)
{
	if (number >= TUCK__SCHEDS_MAX)
		return NULL;
	return atomic_load_explicit(&scheds[number], memory_order_acquire);
}

static int add(struct tuck__sched **ret_sched)
{
	for (uint32_t i = 0; i < limit; i++) {
		struct tuck__sched *s = scheds[i];

		if (s && s->in_use)
			continue;
		if (!s) {
			s = tuck__map(sizeof(*s));
			if (!s)
				return -ENOMEM;
			s->number = i;
			scheds[i] = s;
		}
		s->in_use = true;
		in_use++;
		*ret_sched = s;
		return 0;
	}
	return -EAGAIN;
}

int tuck__registry_add(struct tuck__sched **ret_sched)
{
	int r;

	pthread_mutex_lock(&lock);
	r = add(ret_sched);
	pthread_mutex_unlock(&lock);
	return r;
}

void tuck__registry_remove(struct tuck__sched *s)
{
	pthread_mutex_lock(&lock);
	s->in_use = false;
	in_use--;
	pthread_mutex_unlock(&lock);
}

static inline bool is_there(uint32_t i)
{
	return scheds[i] && scheds[i] != &gone && scheds[i]->in_use;
}

void tuck__registry_fork(struct tuck__sched *s)
{
	for (uint32_t i = 0; i < TUCK__SCHEDS_MAX; i++)
		if (is_there(i) && scheds[i] != s)
			scheds[i] = &gone;
	in_use = s != NULL;
	stuck = 0;
	atomic_store(&tuck__jobs_adrift, 0);
	atomic_store(&tuck__ending, 0);
}

int tuck__registry_limit(uint32_t n)
{
	int r = 0;

	pthread_mutex_lock(&lock);
	for (uint32_t i = n; i < limit && r == 0; i++)
		if (is_there(i))
			r = -EAGAIN;
	if (r == 0 && n < limit)
		limit = n;
	pthread_mutex_unlock(&lock);
	return r;
}

/* -- posts -- */

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
		if (head == CLOSED)
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
	empty(s, CLOSED);
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

/* -- everybody waits for ever -- */

/*
 * OS threads of the process; 0 where there is no /proc, very many where it
 * cannot be read just now.
 */
static long thread_count(void)
{
	char text[512], *p;
	ssize_t n;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : LONG_MAX;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return LONG_MAX;
	text[n] = 0;
	p = strrchr(text, ')');		/* then: state, 16 numbers, threads */
	for (int i = 0; p && i < 18; i++)
		p = strchr(p + 1, ' ');
	return p ? atol(p) : LONG_MAX;
}

static bool posted(void)
{
	if (atomic_load(&tuck__jobs_adrift))
		return true;
	for (uint32_t i = 0; i < TUCK__SCHEDS_MAX; i++)
		if (is_there(i) && atomic_load(&scheds[i]->inbox))
			return true;
	return false;
}

/*
 * Nobody can wake anybody: no post is under way, no stranger is there. The
 * inboxes are looked at first because that is cheap, and last because a
 * stranger may have posted and ended in between. A helper posts before it
 * counts as idle.
 */
static bool hopeless(void)
{
	long helpers = atomic_load(&tuck__helpers);

	return stuck == in_use && helpers >= 0 &&
	       !atomic_load(&tuck__outside) && !atomic_load(&tuck__ending) &&
	       !posted() &&
	       thread_count() <= (long)in_use + helpers + TUCK__TSAN &&
	       !posted();
}

static void tell_all(void)
{
	tuck__tell("deadlock: nobody can end these waits");
	for (uint32_t i = 0; i < TUCK__SCHEDS_MAX; i++)
		if (is_there(i))
			tuck__dump(scheds[i], STDERR_FILENO);
}

/* For those who serve others alone, who have nobody to tell. */
static void have_others_tell(void)
{
	for (uint32_t i = 0; i < TUCK__SCHEDS_MAX; i++)
		if (is_there(i) && !scheds[i]->work)
			tuck__prod(scheds[i]);
}

bool tuck__stuck(struct tuck__sched *s)
{
	void (*fn)(void) = atomic_load(&tuck__deadlock_fn);
	bool end;

	pthread_mutex_lock(&lock);
	s->stuck = true;
	stuck++;
	end = hopeless() && s->main->w.why > TUCK__WHY_ENDING;
	if (end && s->work) {
		have_others_tell();
		end = false;
	} else if (end) {
		if (!fn)
			tell_all();	/* they all wait, for this lock too */
		s->stuck = false;
		stuck--;
	}
	pthread_mutex_unlock(&lock);
	if (!end)
		return false;
	if (fn)
		fn();
	if (s->main->w.why > TUCK__WHY_ENDING)	/* fn did not wake it */
		tuck__wake(s, s->main, -EDEADLK);
	return true;
}

void tuck__unstuck(struct tuck__sched *s)
{
	if (!s->stuck)		/* only its own thread sets it */
		return;
	pthread_mutex_lock(&lock);
	s->stuck = false;
	stuck--;
	pthread_mutex_unlock(&lock);
}
