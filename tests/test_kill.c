/* SPDX-License-Identifier: MIT */
/*
 * Kill, cancel and cleanups: in every kind of wait, by everybody, at every
 * time. Compiled with -fexceptions, so that the cleanup attribute works.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "task/task.h"
#include "waits.h"

/* Set by what every victim has: each must have run once. */
struct victim {
	wait_fn *wait;
	tuck_ns deadline;
	tuck_id id;
	int started, cleaned, deferred, returned, result;
};

static void note_cleaned(struct victim **v)
{
	(*v)->cleaned++;
}

static void note_deferred(void *arg)
{
	((struct victim *)arg)->deferred++;
}

static void free_held(char **held)
{
	free(*held);
}

static void be_killed(void *arg)
{
	struct victim *v __attribute__((__cleanup__(note_cleaned))) = arg;
	char *held __attribute__((__cleanup__(free_held))) = malloc(64);

	__atomic_store_n(&v->started, 1, __ATOMIC_RELEASE);
	CHECK_EQ(tuck_defer(note_deferred, v), 0);
	v->result = v->wait(v->deadline);
	CHECK(held);
	v->returned++;
}

static void check_killed(const struct victim *v)
{
	CHECK_EQ(v->returned, 0);
	CHECK_EQ(v->cleaned, 1);
	CHECK_EQ(v->deferred, 1);
	CHECK_EQ(tuck_kill(v->id), -ESRCH);
}

static void ignore(void *arg)
{
	(void)arg;
}

static void unreached(void *arg)
{
	(void)arg;
	CHECK(!"reached");
}

static void run(void (*fn)(void *), void *arg)
{
	finish(go(fn, arg));
}

static uint64_t count_tasklets(void)
{
	struct tuck_stats stats;

	CHECK_EQ(tuck_stats(&stats), 0);
	return stats.tasklets;
}

/* -- in every wait -- */

static void kill_in(const struct wait *w, tuck_ns deadline,
		    const struct tuck_attr *attr)
{
	struct victim v = { .wait = w->fn, .deadline = deadline };
	uint64_t before = count_tasklets();
	int fds = count_fds();

	v.id = tuck_go_with(attr, be_killed, &v);
	CHECK(v.id > 0);
	calm();
	run(ignore, NULL);	/* if there is one slot, it is his now */
	if (v.returned)
		check_fail(CHECK_AT, "%s: %d", w->name, v.result);
	CHECK_EQ(tuck_kill(v.id), 0);
	CHECK_EQ(tuck_kill(v.id), -EALREADY);
	CHECK_EQ(v.cleaned, 0);
	CHECK_EQ(tuck_join(v.id, TUCK_FOREVER), 0);
	check_killed(&v);
	WAIT_FOR(count_fds() == fds);	/* the reaper has one */
	CHECK_EQ(count_tasklets(), before);
}

static void kill_in_all(const struct tuck_attr *attr)
{
	set_up_waits();
	for (size_t i = 0; i < WAITS; i++) {
		kill_in(&waits[i], TUCK_FOREVER, attr);
		kill_in(&waits[i], tuck_after(TUCK_SEC(1000)), attr);
	}
	tear_down_waits();
}

TEST(every_wait)
{
	kill_in_all(NULL);
}

TEST(every_wait_tucked)
{
	share_slots(1);
	kill_in_all(NULL);
}

TEST(every_wait_on_an_own_stack)
{
	struct tuck_attr attr = { .stack_bytes = 65536, .name = "own" };

	kill_in_all(&attr);
}

/* The last one to wait looks for work on its own stack. */
static void *kill_soon(void *arg)
{
	struct victim *v = arg;

	do
		usleep(2000);
	while (!__atomic_load_n(&v->started, __ATOMIC_ACQUIRE));
	CHECK_EQ(tuck_kill(v->id), 0);
	return NULL;
}

static void kill_idle_in(const struct wait *w)
{
	struct victim v = { .wait = w->fn, .deadline = TUCK_FOREVER };
	pthread_t thread;
	int fds = count_fds();

	v.id = go(be_killed, &v);
	CHECK_EQ(pthread_create(&thread, NULL, kill_soon, &v), 0);
	CHECK_EQ(tuck_join(v.id, TUCK_FOREVER), 0);
	pthread_join(thread, NULL);
	check_killed(&v);
	WAIT_FOR(count_fds() == fds);	/* the reaper has one */
}

static void kill_idle_in_all(void)
{
	keep_hope();
	set_up_waits();
	for (size_t i = 0; i < WAITS; i++)
		kill_idle_in(&waits[i]);
	tear_down_waits();
}

TEST(every_wait_of_the_one_that_idles)
{
	kill_idle_in_all();
}

TEST(every_wait_of_the_one_that_idles_on_one_slot)
{
	share_slots(1);
	kill_idle_in_all();
}

/* -- not in a wait -- */

static int yield_for_ever(tuck_ns deadline)
{
	(void)deadline;
	for (;;)
		tuck_yield();
	return 0;
}

TEST(while_ready)
{
	struct victim v = { .wait = yield_for_ever };

	v.id = go(be_killed, &v);
	while (!v.started)
		tuck_yield();
	CHECK_EQ(tuck_kill(v.id), 0);
	CHECK_EQ(tuck_kill(v.id), -EALREADY);
	finish(v.id);
	check_killed(&v);
}

