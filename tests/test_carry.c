/* SPDX-License-Identifier: MIT */
/* Context slots: bytes of the program's that travel with contexts. */
#include <errno.h>
#include <tuck.h>

#include "stacks.h"

static __thread int number = 5;
static __thread char text[100] = "initial";
static __thread char tail[3] = "xyz";	/* of an odd size, at the end */

static void *number_place(void)
{
	return &number;
}

static void *text_place(void)
{
	return text;
}

static void *tail_place(void)
{
	return tail;
}

static void add_slots(void)
{
	CHECK_EQ(tuck_context_slot_add(sizeof(number), number_place), 0);
	CHECK_EQ(tuck_context_slot_add(sizeof(text), text_place), 0);
	CHECK_EQ(tuck_context_slot_add(sizeof(tail), tail_place), 0);
}

static void set_slots(int n)
{
	number = n;
	memset(text, n, sizeof(text));
	memset(tail, n + 1, sizeof(tail));
	errno = n;
}

static void check_slots(int n)
{
	CHECK_EQ(number, n);
	for (size_t i = 0; i < sizeof(text); i++)
		CHECK_EQ(text[i], (char)n);
	for (size_t i = 0; i < sizeof(tail); i++)
		CHECK_EQ(tail[i], (char)(n + 1));
	CHECK_EQ(errno, n);
}

static void check_initial(void)
{
	CHECK_EQ(number, 5);
	CHECK_STR(text, "initial");
	CHECK_MEM(tail, "xyz", 3);
}

/* -- contexts -- */

struct user {
	struct tuck_ctx ctx, *back;
	int n;
};

static struct tuck_ctx *use_slots(void *arg)
{
	struct user *u = arg;

	check_initial();
	for (int i = 0; i < 10; i++) {
		set_slots(u->n + i);
		pass(u->back, NULL);
		check_slots(u->n + i);
	}
	return u->back;
}

#define USERS 12

TEST(slots_travel_with_contexts)
{
	static struct user users[USERS];
	int alive = USERS;

	add_slots();
	set_slots(100);
	for (int i = 0; i < USERS; i++) {
		users[i] = (struct user){ .back = tuck_ctx_self(), .n = i };
		init(&users[i].ctx, (enum kind)(i % KINDS));
		start(&users[i].ctx, use_slots, &users[i]);
		check_slots(100);
	}
	for (int n = 0; alive; n++) {
		alive = 0;
		for (int i = 0; i < USERS; i++)
			if (suspended(&users[i].ctx)) {
				set_slots(n);
				pass(&users[i].ctx, NULL);
				check_slots(n);
				alive++;
			}
	}
	for (int i = 0; i < USERS; i++)
		fini(&users[i].ctx);
	free_stacks();
}

/* What was there in the call, not what is there now. */
static struct tuck_ctx *check_fresh(void *arg)
{
	check_initial();
	set_slots(1);
	tuck_ctx_leave(arg, NULL);
	return NULL;
}

TEST(a_context_begins_with_what_was_there_first)
{
	struct tuck_ctx ctx;

	add_slots();
	set_slots(9);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		init(&ctx, kind);
		for (int n = 0; n < 3; n++) {
			start(&ctx, check_fresh, tuck_ctx_self());
			check_slots(9);
		}
		fini(&ctx);
	}
	free_stacks();
}

static struct tuck_ctx *wait_once(void *arg)
{
	set_slots(3);
	pass(arg, NULL);
	check_slots(3);
	return arg;
}

/* The backtrace runs on the context, but changes nothing of it. */
TEST(slots_survive_a_backtrace)
{
	struct tuck_ctx ctx;
	void *pcs[50];

	add_slots();
	for (enum kind kind = 0; kind < KINDS; kind++) {
		init(&ctx, kind);
		start(&ctx, wait_once, tuck_ctx_self());
		set_slots(4);
		CHECK(tuck_ctx_backtrace(&ctx, pcs, 50) > 3);
		check_slots(4);
		pass(&ctx, NULL);
		check_slots(4);
		fini(&ctx);
	}
	free_stacks();
}

