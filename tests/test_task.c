/* SPDX-License-Identifier: MIT */
/* The life of tasklets: go, self, yield, exit, drop, and their ids. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <tuck.h>

#include "trace.h"

static int runs;

static void count_run(void *arg)
{
	(void)arg;
	runs++;
}

/* Until every other tasklet has ended, whatever the order. */
static void run_out(void)
{
	struct tuck_stats stats;

	do {
		tuck_yield();
		CHECK_EQ(tuck_stats(&stats), 0);
	} while (stats.tasklets > 1);
}

static size_t pool_bytes(void)
{
	struct tuck_stats stats;

	CHECK_EQ(tuck_stats(&stats), 0);
	return stats.slice_pool_bytes;
}

/* -- go and yield -- */

TEST(go_appends)
{
	needs_fifo();
	go_letter("a");
	go_letter("b");
	go_letter("c");
	CHECK_TRACE("");
	tuck_yield();
	CHECK_TRACE("abc");
}

static void spawn_two(void *arg)
{
	(void)arg;
	mark('1');
	go_letter("x");
	go_letter("y");
	mark('2');
}

TEST(go_in_a_tasklet_appends_and_does_not_switch)
{
	needs_fifo();
	go(spawn_two, NULL);
	go_letter("b");
	tuck_yield();
	CHECK_TRACE("12b");
	tuck_yield();
	CHECK_TRACE("xy");
}

static void yield_thrice(void *name)
{
	for (int i = 0; i < 3; i++) {
		letter(name);
		tuck_yield();
	}
}

TEST(yield_appends_the_caller)
{
	needs_fifo();
	go(yield_thrice, "a");
	go(yield_thrice, "b");
	for (int i = 0; i < 5; i++) {
		mark('m');
		tuck_yield();
	}
	CHECK_TRACE("mabmabmabmm");
}

TEST(yield_alone_returns)
{
	tuck_yield();
	CHECK(tuck_self() > 0);
	for (int i = 0; i < 1000; i++)
		tuck_yield();
}

static void store_arg(void *arg)
{
	*(int *)arg += 1;
}

TEST(go_passes_its_argument)
{
	int here = 41;

	go(store_arg, &here);
	run_out();
	CHECK_EQ(here, 42);
}

TEST(go_refuses_bad_arguments)
{
	struct tuck_attr attr = { .stack_bytes = 16383 };

	CHECK_EQ(tuck_go(NULL, NULL), -EINVAL);
	CHECK_EQ(tuck_go_with(NULL, NULL, NULL), -EINVAL);
	CHECK_EQ(tuck_go_with(&attr, count_run, NULL), -EINVAL);
	attr.stack_bytes = 1;
	CHECK_EQ(tuck_go_with(&attr, count_run, NULL), -EINVAL);
	run_out();
	CHECK_EQ(runs, 0);
}

static void spawn_tree(void *arg)
{
	intptr_t depth = (intptr_t)arg;

	runs++;
	if (depth == 0)
		return;
	go(spawn_tree, (void *)(depth - 1));
	tuck_yield();
	go(spawn_tree, (void *)(depth - 1));
}

TEST(tasklets_start_tasklets)
{
	const int depth = UNDER_TSAN ? 9 : 12;

	go(spawn_tree, (void *)(intptr_t)depth);
	run_out();
	CHECK_EQ(runs, (1 << (depth + 1)) - 1);
}

/* -- attributes -- */

static void dump_to(char *text, size_t n)
{
	FILE *f = tmpfile();
	ssize_t got;

	CHECK(f);
	CHECK_EQ(tuck_dump(fileno(f)), 0);
	got = pread(fileno(f), text, n - 1, 0);
	CHECK(got > 0);
	text[got] = 0;
	fclose(f);
}

TEST(attributes_are_read_at_once)
{
	char name[] = "early", text[4096];
	struct tuck_attr attr = { .name = name };
	tuck_id id = tuck_go_with(&attr, count_run, NULL);

	CHECK(id > 0);
	memcpy(name, "later", 5);
	attr.stack_bytes = 1;
	dump_to(text, sizeof(text));
	CHECK(strstr(text, "\"early\""));
	CHECK(!strstr(text, "later"));
	run_out();
	CHECK_EQ(runs, 1);
	dump_to(text, sizeof(text));
	CHECK(!strstr(text, "early"));
}

