/* SPDX-License-Identifier: MIT */
/* Pools: what idle procs take from busy ones, and what an id does then. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <tuck.h>

#include "base/mem.h"
#include "deaf.h"
#include "sockets.h"
#include "task/job.h"

static struct tuck_pool *pool;

static void make_pool(int n)
{
	CHECK_EQ(tuck_pool_new(&pool, n), 0);
	CHECK_EQ(tuck_pool_procs(pool), n);
}

static void free_pool(void)
{
	CHECK_EQ(tuck_pool_free(pool, patience()), 0);
}

static tuck_id pool_go(void (*fn)(void *), void *arg)
{
	tuck_id id = tuck_pool_go(pool, fn, arg);

	CHECK(id > 0);
	return id;
}

static void count(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

/* Without a switch: its proc is busy, and looks at nothing. */
static void spin_until(atomic_int *word)
{
	while (!atomic_load(word))
		sched_yield();
}

static struct hog {
	atomic_int runs, stop;
	tuck_id id;
} hog;

static void hog_proc(void *arg)
{
	(void)arg;
	atomic_store(&hog.runs, 1);
	spin_until(&hog.stop);
}

/* From now on one of the procs does nothing else. */
static void start_hog(void)
{
	hog.runs = hog.stop = 0;
	hog.id = pool_go(hog_proc, NULL);
	WAIT_FOR(atomic_load(&hog.runs));
}

static void stop_hog(void)
{
	atomic_store(&hog.stop, 1);
	finish(hog.id);
}

/* -- all of them run -- */

TEST(what_comes_from_outside_runs)
{
	atomic_int n = 0;
	tuck_id id[1000];

	for (int procs = 1; procs <= 3; procs++) {
		make_pool(procs);
		for (int i = 0; i < 1000; i++)
			id[i] = pool_go(count, &n);
		CHECK_EQ(tuck_pool_wait(pool, patience()), 0);
		CHECK_EQ(n, 1000 * procs);
		for (int i = 0; i < 1000; i++)
			finish(id[i]);
		free_pool();
	}
}

struct node {
	int depth;
	long sum;
};

static void grow(void *arg)
{
	struct node *node = arg, *child;
	tuck_id id[3];

	node->sum = 1;
	if (node->depth == 0)
		return;
	child = calloc(3, sizeof(*child));
	for (int i = 0; i < 3; i++) {
		child[i].depth = node->depth - 1;
		id[i] = pool_go(grow, &child[i]);
	}
	for (int i = 0; i < 3; i++) {
		finish(id[i]);
		node->sum += child[i].sum;
	}
	free(child);
}

TEST(a_tree_of_tasklets)
{
	struct node root = { .depth = UNDER_TSAN ? 5 : 8 };
	long n = UNDER_TSAN ? 364 : 9841;

	share_slots(16);
	for (int procs = 1; procs <= 4; procs++) {
		make_pool(procs);
		finish(pool_go(grow, &root));
		CHECK_EQ(root.sum, n);
		free_pool();
	}
}

static void go_on_here(void *arg)
{
	pthread_t thread = pthread_self();

	for (int i = 0; i < 50; i++) {
		tuck_yield();
		if (i % 10 == 0)
			tuck_sleep(tuck_after(TUCK_US(20)));
		CHECK(pthread_equal(thread, pthread_self()));
	}
	count(arg);
}

TEST(started_ones_stay)
{
	atomic_int n = 0;

	make_pool(3);
	for (int i = 0; i < 200; i++)
		pool_go(go_on_here, &n);
	CHECK_EQ(tuck_pool_wait(pool, patience()), 0);
	CHECK_EQ(n, 200);
	free_pool();
}

/* It does not switch before the other one has run. */
static void need_another(void *arg)
{
	atomic_int n = 0;

	pool_go(count, &n);
	spin_until(&n);
	count(arg);
}

TEST(idle_procs_take_from_busy_ones)
{
	atomic_int n = 0;

	make_pool(2);
	for (int i = 0; i < 200; i++)
		finish(pool_go(need_another, &n));
	CHECK_EQ(n, 200);
	free_pool();
}

/* Its name was given to the one that waits for it. */
static void look_at_name(void *arg)
{
	CHECK_EQ(tuck_name_get(tuck_self(), arg, 32), 0);
	CHECK_EQ(tuck_name_set(tuck_self(), "there"), 0);
}

