/* SPDX-License-Identifier: MIT */
/* Groups: members, waits for them, their ends, and inherited deadlines. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "waits.h"

static struct tuck_group *group;

static int give(void *arg)
{
	return (int)(intptr_t)arg;
}

static int give_late(void *arg)
{
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(3))), 0);
	return (int)(intptr_t)arg;
}

static int block(void *arg)
{
	(void)arg;
	return tuck_block(TUCK_FOREVER);
}

static void note(int *count)
{
	(*count)++;
}

static int cleaned;

static void note_cleaned(char *c)
{
	(void)c;
	note(&cleaned);
}

static int give_unblocked(void *arg)
{
	block(arg);
	return (int)(intptr_t)arg;
}

static int block_cleanly(void *arg)
{
	char c __attribute__((__cleanup__(note_cleaned)));

	__asm__ volatile("" : : "r"(&c));
	return block(arg);
}

static tuck_id start(int (*fn)(void *), long arg)
{
	tuck_id id = tuck_group_go(group, fn, (void *)(intptr_t)arg);

	CHECK(id > 0);
	return id;
}

static void new_group(tuck_ns deadline)
{
	CHECK_EQ(tuck_group_new(&group, deadline), 0);
}

static int wait_all(void)
{
	return tuck_group_wait(group, TUCK_GROUP_ALL, TUCK_FOREVER);
}

static uint64_t count_tasklets(void)
{
	struct tuck_stats stats;

	CHECK_EQ(tuck_stats(&stats), 0);
	return stats.tasklets;
}

/* Nothing is left of the test's groups. */
static void end(void)
{
	CHECK_EQ(tuck_group_free(group), 0);
	CHECK_EQ(count_tasklets(), 1);
}

/* -- new, go, count -- */

