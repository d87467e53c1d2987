/* SPDX-License-Identifier: MIT */
/* Waiting and waking: sleep, block, unblock, transfer, join, deadlock. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <tuck.h>
#include <tuck/ctx.h>

#include "trace.h"

static int done;

static tuck_ns in_ms(int n)
{
	return tuck_after(PATIENCE * TUCK_MS(n));
}

static void yield_times(int n)
{
	while (n-- > 0)
		tuck_yield();
}

/* -- sleep -- */

TEST(sleep_lasts_until_its_deadline)
{
	for (int i = 1; i < 20; i += 3) {
		tuck_ns deadline = in_ms(i);

		CHECK_EQ(tuck_sleep(deadline), 0);
		CHECK(tuck_now() >= deadline);
		CHECK(tuck_now() < deadline + TUCK_SEC(20));
	}
}

TEST(sleep_refuses_a_negative_deadline)
{
	CHECK_EQ(tuck_sleep(-1), -EINVAL);
	CHECK_EQ(tuck_sleep(INT64_MIN), -EINVAL);
}

TEST(sleep_until_the_past_only_yields)
{
	needs_fifo();
	go_letter("a");
	CHECK_EQ(tuck_sleep(TUCK_NOWAIT), 0);
	CHECK_TRACE("a");
	go_letter("b");
	CHECK_EQ(tuck_sleep(1), 0);
	CHECK_TRACE("b");
	go_letter("c");
	CHECK_EQ(tuck_sleep(tuck_now()), 0);
	CHECK_TRACE("c");
}

struct sleeper {
	tuck_ns after;		/* when the first one wakes */
	char name;
	tuck_ns deadline;
};

static void sleeper(void *arg)
{
	const struct sleeper *s = arg;

	CHECK_EQ(tuck_sleep(s->deadline), 0);
	CHECK(tuck_now() >= s->deadline);
	mark(s->name);
}

/* Once more where the first is late before the last one sleeps. */
static void check_sleepers(struct sleeper *s, int n, const char *want)
{
	tuck_ns start, lead = PATIENCE * TUCK_MS(25);

	needs_fifo();
	do {
		lead *= 2;
		start = tuck_after(lead);
		trace_used = 0;
		for (int i = 0; i < n; i++) {
			s[i].deadline = start + s[i].after;
			go(sleeper, &s[i]);
		}
		tuck_yield();
	} while (tuck_now() >= start &&
		 tuck_sleep(tuck_after(TUCK_MS(1))) == 0);
	CHECK_EQ(tuck_sleep(start + TUCK_MS(1)), 0);
	CHECK_TRACE(want);
}

TEST(sleepers_wake_in_the_order_of_deadlines)
{
	static const int order[] = { 5, 2, 7, 0, 6, 3, 1, 4 };
	struct sleeper s[8];

	for (int i = 0; i < 8; i++)
		s[i] = (struct sleeper){ .after = order[i] * TUCK_US(50),
					 .name = (char)('0' + order[i]) };
	check_sleepers(s, 8, "01234567");
}

TEST(equal_deadlines_wake_in_the_order_of_calls)
{
	struct sleeper s[60];
	char want[61] = "";

	for (int i = 0; i < 60; i++) {
		want[i] = (char)('A' + i);
		s[i] = (struct sleeper){ .name = want[i] };
	}
	check_sleepers(s, 60, want);
}

static void end_soon(void *arg)
{
	CHECK_EQ(tuck_sleep(in_ms(2)), 0);
	*(int *)arg = 1;
}

TEST(sleepers_are_not_starved_by_the_ready)
{
	int ended = 0;

	go(end_soon, &ended);
	while (!ended)
		tuck_yield();
}

static void sleep_and_note(void *arg)
{
	CHECK_EQ(tuck_sleep(in_ms(10)), 0);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);
	(*(int *)arg)++;
}

TEST(unblock_does_not_end_a_sleep)
{
	tuck_ns start = tuck_now();
	tuck_id id = go(sleep_and_note, &done);

	tuck_yield();
	CHECK_EQ(tuck_unblock(id), 0);
	CHECK_EQ(tuck_unblock(id), 0);
	CHECK_EQ(tuck_join(id, TUCK_FOREVER), 0);
	CHECK(tuck_now() >= start + TUCK_MS(10));
	CHECK_EQ(done, 1);
}

/* -- block and unblock -- */

static void block_once(void *name)
{
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	letter(name);
}

