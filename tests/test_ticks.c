/* SPDX-License-Identifier: MIT */
/* Ticks that the program counts: quantum, atomic sections, tuck_run(). */
#include <errno.h>
#include <stdio.h>
#include <tuck.h>

#include "base/mem.h"
#include "trace.h"

static void quantum(int64_t ticks)
{
	CHECK_EQ(tuck_quantum_set(ticks), 0);
}

/* As instrumented code counts. */
static void count(int n)
{
	struct tuck_ticks *t = tuck_ticks();

	while (n-- > 0)
		if (t->seen == *t->switches && t->left > 1)
			t->left--;
		else
			tuck_tick(1);
}

static void six(void *name)
{
	for (int i = 0; i < 6; i++) {
		letter(name);
		count(1);
	}
}

static void spin(void *arg)
{
	(void)arg;
	for (;;)
		count(1);
}

static tuck_id go_six(const char *name)
{
	return go(six, (void *)(uintptr_t)name);
}

/* Until nobody else is ready. */
static void run_out(void)
{
	CHECK_EQ(tuck_run(0), 0);
}

/* -- quantum -- */

TEST(none_is_pre_empted_without_a_quantum)
{
	needs_fifo();
	go_six("a");
	go_six("b");
	run_out();
	CHECK_TRACE("aaaaaabbbbbb");
	quantum(2);
	quantum(0);
	go_six("a");
	go_six("b");
	run_out();
	CHECK_TRACE("aaaaaabbbbbb");
}

TEST(quantum_is_exact)
{
	needs_fifo();
	quantum(3);
	go_six("a");
	go_six("b");
	run_out();
	CHECK_TRACE("aaabbbaaabbb");
	quantum(1);
	go_six("a");
	go_six("b");
	run_out();
	CHECK_TRACE("abababababab");
	CHECK_EQ(tuck_quantum_set(-1), -EINVAL);
	quantum(4);
	go_six("a");
	go_six("b");
	run_out();
	CHECK_TRACE("aaaabbbbaabb");
}

static void two_yield_four(void *name)
{
	letter(name);
	count(2);
	tuck_yield();
	for (int i = 0; i < 4; i++) {
		letter(name);
		count(1);
	}
}

TEST(each_switch_starts_anew)
{
	needs_fifo();
	quantum(3);
	go(two_yield_four, (void *)(uintptr_t) "a");
	go(two_yield_four, (void *)(uintptr_t) "b");
	run_out();
	CHECK_TRACE("abaaabbbab");
}

static void many_at_once(void *name)
{
	for (int i = 0; i < 3; i++) {
		letter(name);
		tuck_tick(i == 1 ? INT64_MAX : -5);
	}
}

TEST(any_number_can_be_counted)
{
	needs_fifo();
	quantum(1000);
	go(many_at_once, (void *)(uintptr_t) "a");
	go(many_at_once, (void *)(uintptr_t) "b");
	run_out();
	CHECK_TRACE("aabbab");
}

TEST(main_is_pre_empted_too)
{
	needs_fifo();
	quantum(5);
	go_letter("x");
	count(4);
	CHECK_TRACE("");
	count(1);
	CHECK_TRACE("x");
}

TEST(pre_empted_tasklet_is_killed_where_it_is)
{
	static const char name = 'k';
	tuck_id id;

	needs_fifo();
	quantum(3);
	id = go(spin, NULL);
	count(3);
	CHECK_EQ(tuck_kill(id), 0);
	CHECK_EQ(tuck_join(id, TUCK_FOREVER), 0);
	go_letter(&name);
	tuck_yield();
	CHECK_TRACE("k");
}

static void *without_proc(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_can_switch(), 0);
	count(1000);
	tuck_tick(INT64_MAX);
	CHECK_EQ(tuck_can_switch(), 0);
	CHECK_EQ(tuck_quantum_set(10), 0);
	CHECK_EQ(tuck_can_switch(), 1);
	return tuck_ticks();
}

