/* SPDX-License-Identifier: MIT */
/* Each call of ctx.h without memory: it says so, and nothing is lost. */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "blocks.h"
#include "stacks.h"

static void fault(long n, int lasting)
{
	hide_blocks();
	tuck__fault_set(n, lasting);
}

static void end_fault(void)
{
	tuck__fault_set(0, 0);
	show_blocks();
}

/* -- what a thread begins with -- */

static void *first_calls(void *arg)
{
	long n = *(long *)arg;
	struct tuck_stack *s;
	struct tuck_ctx ctx, was;
	char memory[4096];

	memset(&ctx, 0x11, sizeof(ctx));
	was = ctx;
	tuck__fault_set(n, 1);
	if (n == 1) {
		CHECK(!tuck_ctx_self());
		CHECK(!tuck_stack_native());
		CHECK_EQ(tuck_ctx_init(&ctx, NULL, NULL), -ENOMEM);
		CHECK_MEM(&ctx, &was, sizeof(ctx));
	}
	CHECK(!tuck_stack_new(5000));
	CHECK(!tuck_stack_from(memory, sizeof(memory)));
	tuck__fault_set(0, 0);
	s = tuck_stack_from(memory, sizeof(memory));
	CHECK(s);
	CHECK_EQ(tuck_ctx_init(&ctx, s, NULL), 0);
	fini(&ctx);
	CHECK_EQ(tuck_stack_free(s), 0);
	return NULL;
}

TEST(a_threads_first_calls)
{
	for (long n = 1; n < 4; n++)
		on_thread(first_calls, &n);
}

TEST(new_stacks)
{
	struct tuck_stack *s = NULL;

	CHECK(tuck_ctx_self());
	for (int lasting = 0; lasting < 2; lasting++)
		for (long n = 1; !s; n++) {
			tuck__fault_set(n, lasting);
			s = tuck_stack_new(100000);
			CHECK_EQ(!s, tuck__fault_count() >= n);
			tuck__fault_set(0, 0);
			CHECK(n < 10);
		}
	CHECK_EQ(tuck_stack_free(s), 0);
}

/* -- start and switch -- */

static struct tuck_ctx *back;
static int end;		/* the value that ends an echo */

static struct tuck_ctx *echo(void *arg)
{
	volatile unsigned char pad[5000];

	end_fault();
	fill(pad, sizeof(pad), 8);
	for (;;) {
		if (pass(back, arg) == &end)
			return back;
		verify(pad, sizeof(pad), 8);
	}
	return NULL;
}

/* Starts ctx with the nth request failing, for each n. */
static int start_without_memory(struct tuck_ctx *ctx, int lasting)
{
	volatile unsigned char pad[7000];
	int refused = 0, r = -ENOMEM;
	enum tuck_ctx_state was = state_of(ctx);

	fill(pad, sizeof(pad), 2);
	for (long n = 1; r < 0; n++) {
		void *value = &n;

		fault(n, lasting);
		r = tuck_ctx_start(ctx, echo, NULL, &value);
		end_fault();
		verify(pad, sizeof(pad), 2);
		if (r == 0)
			break;
		CHECK_EQ(r, -ENOMEM);
		CHECK_EQ(state_of(ctx), was);
		CHECK(value == &n);
		CHECK(tuck_ctx_self() == back);
		CHECK(n < 20);
		refused++;
	}
	return refused;
}

/* The second of each kind, which shares the stack, and one that had ended. */
static void start_all_without_memory(int lasting)
{
	static struct tuck_ctx ctx[3 * KINDS];
	int refused[KINDS] = { 0 };

	back = tuck_ctx_self();
	for (int i = 0; i < 3 * KINDS; i++) {
		init(&ctx[i], (enum kind)(i % KINDS));
		refused[i % KINDS] += start_without_memory(&ctx[i], lasting);
	}
	/* Below what lies on the native stack there is always place. */
	for (int kind = 0; kind < KINDS; kind++)
		CHECK_EQ(refused[kind] == 0, kind == NATIVE);
	for (int i = 0; i < 3 * KINDS; i++) {
		pass(&ctx[i], NULL);
		if (i % 2) {
			pass(&ctx[i], &end);
			CHECK_EQ(state_of(&ctx[i]), TUCK_CTX_ENDED);
			start_without_memory(&ctx[i], lasting);
		}
	}
	for (int i = 0; i < 3 * KINDS; i++) {
		CHECK(suspended(&ctx[i]));
		pass(&ctx[i], NULL);
		fini(&ctx[i]);
	}
	free_stacks();
}

