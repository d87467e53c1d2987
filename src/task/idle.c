/* SPDX-License-Identifier: MIT */
/*
 * A proc that has nothing to run: it looks around, looks for posts for as long
 * as that pays, then sleeps in the idle hook, on the stack of whoever was the
 * last to stop.
 *
 * Invariant: a sleep is announced before the last look into the inbox, with
 * sequential consistency: inbox.c tells why.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fork.h"
#include "task/task.h"

/* When an idle proc gives pages back, and how often at most. */
#define TRIM_AFTER	TUCK_MS(100)
#define TRIM_EVERY	TUCK_SEC(1)

/* How long an idle proc looks for posts, before the kernel is asked. */
#define SPIN_MAX	TUCK_US(20)
#define SPIN_MIN	TUCK_US(1)

/*
 * After a sleep as short as this it is worth a try: those who sleep both take
 * each other's wake-ups for slowness. After a vain one, so many pass without.
 */
#define SPIN_WORTH	TUCK_US(200)
#define SPIN_PAUSES_MAX	128

/* A proc that waits for ever asks now and then whether that is a deadlock. */
#define RECHECK_MIN	TUCK_MS(100)
#define RECHECK_MAX	TUCK_SEC(60)

/* The one whose times are 64 bits. */
#ifdef SYS_futex_time64
#define FUTEX SYS_futex_time64
#else
#define FUTEX SYS_futex
#endif

static atomic_bool many_cpus;	/* that procs run on */

/* -- without a poller -- */

static void idle_wait(struct tuck__sched *s, void *arg, tuck_ns deadline)
{
	struct timespec t = { deadline / TUCK_SEC(1), deadline % TUCK_SEC(1) };

	(void)arg;
	if (deadline == TUCK_NOWAIT)
		return;
	if (!atomic_load(&s->kicked))
		syscall(FUTEX, &s->kicked, FUTEX_WAIT_BITSET_PRIVATE, 0,
			deadline == TUCK_FOREVER ? NULL : &t, NULL,
			FUTEX_BITSET_MATCH_ANY);
	atomic_store(&s->kicked, 0);
}

static bool idle_busy(void *arg)
{
	(void)arg;
	return false;
}

static void idle_kick(struct tuck__sched *s)
{
	atomic_store(&s->kicked, 1);
	syscall(SYS_futex, &s->kicked, FUTEX_WAKE_PRIVATE, 1);
}

static const struct tuck__idle no_poller = { idle_wait, idle_busy, idle_kick };

void tuck__sched_set_idle(struct tuck__sched *s, const struct tuck__idle *idle,
			  void *arg)
{
	s->idle_arg = arg;
	atomic_store(&s->idle, idle);
}

/* -- looking around -- */

/* What a wait that its deadline ends returns. */
static int expiry(const struct tuck__waiter *w)
{
	if (tuck__unlikely((w->bits & (TUCK__SCOPED | TUCK__OUTER)) ==
			   (TUCK__SCOPED | TUCK__OUTER)))
		return -ETIME;
	return w->why == TUCK__WHY_SLEEP ? 0 : -ETIMEDOUT;
}

static void fire_timers(struct tuck__sched *s)
{
	tuck_ns now = tuck_now();

	s->now_ms = (uint32_t)(now / TUCK_MS(1));
	while (tuck__heap_next(&s->timers) <= now) {
		struct tuck__waiter *w = tuck__container(
			tuck__heap_first(&s->timers), struct tuck__waiter,
			timer);

		if (tuck__unlikely(w->why == TUCK__WHY_ALARM))
			tuck__alarm_ring(s, w);
		else
			tuck__wake(s, tuck__tasklet_of(&w->link), expiry(w));
	}
}

void tuck__look(struct tuck__sched *s)
{
	s->until_look = s->look_every;
	s->until_policy_look = TUCK__LOOK_EVERY;
	tuck__inbox_drain(s);
	if (s->idle->busy(s->idle_arg))
		s->idle->wait(s, s->idle_arg, TUCK_NOWAIT);
	fire_timers(s);		/* last: what has come beats a deadline */
	if (tuck__unlikely(s->work != NULL))
		s->work->take(s, false);
}

