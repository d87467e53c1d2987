/* SPDX-License-Identifier: MIT */
/*
 * The scheduler of a proc: a FIFO ring of ready tasklets, timers, an inbox
 * and an idle hook. There is no scheduler context: whoever stops picks the
 * next and switches straight to it, and who finds nobody ready waits in the
 * idle hook on its own stack. docs/scheduling.md tells the order.
 *
 * Invariants:
 * 1. Of a proc's tasklets one is current and in no queue; each other is in
 *    the ready ring, or waits, in at most one queue (a select: one per case)
 *    and with at most one timer.
 * 2. Every LOOK_EVERY switches inbox, timers and poller are looked at, and
 *    of so many hand-overs one is a mere wake: so tasklets that keep each
 *    other busy do not starve the rest. Each has a count of its own: in a
 *    common one a regular rhythm might never hit a hand-over.
 *
 * Why not otherwise: a scheduler context costs a second switch for each
 * hand-over. Work stealing is for those that have not started, in pools: a
 * started tasklet cannot leave its thread (rule S4).
 */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/config.h"
#include "base/fork.h"
#include "task/waitq.h"

#define FAIR_EVERY	127	/* hand-overs between mere wakes */

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

/* With fewer tasklets than this all of them are in the cache anyway. */
#define MANY		256

/* A proc that waits for ever asks now and then whether that is a deadlock. */
#define RECHECK_MIN	TUCK_MS(100)
#define RECHECK_MAX	TUCK_SEC(60)

/* The one whose times are 64 bits. */
#ifdef SYS_futex_time64
#define FUTEX SYS_futex_time64
#else
#define FUTEX SYS_futex
#endif

__thread struct tuck__sched *tuck__tls
	__attribute__((__tls_model__("initial-exec")));
__thread uint32_t tuck__fd_table __attribute__((__tls_model__("initial-exec")));
static __thread int make_error;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_ends;
static bool have_key;
static atomic_bool many_cpus;	/* that procs run on */

/* -- idle without a poller -- */

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

/* -- who runs next -- */

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

