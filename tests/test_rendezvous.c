/* SPDX-License-Identifier: MIT */
/* Rendezvous by tags: who meets whom, and what they get. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <tuck.h>

#include "base/mem.h"
#include "trace.h"

static char tag, other_tag;

static tuck_ns in_ms(int n)
{
	return tuck_after(PATIENCE * TUCK_MS(n));
}

static void settle(void)
{
	CHECK_EQ(tuck_block(TUCK_NOWAIT), -EAGAIN);	/* looks */
	let_others_wait();
}

static void *value_of(intptr_t n)
{
	return (void *)n;
}

/* Marks its letter and the one that it got. */
static void meet(void *letter)
{
	void *got = NULL;

	mark(*(char *)letter);
	CHECK_EQ(tuck_rendezvous(&tag, letter, &got, TUCK_FOREVER), 0);
	mark(*(char *)letter);
	mark(*(char *)got);
}

/* Whoever comes second goes on. */
static void meet_in_pairs(void)
{
	go(meet, "a");
	go(meet, "b");
	go(meet, "c");
	go(meet, "d");
	settle();
	CHECK_TRACE("abbacddcabcd");
}

TEST(two_meet_and_swap)
{
	needs_fifo();
	meet_in_pairs();
}

TEST(two_meet_and_swap_when_tucked)
{
	needs_fifo();
	use_slots(1);
	meet_in_pairs();
}

static atomic_int met;

static void meet_at(void *at)
{
	intptr_t n = (intptr_t)at;	/* one of them is null */
	void *got = NULL;

	CHECK_EQ(tuck_rendezvous(at, value_of(n + 1), &got, TUCK_FOREVER), 0);
	CHECK(got == value_of(n + 2));
	met++;
}

/* More tags than the hash has buckets. */
TEST(each_tag_is_a_place_of_its_own)
{
	void *got = NULL;

	for (intptr_t i = 0; i < 150; i++)
		go(meet_at, value_of(i * 16));
	settle();
	CHECK_EQ(met, 0);
	for (intptr_t i = 149; i >= 0; i--) {
		CHECK_EQ(tuck_rendezvous(value_of(i * 16 + 1), NULL, NULL,
					 TUCK_NOWAIT),
			 -EAGAIN);
		CHECK_EQ(tuck_rendezvous(value_of(i * 16), value_of(i * 16 + 2),
					 &got, TUCK_NOWAIT),
			 0);
		CHECK(got == value_of(i * 16 + 1));
	}
	settle();
	CHECK_EQ(met, 150);
}

static void wait_in_vain(void *arg)
{
	void *got = &other_tag;

	CHECK_EQ(tuck_rendezvous(arg, NULL, &got, TUCK_FOREVER), -ECANCELED);
	CHECK(got == &other_tag);
	met++;
}

