/* SPDX-License-Identifier: MIT */
/*
 * Contexts whose stacks grow by segments, beside those whose stacks do not.
 * This file is compiled with -fsplit-stack, the harness and the library are
 * not.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <tuck/split.h>

#include "base/mem.h"
#include "trace.h"

#define WHOLE	__attribute__((__no_split_stack__, __noinline__))

/* Its stack is the harness's: tuck_split_none() comes first. */
#define TEST_WHOLE(id)							\
	static void test_##id(void) WHOLE;				\
	TEST_LIMIT(id, 60)

#define DEPTH	100000

/* Not to be known to the compiler, nor to be made a loop. */
static uint64_t opaque(uint64_t x)
{
	__asm__ volatile("" : "+r"(x));
	return x;
}

/* Segments, used or not, of the state that libgcc keeps. */
static int segments_of(void **state)
{
	struct segment {	/* as libgcc's begins */
		struct segment *prev, *next;
	} *s;
	int n = 0;

	for (s = state[0]; s; s = s->next)
		n++;
	return n;
}

/* Those of the running context. */
static int segments(void)
{
	void *state[10];

	__splitstack_getcontext(state);
	return segments_of(state);
}

/* Where split code that runs now would get a new segment. */
static uintptr_t guard(void)
{
	void *state[10];

	__splitstack_getcontext(state);
	return (uintptr_t)state[3];
}

/*
 * What calls the harness is a function of its own: those that do ask for a
 * megabyte.
 */
static __attribute__((noinline)) void switch_to(struct tuck_ctx *to)
{
	CHECK_EQ(tuck_split_switch(to, NULL, NULL), 0);
}

static __attribute__((noinline)) void damaged(uint64_t n)
{
	check_fail(CHECK_AT, "the frame at depth %llu", (unsigned long long)n);
}

/* Some bytes in each frame, checked on the way back. */
static __attribute__((noinline)) uint64_t sum_down(uint64_t n,
						   struct tuck_ctx *at_bottom)
{
	volatile uint64_t pad[4] = { n, n ^ 0x55, n * 3, n + 7 };
	uint64_t below = 0;

	if (opaque(n))
		below = sum_down(n - 1, at_bottom);
	else if (at_bottom)
		switch_to(at_bottom);
	if (pad[0] != n || pad[1] != (n ^ 0x55) || pad[2] != n * 3 ||
	    pad[3] != n + 7)
		damaged(n);
	return below + n;
}

/* -- one context -- */

static struct tuck_ctx *creator;

static WHOLE void begin(void)
{
	creator = tuck_ctx_self();
	CHECK(creator);
	tuck_split_none();
}

static struct tuck_ctx *recurse(void *arg)
{
	uint64_t *ret = arg;

	*ret = sum_down(DEPTH, NULL);
	return creator;
}

TEST_WHOLE(a_recursion_100000_deep_begins_on_the_smallest_segment)
{
	struct tuck_ctx ctx;
	struct tuck_split split;
	struct tuck_ctx_info info;
	uint64_t sum;
	int grown = 0;

	begin();
	CHECK_EQ(tuck_split_init(&ctx, &split, 1), 0);
	CHECK_EQ(tuck_ctx_info(&ctx, &info), 0);
	CHECK((char *)info.end - (char *)info.limit < 16384);
	CHECK_EQ(segments_of(split.state), 1);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(tuck_split_start(&ctx, &split, recurse, &sum, NULL),
			 0);
		CHECK_EQ(sum, (uint64_t)DEPTH * (DEPTH + 1) / 2);
		CHECK(i == 0 || segments_of(split.state) == grown);
		grown = segments_of(split.state);
		CHECK(grown > 100);
	}
	CHECK_EQ(tuck_split_start(&ctx, &split, NULL, NULL, NULL), -EINVAL);
	CHECK_EQ(tuck_split_fini(&ctx, &split), 0);
}

static struct tuck_ctx *wait_deep(void *arg)
{
	uint64_t *ret = arg;

	*ret = sum_down(DEPTH, creator);
	return creator;
}