TEST(names_keep_31_bytes)
{
	struct tuck_attr attr = {
		.name = "0123456789012345678901234567890123"
	};
	char text[4096];

	CHECK(tuck_go_with(&attr, count_run, NULL) > 0);
	dump_to(text, sizeof(text));
	CHECK(strstr(text, "\"0123456789012345678901234567890\""));
	run_out();
}

TEST(dump_names_id_and_state)
{
	struct tuck_attr attr = { .name = "waits", .paused = 1 };
	char text[4096], line[128];
	tuck_id id = tuck_go_with(&attr, count_run, NULL);

	snprintf(line, sizeof(line), "tasklet %lld \"waits\" waits for",
		 (long long)id);
	dump_to(text, sizeof(text));
	CHECK(strstr(text, line));
	snprintf(line, sizeof(line), "tasklet %lld \"main\" runs",
		 (long long)tuck_self());
	CHECK(strstr(text, line));
	CHECK_EQ(tuck_unblock(id), 0);
	snprintf(line, sizeof(line), "tasklet %lld \"waits\" is ready",
		 (long long)id);
	dump_to(text, sizeof(text));
	CHECK(strstr(text, line));
	CHECK_EQ(tuck_dump(-1), -EBADF);
	run_out();
}

static void spin(tuck_ns span)
{
	tuck_ns until = tuck_after(span);

	while (tuck_now() < until)
		;
}

/* Also in a proc that is busy and has no timers. */
TEST(dump_tells_since_when)
{
	struct tuck_attr attr = { .name = "late", .paused = 1 };
	char text[4096], *line;
	double since;
	tuck_id id;

	tuck_self();
	spin(TUCK_MS(120));
	id = tuck_go_with(&attr, count_run, NULL);
	CHECK(id > 0);
	spin(TUCK_MS(40));
	dump_to(text, sizeof(text));
	line = strstr(text, "\"late\"");
	CHECK(line);
	CHECK_EQ(sscanf(strstr(line, "since"), "since %lf s", &since), 1);
	fprintf(stderr, "# since %f s\n", since);
	CHECK(since >= 0.03 && since < 50);
	CHECK_EQ(tuck_drop(id), 0);
}

TEST(paused_starts_at_its_unblock)
{
	struct tuck_attr attr = { .paused = 1 };
	tuck_id id = tuck_go_with(&attr, count_run, NULL);

	CHECK(id > 0);
	for (int i = 0; i < 300; i++)
		tuck_yield();
	CHECK_EQ(runs, 0);
	CHECK_EQ(tuck_unblock(id), 0);
	run_out();
	CHECK_EQ(runs, 1);
}

TEST(paused_goes_to_the_end_at_its_unblock)
{
	struct tuck_attr attr = { .paused = 1 };
	tuck_id id;

	needs_fifo();
	id = tuck_go_with(&attr, letter, "p");
	CHECK(id > 0);
	go_letter("a");
	CHECK_EQ(tuck_unblock(id), 0);
	go_letter("b");
	tuck_yield();
	CHECK_TRACE("apb");
}

/* The first unblock starts it, the second is for its first block. */
static void block_twice(void *arg)
{
	CHECK_EQ(tuck_block(TUCK_NOWAIT), 0);
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);
	count_run(arg);
}

TEST(paused_remembers_a_second_unblock)
{
	struct tuck_attr attr = { .paused = 1 };
	tuck_id id = tuck_go_with(&attr, block_twice, NULL);

	CHECK_EQ(tuck_unblock(id), 0);
	CHECK_EQ(tuck_unblock(id), 0);
	run_out();
	CHECK_EQ(runs, 1);
}

/* -- stacks of their own -- */

#define BIG (960 * 1024)

static void use_big_stack(void *arg)
{
	volatile char bytes[BIG];
	char seed = (char)(intptr_t)arg;

	for (size_t i = 0; i < BIG; i += 64)
		bytes[i] = (char)(seed + i / 64);
	tuck_yield();
	for (size_t i = 0; i < BIG; i += 64)
		CHECK_EQ(bytes[i], (char)(seed + i / 64));
	runs++;
}

