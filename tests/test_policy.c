/* SPDX-License-Identifier: MIT */
/* Policies: each one's order, the scheduler's side, and what is caught. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <tuck.h>

#include "base/mem.h"
#include "task/pile.h"
#include "task/task.h"
#include "trace.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static void use(const struct tuck_policy *policy, const void *arg)
{
	CHECK_EQ(tuck_policy_set(policy, arg), 0);
}

/* Until the other tasklets have ended, without a turn of one's own. */
static void run_out(void)
{
	CHECK_EQ(tuck__sched_run_out(tuck__tls), 0);
}

static tuck_id go_with(struct tuck_attr attr, void (*fn)(void *), void *arg)
{
	tuck_id id = tuck_go_with(&attr, fn, arg);

	CHECK(id > 0);
	return id;
}

static tuck_id go_letter_with(struct tuck_attr attr, const char *name)
{
	return go_with(attr, letter, (void *)(uintptr_t)name);
}

/* -- a policy of one's own: last in, first out, with a diary -- */

static struct lifo {
	struct tuck_entity *top;
	int readies, removals, inits, finis;
} lifo;

static int lifo_init(void **ret_state, const void *arg)
{
	if (arg)
		return *(const int *)arg;
	lifo.inits++;
	*ret_state = &lifo;
	return 0;
}

static void lifo_fini(void *state)
{
	struct lifo *l = state;

	l->finis++;
	l->top = NULL;
}

static void lifo_ready(void *state, struct tuck_entity *e)
{
	struct lifo *l = state;

	errno = 1234;
	e->links[0] = l->top;
	l->top = e;
	l->readies++;
}

static tuck_id lifo_next(void *state)
{
	struct lifo *l = state;
	struct tuck_entity *e = l->top;

	errno = 4321;
	if (!e)
		return 0;
	l->top = e->links[0];
	return e->id;
}

static void lifo_removed(void *state, struct tuck_entity *e)
{
	struct lifo *l = state;
	struct tuck_entity **at = &l->top;

	while (*at != e)
		at = &(*at)->links[0];
	*at = e->links[0];
	l->removals++;
}

static const struct tuck_policy lifo_policy = {
	"lifo", lifo_init, lifo_fini, lifo_ready, lifo_next, lifo_removed,
};

TEST(own_policy_decides)
{
	use(&lifo_policy, NULL);
	go_letter("a");
	go_letter("b");
	go_letter("c");
	CHECK_EQ(lifo.readies, 0);	/* told lazily */
	run_out();
	CHECK_TRACE("cba");
	CHECK_EQ(lifo.readies, 4);	/* main's end of waiting too */
	CHECK_EQ(lifo.removals, 0);
}

TEST(those_who_are_ready_are_handed_over_in_order)
{
	go_letter("a");
	go_letter("b");
	use(&lifo_policy, NULL);
	go_letter("c");
	run_out();
	CHECK_TRACE("cba");
	go_letter("a");
	go_letter("b");
	go_letter("c");
	tuck_yield();			/* told, and the yielder is the last */
	use(NULL, NULL);
	CHECK_EQ(lifo.inits, 1);
	CHECK_EQ(lifo.finis, 1);
	tuck_yield();
	CHECK_TRACE("abc");
}

TEST(policy_is_its_procs_own)
{
	use(&lifo_policy, NULL);
	CHECK_EQ(lifo.inits, 1);
	use(&lifo_policy, NULL);
	CHECK_EQ(lifo.inits, 2);
	CHECK_EQ(lifo.finis, 1);
}

static void *end_with_policy(void *arg)
{
	use(&lifo_policy, NULL);
	go_letter("a");
	tuck_yield();
	return arg;
}

TEST(end_of_a_proc_ends_its_policy)
{
	on_thread(end_with_policy, NULL);
	CHECK_EQ(lifo.inits, 1);
	CHECK_EQ(lifo.finis, 1);
}

TEST(bad_tables_are_refused)
{
	struct tuck_policy p = lifo_policy;
	int err = -EXFULL;

	use(&lifo_policy, NULL);
	CHECK_EQ(tuck_policy_set(&lifo_policy, &err), -EXFULL);
	p.name = NULL;
	CHECK_EQ(tuck_policy_set(&p, NULL), -EINVAL);
	p = lifo_policy;
	p.ready = NULL;
	CHECK_EQ(tuck_policy_set(&p, NULL), -EINVAL);
	p = lifo_policy;
	p.next = NULL;
	CHECK_EQ(tuck_policy_set(&p, NULL), -EINVAL);
	p = lifo_policy;
	p.removed = NULL;
	CHECK_EQ(tuck_policy_set(&p, NULL), -EINVAL);
	CHECK_EQ(lifo.finis, 0);
	go_letter("a");
	go_letter("b");
	run_out();
	CHECK_TRACE("ba");		/* the old one stayed */
}

