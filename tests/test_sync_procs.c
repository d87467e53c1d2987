/* SPDX-License-Identifier: MIT */
/*
 * Mutex, rwlock, cond, sem, waitgroup, once, event and barrier across procs:
 * what they promise holds under random operations, deadlines, cancels, kills
 * and drops.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <tuck.h>

#include "procs.h"
#include "trace.h"

#define PROCS	4
#define WORKERS	4		/* in each */

static atomic_int ended;
static int rounds = 3000;

static tuck_ns storm_end;

/*
 * Where procs wait for one another without sleeping, a turn may take a
 * machine with fewer cores than work a time slice. So there are this many
 * turns, or as many as there is time for, but not fewer than some.
 */
static bool enough(int turns, int most)
{
	return turns >= most || (turns >= most / 200 && tuck_now() > storm_end);
}

static int start_storm(void (*fn)(void *), void *arg)
{
	storm_end = tuck_after(TUCK_SEC(5));
	return start(fn, arg);
}

static void in_procs(void (*fn)(void *), void *arg)
{
	int proc[PROCS];

	storm_end = tuck_after(TUCK_SEC(5));
	for (int i = 0; i < PROCS; i++)
		proc[i] = start(fn, arg);
	for (int i = 0; i < PROCS; i++)
		join(proc[i]);
}

static uint32_t seed_of(const void *p)
{
	return (uint32_t)tuck_self() * 2654435761u ^ (uint32_t)(uintptr_t)p ^ 1;
}

/* A deadline that comes soon, or never. */
static tuck_ns any_deadline(uint32_t *random)
{
	switch (next_random(random) % 4) {
	case 0: return TUCK_NOWAIT;
	case 1: return tuck_after(TUCK_US(next_random(random) % 50));
	default: return TUCK_FOREVER;
	}
}

static void any_pause(uint32_t *random)
{
	if (next_random(random) % 3 == 0)
		tuck_yield();
}

/* -- exclusion -- */

static struct tuck_mutex mutex;
static int inside, total;

static bool exclude(uint32_t *random)
{
	int r = tuck_mutex_lock(&mutex, any_deadline(random));

	if (r < 0) {
		CHECK(r == -EAGAIN || r == -ETIMEDOUT);
		return false;
	}
	CHECK_EQ(inside++, 0);
	any_pause(random);
	total++;
	CHECK_EQ(--inside, 0);
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	return true;
}

static atomic_int successes;

static void exclude_often(void *arg)
{
	uint32_t random = seed_of(arg);

	for (int i = 0; !enough(i, rounds); i++) {
		atomic_fetch_add(&successes, exclude(&random));
		any_pause(&random);
	}
}

static void workers(void *arg)
{
	void (*fn)(void *) = (void (*)(void *))(uintptr_t)arg;

	for (int i = 0; i < WORKERS; i++)
		CHECK(tuck_go(fn, NULL) > 0);
}

#define IN_WORKERS(fn) in_procs(workers, (void *)(uintptr_t)(fn))

TEST_LIMIT(mutex_excludes, 60)
{
	share_slots(2);
	IN_WORKERS(exclude_often);
	CHECK(total > 0);
	CHECK_EQ(total, successes);
	CHECK_EQ(tuck_mutex_fini(&mutex), 0);
}

static struct tuck_rwlock rwlock;
static atomic_int readers, writers;

static void read_or_write(uint32_t *random)
{
	bool reads = next_random(random) % 4;
	tuck_ns deadline = any_deadline(random);
	int r = reads ? tuck_rwlock_rdlock(&rwlock, deadline) :
			tuck_rwlock_wrlock(&rwlock, deadline);

	if (r < 0) {
		CHECK(r == -EAGAIN || r == -ETIMEDOUT);
		return;
	}
	atomic_fetch_add(reads ? &readers : &writers, 1);
	for (int i = 0; i < 2; i++) {
		CHECK(atomic_load(&writers) <= !reads);
		CHECK(reads || !atomic_load(&readers));
		any_pause(random);
	}
	atomic_fetch_sub(reads ? &readers : &writers, 1);
	CHECK_EQ(tuck_rwlock_unlock(&rwlock), 0);
}