TEST(own_stack_of_1_mib_is_usable)
{
	struct tuck_attr attr = { .stack_bytes = 1 << 20 };
	struct tuck_stats before, after;

	CHECK_EQ(tuck_stats(&before), 0);
	for (intptr_t i = 0; i < 8; i++)
		CHECK(tuck_go_with(&attr, use_big_stack, (void *)i) > 0);
	run_out();
	CHECK_EQ(runs, 8);
	CHECK_EQ(tuck_stats(&after), 0);
	CHECK_EQ(after.copied_bytes, before.copied_bytes);
}

static int count_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	int n = 0, c;

	CHECK(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

TEST(own_stacks_come_back)
{
	struct tuck_attr attr = { .stack_bytes = 16384 };
	int before = 0;

	NOT_UNDER_TSAN("its fibers are maps, too");
	for (int i = 0; i < 600; i++) {
		tuck_id id = tuck_go_with(&attr, count_run, NULL);

		CHECK(id > 0);
		if (i % 2)
			CHECK_EQ(tuck_drop(id), 0);
		run_out();
		if (i == 9)
			before = count_maps();
	}
	CHECK_EQ(runs, 300);
	CHECK(count_maps() <= before + 8);
}

TEST(own_stack_that_cannot_be_is_refused)
{
	static const size_t too_much[] = { SIZE_MAX, SIZE_MAX - 511,
					   SIZE_MAX - 4096, SIZE_MAX / 2 };

	for (int i = 0; i < 4; i++) {
		struct tuck_attr attr = { .stack_bytes = too_much[i] };

		CHECK_EQ(tuck_go_with(&attr, count_run, NULL), -ENOMEM);
	}
	run_out();
	CHECK_EQ(runs, 0);
}

/* -- ids -- */

static void check_self(void *arg)
{
	tuck_id *ret_id = arg;

	*ret_id = tuck_self();
	tuck_yield();
	CHECK_EQ(tuck_self(), *ret_id);
}

TEST(self_is_what_go_returned)
{
	tuck_id main = tuck_self(), said[2] = { 0, 0 }, id[2];

	CHECK(main > 0);
	id[0] = go(check_self, &said[0]);
	id[1] = go(check_self, &said[1]);
	run_out();
	CHECK(id[0] != id[1] && id[0] != main && id[1] != main);
	CHECK_EQ(said[0], id[0]);
	CHECK_EQ(said[1], id[1]);
	CHECK_EQ(tuck_self(), main);
}

static void check_gone(tuck_id id)
{
	CHECK_EQ(tuck_unblock(id), -ESRCH);
	CHECK_EQ(tuck_transfer(id), -ESRCH);
	CHECK_EQ(tuck_join(id, TUCK_FOREVER), -ESRCH);
	CHECK_EQ(tuck_drop(id), -ESRCH);
}

static int by_value(const void *a, const void *b)
{
	tuck_id x = *(const tuck_id *)a, y = *(const tuck_id *)b;

	return (x > y) - (x < y);
}

#define SPAWNS (UNDER_TSAN ? 10000 : 100000)

TEST(ids_are_not_used_again)
{
	static tuck_id ids[SPAWNS];

	for (int i = 0; i < SPAWNS; i++) {
		ids[i] = go(count_run, NULL);
		if (i % 7 == 0)
			run_out();
		if (i >= 7)
			CHECK_EQ(tuck_unblock(ids[i - 7]), -ESRCH);
	}
	run_out();
	CHECK_EQ(runs, SPAWNS);
	for (int i = 0; i < SPAWNS; i += 1000)
		check_gone(ids[i]);
	qsort(ids, SPAWNS, sizeof(ids[0]), by_value);
	CHECK(ids[0] > 0);
	for (int i = 1; i < SPAWNS; i++)
		CHECK(ids[i - 1] < ids[i]);
}

TEST(garbage_ids_are_not_found)
{
	static const tuck_id odd[] = {
		0, -1,	INT64_MIN,	  INT64_MAX,	   1,
		2, 511, (tuck_id)1 << 62, (tuck_id)3 << 61
	};
	uint32_t state = 7;
	tuck_id self = tuck_self();

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		check_gone(odd[i]);
	for (int i = 0; i < 1000000; i++) {
		uint64_t high = next_random(&state), low = next_random(&state);
		tuck_id id = (tuck_id)(high << 32 | low);

		if (id != self)
			check_gone(id);
	}
	for (int bit = 0; bit < 64; bit++)
		check_gone(self ^ (tuck_id)((uint64_t)1 << bit));
}

/* -- what is a tasklet's own -- */

static void keep_errno(void *arg)
{
	int mine = (int)(intptr_t)arg;

	for (int i = 0; i < 20; i++) {
		errno = mine + i;
		tuck_yield();
		CHECK_EQ(errno, mine + i);
		tuck_sleep(TUCK_NOWAIT);
		CHECK_EQ(errno, mine + i);
	}
	runs++;
}

static void check_errno(void)
{
	for (intptr_t i = 1; i <= 50; i++)
		go(keep_errno, (void *)(100 * i));
	errno = 7;
	for (int i = 0; i < 100; i++)
		tuck_yield();
	CHECK_EQ(errno, 7);
	run_out();
	CHECK_EQ(runs, 50);
}

TEST(errno_is_kept)
{
	check_errno();
}

TEST(errno_is_kept_when_tucked)
{
	use_slots(1);
	check_errno();
}

#define MANY (UNDER_TSAN ? 1000 : 100000)

static tuck_id many_ids[MANY];

static void wait_for_end(void *arg)
{
	volatile intptr_t me = (intptr_t)arg;

	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	CHECK_EQ(me, (intptr_t)arg);
	runs++;
}

static void be_many(void)
{
	struct tuck_stats stats;

	for (intptr_t i = 0; i < MANY; i++)
		many_ids[i] = go(wait_for_end, (void *)i);
	do {
		tuck_yield();
		CHECK_EQ(tuck_stats(&stats), 0);
	} while (stats.ready > 0);
	CHECK_EQ(stats.tasklets, MANY + 1);
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(tuck_unblock(many_ids[MANY - 1 - i]), 0);
	run_out();
	CHECK_EQ(runs, MANY);
}

TEST_LIMIT(a_hundred_thousand_live, 60)
{
	be_many();
}

TEST_LIMIT(a_hundred_thousand_share_one_stack, 60)
{
	use_slots(1);
	be_many();
}

/* -- exit -- */

static void dive(int n);
static void (*volatile deeper)(int) = dive;

static void dive(int n)
{
	volatile char pad[200];

	pad[n] = 1;
	if (n == 0) {
		runs++;
		tuck_exit();
	}
	deeper(n - 1);
	CHECK(pad[n] == 2);	/* never */
}

static void dive_100(void *arg)
{
	(void)arg;
	tuck_yield();
	dive(100);
}

static void check_exit(void)
{
	tuck_id id;

	for (int i = 0; i < 200; i++) {
		id = go(dive_100, NULL);
		go(dive_100, NULL);
		CHECK_EQ(tuck_join(id, TUCK_FOREVER), 0);
		CHECK_EQ(tuck_unblock(id), -ESRCH);
	}
	run_out();
	CHECK_EQ(runs, 400);
}

TEST(exit_ends_from_deep_frames)
{
	check_exit();
}

TEST(exit_ends_from_deep_frames_on_one_stack)
{
	use_slots(1);
	check_exit();
}

static void say_done(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(5))), 0);
	fputs("done\n", stderr);
}