TEST(bad_arguments_of_policies_are_refused)
{
	uint32_t aging = 4097;
	struct tuck_pct pct = { 1, TUCK_PCT_DEPTH_MAX + 1, 0 };

	CHECK_EQ(tuck_policy_set(tuck_policy_priority(), &aging), -EINVAL);
	CHECK_EQ(tuck_policy_set(tuck_policy_pct(), &pct), -EINVAL);
}

TEST(bad_attributes_are_refused)
{
	struct tuck_attr bad[] = { { .priority = 128 },
				   { .priority = -128 },
				   { .weight = 1000001 },
				   { .due = -1 } };
	tuck_id self = tuck_self(), ended = go(letter, "a");

	for (size_t i = 0; i < LENGTH(bad); i++)
		CHECK_EQ(tuck_go_with(&bad[i], letter, "x"), -EINVAL);
	CHECK_EQ(tuck_priority_set(self, 128), -EINVAL);
	CHECK_EQ(tuck_priority_set(self, -128), -EINVAL);
	CHECK_EQ(tuck_weight_set(self, 0), -EINVAL);
	CHECK_EQ(tuck_weight_set(self, 1000001), -EINVAL);
	CHECK_EQ(tuck_due_set(self, 0), -EINVAL);
	run_out();
	CHECK_EQ(tuck_priority_set(ended, 1), -ESRCH);
	CHECK_EQ(tuck_weight_set(ended, 1), -ESRCH);
	CHECK_EQ(tuck_due_set(ended, 1), -ESRCH);
	CHECK_EQ(tuck_priority_set(self, 127), 0);
	CHECK_EQ(tuck_priority_set(self, -127), 0);
}

static void *set_elsewhere(void *arg)
{
	CHECK_EQ(tuck_priority_set(*(tuck_id *)arg, 1), -EXDEV);
	return NULL;
}

TEST(attributes_belong_to_the_proc)
{
	tuck_id self = tuck_self();

	on_thread(set_elsewhere, &self);
}

static void keep_errno(void *arg)
{
	for (int i = 0; i < 20; i++) {
		errno = (int)(intptr_t)arg + i;
		tuck_yield();
		CHECK_EQ(errno, (int)(intptr_t)arg + i);
	}
}

TEST(policy_leaves_errno_alone)
{
	use(&lifo_policy, NULL);
	go(keep_errno, (void *)100);
	go(keep_errno, (void *)200);
	errno = 5;
	tuck_yield();
	CHECK_EQ(errno, 5);
	run_out();
}

static int foreign;

/* When the policy sees a tasklet for the first time. */
static void look_for_foreign_words(void *state, struct tuck_entity *e)
{
	if (lifo.readies < 10)
		foreign += e->words[0] || e->words[1] || e->links[0];
	lifo_ready(state, e);
}

TEST(words_of_another_policy_are_cleared)
{
	struct tuck_policy p = lifo_policy;

	p.ready = look_for_foreign_words;
	use(tuck_policy_stride(), NULL);
	for (int i = 0; i < 10; i++)
		go(keep_errno, NULL);
	for (int i = 0; i < 5; i++)
		tuck_yield();
	use(&p, NULL);
	run_out();
	CHECK(lifo.readies > 10);
	CHECK_EQ(foreign, 0);
}

/* -- who leaves the ready without being chosen -- */

TEST(dropped_ones_are_removed)
{
	tuck_id a, c;

	use(&lifo_policy, NULL);
	a = go_letter("a");
	go_letter("b");
	c = go_letter("c");
	CHECK_EQ(tuck_drop(c), 0);
	CHECK_EQ(lifo.removals, 0);	/* it was not told yet */
	tuck_yield();
	CHECK_EQ(tuck_drop(a), 0);
	CHECK_EQ(lifo.removals, 1);
	go_letter("d");
	run_out();
	CHECK_TRACE("db");
}

static void back_to(void *arg)
{
	mark('t');
	CHECK_EQ(tuck_transfer(*(tuck_id *)arg), 0);
	mark('u');
}

TEST(transfer_runs_one_that_was_told)
{
	tuck_id self = tuck_self(), t;

	use(&lifo_policy, NULL);
	t = go(back_to, &self);
	go_letter("b");
	tuck_yield();
	CHECK_EQ(tuck_transfer(t), 0);
	CHECK_EQ(lifo.removals, 1);
	CHECK_TRACE("t");
	CHECK_EQ(tuck_unblock(t), 0);
	run_out();
	CHECK_TRACE("ub");
}

static tuck_id stayer;

static void unblock_stayer(void *arg)
{
	(void)arg;
	mark('b');
	CHECK_EQ(tuck_priority_set(tuck_self(), -1), 0);
	tuck_yield();
	mark('c');
	CHECK_EQ(tuck_unblock(stayer), 0);
}