TEST(wrong_arguments)
{
	struct tuck_group *g = (void *)&at;

	CHECK_EQ(tuck_group_new(NULL, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_group_new(&g, -1), -EINVAL);
	CHECK(g == (void *)&at);
	CHECK_EQ(tuck_group_go(NULL, give, NULL), -EINVAL);
	CHECK_EQ(tuck_group_wait(NULL, TUCK_GROUP_ALL, 0), -EINVAL);
	CHECK_EQ(tuck_group_cancel(NULL), -EINVAL);
	CHECK_EQ(tuck_group_kill(NULL), -EINVAL);
	CHECK_EQ(tuck_group_count(NULL), -EINVAL);
	CHECK_EQ(tuck_group_expired(NULL), -EINVAL);
	CHECK_EQ(tuck_group_free(NULL), 0);
	new_group(TUCK_FOREVER);
	CHECK_EQ(tuck_group_go(group, NULL, NULL), -EINVAL);
	CHECK_EQ(tuck_group_wait(group, 2, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_group_wait(group, TUCK_GROUP_ALL, -1), -EINVAL);
	end();
}

TEST(an_empty_group)
{
	new_group(TUCK_FOREVER);
	CHECK_EQ(tuck_group_count(group), 0);
	CHECK_EQ(tuck_group_wait(group, TUCK_GROUP_ALL, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_group_wait(group, TUCK_GROUP_ERROR, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_group_cancel(group), 0);
	CHECK_EQ(tuck_group_kill(group), 0);
	end();
}

TEST(all_are_waited_for)
{
	new_group(TUCK_FOREVER);
	for (int i = 0; i < 10; i++)
		start(i % 2 ? give : give_late, i);
	CHECK_EQ(tuck_group_count(group), 10);
	CHECK_EQ(tuck_group_wait(group, TUCK_GROUP_ALL, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_group_wait(group, TUCK_GROUP_ALL, 1), -ETIMEDOUT);
	CHECK_EQ(wait_all(), 0);
	CHECK_EQ(tuck_group_count(group), 0);
	start(give_late, 0);
	CHECK_EQ(wait_all(), 0);
	end();
}

static void *meddle(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_group_go(group, give, NULL), -EXDEV);
	CHECK_EQ(tuck_group_expired(group), -EXDEV);
	CHECK_EQ(tuck_group_wait(group, TUCK_GROUP_ALL, 0), -EXDEV);
	CHECK_EQ(tuck_group_cancel(group), -EXDEV);
	CHECK_EQ(tuck_group_kill(group), -EXDEV);
	CHECK_EQ(tuck_group_count(group), -EXDEV);
	CHECK_EQ(tuck_group_free(group), -EXDEV);
	CHECK(tuck_self() > 0);
	CHECK_EQ(tuck_group_count(group), -EXDEV);
	return NULL;
}

TEST(another_proc_may_not)
{
	new_group(TUCK_FOREVER);
	start(block, 0);
	on_thread(meddle, NULL);
	CHECK_EQ(tuck_group_count(group), 1);
	CHECK_EQ(tuck_group_free(group), 0);
}

static int nested[3];

static int start_two(void *arg)
{
	int depth = (int)(intptr_t)arg;

	nested[depth]++;
	if (depth < 2) {
		start(start_two, depth + 1);
		start(start_two, depth + 1);
	}
	tuck_yield();
	return 0;
}

TEST(members_start_members)
{
	new_group(TUCK_FOREVER);
	start(start_two, 0);
	CHECK_EQ(wait_all(), 0);
	CHECK_EQ(nested[0] * 100 + nested[1] * 10 + nested[2], 124);
	end();
}

static int use_own_group(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_group_wait(group, TUCK_GROUP_ALL, TUCK_FOREVER),
		 -EDEADLK);
	CHECK_EQ(tuck_group_free(group), -EDEADLK);
	CHECK_EQ(tuck_group_count(group), 1);
	return 0;
}

TEST(a_member_cannot_wait_for_its_own_group)
{
	new_group(TUCK_FOREVER);
	start(use_own_group, 0);
	CHECK_EQ(wait_all(), 0);
	end();
}

/* -- errors -- */

TEST(the_first_error_is_kept)
{
	tuck_id late;

	needs_fifo();
	new_group(TUCK_FOREVER);
	start(block, 0);
	late = start(give_unblocked, -5);
	start(give, 7);
	start(give, -3);
	CHECK_EQ(tuck_group_wait(group, TUCK_GROUP_ERROR, TUCK_FOREVER), -3);
	CHECK_EQ(tuck_group_count(group), 2);
	CHECK_EQ(tuck_group_wait(group, TUCK_GROUP_ERROR, TUCK_FOREVER), -3);
	CHECK_EQ(tuck_unblock(late), 0);
	CHECK_EQ(tuck_group_wait(group, TUCK_GROUP_ALL,
				 tuck_after(TUCK_MS(10))),
		 -ETIMEDOUT);
	CHECK_EQ(tuck_group_count(group), 1);
	CHECK_EQ(tuck_group_free(group), -3);
	CHECK_EQ(count_tasklets(), 1);
}

static void wait_for(void *until)
{
	static const char *const letters[] = { "A", "E" };
	int u = (int)(intptr_t)until;

	CHECK_EQ(tuck_group_wait(group, (enum tuck_group_wait)u, TUCK_FOREVER),
		 -3);
	mark(*letters[u]);
}

/* Who waits for all is not disturbed by an error. */
TEST(two_who_wait_for_different_ends)
{
	tuck_id last;

	new_group(TUCK_FOREVER);
	last = start(block, 0);
	go(wait_for, (void *)TUCK_GROUP_ALL);
	go(wait_for, (void *)TUCK_GROUP_ERROR);
	start(give_late, -3);
	while (tuck_group_count(group) == 2)
		tuck_sleep(tuck_after(TUCK_MS(1)));
	calm();
	CHECK_TRACE("E");
	CHECK_EQ(tuck_unblock(last), 0);
	calm();
	CHECK_TRACE("A");
	CHECK_EQ(tuck_group_free(group), -3);
}

static int exit_early(void *arg)
{
	(void)arg;
	tuck_exit();
}

static void exit_now(void *arg)
{
	(void)arg;
	tuck_exit();
}

static int exit_in_cleanup(void *arg)
{
	CHECK_EQ(tuck_defer(exit_now, NULL), 0);
	return (int)(intptr_t)arg;
}

TEST(how_a_member_ended)
{
	new_group(TUCK_FOREVER);
	start(exit_early, 0);
	CHECK_EQ(wait_all(), 0);
	start(exit_in_cleanup, -9);
	CHECK_EQ(wait_all(), -9);
	CHECK_EQ(tuck_group_free(group), -9);

	new_group(TUCK_FOREVER);
	CHECK_EQ(tuck_cancel(start(block, 0)), 0);
	CHECK_EQ(wait_all(), -ECANCELED);
	CHECK_EQ(tuck_group_free(group), -ECANCELED);

	new_group(TUCK_FOREVER);
	CHECK_EQ(tuck_kill(start(block, 0)), 0);	/* a new one */
	CHECK_EQ(wait_all(), -ECANCELED);
	CHECK_EQ(tuck_group_free(group), -ECANCELED);
}

TEST(a_killed_or_dropped_member_is_an_error)
{
	tuck_id id;

	new_group(TUCK_FOREVER);
	id = start(block_cleanly, 0);
	calm();
	CHECK_EQ(tuck_kill(id), 0);
	CHECK_EQ(wait_all(), -ECANCELED);
	CHECK_EQ(cleaned, 1);
	CHECK_EQ(tuck_group_free(group), -ECANCELED);

	new_group(TUCK_FOREVER);
	id = start(block_cleanly, 0);
	calm();
	CHECK_EQ(tuck_drop(id), 0);
	CHECK_EQ(wait_all(), -ECANCELED);
	CHECK_EQ(cleaned, 1);
	CHECK_EQ(tuck_group_free(group), -ECANCELED);
}

/* -- cancel and kill -- */

static void fill_group(int n)
{
	for (int i = 0; i < n; i++)
		start(block_cleanly, 0);
	calm();
	start(block_cleanly, 0);	/* has not started */
}

TEST(cancel)
{
	new_group(TUCK_FOREVER);
	fill_group(10);
	CHECK_EQ(tuck_group_cancel(group), 0);
	CHECK_EQ(tuck_group_cancel(group), 0);
	CHECK_EQ(tuck_group_go(group, give, NULL), -ECANCELED);
	CHECK_EQ(wait_all(), 0);	/* no error: it was meant */
	CHECK_EQ(cleaned, 11);
	end();
}

TEST(kill)
{
	new_group(TUCK_FOREVER);
	fill_group(10);
	CHECK_EQ(tuck_group_kill(group), 0);
	CHECK_EQ(tuck_group_count(group), 10);
	CHECK_EQ(tuck_group_kill(group), 0);
	CHECK_EQ(tuck_group_go(group, give, NULL), -ECANCELED);
	CHECK_EQ(wait_all(), 0);
	CHECK_EQ(cleaned, 10);
	end();
}

static int kill_all(void *arg)
{
	char c __attribute__((__cleanup__(note_cleaned)));

	__asm__ volatile("" : : "r"(&c));
	(void)arg;
	tuck_group_kill(group);
	CHECK(!"reached");
	return 0;
}

TEST(a_member_kills_its_group)
{
	new_group(TUCK_FOREVER);
	fill_group(5);
	start(kill_all, 0);
	start(block, 0);
	CHECK_EQ(wait_all(), 0);
	CHECK(cleaned >= 6);
	end();
}

static void kill_group_now(void)
{
	CHECK_EQ(tuck_group_kill(group), 0);
}

/* The one that noticed the deadlock is a member. */
TEST(killed_by_the_deadlock_callback)
{
	new_group(TUCK_FOREVER);
	start(block_cleanly, 0);
	CHECK_EQ(tuck_on_deadlock(kill_group_now), 0);
	CHECK_EQ(wait_all(), -EDEADLK);
	CHECK_EQ(wait_all(), 0);
	CHECK_EQ(cleaned, 1);
	end();
}

static void *kill_members(void *arg)
{
	tuck_id *ids = arg;

	for (int i = 0; i < 50; i++)
		tuck_kill(ids[i]);
	return NULL;
}

/* Posted kills that arrive while the group is killed. */
TEST(kills_from_two_sides)
{
	tuck_id ids[50];

	for (int round = 0; round < 30; round++) {
		new_group(TUCK_FOREVER);
		for (int i = 0; i < 50; i++)
			ids[i] = start(block, 0);
		on_thread(kill_members, ids);
		CHECK_EQ(tuck_group_kill(group), 0);
		CHECK_EQ(wait_all(), 0);
		end();
	}
}

/* -- free -- */

static int clean_slowly(void *arg)
{
	char c __attribute__((__cleanup__(note_cleaned)));

	CHECK_EQ(tuck_defer(block_for_ever, NULL), 0);
	tuck_undefer(0);
	__asm__ volatile("" : : "r"(&c));
	return block(arg);
}

static void sleep_a_while(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(5))), 0);
	cleaned++;
}

