/* SPDX-License-Identifier: MIT */
/*
 * Mutex, rwlock, cond, sem, waitgroup, once, event and barrier on one proc:
 * each call's contract, who runs next, and waits that end in another way.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <tuck.h>
#include <unistd.h>

#include "trace.h"

static tuck_ns in_ms(int n)
{
	return tuck_after(TUCK_MS(n));
}

/* A tasklet that waits for an object, and what came of it. */
struct waiter {
	int (*wait)(void *object, tuck_ns deadline);
	int (*leave)(void *object);
	void *object;
	tuck_ns deadline;
	char name;
	int result, done;
	tuck_id id;
};

#define WAITER(w, l, o) { .wait = w, .leave = l, .object = o }

static void run_waiter(void *arg)
{
	struct waiter *w = arg;

	w->result = w->wait(w->object, w->deadline);
	w->done = 1;
	if (w->name)
		mark(w->name);
	if (w->leave && (w->result == 0 || w->result == -EOWNERDEAD))
		CHECK_EQ(w->leave(w->object), 0);
}

static void start(struct waiter *w)
{
	if (!w->deadline)
		w->deadline = TUCK_FOREVER;
	w->result = 12345;
	w->done = 0;
	w->id = go(run_waiter, w);
}

/* Start it and let it wait. */
static void park(struct waiter *w)
{
	start(w);
	let_others_wait();
	CHECK_EQ(w->done, 0);
}

static struct tuck_mutex mutex = TUCK_MUTEX_INIT, other = TUCK_MUTEX_INIT;
static struct tuck_rwlock rwlock = TUCK_RWLOCK_INIT;
static struct tuck_cond cond = TUCK_COND_INIT;
static struct tuck_sem sem = TUCK_SEM_INIT(0);
static struct tuck_waitgroup group = TUCK_WAITGROUP_INIT;
static struct tuck_once once = TUCK_ONCE_INIT;
static struct tuck_event event = TUCK_EVENT_INIT;
static struct tuck_event automatic = TUCK_EVENT_AUTO_INIT;
static struct tuck_barrier barrier = TUCK_BARRIER_INIT(3);

static int lock(void *m, tuck_ns deadline)
{
	return tuck_mutex_lock(m, deadline);
}

static int unlock(void *m)
{
	return tuck_mutex_unlock(m);
}

static int rdlock(void *l, tuck_ns deadline)
{
	return tuck_rwlock_rdlock(l, deadline);
}

static int wrlock(void *l, tuck_ns deadline)
{
	return tuck_rwlock_wrlock(l, deadline);
}

static int rwunlock(void *l)
{
	return tuck_rwlock_unlock(l);
}

static int sem_wait(void *s, tuck_ns deadline)
{
	return tuck_sem_wait(s, deadline);
}

static int group_wait(void *g, tuck_ns deadline)
{
	return tuck_waitgroup_wait(g, deadline);
}

static int event_wait(void *e, tuck_ns deadline)
{
	return tuck_event_wait(e, deadline);
}

static int barrier_wait(void *b, tuck_ns deadline)
{
	return tuck_barrier_wait(b, deadline);
}

static int cond_wait(void *c, tuck_ns deadline)
{
	int r;

	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	r = tuck_cond_wait(c, &mutex, deadline);
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	return r;
}

static void abort_if_run(void *arg)
{
	(void)arg;
	check_fail(CHECK_AT, "run twice");
}

static int never_runs(void *o, tuck_ns deadline)
{
	return tuck_once(o, abort_if_run, NULL, deadline);
}

/* -- what holds for each wait -- */

/* Each object in a state in which these calls wait. */
static const struct waiter all[] = {
	WAITER(lock, unlock, &mutex),
	WAITER(rdlock, rwunlock, &rwlock),
	WAITER(wrlock, rwunlock, &rwlock),
	WAITER(sem_wait, NULL, &sem),
	WAITER(group_wait, NULL, &group),
	WAITER(event_wait, NULL, &event),
	WAITER(event_wait, NULL, &automatic),
	WAITER(barrier_wait, NULL, &barrier),
	WAITER(never_runs, NULL, &once),
	WAITER(cond_wait, NULL, &cond),
};

#define ALL (sizeof(all) / sizeof(all[0]))
#define CONDS 1			/* the last ones: they need the mutex */

static void hold_once(void *arg)
{
	*(int *)arg = 1;
	tuck_block(TUCK_FOREVER);
}

static void be_in_once(void *arg)
{
	CHECK_EQ(tuck_once(&once, hold_once, arg, TUCK_FOREVER), 0);
}

static void hold_all(void)
{
	int in_it = 0;

	go(be_in_once, &in_it);
	let_others_wait();
	CHECK_EQ(in_it, 1);
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_rwlock_wrlock(&rwlock, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_waitgroup_add(&group, 1), 0);
}

static void try_all(void *arg)
{
	size_t n = ALL - CONDS;

	(void)arg;
	for (size_t i = 0; i < n; i++) {
		const struct waiter *w = &all[i];
		tuck_ns soon = in_ms(3);

		CHECK_EQ(w->wait(w->object, TUCK_NOWAIT), -EAGAIN);
		CHECK_EQ(w->wait(w->object, -1), -EINVAL);
		CHECK_EQ(w->wait(w->object, INT64_MIN), -EINVAL);
		CHECK_EQ(w->wait(NULL, TUCK_FOREVER), -EINVAL);
		CHECK_EQ(w->wait(w->object, 1), -ETIMEDOUT);
		CHECK_EQ(w->wait(w->object, soon), -ETIMEDOUT);
		CHECK(tuck_now() >= soon);
	}
	mark('x');
}

TEST(deadlines_of_all)
{
	hold_all();
	go(try_all, NULL);
	while (!trace_used)
		CHECK_EQ(tuck_sleep(in_ms(1)), 0);
}