/* The next one needs its stack, and there is no memory to tuck it away. */
static void stay_then_block(void *arg)
{
	volatile char pad[100000];	/* more than the pool has at hand */

	(void)arg;
	KEEP(pad);
	memset((char *)pad, 1, sizeof(pad));
	go_with((struct tuck_attr){ .priority = 1 }, unblock_stayer, NULL);
	tuck__fault_set(1, 1);
	tuck_yield();
	tuck__fault_set(0, 0);
	mark('a');
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	mark('d');
	CHECK_EQ(pad[77], 1);
}

TEST(one_that_cannot_be_tucked_runs_on_and_is_removed)
{
	use_slots(1);
	use(tuck_policy_priority(), NULL);
	stayer = go(stay_then_block, NULL);
	go_letter_with((struct tuck_attr){ .priority = -2 }, "e");
	run_out();
	CHECK_TRACE("abcde");
}

/* -- priorities -- */

TEST(greatest_priority_first)
{
	use(tuck_policy_priority(), NULL);
	go_letter("c");
	go_letter_with((struct tuck_attr){ .priority = 5 }, "a");
	go_letter_with((struct tuck_attr){ .priority = -3 }, "f");
	go_letter("d");
	go_letter_with((struct tuck_attr){ .priority = 5 }, "b");
	go_letter_with((struct tuck_attr){ .priority = -2 }, "e");
	run_out();
	CHECK_TRACE("abcdef");
}

TEST(priority_can_be_changed)
{
	tuck_id a, b;

	use(tuck_policy_priority(), NULL);
	a = go_letter("a");
	b = go_letter("b");
	go_letter("c");
	CHECK_EQ(tuck_priority_set(tuck_self(), 1), 0);
	tuck_yield();			/* they are told now */
	CHECK_TRACE("");
	CHECK_EQ(tuck_priority_set(a, -1), 0);
	CHECK_EQ(tuck_priority_set(b, -1), 0);
	CHECK_EQ(tuck_priority_set(a, 0), 0);	/* behind c now */
	run_out();
	CHECK_TRACE("cab");
}

static int turns;
static bool ran;

static void note_run(void *arg)
{
	(void)arg;
	ran = true;
}

/* How many turns main has while one of priority -behind waits. */
static int turns_before(int behind, int most)
{
	go_with((struct tuck_attr){ .priority = -behind }, note_run, NULL);
	ran = false;
	for (turns = 0; !ran && turns < most; turns++)
		tuck_yield();
	return turns;
}

TEST(aging_bounds_the_wait)
{
	uint32_t aging = 10;

	use(tuck_policy_priority(), &aging);
	CHECK_EQ(turns_before(0, 1000), 1);
	CHECK_EQ(turns_before(1, 1000), 11);
	CHECK_EQ(turns_before(7, 1000), 71);
	CHECK_EQ(turns_before(127, 10000), 1271);
	use(tuck_policy_priority(), NULL);
	CHECK_EQ(turns_before(2, 10000), 257);
}

TEST(strict_priorities_starve)
{
	uint32_t none = 0;

	use(tuck_policy_priority(), &none);
	CHECK_EQ(turns_before(1, 100000), 100000);
	run_out();
	CHECK(ran);
}

/* -- deadlines -- */

TEST(earliest_due_first)
{
	tuck_id d;

	use(tuck_policy_deadline(), NULL);
	go_letter("e");
	go_letter_with((struct tuck_attr){ .due = TUCK_SEC(3) }, "c");
	go_letter_with((struct tuck_attr){ .due = TUCK_SEC(2) }, "a");
	d = go_letter("d");
	go_letter_with((struct tuck_attr){ .due = TUCK_SEC(2) }, "b");
	CHECK_EQ(tuck_due_set(tuck_self(), 1), 0);
	tuck_yield();
	CHECK_TRACE("");
	CHECK_EQ(tuck_due_set(d, TUCK_SEC(1) << 20), 0);
	run_out();
	CHECK_TRACE("abcde");
}

/* -- strides -- */

static bool stop;

static void count_turns(void *arg)
{
	while (!stop) {
		++*(int *)arg;
		tuck_yield();
	}
}

static void go_counting(int *count, uint32_t weight)
{
	go_with((struct tuck_attr){ .weight = weight }, count_turns, count);
}

static void check_share(int count, double share, int all)
{
	fprintf(stderr, "# %d turns, due %f\n", count, share * all);
	CHECK(count > 0.98 * share * all - 1 && count < 1.02 * share * all + 1);
}

TEST(turns_in_proportion_to_weights)
{
	static const uint32_t weight[] = { 100, 200, 300, 7, 1000 };
	int count[LENGTH(weight)] = { 0 }, all = 0;
	double sum = 100;		/* main's */

	use(tuck_policy_stride(), NULL);
	for (size_t i = 0; i < LENGTH(weight); i++) {
		go_counting(&count[i], weight[i]);
		sum += weight[i];
	}
	for (turns = 0; turns < 5000; turns++)
		tuck_yield();
	for (size_t i = 0; i < LENGTH(weight); i++)
		all += count[i];
	all += turns;
	for (size_t i = 0; i < LENGTH(weight); i++)
		check_share(count[i], weight[i] / sum, all);
	check_share(turns, 100 / sum, all);
	stop = true;
	run_out();
}

