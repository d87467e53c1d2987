/* SPDX-License-Identifier: MIT */
/* Offloaded calls: what they see, in which order, and how their waits end. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "offloads.h"

/* -- what is passed -- */

struct sum {
	int a, b, sum;
	pthread_t thread;
};

static int add(void *arg)
{
	struct sum *s = arg;

	s->sum = s->a + s->b;
	s->thread = pthread_self();
	return s->sum > 100 ? -EDOM : s->sum;
}

TEST(runs_elsewhere_on_a_copy)
{
	struct sum s = { .a = 2, .b = 3 };

	CHECK_EQ(tuck_offload(add, &s, sizeof(s), TUCK_FOREVER), 5);
	CHECK_EQ(s.sum, 5);
	CHECK(!pthread_equal(s.thread, pthread_self()));
}

TEST(what_it_leaves_is_there_after_an_error_of_its_own)
{
	struct sum s = { .a = 200, .b = 3 };

	CHECK_EQ(tuck_offload(add, &s, sizeof(s), TUCK_FOREVER), -EDOM);
	CHECK_EQ(s.sum, 203);
}

static int set_to_5(void *arg)
{
	*(int *)arg = 5;
	return 0;
}

static int is_null(void *arg)
{
	return !arg;
}

TEST(without_bytes_it_gets_the_pointer)
{
	int *n = malloc(sizeof(*n));

	*n = 1;
	CHECK_EQ(tuck_offload(set_to_5, n, 0, TUCK_FOREVER), 0);
	CHECK_EQ(*n, 5);
	free(n);
	CHECK_EQ(tuck_offload(is_null, NULL, 0, TUCK_FOREVER), 1);
}

/* Each on the one stack there is, which others use meanwhile. */
static void add_on_stack(void *arg)
{
	struct sum s = { .a = (int)(intptr_t)arg, .b = 1 };

	for (int i = 0; i < 20; i++) {
		s.a = (int)(intptr_t)arg + i;
		CHECK_EQ(tuck_offload(add, &s, sizeof(s), TUCK_FOREVER),
			 s.a + 1);
		CHECK_EQ(s.sum, (int)(intptr_t)arg + i + 1);
	}
}

TEST(arguments_on_a_shared_stack)
{
	tuck_id ids[20];

	share_slots(1);
	for (int i = 0; i < 20; i++)
		ids[i] = go(add_on_stack, (void *)(intptr_t)i);
	for (int i = 0; i < 20; i++)
		finish(ids[i]);
}

static int big(void *arg)
{
	check_filled(arg, 1 << 20, 0, 1);
	fill(arg, 1 << 20, 0, 2);
	return 0;
}

TEST(large_arguments)
{
	char *mega = malloc(1 << 20);

	fill(mega, 1 << 20, 0, 1);
	CHECK_EQ(tuck_offload(big, mega, 1 << 20, TUCK_FOREVER), 0);
	check_filled(mega, 1 << 20, 0, 2);
	free(mega);
}

static void pass_stack(void *arg)
{
	int n = 0;

	(void)arg;
	CHECK_EQ(tuck_offload(set_to_5, &n, 0, TUCK_FOREVER), -EFAULT);
	CHECK_EQ(n, 0);
}