TEST(exit_of_main_lets_the_others_end)
{
	NOT_UNDER_TSAN("pthread_exit() in main after a fork hangs");
	CHECK_DIES(0, "done", {
		go(say_done, NULL);
		tuck_exit();
	});
}

static void sleep_and_count(void *arg)
{
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(5 * PATIENCE))), 0);
	count_run(arg);
}

static void *exit_thread(void *arg)
{
	for (int i = 0; i < 10; i++)
		go(sleep_and_count, NULL);
	tuck_exit();
	return arg;
}

TEST(exit_of_a_thread_lets_its_tasklets_end)
{
	on_thread(exit_thread, NULL);
	CHECK_EQ(runs, 10);
}

static void sleep_long_and_count(void *arg)
{
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_SEC(1000))), 0);
	count_run(arg);
}

static void *return_thread(void *arg)
{
	for (int i = 0; i < 10; i++)
		go(sleep_long_and_count, NULL);
	go(wait_for_end, NULL);
	tuck_yield();
	return arg;
}

TEST(end_of_a_thread_forgets_its_tasklets)
{
	for (int i = 0; i < 20; i++)
		on_thread(return_thread, NULL);
	CHECK_EQ(runs, 0);
}

/* -- drop -- */

static tuck_id never;
static struct tuck_chan *silent;

static void in_ready(void)
{
	for (;;)
		tuck_yield();
}