TEST(weight_can_be_changed)
{
	int count = 0;
	tuck_id id;

	use(tuck_policy_stride(), NULL);
	id = go(count_turns, &count);
	for (turns = 0; turns < 1000; turns++)
		tuck_yield();
	check_share(count, 0.5, 2000);
	CHECK_EQ(tuck_weight_set(id, 500), 0);
	count = 0;
	for (turns = 0; turns < 1000; turns++)
		tuck_yield();
	check_share(count, 5.0 / 6, 6000);
	stop = true;
	run_out();
}

static void sleep_then_count(void *arg)
{
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	count_turns(arg);
}

TEST(who_waited_has_no_claim_to_missed_turns)
{
	int a = 0, b = 0;
	tuck_id id;

	use(tuck_policy_stride(), NULL);
	go(count_turns, &a);
	id = go(sleep_then_count, &b);
	for (int i = 0; i < 3000; i++)
		tuck_yield();
	CHECK_EQ(tuck_unblock(id), 0);
	a = 0;
	for (int i = 0; i < 1000; i++)
		tuck_yield();
	CHECK(a >= 999 && a <= 1001);
	CHECK(b >= 999 && b <= 1001);
	stop = true;
	run_out();
}

/* -- random -- */

static void yield_thrice(void *name)
{
	for (int i = 0; i < 3; i++) {
		letter(name);
		tuck_yield();
	}
}

/* What ten do under a policy. */
static void run_ten(const struct tuck_policy *policy, const void *arg,
		    char *ret_trace)
{
	static const char names[] = "abcdefghij";

	use(policy, arg);
	for (int i = 0; i < 10; i++)
		go(yield_thrice, (void *)(uintptr_t)&names[i]);
	run_out();
	strcpy(ret_trace, trace_text);
	CHECK_TRACE(ret_trace);
}

TEST(same_seed_same_order)
{
	char first[64], again[64], other[64];

	for (uint64_t seed = 1; seed <= 50; seed++) {
		uint64_t next = seed + 1;

		run_ten(tuck_policy_random(), &seed, first);
		run_ten(tuck_policy_random(), &next, other);
		run_ten(tuck_policy_random(), &seed, again);
		CHECK_STR(first, again);
		CHECK(strcmp(first, other) != 0);
		CHECK_EQ(strlen(first), 30);
	}
}

TEST(each_is_as_likely)
{
	static const char names[] = "abcdefgh";
	int first[8] = { 0 };

	for (uint64_t seed = 1; seed <= 4000; seed++) {
		use(tuck_policy_random(), &seed);
		for (int i = 0; i < 8; i++)
			go_letter(&names[i]);
		run_out();
		first[trace_text[0] - 'a']++;
		trace_used = 0;
	}
	for (int i = 0; i < 8; i++)	/* 500, the deviation is 21 */
		CHECK(first[i] > 400 && first[i] < 600);
}

static void count_run(void *arg)
{
	++*(int *)arg;
}

TEST(more_than_a_window_of_random_ones)
{
	static int count[1000];
	tuck_id id[1000];
	uint64_t seed = 3;

	use(tuck_policy_random(), &seed);
	for (int i = 0; i < 1000; i++)
		id[i] = go(count_run, &count[i]);
	tuck_yield();
	for (int i = 0; i < 1000; i += 3)
		tuck_drop(id[i]);
	run_out();
	for (int i = 0; i < 1000; i++)	/* a few ran before they were dropped */
		CHECK(count[i] == 1 || (i % 3 == 0 && count[i] == 0));
}

/* -- PCT -- */

TEST(same_seed_same_order_by_pct)
{
	char first[64], again[64];
	int differ = 0;

	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct tuck_pct pct = { seed, 4, 30 };

		run_ten(tuck_policy_pct(), &pct, first);
		run_ten(tuck_policy_pct(), &pct, again);
		CHECK_STR(first, again);
		pct.seed += 1000;
		run_ten(tuck_policy_pct(), &pct, again);
		differ += strcmp(first, again) != 0;
	}
	CHECK(differ > 45);
}

/* How often one stops running before it has left its three letters. */
static int preemptions(const char *trace)
{
	int left[256] = { 0 }, n = 0;

	for (; *trace; trace++) {
		left[(unsigned char)*trace]++;
		n += trace[1] && trace[1] != trace[0] &&
		     left[(unsigned char)*trace] < 3;
	}
	return n;
}

TEST(depth_less_one_changes)
{
	char trace[64];

	for (uint32_t depth = 1; depth <= 6; depth++) {
		int most = 0, n;

		for (uint64_t seed = 1; seed <= 300; seed++) {
			struct tuck_pct pct = { seed, depth, 40 };

			run_ten(tuck_policy_pct(), &pct, trace);
			n = preemptions(trace);
			most = n > most ? n : most;
		}
		CHECK_EQ(most, depth - 1);
	}
}

