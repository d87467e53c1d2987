/* SPDX-License-Identifier: MIT */
/* What a tasklet has of its own: locals, a name, accounts; and who is there. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "waits.h"

static void ignore(void *arg)
{
	(void)arg;
}

static void run(void (*fn)(void *), void *arg)
{
	finish(go(fn, arg));
}

#define TEXT(s) ((void *)(uintptr_t)(s))

/* -- locals -- */

static void mark_it(void *text)
{
	mark(*(const char *)text);
}

static struct tuck_local plain, marking = { .end = mark_it },
				second = { .end = mark_it };

static int done;

static void use_plain(void *arg)
{
	char mine;

	CHECK(!tuck_local_get(&plain));
	CHECK_EQ(tuck_local_set(&plain, &mine), 0);
	for (int i = 0; i < 5; i++) {
		tuck_yield();
		CHECK(tuck_local_get(&plain) == &mine);
		CHECK(!tuck_local_get(&second));
	}
	CHECK_EQ(tuck_local_set(&plain, NULL), 0);
	CHECK(!tuck_local_get(&plain));
	(void)arg;
	done++;
}

TEST(each_tasklet_has_its_own)
{
	share_slots(2);
	CHECK(!tuck_local_get(&plain));
	for (int i = 0; i < 20; i++)
		go(use_plain, NULL);
	CHECK_EQ(tuck_local_set(&plain, &at), 0);
	while (done < 20)
		tuck_yield();
	CHECK(tuck_local_get(&plain) == &at);
	CHECK(!tuck_local_get(NULL));
	CHECK_EQ(tuck_local_set(NULL, &at), -EINVAL);
}

static void *look_at_plain(void *arg)
{
	CHECK(!tuck_local_get(&plain));		/* no proc yet */
	CHECK_EQ(tuck_local_set(&plain, arg), 0);
	CHECK(tuck_local_get(&plain) == arg);
	return NULL;
}

TEST(each_proc_has_its_own)
{
	CHECK_EQ(tuck_local_set(&plain, &at), 0);
	on_thread(look_at_plain, &done);
	CHECK(tuck_local_get(&plain) == &at);
}

static void set_and(void *how)
{
	CHECK_EQ(tuck_local_set(&marking, TEXT("a")), 0);
	CHECK_EQ(tuck_local_set(&marking, TEXT("b")), 0);
	CHECK_EQ(tuck_local_set(&plain, TEXT("c")), 0);
	CHECK_EQ(tuck_defer(mark_it, TEXT("d")), 0);
	if (*(const char *)how == 'x')
		tuck_exit();
	if (*(const char *)how == 'k')
		tuck_block(TUCK_FOREVER);
}

TEST(values_end_with_their_tasklet)
{
	tuck_id id;

	run(set_and, TEXT("r"));
	CHECK_TRACE("db");
	run(set_and, TEXT("x"));
	CHECK_TRACE("db");
	id = go(set_and, TEXT("k"));
	calm();
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_TRACE("db");
	id = go(set_and, TEXT("k"));
	calm();
	CHECK_EQ(tuck_drop(id), 0);
	CHECK_TRACE("");
}

static void *set_in_thread(void *arg)
{
	CHECK_EQ(tuck_local_set(&marking, arg), 0);
	return NULL;
}

static void set_in_proc(void *arg)
{
	set_in_thread(arg);
}

TEST(values_end_with_their_main_tasklet)
{
	int proc;

	on_thread(set_in_thread, TEXT("t"));
	CHECK_TRACE("t");
	proc = tuck_proc_start(NULL, set_in_proc, TEXT("p"));
	CHECK_EQ(tuck_proc_join(proc, TUCK_FOREVER), 0);
	CHECK_TRACE("p");
}

/* Sets itself again, for ever if it could. */
static void set_again(void *local)
{
	mark('a');
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(1))), 0);
	CHECK_EQ(tuck_local_set(local, local), 0);
}

static struct tuck_local stubborn = { .end = set_again };

static void set_stubborn(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_local_set(&stubborn, &stubborn), 0);
}

TEST(an_end_may_wait_and_set_others)
{
	run(set_stubborn, NULL);
	CHECK_TRACE("aaaa");
}