/* Run a tasklet in a group whose deadline is at soon. */
static void run_until(tuck_ns soon, int (*fn)(void *), void *arg)
{
	struct tuck_group *g;

	CHECK_EQ(tuck_group_new(&g, soon), 0);
	CHECK(tuck_group_go(g, fn, arg) > 0);
	CHECK_EQ(tuck_group_wait(g, TUCK_GROUP_ALL, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_group_free(g), 0);
}

static int be_late(void *arg)
{
	const struct waiter *w = arg;

	CHECK_EQ(w->wait(w->object, TUCK_FOREVER), -ETIME);
	CHECK_EQ(w->wait(w->object, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(w->wait(w->object, in_ms(9000)), -ETIME);
	return 0;
}

TEST(deadline_of_the_group_ends_each_wait)
{
	hold_all();
	for (size_t i = 0; i < ALL - CONDS; i++) {
		struct waiter w = all[i];
		tuck_ns soon = in_ms(2);

		run_until(soon, be_late, &w);
		CHECK(tuck_now() >= soon);
	}
}

TEST(cancel_ends_each_wait)
{
	hold_all();
	for (size_t i = 0; i < ALL - CONDS; i++) {
		struct waiter w = all[i];

		park(&w);
		CHECK_EQ(tuck_cancel(w.id), 0);
		let_others_wait();
		CHECK_EQ(w.result, -ECANCELED);
	}
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	CHECK_EQ(tuck_mutex_fini(&mutex), 0);
	CHECK_EQ(tuck_sem_fini(&sem), 0);
	CHECK_EQ(tuck_event_fini(&event), 0);
	CHECK_EQ(tuck_event_fini(&automatic), 0);
	CHECK_EQ(tuck_barrier_fini(&barrier), 0);
	CHECK_EQ(tuck_waitgroup_fini(&group), 0);
}

static int kill_it(tuck_id id)
{
	return tuck_kill(id);
}

static void end_each_wait(int (*end)(tuck_id id))
{
	hold_all();
	for (size_t i = 0; i < ALL - CONDS; i++) {
		struct waiter w = all[i], after = all[i];

		park(&w);
		CHECK_EQ(end(w.id), 0);
		let_others_wait();
		CHECK_EQ(w.done, 0);
		CHECK_EQ(tuck_unblock(w.id), -ESRCH);
		after.deadline = in_ms(1);
		start(&after);
		while (!after.done)
			tuck_sleep(in_ms(1));
		CHECK_EQ(after.result, -ETIMEDOUT);
	}
	CHECK_EQ(tuck_sem_fini(&sem), 0);
	CHECK_EQ(tuck_barrier_fini(&barrier), 0);
}

TEST(kill_ends_each_wait)
{
	end_each_wait(kill_it);
}

TEST(drop_ends_each_wait)
{
	end_each_wait(tuck_drop);
}

/* Let go in the middle of three, by an end of the first and of the second. */
static void serve_without(const struct waiter *kind, void (*give)(void),
			  int (*end)(tuck_id id), bool granted)
{
	static struct waiter w[3];	/* the last one may still wait */

	for (int i = 0; i < 3; i++) {
		w[i] = *kind;
		w[i].name = (char)('a' + i);
		park(&w[i]);
	}
	if (granted)
		give();			/* to a, who does not run any more */
	CHECK_EQ(end(w[0].id), 0);
	if (!granted)
		give();
	let_others_wait();
	CHECK_EQ(w[0].done, 0);
	CHECK_EQ(w[1].done, 1);
	CHECK_EQ(w[1].result, 0);
}

static void give_mutex(void)
{
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
}

static void give_rwlock(void)
{
	CHECK_EQ(tuck_rwlock_unlock(&rwlock), 0);
}

static void give_sem(void)
{
	CHECK_EQ(tuck_sem_post(&sem), 0);
}

static void give_event(void)
{
	CHECK_EQ(tuck_event_set(&automatic), 0);
}

static const struct giver {
	struct waiter w;
	void (*give)(void);
	const char *trace;
} givers[] = {
	{ WAITER(lock, unlock, &mutex), give_mutex, "bc" },
	{ WAITER(wrlock, rwunlock, &rwlock), give_rwlock, "bc" },
	{ WAITER(rdlock, rwunlock, &rwlock), give_rwlock, "bc" },
	{ WAITER(sem_wait, NULL, &sem), give_sem, "b" },
	{ WAITER(event_wait, NULL, &automatic), give_event, "b" },
};

static void skip_one(int (*end)(tuck_id id))
{
	hold_all();
	for (size_t i = 0; i < 2 * sizeof(givers) / sizeof(givers[0]); i++) {
		const struct giver *g = &givers[i / 2];

		serve_without(&g->w, g->give, end, i % 2);
		/* In a random order the readers are. */
		if (!getenv("TUCK_SEED") || g->w.wait != rdlock)
			CHECK_STR(trace_text, g->trace);
		trace_used = 0;
		if (g->w.wait == lock)
			CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_NOWAIT), 0);
		else if (g->w.leave)
			CHECK_EQ(tuck_rwlock_wrlock(&rwlock, TUCK_NOWAIT), 0);
		else
			g->give();
		let_others_wait();
		CHECK_EQ(tuck_sem_fini(&sem), 0);
		CHECK_EQ(tuck_event_fini(&automatic), 0);
		trace_used = 0;
		trace_text[0] = 0;
	}
}

TEST(what_a_killed_one_was_given_goes_on)
{
	needs_fifo();
	skip_one(kill_it);
}

TEST(what_a_dropped_one_was_given_goes_on)
{
	needs_fifo();
	skip_one(tuck_drop);
}

/* Given first, then late or cancelled: it is given. */
TEST(what_was_given_beats_cancel)
{
	hold_all();
	for (size_t i = 0; i < sizeof(givers) / sizeof(givers[0]); i++) {
		struct waiter w = givers[i].w;

		park(&w);
		givers[i].give();
		CHECK_EQ(tuck_cancel(w.id), 0);
		let_others_wait();
		CHECK_EQ(w.result, 0);
		if (w.wait == wrlock)
			CHECK_EQ(tuck_rwlock_wrlock(&rwlock, TUCK_NOWAIT), 0);
	}
}

TEST(null_objects)
{
	CHECK_EQ(tuck_mutex_init(NULL), -EINVAL);
	CHECK_EQ(tuck_mutex_fini(NULL), -EINVAL);
	CHECK_EQ(tuck_mutex_unlock(NULL), -EINVAL);
	CHECK_EQ(tuck_rwlock_init(NULL), -EINVAL);
	CHECK_EQ(tuck_rwlock_fini(NULL), -EINVAL);
	CHECK_EQ(tuck_rwlock_unlock(NULL), -EINVAL);
	CHECK_EQ(tuck_cond_init(NULL), -EINVAL);
	CHECK_EQ(tuck_cond_fini(NULL), -EINVAL);
	CHECK_EQ(tuck_cond_wait(NULL, &mutex, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_cond_wait(&cond, NULL, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_cond_signal(NULL), -EINVAL);
	CHECK_EQ(tuck_cond_broadcast(NULL), -EINVAL);
	CHECK_EQ(tuck_sem_init(NULL, 0), -EINVAL);
	CHECK_EQ(tuck_sem_init(&sem, -1), -EINVAL);
	CHECK_EQ(tuck_sem_fini(NULL), -EINVAL);
	CHECK_EQ(tuck_sem_post(NULL), -EINVAL);
	CHECK_EQ(tuck_waitgroup_init(NULL), -EINVAL);
	CHECK_EQ(tuck_waitgroup_fini(NULL), -EINVAL);
	CHECK_EQ(tuck_waitgroup_add(NULL, 1), -EINVAL);
	CHECK_EQ(tuck_waitgroup_done(NULL), -EINVAL);
	CHECK_EQ(tuck_once_init(NULL), -EINVAL);
	CHECK_EQ(tuck_once_fini(NULL), -EINVAL);
	CHECK_EQ(tuck_once(&once, NULL, NULL, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_event_init(NULL, 0), -EINVAL);
	CHECK_EQ(tuck_event_fini(NULL), -EINVAL);
	CHECK_EQ(tuck_event_set(NULL), -EINVAL);
	CHECK_EQ(tuck_event_reset(NULL), -EINVAL);
	CHECK_EQ(tuck_barrier_init(NULL, 1), -EINVAL);
	CHECK_EQ(tuck_barrier_init(&barrier, 0), -EINVAL);
	CHECK_EQ(tuck_barrier_fini(NULL), -EINVAL);
}

/* -- mutex -- */

static void init_on_a_slot(void *arg)
{
	struct tuck_mutex m;
	struct tuck_event e;

	(void)arg;
	CHECK_EQ(tuck_mutex_init(&m), -EINVAL);
	CHECK_EQ(tuck_event_init(&e, 0), -EINVAL);
}

static void init_on_an_own_stack(void *arg)
{
	struct tuck_mutex m;

	(void)arg;
	CHECK_EQ(tuck_mutex_init(&m), 0);
	CHECK_EQ(tuck_mutex_fini(&m), 0);
}

static void wait_on_a_slot(void *arg)
{
	struct tuck_sem s = TUCK_SEM_INIT(0);

	(void)arg;
	tuck_sem_wait(&s, tuck_after(TUCK_MS(1)));
}

TEST(objects_lie_where_they_stay)
{
	struct tuck_attr own = { .stack_bytes = 65536 };
	tuck_id id = tuck_go_with(&own, init_on_an_own_stack, NULL);

	CHECK_EQ(tuck_join(id, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_join(go(init_on_a_slot, NULL), TUCK_FOREVER), 0);
	CHECK_DIES(-SIGABRT, "lies on a stack that tasklets share",
		   { tuck_join(go(wait_on_a_slot, NULL), TUCK_FOREVER); });
}

TEST(mutex_errors)
{
	struct tuck_mutex m;
	struct waiter w = WAITER(lock, unlock, &m);

	CHECK_EQ(tuck_mutex_init(&m), 0);
	CHECK_EQ(tuck_mutex_unlock(&m), -EPERM);
	CHECK_EQ(tuck_mutex_lock(&m, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_mutex_lock(&m, TUCK_NOWAIT), -EDEADLK);
	CHECK_EQ(tuck_mutex_lock(&m, TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_mutex_fini(&m), -EBUSY);
	park(&w);
	CHECK_EQ(tuck_mutex_fini(&m), -EBUSY);
	CHECK_EQ(tuck_mutex_unlock(&m), 0);
	CHECK_EQ(tuck_mutex_unlock(&m), -EPERM);	/* it is w's */
	let_others_wait();
	CHECK_EQ(w.result, 0);
	CHECK_EQ(tuck_mutex_unlock(&m), -EPERM);
	CHECK_EQ(tuck_mutex_fini(&m), 0);
}

/* docs/scheduling.md has this trace. */
static void lock_and_mark(void *arg)
{
	const char *name = arg;

	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	mark(name[0]);
	tuck_yield();
	mark(name[1]);
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	mark(name[2]);
}

TEST(mutex_order)
{
	needs_fifo();
	go(lock_and_mark, "aAx");
	go(lock_and_mark, "bBy");
	go(lock_and_mark, "cCz");
	let_others_wait();
	CHECK_TRACE("aAxbBycCz");
}

TEST(mutex_cannot_be_taken_from_who_was_given_it)
{
	struct waiter w = WAITER(lock, unlock, &mutex);

	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	park(&w);
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	CHECK_EQ(w.done, 1);
}

static void end_as_owner(void *arg)
{
	struct tuck_mutex *m = arg;

	CHECK_EQ(tuck_mutex_lock(m, TUCK_FOREVER), 0);
	tuck_block(TUCK_FOREVER);
}

static tuck_id owner(struct tuck_mutex *m)
{
	tuck_id id = go(end_as_owner, m);

	let_others_wait();
	CHECK_EQ(tuck_mutex_lock(m, TUCK_NOWAIT), -EAGAIN);
	return id;
}

TEST(next_after_an_owner_that_ended_is_told)
{
	static int (*const end[])(tuck_id) = { tuck_unblock, tuck_kill,
					       tuck_drop };

	for (int i = 0; i < 3; i++) {
		CHECK_EQ(end[i](owner(&mutex)), 0);
		let_others_wait();
		CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), -EOWNERDEAD);
		CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_NOWAIT), -EDEADLK);
		CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
		CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
		CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	}
}

TEST(who_waits_for_an_owner_that_ends_is_told)
{
	static int (*const end[])(tuck_id) = { tuck_unblock, tuck_kill,
					       tuck_drop };

	for (int i = 0; i < 3; i++) {
		struct waiter w[2] = { WAITER(lock, unlock, &mutex),
				       WAITER(lock, unlock, &mutex) };
		tuck_id id = owner(&mutex);

		park(&w[0]);
		park(&w[1]);
		CHECK_EQ(end[i](id), 0);
		let_others_wait();
		CHECK_EQ(w[0].result, -EOWNERDEAD);
		CHECK_EQ(w[1].result, 0);
		CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_NOWAIT), 0);
		CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	}
}

TEST(an_heir_that_is_killed_passes_it_on)
{
	struct waiter w[2] = { WAITER(lock, unlock, &mutex),
			       WAITER(lock, unlock, &mutex) };
	tuck_id id = owner(&mutex);

	park(&w[0]);
	park(&w[1]);
	CHECK_EQ(tuck_drop(id), 0);
	CHECK_EQ(tuck_kill(w[0].id), 0);
	let_others_wait();
	CHECK_EQ(w[1].result, -EOWNERDEAD);
	id = owner(&mutex);
	park(&w[0]);
	CHECK_EQ(tuck_drop(id), 0);
	CHECK_EQ(tuck_kill(w[0].id), 0);
	let_others_wait();
	CHECK_EQ(w[0].done, 0);
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), -EOWNERDEAD);
}