TEST(each_thread_has_ticks_of_its_own)
{
	quantum(7);
	on_thread(without_proc, NULL);
	CHECK_EQ(tuck_can_switch(), 1);
	CHECK_EQ(tuck_ticks()->left, 7);
}

static void count_at_end(void *arg)
{
	(void)arg;
	count(1000);
	CHECK_EQ(tuck_can_switch(), 0);
	mark('e');
}

static void *end_counting(void *arg)
{
	static pthread_key_t key;

	quantum(3);
	CHECK_EQ(pthread_key_create(&key, count_at_end), 0);
	CHECK_EQ(pthread_setspecific(key, &key), 0);
	go(spin, NULL);
	count(100);
	return arg;
}

TEST(thread_counts_when_it_is_no_proc_any_more)
{
	on_thread(end_counting, NULL);
	CHECK_TRACE("e");
}

/* -- where one is not pre-empted -- */

static void atomic_six(void *name)
{
	int was = tuck_atomic(1);

	CHECK_EQ(was, 0);
	CHECK_EQ(tuck_atomic(1), 1);
	six(name);
	CHECK_EQ(tuck_atomic(was), 1);
	mark('!');
	count(1);
	mark('.');
}

TEST(atomic_section_is_not_pre_empted)
{
	needs_fifo();
	quantum(2);
	go(atomic_six, (void *)(uintptr_t) "a");
	go_six("b");
	run_out();
	CHECK_TRACE("aaaaaa!bb.bbbb");
}

static void atomic_yield(void *name)
{
	tuck_atomic(1);
	letter(name);
	tuck_yield();
	six(name);
}

TEST(atomic_is_of_one_tasklet)
{
	needs_fifo();
	quantum(2);
	go(atomic_yield, (void *)(uintptr_t) "a");
	go_six("b");
	go_six("c");
	run_out();
	CHECK_TRACE("abbccaaaaaabbccbbcc");
	CHECK_EQ(tuck_atomic(0), 0);
}

TEST(section_that_was_short_enough_gives_nothing_away)
{
	needs_fifo();
	quantum(10);
	go_letter("x");
	tuck_atomic(1);
	count(5);
	tuck_atomic(0);
	count(4);
	CHECK_TRACE("");
	count(1);
	CHECK_TRACE("x");
}

TEST(what_was_due_inside_comes_right_after)
{
	needs_fifo();
	quantum(100);
	go_letter("x");
	tuck_atomic(1);
	count(150);
	tuck_atomic(0);
	CHECK_TRACE("");
	count(1);
	CHECK_TRACE("x");
}

static void on_signal(int sig)
{
	(void)sig;
	CHECK_EQ(tuck_can_switch(), 0);
	count(1000);
}

TEST(not_on_another_stack)
{
	static char stack[65536];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_handler = on_signal,
				    .sa_flags = SA_ONSTACK };

	needs_fifo();
	CHECK_EQ(sigaltstack(&alternate, NULL), 0);
	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	quantum(1000);
	go_letter("x");
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_TRACE("");
	count(64);		/* it is tried again soon */
	CHECK_TRACE("x");
}

static struct tuck_entity *first;

static void busy_ready(void *state, struct tuck_entity *e)
{
	struct tuck_entity **at = &first;

	(void)state;
	count(100);
	CHECK_EQ(tuck_can_switch(), 0);
	while (*at)
		at = (struct tuck_entity **)&(*at)->links[0];
	e->links[0] = NULL;
	*at = e;
}

static tuck_id busy_next(void *state)
{
	struct tuck_entity *e = first;

	(void)state;
	count(100);
	if (e)
		first = e->links[0];
	return e ? e->id : 0;
}

static void busy_removed(void *state, struct tuck_entity *e)
{
	(void)state, (void)e;
	CHECK(0);
}