/* Nobody else is ready: its yields do not switch. */
TEST(while_it_yields_alone)
{
	struct victim v = { .wait = yield_for_ever };
	pthread_t thread;

	v.id = go(be_killed, &v);
	CHECK_EQ(pthread_create(&thread, NULL, kill_soon, &v), 0);
	CHECK_EQ(tuck_join(v.id, TUCK_FOREVER), 0);
	pthread_join(thread, NULL);
	check_killed(&v);
}

TEST(one_that_has_not_started_just_ends)
{
	struct tuck_attr paused = { .paused = 1 };
	tuck_id id = tuck_go_with(&paused, unreached, NULL);

	CHECK(id > 0);
	CHECK_EQ(tuck_kill(id), 0);
	CHECK_EQ(tuck_kill(id), -ESRCH);
	CHECK_EQ(tuck_unblock(id), -ESRCH);
	id = go(unreached, NULL);
	CHECK_EQ(tuck_kill(id), 0);
	CHECK_EQ(tuck_join(id, TUCK_FOREVER), -ESRCH);
	tuck_yield();
	CHECK_EQ(count_tasklets(), 1);
}

static void join_that(void *arg)
{
	CHECK_EQ(tuck_join(*(tuck_id *)arg, TUCK_FOREVER), 0);
	mark('j');
}

TEST(the_end_of_a_new_one_wakes_those_who_join_it)
{
	struct tuck_attr paused = { .paused = 1 };
	tuck_id id = tuck_go_with(&paused, unreached, NULL), joiner;

	joiner = go(join_that, &id);
	calm();
	CHECK_EQ(tuck_kill(id), 0);
	finish(joiner);
	CHECK_TRACE("j");
}

TEST(ids_that_name_nobody)
{
	tuck_id id = go(ignore, NULL);

	finish(id);
	CHECK_EQ(tuck_kill(id), -ESRCH);
	CHECK_EQ(tuck_cancel(id), -ESRCH);
	CHECK_EQ(tuck_kill(0), -ESRCH);
	CHECK_EQ(tuck_kill(-1), -ESRCH);
	CHECK_EQ(tuck_kill(INT64_MAX), -ESRCH);
	CHECK_EQ(tuck_kill(tuck_self()), -EINVAL);
}

static int kill_self(tuck_ns deadline)
{
	(void)deadline;
	tuck_kill(tuck_self());
	return 0;
}

static int exit_self(tuck_ns deadline)
{
	(void)deadline;
	tuck_exit();
}

TEST(oneself)
{
	struct victim v = { .wait = kill_self }, w = { .wait = exit_self };

	v.id = go(be_killed, &v);
	w.id = go(be_killed, &w);
	finish(v.id);
	finish(w.id);
	check_killed(&v);
	check_killed(&w);
}