void tuck__look_if_due(struct tuck__sched *s)
{
	if (!s->policy || --s->until_policy_look < 0) {
		tuck__look(s);
		return;
	}
	s->until_look = s->look_every;
	tuck__inbox_drain(s);
}

static inline tuck_ns sooner(tuck_ns a, tuck_ns b)
{
	return a < b ? a : b;
}

static inline tuck_ns later(tuck_ns a, tuck_ns b)
{
	return a > b ? a : b;
}

/*
 * A proc that has been idle for a while gives pages of its stacks back, but
 * not often, for touching them again costs a fault each.
 */
static tuck_ns trim_if_idle(struct tuck__sched *s, tuck_ns now)
{
	if (s->trimmed)
		return TUCK_FOREVER;
	if (s->trim_at == TUCK_FOREVER)
		s->trim_at = later(now + TRIM_AFTER,
				   s->trimmed_at + TRIM_EVERY);
	if (now < s->trim_at)
		return s->trim_at;
	tuck__cache_trim(&s->cache, &s->current->ctx);
	s->trimmed_at = now;
	s->trimmed = true;
	return TUCK_FOREVER;
}

/* -- looking before a sleep -- */

void tuck__spun(struct tuck__sched *s, bool in_vain)
{
	if (!in_vain) {
		s->spin = SPIN_MAX;
		s->spin_pauses_next = 1;
		return;
	}
	s->spin /= 2;
	if (s->spin >= SPIN_MIN)
		return;
	s->spin = 0;
	s->spin_pauses = s->spin_pauses_next;
	if (s->spin_pauses_next < SPIN_PAUSES_MAX)
		s->spin_pauses_next *= 2;
}

/* The inbox has ended a sleep. */
static void learn_to_spin(struct tuck__sched *s, tuck_ns slept)
{
	if (slept > SPIN_WORTH ||
	    !atomic_load_explicit(&many_cpus, memory_order_relaxed) || s->spin)
		return;
	if (s->spin_pauses > 0)
		s->spin_pauses--;
	else
		s->spin = SPIN_MAX;
}

/*
 * Others may be about to post, sooner than the kernel would let this thread
 * sleep and wake it: look for as long as that has been so lately.
 */
static bool spin(struct tuck__sched *s)
{
	bool found = false;
	tuck_ns end;

	if (s->spin < SPIN_MIN)
		return false;
	end = sooner(tuck_now() + s->spin, tuck__heap_next(&s->timers));
	do
		for (int i = 0; i < 16 && !found; i++) {
			found = tuck__has_post(s);
			tuck__arch_relax();
		}
	while (!found && tuck_now() < end);
	tuck__spun(s, !found);
	return found;
}

bool tuck__may_watch(struct tuck__sched *s)
{
	return tuck__list_empty(&s->ready) && s->spin >= SPIN_MIN &&
	       !tuck__has_post(s) && !tuck__run_by(s) && --s->until_look >= 0;
}

/* Stop, unless it is over; or being so, by one who is at it just now. */
static bool unwatch(_Atomic(uint32_t) *state)
{
	uint32_t watched = TUCK__FAR_WATCHED;

	if (atomic_compare_exchange_strong(state, &watched, TUCK__FAR_WAITS))
		return false;
	while (atomic_load(state) != TUCK__FAR_OVER)
		sched_yield();
	return true;
}

bool tuck__watch(struct tuck__sched *s, _Atomic(uint32_t) *state)
{
	tuck_ns end = sooner(tuck_now() + s->spin, tuck__heap_next(&s->timers));

	do
		for (int i = 0; i < 16; i++) {
			if (atomic_load_explicit(state, memory_order_acquire) ==
			    TUCK__FAR_OVER) {
				/* Its partner is at what comes next, too. */
				tuck__arch_relax();
				tuck__spun(s, false);
				return true;
			}
			tuck__arch_relax();
		}
	while (!tuck__has_post(s) && tuck_now() < end);
	tuck__spun(s, true);
	return unwatch(state);
}