TEST(errors)
{
	struct sum s = { .a = 2, .b = 3 };

	CHECK_EQ(tuck_offload(NULL, &s, sizeof(s), TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_offload(add, NULL, 1, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_offload(add, &s, sizeof(s), -1), -EINVAL);
	CHECK_EQ(tuck_offload(add, &s, sizeof(s), TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(s.sum, 0);
	finish(go(pass_stack, NULL));
	CHECK_EQ(tuck_offload_limit(-1, 0), -EINVAL);
	CHECK_EQ(tuck_offload_limit(1025, 0), -EINVAL);
	CHECK_EQ(tuck_offload_limit(0, -1), -EINVAL);
	CHECK_EQ(tuck_offload_stats(NULL), -EINVAL);
	CHECK_EQ(offloads().workers, 0);
	CHECK_EQ(offloads().ended, 0);
}

/* -- while it runs -- */

TEST(others_go_on_meanwhile)
{
	close_gate();
	for (int i = 0; i < 100; i++)
		tuck_yield();
	CHECK_EQ(passed_gate, 0);
	open_gate();
	WAIT_FOR(passed_gate == 1);
}

static int unblock_it(void *arg)
{
	return tuck_unblock(*(tuck_id *)arg);
}

static void unblock_from_there(void *arg)
{
	CHECK_EQ(tuck_offload(unblock_it, arg, sizeof(tuck_id), TUCK_FOREVER),
		 0);
}

TEST(it_may_unblock)
{
	tuck_id self = tuck_self();

	go(unblock_from_there, &self);
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
}

static int look_around(void *arg)
{
	sigset_t set;
	char name[16];

	(void)arg;
	CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &set), 0);
	CHECK_EQ(sigismember(&set, SIGINT), 1);
	CHECK_EQ(sigismember(&set, SIGCHLD), 1);
	CHECK_EQ(sigismember(&set, SIGSEGV), 0);
	CHECK_EQ(pthread_getname_np(pthread_self(), name, sizeof(name)), 0);
	CHECK_STR(name, "tuck-offload");
	return 0;
}

TEST(threads_have_a_name_and_no_signals)
{
	sigset_t before, after;

	CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
	CHECK_EQ(tuck_offload(look_around, NULL, 0, TUCK_FOREVER), 0);
	CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
	CHECK_EQ(sigismember(&after, SIGINT), sigismember(&before, SIGINT));
}

static int use_stack(void *arg)
{
	char bytes[200000];

	(void)arg;
	memset(bytes, 1, sizeof(bytes));
	KEEP(bytes);
	return bytes[100];
}

TEST(stacks_are_as_large_as_slots)
{
	unsetenv("TUCK_SLOT_BYTES");
	CHECK_EQ(tuck_offload(use_stack, NULL, 0, TUCK_FOREVER), 1);
}

static int leave_thread(void *arg)
{
	(void)arg;
	pthread_exit(NULL);
}

TEST(pthread_exit_counts_as_cancelled)
{
	CHECK_EQ(tuck_offload_limit(1, 0), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_offload(leave_thread, NULL, 0, TUCK_FOREVER),
			 -ECANCELED);
	CHECK_EQ(tuck_offload(is_null, NULL, 0, TUCK_FOREVER), 1);
	CHECK_EQ(offloads().workers, 1);
}

static void no_report(void)
{
}

/* -- nobody else wakes us -- */

static int take_a_while(void *arg)
{
	(void)arg;
	usleep(250000);		/* longer than until the next question */
	return 3;
}

TEST(a_running_call_is_no_deadlock)
{
	CHECK_EQ(tuck_on_deadlock(no_report), 0);
	CHECK_EQ(tuck_offload(take_a_while, NULL, 0, TUCK_FOREVER), 3);
}

TEST(idle_threads_hide_no_deadlock)
{
	NOT_UNDER_TSAN("it has threads of its own, two in a forked process");
	CHECK_EQ(tuck_offload_limit(0, TUCK_SEC(100000)), 0);
	CHECK_EQ(tuck_offload(is_null, NULL, 0, TUCK_FOREVER), 1);
	CHECK_EQ(tuck_on_deadlock(no_report), 0);
	CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
}

static void never_ends(void *arg)
{
	(void)arg;
	tuck_block(TUCK_FOREVER);
}

static int become_proc(void *arg)
{
	(void)arg;
	go(never_ends, NULL);
	tuck_yield();
	return tuck_sleep(tuck_after(TUCK_US(10)));
}

TEST(who_made_a_proc_of_its_thread_is_none_afterwards)
{
	NOT_UNDER_TSAN("it has threads of its own, two in a forked process");
	CHECK_EQ(tuck_offload_limit(0, TUCK_SEC(100000)), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_offload(become_proc, NULL, 0, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_on_deadlock(no_report), 0);
	CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
}

/* -- who waits, at each state -- */

static atomic_int ran, discarded, discarded_result;

static int count_run(void *arg)
{
	(void)arg;
	atomic_fetch_add(&ran, 1);
	return 11;
}

static void discard(void *arg, int result)
{
	CHECK_EQ(*(int *)arg, 99);
	atomic_store(&discarded_result, result);
	atomic_fetch_add(&discarded, 1);
}

struct victim {
	int (*fn)(void *);
	tuck_ns deadline;
	int returned, result;
	tuck_id id;
};

static void be_victim(void *arg)
{
	struct victim *v = arg;
	int n = 99;

	v->result = tuck_offload_with(discard, v->fn, &n, sizeof(n),
				      v->deadline);
	v->returned++;
}

static void go_victim(struct victim *v, int (*fn)(void *), tuck_ns deadline)
{
	*v = (struct victim){ .fn = fn, .deadline = deadline };
	v->id = go(be_victim, v);
}

/* Its call waits behind another one. */
static void queue_victim(struct victim *v, tuck_ns deadline)
{
	close_gate();
	go_victim(v, count_run, deadline);
	WAIT_FOR(offloads().queued == 1 || v->returned);
}

static void check_never_ran(const struct victim *v)
{
	CHECK_EQ(offloads().queued, 0);
	open_gate();
	finish(v->id);
	WAIT_FOR(passed_gate == 1);
	CHECK_EQ(tuck_offload(is_null, NULL, 0, TUCK_FOREVER), 1);
	CHECK_EQ(ran, 0);
	CHECK_EQ(discarded, 1);
	CHECK_EQ(discarded_result, -ECANCELED);
	CHECK_EQ(offloads().withdrawn, 1);
	no_call_is_left();
}

TEST(late_while_queued)
{
	struct victim v;

	queue_victim(&v, tuck_after(TUCK_MS(1)));
	WAIT_FOR(v.returned);
	CHECK_EQ(v.result, -ETIMEDOUT);
	check_never_ran(&v);
}

TEST(cancelled_while_queued)
{
	struct victim v;

	queue_victim(&v, TUCK_FOREVER);
	CHECK_EQ(tuck_cancel(v.id), 0);
	check_never_ran(&v);
	CHECK_EQ(v.result, -ECANCELED);
}

TEST(killed_while_queued)
{
	struct victim v;

	queue_victim(&v, tuck_after(TUCK_SEC(1000)));
	CHECK_EQ(tuck_kill(v.id), 0);
	check_never_ran(&v);
	CHECK_EQ(v.returned, 0);
}

TEST(dropped_while_queued)
{
	struct victim v;

	queue_victim(&v, TUCK_FOREVER);
	CHECK_EQ(tuck_drop(v.id), 0);
	check_never_ran(&v);
}

TEST(cancelled_before)
{
	int n = 99;

	CHECK_EQ(tuck_cancel(tuck_self()), 0);
	CHECK_EQ(tuck_offload(count_run, &n, sizeof(n), TUCK_FOREVER),
		 -ECANCELED);
	CHECK_EQ(tuck_uncancel(), 1);
	CHECK_EQ(tuck_offload(is_null, NULL, 0, TUCK_FOREVER), 1);
	CHECK_EQ(ran, 0);
}

/* What the caller gave away is not its own again after an error. */
TEST(a_call_that_cannot_begin_is_discarded)
{
	int n = 99;

	CHECK_EQ(tuck_offload_with(discard, count_run, &n, sizeof(n), -1),
		 -EINVAL);
	CHECK_EQ(discarded, 1);
	CHECK_EQ(tuck_offload_with(discard, count_run, &n, sizeof(n),
				   TUCK_NOWAIT),
		 -EAGAIN);
	CHECK_EQ(discarded, 2);
	CHECK_EQ(tuck_offload_with(discard, NULL, &n, sizeof(n), TUCK_FOREVER),
		 -EINVAL);
	CHECK_EQ(discarded, 3);
	CHECK_EQ(tuck_cancel(tuck_self()), 0);
	CHECK_EQ(tuck_offload_with(discard, count_run, &n, sizeof(n),
				   TUCK_FOREVER),
		 -ECANCELED);
	CHECK_EQ(discarded, 4);
	CHECK_EQ(discarded_result, -ECANCELED);
	CHECK_EQ(ran, 0);
}

/* Its call runs, and is not about to end. */
static void run_victim(struct victim *v, tuck_ns deadline)
{
	go_victim(v, wait_at_gate, deadline);
	WAIT_FOR(atomic_load(&at_gate) == 1);
}

static void check_discarded(int result)
{
	CHECK_EQ(discarded, 0);
	open_gate();
	WAIT_FOR(discarded);
	CHECK_EQ(discarded_result, result);
	no_call_is_left();
	CHECK_EQ(discarded, 1);
}

TEST(late_while_it_runs)
{
	struct victim v;

	/* If it is late before it runs, that is no fault of ours. */
	do {
		discarded = 0;
		go_victim(&v, wait_at_gate, tuck_after(TUCK_MS(20)));
		finish(v.id);
	} while (discarded);
	CHECK_EQ(v.result, -ETIMEDOUT);
	check_discarded(7);
}

TEST(cancelled_while_it_runs)
{
	struct victim v;

	run_victim(&v, TUCK_FOREVER);
	CHECK_EQ(tuck_cancel(v.id), 0);
	finish(v.id);
	CHECK_EQ(v.result, -ECANCELED);
	check_discarded(7);
}

TEST(killed_while_it_runs)
{
	struct victim v;

	run_victim(&v, tuck_after(TUCK_SEC(1000)));
	CHECK_EQ(tuck_kill(v.id), 0);
	finish(v.id);
	CHECK_EQ(v.returned, 0);
	check_discarded(7);
}

TEST(dropped_while_it_runs)
{
	struct victim v;

	run_victim(&v, TUCK_FOREVER);
	CHECK_EQ(tuck_drop(v.id), 0);
	check_discarded(7);
}

/* Its call has ended, but this proc has not looked yet. */
static void end_victim(struct victim *v)
{
	go_victim(v, count_run, TUCK_FOREVER);
	while (offloads().queued + offloads().running == 0 && !ran)
		tuck_yield();
	while (offloads().ended == 0)
		usleep(200);
	if (v->returned)
		SKIP("it was too fast");
}

static uint64_t count_ready(void)
{
	struct tuck_stats stats;

	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);	/* look */
	CHECK_EQ(tuck_stats(&stats), 0);
	return stats.ready;
}

/* This proc knows, but the tasklet has not run since. */
static void make_victim_ready(struct victim *v)
{
	end_victim(v);
	while (count_ready() == 0)
		usleep(200);
}

static void check_killed_at_end(struct victim *v)
{
	CHECK_EQ(tuck_kill(v->id), 0);
	finish(v->id);
	CHECK_EQ(v->returned, 0);
	CHECK_EQ(discarded, 1);
	CHECK_EQ(discarded_result, 11);
}

TEST(cancelled_when_it_has_ended)
{
	struct victim v;

	end_victim(&v);
	CHECK_EQ(tuck_cancel(v.id), 0);
	finish(v.id);
	CHECK_EQ(v.result, 11);
	CHECK_EQ(discarded, 0);
}

TEST(killed_when_it_has_ended)
{
	struct victim v;

	end_victim(&v);
	check_killed_at_end(&v);
}

TEST(killed_when_the_result_is_there)
{
	struct victim v;

	make_victim_ready(&v);
	check_killed_at_end(&v);
}

TEST(dropped_when_the_result_is_there)
{
	struct victim v;

	make_victim_ready(&v);
	CHECK_EQ(tuck_drop(v.id), 0);
	CHECK_EQ(discarded, 1);
}

TEST(taken_is_not_discarded)
{
	struct victim v;

	go_victim(&v, count_run, TUCK_FOREVER);
	finish(v.id);
	CHECK_EQ(v.result, 11);
	no_call_is_left();
	CHECK_EQ(discarded, 0);
}

static int offload_member(void *arg)
{
	int r = tuck_offload(wait_at_gate, NULL, 0, TUCK_FOREVER);

	*(int *)arg = r;
	return r;
}

TEST(the_deadline_of_a_group)
{
	struct tuck_group *group;
	int r = 0;

	CHECK_EQ(tuck_group_new(&group, tuck_after(TUCK_MS(20))), 0);
	CHECK(tuck_group_go(group, offload_member, &r) > 0);
	CHECK_EQ(tuck_group_wait(group, TUCK_GROUP_ALL, TUCK_FOREVER), -ETIME);
	CHECK_EQ(r, -ETIME);
	tuck_group_free(group);
	open_gate();
	no_call_is_left();
}

/* A cleanup that offloads, while the call it was killed in is held. */
static void offload_again(void *arg)
{
	*(int *)arg = tuck_offload(is_null, NULL, 0, TUCK_FOREVER);
}

static void defer_and_wait(void *arg)
{
	CHECK_EQ(tuck_defer(offload_again, arg), 0);
	go_through_gate(NULL);
}

TEST(a_cleanup_may_offload)
{
	int r = 0;
	tuck_id id = go(defer_and_wait, &r);

	WAIT_FOR(at_gate == 1);
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_EQ(r, 1);
	open_gate();
	no_call_is_left();
}

/* -- a dump -- */

static void check_dump(const char *text)
{
	char line[4096];
	int fd[2];
	ssize_t n;

	pipe_pair(fd);
	CHECK_EQ(tuck_dump(fd[1]), 0);
	n = read(fd[0], line, sizeof(line) - 1);
	CHECK(n > 0);
	line[n] = 0;
	if (!strstr(line, text))
		check_fail(CHECK_AT, "no '%s' in: %s", text, line);
	close(fd[0]);
	close(fd[1]);
}

TEST(a_dump_tells_what_runs)
{
	struct victim v;

	queue_victim(&v, TUCK_FOREVER);
	check_dump("waits for an offloaded call (queued)");
	check_dump("waits for an offloaded call (running)");
	open_gate();
	finish(v.id);
}

/* -- how many, in which order -- */

static atomic_int now_running, most_running, too_many;

static int count_together(void *arg)
{
	int n = atomic_fetch_add(&now_running, 1) + 1, most = most_running;

	(void)arg;
	while (n > most &&
	       !atomic_compare_exchange_weak(&most_running, &most, n))
		;
	if (offloads().workers > 4)
		atomic_store(&too_many, 1);
	do
		usleep(100);
	while (most_running < 4);	/* so many there must be */
	atomic_fetch_sub(&now_running, 1);
	return 1;
}

static void run_together(void *arg)
{
	*(int *)arg += tuck_offload(count_together, NULL, 0, TUCK_FOREVER);
}

TEST(a_thousand_with_four_threads)
{
	int sum = 0;

	CHECK_EQ(tuck_offload_limit(4, 0), 0);
	for (int i = 0; i < 1000; i++)
		go(run_together, &sum);
	WAIT_FOR(sum == 1000);
	CHECK_EQ(most_running, 4);
	CHECK(!too_many);
	CHECK_EQ(offloads().ended, 1000);
	CHECK_EQ(offloads().workers, 4);
}

TEST(threads_are_made_on_demand)
{
	CHECK_EQ(tuck_offload_limit(50, 0), 0);
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(tuck_offload(is_null, NULL, 0, TUCK_FOREVER), 1);
		WAIT_FOR(offloads().idle == 1);	/* it tells before it is */
	}
	CHECK_EQ(offloads().workers, 1);
	for (int i = 0; i < 50; i++)
		go(go_through_gate, NULL);
	WAIT_FOR(at_gate == 50);
	CHECK_EQ(offloads().workers, 50);
	CHECK_EQ(offloads().running, 50);
	open_gate();
	WAIT_FOR(passed_gate == 50);
}

TEST(idle_threads_end)
{
	CHECK_EQ(tuck_offload_limit(8, 0), 0);
	for (int i = 0; i < 8; i++)
		go(go_through_gate, NULL);
	WAIT_FOR(at_gate == 8);
	open_gate();
	WAIT_FOR(offloads().idle == 8);
	CHECK_EQ(tuck_offload_limit(0, TUCK_MS(1)), 0);
	WAIT_FOR(offloads().workers == 0);
	CHECK_EQ(tuck_offload(is_null, NULL, 0, TUCK_FOREVER), 1);
}

TEST(a_lower_bound_ends_threads)
{
	CHECK_EQ(tuck_offload_limit(8, 0), 0);
	for (int i = 0; i < 8; i++)
		go(go_through_gate, NULL);
	WAIT_FOR(at_gate == 8);
	CHECK_EQ(tuck_offload_limit(3, 0), 0);
	CHECK_EQ(offloads().workers, 8);
	open_gate();
	WAIT_FOR(offloads().workers == 3);
	CHECK_EQ(tuck_offload_limit(1, 0), 0);
	WAIT_FOR(offloads().workers == 1);
}

TEST(a_higher_bound_serves_those_that_wait)
{
	close_gate();
	for (int i = 0; i < 5; i++)
		go(go_through_gate, NULL);
	WAIT_FOR(offloads().queued == 5);
	CHECK_EQ(tuck_offload_limit(4, 0), 0);
	WAIT_FOR(at_gate == 4);
	CHECK_EQ(offloads().queued, 2);
	open_gate();
	WAIT_FOR(passed_gate == 6);
}

TEST(the_environment_sets_the_bound)
{
	setenv("TUCK_OFFLOAD_WORKERS", "2", 1);
	for (int i = 0; i < 5; i++)
		go(go_through_gate, NULL);
	WAIT_FOR(at_gate == 2 && offloads().queued == 3);
	CHECK_EQ(offloads().workers_max, 2);
	open_gate();
	WAIT_FOR(passed_gate == 5);
}

static atomic_int order;

static int take_number(void *arg)
{
	(void)arg;
	return atomic_fetch_add(&order, 1);
}

struct turn {
	int number, done;
};

static void take_turn(void *arg)
{
	struct turn *t = arg;

	t->number = tuck_offload(take_number, NULL, 0, TUCK_FOREVER);
	t->done = 1;
}

TEST(first_come_first_served)
{
	struct turn turns[20] = { { 0 } };

	close_gate();
	for (int i = 0; i < 20; i++) {
		go(take_turn, &turns[i]);
		WAIT_FOR(offloads().queued == (uint64_t)i + 1);
	}
	open_gate();
	WAIT_FOR(order == 20);
	for (int i = 0; i < 20; i++) {
		WAIT_FOR(turns[i].done);
		CHECK_EQ(turns[i].number, i);
	}
}

TEST(a_flood_of_one_proc_does_not_starve_another)
{
	static struct turn flood[100], other;
	int proc;

	close_gate();
	for (int i = 0; i < 100; i++)
		go(take_turn, &flood[i]);
	WAIT_FOR(offloads().queued == 100);
	proc = tuck_proc_start(NULL, take_turn, &other);
	CHECK(proc >= 0);
	WAIT_FOR(offloads().queued == 101);
	open_gate();
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	CHECK(other.number <= 1);
	WAIT_FOR(order == 101);
	no_call_is_left();
}

/* -- procs -- */

static void *offload_in_thread(void *arg)
{
	*(int *)arg = tuck_offload(is_null, NULL, 0, TUCK_FOREVER);
	return NULL;
}

TEST(threads_end_with_the_last_proc_that_uses_them)
{
	int r = 0;

	on_thread(offload_in_thread, &r);
	CHECK_EQ(r, 1);
	WAIT_FOR(offloads().workers == 0);
}

static void leave_a_call_behind(void *arg)
{
	go(go_through_gate, NULL);
	WAIT_FOR(at_gate == 1);
	*(int *)arg = 1;
}

static void *end_while_it_runs(void *arg)
{
	leave_a_call_behind(arg);
	return NULL;		/* the tasklet is forgotten */
}

TEST(a_proc_ends_while_its_call_runs)
{
	int r = 0;

	on_thread(end_while_it_runs, &r);
	CHECK_EQ(r, 1);
	CHECK_EQ(offloads().running, 1);
	open_gate();
	WAIT_FOR(offloads().workers == 0);
	CHECK_EQ(offloads().ended, 1);
}

static int descriptor_flags(void *arg)
{
	return fcntl(*(int *)arg, F_GETFD) < 0 ? -errno : 0;
}

static int open_null(void *arg)
{
	(void)arg;
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

struct fds {
	int shared, only_here;
	atomic_int go_on, ready;
};

static int seen(int fd)
{
	return tuck_offload(descriptor_flags, &fd, sizeof(fd), TUCK_FOREVER);
}

static void check_same_table(void *arg)
{
	struct fds *fds = arg;

	CHECK_EQ(seen(fds->only_here), 0);
}

static void use_own_table(void *arg)
{
	struct fds *fds = arg;
	int proc;

	CHECK_EQ(seen(fds->shared), -EBADF);
	fds->only_here = tuck_offload(open_null, NULL, 0, TUCK_FOREVER);
	CHECK(fds->only_here >= 0);
	/* A number that means nothing in the other table. */
	CHECK_EQ(dup2(fds->only_here, 600), 600);
	fds->only_here = 600;
	CHECK_EQ(seen(fds->only_here), 0);
	proc = tuck_proc_start(NULL, check_same_table, fds);
	CHECK(proc >= 0);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
}

TEST(descriptors_are_those_of_the_caller)
{
	struct tuck_proc_attr attr = { .own_fds = 1 };
	struct fds fds = { .shared = open("/dev/null", O_RDONLY) };
	int proc;

	NOT_UNDER_TSAN("it takes tables for one");
	CHECK_EQ(dup2(fds.shared, 500), 500);
	fds.shared = 500;
	CHECK_EQ(seen(fds.shared), 0);	/* there are threads already */
	proc = tuck_proc_start(&attr, use_own_table, &fds);
	CHECK(proc >= 0);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
	CHECK_EQ(seen(fds.shared), 0);
	WAIT_FOR(offloads().workers == 1);
}

/* An offloaded function that calls Tuck is where its caller is. */
static int nested(void *arg)
{
	return seen(*(int *)arg);
}

static void check_nested(void *arg)
{
	struct fds *fds = arg;
	int opened = tuck_offload(open_null, NULL, 0, TUCK_FOREVER);

	CHECK_EQ(dup2(opened, fds->only_here), fds->only_here);
	CHECK_EQ(tuck_offload(nested, &fds->only_here, sizeof(int), patience()),
		 0);
	CHECK_EQ(tuck_offload(nested, &fds->shared, sizeof(int), patience()),
		 -EBADF);
}

static void nest_in_own_table(struct fds *fds)
{
	struct tuck_proc_attr attr = { .own_fds = 1 };
	int proc = tuck_proc_start(&attr, check_nested, fds);

	CHECK(proc >= 0);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
}

/* One that both tables have; a thread is idle in this one's pool then. */
static struct fds share_one(void)
{
	struct fds fds = { .shared = 500, .only_here = 600 };

	NOT_UNDER_TSAN("it takes tables for one");
	CHECK_EQ(dup2(open("/dev/null", O_RDONLY), fds.shared), fds.shared);
	CHECK_EQ(seen(fds.shared), 0);
	return fds;
}

TEST(a_call_in_a_call_goes_to_its_table)
{
	struct fds fds = share_one();

	nest_in_own_table(&fds);
}

TEST(a_call_in_a_call_makes_no_thread_for_others)
{
	struct fds fds = share_one();

	CHECK_EQ(tuck_offload_limit(0, 1), 0);
	WAIT_FOR(offloads().workers == 0);	/* has calls, but no thread */
	CHECK_EQ(tuck_offload_limit(0, TUCK_SEC(10)), 0);
	nest_in_own_table(&fds);
	CHECK_EQ(seen(fds.shared), 0);
}

static int start_in_a_call(void *arg)
{
	int proc = tuck_proc_start(NULL, check_same_table, *(void **)arg);

	CHECK(proc >= 0);
	return tuck_proc_join(proc, patience());
}

static void check_started(void *arg)
{
	struct fds *fds = arg;
	int opened = tuck_offload(open_null, NULL, 0, TUCK_FOREVER);

	CHECK_EQ(dup2(opened, fds->only_here), fds->only_here);
	CHECK_EQ(tuck_offload(start_in_a_call, &arg, sizeof(arg), patience()),
		 0);
}

TEST(a_proc_started_in_a_call_has_its_table)
{
	struct tuck_proc_attr attr = { .own_fds = 1 };
	struct fds fds = { .shared = open("/dev/null", O_RDONLY),
			   .only_here = 600 };
	int proc;

	NOT_UNDER_TSAN("it takes tables for one");
	CHECK_EQ(dup2(fds.shared, 500), 500);
	fds.shared = 500;
	CHECK_EQ(seen(fds.shared), 0);
	proc = tuck_proc_start(&attr, check_started, &fds);
	CHECK(proc >= 0);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
}

/* -- the end, and fork -- */

TEST(exit_while_busy)
{
	CHECK_DIES(0, "", {
		CHECK_EQ(tuck_offload_limit(2, 0), 0);
		for (int i = 0; i < 5; i++)
			go(go_through_gate, NULL);
		WAIT_FOR(at_gate == 2);
		exit(0);
	});
}

TEST(exit_of_main_does_not_wait_for_idle_threads)
{
	NOT_UNDER_TSAN("its own threads keep a process from ending");
	CHECK_DIES(0, "", {
		CHECK_EQ(tuck_offload_limit(0, TUCK_SEC(100000)), 0);
		CHECK_EQ(tuck_offload(is_null, NULL, 0, TUCK_FOREVER), 1);
		tuck_exit();
	});
}

static void fork_here(void)
{
	struct victim running, queued;
	pid_t pid;
	int status;

	CHECK_EQ(tuck_offload_limit(1, 0), 0);
	go_victim(&running, wait_at_gate, TUCK_FOREVER);
	WAIT_FOR(at_gate == 1);
	go_victim(&queued, count_run, TUCK_FOREVER);
	WAIT_FOR(offloads().queued == 1);
	pid = fork();
	if (pid == 0) {
		CHECK_EQ(offloads().workers, 0);
		finish(running.id);
		finish(queued.id);
		CHECK_EQ(running.result, -ECANCELED);
		CHECK_EQ(queued.result, -ECANCELED);
		CHECK_EQ(ran + discarded, 0);
		CHECK_EQ(tuck_offload(is_null, NULL, 0, patience()), 1);
		CHECK_EQ(offloads().workers, 1);
		_exit(0);
	}
	open_gate();
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	finish(running.id);
	finish(queued.id);
	CHECK_EQ(running.result, 7);
	CHECK_EQ(queued.result, 11);
}

TEST(a_forked_child_begins_without_threads)
{
	NOT_UNDER_TSAN("it lets no child of threads make threads");
	fork_here();
}

/* More than libc keeps when it is freed. */
struct forker {
	char text[512 * 1024];
};

static atomic_int forked_status;

static int fork_at_gate(void *arg)
{
	struct forker *f = arg;
	int status;
	pid_t pid;

	wait_at_gate(NULL);
	pid = fork();
	if (pid == 0)
		_exit(strcmp(f->text, "to exec") != 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	atomic_store(&forked_status, status);
	return 0;
}

static void fork_elsewhere(void *arg)
{
	tuck_offload(fork_at_gate, arg, sizeof(struct forker), TUCK_FOREVER);
	CHECK(false);
}

/* Nobody waits for it, but it reads what it was passed until it calls exec. */
TEST(a_function_that_forks_keeps_its_argument)
{
	struct forker *f = calloc(1, sizeof(*f));
	tuck_id id;

	NOT_UNDER_TSAN("it knows no threads that fork");
	CHECK(f);
	strcpy(f->text, "to exec");
	forked_status = -1;
	id = go(fork_elsewhere, f);
	WAIT_FOR(at_gate == 1);
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	open_gate();
	WAIT_FOR(forked_status != -1);
	CHECK_EQ(forked_status, 0);
	no_call_is_left();
	free(f);
}

/* -- all at once -- */

static int pause_and_count(void *arg)
{
	uint32_t state = *(uint32_t *)arg | 1;

	usleep(next_random(&state) % 300);
	atomic_fetch_add(&ran, 1);
	return 1;
}

static atomic_int made, taken, unbegun;

static void count_discarded(void *arg, int result)
{
	(void)arg;
	CHECK(result == 1 || result == -ECANCELED);
	atomic_fetch_add(result == 1 ? &discarded : &unbegun, 1);
}

static void offload_often(void *arg)
{
	uint32_t state = (uint32_t)(uintptr_t)arg * 2654435761u | 1;

	for (int i = 0; i < 30; i++) {
		uint32_t n = next_random(&state);
		tuck_ns deadline = n % 3 ? tuck_after(TUCK_US(n % 2000)) :
					   TUCK_FOREVER;
		int r;

		atomic_fetch_add(&made, 1);
		r = tuck_offload_with(count_discarded, pause_and_count, &n,
				      sizeof(n), deadline);
		if (r == 1)
			atomic_fetch_add(&taken, 1);
		else
			CHECK(r == -ETIMEDOUT || r == -ECANCELED);
		if (r == -ECANCELED)
			tuck_uncancel();
	}
}

static void be_busy_proc(void *arg)
{
	uint32_t state = (uint32_t)(uintptr_t)arg | 1;
	tuck_id ids[12];

	for (int i = 0; i < 12; i++)
		ids[i] = go(offload_often, (void *)(uintptr_t)(i + 1));
	for (int i = 0; i < 60; i++) {
		uint32_t n = next_random(&state);

		tuck_sleep(tuck_after(TUCK_US(n % 500)));
		if (n % 8 == 0)
			tuck_kill(ids[(n >> 8) % 12]);
		else
			tuck_cancel(ids[(n >> 8) % 12]);
	}
	for (int i = 0; i < 12; i++)
		finish(ids[i]);
}

TEST(every_call_is_taken_or_discarded)
{
	int procs[3];

	CHECK_EQ(tuck_offload_limit(3, TUCK_US(500)), 0);
	for (int i = 0; i < 3; i++) {
		procs[i] = tuck_proc_start(NULL, be_busy_proc,
					   (void *)(uintptr_t)(2 * i + 1));
		CHECK(procs[i] >= 0);
	}
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_proc_join(procs[i], patience()), 0);
	WAIT_FOR(offloads().workers == 0);
	CHECK_EQ(ran, taken + discarded);
	CHECK_EQ(made, ran + unbegun);
	CHECK_EQ(offloads().ended, (uint64_t)ran);
	CHECK(taken > 0);
}

/* -- calls that wait for another machine -- */

static int ended_there;

static void go_far(void *arg)
{
	int r = tuck_offload_remote(NULL, wait_at_gate, NULL, 0, TUCK_FOREVER);

	(void)arg;
	ended_there += r == 7;
}

static void go_far_many(int limit, int n, int begun)
{
	CHECK_EQ(tuck_offload_limit(limit, 0), 0);
	for (int i = 0; i < n; i++)
		go(go_far, NULL);
	WAIT_FOR(at_gate == begun &&
		 offloads().queued == (uint64_t)(n - begun));
}

static void all_come_back(int n)
{
	open_gate();
	WAIT_FOR(ended_there == n);
	no_call_is_left();
}

TEST(remote_calls_have_half_of_the_threads)
{
	go_far_many(5, 9, 3);
	go(go_far, NULL);
	settle();
	CHECK_EQ(at_gate, 3);
	CHECK_EQ(offloads().workers, 3);	/* the others may not begin */
	for (int i = 0; i < 4; i++)
		go(go_through_gate, NULL);
	WAIT_FOR(at_gate == 5 && offloads().queued == 9);
	CHECK_EQ(tuck_offload_limit(14, 0), 0);
	WAIT_FOR(at_gate == 11);
	CHECK_EQ(offloads().queued, 3);
	all_come_back(10);
}

TEST(the_only_thread_is_also_for_remote_calls)
{
	go_far_many(1, 2, 1);
	all_come_back(2);
	CHECK_EQ(offloads().workers, 1);
}

/* Whose callers are gone are still counted, and then no more. */
TEST(remote_calls_left_alone_are_counted)
{
	tuck_id ids[2];

	CHECK_EQ(tuck_offload_limit(4, 0), 0);
	for (int i = 0; i < 2; i++)
		ids[i] = go(go_far, NULL);
	WAIT_FOR(at_gate == 2);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(tuck_kill(ids[i]), 0);
		finish(ids[i]);
	}
	go(go_far, NULL);
	WAIT_FOR(offloads().queued == 1);
	CHECK_EQ(tuck_offload(is_null, NULL, 0, TUCK_FOREVER), 1);
	CHECK_EQ(at_gate, 2);
	all_come_back(1);
	for (int round = 0; round < 3; round++) {
		ended_there = 0;
		for (int i = 0; i < 4; i++)
			go(go_far, NULL);
		WAIT_FOR(ended_there == 4);
	}
}

TEST(remote_calls_may_end_their_thread)
{
	CHECK_EQ(tuck_offload_limit(2, 0), 0);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(tuck_offload_remote(NULL, leave_thread, NULL, 0,
					     TUCK_FOREVER),
			 -ECANCELED);
}

TEST(a_forked_child_counts_no_remote_calls)
{
	pid_t pid;
	int status;

	NOT_UNDER_TSAN("it lets no child of threads make threads");
	go_far_many(2, 3, 1);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 3; i++)
			CHECK_EQ(tuck_offload_remote(NULL, is_null, NULL, 0,
						     patience()),
				 1);
		_exit(0);
	}
	open_gate();
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	all_come_back(3);
}

TEST(bad_remote_calls_are_discarded)
{
	int n = 99;

	CHECK_EQ(tuck_offload_remote(discard, NULL, &n, sizeof(n),
				     TUCK_FOREVER),
		 -EINVAL);
	CHECK_EQ(discarded, 1);
	CHECK_EQ(tuck_offload_remote(discard, count_run, &n, sizeof(n),
				     TUCK_NOWAIT),
		 -EAGAIN);
	CHECK_EQ(discarded, 2);
	CHECK_EQ(ran, 0);
}