static void unlock_it(void *m)
{
	CHECK_EQ(tuck_mutex_unlock(m), 0);
}

static void hold_with_cleanup(void *m)
{
	CHECK_EQ(tuck_mutex_lock(m, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_defer(unlock_it, m), 0);
	tuck_block(TUCK_FOREVER);
}

TEST(a_cleanup_may_unlock)
{
	struct waiter w = WAITER(lock, unlock, &mutex);
	tuck_id id = go(hold_with_cleanup, &mutex);

	let_others_wait();
	park(&w);
	CHECK_EQ(tuck_kill(id), 0);
	let_others_wait();
	CHECK_EQ(w.result, 0);
}

static void own_many(void *arg)
{
	struct tuck_mutex *m = arg;

	for (int i = 0; i < 256; i++)
		CHECK_EQ(tuck_mutex_lock(&m[i], TUCK_NOWAIT), 0);
	tuck_block(TUCK_FOREVER);
	for (int i = 0; i < 255; i++)
		CHECK_EQ(tuck_mutex_unlock(&m[i]), 0);
	tuck_block(TUCK_FOREVER);
}

/* More than the tasklet can count, and then fewer again. */
TEST(owner_of_many)
{
	static struct tuck_mutex m[256];

	for (int i = 0; i < 2; i++) {
		struct waiter w = WAITER(lock, unlock, &m[255]);
		tuck_id id = go(own_many, m);

		let_others_wait();
		park(&w);
		if (i == 1)
			CHECK_EQ(tuck_unblock(id), 0);
		let_others_wait();
		CHECK_EQ(tuck_drop(id), 0);
		let_others_wait();
		CHECK_EQ(w.result, -EOWNERDEAD);
		memset(m, 0, sizeof(m));
	}
}

/* -- cycles -- */

struct chain {
	struct tuck_mutex *m;
	int i, n, result;
};

static void lock_two(void *arg)
{
	struct chain *c = arg;

	CHECK_EQ(tuck_mutex_lock(&c->m[c->i], TUCK_FOREVER), 0);
	tuck_block(TUCK_FOREVER);
	c->result = tuck_mutex_lock(&c->m[(c->i + 1) % c->n], TUCK_FOREVER);
	if (c->result == 0)
		CHECK_EQ(tuck_mutex_unlock(&c->m[(c->i + 1) % c->n]), 0);
	CHECK_EQ(tuck_mutex_unlock(&c->m[c->i]), 0);
}

static void make_cycle(int n)
{
	static struct tuck_mutex m[5];
	struct chain c[5];
	tuck_id id[5];

	for (int i = 0; i < n; i++) {
		c[i] = (struct chain){ m, i, n, 1 };
		id[i] = go(lock_two, &c[i]);
	}
	let_others_wait();
	for (int i = 0; i < n; i++) {
		tuck_unblock(id[i]);
		let_others_wait();
	}
	for (int i = 0; i < n; i++)
		CHECK_EQ(c[i].result, i == n - 1 ? -EDEADLK : 0);
}

TEST(cycles_are_refused)
{
	for (int n = 2; n <= 5; n++)
		make_cycle(n);
}

TEST(a_cycle_is_reported)
{
	CHECK_DIES(0, "deadlock, a cycle:\n  tasklet ", make_cycle(2););
	CHECK_DIES(0, "held by tasklet ", make_cycle(3););
}

static int told;

static void tell(void)
{
	told++;
}

TEST(the_programs_function_is_told_of_a_cycle)
{
	tuck_on_deadlock(tell);
	make_cycle(3);
	CHECK_EQ(told, 1);
}

static void lock_crosswise(void *arg)
{
	CHECK_EQ(tuck_mutex_lock(&other, TUCK_FOREVER), 0);
	*(int *)arg = tuck_mutex_lock(&mutex, TUCK_FOREVER);
}

/* One with a deadline will give up, so nobody is stuck. */
TEST(a_deadline_makes_no_cycle)
{
	int result = 1;

	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	go(lock_crosswise, &result);
	let_others_wait();
	CHECK_EQ(tuck_mutex_lock(&other, in_ms(1)), -ETIMEDOUT);
	CHECK_EQ(tuck_mutex_lock(&other, TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	let_others_wait();
	CHECK_EQ(result, 0);
}

static void cross(void *arg)
{
	int *result = arg;

	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	*result = tuck_mutex_lock(&other, in_ms(10));
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
}

TEST(who_waits_for_one_with_a_deadline_is_not_refused)
{
	int result = 1;

	CHECK_EQ(tuck_mutex_lock(&other, TUCK_FOREVER), 0);
	go(cross, &result);
	let_others_wait();
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	CHECK_EQ(result, -ETIMEDOUT);
}

/* Of two that wait crosswise, the member of a group gives up in time. */
static struct tuck_mutex *hers = &mutex, *mine = &other;

static int lock_late(void *arg)
{
	CHECK_EQ(tuck_mutex_lock(mine, TUCK_FOREVER), 0);
	if (arg)
		CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	CHECK_EQ(tuck_mutex_lock(hers, TUCK_FOREVER), -ETIME);
	CHECK_EQ(tuck_mutex_unlock(mine), 0);
	return 0;
}

static void lock_hers_and_his(void *arg)
{
	CHECK_EQ(tuck_mutex_lock(hers, TUCK_FOREVER), 0);
	tuck_block(TUCK_FOREVER);
	*(int *)arg = tuck_mutex_lock(mine, TUCK_FOREVER);
}

static void meet_crosswise(int he_comes_last)
{
	int result = 1;
	tuck_id she = go(lock_hers_and_his, &result), he;
	struct tuck_group *g;

	let_others_wait();
	CHECK_EQ(tuck_group_new(&g, in_ms(1000)), 0);
	he = tuck_group_go(g, lock_late, he_comes_last ? g : NULL);
	CHECK(he > 0);
	let_others_wait();
	CHECK_EQ(tuck_unblock(she), 0);
	let_others_wait();
	if (he_comes_last)
		CHECK_EQ(tuck_unblock(he), 0);
	CHECK_EQ(tuck_join(he, TUCK_FOREVER), 0);
	let_others_wait();
	CHECK_EQ(result, 0);
	CHECK_EQ(tuck_group_free(g), 0);
}

TEST(the_deadline_of_a_group_makes_no_cycle)
{
	meet_crosswise(1);
}

TEST(who_waits_for_one_in_a_group_with_a_deadline_is_not_refused)
{
	meet_crosswise(0);
}

static void lock_when_cancelled(void *arg)
{
	CHECK_EQ(tuck_mutex_lock(mine, TUCK_FOREVER), 0);
	tuck_block(TUCK_FOREVER);
	*(int *)arg = tuck_mutex_lock(hers, TUCK_FOREVER);
}

TEST(a_cancelled_one_makes_no_cycle)
{
	int results[2] = { 1, 1 };
	tuck_id she = go(lock_hers_and_his, &results[0]);
	tuck_id he = go(lock_when_cancelled, &results[1]);

	let_others_wait();
	CHECK_EQ(tuck_unblock(she), 0);
	let_others_wait();
	CHECK_EQ(tuck_cancel(he), 0);
	let_others_wait();
	CHECK_EQ(results[1], -ECANCELED);
	CHECK_EQ(results[0], -EOWNERDEAD);
}

/* -- rwlock -- */

TEST(rwlock_errors)
{
	struct tuck_rwlock l;
	struct waiter w = WAITER(wrlock, rwunlock, &l);

	CHECK_EQ(tuck_rwlock_init(&l), 0);
	CHECK_EQ(tuck_rwlock_unlock(&l), -EPERM);
	CHECK_EQ(tuck_rwlock_wrlock(&l, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_rwlock_wrlock(&l, TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_rwlock_rdlock(&l, TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_rwlock_fini(&l), -EBUSY);
	park(&w);
	CHECK_EQ(tuck_rwlock_unlock(&l), 0);
	CHECK_EQ(tuck_rwlock_unlock(&l), -EPERM);
	let_others_wait();
	CHECK_EQ(w.result, 0);
	CHECK_EQ(tuck_rwlock_rdlock(&l, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_rwlock_rdlock(&l, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_rwlock_wrlock(&l, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_rwlock_unlock(&l), 0);
	CHECK_EQ(tuck_rwlock_fini(&l), -EBUSY);
	CHECK_EQ(tuck_rwlock_unlock(&l), 0);
	CHECK_EQ(tuck_rwlock_unlock(&l), -EPERM);
	CHECK_EQ(tuck_rwlock_fini(&l), 0);
}

/* docs/scheduling.md has this trace. */
TEST(rwlock_order)
{
	struct waiter w[6];

	needs_fifo();
	CHECK_EQ(tuck_rwlock_rdlock(&rwlock, TUCK_FOREVER), 0);
	for (int i = 0; i < 6; i++) {
		w[i] = (struct waiter)WAITER(i % 3 ? rdlock : wrlock, NULL,
					     &rwlock);
		w[i].name = "VabWcd"[i];
		park(&w[i]);
	}
	CHECK_EQ(tuck_rwlock_rdlock(&rwlock, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_rwlock_unlock(&rwlock), 0);
	let_others_wait();
	CHECK_TRACE("V");
}

TEST(rwlock_phases)
{
	struct waiter w[6];

	needs_fifo();
	CHECK_EQ(tuck_rwlock_rdlock(&rwlock, TUCK_FOREVER), 0);
	for (int i = 0; i < 6; i++) {
		w[i] = (struct waiter)WAITER(i % 3 ? rdlock : wrlock, rwunlock,
					     &rwlock);
		w[i].name = "VabWcd"[i];
		park(&w[i]);
	}
	CHECK_EQ(tuck_rwlock_unlock(&rwlock), 0);
	let_others_wait();
	CHECK_TRACE("VabWcd");
	CHECK_EQ(tuck_rwlock_fini(&rwlock), 0);
}

TEST(readers_behind_a_writer_that_gives_up)
{
	struct waiter v = { .wait = wrlock,
			    .leave = rwunlock,
			    .object = &rwlock,
			    .deadline = in_ms(5) };
	struct waiter r[2] = { WAITER(rdlock, rwunlock, &rwlock),
			       WAITER(rdlock, rwunlock, &rwlock) };

	CHECK_EQ(tuck_rwlock_rdlock(&rwlock, TUCK_FOREVER), 0);
	start(&v);
	tuck_yield();
	let_others_wait();
	start(&r[0]);
	start(&r[1]);
	while (!v.done)
		tuck_sleep(in_ms(1));
	let_others_wait();
	CHECK_EQ(v.result, -ETIMEDOUT);
	CHECK_EQ(r[0].result, 0);
	CHECK_EQ(r[1].result, 0);
	CHECK_EQ(tuck_rwlock_wrlock(&rwlock, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_rwlock_unlock(&rwlock), 0);
	CHECK_EQ(tuck_rwlock_wrlock(&rwlock, TUCK_NOWAIT), 0);
}

/* -- cond -- */

TEST(cond_errors)
{
	struct waiter w = WAITER(cond_wait, NULL, &cond);

	CHECK_EQ(tuck_cond_wait(&cond, &mutex, TUCK_FOREVER), -EPERM);
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_cond_wait(&cond, &mutex, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_cond_wait(&cond, &mutex, -1), -EINVAL);
	CHECK_EQ(tuck_cond_wait(&cond, &mutex, 1), -ETIMEDOUT);
	CHECK_EQ(tuck_cond_wait(&cond, &mutex, in_ms(3)), -ETIMEDOUT);
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	CHECK_EQ(tuck_cond_signal(&cond), 0);
	CHECK_EQ(tuck_cond_broadcast(&cond), 0);
	park(&w);
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_cond_fini(&cond), -EBUSY);
	CHECK_EQ(tuck_cond_signal(&cond), 0);
	CHECK_EQ(tuck_cond_fini(&cond), 0);
	let_others_wait();
	CHECK_EQ(w.done, 0);		/* it needs the mutex too */
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	let_others_wait();
	CHECK_EQ(w.result, 0);
}

/* docs/scheduling.md has this trace. */
TEST(cond_order)
{
	struct waiter w[4];

	needs_fifo();
	for (int i = 0; i < 4; i++) {
		w[i] = (struct waiter)WAITER(cond_wait, NULL, &cond);
		w[i].name = (char)('a' + i);
		park(&w[i]);
	}
	CHECK_EQ(tuck_cond_signal(&cond), 0);
	mark('x');
	let_others_wait();
	CHECK_TRACE("xa");
	CHECK_EQ(tuck_cond_broadcast(&cond), 0);
	mark('y');
	let_others_wait();
	CHECK_TRACE("ybcd");
}

TEST(cancel_in_cond_locks_again)
{
	struct waiter w = WAITER(cond_wait, NULL, &cond);

	park(&w);
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_cancel(w.id), 0);
	let_others_wait();
	CHECK_EQ(w.done, 0);
	CHECK_EQ(tuck_cancel(w.id), 0);
	let_others_wait();
	CHECK_EQ(w.done, 0);
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	let_others_wait();
	CHECK_EQ(w.result, -ECANCELED);
}

static int be_late_in_cond(void *done)
{
	CHECK_EQ(cond_wait(&cond, TUCK_FOREVER), -ETIME);
	*(int *)done = 1;
	return 0;
}

TEST(who_is_late_in_cond_locks_again)
{
	tuck_ns soon = in_ms(200);
	struct tuck_group *g;
	int done = 0;

	CHECK_EQ(tuck_group_new(&g, soon), 0);
	CHECK(tuck_group_go(g, be_late_in_cond, &done) > 0);
	let_others_wait();
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_sleep(soon + TUCK_MS(5)), 0);
	let_others_wait();
	CHECK_EQ(done, 0);		/* it waits for the mutex */
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	let_others_wait();
	CHECK_EQ(done, 1);
	CHECK_EQ(tuck_group_free(g), 0);
}

static void wait_with_cleanup(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_defer(unlock_it, &mutex), 0);
	tuck_cond_wait(&cond, &mutex, TUCK_FOREVER);
	check_fail(CHECK_AT, "it was killed");
}

TEST(kill_in_cond_locks_for_the_cleanups)
{
	tuck_id id = go(wait_with_cleanup, NULL);

	let_others_wait();
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_kill(id), 0);
	let_others_wait();
	CHECK_EQ(tuck_kill(id), -EALREADY);	/* it waits for the mutex */
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	let_others_wait();
	CHECK_EQ(tuck_kill(id), -ESRCH);
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
}

static void signal_is_not_lost(int (*end)(tuck_id), int result)
{
	struct waiter w[2] = { WAITER(cond_wait, NULL, &cond),
			       WAITER(cond_wait, NULL, &cond) };

	park(&w[0]);
	park(&w[1]);
	CHECK_EQ(tuck_cond_signal(&cond), 0);
	CHECK_EQ(end(w[0].id), 0);
	let_others_wait();
	CHECK_EQ(w[0].done, 0);
	CHECK_EQ(w[1].result, result);
}

TEST(a_signal_for_one_that_is_dropped_is_not_lost)
{
	signal_is_not_lost(tuck_drop, 0);
}

/* It locks for its cleanups, of which there is none. */
TEST(a_signal_for_one_that_is_killed_is_not_lost)
{
	needs_fifo();
	signal_is_not_lost(kill_it, -EOWNERDEAD);
}

static void cycle_by_cond(void *arg)
{
	int *result = arg;

	CHECK_EQ(tuck_mutex_lock(&other, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	*result = tuck_cond_wait(&cond, &mutex, TUCK_FOREVER);
	CHECK_EQ(tuck_mutex_unlock(&mutex), -EPERM);
	CHECK_EQ(tuck_mutex_unlock(&other), 0);
}

static void lock_other(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_cond_signal(&cond), 0);
	CHECK_EQ(tuck_mutex_lock(&other, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_mutex_unlock(&other), 0);
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
}

TEST(cond_that_cannot_lock_again)
{
	int result = 1;

	go(cycle_by_cond, &result);
	let_others_wait();
	go(lock_other, NULL);
	let_others_wait();
	CHECK_EQ(result, -ENOTRECOVERABLE);
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_NOWAIT), 0);
}

/* -- sem -- */

TEST(sem_counts)
{
	struct tuck_sem s = TUCK_SEM_INIT(2);

	CHECK_EQ(tuck_sem_wait(&s, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_sem_wait(&s, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_sem_wait(&s, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_sem_post(&s), 0);
	CHECK_EQ(tuck_sem_wait(&s, 1), 0);	/* late, but it can go */
	CHECK_EQ(tuck_sem_init(&s, INT32_MAX), 0);
	CHECK_EQ(tuck_sem_post(&s), -EOVERFLOW);
	CHECK_EQ(tuck_sem_wait(&s, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_sem_post(&s), 0);
}

/* docs/scheduling.md has this trace. */
TEST(sem_order)
{
	struct waiter w[4];

	needs_fifo();
	for (int i = 0; i < 4; i++) {
		w[i] = (struct waiter)WAITER(sem_wait, NULL, &sem);
		w[i].name = (char)('a' + i);
		park(&w[i]);
	}
	CHECK_EQ(tuck_sem_fini(&sem), -EBUSY);
	CHECK_EQ(tuck_sem_post(&sem), 0);
	CHECK_EQ(tuck_sem_post(&sem), 0);
	CHECK_EQ(tuck_sem_wait(&sem, TUCK_NOWAIT), -EAGAIN);
	mark('x');
	let_others_wait();
	CHECK_TRACE("xab");
	CHECK_EQ(tuck_cancel(w[2].id), 0);
	CHECK_EQ(tuck_sem_post(&sem), 0);
	let_others_wait();
	CHECK_TRACE("cd");
	CHECK_EQ(w[2].result, -ECANCELED);
	CHECK_EQ(w[3].result, 0);
	CHECK_EQ(tuck_sem_wait(&sem, TUCK_NOWAIT), -EAGAIN);
}

/* -- waitgroup -- */

TEST(waitgroup_counts)
{
	struct waiter w[2] = { WAITER(group_wait, NULL, &group),
			       WAITER(group_wait, NULL, &group) };

	CHECK_EQ(tuck_waitgroup_wait(&group, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_waitgroup_done(&group), -EINVAL);
	CHECK_EQ(tuck_waitgroup_add(&group, INT32_MAX), 0);
	CHECK_EQ(tuck_waitgroup_add(&group, 1), -EOVERFLOW);
	CHECK_EQ(tuck_waitgroup_add(&group, 2 - INT32_MAX), 0);
	park(&w[0]);
	park(&w[1]);
	CHECK_EQ(tuck_waitgroup_fini(&group), -EBUSY);
	CHECK_EQ(tuck_waitgroup_add(&group, -3), -EINVAL);
	CHECK_EQ(tuck_waitgroup_done(&group), 0);
	let_others_wait();
	CHECK_EQ(w[0].done + w[1].done, 0);
	CHECK_EQ(tuck_waitgroup_done(&group), 0);
	CHECK_EQ(tuck_waitgroup_fini(&group), 0);
	let_others_wait();
	CHECK_EQ(w[0].result, 0);
	CHECK_EQ(w[1].result, 0);
}

/* -- once -- */

static int runs;

static void count_run(void *arg)
{
	runs++;
	if (arg)
		tuck_block(TUCK_FOREVER);
	runs += 10;
}

static int once_quick(void *o, tuck_ns deadline)
{
	return tuck_once(o, count_run, NULL, deadline);
}

static int once_slow(void *o, tuck_ns deadline)
{
	return tuck_once(o, count_run, o, deadline);
}

TEST(once_runs_once)
{
	struct waiter slow = WAITER(once_slow, NULL, &once);
	struct waiter w[2] = { WAITER(once_quick, NULL, &once),
			       WAITER(once_quick, NULL, &once) };

	park(&slow);
	CHECK_EQ(runs, 1);
	CHECK_EQ(tuck_once(&once, count_run, NULL, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_once(&once, count_run, NULL, in_ms(2)), -ETIMEDOUT);
	CHECK_EQ(tuck_once_fini(&once), -EBUSY);
	park(&w[0]);
	park(&w[1]);
	CHECK_EQ(runs, 1);
	CHECK_EQ(tuck_unblock(slow.id), 0);
	let_others_wait();
	CHECK_EQ(runs, 11);
	CHECK_EQ(slow.result + w[0].result + w[1].result, 0);
	CHECK_EQ(tuck_once(&once, count_run, NULL, TUCK_NOWAIT), 0);
	CHECK_EQ(runs, 11);
	CHECK_EQ(tuck_once_fini(&once), 0);
}

static void recurse(void *arg)
{
	CHECK_EQ(tuck_once(arg, recurse, arg, TUCK_FOREVER), -EDEADLK);
	runs++;
}

TEST(once_inside_itself)
{
	CHECK_EQ(tuck_once(&once, recurse, &once, TUCK_FOREVER), 0);
	CHECK_EQ(runs, 1);
}

static void run_again_after(int (*end)(tuck_id))
{
	struct tuck_once o = TUCK_ONCE_INIT;
	struct waiter slow = WAITER(once_slow, NULL, &o);
	struct waiter w[2] = { WAITER(once_slow, NULL, &o),
			       WAITER(once_quick, NULL, &o) };

	runs = 0;
	park(&slow);
	park(&w[0]);
	park(&w[1]);
	CHECK_EQ(end(slow.id), 0);
	let_others_wait();
	CHECK_EQ(runs, 2);
	CHECK_EQ(w[0].done + w[1].done, 0);
	CHECK_EQ(end(w[0].id), 0);
	let_others_wait();
	CHECK_EQ(runs, 13);
	CHECK_EQ(w[1].result, 0);
}

TEST(once_left_is_run_by_the_next)
{
	run_again_after(kill_it);
	run_again_after(tuck_drop);
}

TEST(once_left_with_nobody_waiting)
{
	struct waiter slow = WAITER(once_slow, NULL, &once);

	park(&slow);
	CHECK_EQ(tuck_kill(slow.id), 0);
	let_others_wait();
	CHECK_EQ(tuck_once_fini(&once), 0);
	park(&slow);
	CHECK_EQ(tuck_drop(slow.id), 0);
	runs = 0;
	CHECK_EQ(tuck_once(&once, count_run, NULL, TUCK_NOWAIT), 0);
	CHECK_EQ(runs, 11);
}

/* -- event -- */

TEST(event_stays_set)
{
	struct waiter w[2] = { WAITER(event_wait, NULL, &event),
			       WAITER(event_wait, NULL, &event) };

	park(&w[0]);
	park(&w[1]);
	CHECK_EQ(tuck_event_fini(&event), -EBUSY);
	CHECK_EQ(tuck_event_set(&event), 0);
	CHECK_EQ(tuck_event_set(&event), 0);
	CHECK_EQ(tuck_event_wait(&event, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_event_wait(&event, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_event_reset(&event), 0);
	CHECK_EQ(tuck_event_wait(&event, TUCK_NOWAIT), -EAGAIN);
	let_others_wait();
	CHECK_EQ(w[0].result, 0);
	CHECK_EQ(w[1].result, 0);
}

TEST(event_that_resets_itself)
{
	struct tuck_event e;
	struct waiter w[2] = { WAITER(event_wait, NULL, &e),
			       WAITER(event_wait, NULL, &e) };

	CHECK_EQ(tuck_event_init(&e, 1), 0);
	CHECK_EQ(tuck_event_set(&e), 0);
	CHECK_EQ(tuck_event_set(&e), 0);
	CHECK_EQ(tuck_event_wait(&e, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_event_wait(&e, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_event_set(&e), 0);
	CHECK_EQ(tuck_event_reset(&e), 0);
	CHECK_EQ(tuck_event_wait(&e, TUCK_NOWAIT), -EAGAIN);
	park(&w[0]);
	park(&w[1]);
	CHECK_EQ(tuck_event_set(&e), 0);
	CHECK_EQ(tuck_event_wait(&e, TUCK_NOWAIT), -EAGAIN);
	let_others_wait();
	CHECK_EQ(w[0].result, 0);
	CHECK_EQ(w[1].done, 0);
	CHECK_EQ(tuck_event_set(&e), 0);
	let_others_wait();
	CHECK_EQ(w[1].result, 0);
	CHECK_EQ(tuck_event_fini(&e), 0);
}

/* -- barrier -- */

TEST(barrier_lets_n_go)
{
	struct waiter w[2] = { WAITER(barrier_wait, NULL, &barrier),
			       WAITER(barrier_wait, NULL, &barrier) };

	for (int i = 0; i < 3; i++) {
		park(&w[0]);
		park(&w[1]);
		CHECK_EQ(tuck_barrier_wait(&barrier, TUCK_NOWAIT), 1);
		CHECK_EQ(tuck_barrier_wait(&barrier, TUCK_NOWAIT), -EAGAIN);
		let_others_wait();
		CHECK_EQ(w[0].done + w[1].done, 2);
		CHECK_EQ(w[0].result, 0);
		CHECK_EQ(w[1].result, 0);
	}
}

TEST(who_leaves_a_barrier_does_not_count)
{
	struct waiter w[2] = { WAITER(barrier_wait, NULL, &barrier),
			       WAITER(barrier_wait, NULL, &barrier) };

	park(&w[0]);
	CHECK_EQ(tuck_cancel(w[0].id), 0);
	let_others_wait();
	park(&w[0]);
	park(&w[1]);
	CHECK_EQ(tuck_kill(w[1].id), 0);
	CHECK_EQ(tuck_barrier_wait(&barrier, TUCK_NOWAIT), -EAGAIN);
	park(&w[1]);
	CHECK_EQ(tuck_barrier_fini(&barrier), -EBUSY);
	CHECK_EQ(tuck_barrier_wait(&barrier, TUCK_FOREVER), 1);
	let_others_wait();
	CHECK_EQ(w[0].result + w[1].result, 0);
	CHECK_EQ(tuck_barrier_fini(&barrier), 0);
}

TEST(barrier_of_one)
{
	struct tuck_barrier b = TUCK_BARRIER_INIT(1);

	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_barrier_wait(&b, TUCK_NOWAIT), 1);
}

/* -- deadlock -- */

TEST(main_that_nobody_can_wake)
{
	owner(&mutex);
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_sem_wait(&sem, TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_sem_fini(&sem), 0);
	CHECK_EQ(tuck_barrier_wait(&barrier, TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_event_wait(&event, TUCK_FOREVER), -EDEADLK);
}

static void sems(void)
{
	struct waiter w = WAITER(sem_wait, NULL, &sem);

	park(&w);
	owner(&mutex);
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), -EDEADLK);
}

TEST(dump_tells_what_they_wait_for)
{
	CHECK_DIES(0, "waits for mutex ", sems(););
	CHECK_DIES(0, " held by tasklet ", sems(););
	CHECK_DIES(0, "waits for semaphore ", sems(););
}