/* Nobody meets who is not there any more. */
TEST(who_gives_up_leaves_nothing)
{
	void *got = &other_tag;
	tuck_id id[3];

	CHECK_EQ(tuck_rendezvous(&tag, NULL, &got, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_rendezvous(&tag, NULL, &got, in_ms(1)), -ETIMEDOUT);
	CHECK_EQ(tuck_rendezvous(&tag, NULL, &got, -1), -EINVAL);
	for (int i = 0; i < 3; i++)
		id[i] = go(wait_in_vain, value_of(i));
	settle();
	CHECK_EQ(tuck_kill(id[0]), 0);
	CHECK_EQ(tuck_cancel(id[1]), 0);
	CHECK_EQ(tuck_drop(id[2]), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_rendezvous(value_of(i), NULL, &got, TUCK_NOWAIT),
			 -EAGAIN);
	settle();
	CHECK_EQ(met, 1);
	CHECK(got == &other_tag);
}

static void meet_late(void *arg)
{
	CHECK_EQ(tuck_rendezvous(NULL, arg, NULL, in_ms(1000)), 0);
	met++;
}

TEST(nothing_need_be_named)
{
	void *got = NULL;

	go(meet_late, &met);
	settle();
	CHECK_EQ(tuck_rendezvous(NULL, NULL, &got, in_ms(1000)), 0);
	CHECK(got == &met);
	settle();
	CHECK_EQ(met, 1);
	go(meet_late, &met);
	settle();
	CHECK_EQ(tuck_rendezvous(NULL, NULL, NULL, TUCK_NOWAIT), 0);
	settle();
	CHECK_EQ(met, 2);
}

static int meet_too_late(void *arg)
{
	void *got = &met;

	CHECK_EQ(tuck_rendezvous(&tag, arg, &got, TUCK_FOREVER), -ETIME);
	CHECK(got == &met);
	CHECK_EQ(tuck_rendezvous(&tag, arg, &got, in_ms(10000)), -ETIME);
	CHECK_EQ(tuck_rendezvous(&tag, arg, &got, TUCK_NOWAIT), -EAGAIN);
	return 0;
}

TEST(a_groups_deadline_ends_the_wait)
{
	struct tuck_group *group;

	CHECK_EQ(tuck_group_new(&group, in_ms(2)), 0);
	CHECK(tuck_group_go(group, meet_too_late, NULL) > 0);
	CHECK_EQ(tuck_group_wait(group, TUCK_GROUP_ALL, in_ms(20000)), 0);
	CHECK_EQ(tuck_group_free(group), 0);
}

TEST(without_memory)
{
	int n = 0, r;

	do {
		tuck__fault_set(++n, 1);
		r = tuck_rendezvous(&tag, NULL, NULL, in_ms(1));
		tuck__fault_set(0, 0);
		CHECK(r == -ENOMEM || r == -ETIMEDOUT);
	} while (r == -ENOMEM);
	CHECK(n > 2);
	CHECK_EQ(tuck_rendezvous(&tag, NULL, NULL, TUCK_NOWAIT), -EAGAIN);
}

/* -- procs -- */

#define PROCS 4
#define EACH  6
#define TAGS  3

static _Atomic(int64_t) given, got_sum, meetings;
static atomic_int over;

static void swap_for_ever(void *arg)
{
	uint32_t random = (uint32_t)tuck_self() * 2654435761u |
			  (uint32_t)(intptr_t)arg | 1;

	while (!atomic_load(&over)) {
		int64_t mine = next_random(&random) % 1000 + 1;
		void *got = NULL;
		int r = tuck_rendezvous(
			value_of(next_random(&random) % TAGS), value_of(mine),
			&got, tuck_after(TUCK_US(next_random(&random) % 500)));

		if (r == -ECANCELED)
			tuck_uncancel();
		if (r < 0) {
			CHECK(r == -ETIMEDOUT || r == -ECANCELED);
			continue;
		}
		atomic_fetch_add(&given, mine);
		atomic_fetch_add(&got_sum, (int64_t)(intptr_t)got);
		atomic_fetch_add(&meetings, 1);
	}
}

static _Atomic(tuck_id) ids[PROCS * EACH];

static void swap_in_proc(void *arg)
{
	tuck_id mine[EACH];

	for (int i = 0; i < EACH; i++) {
		mine[i] = go(swap_for_ever, value_of(i));
		atomic_store(&ids[(intptr_t)arg * EACH + i], mine[i]);
	}
	for (int i = 0; i < EACH; i++)
		if (tuck_join(mine[i], TUCK_FOREVER) < 0)
			CHECK_EQ(tuck_join(mine[i], TUCK_NOWAIT), -ESRCH);
}

/* Whatever one gives another one gets, or neither has met anybody. */
TEST(procs_meet)
{
	int proc[PROCS];
	uint32_t random = 3;
	tuck_ns end = tuck_after(TUCK_MS(800));

	for (int i = 0; i < PROCS; i++) {
		proc[i] = tuck_proc_start(NULL, swap_in_proc, value_of(i));
		CHECK(proc[i] >= 0);
	}
	while (tuck_now() < end || meetings < 100) {
		tuck_sleep(tuck_after(TUCK_US(100)));
		tuck_cancel(ids[next_random(&random) % (PROCS * EACH)]);
	}
	atomic_store(&over, 1);
	for (int i = 0; i < PROCS; i++)
		CHECK_EQ(tuck_proc_join(proc[i], TUCK_FOREVER), 0);
	CHECK_EQ(given, got_sum);
	CHECK_EQ(meetings % 2, 0);
}