/* What a wait gave is lost with the one who waited. */
TEST(one_that_was_woken_already)
{
	struct victim v = { .wait = wait_recv, .deadline = TUCK_FOREVER };

	needs_fifo();
	at.other = chan_new(sizeof(long), 1);
	v.id = go(be_killed, &v);
	tuck_yield();
	CHECK_EQ(tuck_chan_send(at.other, &(long){ 1 }, TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_kill(v.id), 0);
	finish(v.id);
	check_killed(&v);
	CHECK_EQ(tuck_chan_count(at.other), 0);
}

static size_t pool_bytes(void)
{
	struct tuck_stats stats;

	CHECK_EQ(tuck_stats(&stats), 0);
	return stats.slice_pool_bytes;
}

static void end_woken_select(int (*end)(tuck_id))
{
	struct victim v = { .wait = wait_select, .deadline = TUCK_FOREVER };

	v.id = go(be_killed, &v);
	tuck_yield();
	CHECK_EQ(tuck_chan_send(at.other, &(long){ 1 }, TUCK_NOWAIT), 0);
	CHECK_EQ(end(v.id), 0);
	while (tuck_join(v.id, TUCK_FOREVER) == 0)
		;
	CHECK_EQ(v.returned, 0);
}

TEST(a_select_that_was_woken_leaves_nothing)
{
	size_t before;

	needs_fifo();
	at.meet = chan_new(sizeof(long), 0);
	at.other = chan_new(sizeof(long), 1);
	at.full = chan_new(sizeof(long), 1);
	CHECK_EQ(tuck_chan_send(at.full, &(long){ 1 }, TUCK_NOWAIT), 0);
	end_woken_select(tuck_kill);
	before = pool_bytes();
	for (int i = 0; i < 3000; i++)
		end_woken_select(tuck_kill);
	CHECK_EQ(pool_bytes(), before);
}

#define MANY (UNDER_TSAN ? 1000 : 5000)

static void start_many(struct victim *v, int n)
{
	for (int i = 0; i < n; i++) {
		v[i].wait = i % 3 ? wait_block : wait_sleep;
		v[i].deadline = tuck_after(TUCK_SEC(100 + i % 7));
		v[i].id = go(be_killed, &v[i]);
	}
	for (int i = 0; i < n; i++)
		WAIT_FOR(v[i].started);
	calm();
}

static void kill_many(int n)
{
	struct victim *v = calloc((size_t)n, sizeof(*v));

	start_many(v, n);
	for (int i = 0; i < n; i++)
		CHECK_EQ(tuck_kill(v[(i * 7) % n].id), 0);
	for (int i = 0; i < n; i++)
		finish(v[i].id);
	for (int i = 0; i < n; i++)
		check_killed(&v[i]);
	CHECK_EQ(count_tasklets(), 1);
	free(v);
}

TEST_LIMIT(thousands, 60)
{
	kill_many(MANY);
	kill_many(MANY);
}

TEST_LIMIT(thousands_on_four_stacks, 60)
{
	share_slots(4);
	kill_many(MANY);
}

/* -- the order of cleanups -- */

static void mark_it(void *arg)
{
	mark(*(const char *)arg);
}

static void mark_char(const char *c)
{
	mark(*c);
}

/* A frame's own cleanup, by the compiler, and one by tuck_defer(). */
#define ON_EXIT(c)							\
	char var_##c __attribute__((__cleanup__(mark_char))) = #c[0]
#define DEFER(c) CHECK_EQ(tuck_defer(mark_it, (void *)(uintptr_t)#c), 0)

static __attribute__((noinline)) void inner_frame(void)
{
	ON_EXIT(i);
	DEFER(5);
	tuck_block(TUCK_FOREVER);
	__asm__ volatile("" : : "r"(&var_i));
}

static __attribute__((noinline)) void middle_frame(void)
{
	ON_EXIT(m);
	DEFER(3);
	DEFER(4);
	inner_frame();
	__asm__ volatile("" : : "r"(&var_m));
}

static void outer_frame(void *arg)
{
	ON_EXIT(o);
	(void)arg;
	DEFER(1);
	DEFER(2);
	middle_frame();
	__asm__ volatile("" : : "r"(&var_o));
}

TEST(frames_are_cleaned_from_the_innermost)
{
	tuck_id id = go(outer_frame, NULL);

	calm();
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_TRACE("i5m43o21");
}

/* The examples of docs/scheduling.md. */
static __attribute__((noinline)) void documented_inner(void)
{
	ON_EXIT(i);
	DEFER(2);
	tuck_block(TUCK_FOREVER);
	__asm__ volatile("" : : "r"(&var_i));
}

static void documented_outer(void *arg)
{
	ON_EXIT(o);
	(void)arg;
	DEFER(1);
	documented_inner();
	__asm__ volatile("" : : "r"(&var_o));
}

TEST(documented_cleanups)
{
	tuck_id id = go(documented_outer, NULL);

	calm();
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_TRACE("i2o1");
	id = go(documented_outer, NULL);
	calm();
	CHECK_EQ(tuck_unblock(id), 0);
	finish(id);
	CHECK_TRACE("io21");
}

/* What was registered in a scope that has ended is the frame's all the same. */
static __attribute__((noinline)) void use_bytes(volatile char *bytes)
{
	bytes[0] = 1;
}

static volatile int array_bytes = 4000;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wvla"

static void frame_with_arrays(void *arg)
{
	ON_EXIT(o);
	(void)arg;
	DEFER(0);
	for (int i = 0; i < 2; i++) {
		char bytes[array_bytes * (i + 1)];

		use_bytes(bytes);
		DEFER(1);
		DEFER(2);
		use_bytes(bytes);
	}
	documented_inner();
	__asm__ volatile("" : : "r"(&var_o));
}

#pragma GCC diagnostic pop

TEST(cleanups_of_scopes_with_arrays)
{
	tuck_id id = go(frame_with_arrays, NULL);

#ifdef __ARM_EABI_UNWINDER__
	SKIP("the unwinder does not tell of functions");
#endif
	calm();
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_TRACE("i2o21210");
}

static void recur(int n);
static void (*volatile call)(int n) = recur;	/* not to be inlined */

static void recur(int n)
{
	ON_EXIT(r);
	DEFER(1);
	if (n > 0)
		call(n - 1);
	else
		documented_inner();
	DEFER(2);
	__asm__ volatile("" : : "r"(&var_r));
}

static void start_to_recur(void *arg)
{
	(void)arg;
	call(3);
}

TEST(cleanups_of_one_function_many_times)
{
	tuck_id id = go(start_to_recur, NULL);

	calm();
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_TRACE("i2r1r1r1r1");
}

static void block_with_letter(void *c)
{
	CHECK_EQ(tuck_defer(mark_it, c), 0);
	tuck_block(TUCK_FOREVER);
}

TEST(documented_order_of_kills)
{
	tuck_id a, b;

	needs_fifo();
	a = go(block_with_letter, (void *)(uintptr_t) "A");
	b = go(block_with_letter, (void *)(uintptr_t) "B");
	go(block_with_letter, (void *)(uintptr_t) "C");
	tuck_yield();
	CHECK_EQ(tuck_kill(b), 0);
	CHECK_EQ(tuck_kill(a), 0);
	go_letter("x");
	CHECK_TRACE("");
	tuck_yield();
	CHECK_TRACE("BAx");
}

/* A frame without cleanups of its own between two that have some. */
static __attribute__((noinline)) void plain_frame(void)
{
	volatile char pad[100];

	KEEP(pad);
	pad[0] = 1;
	inner_frame();
	pad[1] = pad[0];
}

static void around_plain(void *arg)
{
	ON_EXIT(o);
	(void)arg;
	DEFER(1);
	plain_frame();
	__asm__ volatile("" : : "r"(&var_o));
}

TEST(frames_without_cleanups_are_passed)
{
	tuck_id id = go(around_plain, NULL);

	calm();
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_TRACE("i5o1");
}

static void defer_and(void *arg)
{
	DEFER(a);
	DEFER(b);
	if (arg)
		tuck_exit();
}

TEST(cleanups_run_at_every_end)
{
	run(defer_and, NULL);
	CHECK_TRACE("ba");
	run(defer_and, &at);
	CHECK_TRACE("ba");
}

static void defer_and_block(void *arg)
{
	DEFER(a);
	tuck_block(TUCK_FOREVER);
	(void)arg;
}

TEST(a_dropped_one_has_none)
{
	tuck_id id = go(defer_and_block, NULL);

	calm();
	CHECK_EQ(tuck_drop(id), 0);
	CHECK_TRACE("");
}

static void undefer_some(void *arg)
{
	(void)arg;
	tuck_undefer(1);		/* there is none */
	DEFER(a);
	DEFER(b);
	DEFER(c);
	DEFER(d);
	tuck_undefer(1);
	mark('-');
	tuck_undefer(0);
	mark('-');
	tuck_yield();
}

TEST(undefer)
{
	CHECK_EQ(tuck_defer(NULL, NULL), -EINVAL);
	run(undefer_some, NULL);
	CHECK_TRACE("d--ba");
}

static void defer_more(void *arg)
{
	mark('x');
	DEFER(y);
	(void)arg;
}

static void defer_in_cleanup(void *arg)
{
	(void)arg;
	DEFER(a);
	CHECK_EQ(tuck_defer(defer_more, NULL), 0);
	DEFER(b);
	if (arg)
		tuck_block(TUCK_FOREVER);
}

TEST(a_cleanup_may_register_another)
{
	tuck_id id = go(defer_in_cleanup, &at);

	calm();
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_TRACE("bxya");
	run(defer_in_cleanup, NULL);
	CHECK_TRACE("bxya");
}

/* More than its slice class holds, and by nobody's frame. */
TEST(thousands_of_cleanups)
{
	static struct victim v = { .wait = wait_block,
				   .deadline = TUCK_FOREVER };

	v.id = go(be_killed, &v);
	calm();
	for (int i = 0; i < 5000; i++)
		CHECK_EQ(tuck_defer(note_deferred, &v), 0);
	for (int i = 0; i < 5000; i++)
		tuck_undefer(1);
	CHECK_EQ(v.deferred, 5000);
	v.deferred = 0;
	CHECK_EQ(tuck_kill(v.id), 0);
	finish(v.id);
	check_killed(&v);
}

/* -- in a cleanup -- */

static void sleep_in_cleanup(void *arg)
{
	(void)arg;
	mark('(');
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(2))), 0);
	CHECK_EQ(tuck_block(tuck_after(TUCK_MS(2))), -ETIMEDOUT);
	mark(')');
}