TEST(unblock_appends)
{
	tuck_id id;

	needs_fifo();
	id = go(block_once, "t");
	tuck_yield();
	go_letter("a");
	CHECK_EQ(tuck_unblock(id), 0);
	go_letter("b");
	CHECK_TRACE("");
	tuck_yield();
	CHECK_TRACE("atb");
}

TEST(early_unblock_is_remembered_once)
{
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_unblock(tuck_self()), 0);
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_unblock(tuck_self()), 0);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_block(in_ms(1)), -ETIMEDOUT);
}

TEST(remembered_unblock_does_not_switch)
{
	needs_fifo();
	go_letter("a");
	CHECK_EQ(tuck_unblock(tuck_self()), 0);
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	CHECK_TRACE("");
	tuck_yield();
	CHECK_TRACE("a");
}

static void block_now(void *arg)
{
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);
	(*(int *)arg)++;
}

TEST(unblock_before_the_start_is_remembered)
{
	tuck_id id = go(block_now, &done);

	CHECK_EQ(tuck_unblock(id), 0);
	CHECK_EQ(tuck_unblock(id), 0);
	CHECK_EQ(tuck_join(id, in_ms(1000)), 0);
	CHECK_EQ(done, 1);
}

TEST(a_second_unblock_of_one_woken_is_for_its_next_block)
{
	tuck_id id = go(sleep_and_note, &done);

	let_others_wait();
	tuck_drop(id);
	id = go(block_once, "x");
	let_others_wait();
	CHECK_EQ(tuck_unblock(id), 0);
	CHECK_EQ(tuck_join(id, TUCK_FOREVER), 0);
	CHECK_TRACE("x");
}

TEST(block_times_out)
{
	tuck_ns deadline = in_ms(3);

	CHECK_EQ(tuck_block(deadline), -ETIMEDOUT);
	CHECK(tuck_now() >= deadline);
	CHECK_EQ(tuck_block(1), -ETIMEDOUT);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_block(-1), -EINVAL);
}

static void unblock_it(void *arg)
{
	CHECK_EQ(tuck_unblock(*(tuck_id *)arg), 0);
}

/* The timer of a wait that ended otherwise is gone. */
TEST(block_forgets_its_timer)
{
	tuck_id self = tuck_self();

	for (int i = 0; i < 2000; i++) {
		go(unblock_it, &self);
		if (tuck_block(in_ms(1)) == -ETIMEDOUT)
			CHECK_EQ(tuck_block(TUCK_FOREVER), 0);	/* a stall */
	}
	CHECK_EQ(tuck_sleep(in_ms(5)), 0);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);
}

TEST(timed_out_wait_leaves_no_trace)
{
	tuck_id id = go(block_now, &done);

	let_others_wait();
	CHECK_EQ(tuck_join(id, in_ms(1)), -ETIMEDOUT);
	CHECK_EQ(tuck_unblock(id), 0);
	let_others_wait();
	CHECK_EQ(done, 1);
	CHECK_EQ(tuck_block(in_ms(1)), -ETIMEDOUT);
}

static void *unblock_from_thread(void *arg)
{
	unblock_it(arg);
	return NULL;
}

TEST(any_thread_may_unblock)
{
	tuck_id self = tuck_self();
	pthread_t thread;

	keep_hope();
	for (int i = 0; i < 200; i++) {
		CHECK_EQ(pthread_create(&thread, NULL, unblock_from_thread,
					&self),
			 0);
		CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);
	}
}

/* -- transfer -- */

static void back_to(void *arg)
{
	mark('t');
	CHECK_EQ(tuck_transfer(*(tuck_id *)arg), 0);
	mark('u');
}

TEST(transfer_runs_the_target_before_the_ready)
{
	tuck_id self = tuck_self(), id;

	needs_fifo();
	go_letter("a");
	id = go(back_to, &self);
	go_letter("b");
	CHECK_EQ(tuck_transfer(id), 0);
	mark('m');
	CHECK_TRACE("tm");
	tuck_yield();
	CHECK_TRACE("ab");
	CHECK_EQ(tuck_unblock(id), 0);
	tuck_yield();
	CHECK_TRACE("u");
}

TEST(transfer_to_one_that_blocks)
{
	tuck_id self = tuck_self(), id;

	needs_fifo();
	id = go(block_once, "t");
	tuck_yield();
	go_letter("a");
	go(unblock_it, &self);
	go_letter("b");
	CHECK_EQ(tuck_transfer(id), 0);
	CHECK_TRACE("tab");	/* its end lets the head run */
}