static int begun;

static int end_slowly(void *arg)
{
	CHECK_EQ(tuck_defer(sleep_a_while, NULL), 0);
	begun++;
	return block(arg);
}

static void await_begun(int n)
{
	while (begun < n)
		tuck_yield();
	begun = 0;
}

TEST(free_waits_for_the_cleanups)
{
	new_group(TUCK_FOREVER);
	start(end_slowly, 0);
	start(end_slowly, 0);
	start(clean_slowly, 0);
	calm();
	CHECK_EQ(tuck_group_free(group), 0);
	CHECK_EQ(cleaned, 3);
	CHECK_EQ(count_tasklets(), 1);
}

static void free_it(void *g)
{
	CHECK_EQ(tuck_group_free(g), 0);
	CHECK_EQ(cleaned, 2);
	mark('f');
}

static void make_and_block(void *arg)
{
	(void)arg;
	new_group(TUCK_FOREVER);
	CHECK_EQ(tuck_defer(free_it, group), 0);
	start(end_slowly, 0);
	start(end_slowly, 0);
	await_begun(2);
	mark('b');
	if (arg)
		tuck_block(TUCK_FOREVER);
}

TEST(a_maker_that_is_killed_takes_its_group_along)
{
	tuck_id id = go(make_and_block, &at);

	calm();
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_TRACE("bf");
	CHECK_EQ(count_tasklets(), 1);
	cleaned = 0;
	finish(go(make_and_block, NULL));
	CHECK_TRACE("bf");
	CHECK_EQ(count_tasklets(), 1);
}