static void in_block(void)
{
	tuck_block(TUCK_FOREVER);
}

/* Mostly after the drop, and before the test ends. */
#define SOON (PATIENCE * TUCK_MS(50))

static void in_timed_block(void)
{
	tuck_block(tuck_after(SOON));
}

static void in_sleep(void)
{
	tuck_sleep(tuck_after(SOON));
}

static void in_join(void)
{
	tuck_join(never, tuck_after(SOON));
}

static void in_transfer(void)
{
	tuck_transfer(never);
}

static void in_send(void)
{
	int elem = 1;

	tuck_chan_send(silent, &elem, tuck_after(SOON));
}

static void in_recv(void)
{
	int elem;

	tuck_chan_recv(silent, &elem, TUCK_FOREVER);
}

static void in_select(void)
{
	int elem[2] = { 1, 2 };
	struct tuck_case cases[] = { { silent, TUCK_RECV, &elem[0], 0 },
				     { silent, TUCK_RECV, &elem[1], 0 },
				     { NULL, TUCK_SEND, NULL, 0 } };

	tuck_select(cases, 3, tuck_after(SOON));
}

static int started, dropped;

/* Where a turn takes long, the time comes before the drop. */
static void victim(void *arg)
{
	void (*wait)(void) = *(void (**)(void))arg;
	int number = ++started;

	while (dropped < number)
		wait();
	CHECK(!"a dropped tasklet ran on");
}

static void block_for_ever(void *arg)
{
	(void)arg;
	while (tuck_block(TUCK_FOREVER) == 0)
		;
}

/* Start one, let it wait, drop it. */
static void drop_one(void (**wait)(void))
{
	tuck_id id = go(victim, wait);

	while (started == dropped)
		tuck_yield();
	tuck_yield();
	CHECK_EQ(tuck_drop(id), 0);
	dropped++;
	CHECK_EQ(tuck_drop(id), -ESRCH);
	CHECK_EQ(tuck_unblock(id), -ESRCH);
}

static void drop_in(void (*wait)(void))
{
	struct tuck_stats stats;
	size_t bytes = 0;

	silent = tuck_chan_new(sizeof(int), 0);
	never = go(block_for_ever, NULL);
	tuck_yield();
	for (int i = 0; i < 3000; i++) {
		if (i == 100)
			bytes = pool_bytes();
		drop_one(&wait);
		CHECK_EQ(tuck_chan_balance(silent), 0);
	}
	CHECK_EQ(pool_bytes(), bytes);
	CHECK_EQ(tuck_sleep(tuck_after(SOON + TUCK_MS(5))), 0);
	CHECK_EQ(tuck_stats(&stats), 0);
	CHECK_EQ(stats.tasklets, 2);
	CHECK(stats.slots <= 2);
	CHECK_EQ(tuck_drop(never), 0);
	tuck_chan_free(silent);
}

TEST(drop_one_that_is_ready)
{
	drop_in(in_ready);
}

TEST(drop_one_that_blocks)
{
	drop_in(in_block);
}

TEST(drop_one_that_blocks_with_a_deadline)
{
	drop_in(in_timed_block);
}

TEST(drop_one_that_sleeps)
{
	drop_in(in_sleep);
}

TEST(drop_one_that_joins)
{
	drop_in(in_join);
}

TEST(drop_one_that_transferred)
{
	drop_in(in_transfer);
}

TEST(drop_one_that_sends)
{
	drop_in(in_send);
}

TEST(drop_one_that_receives)
{
	drop_in(in_recv);
}

TEST(drop_one_that_selects)
{
	drop_in(in_select);
}

TEST(drop_one_that_selects_on_one_stack)
{
	use_slots(1);
	drop_in(in_select);
}

TEST(drop_new_and_paused_ones)
{
	struct tuck_attr attr = { .paused = 1, .name = "p" };
	struct tuck_stats stats;
	size_t bytes = 0;
	tuck_id id;

	for (int i = 0; i < 10000; i++) {
		if (i == 100)
			bytes = pool_bytes();
		id = go(count_run, NULL);
		CHECK_EQ(tuck_drop(id), 0);
		check_gone(id);
		id = tuck_go_with(&attr, count_run, NULL);
		CHECK_EQ(tuck_drop(id), 0);
		check_gone(id);
		tuck_yield();
	}
	CHECK_EQ(runs, 0);
	CHECK_EQ(pool_bytes(), bytes);
	CHECK_EQ(tuck_stats(&stats), 0);
	CHECK_EQ(stats.tasklets, 1);
	CHECK_EQ(stats.slots, 0);
}