static void read_or_write_often(void *arg)
{
	uint32_t random = seed_of(arg);

	for (int i = 0; !enough(i, rounds); i++)
		read_or_write(&random);
}

TEST_LIMIT(rwlock_excludes, 60)
{
	share_slots(2);
	IN_WORKERS(read_or_write_often);
	CHECK_EQ(tuck_rwlock_fini(&rwlock), 0);
}

/* -- nothing is lost, nothing comes twice -- */

static struct tuck_sem sem = TUCK_SEM_INIT(3);
static atomic_int holders;

static void hold_often(void *arg)
{
	uint32_t random = seed_of(arg);

	for (int i = 0; !enough(i, rounds); i++) {
		int r = tuck_sem_wait(&sem, any_deadline(&random));

		if (r < 0) {
			CHECK(r == -EAGAIN || r == -ETIMEDOUT);
			continue;
		}
		CHECK(atomic_fetch_add(&holders, 1) < 3);
		any_pause(&random);
		atomic_fetch_sub(&holders, 1);
		CHECK_EQ(tuck_sem_post(&sem), 0);
	}
}

static void check_three_left(void)
{
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_sem_wait(&sem, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_sem_wait(&sem, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_sem_fini(&sem), 0);
}

TEST_LIMIT(sem_keeps_its_count, 60)
{
	share_slots(2);
	IN_WORKERS(hold_often);
	check_three_left();
}

/* A queue of one number between producers and consumers. */
static struct tuck_cond filled, emptied;
static int slot, sum, taken;

static void produce(void *arg)
{
	(void)arg;
	for (int i = 1; i <= rounds; i++) {
		CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
		while (slot)
			CHECK_EQ(tuck_cond_wait(&emptied, &mutex, TUCK_FOREVER),
				 0);
		slot = i;
		CHECK_EQ(tuck_cond_signal(&filled), 0);
		CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	}
}

static void consume(void *arg)
{
	uint32_t random = seed_of(arg);

	for (int i = 1; i <= rounds; i++) {
		CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
		while (!slot) {
			int r = tuck_cond_wait(&filled, &mutex,
					       any_deadline(&random));

			CHECK(r == 0 || r == -EAGAIN || r == -ETIMEDOUT);
			if (r == -EAGAIN) {
				CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
				tuck_yield();
				CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER),
					 0);
			}
		}
		sum += slot;
		taken++;
		slot = 0;
		/* Who gave up may have been signalled just then. */
		CHECK_EQ(tuck_cond_broadcast(&emptied), 0);
		CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	}
}

static void produce_and_consume(void *arg)
{
	(void)arg;
	CHECK(tuck_go(produce, NULL) > 0);
	CHECK(tuck_go(consume, NULL) > 0);
}

TEST_LIMIT(cond_loses_no_signal, 60)
{
	rounds = 500;
	in_procs(produce_and_consume, NULL);
	CHECK_EQ(taken, PROCS * rounds);
	CHECK_EQ(sum, PROCS * rounds * (rounds + 1) / 2);
}

static struct tuck_event automatic = TUCK_EVENT_AUTO_INIT;
static atomic_int sets, wakes;

static void wait_for_sets(void *arg)
{
	(void)arg;
	while (tuck_event_wait(&automatic, TUCK_FOREVER) == 0) {
		if (enough(atomic_fetch_add(&wakes, 1), rounds))
			break;
		atomic_fetch_sub(&sets, 1);
	}
	CHECK_EQ(tuck_event_set(&automatic), 0);	/* the next one ends */
}

static void set_often(void *arg)
{
	(void)arg;
	while (!enough(atomic_load(&wakes), rounds)) {
		if (atomic_load(&sets) == 0) {
			atomic_fetch_add(&sets, 1);
			CHECK_EQ(tuck_event_set(&automatic), 0);
		}
		tuck_yield();
	}
	CHECK_EQ(tuck_event_set(&automatic), 0);	/* to end by it */
}

/* One set at a time: each wakes one. */
TEST_LIMIT(event_wakes_one_for_each_set, 60)
{
	int proc = start_storm(set_often, NULL);

	IN_WORKERS(wait_for_sets);
	join(proc);
	CHECK(enough(wakes, rounds));
}

