/* SPDX-License-Identifier: MIT */
/* Contexts that overflow their stacks are named, whatever the stack. */
#include <stdio.h>
#include <sys/resource.h>

#include "stacks.h"

/* Else the compiler touches each page of a frame itself. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-stack-clash-protection")
#endif

/* Frames of some size, of which only the lowest byte is touched. */
#define FRAME(bytes)							\
	static void frame_##bytes(int n);				\
	static void (*volatile deeper_##bytes)(int) = frame_##bytes;	\
	static void frame_##bytes(int n)				\
	{								\
		volatile char pad[bytes];				\
		pad[0] = (char)n;					\
		if (n > 0)						\
			deeper_##bytes(n - 1);				\
		pad[0]++;						\
	}

FRAME(100)
FRAME(50000)
FRAME(300000)

static void (*frame)(int) = frame_100;

/* In the child: the faults are not for a sanitizer. */
static void begin(void)
{
	const struct rlimit mb = { 1 << 20, 1 << 20 };

	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	CHECK_EQ(setrlimit(RLIMIT_STACK, &mb), 0);
}

static struct tuck_ctx *overflow(void *arg)
{
	frame(1000000);
	return arg;
}

static struct tuck_ctx ctx;

static void *overflow_on(struct tuck_stack *stack, const char *name)
{
	CHECK_EQ(tuck_ctx_init(&ctx, stack, NULL), 0);
	CHECK_EQ(tuck_ctx_set_name(&ctx, name), 0);
	start(&ctx, overflow, tuck_ctx_self());
	return NULL;
}

#define DEEP "tuck: stack overflow in context 0x"
#define NAMED "\"deep\": fault at 0x"

static void overflow_kinds(void)
{
	CHECK_DIES(-SIGSEGV, DEEP, {
		begin();
		overflow_on(NULL, NULL);
	});
	CHECK_DIES(-SIGSEGV, NAMED, {
		begin();
		overflow_on(NULL, "deep");
	});
	CHECK_DIES(-SIGSEGV, NAMED, {
		begin();
		overflow_on(tuck_stack_new(40000), "deep");
	});
	CHECK_DIES(-SIGSEGV, NAMED, {
		begin();
		overflow_on(tuck_stack_native(), "deep");
	});
	CHECK_DIES(-SIGSEGV, "\"main\": fault at 0x", {
		begin();
		tuck_ctx_self();
		overflow(NULL);
	});
}

TEST(an_overflow_of_each_kind_of_stack_is_told)
{
	overflow_kinds();
}

/* By default a guard has 512 KiB or, where addresses are few, 64. */
TEST(a_frame_does_not_leap_over_the_guard)
{
	frame = sizeof(void *) > 4 ? frame_300000 : frame_50000;
	overflow_kinds();
}

TEST(a_frame_of_300_kb_does_not_leap_over_a_guard_of_512)
{
	const struct tuck_config large = { .guard_bytes = 512 << 10 };

	CHECK_EQ(tuck_config_set(&large), 0);
	frame = frame_300000;
	overflow_kinds();
}

static void *overflow_in_thread(void *arg)
{
	return overflow_on(arg ? tuck_stack_native() : NULL, "deep");
}

TEST(an_overflow_in_another_thread_is_told)
{
	CHECK_DIES(-SIGSEGV, NAMED, {
		begin();
		on_thread(overflow_in_thread, NULL);
	});
	CHECK_DIES(-SIGSEGV, NAMED, {
		begin();
		on_thread(overflow_in_thread, begin);
	});
}

static struct tuck_ctx *echo(void *arg)
{
	for (;;)
		pass(arg, NULL);
	return NULL;
}

/* The one that runs is meant, not one that waits on the same stack. */
TEST(an_overflow_of_a_shared_stack_names_who_runs)
{
	static struct tuck_ctx other;

	for (enum kind kind = 0; kind < FROM; kind++)
		CHECK_DIES(-SIGSEGV, NAMED, {
			const struct tuck_config one = { .stack_slots = 1 };

			begin();
			CHECK_EQ(tuck_config_set(&one), 0);
			init(&other, kind);
			tuck_ctx_set_name(&other, "other");
			start(&other, echo, tuck_ctx_self());
			overflow_on(stack_of(kind), "deep");
		});
}

/* The caller's own memory is not guarded. */
static struct tuck_ctx *touch_below(void *arg)
{
	*((volatile char *)info_of(&ctx).limit - 1) = 1;
	return arg;
}

TEST(the_byte_below_a_stack_is_guarded)
{
	for (enum kind kind = 0; kind < FROM; kind++) {
		if (kind == NATIVE)
			continue;
		CHECK_DIES(-SIGSEGV, NAMED, {
			begin();
			init(&ctx, kind);
			tuck_ctx_set_name(&ctx, "deep");
			start(&ctx, touch_below, tuck_ctx_self());
		});
	}
}