static void join_it(void *arg)
{
	CHECK_EQ(tuck_join(*(tuck_id *)arg, TUCK_FOREVER), 0);
	runs++;
}

TEST(drop_wakes_joiners)
{
	tuck_id id = go(block_for_ever, NULL);

	for (int i = 0; i < 5; i++)
		go(join_it, &id);
	for (int i = 0; i < 50; i++)
		tuck_yield();
	CHECK_EQ(runs, 0);
	CHECK_EQ(tuck_drop(id), 0);
	run_out();
	CHECK_EQ(runs, 5);
}

static void drop_main(void *arg)
{
	CHECK_EQ(tuck_drop(*(tuck_id *)arg), -EINVAL);
	CHECK_EQ(tuck_drop(tuck_self()), -EINVAL);
	runs++;
}

TEST(drop_refuses_self_and_main)
{
	tuck_id main = tuck_self();

	CHECK_EQ(tuck_drop(main), -EINVAL);
	go(drop_main, &main);
	run_out();
	CHECK_EQ(runs, 1);
}

static void hold_pattern(void *arg)
{
	volatile char bytes[3000];

	memset((char *)bytes, (int)(intptr_t)arg, sizeof(bytes));
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	for (size_t i = 0; i < sizeof(bytes); i++)
		CHECK_EQ(bytes[i], (char)(intptr_t)arg);
	runs++;
}

/* Whoever is resident or tucked may go; the rest keeps its bytes. */
TEST(drop_leaves_the_others_alone)
{
	tuck_id id[40];

	use_slots(1);
	for (intptr_t i = 0; i < 40; i++)
		id[i] = go(hold_pattern, (void *)(i + 1));
	for (int i = 0; i < 200; i++)
		tuck_yield();
	for (int i = 0; i < 40; i += 2)
		CHECK_EQ(tuck_drop(id[i]), 0);
	CHECK_EQ(tuck_drop(id[39]), 0);
	for (int i = 1; i < 39; i += 2)
		CHECK_EQ(tuck_unblock(id[i]), 0);
	run_out();
	CHECK_EQ(runs, 19);
}

/* -- an idle proc -- */

static void idle_with(size_t slots)
{
	tuck_id id[6];

	use_slots(slots);
	for (intptr_t i = 0; i < 6; i++)
		id[i] = go(hold_pattern, (void *)(i + 1));
	for (int n = 0; n < 3; n++)
		CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(250))), 0);
	for (int i = 0; i < 6; i++)
		CHECK_EQ(tuck_unblock(id[i]), 0);
	run_out();
	CHECK_EQ(runs, 6);
}

/* It may give pages of its stacks back; the tasklets do not notice. */
TEST(an_idle_proc_keeps_its_tasklets)
{
	idle_with(8);
}

TEST(an_idle_proc_keeps_its_tasklets_on_four_stacks)
{
	idle_with(4);
}

TEST(an_idle_proc_keeps_its_tasklets_on_one_stack)
{
	idle_with(1);
}

/* -- another proc's -- */

struct other {
	tuck_id id;
	pthread_barrier_t there, done;
};

static void *other_thread(void *arg)
{
	struct other *o = arg;

	o->id = tuck_go(block_twice, NULL);
	pthread_barrier_wait(&o->there);
	pthread_barrier_wait(&o->done);
	while (tuck_join(o->id, TUCK_FOREVER) != -ESRCH)
		;
	return NULL;
}

TEST(another_procs_tasklet_is_out_of_reach)
{
	struct other o;
	pthread_t thread;

	pthread_barrier_init(&o.there, NULL, 2);
	pthread_barrier_init(&o.done, NULL, 2);
	tuck_self();
	CHECK_EQ(pthread_create(&thread, NULL, other_thread, &o), 0);
	pthread_barrier_wait(&o.there);
	CHECK(o.id > 0);
	CHECK_EQ(tuck_drop(o.id), -EXDEV);
	CHECK_EQ(tuck_transfer(o.id), -EXDEV);
	CHECK_EQ(tuck_unblock(o.id), 0);	/* for its block_twice() */
	pthread_barrier_wait(&o.done);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(runs, 1);
	check_gone(o.id);
}