static void block_with_slow_cleanup(void *arg)
{
	DEFER(a);
	CHECK_EQ(tuck_defer(sleep_in_cleanup, NULL), 0);
	DEFER(b);
	if (arg)
		tuck_block(TUCK_FOREVER);
}

static void check_waiting_cleanup(void *arg)
{
	tuck_id id = go(block_with_slow_cleanup, arg);

	tuck_sleep(tuck_after(TUCK_MS(arg ? 2 : 1)));
	if (arg)
		CHECK_EQ(tuck_kill(id), 0);
	while (trace_used < 2)
		tuck_yield();
	CHECK_TRACE("b(");
	CHECK_EQ(tuck_kill(id), -EALREADY);
	CHECK_EQ(tuck_cancel(id), 0);
	run(ignore, NULL);
	finish(id);
	CHECK_TRACE(")a");
}

/* Killed and cancelled in it, it goes on. */
TEST(a_cleanup_may_wait)
{
	check_waiting_cleanup(&at);
	check_waiting_cleanup(NULL);
}

TEST(a_cleanup_may_wait_on_one_slot)
{
	share_slots(1);
	check_waiting_cleanup(&at);
	check_waiting_cleanup(NULL);
}

/* Cancelled or late, at a normal end, it may wait as well. */
static void return_cancelled(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_defer(sleep_in_cleanup, NULL), 0);
	CHECK_EQ(tuck_block(TUCK_FOREVER), -ECANCELED);
	CHECK_EQ(tuck_block(TUCK_FOREVER), -ECANCELED);
}

TEST(a_cleanup_of_a_cancelled_one_may_wait)
{
	tuck_id id = go(return_cancelled, NULL);

	calm();
	CHECK_EQ(tuck_cancel(id), 0);
	finish(id);
	CHECK_TRACE("()");
}

/*
 * The buffer that was read into was a hole of the slice. Where it lay, a
 * cleanup has its own bytes now.
 */
static void sleep_with_bytes(const char *c)
{
	unsigned char pad[3000];

	fill(pad, sizeof(pad), 0, 5);
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(5))), 0);
	check_filled(pad, sizeof(pad), 0, 5);
	mark(*c);
}

static __attribute__((noinline)) void read_deeply(void)
{
	char buf[8192];

	tuck_read(at.idle, buf, sizeof(buf), TUCK_FOREVER);
	__asm__ volatile("" : : "r"(buf) : "memory");
}

static void read_and_clean(void *arg)
{
	char c __attribute__((__cleanup__(sleep_with_bytes))) = 'c';

	(void)arg;
	read_deeply();
	__asm__ volatile("" : : "r"(&c));
}

TEST(a_cleanup_that_waits_where_a_buffer_was)
{
	int fds[2];
	tuck_id id;

	share_slots(1);
	stream_pair(fds);
	at.idle = fds[0];
	id = go(read_and_clean, NULL);
	calm();
	CHECK_EQ(tuck_kill(id), 0);
	tuck_yield();
	for (int i = 0; i < 10; i++)
		run(ignore, NULL);
	finish(id);
	CHECK_TRACE("c");
}