/* Far from the segment that it began on. */
TEST_WHOLE(a_context_waits_in_a_later_segment)
{
	struct tuck_ctx ctx;
	struct tuck_split split;
	struct tuck_ctx_info info;
	uint64_t sum = 0;
	uintptr_t mine;

	begin();
	mine = guard();
	CHECK_EQ(tuck_split_init(&ctx, &split, 1), 0);
	CHECK_EQ(tuck_split_start(&ctx, &split, wait_deep, &sum, NULL), 0);
	CHECK_EQ(guard(), mine);
	CHECK_EQ(tuck_ctx_info(&ctx, &info), 0);
	CHECK_EQ(info.state, TUCK_CTX_RESIDENT);
	CHECK(info.sp < info.limit || info.sp >= info.end);
	CHECK_EQ(tuck_split_start(&ctx, &split, wait_deep, &sum, NULL), -EBUSY);
	CHECK_EQ(guard(), mine);
	CHECK_EQ(sum, 0);
	switch_to(&ctx);
	CHECK_EQ(sum, (uint64_t)DEPTH * (DEPTH + 1) / 2);
	CHECK_EQ(tuck_split_switch(&ctx, NULL, NULL), -ESRCH);
	CHECK_EQ(guard(), mine);
	CHECK_EQ(tuck_split_fini(&ctx, &split), 0);
}

static void ignore_range(void *arg, void *from, void *to)
{
	(void)arg, (void)from, (void)to;
}

static void ignore_call(void *arg)
{
	(void)arg;
}

TEST_WHOLE(where_all_bytes_are_is_not_known)
{
	struct tuck_ctx ctx;
	struct tuck_split split;
	struct tuck_ctx_info info;
	uint64_t sum = 0;
	void *pc;

	begin();
	CHECK_EQ(tuck_split_init(&ctx, &split, 1), 0);
	CHECK_EQ(tuck_ctx_ranges(&ctx, ignore_range, NULL), 0);
	CHECK_EQ(tuck_split_start(&ctx, &split, wait_deep, &sum, NULL), 0);
	CHECK_EQ(tuck_ctx_info(&ctx, &info), 0);
	CHECK_EQ(tuck_ctx_ranges(&ctx, ignore_range, NULL), -ENOTSUP);
	CHECK_EQ(tuck_ctx_backtrace(&ctx, &pc, 1), -ENOTSUP);
	CHECK_EQ(tuck_ctx_inject(&ctx, ignore_call, NULL), -ENOTSUP);
	CHECK_EQ(tuck_ctx_set_sp(&ctx, info.sp), -ENOTSUP);
	switch_to(&ctx);
	CHECK_EQ(sum, (uint64_t)DEPTH * (DEPTH + 1) / 2);
	CHECK_EQ(tuck_split_fini(&ctx, &split), 0);
}

TEST_WHOLE(one_context_at_a_time_has_a_segmented_stack)
{
	struct tuck_ctx ctx, other;
	struct tuck_split split;
	uint64_t sum = 0;

	begin();
	CHECK_EQ(tuck_split_init(&ctx, &split, 1), 0);
	CHECK_EQ(tuck_ctx_init(&other, split.stack, NULL), 0);
	CHECK_EQ(tuck_split_start(&ctx, &split, wait_deep, &sum, NULL), 0);
	CHECK_EQ(tuck_split_start(&other, NULL, recurse, &sum, NULL), -EBUSY);
	CHECK_EQ(tuck_split_fini(&ctx, &split), 0);
}

static struct tuck_ctx *wait_flat(void *arg)
{
	(void)arg;
	tuck_split_switch(creator, NULL, NULL);
	return creator;
}

TEST_WHOLE(to_wait_takes_no_other_segment)
{
	struct tuck_ctx ctx;
	struct tuck_split split;

	begin();
	CHECK_EQ(tuck_split_init(&ctx, &split, 1), 0);
	CHECK_EQ(tuck_split_start(&ctx, &split, wait_flat, NULL, NULL), 0);
	switch_to(&ctx);
	CHECK_EQ(segments_of(split.state), 1);
	CHECK_EQ(tuck_split_fini(&ctx, &split), 0);
}

/* Each starts the next one, whose segment has another limit. */
static struct nested {
	struct tuck_ctx ctx;
	struct tuck_split split;
} nested[20];

static WHOLE struct tuck_ctx *start_next(void *arg);