/* One that locks in the instant between a waiter's unlock and its wait. */
static atomic_int wanted, signalled;

static void signal_at_once(void *arg)
{
	(void)arg;
	for (int i = 1;; i++) {
		while (atomic_load(&wanted) < i)
			if (atomic_load(&ended))
				return;
			else
				sched_yield();
		while (tuck_mutex_lock(&mutex, TUCK_NOWAIT) < 0)
			sched_yield();
		atomic_store(&signalled, i);
		CHECK_EQ(tuck_cond_signal(&filled), 0);
		CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	}
}

TEST_LIMIT(cond_is_waited_for_before_the_unlock, 60)
{
	int proc = start_storm(signal_at_once, NULL);

	for (int i = 1; !enough(i, 20000); i++) {
		CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
		atomic_store(&wanted, i);
		while (atomic_load(&signalled) < i)
			CHECK_EQ(tuck_cond_wait(&filled, &mutex, patience()),
				 0);
		CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	}
	atomic_store(&ended, 1);
	join(proc);
}

static atomic_int got;

static void post_one_at_a_time(void *posts)
{
	for (int i = 0; !atomic_load(&ended); i++) {
		CHECK_EQ(tuck_sem_post(&sem), 0);
		++*(int *)posts;
		while (atomic_load(&got) <= i && !atomic_load(&ended))
			sched_yield();
	}
}

/* Posts to one that is about to give up, or just did. */
TEST_LIMIT(no_post_is_lost_to_a_deadline, 60)
{
	tuck_ns lost = patience();
	int proc, posts = 0;

	CHECK_EQ(tuck_sem_init(&sem, 0), 0);
	proc = start_storm(post_one_at_a_time, &posts);
	while (!enough(got, 20000)) {
		int r = tuck_sem_wait(&sem, 1);

		CHECK(r == 0 || r == -ETIMEDOUT);
		atomic_fetch_add(&got, r == 0);
		CHECK(tuck_now() < lost);
	}
	atomic_store(&ended, 1);
	join(proc);
	for (; got < posts; got++)
		CHECK_EQ(tuck_sem_wait(&sem, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_sem_wait(&sem, TUCK_NOWAIT), -EAGAIN);
}

/* -- all together -- */

static struct tuck_barrier barrier = TUCK_BARRIER_INIT(PROCS * WORKERS);
static atomic_int came, serial;

static void come_often(void *arg)
{
	(void)arg;
	for (int i = 1; i <= 300; i++) {
		int r;

		atomic_fetch_add(&came, 1);
		r = tuck_barrier_wait(&barrier, TUCK_FOREVER);
		CHECK(r == 0 || r == 1);
		atomic_fetch_add(&serial, r);
		CHECK(atomic_load(&came) >= i * PROCS * WORKERS);
		/* Nobody is a whole round ahead. */
		CHECK(atomic_load(&came) < (i + 1) * PROCS * WORKERS + 1);
	}
}

TEST_LIMIT(barrier_keeps_step, 60)
{
	keep_hope();
	IN_WORKERS(come_often);
	CHECK_EQ(came, 300 * PROCS * WORKERS);
	CHECK_EQ(serial, 300);
}

static struct tuck_once once[100];
static int ran[100];

static void run_slowly(void *arg)
{
	++*(int *)arg;
	tuck_yield();
	++*(int *)arg;
}

static void once_each(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++) {
		CHECK_EQ(tuck_once(&once[i], run_slowly, &ran[i], TUCK_FOREVER),
			 0);
		CHECK_EQ(ran[i], 2);
	}
}

TEST(once_runs_once)
{
	IN_WORKERS(once_each);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(tuck_once_fini(&once[i]), 0);
}

/* -- ends of all kinds -- */

struct victim {
	tuck_id id;
	atomic_bool done;
};

static void give_back(void *arg)
{
	(void)arg;
	atomic_fetch_sub(&holders, 1);
	CHECK_EQ(tuck_sem_post(&sem), 0);
}