static void set_second(void *text)
{
	mark(*(const char *)text);
	CHECK_EQ(tuck_local_set(&second, TEXT("2")), 0);
	CHECK_EQ(tuck_defer(mark_it, TEXT("d")), 0);
	tuck_exit();
}

static struct tuck_local exiting = { .end = set_second };

static void set_exiting(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_local_set(&exiting, TEXT("1")), 0);
}

TEST(an_end_may_end_its_tasklet)
{
	run(set_exiting, NULL);
	CHECK_TRACE("1d2");
}

static struct tuck_local many[1030];

static void set_many(void *arg)
{
	int n = (int)(intptr_t)arg;

	for (int i = 0; i < n; i++)
		CHECK_EQ(tuck_local_set(&many[i], &many[n - i]), 0);
	tuck_yield();
	for (int i = 0; i < n; i++)
		CHECK(tuck_local_get(&many[i]) == &many[n - i]);
}

TEST(many_locals)
{
	static struct tuck_local last;

	run(set_many, (void *)1);
	run(set_many, (void *)100);
	run(set_many, (void *)8);
	run(set_many, (void *)1024);
	CHECK_EQ(tuck_local_set(&last, &at), -EAGAIN);
	CHECK(!tuck_local_get(&last));
	CHECK_EQ(tuck_local_set(&many[1023], &at), 0);
}

static void *set_raced(void *arg)
{
	for (int i = 0; i < 1024; i++)
		CHECK_EQ(tuck_local_set(&many[i], arg), 0);
	return NULL;
}

/* Whoever comes first gives a local its place: one to each. */
TEST(procs_that_set_the_same_at_once)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, set_raced, &at), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	for (unsigned i = 0, seen[1025] = { 0 }; i < 1024; i++) {
		CHECK(many[i].place >= 1 && many[i].place <= 1024);
		CHECK_EQ(seen[many[i].place]++, 0);
	}
}

/* -- names -- */

static void check_name(tuck_id id, const char *name)
{
	char text[32];

	CHECK_EQ(tuck_name_get(id, text, sizeof(text)), 0);
	CHECK_STR(text, name);
}

static void *name_from_afar(void *id)
{
	CHECK(tuck_self() > 0);
	CHECK_EQ(tuck_name_set(*(tuck_id *)id, "x"), -EXDEV);
	CHECK_EQ(tuck_name_get(*(tuck_id *)id, &(char){ 0 }, 1), -EXDEV);
	return NULL;
}

TEST(names)
{
	struct tuck_attr attr = { .name = "first" };
	tuck_id id = tuck_go_with(&attr, ignore, NULL), self = tuck_self();
	char text[4] = "zzz";

	check_name(id, "first");
	CHECK_EQ(tuck_name_set(id, "a name that is longer than 31 bytes"), 0);
	check_name(id, "a name that is longer than 31 b");
	CHECK_EQ(tuck_name_get(id, text, 3), 0);
	CHECK_STR(text, "a ");
	CHECK_EQ(tuck_name_set(id, ""), 0);
	check_name(id, "");
	check_name(self, "main");
	CHECK_EQ(tuck_name_set(self, "boss"), 0);
	check_name(self, "boss");
	CHECK_EQ(tuck_name_set(self, ""), 0);
	check_name(self, "main");
	on_thread(name_from_afar, &self);
	CHECK_EQ(tuck_name_set(self, NULL), -EINVAL);
	CHECK_EQ(tuck_name_get(self, NULL, 4), -EINVAL);
	CHECK_EQ(tuck_name_get(self, text, 0), -EINVAL);
	finish(id);
	CHECK_EQ(tuck_name_set(id, "x"), -ESRCH);
	CHECK_EQ(tuck_name_get(id, text, 3), -ESRCH);
	CHECK_STR(text, "a ");
}

/* -- each -- */

static struct tuck_task_info seen[64];
static int seen_n;

static int see(const struct tuck_task_info *info, void *arg)
{
	(void)arg;
	CHECK(seen_n < 64);
	seen[seen_n++] = *info;
	return 0;
}

static const struct tuck_task_info *info_of(tuck_id id)
{
	const struct tuck_task_info *found = NULL;

	seen_n = 0;
	CHECK_EQ(tuck_each(see, NULL), 0);
	for (int i = 0; i < seen_n; i++) {
		if (seen[i].id != id)
			continue;
		CHECK(!found);
		found = &seen[i];
	}
	return found;
}