static void exit_in_cleanup(void *arg)
{
	mark('x');
	if (arg)
		tuck_exit();
	tuck_kill(tuck_self());
	mark('-');
}

static __attribute__((noinline)) void nest_exits(void *arg)
{
	ON_EXIT(i);
	CHECK_EQ(tuck_defer(exit_in_cleanup, arg), 0);
	tuck_block(TUCK_FOREVER);
	__asm__ volatile("" : : "r"(&var_i));
}

static void end_again_and_again(void *arg)
{
	ON_EXIT(o);
	DEFER(a);
	CHECK_EQ(tuck_defer(exit_in_cleanup, arg), 0);
	CHECK_EQ(tuck_defer(exit_in_cleanup, arg), 0);
	nest_exits(arg);
	__asm__ volatile("" : : "r"(&var_o));
}

static void check_exits(void *arg)
{
	tuck_id id = go(end_again_and_again, arg);

	calm();
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_TRACE("ixoxxa");
}

/* That cleanup is left, the others run. */
TEST(a_cleanup_may_end_its_tasklet)
{
	check_exits(NULL);
	check_exits(&at);
}

static void clean_by_exit(const char *c)
{
	mark(*c);
	tuck_exit();
}

static void end_in_attribute(void *arg)
{
	ON_EXIT(o);
	char c __attribute__((__cleanup__(clean_by_exit))) = 'c';

	DEFER(a);
	tuck_block(TUCK_FOREVER);
	(void)arg;
	__asm__ volatile("" : : "r"(&var_o), "r"(&c));
}

static void check_end_in_attribute(void)
{
	tuck_id id = go(end_in_attribute, NULL);

	calm();
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_TRACE("coa");
}

/* clang lets nothing out of one that it runs to unwind. */
TEST(a_cleanup_attribute_may_end_its_tasklet)
{
#ifdef __clang__
	CHECK_DIES(-SIGABRT, "", { check_end_in_attribute(); });
#else
	check_end_in_attribute();
#endif
}

static void end_in_cleanup_at_the_end(void *arg)
{
	DEFER(a);
	CHECK_EQ(tuck_defer(exit_in_cleanup, arg), 0);
	DEFER(b);
}

TEST(a_cleanup_may_end_its_tasklet_at_its_end)
{
	run(end_in_cleanup_at_the_end, NULL);
	CHECK_TRACE("bxa");
	run(end_in_cleanup_at_the_end, &at);
	CHECK_TRACE("bxa");
}

/* tuck_undefer() is not an end: the cleanup may be killed there. */
static void undefer_slowly(void *arg)
{
	(void)arg;
	DEFER(a);
	CHECK_EQ(tuck_defer(block_for_ever, NULL), 0);
	mark('(');
	tuck_undefer(1);
	mark('-');
}

TEST(killed_in_undefer)
{
	tuck_id id = go(undefer_slowly, NULL);

	while (trace_used < 1)
		tuck_yield();
	calm();
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_TRACE("(a");
}

/* -- frames of others in between -- */

static __attribute__((noinline)) int compare_and_block(const void *a,
						       const void *b)
{
	DEFER(q);
	tuck_block(TUCK_FOREVER);
	return *(const int *)a - *(const int *)b;
}

static void sort_and_block(void *arg)
{
	int values[] = { 3, 1, 2 };
	ON_EXIT(o);

	(void)arg;
	DEFER(1);
	qsort(values, 3, sizeof(values[0]), compare_and_block);
	__asm__ volatile("" : : "r"(&var_o));
}

static __attribute__((noinline)) int find_and_block(const void *key,
						    const void *elem)
{
	(void)key, (void)elem;
	DEFER(f);
	tuck_block(TUCK_FOREVER);
	return 0;
}

static void search_and_block(void *arg)
{
	void *(*volatile search)(const void *, const void *, size_t, size_t,
				 int (*)(const void *, const void *)) = bsearch;
	int values[] = { 1, 2, 3 };
	ON_EXIT(o);

	CHECK(!search(arg, values, 3, sizeof(values[0]), find_and_block));
	__asm__ volatile("" : : "r"(&var_o));
}

static void kill_blocked(void (*fn)(void *), const char *trace)
{
	tuck_id id = go(fn, &at);

	calm();
	run(ignore, NULL);
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_TRACE(trace);
}

TEST(frames_of_libc)
{
	share_slots(1);
	kill_blocked(sort_and_block, "qo1");
	kill_blocked(search_and_block, "fo");
}

static void deep(int n)
{
	volatile char pad[200];

	KEEP(pad);
	pad[0] = (char)n;
	if (n > 0)
		deep(n - 1);
	else
		inner_frame();
	pad[1] = pad[0];
}

static void go_deep(void *arg)
{
	(void)arg;
	deep(500);
}

TEST(hundreds_of_frames)
{
	share_slots(1);
	for (int i = 0; i < 20; i++)
		kill_blocked(go_deep, "i5");
}

/* -- from other procs -- */

static void *post_kill(void *id)
{
	CHECK_EQ(tuck_kill(*(tuck_id *)id), 0);
	return NULL;
}

static void *post_cancel(void *id)
{
	CHECK_EQ(tuck_cancel(*(tuck_id *)id), 0);
	return NULL;
}