static void *in_thread(void *arg)
{
	struct tuck_ctx ctx;

	check_initial();	/* of a new thread */
	set_slots(50);
	init(&ctx, SLOT);
	start(&ctx, check_fresh, tuck_ctx_self());
	check_slots(50);
	fini(&ctx);
	return arg;
}

TEST(each_thread_has_bytes_of_its_own)
{
	add_slots();
	set_slots(60);
	on_thread(in_thread, NULL);
	check_slots(60);
	tuck_ctx_self();
	on_thread(in_thread, NULL);
	check_slots(60);
}

/* -- tasklets -- */

static int ended;

static void tasklet(void *arg)
{
	int n = (int)(intptr_t)arg;

	check_initial();
	for (int i = 0; i < 20; i++) {
		set_slots(n + i);
		if (i % 7)
			tuck_yield();
		else
			tuck_sleep(1);
		check_slots(n + i);
	}
	ended++;
}

static void run_tasklets(size_t slots)
{
	const struct tuck_config config = { .stack_slots = slots };

	CHECK_EQ(tuck_config_set(&config), 0);
	add_slots();
	set_slots(70);
	for (intptr_t i = 0; i < 50; i++)
		CHECK(tuck_go(tasklet, (void *)i) > 0);
	while (ended < 50) {
		tuck_yield();
		check_slots(70);
	}
}

TEST(slots_travel_with_tasklets)
{
	run_tasklets(0);
}

TEST(slots_travel_with_tasklets_on_shared_stacks)
{
	run_tasklets(3);
}

/* -- what cannot be added -- */

TEST(errors_of_adding)
{
	CHECK_EQ(tuck_context_slot_add(0, number_place), -EINVAL);
	CHECK_EQ(tuck_context_slot_add(4, NULL), -EINVAL);
	CHECK_EQ(tuck_context_slot_add(SIZE_MAX, text_place), -ENOSPC);
	CHECK_EQ(tuck_context_slot_add(257, text_place), -ENOSPC);
	CHECK_EQ(tuck_context_slot_add(sizeof(text), text_place), 0);
	CHECK_EQ(tuck_context_slot_add(257 - sizeof(text), text_place),
		 -ENOSPC);
	CHECK_EQ(tuck_context_slot_add(sizeof(text), text_place), 0);
	CHECK_EQ(tuck_context_slot_add(57, text_place), -ENOSPC);
	CHECK_EQ(tuck_context_slot_add(56, text_place), 0);
	CHECK_EQ(tuck_context_slot_add(1, text_place), -ENOSPC);
}

static void *where_with_tuck(void)
{
	static char byte;

	tuck_ctx_self();	/* so it is too late, but nothing hangs */
	return &byte;
}

TEST(to_ask_where_may_call_tuck)
{
	CHECK_EQ(tuck_context_slot_add(1, where_with_tuck), -EBUSY);
}

TEST(there_are_eight_at_most)
{
	for (int i = 0; i < 8; i++)
		CHECK_EQ(tuck_context_slot_add(1, tail_place), 0);
	CHECK_EQ(tuck_context_slot_add(1, tail_place), -ENOSPC);
}

TEST(none_is_added_once_there_are_contexts)
{
	tuck_ctx_self();
	CHECK_EQ(tuck_context_slot_add(4, number_place), -EBUSY);
	CHECK_EQ(tuck_context_slot_add(0, number_place), -EINVAL);
}

TEST(none_is_added_once_there_are_tasklets)
{
	tuck_self();
	CHECK_EQ(tuck_context_slot_add(4, number_place), -EBUSY);
}

static void *be_first(void *arg)
{
	tuck_ctx_self();
	return arg;
}

TEST(none_is_added_once_another_thread_has_contexts)
{
	on_thread(be_first, NULL);
	CHECK_EQ(tuck_context_slot_add(4, number_place), -EBUSY);
}