TEST(each_is_told_of)
{
	struct tuck_attr paused = { .paused = 1, .name = "late" };
	tuck_id id = tuck_go_with(&paused, block_for_ever, NULL);
	const struct tuck_task_info *info;
	tuck_ns before;

	CHECK_EQ(tuck_each(NULL, NULL), -EINVAL);
	info = info_of(tuck_self());
	CHECK(info && info->main == tuck_self() && info->since == 0);
	CHECK_STR(info->state, "runs");
	CHECK_STR(info->name, "main");
	info = info_of(id);
	CHECK(info && info->main == tuck_self());
	CHECK_STR(info->state, "its start");
	CHECK_STR(info->name, "late");
	CHECK_EQ(tuck_unblock(id), 0);
	CHECK_STR(info_of(id)->state, "is ready");
	CHECK_EQ(info_of(id)->since, 0);
	tuck_sleep(tuck_after(TUCK_MS(20)));
	before = tuck_now();
	tuck_sleep(tuck_after(TUCK_MS(20)));
	info = info_of(id);
	CHECK_STR(info->state, "an unblock");
	CHECK(info->since > before - TUCK_SEC(50) && info->since <= before);
	CHECK_EQ(info->switches, 0);
	CHECK_EQ(info->cpu, 0);
	CHECK_EQ(tuck_drop(id), 0);
	CHECK(!info_of(id));
}

/* Ends all others, starts one for each, and lets them run. */
static int churn(const struct tuck_task_info *info, void *arg)
{
	(void)arg;
	seen_n++;
	CHECK(seen_n < 1000);
	if (info->id != tuck_self())
		CHECK_EQ(tuck_kill(info->id), 0);
	go(block_for_ever, NULL);
	tuck_yield();
	return 0;
}

static int stop_at_third(const struct tuck_task_info *info, void *arg)
{
	(void)info;
	return ++*(int *)arg == 3 ? 17 : 0;
}

TEST(who_is_told_of_may_come_and_go)
{
	int n = 0;

	for (int i = 0; i < 10; i++)
		go(block_for_ever, NULL);
	calm();
	CHECK_EQ(tuck_each(churn, NULL), 0);
	CHECK_EQ(seen_n, 11);
	CHECK_EQ(tuck_each(stop_at_third, &n), 17);
	CHECK_EQ(n, 3);
}

/* -- accounts -- */

static tuck_ns thread_cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return TUCK_SEC(t.tv_sec) + t.tv_nsec;
}

/* More than that, where a virtual machine stands still in between. */
static tuck_ns burn(tuck_ns span)
{
	tuck_ns begin = thread_cpu(), end;

	do
		end = thread_cpu();
	while (end < begin + span);
	return end - begin;
}

static tuck_ns burnt[4];	/* by whom burns that many ms */

static void burn_and_yield(void *arg)
{
	for (int i = 0; i < 10; i++) {
		burnt[(intptr_t)arg] += burn(TUCK_MS((intptr_t)arg));
		tuck_yield();
	}
	tuck_block(TUCK_FOREVER);
}

static void burn_once(void *arg)
{
	burnt[(intptr_t)arg] += burn(TUCK_MS((intptr_t)arg));
}

/* What they did apart from that was at most the rest. */
static void check_cpu(tuck_ns cpu, tuck_ns least, tuck_ns rest)
{
	CHECK(cpu >= least);
	CHECK(cpu <= least + rest);
}

static void check_accounts(void)
{
	tuck_ns begin = thread_cpu(), rest;
	tuck_id little = go(burn_and_yield, (void *)1);
	tuck_id much = go(burn_and_yield, (void *)3);
	tuck_ns before, cpu, least;

	memset(burnt, 0, sizeof(burnt));
	while (strcmp(info_of(much)->state, "an unblock") != 0)
		tuck_yield();
	calm();
	if (!seeded()) {	/* else a yield may choose its caller */
		CHECK_EQ(info_of(little)->switches, 11);
		CHECK_EQ(info_of(much)->switches, 11);
	}
	rest = thread_cpu() - begin - burnt[1] - burnt[3];
	check_cpu(info_of(little)->cpu, burnt[1], rest);
	check_cpu(info_of(much)->cpu, burnt[3], rest);
	/* what short ones take is not the others' */
	begin = thread_cpu();
	before = info_of(tuck_self())->cpu;
	for (int i = 0; i < 20; i++)
		run(burn_once, (void *)2);
	least = burn(TUCK_MS(5));
	cpu = info_of(tuck_self())->cpu - before;
	rest = thread_cpu() - begin - burnt[2] - least;
	check_cpu(cpu, least, rest);
	CHECK_EQ(tuck_drop(little), 0);
	CHECK_EQ(tuck_drop(much), 0);
}

