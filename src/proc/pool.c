/* SPDX-License-Identifier: MIT */
/*
 * Pools: procs that take tasklets that have not started from one another.
 *
 * Each proc has a queue of what was started on it, and the pool one of what
 * came from outside. A proc with nothing ready starts the newest of its own,
 * so that a tree of tasklets is walked in depth and few are alive; then it
 * takes the oldest from outside, then the oldest of another proc's, which is
 * likely to be the root of a large part of the tree (Blumofe and Leiserson,
 * 1999). So that no tasklet waits for ever, the oldest at home starts every
 * 10 ms; at each look it would be every 128 switches, and in a tree as many
 * branches would be begun in breadth.
 *
 * Invariants:
 * 1. A proc that is about to sleep says so in `sleepers`, then in `asleep`, and
 *    then looks at all queues once more; whoever puts something into a queue
 *    looks at `sleepers`, and at each `asleep`, after that; all in sequential
 *    consistency. So one of them sees the other (tests/model/inbox.py). Nobody
 *    is asleep who is not counted: else who takes that away would have
 *    `sleepers` say that another one, who sleeps, does not.
 * 2. Whoever takes `asleep` away prods that proc, and nobody else does: one
 *    tasklet wakes one proc at most. A proc that was woken otherwise takes its
 *    own away; if somebody has before, it wakes another one in its place.
 * 3. `busy` counts the procs with a tasklet besides the main one, and the
 *    tasklets that wait in the pool's own queue. A proc counts before what it
 *    takes does not any more. So at 0 all have ended.
 *
 * Why not otherwise: a queue for all would be a lock for all, and shuffle
 * children from the proc whose cache has their data. A count of tasklets,
 * changed at each start and end, would be a line that all procs write to.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <tuck/sync.h>

#include "base/fork.h"
#include "base/mem.h"
#include "base/random.h"
#include "proc/proc.h"
#include "task/job.h"

/* How often the oldest starts although others are ready, or newer. */
#define FAIR_EVERY_MS	10

/* How long to wait for memory, for what could be taken. */
#define MEMORY_AGAIN	TUCK_MS(10)

struct member {
	_Alignas(64) struct tuck__jobs jobs;
	struct tuck_pool *pool;
	struct tuck__sched *sched;
	atomic_int asleep;
	int proc;
	_Atomic(tuck_id) main;
	bool counts;			/* in busy */
	bool lacks_memory;
	uint32_t fair_ms;		/* when the oldest started last */
	uint64_t random;
};

struct tuck_pool {
	struct tuck__jobs outside;
	struct tuck_waitgroup busy;
	atomic_int sleepers, alive, users;
	atomic_bool freeing, ending;
	uint32_t forks;			/* of whoever made it */
	int n;
	struct member members[];
};

/* Here is a fork's child: the other procs are gone, and may have left locks. */
static inline bool is_lost(const struct tuck_pool *pool)
{
	return tuck__forked_since(pool->forks);
}

static void unref(struct tuck_pool *pool)
{
	if (atomic_fetch_sub(&pool->users, 1) > 1)
		return;
	tuck__jobs_fini(&pool->outside);
	for (int i = 0; i < pool->n; i++)
		tuck__jobs_fini(&pool->members[i].jobs);
	tuck__free(pool);
}

/* -- sleep -- */

/* Whether it was so: whoever takes it away, wakes. */
static bool take_asleep(struct member *m)
{
	if (!atomic_load(&m->asleep) || !atomic_exchange(&m->asleep, 0))
		return false;
	atomic_fetch_sub(&m->pool->sleepers, 1);
	return true;
}

static void wake_one(struct tuck_pool *pool)
{
	if (atomic_load(&pool->sleepers) == 0)
		return;
	for (int i = 0; i < pool->n; i++)
		if (take_asleep(&pool->members[i])) {
			tuck__prod(pool->members[i].sched);
			return;
		}
}

static bool any_jobs(const struct tuck_pool *pool)
{
	if (tuck__jobs_any(&pool->outside))
		return true;
	for (int i = 0; i < pool->n; i++)
		if (tuck__jobs_any(&pool->members[i].jobs))
			return true;
	return false;
}

static tuck_ns pool_sleep(struct tuck__sched *s, tuck_ns deadline)
{
	struct member *m = s->work_arg;
	tuck_ns soon;

	if (is_lost(m->pool))
		return deadline;
	if (m->lacks_memory) {
		soon = tuck_after(MEMORY_AGAIN);
		return soon < deadline ? soon : deadline;
	}
	atomic_fetch_add(&m->pool->sleepers, 1);
	atomic_store(&m->asleep, 1);
	return any_jobs(m->pool) ? TUCK_NOWAIT : deadline;
}

/*
 * It has something of its own to do. Whoever took `asleep` away meanwhile has
 * meant another.
 */
static void pool_woken(struct tuck__sched *s)
{
	struct member *m = s->work_arg;

	if (tuck__list_empty(&s->ready) || is_lost(m->pool))
		return;
	if (!take_asleep(m) && any_jobs(m->pool))
		wake_one(m->pool);
}

/* -- work -- */