TEST(one_that_polls_does_not_starve_others_by_pct)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct tuck_pct pct = { seed, 1, 100 };

		use(tuck_policy_pct(), &pct);
		ran = false;
		go(note_run, NULL);
		for (turns = 0; !ran; turns++)
			tuck_yield();
		CHECK(turns <= 101);
	}
}

/*
 * A planted error of depth 3: first gets twice where second gets once in
 * between, and then once more. It takes three orderings.
 */
static int phase;

static void step_if(int from)
{
	if (phase == from)
		phase++;
}

static void first(void *arg)
{
	(void)arg;
	tuck_yield();
	tuck_yield();
	step_if(0);
	tuck_yield();
	step_if(2);
}

static void second(void *arg)
{
	(void)arg;
	step_if(1);
	tuck_yield();
	step_if(3);
	tuck_yield();
	tuck_yield();
}

static bool errs(void)
{
	phase = 0;
	go(second, NULL);
	go(first, NULL);
	run_out();
	return phase == 4;
}

static uint64_t find_error(uint32_t depth, uint64_t seeds)
{
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		struct tuck_pct pct = { seed, depth, 8 };

		use(tuck_policy_pct(), &pct);
		if (errs())
			return seed;
	}
	return 0;
}

TEST(finds_an_error_of_depth_3)
{
	struct tuck_pct pct = { 0, 3, 8 };

	use(NULL, NULL);
	for (int i = 0; i < 1000; i++)
		CHECK(!errs());
	CHECK_EQ(find_error(1, 1000), 0);
	CHECK_EQ(find_error(2, 1000), 0);
	pct.seed = find_error(3, 1000);
	fprintf(stderr, "# seed %llu\n", (unsigned long long)pct.seed);
	CHECK(pct.seed > 0);
	for (int i = 0; i < 10; i++) {
		use(tuck_policy_pct(), &pct);
		CHECK(errs());
	}
}

/* For two tasklets and main, and eight steps. */
TEST(errors_are_found_as_often_as_promised)
{
	int runs = 20000, found = 0;

	for (int seed = 1; seed <= runs; seed++) {
		struct tuck_pct pct = { (uint64_t)seed, 3, 8 };

		use(tuck_policy_pct(), &pct);
		found += errs();
	}
	fprintf(stderr, "# %d of %d runs\n", found, runs);
	CHECK(found >= runs / (3 * 8 * 8));
}

/* -- what is caught -- */

/* lifo, but: */
static struct misdeed {
	void (*in_next)(void);
	tuck_id chooses;
	tuck_id forgets;
} misdeed;

static tuck_id bad_next(void *state)
{
	if (misdeed.in_next)
		misdeed.in_next();
	return misdeed.chooses ? misdeed.chooses : lifo_next(state);
}

static void bad_ready(void *state, struct tuck_entity *e)
{
	if (e->id != misdeed.forgets)
		lifo_ready(state, e);
}

static const struct tuck_policy bad_policy = {
	"bad", lifo_init, lifo_fini, bad_ready, bad_next, lifo_removed,
};

static void yield_on(void)
{
	for (;;)
		tuck_yield();
}

static int blocks;

static void block(void *arg)
{
	(void)arg;
	blocks++;
	tuck_block(TUCK_FOREVER);
}

static void forget_one(void)
{
	misdeed.forgets = go_with((struct tuck_attr){ .name = "lost" }, letter,
				  "a");
	use(&bad_policy, NULL);
}

TEST(forgotten_tasklet_is_caught)
{
	CHECK_DIES(-SIGABRT, "policy \"bad\" forgot tasklet", {
		forget_one();
		run_out();
	});
	CHECK_DIES(-SIGABRT, "\"lost\"", {
		forget_one();
		run_out();
	});
}

/* Somebody else is always ready, so it does not show of itself. */
TEST(forgotten_tasklet_is_caught_in_a_busy_proc)
{
	CHECK_DIES(-SIGABRT, "policy \"bad\" forgot tasklet", {
		forget_one();
		yield_on();
	});
}

TEST(choice_of_one_that_waits_is_caught)
{
	CHECK_DIES(-SIGABRT, "\"waits\", which is not ready", {
		use(&lifo_policy, NULL);
		misdeed.chooses = go_with((struct tuck_attr){ .name = "waits" },
					  block, NULL);
		while (!blocks)
			tuck_join(misdeed.chooses, tuck_after(TUCK_MS(1)));
		use(&bad_policy, NULL);
		go_letter("a");
		yield_on();
	});
}

TEST(choice_of_one_twice_is_caught)
{
	CHECK_DIES(-SIGABRT, "which is not ready", {
		misdeed.chooses = tuck_self();
		use(&bad_policy, NULL);
		go_letter("a");
		run_out();
	});
}