static void *start_all(void *arg)
{
	const struct tuck_config two = { .stack_slots = 2 };

	CHECK_EQ(tuck_config_set(&two), 0);
	start_all_without_memory(arg != NULL);
	return NULL;
}

TEST(starts)
{
	start_all(NULL);
	on_thread(start_all, back);
}

static __attribute__((noinline)) void switch_deep(struct tuck_ctx *to)
{
	volatile unsigned char pad[9000];
	void *value = to;

	fill(pad, sizeof(pad), 6);
	errno = 77;
	fault(1, 1);
	CHECK_EQ(tuck_ctx_switch(to, NULL, &value), -ENOMEM);
	end_fault();
	CHECK_EQ(errno, 77);
	CHECK(value == to);
	CHECK(tuck_ctx_self() == back);
	verify(pad, sizeof(pad), 6);
	pass(to, NULL);
	verify(pad, sizeof(pad), 6);
}

static struct tuck_ctx *switch_to_both(void *arg)
{
	struct tuck_ctx *other = arg;

	back = tuck_ctx_self();
	switch_deep(other);
	back = tuck__public(&tuck__thread()->main);
	pass(other, NULL);
	return back;
}

/* To one whose bytes lie where the caller's do. */
TEST(switches_from_shared_stacks)
{
	const struct tuck_config one = { .stack_slots = 1 };

	CHECK_EQ(tuck_config_set(&one), 0);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		static struct tuck_ctx other, deep;

		back = tuck_ctx_self();
		init(&other, kind);
		init(&deep, kind);
		start(&other, echo, NULL);
		if (kind == NATIVE)
			CHECK_EQ(tuck_ctx_set_base(&deep, info_of(&other).base),
				 0);
		start(&deep, switch_to_both, &other);
		fini(&deep);
		fini(&other);
	}
	free_stacks();
}

/* -- changes -- */

static int calls;

static void count_call(void *arg)
{
	(void)arg;
	calls++;
}

static void check_same(const struct tuck_ctx *ctx,
		       const struct tuck_ctx_info *was)
{
	struct tuck_ctx_info now = info_of(ctx);

	CHECK_EQ(now.state, was->state);
	CHECK(now.sp == was->sp);
	CHECK(now.slice == was->slice);
	CHECK_EQ(now.slice_bytes, was->slice_bytes);
}

/* Each call on a context that is tucked; ends in success. */
static int change_without_memory(struct tuck_ctx *ctx, int lasting)
{
	struct tuck_ctx_info was = info_of(ctx);
	char *low = (char *)was.sp - 20000;
	int refused = 0, r = -1;
	void *pcs[30];

	calls = 0;
	for (long n = 1; r < 0; n++) {
		fault(n, lasting);
		r = tuck_ctx_set_sp(ctx, low);
		end_fault();
		if (r < 0) {
			CHECK_EQ(r, -ENOMEM);
			check_same(ctx, &was);
			refused++;
		}
	}
	CHECK_EQ(tuck_ctx_set_sp(ctx, was.sp), 0);
	r = -1;
	for (long n = 1; r < 0; n++) {
		fault(n, lasting);
		r = tuck_ctx_backtrace(ctx, pcs, 30);
		end_fault();
		CHECK(r > 0 || r == -ENOMEM);
		CHECK(info_of(ctx).sp == was.sp);
		refused += r < 0;
	}
	r = -1;
	for (long n = 1; r < 0; n++) {
		fault(n, lasting);
		r = tuck_ctx_inject(ctx, count_call, NULL);
		end_fault();
		CHECK(r == 0 || r == -ENOMEM);
		refused += r < 0;
	}
	pass(ctx, NULL);
	CHECK_EQ(calls, 1);
	return refused;
}

TEST(changes_of_tucked_contexts)
{
	static struct tuck_ctx ctx, cover;
	const struct tuck_config one = { .stack_slots = 1 };

	CHECK_EQ(tuck_config_set(&one), 0);
	back = tuck_ctx_self();
	for (enum kind kind = 0; kind < KINDS; kind++)
		for (int lasting = 0; lasting < 2; lasting++) {
			init(&ctx, kind);
			init(&cover, kind);
			start(&ctx, echo, NULL);
			start(&cover, echo, NULL);
			CHECK_EQ(state_of(&ctx), TUCK_CTX_TUCKED);
			CHECK(change_without_memory(&ctx, lasting) >= 2);
			pass(&cover, NULL);
			pass(&ctx, NULL);
			fini(&ctx);
			fini(&cover);
		}
	free_stacks();
}