/* Has the sem just when the cleanup is there. */
static void hold_until_killed(void *arg)
{
	uint32_t random = seed_of(arg);

	for (;;) {
		if (tuck_sem_wait(&sem, any_deadline(&random)) == 0) {
			CHECK_EQ(tuck_defer(give_back, NULL), 0);
			CHECK(atomic_fetch_add(&holders, 1) < 3);
			any_pause(&random);
			tuck_undefer(1);
		}
		tuck_uncancel();
		tuck_yield();
	}
}

static void end_one(tuck_id id, uint32_t random)
{
	if (random % 2)
		tuck_cancel(id);
	else
		CHECK_EQ(tuck_kill(id), 0);
}

static void kill_workers(void *arg)
{
	uint32_t random = seed_of(arg);
	tuck_id id[WORKERS] = { 0 };

	for (int i = 0; !enough(i, rounds); i++) {
		int k = (int)(next_random(&random) % WORKERS);

		if (!id[k]) {
			id[k] = tuck_go(hold_until_killed, arg);
			CHECK(id[k] > 0);
		} else {
			uint32_t how = next_random(&random);

			end_one(id[k], how);
			if (how % 2 == 0)
				id[k] = 0;
		}
		tuck_yield();
	}
	for (int k = 0; k < WORKERS; k++)
		if (id[k])
			CHECK_EQ(tuck_kill(id[k]), 0);
}

TEST_LIMIT(kills_lose_no_permit, 60)
{
	share_slots(2);
	in_procs(kill_workers, NULL);
	check_three_left();
}

/* Owners that are killed, dropped or cancelled at any time. */
static void own_until_ended(void *arg)
{
	uint32_t random = seed_of(arg);

	for (;;) {
		int r = tuck_mutex_lock(&mutex, any_deadline(&random));

		if (r == -EOWNERDEAD) {
			inside = 0;
			r = 0;
		}
		if (r == 0) {
			CHECK_EQ(inside++, 0);
			any_pause(&random);
			CHECK_EQ(--inside, 0);
			CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
		}
		tuck_uncancel();
		tuck_yield();
	}
}

static void end_owners(void *arg)
{
	static int (*const end[])(tuck_id) = { tuck_kill, tuck_drop,
					       tuck_cancel };
	uint32_t random = seed_of(arg);
	tuck_id id[WORKERS] = { 0 };

	for (int i = 0; !enough(i, rounds); i++) {
		int k = (int)(next_random(&random) % WORKERS);
		int how = (int)(next_random(&random) % 3), r;

		if (!id[k]) {
			id[k] = tuck_go(own_until_ended, arg);
		} else {
			r = end[how](id[k]);
			CHECK(r == 0 || r == -ESRCH || r == -EALREADY);
			if (r == -ESRCH)
				id[k] = 0;
		}
		any_pause(&random);
	}
	for (int k = 0; k < WORKERS; k++)
		if (id[k])
			tuck_drop(id[k]);
}

TEST_LIMIT(owners_end_at_any_time, 60)
{
	int r;

	share_slots(2);
	in_procs(end_owners, NULL);
	r = tuck_mutex_lock(&mutex, patience());
	CHECK(r == 0 || r == -EOWNERDEAD);
}

/* Killed from elsewhere while it runs: its next wait is where it ends. */
static void *kill_on_thread(void *arg)
{
	CHECK_EQ(tuck_kill(*(tuck_id *)arg), 0);
	return NULL;
}

static void get_doomed(void)
{
	tuck_id self = tuck_self();

	on_thread(kill_on_thread, &self);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);
}

static void unlock_it(void *m)
{
	CHECK_EQ(tuck_mutex_unlock(m), 0);
}

static void lock_when_doomed(void *arg)
{
	get_doomed();
	tuck_mutex_lock(arg, TUCK_FOREVER);
	check_fail(CHECK_AT, "it was killed");
}