TEST(not_in_a_policy)
{
	static const struct tuck_policy busy = { "busy",    NULL,
						 NULL,	    busy_ready,
						 busy_next, busy_removed };

	CHECK_EQ(tuck_policy_set(&busy, NULL), 0);
	quantum(3);
	go_six("a");
	go_six("b");
	run_out();
	CHECK_TRACE("aaabbbaaabbb");
}

static int wheres, busy_slot;

static void *busy_where(void)
{
	wheres++;
	count(100);
	return &busy_slot;
}

TEST(not_where_slots_are_carried)
{
	needs_fifo();
	CHECK_EQ(tuck_context_slot_add(sizeof(busy_slot), busy_where), 0);
	quantum(3);
	go_six("a");
	go_six("b");
	run_out();
	/* What they count is the tasklet's, but it goes on until they end. */
	CHECK_EQ(trace_used, 12);
	CHECK(memcmp(trace_text, "aaaa", 4) != 0);
	CHECK(wheres > 8);
}

static void busy_deadlock(void)
{
	CHECK_EQ(tuck_can_switch(), 0);
	go_letter("x");
	count(100);
	mark('d');
}

TEST(not_in_a_deadlock)
{
	tuck_on_deadlock(busy_deadlock);
	quantum(3);
	CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(trace_text[0], 'd');
}

/* -- tuck_run() -- */

static void block(void *name)
{
	letter(name);
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	letter(name);
}

TEST(run_returns_when_nobody_is_ready)
{
	static const char name = 'a';
	tuck_id id = go(block, (void *)(uintptr_t)&name);

	CHECK_EQ(tuck_run(0), 0);
	CHECK_TRACE("a");
	CHECK_EQ(tuck_run(0), 0);
	CHECK_EQ(tuck_run(10), 0);
	CHECK_EQ(tuck_unblock(id), 0);
	CHECK_EQ(tuck_run(10), 0);
	CHECK_TRACE("a");
	CHECK_EQ(tuck_join(id, TUCK_FOREVER), -ESRCH);
	CHECK_EQ(tuck_run(-1), -EINVAL);
}

static void sleep_long(void *arg)
{
	(void)arg;
	tuck_sleep(tuck_after(TUCK_SEC(1000)));
}

static void sleep_short(void *arg)
{
	tuck_sleep(*(tuck_ns *)arg);
	mark('s');
}

TEST(run_does_not_wait_for_time)
{
	tuck_ns soon = tuck_after(TUCK_MS(1));
	tuck_id id = go(sleep_long, NULL);

	go(sleep_short, &soon);
	CHECK_EQ(tuck_run(0), 0);
	while (tuck_now() <= soon)
		;
	CHECK_EQ(tuck_run(0), 0);
	CHECK_TRACE("s");		/* but sees what is due */
	CHECK_EQ(tuck_drop(id), 0);
}

TEST(run_tells_who_used_up_its_ticks)
{
	tuck_id hog = go(spin, NULL), other = go_six("a");
	struct tuck_stats stats;

	CHECK_EQ(tuck_run(7), hog);
	CHECK_EQ(tuck_run(7), 0);
	CHECK_TRACE("aaaaaa");
	CHECK_EQ(tuck_join(other, TUCK_FOREVER), -ESRCH);
	CHECK_EQ(tuck_stats(&stats), 0);
	CHECK_EQ(stats.ready, 0);
	CHECK_EQ(tuck_cancel(hog), 0);
	CHECK_EQ(tuck_run(7), 0);	/* paused still */
	CHECK_EQ(tuck_unblock(hog), 0);
	CHECK_EQ(tuck_run(1000), hog);
	CHECK_EQ(tuck_kill(hog), 0);
	CHECK_EQ(tuck_run(7), 0);
	CHECK_EQ(tuck_join(hog, TUCK_FOREVER), -ESRCH);
}

static void *kill_it(void *arg)
{
	CHECK_EQ(tuck_kill(*(const tuck_id *)arg), 0);
	return NULL;
}