static __attribute__((noinline)) void start_nested(intptr_t i)
{
	struct nested *n = &nested[i];

	CHECK_EQ(tuck_split_init(&n->ctx, &n->split, 1), 0);
	CHECK_EQ(tuck_split_start(&n->ctx, &n->split, start_next, (void *)i,
				  NULL),
		 0);
}

static WHOLE struct tuck_ctx *start_next(void *arg)
{
	intptr_t i = (intptr_t)arg;
	struct nested *n = &nested[i];
	struct tuck_ctx_info info;

	CHECK_EQ(tuck_ctx_info(&n->ctx, &info), 0);
	CHECK((void *)&info > info.limit && (void *)&info < info.end);
	CHECK_EQ(tuck_split_fini(&n->ctx, &n->split), -EBUSY);
	CHECK_EQ(sum_down(200, NULL), 20100);
	if (i < 19)
		start_nested(i + 1);
	CHECK_EQ(sum_down(200, NULL), 20100);
	return i ? &nested[i - 1].ctx : creator;
}

TEST_WHOLE(a_growing_one_starts_another)
{
	begin();
	start_nested(0);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(tuck_split_fini(&nested[i].ctx, &nested[i].split), 0);
}

static WHOLE void *recurse_in_thread(void *arg)
{
	struct tuck_ctx ctx;
	struct tuck_split split;

	begin();
	CHECK_EQ(tuck_split_init(&ctx, &split, 1), 0);
	CHECK_EQ(tuck_split_start(&ctx, &split, wait_deep, arg, NULL), 0);
	switch_to(&ctx);
	CHECK_EQ(tuck_split_fini(&ctx, &split), 0);
	return NULL;
}

TEST_WHOLE(another_thread_has_them_too)
{
	uint64_t sum = 0;

	begin();
	on_thread(recurse_in_thread, &sum);
	CHECK_EQ(sum, (uint64_t)DEPTH * (DEPTH + 1) / 2);
}

TEST_WHOLE(without_memory_there_is_no_context)
{
	struct tuck_ctx ctx, was;
	struct tuck_split split;

	begin();
	memset(&ctx, 0x5a, sizeof(ctx));
	was = ctx;
	tuck__fault_set(1, 1);
	CHECK_EQ(tuck_split_init(&ctx, &split, 1), -ENOMEM);
	tuck__fault_set(0, 0);
	CHECK_MEM(&ctx, &was, sizeof(ctx));
	CHECK_EQ(segments_of(split.state), 0);
}

/* -- code that is not compiled for it -- */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	/* From below qsort() to a new segment and back, each time. */
	CHECK_EQ(sum_down(1000, NULL), 500500);
	return x < y ? -1 : x > y;
}

static struct tuck_ctx *call_library(void *arg)
{
	uint64_t v[100];
	char text[400];

	(void)arg;
	for (uint64_t i = 0; i < 100; i++)
		v[i] = i * 37 % 100;
	qsort(v, 100, sizeof(v[0]), compare);
	for (uint64_t i = 0; i < 100; i++)
		CHECK_EQ(v[i], i);
	snprintf(text, sizeof(text), "%.300Lf", (long double)1 / 3);
	CHECK_EQ(strlen(text), 302);
	return creator;
}

/* Deeper each time, so that such calls begin at every place of a segment. */
static __attribute__((noinline)) uint64_t call_at_depth(uint64_t n)
{
	char text[64];

	if (opaque(n))
		return call_at_depth(n - 1) + 1;
	snprintf(text, sizeof(text), "%.3f %s", 1.5, "text");
	CHECK_STR(text, "1.500 text");
	return 0;
}

static struct tuck_ctx *call_anywhere(void *arg)
{
	(void)arg;
	for (uint64_t n = 0; n < 400; n++)
		CHECK_EQ(call_at_depth(n), n);
	return creator;
}

TEST_WHOLE(library_code_is_called)
{
	struct tuck_ctx ctx;
	struct tuck_split split;

	begin();
	CHECK_EQ(tuck_split_init(&ctx, &split, 1), 0);
	CHECK_EQ(tuck_split_start(&ctx, &split, call_library, NULL, NULL), 0);
	CHECK_EQ(tuck_split_start(&ctx, &split, call_anywhere, NULL, NULL), 0);
	CHECK_EQ(tuck_split_fini(&ctx, &split), 0);
}