static int released;

static void await_release(void *arg)
{
	(void)arg;
	while (!released)
		CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(1))), 0);
	cleaned++;
}

static int end_when_released(void *arg)
{
	CHECK_EQ(tuck_defer(await_release, NULL), 0);
	return block(arg);
}

/* It was cancelled before, and while it waits for the ends. */
static void free_cancelled(void *arg)
{
	new_group(TUCK_FOREVER);
	start(end_when_released, 0);
	calm();
	if (arg)
		CHECK_EQ(tuck_cancel(tuck_self()), 0);
	mark('(');
	CHECK_EQ(tuck_group_free(group), 0);
	CHECK_EQ(cleaned, 1);
	CHECK_EQ(tuck_block(TUCK_FOREVER), -ECANCELED);
	mark(')');
}

static void check_free_cancelled(void *early)
{
	tuck_id id = go(free_cancelled, early);

	while (!trace_used)
		tuck_sleep(tuck_after(TUCK_MS(1)));
	CHECK_EQ(tuck_cancel(id), 0);
	settle();
	CHECK_TRACE("(");
	released = 1;
	finish(id);
	CHECK_TRACE(")");
	cleaned = released = 0;
}

TEST(free_by_a_cancelled_one)
{
	check_free_cancelled(&at);
	check_free_cancelled(NULL);
}