static void be_killed_meanwhile(void *arg)
{
	tuck_id self = tuck_self();

	on_thread(kill_it, &self);
	CHECK_EQ(tuck_unblock(self), 0);
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);	/* sees the post, not waits */
	letter(arg);
	spin(NULL);
}

TEST(one_that_was_killed_while_it_ran_is_not_paused)
{
	static const char name = 'k';
	tuck_id hog = go(be_killed_meanwhile, (void *)(uintptr_t)&name);

	CHECK_EQ(tuck_run(7), 0);
	CHECK_TRACE("k");
	CHECK_EQ(tuck_join(hog, TUCK_NOWAIT), -ESRCH);
}

TEST(run_is_exact)
{
	go_six("a");
	CHECK_EQ(tuck_run(7), 0);
	CHECK_TRACE("aaaaaa");
	go_six("a");
	CHECK(tuck_run(4) > 0);
	CHECK_TRACE("aaaa");
}

TEST(watcher_runs_before_the_others)
{
	tuck_id hog = go(spin, NULL);

	needs_fifo();
	go_letter("x");
	CHECK_EQ(tuck_run(5), hog);
	CHECK_TRACE("");
}

TEST(run_replaces_the_quantum)
{
	tuck_id hog;

	needs_fifo();
	quantum(3);
	hog = go(spin, NULL);
	CHECK_EQ(tuck_run(100), hog);
	CHECK_EQ(tuck_drop(hog), 0);
	go_letter("x");
	count(2);
	CHECK_TRACE("");
	count(1);		/* and gives it back */
	CHECK_TRACE("x");
}

TEST(run_of_nobody_gives_the_quantum_back)
{
	needs_fifo();
	quantum(3);
	CHECK_EQ(tuck_run(100), 0);
	go_letter("x");
	count(3);
	CHECK_TRACE("x");
}

TEST(run_with_no_limit_keeps_the_quantum)
{
	needs_fifo();
	quantum(3);
	go_six("a");
	go_six("b");
	CHECK_EQ(tuck_run(0), 0);
	CHECK_TRACE("aaabbbaaabbb");
}

static void run_inside(void *arg)
{
	*(tuck_id *)arg = tuck_run(5);
}

TEST(only_one_runs_the_others)
{
	tuck_id result = 1;

	go(run_inside, &result);
	CHECK_EQ(tuck_run(0), 0);
	CHECK_EQ(result, -EBUSY);
}

static void run_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		tuck_run(5);
}

TEST(who_runs_the_others_can_be_killed)
{
	tuck_id watcher = go(run_for_ever, NULL), other = go(block, "b");

	needs_fifo();
	tuck_yield();
	CHECK_EQ(tuck_run(0), -EBUSY);
	CHECK_EQ(tuck_kill(watcher), 0);
	CHECK_EQ(tuck_run(0), 0);
	CHECK_EQ(tuck_join(watcher, TUCK_FOREVER), -ESRCH);
	CHECK_EQ(tuck_unblock(other), 0);
	CHECK_EQ(tuck_run(0), 0);
}

static void hog_without_memory(void *arg)
{
	volatile char deep[150000];

	KEEP(deep);
	deep[0] = 1;
	tuck__fault_set(1, 1);
	count(9);
	*(int *)arg = 1;
	count(1);		/* there is no memory to pause it with */
	tuck__fault_set(0, 0);
	*(int *)arg += deep[0];
	for (;;)
		count(1);
}

TEST(run_without_memory)
{
	tuck_id hog, other;
	int got_to = 0;

	needs_fifo();
	use_slots(1);
	other = go(block, "b");
	tuck_yield();
	hog = go(hog_without_memory, &got_to);
	CHECK_EQ(tuck_run(10), -ENOMEM);
	CHECK_EQ(got_to, 2);		/* it went on for ten more */
	CHECK_EQ(tuck_run(10), hog);
	CHECK_EQ(tuck_drop(hog), 0);
	CHECK_EQ(tuck_drop(other), 0);
}