TEST(accounts)
{
	tuck_id early = go(block_for_ever, NULL);

	calm();
	CHECK_EQ(tuck_account(1), 0);
	CHECK_EQ(tuck_account(1), 1);
	CHECK_EQ(info_of(early)->switches, 0);
	check_accounts();
	CHECK_EQ(tuck_unblock(early), 0);
	calm();
	CHECK_EQ(info_of(early)->switches, 1);
	CHECK_EQ(tuck_account(0), 1);
	CHECK_EQ(tuck_account(0), 0);
	CHECK_EQ(tuck_unblock(early), 0);
	calm();
	CHECK_EQ(info_of(early)->switches, 1);
	CHECK_EQ(tuck_account(1), 0);
	check_accounts();
}

static void block_and_burn(void *arg)
{
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	burn_once(arg);
}

TEST(the_end_of_one_that_began_before_is_accounted)
{
	tuck_id early = go(block_and_burn, (void *)3);
	tuck_ns begin, before, cpu;

	calm();
	memset(burnt, 0, sizeof(burnt));
	CHECK_EQ(tuck_account(1), 0);
	begin = thread_cpu();
	before = info_of(tuck_self())->cpu;
	CHECK_EQ(tuck_unblock(early), 0);
	finish(early);
	cpu = info_of(tuck_self())->cpu - before;
	CHECK(burnt[3] > 0);
	check_cpu(cpu, 0, thread_cpu() - begin - burnt[3]);
}

TEST(accounts_on_one_slot)
{
	share_slots(1);
	CHECK_EQ(tuck_account(1), 0);
	check_accounts();
}

static void note_run(void *arg)
{
	++*(int *)arg;
}

/* The next one needs its stack, and there is no memory to tuck it away. */
static void stay_for_want_of_memory(void *arg)
{
	char pad[100000];		/* more than the pool has at hand */
	int *runs = arg;

	memset(pad, 1, sizeof(pad));
	__asm__ volatile("" : : "r"(pad) : "memory");
	CHECK_EQ(tuck_name_set(tuck_self(), "stays"), 0);
	go(note_run, arg);
	tuck__fault_set(1, 1);
	tuck_yield();
	tuck__fault_set(0, 0);
	CHECK_EQ(*runs, 0);
	CHECK_EQ(info_of(tuck_self())->switches, 0);
	__asm__ volatile("" : : "r"(pad) : "memory");
	CHECK_EQ(pad[77], 1);
}

TEST(a_switch_that_failed_is_not_accounted)
{
	int runs = 0;

	needs_fifo();
	share_slots(1);
	CHECK_EQ(tuck_account(1), 0);
	go(stay_for_want_of_memory, &runs);
	calm();
	CHECK_EQ(runs, 1);
}

/* The order in which tasklets run is the same. */
static void yield_and_mark(void *c)
{
	mark(*(char *)c);
	tuck_yield();
	mark(*(char *)c);
}

TEST(accounts_change_no_order)
{
	needs_fifo();
	CHECK_EQ(tuck_account(1), 0);
	go(yield_and_mark, TEXT("a"));
	go(yield_and_mark, TEXT("b"));
	tuck_yield();
	go(yield_and_mark, TEXT("c"));
	tuck_yield();
	tuck_yield();
	CHECK_TRACE("ababcc");
}

static void end_by_kill(void *arg)
{
	CHECK_EQ(tuck_defer(mark_it, arg), 0);
	tuck_block(TUCK_FOREVER);
}

TEST(ends_with_accounts)
{
	tuck_id id;

	CHECK_EQ(tuck_account(1), 0);
	id = go(end_by_kill, TEXT("k"));
	calm();
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_TRACE("k");
	id = go(end_by_kill, TEXT("k"));
	calm();
	CHECK_EQ(tuck_account(0), 1);
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_TRACE("k");
}