static void free_and_be_killed(void *arg)
{
	char c __attribute__((__cleanup__(note_cleaned)));

	(void)arg;
	new_group(TUCK_FOREVER);
	start(end_when_released, 0);
	calm();
	mark('(');
	tuck_group_free(group);
	mark(')');
	__asm__ volatile("" : : "r"(&c));
}

/* The kill waits until the members have ended. */
TEST(killed_in_free)
{
	tuck_id id = go(free_and_be_killed, NULL);

	while (!trace_used)
		tuck_sleep(tuck_after(TUCK_MS(1)));
	CHECK_EQ(tuck_kill(id), 0);
	settle();
	CHECK_EQ(cleaned, 0);
	released = 1;
	finish(id);
	CHECK_EQ(cleaned, 2);
	CHECK_TRACE("(");
	CHECK_EQ(count_tasklets(), 1);
}

static void wait_and_mark(void *arg)
{
	(void)arg;
	CHECK_EQ(wait_all(), 0);
	mark('w');
}

/* Whoever still waits learns of the end, and does not touch the group. */
TEST(freed_while_others_wait)
{
	tuck_id id;

	new_group(TUCK_FOREVER);
	start(end_slowly, 0);
	calm();
	id = go(wait_and_mark, NULL);
	calm();
	CHECK_EQ(tuck_group_free(group), 0);
	finish(id);
	CHECK_TRACE("w");
}

TEST(waits_for_a_group_that_end_early)
{
	tuck_id id;

	new_group(TUCK_FOREVER);
	start(block, 0);
	id = go(wait_and_mark, NULL);
	calm();
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	id = go(wait_and_mark, NULL);
	calm();
	CHECK_EQ(tuck_drop(id), 0);
	CHECK_EQ(tuck_group_free(group), 0);
	CHECK_TRACE("");
	CHECK_EQ(count_tasklets(), 1);
}

static tuck_id waker;

static void unblock_waker(void *arg)
{
	(void)arg;
	for (;;)
		tuck_block(TUCK_FOREVER);
}

/* Without memory to wait, the group stays, and can be freed later. */
static __attribute__((noinline)) int free_without_memory(void)
{
	volatile char pad[100000];	/* mapped on its own, so it can fail */
	int r;

	KEEP(pad);
	pad[17] = 1;
	tuck__fault_set(1, 1);
	r = tuck_group_free(group);
	tuck__fault_set(0, 0);
	CHECK(pad[17]);
	return r;
}

static void free_starved(void *arg)
{
	(void)arg;
	new_group(TUCK_FOREVER);
	start(block, 0);
	calm();
	CHECK_EQ(free_without_memory(), -ENOMEM);
	CHECK_EQ(tuck_group_count(group), 1);
	CHECK_EQ(tuck_group_free(group), 0);
	mark('f');
}

TEST(free_without_memory_to_wait)
{
	share_slots(1);
	waker = go(unblock_waker, NULL);
	calm();
	finish(go(free_starved, NULL));
	CHECK_TRACE("f");
	CHECK_EQ(tuck_drop(waker), 0);
}

static int never_end(void *arg)
{
	CHECK_EQ(tuck_defer(block_for_ever, NULL), 0);
	return block(arg);
}

static void ignore_deadlock(void)
{
	cleaned++;
}

/* A member whose cleanup waits for nobody. */
TEST(free_that_nothing_can_end)
{
	tuck_id id;

	CHECK_EQ(tuck_on_deadlock(ignore_deadlock), 0);
	new_group(TUCK_FOREVER);
	id = start(never_end, 0);
	calm();
	CHECK_EQ(tuck_group_free(group), -EDEADLK);
	CHECK_EQ(cleaned, 1);
	CHECK_EQ(tuck_group_count(group), 1);
	CHECK_EQ(tuck_drop(id), 0);
	end();
}