/* The post has come before the wait begins, so it must not begin. */
static int post_and_wait(tuck_ns deadline)
{
	tuck_id self = tuck_self();

	on_thread(post_kill, &self);
	tuck_block(deadline);
	return 0;
}

static int post_and_transfer(tuck_ns deadline)
{
	tuck_id self = tuck_self();

	(void)deadline;
	on_thread(post_kill, &self);
	return tuck_transfer(at.partner);
}

TEST(a_kill_that_came_before_the_wait)
{
	struct victim v = { .wait = post_and_wait, .deadline = TUCK_FOREVER };

	v.id = go(be_killed, &v);
	CHECK_EQ(tuck_join(v.id, patience()), 0);
	check_killed(&v);
	at.partner = go(block_for_ever, NULL);
	v = (struct victim){ .wait = post_and_transfer };
	v.id = go(be_killed, &v);
	CHECK_EQ(tuck_join(v.id, patience()), 0);
	check_killed(&v);
}

TEST(a_kill_and_a_drop_at_once)
{
	struct tuck_attr paused = { .paused = 1 };
	tuck_id id = tuck_go_with(&paused, unreached, NULL);

	on_thread(post_kill, &id);
	CHECK_EQ(tuck_drop(id), 0);
	id = go(unreached, NULL);
	on_thread(post_kill, &id);
	CHECK_EQ(tuck_drop(id), 0);
	CHECK_EQ(tuck_drop(id), -ESRCH);
	CHECK_EQ(count_tasklets(), 1);
}

TEST(a_transfer_to_a_new_one_that_was_killed)
{
	struct tuck_attr paused = { .paused = 1 };

	for (int i = 0; i < 300; i++) {
		tuck_id id = tuck_go_with(i % 2 ? &paused : NULL, unreached,
					  NULL);

		on_thread(post_kill, &id);
		CHECK_EQ(tuck_transfer(id), -ESRCH);
	}
}

/*
 * When it is time to look around, the only one that is ready ends: each
 * yield of one alone brings that time nearer.
 */
TEST(the_only_ready_one_is_killed_before_it_starts)
{
	for (int yields = 0; yields < 130; yields++) {
		tuck_id id;

		tuck_sleep(tuck_after(TUCK_US(10)));
		for (int i = 0; i < yields; i++)
			tuck_yield();
		id = go(ignore, NULL);
		on_thread(post_kill, &id);
		CHECK_EQ(tuck_sleep(tuck_after(TUCK_US(50))), 0);
		finish(id);
	}
	CHECK_EQ(count_tasklets(), 1);
}

static void *kill_main_tasklet(void *id)
{
	CHECK_EQ(tuck_kill(*(tuck_id *)id), -EINVAL);
	CHECK_EQ(tuck_kill(12345), -ESRCH);
	return NULL;
}

TEST(a_main_tasklet_cannot_be_killed)
{
	tuck_id self = tuck_self();

	on_thread(kill_main_tasklet, &self);
	CHECK_EQ(tuck_kill(self), -EINVAL);
	calm();
}

/*
 * It could not be suspended for want of memory, so it goes on; but a wait
 * that it begins after the kill is the end.
 */
static struct victim starved;
static struct tuck__sched *its_proc;

static void *unblock_and_kill(void *other)
{
	while (!atomic_load(&its_proc->sleeping))
		usleep(1000);	/* its wait has not begun */
	CHECK_EQ(tuck_unblock(*(tuck_id *)other), 0);
	CHECK_EQ(tuck_kill(starved.id), 0);
	return NULL;
}

static int wait_without_memory(tuck_ns deadline)
{
	volatile char pad[100000];	/* mapped on its own, so it can fail */
	pthread_t thread;
	int r;

	KEEP(pad);
	pad[17] = 1;
	its_proc = tuck__tls;
	CHECK_EQ(pthread_create(&thread, NULL, unblock_and_kill, &at.partner),
		 0);
	tuck__fault_set(1, 1);
	r = tuck_block(deadline);
	tuck__fault_set(0, 0);
	pthread_join(thread, NULL);
	CHECK(r < 0 && pad[17] == 1);
	mark('w');
	tuck_block(deadline);
	return 0;
}

TEST(a_kill_without_memory_to_suspend)
{
	needs_fifo();
	share_slots(1);
	keep_hope();
	starved.wait = wait_without_memory;
	starved.deadline = TUCK_FOREVER;
	at.partner = go(block_for_ever, NULL);
	calm();
	starved.id = go(be_killed, &starved);
	CHECK_EQ(tuck_join(starved.id, TUCK_FOREVER), 0);
	check_killed(&starved);
	CHECK_TRACE("w");
}

/* -- at random times -- */

#define SLOTS 40

static tuck_id alive[SLOTS];
static int started, cleaned, stop;

static void count_cleaned(int *x)
{
	cleaned += *x;
}

static void wait_somehow(uint32_t *random)
{
	static struct tuck_chan *chan;
	tuck_ns soon = tuck_after(next_random(random) % 200000);
	struct tuck_case one;
	long elem = 7;

	if (!chan)
		chan = chan_new(sizeof(long), 0);
	one = (struct tuck_case){ .chan = chan,
				  .op = TUCK_RECV,
				  .elem = &elem };
	switch (next_random(random) % 8) {
	case 0: tuck_yield(); break;
	case 1: tuck_sleep(soon); break;
	case 2: tuck_block(soon); break;
	case 3: tuck_chan_send(chan, &elem, soon); break;
	case 4: tuck_chan_recv(chan, &elem, soon); break;
	case 5: tuck_select(&one, 1, soon); break;
	case 6: tuck_fd_wait(0, TUCK_READABLE, soon); break;
	case 7: tuck_uncancel(); break;
	}
}