TEST(a_name_does_not_move)
{
	char name[32] = "x", at_home[32];
	tuck_id id;

	make_pool(1);
	start_hog();
	id = pool_go(look_at_name, name);
	CHECK_EQ(tuck_name_set(id, "here"), 0);
	CHECK_EQ(tuck_priority_set(id, 3), 0);
	CHECK_EQ(tuck_name_get(id, at_home, sizeof(at_home)), 0);
	CHECK_STR(at_home, "here");
	stop_hog();
	finish(id);
	CHECK_STR(name, "");
	free_pool();
}

/* -- who runs next -- */

static char order[8];
static atomic_int placed;

static void place(void *arg)
{
	order[atomic_fetch_add(&placed, 1)] = *(char *)arg;
}

static void place_three(void *arg)
{
	static char names[] = "abc";
	tuck_id id[3];

	for (int i = 0; i < 3; i++)
		id[i] = pool_go(place, &names[i]);
	if (arg)
		while (atomic_load(&placed) < 3)
			sched_yield();
	for (int i = 0; i < 3; i++)
		finish(id[i]);
}

TEST(at_home_the_newest_first)
{
	make_pool(1);
	finish(pool_go(place_three, NULL));
	CHECK_STR(order, "cba");
	free_pool();
}

TEST(elsewhere_the_oldest_first)
{
	make_pool(2);
	finish(pool_go(place_three, order));
	CHECK_STR(order, "abc");
	free_pool();
}

static void yield_until(void *arg)
{
	while (atomic_load((atomic_int *)arg) < 2)
		tuck_yield();
}

static void starve(void *arg)
{
	pool_go(count, arg);
	yield_until(arg);
}

TEST(those_who_are_ready_do_not_starve_new_ones)
{
	atomic_int n = 0;

	make_pool(1);
	pool_go(starve, &n);
	pool_go(yield_until, &n);
	pool_go(count, &n);
	CHECK_EQ(tuck_pool_wait(pool, patience()), 0);
	CHECK_EQ(n, 2);
	free_pool();
}

/* -- ids -- */

static struct guest {
	_Atomic(tuck_id) self;
	atomic_int begun, result, cleaned;
} guest;

static void clean(void *arg)
{
	atomic_fetch_add(&((struct guest *)arg)->cleaned, 1);
}

static void block_in_pool(void *arg)
{
	struct guest *g = arg;

	CHECK_EQ(tuck_defer(clean, g), 0);
	atomic_store(&g->self, tuck_self());
	atomic_store(&g->begun, 1);
	atomic_store(&g->result, tuck_block(TUCK_FOREVER));
}

static void new_guest(void)
{
	guest.self = 0;
	guest.begun = guest.cleaned = 0;
	guest.result = 99;
}

/* Started by main, who is of no proc of the pool. */
static tuck_id start_guest(void)
{
	tuck_id id;

	new_guest();
	id = pool_go(block_in_pool, &guest);
	WAIT_FOR(atomic_load(&guest.begun));
	CHECK(guest.self != id);
	return id;
}