TEST(choice_of_nobody_is_caught)
{
	CHECK_DIES(-SIGABRT, "no tasklet of this proc", {
		misdeed.chooses = go_letter("a");
		run_out();
		use(&bad_policy, NULL);
		go_letter("b");
		yield_on();
	});
	CHECK_DIES(-SIGABRT, "chose -7, which is no tasklet", {
		misdeed.chooses = -7;
		use(&bad_policy, NULL);
		go_letter("b");
		yield_on();
	});
}

static void sleep_a_little(void)
{
	tuck_sleep(tuck_after(TUCK_MS(1)));
}

static tuck_id victim;

static void drop_victim(void)
{
	tuck_drop(victim);
}

TEST(switch_inside_a_policy_is_caught)
{
	CHECK_DIES(-SIGABRT, "\"bad\" switches", {
		misdeed.in_next = tuck_yield;
		use(&bad_policy, NULL);
		go_letter("a");
		yield_on();
	});
	CHECK_DIES(-SIGABRT, "\"bad\" switches", {
		misdeed.in_next = sleep_a_little;
		use(&bad_policy, NULL);
		go_letter("a");
		yield_on();
	});
	CHECK_DIES(-SIGABRT, "drops a tasklet", {
		misdeed.in_next = drop_victim;
		use(&bad_policy, NULL);
		victim = go_letter("a");
		yield_on();
	});
}

static void transfer_to_victim(void)
{
	misdeed.in_next = NULL;
	tuck_transfer(victim);
}

static void kill_victim(void)
{
	tuck_kill(victim);
}

/* Of these the policy is not told, so they do not ask it anything. */
static void misbehave_to_one_that_waits(void (*misdo)(void))
{
	use(&lifo_policy, NULL);
	victim = go(block, NULL);
	while (!blocks)
		tuck_join(victim, tuck_after(TUCK_MS(1)));
	misdeed.in_next = misdo;
	use(&bad_policy, NULL);
	go_letter("a");
	yield_on();
}

static void new_victim(void)
{
	victim = go(block, NULL);
	kill_victim();
}

TEST(misdeeds_to_those_who_wait_are_caught)
{
	CHECK_DIES(-SIGABRT, "\"bad\" switches, or drops",
		   { misbehave_to_one_that_waits(drop_victim); });
	CHECK_DIES(-SIGABRT, "\"bad\" switches, or drops",
		   { misbehave_to_one_that_waits(transfer_to_victim); });
	CHECK_DIES(-SIGABRT, "\"bad\" switches, or drops",
		   { misbehave_to_one_that_waits(new_victim); });
}

static int init_in_vain(void **ret_state, const void *arg)
{
	(void)ret_state, (void)arg;
	return 5;
}

static int init_that_yields(void **ret_state, const void *arg)
{
	tuck_yield();
	return lifo_init(ret_state, arg);
}

static int init_that_drops(void **ret_state, const void *arg)
{
	tuck_drop(victim);
	return lifo_init(ret_state, arg);
}

static int init_that_sets(void **ret_state, const void *arg)
{
	CHECK_EQ(tuck_policy_set(NULL, NULL), -EBUSY);
	return lifo_init(ret_state, arg);
}

static int set_with(int (*init)(void **ret_state, const void *arg))
{
	static struct tuck_policy p;

	p = lifo_policy;
	p.name = "hasty";
	p.init = init;
	victim = go_letter("a");
	return tuck_policy_set(&p, NULL);
}

TEST(misdeeds_of_init_are_caught)
{
	CHECK_DIES(-SIGABRT, "\"hasty\" switches, or drops",
		   { set_with(init_that_yields); });
	CHECK_DIES(-SIGABRT, "\"hasty\" switches, or drops",
		   { set_with(init_that_drops); });
	CHECK_DIES(-SIGABRT, "\"hasty\" switches, or drops", {
		use(&lifo_policy, NULL);
		set_with(init_that_yields);
	});
	CHECK_EQ(set_with(init_that_sets), 0);
	run_out();
	CHECK_TRACE("a");
}

TEST(a_positive_result_of_init_is_an_error)
{
	use(NULL, NULL);
	CHECK_EQ(set_with(init_in_vain), -EINVAL);
	CHECK_EQ(lifo.finis, 0);
	run_out();
	CHECK_TRACE("a");
}

static int answers[2];

static void change_inside(void)
{
	answers[0] = tuck_policy_set(NULL, NULL);
	answers[1] = tuck_priority_set(tuck_self(), 1);
	misdeed.in_next = NULL;
}

TEST(changes_inside_a_policy_are_refused)
{
	misdeed.in_next = change_inside;
	use(&bad_policy, NULL);
	go_letter("a");
	run_out();
	CHECK_EQ(answers[0], -EBUSY);
	CHECK_EQ(answers[1], -EBUSY);
	CHECK_TRACE("a");
}