static void wait_when_doomed(void *arg)
{
	CHECK_EQ(tuck_mutex_lock(arg, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_defer(unlock_it, arg), 0);
	get_doomed();
	tuck_cond_wait(&filled, arg, TUCK_FOREVER);
	check_fail(CHECK_AT, "it was killed");
}

TEST(waits_of_one_that_was_killed_while_it_ran)
{
	tuck_id id;

	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	id = go(lock_when_doomed, &mutex);
	finish(id);
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	CHECK_EQ(tuck_mutex_fini(&mutex), 0);
	finish(go(wait_when_doomed, &mutex));
	CHECK_EQ(tuck_mutex_fini(&mutex), 0);
	CHECK_EQ(tuck_cond_fini(&filled), 0);
}

/* -- cycles -- */

struct chain {
	struct tuck_mutex m[5];
	struct tuck_barrier all;
	int n;
	atomic_int next, refused, good;
};

static void lock_two(void *arg)
{
	struct chain *c = arg;
	int i = atomic_fetch_add(&c->next, 1), r;
	struct tuck_mutex *mine = &c->m[i], *its = &c->m[(i + 1) % c->n];

	for (int round = 0; round < 100; round++) {
		CHECK_EQ(tuck_mutex_lock(mine, TUCK_FOREVER), 0);
		CHECK(tuck_barrier_wait(&c->all, TUCK_FOREVER) >= 0);
		r = tuck_mutex_lock(its, TUCK_FOREVER);
		CHECK(r == 0 || r == -EDEADLK);
		atomic_fetch_add(r ? &c->refused : &c->good, 1);
		if (r == 0)
			CHECK_EQ(tuck_mutex_unlock(its), 0);
		CHECK_EQ(tuck_mutex_unlock(mine), 0);
		CHECK(tuck_barrier_wait(&c->all, TUCK_FOREVER) >= 0);
	}
}

static void say_nothing(void)
{
}

/* Closed by all at the same time, just one is refused each time. */
TEST_LIMIT(cycles_across_procs, 60)
{
	keep_hope();
	tuck_on_deadlock(say_nothing);
	for (int n = 2; n <= 5; n++) {
		struct chain c = { .n = n };
		int proc[5];

		CHECK_EQ(tuck_barrier_init(&c.all, n), 0);
		for (int i = 0; i < n; i++)
			proc[i] = tuck_proc_start(NULL, lock_two, &c);
		for (int i = 0; i < n; i++)
			join(proc[i]);
		CHECK_EQ(c.refused, 100);
		CHECK_EQ(c.good, 100 * (n - 1));
	}
}

/* -- an owner elsewhere -- */

static atomic_int locked;

static void lock_and_return(void *arg)
{
	CHECK_EQ(tuck_mutex_lock(arg, TUCK_FOREVER), 0);
	atomic_store(&locked, 1);
	tuck_sleep(tuck_after(TUCK_MS(10)));
}

TEST(an_owner_that_ends_elsewhere)
{
	int proc = tuck_proc_start(NULL, lock_and_return, &mutex);

	WAIT_FOR(locked);
	CHECK_EQ(tuck_mutex_unlock(&mutex), -EPERM);
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), -EOWNERDEAD);
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	join(proc);
	proc = tuck_proc_start(NULL, lock_and_return, &mutex);
	join(proc);
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), -EOWNERDEAD);
}

static void *lock_on_thread(void *arg)
{
	CHECK_EQ(tuck_mutex_lock(arg, TUCK_FOREVER), 0);
	return NULL;
}

TEST(an_owner_that_was_a_main_tasklet)
{
	on_thread(lock_on_thread, &mutex);
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), -EOWNERDEAD);
}

/*
 * A main tasklet that waits, and another one that ends their thread between
 * the grant and the main one's turn.
 */
static atomic_int others_wait, granted;

static void end_thread_when_granted(void *arg)
{
	(void)arg;
	atomic_store(&others_wait, 1);
	while (!atomic_load(&granted))
		sched_yield();
	pthread_exit(NULL);
}

static void lock_in_vain(void *arg)
{
	go(end_thread_when_granted, NULL);
	tuck_mutex_lock(arg, TUCK_FOREVER);
	check_fail(CHECK_AT, "its thread had ended");
}

static void wait_in_vain(void *arg)
{
	go(end_thread_when_granted, NULL);
	tuck_sem_wait(arg, TUCK_FOREVER);
	check_fail(CHECK_AT, "its thread had ended");
}