TEST(transfer_starts_a_paused_one)
{
	struct tuck_attr attr = { .paused = 1 };
	tuck_id self = tuck_self(), id;

	id = tuck_go_with(&attr, back_to, &self);
	CHECK_EQ(tuck_transfer(id), 0);
	CHECK_TRACE("t");
	CHECK_EQ(tuck_drop(id), 0);
}

static void return_transfers(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		done++;
		CHECK_EQ(tuck_transfer(*(tuck_id *)arg), 0);
	}
}

static void check_ping_pong(void)
{
	tuck_id self = tuck_self(), id = go(return_transfers, &self);

	for (int i = 1; i <= 1000; i++) {
		CHECK_EQ(tuck_transfer(id), 0);
		CHECK_EQ(done, i);
	}
	CHECK_EQ(tuck_drop(id), 0);
}

TEST(transfer_back_and_forth)
{
	check_ping_pong();
}

static void pass_on(void *arg)
{
	tuck_id *next = arg;

	for (int i = 0; i < 100; i++) {
		done++;
		CHECK_EQ(tuck_transfer(next[1]), 0);
	}
}

TEST(transfer_in_a_ring_on_one_stack)
{
	tuck_id ring[12];

	use_slots(1);
	for (int i = 0; i < 11; i++)
		ring[i] = go(pass_on, &ring[i]);
	ring[11] = tuck_self();
	for (int i = 1; i <= 100; i++) {
		CHECK_EQ(tuck_transfer(ring[0]), 0);
		CHECK_EQ(done, 11 * i);
	}
}

TEST(transfer_uses_up_a_remembered_unblock)
{
	tuck_id id;

	needs_fifo();
	id = go(block_once, "t");
	tuck_yield();
	go_letter("a");
	CHECK_EQ(tuck_unblock(tuck_self()), 0);
	CHECK_EQ(tuck_transfer(id), 0);
	CHECK_TRACE("");
	tuck_yield();
	CHECK_TRACE("at");
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);
}

static void wait_in_sleep(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_sleep(in_ms(20)), 0);
}

static void wait_in_join(void *arg)
{
	CHECK_EQ(tuck_join(*(tuck_id *)arg, TUCK_FOREVER), 0);
}

static void wait_in_recv(void *arg)
{
	CHECK_EQ(tuck_chan_recv(arg, NULL, in_ms(20)), -ETIMEDOUT);
}

TEST(transfer_refuses_whom_it_cannot_run)
{
	struct tuck_chan *chan = tuck_chan_new(0, 0);
	tuck_id id[3];

	id[0] = go(wait_in_sleep, NULL);
	id[1] = go(wait_in_join, &id[0]);
	id[2] = go(wait_in_recv, chan);
	let_others_wait();
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_transfer(id[i]), -EINVAL);
	CHECK_EQ(tuck_transfer(tuck_self()), -EINVAL);
	for (int i = 0; i < 3; i++) {
		int r = tuck_join(id[i], TUCK_FOREVER);

		CHECK(r == 0 || r == -ESRCH);
		CHECK_EQ(tuck_transfer(id[i]), -ESRCH);
	}
	tuck_chan_free(chan);
}

/* -- join -- */

static void joiner(void *arg)
{
	tuck_id *id = arg;

	CHECK_EQ(tuck_join(*id, TUCK_FOREVER), 0);
	mark('j');
	CHECK_EQ(tuck_join(*id, TUCK_FOREVER), -ESRCH);
	done++;
}

TEST(join_wakes_all_joiners)
{
	tuck_id id = go(block_once, "t");

	for (int i = 0; i < 10; i++)
		go(joiner, &id);
	let_others_wait();
	CHECK_TRACE("");
	CHECK_EQ(tuck_unblock(id), 0);
	CHECK_EQ(tuck_join(id, TUCK_FOREVER), 0);
	let_others_wait();
	CHECK_EQ(done, 10);
	CHECK_TRACE("tjjjjjjjjjj");
}

struct joined {
	tuck_id id;
	char name;
};

static void named_joiner(void *arg)
{
	struct joined *j = arg;

	CHECK_EQ(tuck_join(j->id, TUCK_FOREVER), 0);
	mark(j->name);
}