/* A search in a starving proc finds nothing wrong, and changes no order. */
TEST_LIMIT(starvation_alone_is_no_error, 60)
{
	uint32_t none = 0;

	use(tuck_policy_priority(), &none);
	CHECK_EQ(tuck_priority_set(tuck_self(), 1), 0);
	go_letter("a");
	go_letter("b");
	for (int i = 0; i < 3 << 20; i++)
		tuck_yield();
	CHECK_TRACE("");
	run_out();
	CHECK_TRACE("ab");
}

/* -- the rest of the scheduler -- */

static int looks;

static void count_look(struct tuck__sched *s, void *arg, tuck_ns deadline)
{
	(void)s, (void)arg;
	CHECK_EQ(deadline, TUCK_NOWAIT);
	looks++;
}

static bool always_busy(void *arg)
{
	(void)arg;
	return true;
}

static void no_kick(struct tuck__sched *s)
{
	(void)s;
}

TEST(looks_are_by_count)
{
	static const struct tuck__idle counting = { count_look, always_busy,
						    no_kick };

	use(tuck_policy_priority(), NULL);
	tuck__sched_set_idle(tuck__tls, &counting, NULL);
	go_counting(&turns, 0);
	for (int i = 0; i < 6400; i++)
		tuck_yield();
	CHECK_EQ(looks, 100);
}

TEST(hand_overs_are_the_policys_choice)
{
	struct tuck_chan *chan = tuck_chan_new(0, 0);

	use(tuck_policy_priority(), NULL);
	go_letter_with((struct tuck_attr){ .priority = 1 }, "a");
	go_letter("b");
	CHECK_EQ(tuck_chan_recv(chan, NULL, tuck_after(TUCK_MS(1))),
		 -ETIMEDOUT);
	CHECK_TRACE("ab");
	tuck_chan_free(chan);
}

static void *order_of_env(void *arg)
{
	go_letter_with((struct tuck_attr){ .due = 2 }, "a");
	go_letter_with((struct tuck_attr){ .priority = 1, .due = 1 }, "b");
	go_letter("c");
	run_out();
	return arg;
}

TEST(environment_names_a_policy)
{
	static const struct {
		const char *text, *trace;
	} cases[] = {
		{ "fifo", "abc" },	  { "priority", "bac" },
		{ "deadline", "bac" },	  { "stride", "abc" },
		{ "priority:0", "bac" },  { "nonsense", "abc" },
		{ "priority:x", "abc" },  { "priority:9999", "abc" },
		{ "pct:1:99", "abc" },	  { "", "abc" },
		{ "deadlin", "abc" },	  { "deadline:1:2:3:4", "abc" },
		{ "priority2:1", "abc" },
	};

	unsetenv("TUCK_SEED");
	for (size_t i = 0; i < LENGTH(cases); i++) {
		setenv("TUCK_POLICY", cases[i].text, 1);
		on_thread(order_of_env, NULL);
		CHECK_TRACE(cases[i].trace);
	}
}

static void *trace_of_env(void *arg)
{
	static const char names[] = "abcdefghij";

	for (int i = 0; i < 10; i++)
		go(yield_thrice, (void *)(uintptr_t)&names[i]);
	run_out();
	return arg;
}

TEST(environment_gives_seeds)
{
	char seed[64], random[64];

	unsetenv("TUCK_POLICY");
	setenv("TUCK_SEED", "7", 1);
	on_thread(trace_of_env, NULL);
	strcpy(seed, trace_text);
	CHECK_TRACE(seed);
	unsetenv("TUCK_SEED");
	setenv("TUCK_POLICY", "random:7", 1);
	on_thread(trace_of_env, NULL);
	strcpy(random, trace_text);
	CHECK_TRACE(seed);		/* two words for one thing */
	setenv("TUCK_POLICY", "random:8", 1);
	on_thread(trace_of_env, NULL);
	CHECK(strcmp(trace_text, random) != 0);
}

/* -- many, at random -- */

static tuck_id ids[300];
static uint32_t dice = 1;

static void wander(void *arg)
{
	int rounds = 20;

	(void)arg;
	while (rounds-- > 0) {
		tuck_id other = ids[next_random(&dice) % LENGTH(ids)];

		switch (next_random(&dice) % 7) {
		case 0: tuck_block(tuck_after(TUCK_US(100))); break;
		case 1: tuck_unblock(other); break;
		case 2: tuck_priority_set(other, (int)dice % 100); break;
		case 3: tuck_weight_set(other, 1 + dice % 1000); break;
		case 4: tuck_due_set(other, 1 + dice); break;
		case 5: tuck_join(other, tuck_after(TUCK_US(50))); break;
		default: tuck_yield();
		}
	}
}

static void drop_some(void)
{
	for (int i = 0; i < 20; i++) {
		tuck_yield();
		tuck_drop(ids[next_random(&dice) % LENGTH(ids)]);
		tuck_kill(ids[next_random(&dice) % LENGTH(ids)]);
	}
}