static void lock_behind(void *arg)
{
	CHECK_EQ(tuck_mutex_lock(arg, patience()), 0);
	CHECK_EQ(tuck_mutex_unlock(arg), 0);
}

static int start_in_vain(void (*fn)(void *), void *arg)
{
	int proc;

	atomic_store(&others_wait, 0);
	atomic_store(&granted, 0);
	proc = start(fn, arg);
	WAIT_FOR(atomic_load(&others_wait));
	return proc;
}

TEST(a_main_tasklet_passes_on_what_it_was_given)
{
	tuck_id id;
	int proc;

	NOT_UNDER_TSAN("it loses track of a thread that ends on a fiber");
	CHECK_EQ(tuck_mutex_lock(&mutex, TUCK_FOREVER), 0);
	proc = start_in_vain(lock_in_vain, &mutex);
	id = go(lock_behind, &mutex);
	settle();
	CHECK_EQ(tuck_mutex_unlock(&mutex), 0);
	atomic_store(&granted, 1);
	join(proc);
	finish(id);
	CHECK_EQ(tuck_mutex_fini(&mutex), 0);

	CHECK_EQ(tuck_sem_init(&sem, 0), 0);
	proc = start_in_vain(wait_in_vain, &sem);
	CHECK_EQ(tuck_sem_post(&sem), 0);
	atomic_store(&granted, 1);
	join(proc);
	CHECK_EQ(tuck_sem_wait(&sem, TUCK_NOWAIT), 0);
}

/* -- threads that are no procs -- */

static void *post_one(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_mutex_unlock(&mutex), -EPERM);
	CHECK_EQ(tuck_rwlock_unlock(&rwlock), -EPERM);
	for (int i = 0; i < rounds; i++)
		CHECK_EQ(tuck_sem_post(&sem), 0);
	CHECK_EQ(tuck_event_set(&automatic), 0);
	return NULL;
}

/* Deadlines, since qemu hides the thread: to wait for ever is a deadlock. */
TEST(a_thread_may_post)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, post_one, NULL), 0);
	for (int i = 0; i < rounds + 3; i++)
		CHECK_EQ(tuck_sem_wait(&sem, patience()), 0);
	CHECK_EQ(tuck_event_wait(&automatic, patience()), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* -- memory that goes back at once -- */

struct gift {
	struct tuck_sem sem;
	struct tuck_event event, automatic;
	struct tuck_waitgroup group;
};

static _Atomic(struct gift *) gift;
static atomic_int step;

static void let_go(void *arg)
{
	(void)arg;
	for (;;) {
		struct gift *g;

		while (!(g = atomic_exchange(&gift, NULL)))
			if (atomic_load(&ended))
				return;
			else
				sched_yield();
		switch (atomic_load(&step) % 4) {
		case 0: tuck_sem_post(&g->sem); break;
		case 1: tuck_event_set(&g->event); break;
		case 2: tuck_event_set(&g->automatic); break;
		case 3: tuck_waitgroup_done(&g->group); break;
		}
	}
}

static int wait_for_gift(struct gift *g, int i, tuck_ns deadline)
{
	switch (i % 4) {
	case 0: return tuck_sem_wait(&g->sem, deadline);
	case 1: return tuck_event_wait(&g->event, deadline);
	case 2: return tuck_event_wait(&g->automatic, deadline);
	default: return tuck_waitgroup_wait(&g->group, deadline);
	}
}

/* Who was let go frees the object; AddressSanitizer knows if that is early. */
TEST_LIMIT(the_last_one_frees_it, 60)
{
	uint32_t random = 1;
	int proc = start_storm(let_go, NULL);

	for (int i = 0; !enough(i, 4 * rounds); i++) {
		struct gift *g = calloc(1, sizeof(*g));

		CHECK_EQ(tuck_event_init(&g->automatic, 1), 0);
		CHECK_EQ(tuck_waitgroup_add(&g->group, 1), 0);
		atomic_store(&step, i);
		atomic_store(&gift, g);
		while (wait_for_gift(g, i, any_deadline(&random)) < 0)
			;
		free(g);
	}
	atomic_store(&ended, 1);
	join(proc);
}