TEST(an_id_holds_where_its_tasklet_goes)
{
	tuck_id id;

	make_pool(2);
	id = start_guest();
	CHECK_EQ(tuck_join(id, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_join(id, 1), -ETIMEDOUT);
	CHECK_EQ(tuck_drop(id), -EXDEV);
	CHECK_EQ(tuck_transfer(id), -EINVAL);
	CHECK_EQ(tuck_unblock(id), 0);
	CHECK_EQ(tuck_join(id, patience()), 0);
	CHECK_EQ(guest.result, 0);
	CHECK_EQ(tuck_join(id, patience()), -ESRCH);
	CHECK_EQ(tuck_unblock(id), -ESRCH);

	id = start_guest();
	CHECK_EQ(tuck_cancel(id), 0);
	CHECK_EQ(tuck_join(id, patience()), 0);
	CHECK_EQ(guest.result, -ECANCELED);

	id = start_guest();
	CHECK_EQ(tuck_kill(id), 0);
	CHECK_EQ(tuck_join(id, patience()), 0);
	CHECK_EQ(guest.result, 99);
	CHECK_EQ(guest.cleaned, 1);
	CHECK_EQ(tuck_kill(id), -ESRCH);

	id = start_guest();
	CHECK_EQ(tuck_kill(guest.self), 0);	/* by its own name */
	CHECK_EQ(tuck_join(id, patience()), 0);
	free_pool();
}

struct third {
	tuck_id id;
	int (*act)(tuck_id id);
};

static void act_from_elsewhere(void *arg)
{
	struct third *t = arg;
	int r;

	CHECK_EQ(t->act(t->id), 0);
	r = tuck_join(t->id, patience());
	CHECK(r == 0 || r == -ESRCH);
}

TEST(an_id_holds_for_a_third_proc)
{
	int (*const acts[])(tuck_id) = { tuck_unblock, tuck_cancel, tuck_kill };

	make_pool(2);
	for (int i = 0; i < 3; i++) {
		struct third t = { start_guest(), acts[i] };
		int proc = tuck_proc_start(NULL, act_from_elsewhere, &t);

		CHECK_EQ(tuck_proc_join(proc, patience()), 0);
		finish(t.id);
		CHECK_EQ(guest.result, i == 0 ? 0 : i == 1 ? -ECANCELED : 99);
	}
	free_pool();
}

static void *unblock_from_a_thread(void *id)
{
	CHECK_EQ(tuck_unblock(*(tuck_id *)id), 0);
	return NULL;
}

/* The word of its end lies before an unblock, and both before the first look */
TEST(an_id_is_used_just_after_the_end_elsewhere)
{
	pthread_t thread;
	tuck_id id;

	make_pool(1);
	id = start_guest();
	CHECK_EQ(tuck_unblock(guest.self), 0);
	while (tuck_pool_wait(pool, TUCK_NOWAIT) == -EAGAIN)
		sched_yield();
	CHECK_EQ(pthread_create(&thread, NULL, unblock_from_a_thread, &id), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(tuck_join(id, patience()), 0);
	CHECK_EQ(tuck_unblock(id), -ESRCH);
	free_pool();
}

TEST(what_comes_before_the_start)
{
	tuck_id id;

	make_pool(1);
	start_hog();
	new_guest();
	id = pool_go(block_in_pool, &guest);
	CHECK_EQ(tuck_unblock(id), 0);
	CHECK_EQ(tuck_unblock(id), 0);
	settle();
	CHECK_EQ(guest.begun, 0);
	stop_hog();
	finish(id);
	CHECK_EQ(guest.result, 0);

	start_hog();
	new_guest();
	id = pool_go(block_in_pool, &guest);
	CHECK_EQ(tuck_cancel(id), 0);
	stop_hog();
	finish(id);
	CHECK_EQ(guest.result, -ECANCELED);

	start_hog();
	new_guest();
	id = pool_go(block_in_pool, &guest);
	CHECK_EQ(tuck_kill(id), 0);
	CHECK_EQ(tuck_join(id, patience()), -ESRCH);
	id = pool_go(block_in_pool, &guest);
	CHECK_EQ(tuck_drop(id), 0);
	CHECK_EQ(tuck_unblock(id), -ESRCH);
	stop_hog();
	CHECK_EQ(tuck_pool_wait(pool, patience()), 0);
	CHECK_EQ(guest.begun, 0);
	free_pool();
}

/* The same on the proc that made it, and took it back or started it. */
static void at_home(void *arg)
{
	tuck_id id;

	(void)arg;
	new_guest();
	id = pool_go(block_in_pool, &guest);
	CHECK_EQ(tuck_unblock(id), 0);
	CHECK_EQ(tuck_join(id, patience()), 0);
	CHECK_EQ(guest.self, id);
	CHECK_EQ(guest.result, 0);
	new_guest();
	id = pool_go(block_in_pool, &guest);
	CHECK_EQ(tuck_cancel(id), 0);
	CHECK_EQ(tuck_join(id, patience()), 0);
	CHECK_EQ(guest.result, -ECANCELED);
	new_guest();
	id = pool_go(block_in_pool, &guest);
	CHECK_EQ(tuck_kill(id), 0);
	CHECK_EQ(tuck_kill(id), -ESRCH);
	id = pool_go(block_in_pool, &guest);
	CHECK_EQ(tuck_drop(id), 0);
	CHECK_EQ(tuck_join(id, patience()), -ESRCH);
	CHECK_EQ(guest.begun, 0);
}

TEST(an_id_holds_at_home)
{
	make_pool(1);
	finish(pool_go(at_home, NULL));
	free_pool();
}

/* -- everything at once -- */

enum { VICTIMS = 64 };

static struct storm {
	atomic_int begun, ended, cleaned;
	atomic_int killed, rounds;
	atomic_int runs[VICTIMS];
} storm;

static void end_victim(void *arg)
{
	(void)arg;
	atomic_fetch_add(&storm.cleaned, 1);
}

static void be_victim(void *arg)
{
	CHECK_EQ(atomic_fetch_add((atomic_int *)arg, 1), 0);
	atomic_fetch_add(&storm.begun, 1);
	CHECK_EQ(tuck_defer(end_victim, NULL), 0);
	if (storm.begun % 3 == 0)
		tuck_yield();
	else if (storm.begun % 3 == 1)
		tuck_block(tuck_after(TUCK_US(20)));
	atomic_fetch_add(&storm.ended, 1);
}

/* Kills some while others take them, and joins all. */
static void kill_some(void *arg)
{
	tuck_id id[VICTIMS];

	(void)arg;
	for (int i = 0; i < VICTIMS; i++) {
		atomic_store(&storm.runs[i], 0);
		id[i] = pool_go(be_victim, &storm.runs[i]);
		if (i % 4 == 3)
			tuck_cancel(id[i - 2]);
	}
	for (int i = 0; i < VICTIMS; i += 2) {
		int r = tuck_kill(id[i]);

		CHECK(r == 0 || r == -ESRCH || r == -EALREADY);
		storm.killed += r == 0;
		tuck_unblock(id[i + 1]);
		if (i % 8 == 0)
			sched_yield();
	}
	for (int i = 0; i < VICTIMS; i++) {
		finish(id[i]);
		CHECK(storm.runs[i] <= 1);
		if (i % 2)
			CHECK_EQ(storm.runs[i], 1);
	}
	CHECK_EQ(storm.begun, storm.cleaned);
}

TEST(kills_meet_moves)
{
	share_slots(8);
	make_pool(3);
	for (int i = 0; i < (UNDER_TSAN ? 50 : 300); i++)
		finish(pool_go(kill_some, NULL));
	CHECK(storm.killed > 0);
	CHECK(storm.ended > 0);
	/* The same from outside. */
	for (int i = 0; i < (UNDER_TSAN ? 50 : 300); i++)
		kill_some(NULL);
	CHECK_EQ(tuck_pool_wait(pool, patience()), 0);
	free_pool();
}

/* -- wait and free -- */

TEST(wait_errors)
{
	make_pool(1);
	CHECK_EQ(tuck_pool_wait(pool, TUCK_NOWAIT), 0);
	start_hog();
	CHECK_EQ(tuck_pool_wait(pool, -1), -EINVAL);
	CHECK_EQ(tuck_pool_wait(NULL, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_pool_wait(pool, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_pool_wait(pool, 1), -ETIMEDOUT);
	CHECK_EQ(tuck_pool_free(pool, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_pool_free(pool, 1), -ETIMEDOUT);
	CHECK_EQ(tuck_pool_free(NULL, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_pool_procs(pool), 1);
	stop_hog();
	CHECK_EQ(tuck_pool_wait(pool, patience()), 0);
	start_hog();		/* it can still be used */
	stop_hog();
	free_pool();
}

static void wait_inside(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_pool_wait(pool, TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_pool_free(pool, TUCK_FOREVER), -EDEADLK);
}

TEST(no_proc_of_a_pool_waits_for_it)
{
	make_pool(1);
	finish(pool_go(wait_inside, NULL));
	free_pool();
}

static void sleep_and_count(void *arg)
{
	tuck_sleep(tuck_after(TUCK_MS(5)));
	count(arg);
}

static void leave_child(void *arg)
{
	CHECK(tuck_go(sleep_and_count, arg) > 0);
	pool_go(sleep_and_count, arg);
}

TEST(wait_is_for_children_too)
{
	atomic_int n = 0;

	make_pool(2);
	for (int i = 0; i < 10; i++)
		pool_go(leave_child, &n);
	CHECK_EQ(tuck_pool_wait(pool, patience()), 0);
	CHECK_EQ(n, 20);
	for (int i = 0; i < 10; i++)
		pool_go(leave_child, &n);
	free_pool();
	CHECK_EQ(n, 40);
}

static void free_it(void *arg)
{
	(void)arg;
	tuck_pool_free(pool, TUCK_FOREVER);
	hog.runs = 2;
}

TEST(a_free_that_is_killed_leaves_a_pool)
{
	tuck_id id;

	make_pool(2);
	start_hog();
	id = tuck_go(free_it, NULL);
	settle();
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_EQ(hog.runs, 1);
	stop_hog();
	free_pool();
}

static void hold_end(void *arg)
{
	spin_until(arg);
}

static pthread_key_t key;

static void set_key(void *arg)
{
	CHECK_EQ(pthread_setspecific(key, arg), 0);
}

/* Killed while it waits for the end of a thread that takes its time. */
TEST(a_free_that_is_killed_ends_its_procs)
{
	static atomic_int stop, counted;
	tuck_id id;

	CHECK_EQ(pthread_key_create(&key, hold_end), 0);
	make_pool(1);
	finish(pool_go(set_key, &stop));
	id = tuck_go(free_it, NULL);
	tuck_yield();
	tuck_kill(id);
	finish(id);
	atomic_store(&stop, 1);
	for (int n = 0; n < 300; n++) {		/* the number is free again */
		int proc = tuck_proc_start(NULL, count, &counted);

		CHECK(proc >= 0);
		CHECK_EQ(tuck_proc_join(proc, patience()), 0);
		if (proc == 0)
			break;
		usleep(1000);
	}
}

static void go_once(void *arg)
{
	pool_go(count, arg);
}

/* Who made its last tasklet may still be on its way out of the call. */
TEST(a_pool_is_freed_when_its_last_tasklet_has_run)
{
	for (int i = 0; i < 100; i++) {
		static atomic_int ran;
		int proc;

		make_pool(1);
		atomic_store(&ran, 0);
		proc = tuck_proc_start(NULL, go_once, &ran);
		CHECK(proc >= 0);
		while (!atomic_load(&ran))
			sched_yield();
		free_pool();
		CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	}
}

/* -- whoever starts them ends -- */

static void *go_and_end(void *arg)
{
	for (int i = 0; i < 20; i++)
		pool_go(sleep_and_count, arg);
	return NULL;
}

static void go_and_return(void *arg)
{
	go_and_end(arg);
}

TEST(what_a_thread_left_behind_runs)
{
	atomic_int n = 0;
	pthread_t thread;

	make_pool(2);
	start_hog();
	CHECK_EQ(pthread_create(&thread, NULL, go_and_end, &n), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	stop_hog();
	CHECK_EQ(tuck_pool_wait(pool, patience()), 0);
	CHECK_EQ(n, 20);
	free_pool();
}

TEST(a_proc_waits_for_what_it_started)
{
	atomic_int n = 0;
	int proc;

	make_pool(2);
	proc = tuck_proc_start(NULL, go_and_return, &n);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	CHECK_EQ(n, 20);
	free_pool();
}

static void end_thread(void *arg)
{
	pool_go(count, arg);	/* may be taken, or is lost */
	pthread_exit(NULL);
}

TEST(a_proc_of_the_pool_ends)
{
	atomic_int n = 0;

	NOT_UNDER_TSAN("it loses track of a thread that ends on a fiber");
	make_pool(2);
	pool_go(end_thread, &n);
	WAIT_FOR(tuck_pool_procs(pool) == 1);
	for (int i = 0; i < 10; i++)
		finish(pool_go(count, &n));
	CHECK(n >= 10);
	CHECK_EQ(tuck_pool_wait(pool, patience()), 0);
	pool_go(end_thread, &n);
	WAIT_FOR(tuck_pool_procs(pool) == 0);
	CHECK_EQ(tuck_pool_go(pool, count, &n), -ESRCH);
	CHECK_EQ(tuck_pool_wait(pool, TUCK_FOREVER), -ESRCH);
	free_pool();
}

/* -- no proc is left -- */

static void hog_and_end_thread(void *arg)
{
	hog_proc(arg);
	pthread_exit(NULL);
}

static void wait_for_pool(void *arg)
{
	CHECK_EQ(tuck_pool_wait(pool, patience()), 0);
	atomic_store((atomic_int *)arg, 1);
}

static void start_some_and_return(void *arg)
{
	for (int i = 0; i < 3; i++)
		pool_go(count, arg);
	atomic_store(&hog.runs, 2);
}

/* Whoever waits for what nobody is going to start. */
TEST(what_no_proc_is_left_for_ends)
{
	atomic_int n = 0, waited = 0;
	tuck_id id[4], waiter;
	int proc;

	NOT_UNDER_TSAN("it loses track of a thread that ends on a fiber");
	make_pool(1);
	id[0] = pool_go(hog_and_end_thread, NULL);
	WAIT_FOR(atomic_load(&hog.runs));
	for (int i = 1; i < 4; i++)
		id[i] = pool_go(count, &n);
	CHECK_EQ(tuck_kill(id[2]), 0);
	waiter = tuck_go(wait_for_pool, &waited);
	proc = tuck_proc_start(NULL, start_some_and_return, &n);
	CHECK(proc >= 0);
	WAIT_FOR(atomic_load(&hog.runs) == 2);
	settle();
	CHECK_EQ(tuck_join(id[3], TUCK_NOWAIT), -EAGAIN);
	atomic_store(&hog.stop, 1);
	for (int i = 0; i < 4; i++)
		finish(id[i]);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	finish(waiter);
	CHECK_EQ(waited, 1);
	CHECK_EQ(n, 0);
	CHECK_EQ(tuck_kill(id[1]), -ESRCH);
	free_pool();
}

/* A start that was on its way when the last proc ended. */
TEST(a_queue_that_has_ended_takes_no_more)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck__jobs jobs;
	atomic_int n = 0;
	tuck_id id;

	tuck__jobs_init(&jobs, true);
	id = tuck__job_new(s, &jobs, count, &n);
	CHECK(id > 0);
	CHECK_EQ(tuck__jobs_end(&jobs), 1);
	CHECK_EQ(tuck__job_new(s, &jobs, count, &n), -ESRCH);
	CHECK_EQ(tuck__jobs_end(&jobs), 0);
	CHECK_EQ(tuck__jobs_adrift, 0);
	finish(id);
	CHECK_EQ(s->alive, 1);
	CHECK_EQ(n, 0);
}

/* -- attributes -- */

/* Nobody takes one from under it, by a number that is stale or made up. */
TEST(its_procs_have_no_numbers)
{
	atomic_int n = 0;

	make_pool(2);
	for (int i = 0; i < TUCK_PROCS_MAX; i++) {
		CHECK_EQ(tuck_proc_join(i, TUCK_NOWAIT), -ESRCH);
		CHECK_EQ(tuck_proc_cancel(i), -ESRCH);
		CHECK_EQ(tuck_proc_kill(i), -ESRCH);
	}
	finish(pool_go(count, &n));
	CHECK_EQ(n, 1);
	free_pool();
}

TEST(errors_of_new)
{
	const int bad[] = { 0, CPU_SETSIZE };
	struct tuck_pool_attr attr = { .n_cpus = 1 };
	struct tuck_pool *p = NULL;

	CHECK_EQ(tuck_pool_new(NULL, 1), -EINVAL);
	CHECK_EQ(tuck_pool_new(&p, -1), -EINVAL);
	CHECK_EQ(tuck_pool_new(&p, TUCK_PROCS_MAX + 1), -EINVAL);
	CHECK_EQ(tuck_pool_new_with(&p, 1, &attr), -EINVAL);
	attr = (struct tuck_pool_attr){ .cpus = bad, .n_cpus = 2 };
	CHECK_EQ(tuck_pool_new_with(&p, 1, &attr), -EINVAL);
	attr.n_cpus = -1;
	CHECK_EQ(tuck_pool_new_with(&p, 1, &attr), -EINVAL);
	CHECK(!p);
	make_pool(1);
	CHECK_EQ(tuck_pool_go(pool, NULL, NULL), -EINVAL);
	CHECK_EQ(tuck_pool_go(NULL, count, NULL), -EINVAL);
	CHECK_EQ(tuck_pool_procs(NULL), -EINVAL);
	/* There is room for one less: those that were made end. */
	CHECK_EQ(tuck_pool_new(&p, TUCK_PROCS_MAX), -EAGAIN);
	free_pool();
	CHECK(!p);
	make_pool(TUCK_PROCS_MAX);
	free_pool();
}

TEST(as_many_procs_as_cpus)
{
	cpu_set_t cpus;

	CHECK_EQ(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	CHECK_EQ(tuck_pool_new(&pool, 0), 0);
	CHECK_EQ(tuck_pool_procs(pool), CPU_COUNT(&cpus));
	free_pool();
}

struct self {
	char name[32];
	cpu_set_t cpus;
};

static void look_at_self(void *arg)
{
	struct self *self = arg;

	prctl(PR_GET_NAME, self->name);
	CHECK_EQ(sched_getaffinity(0, sizeof(self->cpus), &self->cpus), 0);
}

TEST(names_and_cpus)
{
	struct tuck_pool_attr attr = { .name = "a pool with a name", .pin = 1 };
	struct self self = { 0 };
	cpu_set_t all;
	int last = 0;

	CHECK_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
	CHECK_EQ(tuck_pool_new_with(&pool, 1, &attr), 0);
	finish(pool_go(look_at_self, &self));
	CHECK_STR(self.name, "a pool with0");
	CHECK_EQ(CPU_COUNT(&self.cpus), 1);
	free_pool();
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all))
			last = i;
	attr = (struct tuck_pool_attr){ .cpus = &last, .n_cpus = 1 };
	for (attr.pin = 0; attr.pin < 2; attr.pin++) {
		CHECK_EQ(tuck_pool_new_with(&pool, 1, &attr), 0);
		finish(pool_go(look_at_self, &self));
		CHECK_EQ(CPU_COUNT(&self.cpus), 1);
		CHECK(CPU_ISSET(last, &self.cpus));
		free_pool();
	}
	make_pool(1);
	finish(pool_go(look_at_self, &self));
	CHECK(CPU_EQUAL(&self.cpus, &all));
	free_pool();
}

/* The CPU that a thread of this name has to itself. */
static int cpu_of(const char *name)
{
	char comm[32], path[300];
	DIR *tasks = opendir("/proc/self/task");
	int cpu = -1;

	CHECK(tasks);
	for (struct dirent *d; (d = readdir(tasks)) != NULL;) {
		cpu_set_t cpus;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm",
			 d->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		/* One of the pool before may end just now. */
		if (fscanf(f, "%31s", comm) == 1 && strcmp(comm, name) == 0 &&
		    sched_getaffinity(atoi(d->d_name), sizeof(cpus), &cpus) ==
			    0) {
			CHECK_EQ(CPU_COUNT(&cpus), 1);
			for (cpu = 0; !CPU_ISSET(cpu, &cpus); cpu++)
				;
		}
		fclose(f);
	}
	closedir(tasks);
	return cpu;
}

static void check_pinned(const struct tuck_pool_attr *attr, int procs,
			 const int *cpus, int n_cpus)
{
	char name[32];

	CHECK_EQ(tuck_pool_new_with(&pool, procs, attr), 0);
	for (int i = 0; i < procs; i++) {
		snprintf(name, sizeof(name), "pinned%d", i);
		CHECK_EQ(cpu_of(name), cpus[i % n_cpus]);
	}
	free_pool();
}

/* The caller's CPUs, or those of a list. */
TEST(pinned_procs_take_the_cpus_in_turn)
{
	struct tuck_pool_attr attr = { .name = "pinned", .pin = 1 };
	int cpus[4], reversed[4], n = 0;
	cpu_set_t all;

	CHECK_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
	for (int i = 0; i < CPU_SETSIZE && n < 4; i++)
		if (CPU_ISSET(i, &all))
			cpus[n++] = i;
	check_pinned(&attr, n, cpus, n);
	for (int i = 0; i < n; i++)
		reversed[i] = cpus[n - 1 - i];
	attr.cpus = reversed;
	attr.n_cpus = n;
	check_pinned(&attr, n + 1, reversed, n);
}

/* -- sleep -- */

static struct deaf deaf[8];
static atomic_int deaf_n;

/* Until as many are deaf as arg says, if it is not NULL. */
static void go_deaf(void *arg)
{
	become_deaf(&deaf[atomic_fetch_add(&deaf_n, 1)]);
	if (arg)
		while (atomic_load(&deaf_n) < *(int *)arg)
			sched_yield();
}

/* A lost wake-up would last for ever. */
TEST(no_wake_up_is_lost)
{
	int procs = 2, rounds = UNDER_TSAN ? 300 : 5000;
	atomic_int n = 0;

	make_pool(procs);
	for (int i = 0; i < procs; i++)
		pool_go(go_deaf, &procs);
	CHECK_EQ(tuck_pool_wait(pool, patience()), 0);
	go_deaf(NULL);
	for (int i = 0; i < rounds; i++) {
		tuck_id id = pool_go(i % 3 ? count : need_another, &n);
		int r = tuck_join(id, TUCK_FOREVER);

		CHECK(r == 0 || r == -ESRCH);
		CHECK_EQ(n, i + 1);
	}
	CHECK_EQ(tuck_pool_free(pool, TUCK_FOREVER), 0);
}

/* Until as many have begun as there are. */
static void need_all(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	while (atomic_load((atomic_int *)arg) % 2)
		sched_yield();
}

/* One may be on its way to sleep, the other one there already. */
TEST(two_at_a_time_wake_two)
{
	int procs = 2, rounds = 200;
	atomic_int n = 0;

	make_pool(procs);
	for (int i = 0; i < procs; i++)
		pool_go(go_deaf, &procs);
	CHECK_EQ(tuck_pool_wait(pool, patience()), 0);
	go_deaf(NULL);
	for (int i = 0; i < rounds; i++) {
		for (int k = 0; k < procs; k++)
			pool_go(need_all, &n);
		CHECK_EQ(tuck_pool_wait(pool, TUCK_FOREVER), 0);
		CHECK_EQ(n, procs * (i + 1));
	}
	CHECK_EQ(tuck_pool_free(pool, TUCK_FOREVER), 0);
}

/* -- who is woken -- */

/* Waits to be unblocked, then its proc is busy until the other one ran. */
struct worker {
	_Atomic(tuck_id) id;
	atomic_int busy, *done;
};

static atomic_int begun;

static void wait_and_hog(void *arg)
{
	struct worker *w = arg;

	atomic_fetch_add(&begun, 1);
	while (atomic_load(&begun) < 2)		/* each on a proc of its own */
		sched_yield();
	atomic_store(&w->id, tuck_self());
	tuck_block(tuck_after(TUCK_SEC(1000)));
	atomic_store(&w->busy, 1);
	spin_until(w->done);
}

/*
 * One of two that sleep has something to do, the other one has not: that one
 * takes what comes from outside, now or when it has become known.
 */
static void wake_one_of_two(int busy, bool wait)
{
	atomic_int done = 0, over = 1;
	struct worker w[2] = { { .done = &done }, { .done = &over } };
	tuck_id id[2], job;

	begun = 0;
	make_pool(2);
	for (int i = 0; i < 2; i++)
		id[i] = pool_go(wait_and_hog, &w[i != busy]);
	WAIT_FOR(atomic_load(&w[0].id) && atomic_load(&w[1].id));
	/* Until they do not even wake up to give pages back. */
	tuck_sleep(tuck_after(TUCK_MS(300)));
	CHECK_EQ(tuck_unblock(atomic_load(&w[0].id)), 0);
	if (wait)
		WAIT_FOR(atomic_load(&w[0].busy));
	job = pool_go(count, &done);
	WAIT_FOR(atomic_load(&done));
	finish(job);
	CHECK_EQ(tuck_unblock(atomic_load(&w[1].id)), 0);
	for (int i = 0; i < 2; i++)
		finish(id[i]);
	free_pool();
}

TEST(a_proc_that_was_woken_for_its_own_sleeps_no_more)
{
	for (int i = 0; i < 2; i++)
		wake_one_of_two(i, true);
}

TEST(a_proc_that_is_busy_passes_the_wake_on)
{
	for (int i = 0; i < 6; i++)
		wake_one_of_two(i % 2, false);
}

/* -- everybody waits -- */

TEST(idle_procs_of_a_pool_are_no_hope)
{
	NOT_UNDER_TSAN("after a fork it has a second thread of its own");
	CHECK_DIES(0, "waits for an unblock", {
		make_pool(2);
		CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
	});
}

/* What is on its way to a proc that sleeps is no deadlock. */
static atomic_int told;

static void note_deadlock(void)
{
	atomic_fetch_add(&told, 1);
}

TEST(what_waits_in_a_pool_is_hope)
{
	atomic_int n = 0;

	tuck_on_deadlock(note_deadlock);
	make_pool(2);
	for (int i = 0; i < 5000; i++) {
		int r = tuck_join(pool_go(count, &n), TUCK_FOREVER);

		CHECK(r == 0 || r == -ESRCH);
	}
	CHECK_EQ(told, 0);
	free_pool();
}

/* -- without memory -- */

TEST(pools_without_memory)
{
	struct tuck_pool *p = NULL;
	int r, made = 0;
	long nth;

	for (nth = 1; !made; nth++) {
		tuck__fault_set(nth, 0);
		r = tuck_pool_new(&p, 2);
		made = tuck__fault_count() < nth;
		tuck__fault_set(0, 0);
		CHECK(r == 0 || (!made && r == -ENOMEM));
		if (r == 0)	/* what failed was not needed at once */
			CHECK_EQ(tuck_pool_free(p, patience()), 0);
	}
	CHECK(nth > 3);
}

TEST(starts_without_memory)
{
	atomic_int n = 0;
	tuck_id id;

	make_pool(1);
	tuck__fault_set(1, 1);
	CHECK_EQ(tuck_pool_go(pool, count, &n), -ENOMEM);
	tuck__fault_set(0, 0);
	CHECK_EQ(tuck_pool_wait(pool, TUCK_NOWAIT), 0);
	/* Whoever takes it over has none for a while. */
	start_hog();
	id = pool_go(count, &n);
	tuck__fault_set(1, 1);
	atomic_store(&hog.stop, 1);
	usleep(30000);
	tuck__fault_set(0, 0);
	finish(id);
	CHECK_EQ(n, 1);
	free_pool();
}