static void count_in(struct member *m)
{
	if (!m->counts)
		tuck_waitgroup_add(&m->pool->busy, 1);
	m->counts = true;
}

static void count_out(struct member *m)
{
	if (m->counts)
		tuck_waitgroup_done(&m->pool->busy);
	m->counts = false;
}

static bool took(struct member *m, int r)
{
	if (r == -ENOMEM)
		m->lacks_memory = true;
	if (r <= 0)
		return false;
	count_in(m);
	return true;
}

static bool take_from_outside(struct tuck__sched *s, struct member *m)
{
	int dead = 0;
	bool has = took(m, tuck__jobs_steal(s, &m->pool->outside, &dead));

	if (has || dead)
		tuck_waitgroup_add(&m->pool->busy, -(dead + has));
	return has;
}

static bool take_from_others(struct tuck__sched *s, struct member *m)
{
	struct tuck_pool *pool = m->pool;
	uint64_t first = tuck__random(&m->random);
	int dead = 0;		/* they are not counted in busy */

	for (int i = 0; i < pool->n; i++) {
		struct member *other = &pool->members[(first + (uint64_t)i) %
						      (unsigned)pool->n];

		if (other != m &&
		    took(m, tuck__jobs_steal(s, &other->jobs, &dead)))
			return true;
	}
	return false;
}

static bool pool_take(struct tuck__sched *s, bool idle)
{
	struct member *m = s->work_arg;

	if (is_lost(m->pool))
		return false;
	if (!idle && s->now_ms - m->fair_ms < FAIR_EVERY_MS)
		return false;
	if (!idle)
		m->fair_ms = s->now_ms;
	take_asleep(m);
	m->lacks_memory = false;
	return tuck__jobs_start(s, &m->jobs, idle) || take_from_outside(s, m) ||
	       (idle && take_from_others(s, m));
}

static const struct tuck__work work = { pool_take, pool_sleep, pool_woken };

/* -- a proc's life -- */

static void run_member(void *arg)
{
	struct member *m = arg;
	struct tuck__sched *s = tuck__tls;

	m->sched = s;
	atomic_store(&m->main, tuck_self());
	s->work_arg = m;
	s->work = &work;
	while (!atomic_load(&m->pool->ending) && !is_lost(m->pool)) {
		if (s->alive == 1)
			count_out(m);
		tuck_uncancel();
		tuck__link_init(&s->main->w.link);
		tuck__wait(s, TUCK__WHY_END, NULL, TUCK_FOREVER);
	}
	s->work = NULL;
}

/* No proc is left, by pthread_exit(): what waits is not going to start. */
static void end_outside(struct tuck_pool *pool)
{
	int n = tuck__jobs_end(&pool->outside);

	if (n)
		tuck_waitgroup_add(&pool->busy, -n);
}

static void on_end(void *arg)
{
	struct member *m = arg;

	if (is_lost(m->pool))
		return;
	take_asleep(m);
	count_out(m);
	if (atomic_fetch_sub(&m->pool->alive, 1) == 1)
		end_outside(m->pool);
	unref(m->pool);
}

/* -- beginning and end -- */

static int cpus_of_caller(void)
{
	cpu_set_t cpus;
	int n = sched_getaffinity(0, sizeof(cpus), &cpus) < 0 ?
			1 :
			CPU_COUNT(&cpus);

	return n < TUCK_PROCS_MAX ? n : TUCK_PROCS_MAX;
}

static int nth_cpu_of_caller(int i)
{
	cpu_set_t cpus;
	int cpu = -1;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		return 0;
	i %= CPU_COUNT(&cpus);
	do
		i -= CPU_ISSET(++cpu, &cpus) != 0;
	while (i >= 0);
	return cpu;
}

static int start_member(struct tuck_pool *pool, int i,
			const struct tuck_pool_attr *attr)
{
	struct member *m = &pool->members[i];
	struct tuck_proc_attr its = { .cpus = attr->cpus,
				      .n_cpus = attr->n_cpus };
	char name[32];

	if (attr->name) {
		snprintf(name, sizeof(name), "%.11s%d", attr->name, i);
		its.name = name;
	}
	if (attr->pin) {
		its.cpu = 1 + (attr->n_cpus ? attr->cpus[i % attr->n_cpus] :
					      nth_cpu_of_caller(i));
		its.n_cpus = 0;
	}
	m->proc = tuck__proc_start(&its, run_member, m, on_end);
	if (m->proc < 0)
		return m->proc;
	return 0;
}

struct ending {
	struct tuck_pool *pool;
	int next, n;
};

/* The rest, if the caller was killed or cancelled meanwhile. */
static void disown_rest(struct ending *e)
{
	if (is_lost(e->pool)) {		/* their numbers are others' */
		tuck__free(e->pool);
		return;
	}
	while (e->next < e->n)
		tuck__proc_disown(e->pool->members[e->next++].proc);
	unref(e->pool);
}