/* -- deadlines -- */

static const struct wait *the_wait;

/* In the group's time, and in its own. */
static int expire(void *arg)
{
	tuck_ns deadline = arg ? tuck_after(TUCK_SEC(100)) : TUCK_FOREVER;
	int r = the_wait->fn(deadline);

	if (r != -ETIME)
		check_fail(CHECK_AT, "%s: %d", the_wait->name, r);
	return the_wait->fn(TUCK_FOREVER);
}

static int expire_alone(void *arg)
{
	int r = the_wait->fn(tuck_after(TUCK_MS(1)));

	(void)arg;
	if (the_wait->fn == wait_transfer)
		CHECK_EQ(r, -ETIME);
	else if (r != (the_wait->fn == wait_sleep ? 0 : -ETIMEDOUT))
		check_fail(CHECK_AT, "%s: %d", the_wait->name, r);
	return 0;
}

static void run_in_time(tuck_ns span, int (*fn)(void *), void *arg, int result)
{
	int fds = count_fds();

	new_group(tuck_after(span));
	start(fn, (long)(intptr_t)arg);
	CHECK_EQ(wait_all(), result);
	CHECK_EQ(tuck_group_free(group), result);
	WAIT_FOR(count_fds() == fds);	/* the reaper has one */
}

static void expire_in_all(void)
{
	set_up_waits();
	for (the_wait = waits; the_wait < waits + WAITS; the_wait++) {
		run_in_time(TUCK_MS(2), expire, NULL, -ETIME);
		run_in_time(TUCK_MS(2), expire, &at, -ETIME);
		if (the_wait->fn != wait_transfer)
			run_in_time(TUCK_SEC(50), expire_alone, NULL, 0);
	}
	tear_down_waits();
}

TEST(every_wait_tells_whose_deadline_it_was)
{
	expire_in_all();
}

TEST(every_wait_tells_whose_deadline_it_was_tucked)
{
	share_slots(1);
	expire_in_all();
}

static int wait_until_then(void *deadline)
{
	CHECK_EQ(tuck_block(*(tuck_ns *)deadline), -ETIMEDOUT);
	return 0;
}

TEST(equal_deadlines_count_as_the_waits_own)
{
	tuck_ns deadline = tuck_after(TUCK_MS(2));

	new_group(deadline);
	CHECK(tuck_group_go(group, wait_until_then, &deadline) > 0);
	CHECK_EQ(wait_all(), 0);
	end();
}

/* Late already: each wait ends, what needs none goes. */
static int work_late(void *arg)
{
	struct tuck_chan *c = tuck_chan_new(4, 1);

	(void)arg;
	CHECK_EQ(tuck_block(TUCK_FOREVER), -ETIME);
	CHECK_EQ(tuck_chan_send(c, &(int){ 1 }, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_chan_send(c, &(int){ 1 }, TUCK_FOREVER), -ETIME);
	CHECK_EQ(tuck_chan_send(c, &(int){ 1 }, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_SEC(9))), -ETIME);
	tuck_chan_free(c);
	return 0;
}

TEST(late_members_work_without_waits)
{
	new_group(1);
	start(work_late, 0);
	CHECK_EQ(wait_all(), 0);
	end();
}

static void clean_late(void *arg)
{
	struct tuck_group *g;

	(void)arg;
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(2))), 0);
	CHECK_EQ(tuck_group_new(&g, TUCK_FOREVER), 0);
	CHECK(tuck_group_go(g, give_late, NULL) > 0);
	CHECK_EQ(tuck_group_wait(g, TUCK_GROUP_ALL, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_group_free(g), 0);
	mark('c');
}

static int end_late(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_defer(clean_late, NULL), 0);
	CHECK_EQ(tuck_block(TUCK_FOREVER), -ETIME);
	return 0;
}

TEST(cleanups_are_not_bound_to_the_deadline)
{
	new_group(tuck_after(TUCK_MS(1)));
	start(end_late, 0);
	CHECK_EQ(wait_all(), 0);
	CHECK_TRACE("c");
	end();
}