/*
 * Whether something came before the announcement, so that nobody prods. In
 * sequential consistency: inbox.c, 2. Apart, for tests/fence.py to find it.
 */
static tuck__noinline bool announce_sleep(struct tuck__sched *s)
{
	atomic_store(&s->sleeping, 1);
	return atomic_load(&s->inbox) != 0;
}

/* Nothing is ready: wait until something may be. */
static void wait_for_work(struct tuck__sched *s)
{
	tuck_ns deadline = tuck__heap_next(&s->timers), now = tuck_now();
	bool forever = deadline == TUCK_FOREVER && !s->idle->busy(s->idle_arg);
	bool posted;

	s->now_ms = (uint32_t)(now / TUCK_MS(1));
	deadline = sooner(deadline, trim_if_idle(s, now));
	if (forever) {
		if (tuck__stuck(s))
			return;
		deadline = sooner(deadline, now + s->recheck);
		s->recheck = sooner(2 * s->recheck, RECHECK_MAX);
	}
	posted = announce_sleep(s);
	if (s->work)
		deadline = s->work->sleep(s, deadline);
	if (!posted)
		s->idle->wait(s, s->idle_arg, deadline);
	atomic_store(&s->sleeping, 0);
	s->until_look = s->look_every;
	if (atomic_load(&s->inbox))
		learn_to_spin(s, tuck_now() - now);
	if (forever)
		tuck__unstuck(s);
}

/* Somebody waits for this; true, and then somebody is ready. */
static bool end_run(struct tuck__sched *s)
{
	if (tuck__likely(!tuck__run_by(s)))
		return false;
	tuck__look(s);
	if (tuck__list_empty(&s->ready))
		tuck__wake(s, s->runner, 0);
	return true;
}

/* What else there is to do for one who is idle, but not without a look. */
static bool has_more(struct tuck__sched *s)
{
	if (!s->work)
		return false;
	if (s->until_look < 0)
		tuck__look_if_due(s);
	return !tuck__list_empty(&s->ready) || s->work->take(s, true);
}

tuck__cold void tuck__find_work(struct tuck__sched *s)
{
	int err = errno;	/* of the tasklet that is about to stop */

	if (tuck__unlikely(s->telling))
		tuck__fatal("a wait inside the deadlock callback");
	if (!tuck__list_empty(&s->ready) || s->until_look < 0)
		tuck__look_if_due(s);	/* may end those who are ready */
	if (!tuck__list_empty(&s->ready))
		return;
	tuck__ctx_check_place(&s->current->ctx);	/* no switch finds it */
	if (has_more(s)) {
		errno = err;
		return;
	}
	s->recheck = RECHECK_MIN;
	s->trim_at = TUCK_FOREVER;
	s->trimmed = false;
	do {
		if (end_run(s))
			break;
		if (!spin(s))
			wait_for_work(s);
		tuck__inbox_drain(s);
		fire_timers(s);
		if (s->work)
			s->work->woken(s);
	} while (tuck__list_empty(&s->ready) && !has_more(s));
	errno = err;
}

/* -- its beginning -- */

static pthread_mutex_t cpus_lock = PTHREAD_MUTEX_INITIALIZER;
TUCK__AT_FORK_MUTEX(TUCK__FORK_CPUS, cpus_lock, NULL)

/* Of this thread and of those before: one may be bound to each CPU. */
static void see_cpus(void)
{
	static cpu_set_t seen;
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
		return;
	pthread_mutex_lock(&cpus_lock);
	CPU_OR(&seen, &seen, &cpus);
	if (CPU_COUNT(&seen) > 1)
		atomic_store_explicit(&many_cpus, true, memory_order_relaxed);
	pthread_mutex_unlock(&cpus_lock);
}

void tuck__idle_init(struct tuck__sched *s)
{
	s->spin = 0;
	s->spin_pauses = 0;
	s->spin_pauses_next = 1;
	see_cpus();
	s->now_ms = (uint32_t)(tuck_now() / TUCK_MS(1));
	atomic_store(&s->sleeping, 0);
	atomic_store(&s->kicked, 0);
	tuck__sched_set_idle(s, &no_poller, s);
}
