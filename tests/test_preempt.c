/* SPDX-License-Identifier: MIT */
/* Code that the compiler makes count: it is pre-empted wherever it loops. */
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/wait.h>
#include <tuck.h>

#include "preempt/loops.h"
#include "trace.h"

#ifndef EXACT	/* 0: ticks are of time */
#define EXACT 1
#endif

static int no_flag;

TEST(each_infinite_loop_is_stopped)
{
	for (int i = 0; i < LOOPS; i++) {
		tuck_id id = go(loops[i].fn, &no_flag);

		CHECK_EQ(tuck_run(10000), id);
		CHECK_EQ(tuck_unblock(id), 0);
		CHECK_EQ(tuck_run(10000), id);
		CHECK_EQ(tuck_kill(id), 0);
		CHECK_EQ(tuck_run(10000), 0);
		CHECK_EQ(tuck_join(id, TUCK_FOREVER), -ESRCH);
	}
}

TEST(child_of_a_fork_is_pre_empted)
{
	tuck_id id = go(loops[1].fn, &no_flag);
	int status = -1;
	pid_t child;

	NOT_UNDER_TSAN("it takes the fibers of a child for threads");
	CHECK_EQ(tuck_run(1000), id);
	CHECK_EQ(tuck_unblock(id), 0);
	child = fork();
	if (child == 0) {
		alarm(30 * PATIENCE);
		_exit(tuck_run(1000) == id ? 0 : 1);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	CHECK_EQ(tuck_drop(id), 0);
}

TEST(resolver_of_an_ifunc_may_count)
{
	CHECK_EQ(chosen(), 1);
}

TEST(infinite_loops_take_turns)
{
	static int flags[LOOPS];
	tuck_ns end = tuck_after(TUCK_MS(EXACT ? 50 : 500));
	int turns = 0;

	CHECK_EQ(tuck_quantum_set(1000), 0);
	for (int i = 0; i < LOOPS; i++)
		go(loops[i].fn, &flags[i]);
	for (; turns < 2 || tuck_now() < end; turns++)
		tuck_yield();	/* or the test's limit ends it */
	for (int i = 0; i < LOOPS; i++)
		flags[i] = 1;
	for (int i = 0; i < 3; i++)
		tuck_yield();
}

static void handled(void *arg)
{
	int sig = *(int *)arg;

	for (int i = 0; i < 20; i++)
		CHECK_EQ(raise(sig), 0);
	mark('h');
}

/* One that is not finished when its tasklet's quantum is over goes on. */
TEST(handler_on_the_tasklets_stack_is_not_pre_empted)
{
	struct sigaction action = { .sa_handler = long_handler }, old;
	int first = SIGUSR1, second = SIGUSR2;
	struct tuck_stats stats;
	uint64_t before;

	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	CHECK(signal(SIGUSR2, long_handler) == SIG_DFL);
	CHECK_EQ(sigaction(SIGUSR1, NULL, &old), 0);
	CHECK(old.sa_handler == long_handler && !(old.sa_flags & SA_SIGINFO));
	CHECK_EQ(tuck_quantum_set(100), 0);
	go(handled, &first);
	go(handled, &second);
	CHECK_EQ(tuck_stats(&stats), 0);
	before = stats.switches;
	CHECK_EQ(tuck_run(0), 0);
	CHECK_TRACE("hh");
	CHECK_EQ(tuck_stats(&stats), 0);
	CHECK_EQ(stats.switches - before, 3);
	CHECK_EQ(long_handlers(), 40);
	CHECK(signal(SIGUSR2, SIG_IGN) == long_handler);
	CHECK(signal(SIGUSR2, SIG_DFL) == SIG_IGN);
	CHECK_EQ(sigaction(99999, &action, NULL), -1);
	CHECK_EQ(errno, EINVAL);
}

/* What signal() is in a program that asks for POSIX alone. */
void (*__sysv_signal(int sig, void (*handler)(int)))(int);

static void handled_once(void *arg)
{
	(void)arg;
	CHECK(__sysv_signal(SIGUSR1, long_handler) == SIG_DFL);
	CHECK_EQ(raise(SIGUSR1), 0);
	mark('h');
}

TEST(handler_of_system_v_is_not_pre_empted)
{
	struct tuck_stats stats;
	uint64_t before;

	CHECK_EQ(tuck_quantum_set(100), 0);
	go(handled_once, NULL);
	go(handled_once, NULL);
	CHECK_EQ(tuck_stats(&stats), 0);
	before = stats.switches;
	CHECK_EQ(tuck_run(0), 0);
	CHECK_TRACE("hh");
	CHECK_EQ(tuck_stats(&stats), 0);
	CHECK_EQ(stats.switches - before, 3);
}

TEST(signal_is_ignored_whatever_the_flags)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO }, old;

	action.sa_handler = SIG_IGN;
	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(sigaction(SIGUSR1, NULL, &old), 0);
	CHECK(old.sa_handler == SIG_IGN);
}

static void spin_deep(void *flag)
{
	volatile char deep[65536];

	deep[0] = 1;
	loops[1].fn(flag);
	deep[1] = deep[0];
}

static void handled_then_deep(void *flag)
{
	CHECK_EQ(raise(SIGUSR1), 0);
	spin_deep(flag);
}

TEST(pre_empted_below_where_a_handler_was)
{
	tuck_id id = go(handled_then_deep, &no_flag);

	CHECK(signal(SIGUSR1, long_handler) == SIG_DFL);
	CHECK_EQ(tuck_run(1000), id);
	CHECK_EQ(tuck_drop(id), 0);
}

static sigjmp_buf out;

static void leave(int sig)
{
	siglongjmp(out, sig);
}

static void left_then_spins(void *flag)
{
	if (sigsetjmp(out, 1) == 0)
		raise(SIGUSR1);
	loops[1].fn(flag);
}

TEST(pre_empted_above_a_handler_that_was_left)
{
	tuck_id id = go(left_then_spins, &no_flag);

	CHECK(signal(SIGUSR1, leave) == SIG_DFL);
	CHECK_EQ(tuck_run(1000), id);
	CHECK_EQ(tuck_drop(id), 0);
}