TEST(joiners_are_appended_in_their_order)
{
	struct joined j[3];
	tuck_id id;

	needs_fifo();
	id = go(block_once, "t");
	for (int i = 0; i < 3; i++) {
		j[i] = (struct joined){ id, (char)('1' + i) };
		go(named_joiner, &j[i]);
	}
	tuck_yield();
	CHECK_EQ(tuck_unblock(id), 0);
	go_letter("a");
	tuck_yield();
	CHECK_TRACE("ta");
	tuck_yield();
	CHECK_TRACE("123");
}

TEST(join_errors)
{
	tuck_id id = go(block_now, &done);

	CHECK_EQ(tuck_join(tuck_self(), TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_join(id, -1), -EINVAL);
	CHECK_EQ(tuck_join(id, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_join(id, 1), -ETIMEDOUT);
	CHECK_EQ(tuck_join(id, in_ms(2)), -ETIMEDOUT);
	CHECK_EQ(tuck_unblock(id), 0);
	CHECK_EQ(tuck_join(id, in_ms(1000)), 0);
	CHECK_EQ(tuck_join(id, TUCK_FOREVER), -ESRCH);
	CHECK_EQ(tuck_join(id, TUCK_NOWAIT), -ESRCH);
}

static void join_self(void *arg)
{
	CHECK_EQ(tuck_join(tuck_self(), tuck_after(TUCK_MS(50))), -EDEADLK);
	CHECK_EQ(tuck_join(tuck_self(), TUCK_NOWAIT), -EDEADLK);
	(*(int *)arg)++;
}

TEST(join_of_oneself_is_refused_in_any_tasklet)
{
	go(join_self, &done);
	let_others_wait();
	CHECK_EQ(done, 1);
}

static void join_in_vain(void *arg)
{
	CHECK_EQ(tuck_join(*(tuck_id *)arg, in_ms(1)), -ETIMEDOUT);
	done++;
}

TEST(joiners_that_gave_up_are_forgotten)
{
	tuck_id id = go(block_once, "t");

	for (int i = 0; i < 20; i++)
		go(i % 2 ? joiner : join_in_vain, &id);
	while (done < 10)
		CHECK_EQ(tuck_sleep(in_ms(1)), 0);
	let_others_wait();
	CHECK_EQ(done, 10);
	CHECK_EQ(tuck_unblock(id), 0);
	let_others_wait();
	CHECK_EQ(done, 20);
}

/* -- deadlock -- */

static void fn_block(void *arg)
{
	(void)arg;
	tuck_block(TUCK_FOREVER);
}

static void fn_sleep(void *arg)
{
	(void)arg;
	tuck_sleep(TUCK_FOREVER);
}

static void fn_send(void *arg)
{
	tuck_chan_send(arg, NULL, TUCK_FOREVER);
}

static void fn_recv(void *arg)
{
	tuck_chan_recv(arg, NULL, TUCK_FOREVER);
}

static void fn_join(void *arg)
{
	tuck_join(*(tuck_id *)arg, TUCK_FOREVER);
}

static void fn_select(void *arg)
{
	struct tuck_case cases[] = { { arg, TUCK_RECV, NULL, 0 },
				     { arg, TUCK_RECV, NULL, 0 } };

	tuck_select(cases, 2, TUCK_FOREVER);
}

static tuck_id go_named(const char *name, int paused, void (*fn)(void *),
			void *arg)
{
	struct tuck_attr attr = { .name = name, .paused = paused };
	tuck_id id = tuck_go_with(&attr, fn, arg);

	CHECK(id > 0);
	return id;
}

/* What the block writes to standard error. */
static int saved_stderr;

static FILE *capture(void)
{
	FILE *f = tmpfile();

	CHECK(f);
	saved_stderr = dup(2);
	dup2(fileno(f), 2);
	return f;
}

static void captured(FILE *f, char *text, size_t n)
{
	ssize_t got = pread(fileno(f), text, n - 1, 0);

	dup2(saved_stderr, 2);
	CHECK(got >= 0);
	text[got] = 0;
	fclose(f);
}

TEST(deadlock_tells_who_waits_on_what)
{
	struct tuck_chan *full = tuck_chan_new(0, 0), *idle;
	char text[8192], line[128];
	tuck_id id;
	FILE *f;

	idle = tuck_chan_new(0, 0);
	id = go_named("blocker", 0, fn_block, NULL);
	go_named("paused", 1, fn_block, NULL);
	go_named("sleeper", 0, fn_sleep, NULL);
	go_named("sender", 0, fn_send, full);
	go_named("receiver", 0, fn_recv, idle);
	go_named("selector", 0, fn_select, idle);
	go_named("joiner", 0, fn_join, &id);
	f = capture();
	CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
	captured(f, text, sizeof(text));
	fprintf(stderr, "%s", text);
	CHECK(strstr(text, "tuck: deadlock: nobody can end these waits\n"));
	CHECK(strstr(text, "\"main\" waits for an unblock"));
	CHECK(strstr(text, "\"blocker\" waits for an unblock"));
	CHECK(strstr(text, "\"paused\" waits for its start"));
	CHECK(strstr(text, "\"sleeper\" waits for a time"));
	CHECK(strstr(text, "\"sender\" waits for a receiver on channel"));
	CHECK(strstr(text, "\"receiver\" waits for a sender on channel"));
	CHECK(strstr(text, "\"selector\" waits for several channels (2)"));
	snprintf(line, sizeof(line),
		 "\"joiner\" waits for the end of a tasklet %lld since",
		 (long long)id);
	CHECK(strstr(text, line));
	tuck_chan_free(full);
	tuck_chan_free(idle);
}

static int reports;

static void count_report(void)
{
	reports++;
}

TEST(deadlock_calls_back_once)
{
	char text[4096];
	FILE *f;

	CHECK_EQ(tuck_on_deadlock(count_report), 0);
	go(fn_block, NULL);
	f = capture();
	CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(reports, 1);
	let_others_wait();
	CHECK_EQ(tuck_block(in_ms(1)), -ETIMEDOUT);
	CHECK_EQ(reports, 1);
	CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(reports, 2);
	captured(f, text, sizeof(text));
	CHECK_STR(text, "");
	CHECK_EQ(tuck_on_deadlock(NULL), 0);
	f = capture();
	CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
	captured(f, text, sizeof(text));
	CHECK(strstr(text, "\"main\""));
	CHECK_EQ(reports, 2);
}

static void end_only(void *arg)
{
	(void)arg;
}

TEST(deadlock_ends_every_wait_of_main)
{
	struct tuck_chan *chan = tuck_chan_new(0, 0);
	struct tuck_case cases[] = { { chan, TUCK_SEND, NULL, 0 },
				     { chan, TUCK_RECV, NULL, 0 } };
	tuck_id id = go(fn_block, NULL), other;

	tuck_on_deadlock(count_report);
	CHECK_EQ(tuck_sleep(TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_join(id, TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_chan_send(chan, NULL, TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_chan_recv(chan, NULL, TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_select(cases, 1, TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_select(cases, 2, TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_select(NULL, 0, TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(tuck_chan_balance(chan), 0);
	other = go(end_only, NULL);
	CHECK_EQ(tuck_join(other, TUCK_FOREVER), 0);
	other = go(fn_block, NULL);
	CHECK_EQ(tuck_transfer(other), -EDEADLK);
	CHECK_EQ(reports, 9);
	CHECK_EQ(tuck_unblock(id), 0);
	CHECK_EQ(tuck_join(id, TUCK_FOREVER), 0);
	tuck_chan_free(chan);
}

static struct tuck_stats stats_then;

static void take_stats(void)
{
	CHECK_EQ(tuck_stats(&stats_then), 0);
}

TEST(stats_in_a_deadlock_count_nobody_ready)
{
	tuck_on_deadlock(take_stats);
	for (int i = 0; i < 3; i++)
		go(fn_block, NULL);
	CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(stats_then.tasklets, 4);
	CHECK_EQ(stats_then.ready, 0);
}

TEST(timers_are_no_deadlock)
{
	tuck_on_deadlock(count_report);
	go(wait_in_sleep, NULL);
	CHECK_EQ(tuck_block(in_ms(5)), -ETIMEDOUT);
	CHECK_EQ(reports, 0);
	CHECK_EQ(tuck_block(TUCK_FOREVER), -EDEADLK);
	CHECK_EQ(reports, 1);
}

static void *unblock_late(void *arg)
{
	usleep(300000);
	unblock_it(arg);
	return NULL;
}

TEST(a_thread_that_may_unblock_is_no_deadlock)
{
	tuck_id self = tuck_self();
	pthread_t thread;

	if (!threads_are_counted())
		SKIP("/proc/self/stat says 0 threads, as qemu-user's does");
	tuck_on_deadlock(count_report);
	CHECK_EQ(pthread_create(&thread, NULL, unblock_late, &self), 0);
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(reports, 0);
}

/* Later than a time_t of 32 bits can say. */
TEST(a_deadline_in_a_hundred_years_is_waited_for)
{
	tuck_id self = tuck_self();
	clock_t cpu = clock();
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, unblock_late, &self), 0);
	CHECK_EQ(tuck_block(TUCK_SEC(3155760000)), 0);
	CHECK(clock() - cpu < CLOCKS_PER_SEC / 5);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(exit_of_main_ends_a_deadlock)
{
	NOT_UNDER_TSAN("pthread_exit() in main after a fork hangs");
	CHECK_DIES(0, "\"stuck\" waits for an unblock", {
		go_named("stuck", 0, fn_block, NULL);
		tuck_exit();
	});
}

/* -- inside a signal handler -- */

static void yield_in_handler(int sig)
{
	(void)sig;
	yield_times(100);
}

/* Somebody to switch to, whose stack is there already. */
static void yield_on(void *arg)
{
	(void)arg;
	yield_times(1000);
}

static void use_handler(void)
{
	struct sigaction action;
	stack_t stack = { .ss_size = 65536 };

	stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(stack.ss_sp != MAP_FAILED);
	CHECK_EQ(sigaltstack(&stack, NULL), 0);
	memset(&action, 0, sizeof(action));
	action.sa_handler = yield_in_handler;
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR1, &action, NULL);
}

static void raise_now(void *arg)
{
	(void)arg;
	use_handler();
	raise(SIGUSR1);
}

#define HANDLER "inside a signal handler"

TEST(a_switch_in_a_signal_handler_dies)
{
	CHECK_DIES(-SIGABRT, HANDLER, {
		go(yield_on, NULL);
		go(raise_now, NULL);
		yield_times(100);
	});
	CHECK_DIES(-SIGABRT, HANDLER, {
		use_slots(1);
		go(yield_on, NULL);
		go(raise_now, NULL);
		yield_times(100);
	});
}

TEST(a_switch_in_a_signal_handler_on_an_own_stack_dies)
{
	struct tuck_attr attr = { .stack_bytes = 65536 };

	CHECK_DIES(-SIGABRT, HANDLER, {
		go(yield_on, NULL);
		tuck_go_with(&attr, raise_now, NULL);
		yield_times(100);
	});
}

TEST(a_switch_in_a_signal_handler_of_main_dies)
{
	CHECK_DIES(-SIGABRT, HANDLER, {
		go(yield_on, NULL);
		yield_times(10);
		raise_now(NULL);
	});
}

static void *raise_in_thread(void *arg)
{
	go(yield_on, NULL);
	yield_times(10);
	raise_now(NULL);
	return arg;
}

TEST(a_switch_in_a_signal_handler_of_a_thread_dies)
{
	CHECK_DIES(-SIGABRT, HANDLER, { on_thread(raise_in_thread, NULL); });
}

/* -- contexts beside tasklets -- */

static void use_contexts(void *ret_ran)
{
	struct tuck_ctx ctx;

	CHECK_EQ(tuck_ctx_init(&ctx, NULL, NULL), -EPERM);
	CHECK_EQ(tuck_ctx_init(&ctx, tuck_stack_native(), NULL), -EPERM);
	*(int *)ret_ran = 1;
}

TEST(contexts_are_for_main_tasklets)
{
	int ran = 0;

	CHECK_EQ(tuck_join(go(use_contexts, &ran), TUCK_FOREVER), 0);
	CHECK_EQ(ran, 1);
}

static struct tuck_ctx *wait_in_context(void *to)
{
	CHECK_EQ(tuck_block(tuck_after(TUCK_MS(1))), -ETIMEDOUT);
	return to;
}

static void run_on(struct tuck_stack *stack)
{
	struct tuck_ctx ctx;

	CHECK_EQ(tuck_ctx_init(&ctx, stack, NULL), 0);
	CHECK_EQ(tuck_ctx_start(&ctx, wait_in_context, tuck_ctx_self(), NULL),
		 0);
	CHECK_EQ(tuck_ctx_fini(&ctx), 0);
}

TEST(a_context_waits_only_on_the_stack_of_its_tasklet)
{
	run_on(tuck_stack_native());
	CHECK_DIES(-SIGABRT, "in a context of tuck/ctx.h on another stack",
		   { run_on(NULL); });
}
