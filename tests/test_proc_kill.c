/* SPDX-License-Identifier: MIT */
/* Procs that are killed or cancelled, each tasklet at once. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "procs.h"

static void nothing(void *arg)
{
	(void)arg;
}

static void count_up(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

struct doomed {
	_Atomic(tuck_id) main;
	atomic_int begun, cleaned, cancelled;
	int main_result;
	bool main_waits;
	tuck_id outsider;
};

static void sleep_and_count(void *arg)
{
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(5))), 0);
	count_up(arg);
}

static void be_doomed(void *arg)
{
	struct doomed *d = arg;

	CHECK_EQ(tuck_defer(sleep_and_count, &d->cleaned), 0);
	atomic_fetch_add(&d->begun, 1);
	if (tuck_sleep(TUCK_FOREVER - 1) == -ECANCELED)
		atomic_fetch_add(&d->cancelled, 1);
	tuck_undefer(0);
}

static void have_doomed(void *arg)
{
	struct doomed *d = arg;

	for (int i = 0; i < 10; i++)
		CHECK(tuck_go(be_doomed, d) > 0);
	atomic_store(&d->main, tuck_self());
	if (d->main_waits)
		d->main_result = tuck_block(TUCK_FOREVER);
}

static int start_doomed(struct doomed *d, bool main_waits)
{
	int proc;

	*d = (struct doomed){ .main_waits = main_waits };
	proc = start(have_doomed, d);
	WAIT_FOR(atomic_load(&d->begun) == 10);
	return proc;
}

static struct doomed doomed;

TEST(a_killed_proc_cleans_up)
{
	int proc = start_doomed(&doomed, true);

	CHECK_EQ(tuck_proc_kill(proc), 0);
	join(proc);
	CHECK_EQ(doomed.main_result, -ECANCELED);
	CHECK_EQ(doomed.cleaned, 10);
	CHECK_EQ(doomed.cancelled, 0);
}

/* Its main tasklet waits for the others, whatever it is told. */
TEST(a_proc_is_killed_whose_function_has_returned)
{
	int proc = start_doomed(&doomed, false);

	CHECK_EQ(tuck_proc_kill(proc), 0);
	join(proc);
	CHECK_EQ(doomed.cleaned, 10);
}

TEST(a_cancelled_proc_goes_on_as_it_likes)
{
	int proc = start_doomed(&doomed, true);

	CHECK_EQ(tuck_proc_cancel(proc), 0);
	join(proc);
	CHECK_EQ(doomed.main_result, -ECANCELED);
	CHECK_EQ(doomed.cancelled, 10);
	CHECK_EQ(doomed.cleaned, 0);
}

static atomic_int own_number, survived;

static void kill_own_proc(void *arg)
{
	CHECK_EQ(tuck_defer(sleep_and_count, arg), 0);
	while (atomic_load(&own_number) < 0)
		CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(1))), 0);
	tuck_proc_kill(atomic_load(&own_number));
	atomic_fetch_add(&survived, 1);
	tuck_undefer(0);
}

static void have_a_killer(void *arg)
{
	CHECK(tuck_go(kill_own_proc, &doomed.cleaned) > 0);
	have_doomed(arg);
}

/* Whoever asks for it is one of them, and the last. */
TEST(a_tasklet_kills_its_own_proc)
{
	int proc;

	doomed = (struct doomed){ .main_waits = true };
	own_number = -1;
	proc = start(have_a_killer, &doomed);
	WAIT_FOR(atomic_load(&doomed.begun) == 10);
	atomic_store(&own_number, proc);
	join(proc);
	CHECK_EQ(doomed.main_result, -ECANCELED);
	CHECK_EQ(doomed.cleaned, 11);
	CHECK_EQ(survived, 0);
}

static void kill_from_main(void *arg)
{
	have_doomed(arg);
	while (atomic_load(&own_number) < 0)
		CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(1))), 0);
	CHECK_EQ(tuck_proc_kill(atomic_load(&own_number)), 0);
	CHECK_EQ(tuck_sleep(TUCK_FOREVER - 1), -ECANCELED);
}

TEST(a_main_tasklet_kills_its_own_proc)
{
	int proc;

	doomed = (struct doomed){ .main_waits = false };
	own_number = -1;
	proc = start(kill_from_main, &doomed);
	WAIT_FOR(atomic_load(&doomed.begun) == 10);
	atomic_store(&own_number, proc);
	join(proc);
	CHECK_EQ(doomed.cleaned, 10);
}

TEST(only_procs_can_be_killed)
{
	int proc = start(nothing, NULL);

	for (int n = -1; n < TUCK_PROCS_MAX + 1; n++) {
		if (n == proc)
			continue;
		CHECK_EQ(tuck_proc_kill(n), -ESRCH);
		CHECK_EQ(tuck_proc_cancel(n), -ESRCH);
	}
	WAIT_FOR(tuck_proc_kill(proc) == -ESRCH);
	CHECK_EQ(tuck_proc_cancel(proc), -ESRCH);
	join(proc);
	CHECK_EQ(tuck_proc_kill(proc), -ESRCH);
}

static atomic_int stop;

static void *be_stranger(void *arg)
{
	int before = atomic_load((atomic_int *)arg);
	tuck_id id = tuck_go(count_up, arg);

	CHECK(id > 0);
	CHECK_EQ(tuck_join(id, patience()), 0);
	CHECK_EQ(atomic_load((atomic_int *)arg), before + 1);
	return NULL;
}

static void *be_strangers(void *arg)
{
	pthread_t thread;

	do {
		CHECK_EQ(pthread_create(&thread, NULL, be_stranger, arg), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
	} while (!atomic_load(&stop));
	return NULL;
}

/* Threads come that use what a proc has left, when it is killed at its end. */
TEST(a_kill_that_comes_late_hits_nobody_else)
{
	static atomic_int done;
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, be_strangers, &done), 0);
	for (int i = 0; i < 200; i++) {
		int proc = start(nothing, NULL);

		while (tuck_proc_kill(proc) == 0)
			;
		join(proc);
	}
	atomic_store(&stop, 1);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(done > 0);
}