TEST_LIMIT(all_end_under_each_policy, 60)
{
	uint64_t seed = 5;
	struct tuck_pct pct = { 5, 5, 100 };
	const struct {
		const struct tuck_policy *policy;
		const void *arg;
	} all[] = {
		{ tuck_policy_priority(), NULL }, { &lifo_policy, NULL },
		{ tuck_policy_deadline(), NULL }, { tuck_policy_pct(), &pct },
		{ tuck_policy_stride(), NULL },	  { NULL, NULL },
		{ tuck_policy_random(), &seed },
	};

	use_slots(3);
	for (size_t i = 0; i < 4 * LENGTH(all); i++) {
		for (size_t k = 0; k < LENGTH(ids); k++)
			ids[k] = go(wander, NULL);
		use(all[i % LENGTH(all)].policy, all[i % LENGTH(all)].arg);
		drop_some();
		use(all[(i + 1) % LENGTH(all)].policy,
		    all[(i + 1) % LENGTH(all)].arg);
		run_out();
	}
}

static int member(void *arg)
{
	mark(*(const char *)arg);
	return 0;
}

TEST(members_of_groups_are_entities_too)
{
	struct tuck_group *g;

	use(&lifo_policy, NULL);
	CHECK_EQ(tuck_group_new(&g, TUCK_FOREVER), 0);
	CHECK(tuck_group_go(g, member, "a") > 0);
	CHECK(tuck_group_go(g, member, "b") > 0);
	CHECK_EQ(tuck_group_wait(g, TUCK_GROUP_ALL, TUCK_FOREVER), 0);
	CHECK_TRACE("ba");
	CHECK_EQ(tuck_group_free(g), 0);
}

TEST(without_memory_the_old_policy_stays)
{
	use(&lifo_policy, NULL);
	tuck__fault_set(1, 1);
	CHECK_EQ(tuck_policy_set(tuck_policy_priority(), NULL), -ENOMEM);
	CHECK_EQ(tuck_policy_set(tuck_policy_random(), NULL), -ENOMEM);
	CHECK_EQ(tuck_policy_set(tuck_policy_pct(), NULL), -ENOMEM);
	tuck__fault_set(0, 0);
	CHECK_EQ(lifo.finis, 0);
	go_letter("a");
	go_letter("b");
	run_out();
	CHECK_TRACE("ba");
}

static struct tuck_stats stats_now(void)
{
	struct tuck_stats stats;

	CHECK_EQ(tuck_stats(&stats), 0);
	return stats;
}

/* Each lacks memory once: for the table, the block, the entity, the stack. */
TEST(without_memory_nothing_starts)
{
	const int n = UNDER_TSAN ? 1500 : 3000;
	int refused = 0;
	tuck_id id = -1;

	use(&lifo_policy, NULL);
	for (int i = 0; i < n; i++) {
		tuck__fault_set(1, 1);
		id = tuck_go(letter, "x");
		tuck__fault_set(0, 0);
		if (id < 0) {
			CHECK_EQ(id, -ENOMEM);
			refused++;
			go(block, NULL);
		}
	}
	CHECK(refused >= 3);
	CHECK_EQ(stats_now().tasklets, (uint64_t)n + 1);
}

/* -- the pile -- */

#define ENTITIES 200

static struct tuck_entity heap[ENTITIES];
static uint64_t came[ENTITIES];		/* 0: it is not in the pile */

static struct tuck_entity *least(void)
{
	struct tuck_entity *best = NULL;

	for (int i = 0; i < ENTITIES; i++) {
		struct tuck_entity *e = &heap[i];

		if (!came[i])
			continue;
		if (!best || tuck__pile_key(e) < tuck__pile_key(best) ||
		    (tuck__pile_key(e) == tuck__pile_key(best) &&
		     came[i] < came[best - heap]))
			best = e;
	}
	return best;
}

TEST(pile_is_ordered)
{
	struct tuck__pile pile = { NULL, (uint64_t)-1000 };
	uint32_t state = 1;

	for (uint64_t n = 1; n <= 50000; n++) {
		uint32_t i = next_random(&state) % ENTITIES;

		if (next_random(&state) % 3 == 0 && pile.first)
			i = (uint32_t)(pile.first - heap);
		if (came[i]) {
			tuck__pile_remove(&pile, &heap[i]);
			came[i] = 0;
		} else {
			tuck__pile_add(&pile, &heap[i],
				       next_random(&state) % 50);
			came[i] = n;
		}
		CHECK(pile.first == least());
	}
}

TEST(keys_wrap_around)
{
	struct tuck__pile pile = { NULL, 0 };

	for (int i = 0; i < 10; i++)
		tuck__pile_add(&pile, &heap[i], (uint64_t)i - 5);
	for (int i = 0; i < 10; i++) {
		CHECK(pile.first == &heap[i]);
		tuck__pile_remove(&pile, &heap[i]);
	}
	CHECK(!pile.first);
}