/* The first n procs have nothing to do any more. */
static void end_members(struct tuck_pool *pool, int n)
{
	struct ending e
		__attribute__((__cleanup__(disown_rest))) = { pool, 0, n };
	int r = 0;

	atomic_store(&pool->ending, true);
	for (int i = 0; i < n; i++)
		tuck_cancel(atomic_load(&pool->members[i].main));
	for (; e.next < n && r == 0; e.next += r == 0)
		r = tuck__proc_join(pool->members[e.next].proc, true,
				    TUCK_FOREVER);
}

static struct tuck_pool *new_pool(int n)
{
	struct tuck_pool *pool;

	pool = tuck__alloc(sizeof(*pool) +
			   (size_t)n * sizeof(pool->members[0]));
	if (!pool)
		return NULL;
	pool->n = n;
	pool->forks = tuck__forks;
	tuck__jobs_init(&pool->outside, true);
	for (int i = 0; i < n; i++) {
		struct member *m = &pool->members[i];

		tuck__jobs_init(&m->jobs, false);
		m->pool = pool;
		m->random = tuck__random_from((uint64_t)i + 1);
	}
	return pool;
}

static bool valid(int n_procs, const struct tuck_pool_attr *attr)
{
	return n_procs >= 0 && n_procs <= TUCK_PROCS_MAX &&
	       tuck__cpus_valid(attr->cpus, attr->n_cpus);
}

int tuck_pool_new_with(struct tuck_pool **ret_pool, int n_procs,
		       const struct tuck_pool_attr *attr)
{
	static const struct tuck_pool_attr none;
	struct tuck_pool *pool;
	int r = 0, i;

	attr = attr ? attr : &none;
	TUCK__REQUIRE(ret_pool && valid(n_procs, attr), -EINVAL);
	TUCK__REQUIRE(tuck__sched(), tuck__sched_error());
	pool = new_pool(n_procs ? n_procs : cpus_of_caller());
	if (!pool)
		return -ENOMEM;
	pool->users = 1;
	for (i = 0; i < pool->n && r == 0; i += r == 0) {
		atomic_fetch_add(&pool->users, 1);
		atomic_fetch_add(&pool->alive, 1);
		r = start_member(pool, i, attr);
	}
	if (r == 0) {
		*ret_pool = pool;
		return 0;
	}
	atomic_fetch_sub(&pool->users, 1);	/* of the one that failed */
	end_members(pool, i);
	return r;
}

int tuck_pool_new(struct tuck_pool **ret_pool, int n_procs)
{
	return tuck_pool_new_with(ret_pool, n_procs, NULL);
}

static bool has_procs(const struct tuck_pool *pool)
{
	return !is_lost(pool) && atomic_load(&pool->alive) > 0;
}

/* The one that the caller is of, or NULL. */
static struct member *own(const struct tuck_pool *pool)
{
	struct tuck__sched *s = tuck__tls;
	struct member *m;

	if (!s || s->work != &work)
		return NULL;
	m = s->work_arg;
	return m->pool == pool ? m : NULL;
}

/* The pool may be freed when the tasklet has ended, which may be soon. */
static tuck_id go_from_outside(struct tuck__sched *s, struct tuck_pool *pool,
			       void (*fn)(void *), void *arg)
{
	tuck_id id;

	atomic_fetch_add(&pool->users, 1);
	tuck_waitgroup_add(&pool->busy, 1);
	id = tuck__job_new(s, &pool->outside, fn, arg);
	if (id < 0)
		tuck_waitgroup_done(&pool->busy);
	else
		wake_one(pool);
	unref(pool);
	return id;
}

tuck_id tuck_pool_go(struct tuck_pool *pool, void (*fn)(void *), void *arg)
{
	struct tuck__sched *s = tuck__sched();
	struct member *m;
	tuck_id id;

	TUCK__REQUIRE(pool && fn, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	TUCK__REQUIRE(has_procs(pool), -ESRCH);
	m = own(pool);
	if (!m && atomic_load(&pool->freeing))
		return -ECANCELED;
	if (!m)
		return go_from_outside(s, pool, fn, arg);
	id = tuck__job_new(s, &m->jobs, fn, arg);
	if (id > 0)
		wake_one(pool);
	return id;
}

int tuck_pool_wait(struct tuck_pool *pool, tuck_ns deadline)
{
	TUCK__REQUIRE(pool && deadline >= 0, -EINVAL);
	TUCK__REQUIRE(!own(pool), -EDEADLK);
	TUCK__REQUIRE(has_procs(pool), -ESRCH);
	return tuck_waitgroup_wait(&pool->busy, deadline);
}

int tuck_pool_free(struct tuck_pool *pool, tuck_ns deadline)
{
	int r;

	if (!pool)
		return 0;
	r = tuck_pool_wait(pool, deadline);
	if (r < 0 && r != -ESRCH)
		return r;
	if (is_lost(pool)) {
		tuck__free(pool);	/* its queues may be in disorder */
		return 0;
	}
	if (atomic_exchange(&pool->freeing, true))
		return -EBUSY;
	end_members(pool, pool->n);
	return 0;
}

int tuck_pool_procs(const struct tuck_pool *pool)
{
	TUCK__REQUIRE(pool, -EINVAL);
	return is_lost(pool) ? 0 : atomic_load(&pool->alive);
}