/* Nothing is ready: wait until something may be. */
static void wait_for_work(struct tuck__sched *s)
{
	tuck_ns deadline = tuck__heap_next(&s->timers), now = tuck_now();
	bool forever = deadline == TUCK_FOREVER && !s->idle->busy(s->idle_arg);

	s->now_ms = (uint32_t)(now / TUCK_MS(1));
	deadline = sooner(deadline, trim_if_idle(s, now));
	if (forever) {
		if (tuck__stuck(s))
			return;
		deadline = sooner(deadline, now + s->recheck);
		s->recheck = sooner(2 * s->recheck, RECHECK_MAX);
	}
	atomic_store(&s->sleeping, 1);
	if (s->work)
		deadline = s->work->sleep(s, deadline);
	if (!atomic_load(&s->inbox))
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

static tuck__cold void find_work(struct tuck__sched *s)
{
	int err = errno;	/* of the tasklet that is about to stop */

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

uint64_t tuck__random(uint64_t *state)
{
	uint64_t x = *state;		/* xorshift64*, Vigna 2016 */

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1d;
}

/* Who is next is known, so its memory can be on its way here. */
static inline void prefetch(const struct tuck__sched *s,
			    const struct tuck__link *soon)
{
	const struct tuck__tasklet *t = (const void *)soon;
	const char *bytes;

	if (s->alive < MANY || soon == &s->ready)
		return;
	__builtin_prefetch(soon->next);
	__builtin_prefetch((const char *)soon->next + 64);
	bytes = t->ctx.flags & TUCK__CTX_ABSENT ? t->ctx.slice : t->ctx.sp;
	if (!bytes)
		return;
	__builtin_prefetch(bytes);
	__builtin_prefetch(bytes + 64);
	__builtin_prefetch(bytes + 128);
}

static inline struct tuck__tasklet *take(struct tuck__sched *s,
					 struct tuck__link *l)
{
	prefetch(s, l->next);
	tuck__link_cut(l);
	return tuck__tasklet_of(l);
}

/* The long way: look around, wait if need be, ask a policy. */
static tuck__cold struct tuck__tasklet *find_next(struct tuck__sched *s)
{
	if (s->until_look < 0 || tuck__list_empty(&s->ready))
		find_work(s);
	return s->policy ? tuck__policy_next(s) : take(s, s->ready.next);
}

/* Whether the first of the ready is the next, with nothing else to do. */
static inline bool plain_next(struct tuck__sched *s)
{
	return tuck__likely(--s->until_look >= 0 &&
			    !tuck__list_empty(&s->ready));
}

struct tuck__tasklet *tuck__next(struct tuck__sched *s)
{
	return plain_next(s) ? take(s, s->ready.next) : find_next(s);
}

/* -- switching -- */

static inline int switch_to(struct tuck__sched *s, struct tuck__tasklet *self,
			    struct tuck__tasklet *next)
{
	s->current = next;
	s->switches++;
	return tuck__ctx_switch(&s->cache, &self->ctx, &next->ctx,
				next->result);
}

/* Killed, but not by a switch away and back. */
static inline void raise_if_doomed(struct tuck__sched *s,
				   const struct tuck__tasklet *self)
{
	if (tuck__unlikely(self->w.bits & TUCK__DOOMED))
		tuck__raise(s);
}

static tuck__cold int park_slow(struct tuck__sched *s)
{
	struct tuck__tasklet *self = s->current, *next = find_next(s);

	if (next != self)
		return switch_to(s, self, next);
	raise_if_doomed(s, self);
	return self->result;
}

tuck_ns tuck__scope(struct tuck__sched *s, struct tuck__tasklet *self,
		    tuck_ns deadline)
{
	tuck_ns outer;

	if (self->w.bits & (TUCK__CANCELED | TUCK__DOOMED)) {
		tuck__unwait(s, self);
		raise_if_doomed(s, self);
		return -ECANCELED;
	}
	self->w.bits &= (uint8_t)~TUCK__OUTER;
	outer = tuck__group_deadline(self);
	if (deadline <= outer)
		return deadline;
	self->w.bits |= TUCK__OUTER;
	return outer;
}

int tuck__wait_in_scope(struct tuck__sched *s, struct tuck__tasklet *self,
			tuck_ns deadline)
{
	deadline = tuck__scope(s, self, deadline);
	if (deadline < 0)
		return (int)deadline;
	if (deadline != TUCK_FOREVER)
		return tuck__wait_until(s, self, deadline);
	return tuck__park(s);
}

int tuck__park(struct tuck__sched *s)
{
	if (!plain_next(s))
		return park_slow(s);
	return switch_to(s, s->current, take(s, s->ready.next));
}

int tuck__run_now(struct tuck__sched *s, struct tuck__tasklet *t)
{
	return switch_to(s, s->current, t);
}

/* What the idle hook or the deadlock callback calls must not switch. */
static inline void check_may_switch(const struct tuck__sched *s)
{
	if (tuck__unlikely(s->current->w.why != TUCK__WHY_NONE))
		tuck__fatal("a switch inside the deadlock callback");
}

static tuck__cold void yield_slow(struct tuck__sched *s)
{
	if (s->until_look < 0)
		tuck__look_if_due(s);
	if (tuck__list_empty(&s->ready)) {
		raise_if_doomed(s, s->current);
		return;
	}
	check_may_switch(s);
	tuck__link_before(&s->ready, &s->current->w.link);
	park_slow(s);
}

void tuck_yield(void)
{
	struct tuck__sched *s = tuck__tls;
	struct tuck__tasklet *self;

	if (tuck__unlikely(!s))
		return;			/* nobody is there to yield to */
	if (!plain_next(s)) {
		yield_slow(s);
		return;
	}
	self = s->current;
	tuck__link_before(&s->ready, &self->w.link);
	switch_to(s, self, take(s, s->ready.next));
}

/*
 * There was no memory to tuck from away: it goes on as if it had not tried,
 * or with the wake that came while it looked for a successor.
 */
static int stay(struct tuck__ctx *from_ctx, struct tuck__ctx *to_ctx)
{
	struct tuck__sched *s = tuck__tls;
	struct tuck__tasklet *from, *to;
	bool waits;

	from = tuck__container(from_ctx, struct tuck__tasklet, ctx);
	to = tuck__container(to_ctx, struct tuck__tasklet, ctx);
	waits = from->w.why != TUCK__WHY_NONE;
	if (waits) {
		from->result = -ENOMEM;
		tuck__unwait(s, from);
	} else {
		tuck__unready(s, from);
	}
	tuck__link_before(s->ready.next, &to->w.link);
	s->current = from;
	s->switches--;
	return from->result;
}

static const struct tuck__ctx *running(const struct tuck__cache *c, char *who,
				       size_t n)
{
	const struct tuck__sched *s = tuck__container(
		c, const struct tuck__sched, cache);

	snprintf(who, n, "tasklet %lld \"%s\"", (long long)tuck__id(s->current),
		 tuck__name(s, s->current));
	return &s->current->ctx;
}

static const struct tuck__host host = { .stay = stay,
					.ended = tuck__task_after,
					.called = tuck__called,
					.running = running };

/* -- with accounts -- */

static int stay_watched(struct tuck__ctx *from, struct tuck__ctx *to)
{
	struct tuck__tasklet *t = tuck__container(from, struct tuck__tasklet,
						  ctx);

	if (t->extra)
		t->extra->switches--;
	return stay(from, to);
}

static void ended_watched(void)
{
	struct tuck__sched *s = tuck__tls;

	tuck__at_end(s);
	tuck__account(s, s->current);
	tuck__task_after();
}

static void switching(struct tuck__ctx *from)
{
	tuck__account(tuck__tls,
		      tuck__container(from, struct tuck__tasklet, ctx));
}

static const struct tuck__host watching = { .stay = stay_watched,
					    .ended = ended_watched,
					    .called = tuck__called,
					    .running = running,
					    .switching = switching };

void tuck__sched_watch(struct tuck__sched *s, bool on)
{
	s->cache.watched = on;
	s->cache.host = on ? &watching : &host;
}

/* -- waiting -- */

void tuck__unwait_special(struct tuck__sched *s, struct tuck__tasklet *t)
{
	struct tuck__select *select = t->what;
	struct tuck__far *far = t->what;

	tuck__heap_remove(&s->timers, &t->w.timer);
	if (t->w.why >= TUCK__WHY_SHARED && t->w.why <= TUCK__WHY_HOME) {
		far->kind->over(s, t);
		return;
	}
	if (t->w.why == TUCK__WHY_SELECT) {
		for (uint32_t i = 0; i < select->n; i++)
			tuck__link_cut(&select->cases[i].w.link);
		tuck__slice_put(&s->cache.slices, select, select->slice_class);
		return;
	}
	if (t->w.why == TUCK__WHY_JOB) {
		tuck__job_over(t);
		return;
	}
	if (t->w.why > TUCK__WHY_SELECT && t->w.why < TUCK__WHY_READ) {
		tuck__waitq_leave(t);
		return;
	}
	if (t->w.why >= TUCK__WHY_READ)
		s->fd_waiters--;
	tuck__link_cut(&t->w.link);
}

int tuck__wait_until(struct tuck__sched *s, struct tuck__tasklet *self,
		     tuck_ns deadline)
{
	if (tuck__likely(tuck__heap_add(&s->timers, &self->w.timer, deadline) ==
			 0))
		return tuck__park(s);
	tuck__unwait(s, self);
	return -ENOMEM;
}

void tuck__hand_over(struct tuck__sched *s, struct tuck__tasklet *t, int result)
{
	struct tuck__tasklet *self = s->current;

	check_may_switch(s);
	if (tuck__unlikely(--s->until_look < 0 || --s->until_fair < 0)) {
		s->until_fair = FAIR_EVERY;
		tuck__wake(s, t, result);
		tuck_yield();
		return;
	}
	t->result = result;
	tuck__unwait(s, t);
	tuck__link_before(s->ready.next, &self->w.link);
	switch_to(s, self, t);
}

/* -- a proc's beginning and end -- */

static void on_thread_end(void *arg)
{
	struct tuck__sched *s = arg;

	tuck__tls = s;
	tuck__sched_fini(s);
}

static void set_up(void)
{
	have_key = pthread_key_create(&thread_ends, on_thread_end) == 0;
}

void tuck__sched_fork(struct tuck__sched *s)
{
	atomic_store(&s->kicked, 0);
	s->stuck = false;
	atomic_store(&s->sleeping, 0);
}

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

static void init(struct tuck__sched *s, const struct tuck_config *config)
{
	tuck__link_init(&s->ready);
	tuck__link_init(&s->alarms);
	tuck__cache_init(&s->cache, &host, config);
	s->until_fair = FAIR_EVERY;
	s->until_look = s->look_every = TUCK__LOOK_EVERY;
	s->random = tuck__random_from(config->seed + s->number);
	s->switches = s->alive = 0;
	s->ended = NULL;
	s->work = NULL;
	s->work_arg = NULL;
	s->policy = NULL;
	s->told = 0;
	s->oldest = NULL;
	s->asking = NULL;
	s->quantum = 0;
	s->runner = NULL;
	s->run = 0;
	s->spin = 0;
	s->spin_pauses = 0;
	s->spin_pauses_next = 1;
	see_cpus();
	s->fd_waiters = 0;
	s->thread = gettid();
	s->stuck = false;
	s->io = NULL;
	s->spare_wait = NULL;
	s->io_fini = NULL;
	s->offload = NULL;
	s->offload_fini = NULL;
	s->now_ms = (uint32_t)(tuck_now() / TUCK_MS(1));
	atomic_store(&s->inbox, 0);
	atomic_store(&s->sleeping, 0);
	atomic_store(&s->kicked, 0);
	tuck__sched_set_idle(s, &no_poller, s);
}

int tuck__sched_error(void)
{
	return make_error;
}

struct tuck__sched *tuck__sched_make(void)
{
	struct tuck_config config;
	struct tuck__sched *s;

	pthread_once(&once, set_up);
	make_error = tuck__registry_add(&s);
	if (make_error < 0)
		return NULL;
	tuck__config_get(&config);
	init(s, &config);
	s->main = NULL;
	if (!have_key || pthread_setspecific(thread_ends, s) != 0 ||
	    !(s->main = tuck__table_new(s))) {
		if (have_key)
			pthread_setspecific(thread_ends, NULL);
		tuck__inbox_close(s);
		tuck__sched_set_idle(s, NULL, NULL);
		make_error = -ENOMEM;
		tuck__registry_remove(s);
		return NULL;
	}
	s->alive = 1;
	s->current = s->main;
	s->main_id = tuck__id(s->main);
	tuck__ctx_init_native(&s->cache, &s->main->ctx);
	tuck__tls = s;
	make_error = tuck__policy_from_env(s, config.seed);
	if (make_error == 0)
		return s;
	tuck__sched_fini(s);
	return NULL;
}

int tuck__sched_run_out(struct tuck__sched *s)
{
	int r = 0;

	tuck__at_end(s);
	while (s->alive > 1 && r == 0) {
		tuck__link_init(&s->main->w.link);
		r = tuck__wait(s, TUCK__WHY_END, NULL, TUCK_FOREVER);
	}
	return r;
}

void tuck__sched_fini(struct tuck__sched *s)
{
	void (*ended)(void *arg) = s->ended;
	void *arg = s->ended_arg;

	if (s->current == s->main)
		tuck__at_end(s);
	tuck__ticks_stop();
	tuck__policy_fini(s);
	tuck__alarms_end(s);
	tuck__task_drop_all(s);
	tuck__inbox_close(s);
	if (s->offload_fini)
		s->offload_fini(s);
	if (s->io_fini)
		s->io_fini(s);
	tuck__sched_set_idle(s, NULL, NULL);
	tuck__heap_fini(&s->timers);
	tuck__cache_fini(&s->cache);
	pthread_setspecific(thread_ends, NULL);
	tuck__tls = NULL;
	if (ended)		/* may end others' waits: there is hope */
		atomic_fetch_add(&tuck__ending, 1);
	tuck__registry_remove(s);
	if (ended) {
		ended(arg);
		atomic_fetch_sub(&tuck__ending, 1);
	}
}