static void live_at_random(void *arg)
{
	int one __attribute__((__cleanup__(count_cleaned))) = 1;
	char *held __attribute__((__cleanup__(free_held))) = malloc(40);
	uint32_t random = (uint32_t)(uintptr_t)arg * 2654435761u + 1;

	__atomic_fetch_add(&started, 1, __ATOMIC_RELAXED);
	while (!stop)
		wait_somehow(&random);
	CHECK(held && one);
}

static void *kill_at_random(void *arg)
{
	uint32_t random = 99;
	long n = (long)(intptr_t)arg;

	while (n > 0 || __atomic_load_n(&started, __ATOMIC_RELAXED) <= 100) {
		tuck_id id = __atomic_load_n(
			&alive[next_random(&random) % SLOTS], __ATOMIC_ACQUIRE);
		int r = next_random(&random) % 4 ? tuck_kill(id) :
						   tuck_cancel(id);

		CHECK(r == 0 || r == -ESRCH);
		n -= r == 0;
		if (next_random(&random) % 4 == 0)
			usleep(next_random(&random) % 100);
	}
	return NULL;
}

static void replace_the_dead(void)
{
	static int next;

	for (int i = 0; i < SLOTS; i++) {
		tuck_id id = alive[i];

		if (id && tuck_join(id, TUCK_NOWAIT) == -EAGAIN)
			continue;
		id = go(live_at_random, (void *)(intptr_t)next++);
		__atomic_store_n(&alive[i], id, __ATOMIC_RELEASE);
	}
}

static void kill_for_a_while(long n)
{
	pthread_t threads[2];
	int over = 0;

	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, kill_at_random,
					(void *)(intptr_t)n),
			 0);
	while (!over) {
		replace_the_dead();
		tuck_sleep(tuck_after(TUCK_US(100)));
		over = pthread_tryjoin_np(threads[0], NULL) == 0;
	}
	over = 0;
	while (!over) {
		replace_the_dead();
		tuck_sleep(tuck_after(TUCK_US(100)));
		over = pthread_tryjoin_np(threads[1], NULL) == 0;
	}
	stop = 1;
	while (count_tasklets() > 1)
		tuck_sleep(tuck_after(TUCK_MS(1)));
	CHECK_EQ(started, cleaned);
}

TEST_LIMIT(at_random_times, 60)
{
	kill_for_a_while(3000);
}

TEST_LIMIT(at_random_times_on_two_stacks, 60)
{
	share_slots(2);
	kill_for_a_while(3000);
}

/* -- cancel -- */

static void be_cancelled(void *arg)
{
	struct victim *v = arg;

	v->started++;
	v->result = v->wait(v->deadline);
	CHECK_EQ(v->wait(v->deadline), v->result);
	CHECK_EQ(tuck_uncancel(), 1);
	CHECK_EQ(tuck_uncancel(), 0);
	if (v->wait != wait_transfer)
		CHECK(v->wait(tuck_after(TUCK_MS(1))) != -ECANCELED);
	v->returned++;
}

static void cancel_in(const struct wait *w, int early)
{
	struct victim v = { .wait = w->fn, .deadline = TUCK_FOREVER };
	int fds = count_fds();

	v.id = go(be_cancelled, &v);
	if (!early)
		calm();
	CHECK_EQ(tuck_cancel(v.id), 0);
	CHECK_EQ(tuck_cancel(v.id), 0);
	finish(v.id);
	if (v.result != -ECANCELED || !v.returned)
		check_fail(CHECK_AT, "%s: %d", w->name, v.result);
	WAIT_FOR(count_fds() == fds);	/* the reaper has one */
}

TEST(cancel_in_every_wait)
{
	set_up_waits();
	for (size_t i = 0; i < WAITS; i++) {
		cancel_in(&waits[i], 0);
		cancel_in(&waits[i], 1);
	}
	tear_down_waits();
}

TEST(cancel_in_every_wait_tucked)
{
	share_slots(1);
	set_up_waits();
	for (size_t i = 0; i < WAITS; i++)
		cancel_in(&waits[i], 0);
	tear_down_waits();
}

static void expect_cancelled(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_block(TUCK_FOREVER), -ECANCELED);
	mark('c');
}

TEST(a_cancelled_one_that_is_paused_starts_later)
{
	struct tuck_attr paused = { .paused = 1 };
	tuck_id id = tuck_go_with(&paused, expect_cancelled, NULL);

	CHECK_EQ(tuck_cancel(id), 0);
	calm();
	CHECK_TRACE("");
	CHECK_EQ(tuck_unblock(id), 0);
	finish(id);
	CHECK_TRACE("c");
}