/* -- many, of all kinds -- */

enum kind { SPLIT, NATIVE, SLOT, OWN, KINDS };

struct user {
	struct tuck_ctx ctx;
	struct tuck_split split;
	struct tuck_stack *stack;
	enum kind kind;
	uint32_t random;
	int turns;
	bool alive;
};

static struct user *users;
static int users_n;
static uint32_t random_state;
static int switches;

/* To anybody who is suspended, or to the creator. */
static void switch_anywhere(void)
{
	uint32_t i = next_random(&random_state) % (uint32_t)users_n;

	switches++;
	switch_to(users[i].alive && &users[i].ctx != tuck_ctx_self() ?
			  &users[i].ctx :
			  creator);
}

static int segments_max;

static void note_segments(const struct user *u)
{
	int n = segments();

	if (u->kind != SPLIT)
		CHECK_EQ(n, 0);
	if (n > segments_max)
		segments_max = n;
}

/* Deeper at random, with bytes of its own in each frame. */
static __attribute__((noinline)) void live(struct user *u, int depth)
{
	volatile unsigned char pad[400];
	uint32_t key = next_random(&u->random), k = key;
	uintptr_t mine = guard();

	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] = (unsigned char)(next_random(&k) >> 24);
	while (u->turns > 0) {
		uint32_t what = next_random(&u->random) % 8;

		if (what == 0 && depth > 0)
			break;
		if (what < 5 && depth < 50)
			live(u, depth + 1);
		u->turns--;
		note_segments(u);
		switch_anywhere();
		CHECK(tuck_ctx_self() == &u->ctx);
		CHECK_EQ(guard(), mine);
	}
	k = key;
	for (size_t i = 0; i < sizeof(pad); i++)
		CHECK_EQ(pad[i], (unsigned char)(next_random(&k) >> 24));
}

static WHOLE struct tuck_ctx *run_user(void *arg)
{
	struct user *u = arg;

	if (u->kind != SPLIT)
		tuck_split_none();
	live(u, 0);
	u->alive = false;
	return creator;
}

static void start_user(struct user *u, enum kind kind, int turns)
{
	static uint32_t seeds;

	*u = (struct user){ .kind = kind,
			    .random = ++seeds * 2654435761u,
			    .turns = turns,
			    .alive = true };
	if (kind == OWN)
		u->stack = tuck_stack_new(65536);
	if (kind == NATIVE)
		u->stack = tuck_stack_native();
	if (kind == SPLIT)
		CHECK_EQ(tuck_split_init(&u->ctx, &u->split, 1), 0);
	else
		CHECK_EQ(tuck_ctx_init(&u->ctx, u->stack, NULL), 0);
	CHECK_EQ(tuck_split_start(&u->ctx, kind == SPLIT ? &u->split : NULL,
				  run_user, u, NULL),
		 0);
}

static void end_user(struct user *u)
{
	while (u->alive)
		switch_to(&u->ctx);
	if (u->kind == SPLIT)
		CHECK_EQ(tuck_split_fini(&u->ctx, &u->split), 0);
	else
		CHECK_EQ(tuck_ctx_fini(&u->ctx), 0);
	if (u->kind == OWN)
		CHECK_EQ(tuck_stack_free(u->stack), 0);
}

static WHOLE void run_users(int n, int kinds, int turns)
{
	uintptr_t mine;

	begin();
	mine = guard();
	random_state = 12345;
	users = calloc((size_t)n, sizeof(*users));
	for (int i = 0; i < n; i++) {
		users_n = i + 1;
		start_user(&users[i], (enum kind)(i % kinds), turns);
		CHECK_EQ(guard(), mine);
	}
	for (int i = 0; i < n * turns / 8; i++)
		switch_anywhere();
	for (int i = 0; i < n; i++)
		end_user(&users[i]);
	CHECK(switches > n * turns / 2);
	CHECK(segments_max > 1);
	CHECK_EQ(guard(), mine);
	CHECK_EQ(segments(), 0);
	free(users);
}

TEST_WHOLE(a_thousand_grow)
{
	run_users(1000, 1, 12);
}

TEST_WHOLE(split_sliced_and_own_ones_switch_to_one_another)
{
	run_users(400, KINDS, 20);
}