/* Until then the inner group can be late only by its own deadline. */
static tuck_ns at_most;

/* The inner group has the earlier of both deadlines. */
static int nest(void *arg)
{
	struct tuck_group *inner;
	int r;

	CHECK_EQ(tuck_group_new(&inner, *(tuck_ns *)arg), 0);
	CHECK(tuck_group_go(inner, block, NULL) > 0);
	r = tuck_group_wait(inner, TUCK_GROUP_ALL, TUCK_FOREVER);
	CHECK_EQ(r, -ETIME);
	CHECK_EQ(tuck_group_expired(inner), tuck_now() < at_most);
	return tuck_group_free(inner) == 0 ? r : -ETIME;
}

/* Late itself, it waits for its member's cleanups all the same. */
static int free_inner(void *arg)
{
	struct tuck_group *inner;

	CHECK_EQ(tuck_group_new(&inner, *(tuck_ns *)arg), 0);
	CHECK(tuck_group_go(inner, end_slowly, NULL) > 0);
	await_begun(1);
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_SEC(90))), -ETIME);
	tuck_group_free(inner);
	CHECK_EQ(cleaned, 1);
	return 0;
}

TEST(nested_deadlines)
{
	tuck_ns soon = tuck_after(TUCK_MS(5)), late = tuck_after(TUCK_SEC(90));

	/* the outer one is earlier: both wait past it */
	new_group(soon);
	CHECK(tuck_group_go(group, nest, &late) > 0);
	CHECK_EQ(wait_all(), -ETIME);
	CHECK_EQ(tuck_group_free(group), -ETIME);
	/* the inner one is: only its member is late */
	soon = tuck_after(TUCK_MS(5));
	at_most = late;
	new_group(late);
	CHECK(tuck_group_go(group, nest, &soon) > 0);
	CHECK_EQ(wait_all(), -ETIME);
	CHECK_EQ(tuck_group_free(group), -ETIME);
	new_group(tuck_after(TUCK_MS(1)));
	CHECK(tuck_group_go(group, free_inner, &late) > 0);
	CHECK_EQ(wait_all(), 0);
	CHECK_EQ(cleaned, 1);
	end();
}

static int block_in_inner(void *arg)
{
	CHECK_EQ(tuck_block(TUCK_FOREVER), -ETIME);
	*(tuck_ns *)arg = tuck_now();
	return 0;
}

static tuck_ns ended_at;

static int make_longer(void *arg)
{
	struct tuck_group *inner;

	(void)arg;
	CHECK_EQ(tuck_group_new(&inner, TUCK_FOREVER), 0);
	CHECK(tuck_group_go(inner, block_in_inner, &ended_at) > 0);
	/* cleanups of members run on, so the wait is not for them */
	while (tuck_group_count(inner) > 0)
		tuck_yield();
	CHECK_EQ(tuck_group_free(inner), 0);
	return 0;
}

TEST(an_inner_group_inherits)
{
	tuck_ns deadline = tuck_after(TUCK_MS(5));

	new_group(deadline);
	start(make_longer, 0);
	CHECK_EQ(wait_all(), 0);
	CHECK(ended_at >= deadline);
	end();
}

/* -- many -- */

#define MANY (UNDER_TSAN ? 1000 : 5000)

TEST_LIMIT(thousands, 60)
{
	share_slots(4);
	for (int round = 0; round < 3; round++) {
		cleaned = 0;
		new_group(round ? tuck_after(TUCK_SEC(100)) : TUCK_FOREVER);
		for (int i = 0; i < MANY; i++)
			start(block_cleanly, 0);
		calm();
		if (round == 1)
			CHECK_EQ(tuck_group_cancel(group), 0);
		CHECK_EQ(tuck_group_free(group), 0);
		CHECK_EQ(cleaned, MANY);
		CHECK_EQ(count_tasklets(), 1);
	}
}