/* What need not wait goes on. */
static void work_cancelled(void *arg)
{
	long elem = 0;

	(void)arg;
	CHECK_EQ(tuck_block(TUCK_FOREVER), -ECANCELED);
	CHECK_EQ(tuck_chan_send(at.other, &elem, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_chan_recv(at.other, &elem, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_write(at.idle, "x", 1, TUCK_FOREVER), 1);
	CHECK_EQ(tuck_unblock(tuck_self()), 0);
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);
	tuck_yield();
	mark('c');
}

TEST(a_cancelled_one_works_on)
{
	int fds[2];
	tuck_id id;

	stream_pair(fds);
	at.idle = fds[0];
	at.other = chan_new(sizeof(long), 1);
	id = go(work_cancelled, NULL);
	calm();
	CHECK_EQ(tuck_cancel(id), 0);
	finish(id);
	CHECK_TRACE("c");
}

TEST(cancelled_then_killed)
{
	struct victim v = { .wait = wait_block, .deadline = TUCK_FOREVER };

	v.id = go(be_killed, &v);
	calm();
	CHECK_EQ(tuck_cancel(v.id), 0);
	CHECK_EQ(tuck_kill(v.id), 0);
	CHECK_EQ(tuck_cancel(v.id), 0);
	finish(v.id);
	check_killed(&v);
}

TEST(a_main_tasklet_can_be_cancelled)
{
	tuck_id self = tuck_self();

	CHECK_EQ(tuck_uncancel(), 0);
	CHECK_EQ(tuck_cancel(self), 0);
	CHECK_EQ(tuck_block(TUCK_FOREVER), -ECANCELED);
	CHECK_EQ(tuck_uncancel(), 1);
	CHECK_EQ(tuck_block(tuck_after(TUCK_MS(1))), -ETIMEDOUT);
	on_thread(post_cancel, &self);
	CHECK_EQ(tuck_block(TUCK_FOREVER), -ECANCELED);
	CHECK_EQ(tuck_uncancel(), 1);
}

/* -- the ends of main tasklets -- */

static void say(void *text)
{
	CHECK(write(2, text, strlen(text)) > 0);
}

static void say_late(void *text)
{
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(10))), 0);
	say(text);
}

#define TEXT(s) ((void *)(uintptr_t)(s))

TEST(a_cancelled_main_tasklet_waits_for_the_others)
{
	NOT_UNDER_TSAN("pthread_exit() in main after a fork hangs");
	CHECK_DIES(0, "late", {
		go(say_late, TEXT("late"));
		CHECK_EQ(tuck_cancel(tuck_self()), 0);
		tuck_exit();
	});
}

static void cancel_main(void *id)
{
	CHECK_EQ(tuck_cancel(*(tuck_id *)id), 0);
}

TEST(a_main_tasklet_that_waits_for_the_others_is_past_cancel)
{
	static tuck_id self;

	NOT_UNDER_TSAN("pthread_exit() in main after a fork hangs");
	self = tuck_self();
	CHECK_DIES(0, "late", {
		go(say_late, TEXT("late"));
		go(cancel_main, &self);
		tuck_exit();
	});
}

TEST(cleanups_of_a_main_tasklet)
{
	NOT_UNDER_TSAN("pthread_exit() in main after a fork hangs");
	CHECK_DIES(0, "<>late", {
		CHECK_EQ(tuck_defer(say, TEXT(">")), 0);
		CHECK_EQ(tuck_defer(say, TEXT("<")), 0);
		go(say_late, TEXT("late"));
		tuck_exit();
	});
}

static void defer_in_proc(void *arg)
{
	CHECK_EQ(tuck_defer(mark_it, arg), 0);
	CHECK_EQ(tuck_defer(sleep_in_cleanup, NULL), 0);
}

static void *defer_in_thread(void *arg)
{
	defer_in_proc(arg);
	return NULL;
}

TEST(cleanups_of_a_proc)
{
	int proc = tuck_proc_start(NULL, defer_in_proc, TEXT("p"));

	CHECK(proc >= 0);
	CHECK_EQ(tuck_proc_join(proc, TUCK_FOREVER), 0);
	CHECK_TRACE("()p");
	on_thread(defer_in_thread, TEXT("t"));
	CHECK_TRACE("()t");
}

/* -- in the deadlock callback -- */

static tuck_id target;

static void kill_target(void)
{
	CHECK_EQ(tuck_kill(target), 0);
}

/* The one that noticed the deadlock is the one that is killed. */
TEST(by_the_deadlock_callback)
{
	struct victim v = { .wait = wait_block, .deadline = TUCK_FOREVER };

	CHECK_EQ(tuck_on_deadlock(kill_target), 0);
	target = v.id = go(be_killed, &v);
	CHECK_EQ(tuck_join(v.id, TUCK_FOREVER), -EDEADLK);
	finish(v.id);
	check_killed(&v);
}

static void exit_here(void)
{
	tuck_exit();
}

TEST(exit_in_the_deadlock_callback_is_named)
{
	CHECK_DIES(-SIGABRT, "inside the deadlock callback", {
		struct victim v = { .wait = wait_block,
				    .deadline = TUCK_FOREVER };

		tuck_on_deadlock(exit_here);
		v.id = go(be_killed, &v);
		tuck_join(v.id, TUCK_FOREVER);
	});
}

static void nothing(void *arg)
{
	(void)arg;
}

static void sleep_here(void)
{
	tuck_sleep(patience());
}

static void start_one_and_sleep_here(void)
{
	go(nothing, NULL);
	sleep_here();
}

TEST(a_wait_in_the_deadlock_callback_is_named)
{
	void (*const fns[])(void) = { sleep_here, start_one_and_sleep_here };

	for (int i = 0; i < 2; i++)
		CHECK_DIES(-SIGABRT, "inside the deadlock callback", {
			struct victim v = { .wait = wait_block,
					    .deadline = TUCK_FOREVER };

			tuck_on_deadlock(fns[i]);
			v.id = go(be_killed, &v);
			tuck_join(v.id, TUCK_FOREVER);
		});
}
