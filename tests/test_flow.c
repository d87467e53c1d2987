/* SPDX-License-Identifier: MIT */
/* Contexts without a scheduler: the contract of each call that runs them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "stacks.h"

static struct tuck_ctx *here(void)
{
	struct tuck_ctx *self = tuck_ctx_self();

	CHECK(self);
	return self;
}

/* Goes back to arg as often as it is switched to; never ends. */
static struct tuck_ctx *echo(void *arg)
{
	void *value = NULL;

	for (;;)
		value = pass(arg, value);
	return NULL;
}

/* Ends at once, in favour of arg. */
static struct tuck_ctx *nothing(void *arg)
{
	return arg;
}

static void ended(struct tuck_ctx *ctx, enum kind kind)
{
	init(ctx, kind);
	start(ctx, nothing, here());
	CHECK_EQ(state_of(ctx), TUCK_CTX_ENDED);
}

static void waiting(struct tuck_ctx *ctx, enum kind kind)
{
	init(ctx, kind);
	start(ctx, echo, here());
	CHECK(suspended(ctx));
}

/* -- what runs -- */

static void *another_self(void *arg)
{
	CHECK(here() != arg);
	CHECK_EQ(state_of(here()), TUCK_CTX_RUNNING);
	return NULL;
}

TEST(each_thread_has_a_main_context)
{
	struct tuck_ctx *self = here();
	struct tuck_ctx_info info = info_of(self);

	CHECK(self == tuck_ctx_self());
	CHECK_EQ(info.state, TUCK_CTX_RUNNING);
	CHECK((char *)&info > (char *)info.limit);
	CHECK((char *)&info < (char *)info.base);
	CHECK(info.base == info.end);
	CHECK(!info.sp && !info.slice && !info.slice_bytes);
	on_thread(another_self, self);
}

static struct tuck_ctx *ran;
static void *ran_with;

static struct tuck_ctx *note_self(void *arg)
{
	ran = here();
	ran_with = arg;
	CHECK_EQ(state_of(ran), TUCK_CTX_RUNNING);
	return ((void **)arg)[0];
}

TEST(start_runs_a_function_and_its_end_returns)
{
	void *arg[1] = { here() };

	for (enum kind kind = 0; kind < KINDS; kind++) {
		void *value = arg;
		struct tuck_ctx ctx;

		init(&ctx, kind);
		CHECK_EQ(state_of(&ctx), TUCK_CTX_NEW);
		CHECK_EQ(tuck_ctx_start(&ctx, note_self, arg, &value), 0);
		CHECK(ran == &ctx);
		CHECK(ran_with == arg);
		CHECK(!value);
		CHECK(here() == arg[0]);
		CHECK_EQ(state_of(&ctx), TUCK_CTX_ENDED);
		fini(&ctx);
	}
	free_stacks();
}

static struct tuck_ctx *add_one(void *arg)
{
	uintptr_t n = 0;

	for (;;)
		n = (uintptr_t)pass(arg, (void *)(n + 1));
	return NULL;
}

TEST(switches_pass_values)
{
	for (enum kind kind = 0; kind < KINDS; kind++) {
		void *value = NULL;
		struct tuck_ctx ctx;

		init(&ctx, kind);
		CHECK_EQ(tuck_ctx_start(&ctx, add_one, here(), &value), 0);
		CHECK(value == (void *)1);
		for (uintptr_t i = 0; i < 100; i++)
			CHECK(pass(&ctx, (void *)i) == (void *)(i + 1));
		CHECK_EQ(tuck_ctx_switch(&ctx, NULL, NULL), 0);
		fini(&ctx);
	}
	free_stacks();
}

static struct tuck_ctx *switch_to_self(void *arg)
{
	CHECK(pass(here(), &ran) == &ran);
	CHECK_EQ(tuck_ctx_switch(here(), NULL, NULL), 0);
	return arg;
}

TEST(a_switch_to_the_running_one_returns_at_once)
{
	struct tuck_ctx ctx;

	switch_to_self(NULL);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		init(&ctx, kind);
		start(&ctx, switch_to_self, here());
		fini(&ctx);
	}
	free_stacks();
}

/* -- refusals -- */

static void *refused_here(void *arg)
{
	struct tuck_ctx *of_other = arg;
	struct tuck_ctx_info info;
	char byte;

	CHECK_EQ(tuck_ctx_switch(of_other, NULL, NULL), -EXDEV);
	CHECK_EQ(tuck_ctx_start(of_other, nothing, NULL, NULL), -EXDEV);
	CHECK_EQ(tuck_ctx_fini(of_other), -EXDEV);
	CHECK_EQ(tuck_ctx_info(of_other, &info), -EXDEV);
	CHECK_EQ(tuck_ctx_set_base(of_other, NULL), -EXDEV);
	CHECK_EQ(tuck_ctx_set_sp(of_other, &byte), -EXDEV);
	CHECK_EQ(tuck_ctx_inject(of_other, free, NULL), -EXDEV);
	CHECK_EQ(tuck_ctx_backtrace(of_other, (void **)&arg, 1), -EXDEV);
	CHECK_EQ(tuck_ctx_ranges(of_other, NULL, NULL), -EXDEV);
	return NULL;
}

/* Before the thread has contexts of its own, and with them. */
static void *refused_in_thread(void *arg)
{
	refused_here(arg);
	here();
	return refused_here(arg);
}

TEST(another_threads_contexts_are_refused)
{
	struct tuck_ctx fresh, done, waits;

	init(&fresh, NATIVE);
	ended(&done, SLOT);
	waiting(&waits, NATIVE);
	on_thread(refused_in_thread, here());
	on_thread(refused_in_thread, &fresh);
	on_thread(refused_in_thread, &done);
	on_thread(refused_in_thread, &waits);
	pass(&waits, NULL);
	fini(&fresh);
	fini(&done);
	fini(&waits);
}

TEST(who_cannot_be_switched_to)
{
	struct tuck_ctx ctx;
	void *value = &ctx;

	CHECK_EQ(tuck_ctx_switch(NULL, NULL, &value), -EINVAL);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		init(&ctx, kind);
		CHECK_EQ(tuck_ctx_switch(&ctx, NULL, &value), -ESRCH);
		start(&ctx, nothing, here());
		CHECK_EQ(tuck_ctx_switch(&ctx, NULL, &value), -ESRCH);
		fini(&ctx);
		CHECK_EQ(tuck_ctx_switch(&ctx, NULL, &value), -EXDEV);
	}
	CHECK(value == &ctx);
	free_stacks();
}

static struct tuck_ctx *start_running_ones(void *arg)
{
	CHECK_EQ(tuck_ctx_start(here(), nothing, arg, NULL), -EBUSY);
	CHECK_EQ(tuck_ctx_start(arg, nothing, arg, NULL), -EBUSY);
	return arg;
}

TEST(who_cannot_be_started)
{
	struct tuck_ctx ctx;
	void *value = &ctx;

	CHECK_EQ(tuck_ctx_start(NULL, nothing, here(), &value), -EINVAL);
	CHECK_EQ(tuck_ctx_start(here(), nothing, here(), &value), -EBUSY);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		init(&ctx, kind);
		CHECK_EQ(tuck_ctx_start(&ctx, NULL, NULL, &value), -EINVAL);
		CHECK_EQ(state_of(&ctx), TUCK_CTX_NEW);
		start(&ctx, echo, here());
		CHECK_EQ(tuck_ctx_start(&ctx, nothing, NULL, &value), -EBUSY);
		pass(&ctx, NULL);
		fini(&ctx);
		CHECK_EQ(tuck_ctx_start(&ctx, nothing, NULL, &value), -EXDEV);
		init(&ctx, kind);
		start(&ctx, start_running_ones, here());
		fini(&ctx);
	}
	CHECK(value == &ctx);
	free_stacks();
}

static void refuse_base(struct tuck_stack *stack, const void *base)
{
	struct tuck_ctx ctx, was;

	memset(&ctx, 0x5a, sizeof(ctx));
	was = ctx;
	CHECK_EQ(tuck_ctx_init(&ctx, stack, (void *)(uintptr_t)base), -EINVAL);
	CHECK_MEM(&ctx, &was, sizeof(ctx));
	CHECK_EQ(tuck_ctx_init(&ctx, stack, NULL), 0);
	was = ctx;
	CHECK_EQ(tuck_ctx_set_base(&ctx, (void *)(uintptr_t)base), -EINVAL);
	CHECK_MEM(&ctx, &was, sizeof(ctx));
	fini(&ctx);
}

TEST(a_base_lies_on_its_stack)
{
	CHECK_EQ(tuck_ctx_init(NULL, NULL, NULL), -EINVAL);
	CHECK_EQ(tuck_ctx_set_base(NULL, NULL), -EINVAL);
	refuse_base(NULL, &ran);
	for (enum kind kind = NATIVE; kind < KINDS; kind++) {
		struct tuck_stack *stack = stack_of(kind);
		struct tuck_ctx_info info;
		struct tuck_ctx ctx;

		init(&ctx, kind);
		info = info_of(&ctx);
		refuse_base(stack, (char *)info.end + 1);
		refuse_base(stack, (char *)info.limit + 1023);
		refuse_base(stack, info.limit);
		refuse_base(stack, (void *)1);
		CHECK_EQ(tuck_ctx_set_base(&ctx, (char *)info.limit + 1024), 0);
		CHECK_EQ(tuck_ctx_set_base(&ctx, (char *)info.end - 16), 0);
		CHECK(info_of(&ctx).base == (char *)info.end - 16);
		fini(&ctx);
	}
	free_stacks();
}

/* What lies at the very end is not the program's. */
TEST(no_base_is_at_the_end_of_the_native_stack)
{
	refuse_base(tuck_stack_native(), info_of(here()).end);
}

static struct tuck_ctx *low_in_memory(void *arg)
{
	char byte, *base = info_of(here()).base;

	CHECK(&byte < base && base - &byte < 4096);
	return arg;
}

TEST(a_base_is_where_it_was_asked_for)
{
	struct tuck_ctx ctx;

	for (enum kind kind = NEW; kind < KINDS; kind++) {
		for (size_t off = 0; off < 64; off += 9) {
			struct tuck_ctx_info info;
			uintptr_t base;

			init(&ctx, kind);
			info = info_of(&ctx);
			base = (uintptr_t)info.end - 70000 - off;
			CHECK_EQ(tuck_ctx_set_base(&ctx, (void *)base), 0);
			info = info_of(&ctx);
			CHECK(base - (uintptr_t)info.base < 16);
			start(&ctx, low_in_memory, here());
			CHECK(info_of(&ctx).base == info.base);
			CHECK_EQ(tuck_ctx_set_base(&ctx, NULL), 0);
			CHECK(info_of(&ctx).base == info.end);
			start(&ctx, low_in_memory, here());
			fini(&ctx);
		}
	}
	free_stacks();
}

TEST(a_started_context_keeps_its_base)
{
	struct tuck_ctx ctx;

	CHECK_EQ(tuck_ctx_set_base(here(), NULL), -EBUSY);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		waiting(&ctx, kind);
		CHECK_EQ(tuck_ctx_set_base(&ctx, NULL), -EBUSY);
		pass(&ctx, NULL);
		fini(&ctx);
		CHECK_EQ(tuck_ctx_set_base(&ctx, NULL), -EXDEV);
	}
	free_stacks();
}

/* -- the end of contexts -- */

static struct tuck_ctx *fini_running_ones(void *arg)
{
	CHECK_EQ(tuck_ctx_fini(here()), -EBUSY);
	CHECK_EQ(tuck_ctx_fini(arg), -EBUSY);
	return arg;
}

TEST(who_cannot_be_given_back)
{
	struct tuck_ctx ctx;

	CHECK_EQ(tuck_ctx_fini(NULL), 0);
	CHECK_EQ(tuck_ctx_fini(here()), -EBUSY);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		init(&ctx, kind);
		start(&ctx, fini_running_ones, here());
		fini(&ctx);
		CHECK_EQ(tuck_ctx_fini(&ctx), -EXDEV);
	}
	free_stacks();
}

static struct tuck_ctx *successor;

static void leave_from_depth(int n);
static void (*volatile go_deeper)(int) = leave_from_depth;

static void leave_from_depth(int n)
{
	volatile unsigned char pad[300];

	fill(pad, sizeof(pad), (uint32_t)n);
	if (n > 0)
		go_deeper(n - 1);
	else
		tuck_ctx_leave(successor, (void *)77);
	verify(pad, sizeof(pad), (uint32_t)n);
}

static struct tuck_ctx *leave_deep(void *arg)
{
	leave_from_depth(100);
	CHECK(!"came back");
	return arg;
}

TEST(leave_ends_from_any_depth_in_favour_of_any)
{
	struct tuck_ctx ctx, other;
	void *value;

	for (enum kind a = 0; a < KINDS; a++)
		for (enum kind b = 0; b < KINDS; b++) {
			successor = here();
			init(&ctx, a);
			CHECK_EQ(tuck_ctx_start(&ctx, leave_deep, NULL, &value),
				 0);
			CHECK(value == (void *)77);
			CHECK_EQ(state_of(&ctx), TUCK_CTX_ENDED);
			waiting(&other, b);
			successor = &other;
			CHECK_EQ(tuck_ctx_start(&ctx, leave_deep, NULL, &value),
				 0);
			CHECK(value == (void *)77);	/* by other's echo */
			CHECK_EQ(state_of(&ctx), TUCK_CTX_ENDED);
			fini(&ctx);
			pass(&other, NULL);
			fini(&other);
		}
	free_stacks();
}

static struct tuck_ctx *leave_to(void *to)
{
	tuck_ctx_leave(to, NULL);
	return NULL;
}

static struct tuck_ctx *own_leave(void *arg)
{
	(void)arg;
	return here();
}

#define ENDED "ended without a successor"

static void leave_wrongly(tuck_ctx_fn *fn, void *to)
{
	struct tuck_ctx ctx;

	init(&ctx, NATIVE);
	tuck_ctx_start(&ctx, fn, to, NULL);
}

TEST(to_leave_to_nobody_ends_the_process)
{
	static struct tuck_ctx ctx;

	CHECK_DIES(-SIGABRT, ENDED, { leave_wrongly(leave_to, NULL); });
	CHECK_DIES(-SIGABRT, ENDED, { leave_wrongly(nothing, NULL); });
	CHECK_DIES(-SIGABRT, ENDED, { leave_wrongly(own_leave, NULL); });
	CHECK_DIES(-SIGABRT, ENDED, {
		init(&ctx, SLOT);
		leave_wrongly(leave_to, &ctx);
	});
	CHECK_DIES(-SIGABRT, ENDED, {
		ended(&ctx, SLOT);
		leave_wrongly(nothing, &ctx);
	});
	CHECK_DIES(-SIGABRT, "main context", { tuck_ctx_leave(here(), NULL); });
	CHECK_DIES(-SIGABRT, "main context", { tuck_ctx_leave(NULL, NULL); });
}

static void *leave_to_other_thread(void *of_other)
{
	leave_wrongly(leave_to, of_other);
	return NULL;
}

TEST(to_leave_to_another_thread_ends_the_process)
{
	CHECK_DIES(-SIGABRT, ENDED,
		   { on_thread(leave_to_other_thread, here()); });
}

TEST(an_ended_context_starts_again)
{
	struct tuck_ctx ctx[KINDS];

	for (enum kind kind = 0; kind < KINDS; kind++)
		init(&ctx[kind], kind);
	for (int n = 0; n < 1000; n++) {
		void *arg[1] = { here() };

		for (enum kind kind = 0; kind < KINDS; kind++) {
			ran = NULL;
			start(&ctx[kind], note_self, arg);
			CHECK(ran == &ctx[kind]);
			CHECK(ran_with == arg);
		}
	}
	for (enum kind kind = 0; kind < KINDS; kind++)
		fini(&ctx[kind]);
	free_stacks();
}

/* -- stacks -- */

static void *other_native(void *arg)
{
	CHECK(tuck_stack_native() != arg);
	CHECK_EQ(tuck_stack_free(arg), -EXDEV);
	return NULL;
}

TEST(a_thread_has_one_native_stack)
{
	struct tuck_stack *native = tuck_stack_native();

	CHECK(native);
	CHECK(native == tuck_stack_native());
	CHECK_EQ(tuck_stack_free(native), -EINVAL);
	on_thread(other_native, native);
}

static void *use_of_others_stack(void *stack)
{
	struct tuck_ctx ctx, was;

	CHECK_EQ(tuck_stack_free(stack), -EXDEV);
	memset(&ctx, 0x33, sizeof(ctx));
	was = ctx;
	CHECK_EQ(tuck_ctx_init(&ctx, stack, NULL), -EXDEV);
	CHECK_EQ(tuck_stack_free(stack), -EXDEV);
	CHECK_MEM(&ctx, &was, sizeof(ctx));
	return NULL;
}

TEST(a_stack_belongs_to_its_thread)
{
	for (enum kind kind = NATIVE; kind < KINDS; kind++)
		on_thread(use_of_others_stack, stack_of(kind));
	free_stacks();
}

TEST(a_stack_is_held_by_its_contexts)
{
	struct tuck_ctx fresh, waits, done;

	CHECK_EQ(tuck_stack_free(NULL), 0);
	for (enum kind kind = NEW; kind < KINDS; kind++) {
		struct tuck_stack *stack = stack_of(kind);

		waiting(&waits, kind);
		init(&fresh, kind);
		ended(&done, kind);
		CHECK_EQ(tuck_stack_free(stack), -EBUSY);
		fini(&waits);
		CHECK_EQ(tuck_stack_free(stack), -EBUSY);
		fini(&fresh);
		CHECK_EQ(tuck_stack_free(stack), -EBUSY);
		fini(&done);
	}
	free_stacks();
}

TEST(who_names_a_freed_stack_is_told)
{
	static char memory[65536];
	struct tuck_ctx fresh;

	for (int i = 0; i < 40; i++) {	/* their structs are used again */
		struct tuck_stack *s = i % 2 ? tuck_stack_new(65536) :
					       tuck_stack_from(memory, 65536);

		CHECK_EQ(tuck_ctx_init(&fresh, s, NULL), 0);
		start(&fresh, nothing, here());
		fini(&fresh);
		CHECK_EQ(tuck_stack_free(s), 0);
		CHECK_EQ(tuck_stack_free(s), -EXDEV);
		CHECK_EQ(tuck_ctx_init(&fresh, s, NULL), -EXDEV);
	}
}

static __attribute__((noinline)) void use_below(int n)
{
	volatile char bytes[65536];
	struct tuck_ctx ctx;

	bytes[0] = bytes[65535] = 1;
	if (n > 0) {
		use_below(n - 1);
		bytes[1] = 1;
		return;
	}
	init(&ctx, NEW);
	start(&ctx, echo, here());
	CHECK(pass(&ctx, &ctx) == &ctx);
	fini(&ctx);
	bytes[1] = 1;
}

TEST(a_raised_limit_of_the_native_stack_is_seen)
{
	struct rlimit was, low;

	CHECK_EQ(getrlimit(RLIMIT_STACK, &was), 0);
	if (was.rlim_cur < 4 << 20 || check_under_valgrind())
		SKIP("the stack is not to be had");
	low = was;
	low.rlim_cur = 1 << 20;
	CHECK_EQ(setrlimit(RLIMIT_STACK, &low), 0);
	here();
	CHECK_EQ(setrlimit(RLIMIT_STACK, &was), 0);
	use_below(40);
	free_stacks();
}

TEST(sizes_of_stacks)
{
	static char memory[5000];
	struct tuck_ctx ctx;

	CHECK(!tuck_stack_from(NULL, 5000));
	CHECK(!tuck_stack_from(memory, 1023));
	CHECK(!tuck_stack_new(SIZE_MAX));
	CHECK(!tuck_stack_new(SIZE_MAX / 2));
	for (size_t n = 1024; n <= 5000; n += 71) {
		struct tuck_stack *s = tuck_stack_from(memory + 1, n);
		struct tuck_ctx_info info;

		CHECK(s);
		CHECK_EQ(tuck_ctx_init(&ctx, s, NULL), 0);
		info = info_of(&ctx);
		CHECK(info.limit == memory + 1);
		CHECK((char *)info.end <= memory + 1 + n);
		CHECK((char *)info.end > memory + 1 + n - 16);
		fini(&ctx);
		CHECK_EQ(tuck_stack_free(s), 0);
	}
	for (size_t n = 0; n <= (size_t)1 << 30; n = n * 3 + 1000) {
		struct tuck_stack *s = tuck_stack_new(n);
		struct tuck_ctx_info info;

		CHECK(s);
		CHECK_EQ(tuck_ctx_init(&ctx, s, NULL), 0);
		info = info_of(&ctx);
		CHECK((size_t)((char *)info.end - (char *)info.limit) >= n);
		fini(&ctx);
		CHECK_EQ(tuck_stack_free(s), 0);
	}
}

static __attribute__((noinline)) void recurse(struct tuck_ctx *back,
					      const char *start, size_t bytes)
{
	volatile unsigned char pad[777];
	size_t used = (size_t)(start - (const char *)(uintptr_t)pad);

	fill(pad, sizeof(pad), (uint32_t)used);
	if (used < bytes)
		recurse(back, start, bytes);
	else
		pass(back, NULL);
	verify(pad, sizeof(pad), (uint32_t)used);
	if (used % 16 == 0)
		pass(back, NULL);
}

struct deep {
	struct tuck_ctx ctx, *back;
	size_t bytes;
};

static struct tuck_ctx *go_deep(void *arg)
{
	struct deep *d = arg;
	char start = 0;

	recurse(d->back, &start, d->bytes);
	return d->back;
}

/* Each as deep as its stack allows, and up again by turns. */
TEST(deep_recursion_on_each_kind_of_stack)
{
	static const size_t bytes[KINDS] = { 200 << 10, 3 << 20, 900 << 10,
					     900 << 10 };
	static struct deep deep[2 * KINDS];
	int alive;

	for (int i = 0; i < 2 * KINDS; i++) {
		deep[i].back = here();
		deep[i].bytes = bytes[i % KINDS] - (i >= KINDS ? 5000 : 0);
		init(&deep[i].ctx, (enum kind)(i % KINDS));
		start(&deep[i].ctx, go_deep, &deep[i]);
	}
	for (int n = 0; n < 5; n++)
		for (int i = 0; i < 2 * KINDS; i++)
			if (suspended(&deep[i].ctx))
				pass(&deep[i].ctx, NULL);
	do {
		alive = 0;
		for (int i = 0; i < 2 * KINDS; i++)
			for (int n = 0; n < 300; n++)
				if (suspended(&deep[i].ctx)) {
					pass(&deep[i].ctx, NULL);
					alive = 1;
				}
	} while (alive);
	for (int i = 0; i < 2 * KINDS; i++)
		fini(&deep[i].ctx);
	free_stacks();
}

/* -- forgetting suspended ones -- */

#define SOME 4

static struct tuck_ctx some[SOME], *boss;

/* Each starts the next, below itself, and all of them wait. */
static struct tuck_ctx *start_next(void *arg)
{
	intptr_t i = (intptr_t)arg;
	volatile unsigned char pad[500];

	fill(pad, sizeof(pad), (uint32_t)i);
	if (i + 1 < SOME)
		start(&some[i + 1], start_next, (void *)(i + 1));
	else
		pass(boss, NULL);
	verify(pad, sizeof(pad), (uint32_t)i);
	for (;;) {
		pass(boss, NULL);
		verify(pad, sizeof(pad), (uint32_t)i);
	}
	return NULL;
}

/* The nth of the orders of four. */
static void order_of(int n, int *ret_order)
{
	int left[SOME] = { 0, 1, 2, 3 };

	for (int i = 0; i < SOME; i++) {
		int k = n % (SOME - i);

		n /= SOME - i;
		ret_order[i] = left[k];
		memmove(left + k, left + k + 1,
			sizeof(left[0]) * (size_t)(SOME - k - 1));
	}
}

static void forget_in_order(const enum kind *kinds, const int *order)
{
	boss = here();
	for (int i = 0; i < SOME; i++)
		init(&some[i], kinds[i]);
	start(&some[0], start_next, NULL);
	for (int i = 0; i < SOME; i++) {
		fini(&some[order[i]]);
		for (int k = i + 1; k < SOME; k++)
			pass(&some[order[k]], NULL);
	}
}

TEST(suspended_ones_are_forgotten_in_any_order)
{
	static const enum kind kinds[][SOME] = {
		{ NATIVE, NATIVE, NATIVE, NATIVE }, { NEW, NEW, NEW, NEW },
		{ NATIVE, SLOT, NATIVE, NATIVE },   { FROM, NEW, FROM, NEW },
		{ SLOT, SLOT, SLOT, SLOT },	    { FROM, NATIVE, SLOT, NEW },
	};
	const struct tuck_config two = { .stack_slots = 2 };

	CHECK_EQ(tuck_config_set(&two), 0);
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		for (int n = 0; n < 24; n++) {
			int order[SOME];

			order_of(n, order);
			forget_in_order(kinds[k], order);
		}
	free_stacks();
}

/* Of those that lie on the stack below its starter, from another stack. */
static struct tuck_ctx *forget_all_but_last(void *arg)
{
	for (int i = 0; i < SOME - 1; i++)
		fini(&some[i]);
	for (int n = 0; n < 3; n++)
		pass(&some[SOME - 1], NULL);
	fini(&some[SOME - 1]);
	return arg;
}

static struct tuck_ctx elsewhere;

static struct tuck_ctx *call_elsewhere(void *arg)
{
	start(&elsewhere, forget_all_but_last, boss);
	for (;;)
		pass(&elsewhere, NULL);
	return arg;
}

static struct tuck_ctx *start_next_or_call(void *arg)
{
	intptr_t i = (intptr_t)arg;

	if (i + 1 == SOME)
		return call_elsewhere(arg);
	start(&some[i + 1], start_next_or_call, (void *)(i + 1));
	return boss;
}

TEST(resident_ones_of_a_chain_are_forgotten)
{
	for (enum kind kind = NATIVE; kind < KINDS; kind++) {
		boss = here();
		init(&elsewhere, SLOT);
		for (int i = 0; i < SOME; i++)
			init(&some[i], kind);
		start(&some[0], start_next_or_call, NULL);
		fini(&elsewhere);
	}
	free_stacks();
}

/* -- generators on the native stack -- */

/* Not on a stack: its place may be another's while it waits. */
struct walk {
	struct tuck_ctx ctx, *back;
	int n;
};

static struct tuck_ctx *count_up(void *arg);

/* A generator that yields 1 .. n, and its first. */
static struct walk *begin_walk(int n, void **ret_value)
{
	struct walk *w = calloc(1, sizeof(*w));

	CHECK(w);
	w->back = here();
	w->n = n;
	init(&w->ctx, NATIVE);
	CHECK_EQ(tuck_ctx_start(&w->ctx, count_up, w, ret_value), 0);
	return w;
}

static void end_walk(struct walk *w)
{
	CHECK_EQ(state_of(&w->ctx), TUCK_CTX_ENDED);
	fini(&w->ctx);
	free(w);
}

/* All but the last come from another generator. */
static struct tuck_ctx *count_up(void *arg)
{
	struct walk *w = arg, *below;
	volatile unsigned char pad[200];
	void *value;

	fill(pad, sizeof(pad), (uint32_t)w->n);
	if (w->n > 1) {
		below = begin_walk(w->n - 1, &value);
		while (value) {
			verify(pad, sizeof(pad), (uint32_t)w->n);
			pass(w->back, value);
			value = pass(&below->ctx, NULL);
		}
		end_walk(below);
	}
	pass(w->back, (void *)(intptr_t)w->n);
	verify(pad, sizeof(pad), (uint32_t)w->n);
	return w->back;
}

TEST(generators_of_generators)
{
	void *value;

	for (int n = 1; n < 30; n++) {
		struct walk *w = begin_walk(n, &value);

		for (int i = 1; i <= n; i++) {
			CHECK_EQ((intptr_t)value, i);
			value = pass(&w->ctx, NULL);
		}
		CHECK(!value);
		end_walk(w);
	}
}

#define WALKS 10

/* The starter has a frame between any two, and less when they run. */
static __attribute__((noinline)) void walk_from_depth(struct walk **walks,
						      int n)
{
	volatile unsigned char pad[1500];
	void *value;

	fill(pad, sizeof(pad), (uint32_t)n);
	walks[n] = begin_walk(5, &value);
	CHECK(value == (void *)1);
	if (n + 1 < WALKS)
		walk_from_depth(walks, n + 1);
	for (int i = n; i < WALKS; i += 3)
		if (suspended(&walks[i]->ctx))
			pass(&walks[i]->ctx, NULL);
	verify(pad, sizeof(pad), (uint32_t)n);
}

TEST(generators_started_at_different_depths)
{
	static struct walk *walks[WALKS];
	char *above = NULL;

	walk_from_depth(walks, 0);
	for (int i = 0; i < WALKS; i++) {
		char *base = info_of(&walks[i]->ctx).base;

		CHECK(!above || above - base >= 1500);
		above = base;
	}
	for (int n = 0; n < 5; n++)
		for (int i = WALKS - 1; i >= 0; i--)
			if (suspended(&walks[i]->ctx))
				pass(&walks[i]->ctx, NULL);
	for (int i = 0; i < WALKS; i++)
		end_walk(walks[i]);
}

/* -- all kinds among each other -- */

#define MANY 200

struct member {
	struct tuck_ctx ctx;
	uint32_t random;
	int turns;
};

static struct member members[MANY];
static int hops;

static struct tuck_ctx *member(int i)
{
	return i < MANY && suspended(&members[i].ctx) ? &members[i].ctx : boss;
}

static struct tuck_ctx *hop(void *arg)
{
	struct member *m = arg;
	volatile unsigned char pad[333];
	unsigned random = m->random;

	fill(pad, sizeof(pad), m->random);
	pass(boss, NULL);
	for (int n = 0; n < m->turns; n++) {
		struct tuck_ctx *to = member(rand_r(&random) % (MANY + 1));

		if (to == boss && n % 8)
			continue;
		errno = (int)m->random;
		hops++;
		CHECK_EQ(tuck_ctx_switch(to, NULL, NULL), 0);
		CHECK_EQ(errno, (int)m->random);
		verify(pad, sizeof(pad), m->random);
	}
	return member(rand_r(&random) % (MANY + 1));
}

TEST(contexts_of_all_kinds_switch_to_one_another)
{
	const struct tuck_config few = { .stack_slots = 7 };
	int alive = MANY;

	CHECK_EQ(tuck_config_set(&few), 0);
	boss = here();
	for (int i = 0; i < MANY; i++) {
		members[i].random = (uint32_t)i + 1000;
		members[i].turns = 300;
		init(&members[i].ctx, (enum kind)(i % KINDS));
		start(&members[i].ctx, hop, &members[i]);
	}
	while (alive) {
		alive = 0;
		for (int i = 0; i < MANY; i++)
			if (suspended(&members[i].ctx)) {
				alive++;
				errno = 5;
				pass(&members[i].ctx, NULL);
				CHECK_EQ(errno, 5);
			}
	}
	CHECK(hops > MANY * 10);
	for (int i = 0; i < MANY; i++)
		fini(&members[i].ctx);
	free_stacks();
}

static struct tuck_ctx *note_errno(void *arg)
{
	CHECK_EQ(errno, 0);
	errno = 41;
	pass(arg, NULL);
	CHECK_EQ(errno, 41);
	return arg;
}

TEST(errno_is_a_contexts_own)
{
	struct tuck_ctx ctx;

	for (enum kind kind = 0; kind < KINDS; kind++) {
		init(&ctx, kind);
		errno = 17;
		start(&ctx, note_errno, here());
		CHECK_EQ(errno, 17);
		errno = 18;
		pass(&ctx, NULL);
		CHECK_EQ(errno, 18);
		fini(&ctx);
	}
	free_stacks();
}

/* -- the end of a thread -- */

/* By the list of mappings: figures that are sums count qemu's own, too. */
static size_t mapped_pages(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	uintptr_t from, to, bytes = 0;

	CHECK(f);
	while (fscanf(f, "%" SCNxPTR "-%" SCNxPTR "%*[^\n]", &from, &to) == 2)
		bytes += to - from;
	fclose(f);
	CHECK(bytes > 0);
	return bytes / 4096;
}

static struct tuck_ctx *wait_deep(void *arg)
{
	volatile unsigned char pad[150000];

	fill(pad, sizeof(pad), 1);
	pass(arg, NULL);
	return arg;
}

/* Resident and tucked ones, small and large, on stacks that stay too. */
static void *leave_all_behind(void *arg)
{
	static struct tuck_ctx ctx[4 * KINDS];
	struct tuck_stack *kept = tuck_stack_new(100000);
	struct tuck_stack *stacks[KINDS] = {
		NULL, tuck_stack_native(), tuck_stack_new(400000),
		tuck_stack_from(arg, STACK_BYTES)
	};

	CHECK(kept);
	for (int i = 0; i < 4 * KINDS; i++) {
		CHECK_EQ(tuck_ctx_init(&ctx[i], stacks[i % KINDS], NULL), 0);
		if (i >= KINDS)
			start(&ctx[i], i % 3 ? echo : wait_deep, here());
	}
	return ctx;
}

TEST(the_end_of_a_thread_takes_its_contexts_along)
{
	const struct tuck_config one = { .stack_slots = 1 };
	void *memory = malloc(STACK_BYTES);
	size_t before = 0;

	NOT_UNDER_TSAN("its fibers are maps, too");
	CHECK_EQ(tuck_config_set(&one), 0);
	for (int n = 0; n < 60; n++) {
		on_thread(leave_all_behind, memory);
		if (n == 9)
			before = mapped_pages();
	}
	CHECK(mapped_pages() < before + 50);
	free(memory);
}

static struct tuck_ctx orphan;

static void *make_orphan(void *arg)
{
	(void)arg;
	waiting(&orphan, NATIVE);
	return NULL;
}

/* Nor does a thread that looks the same inherit them. */
TEST(contexts_of_an_ended_thread_are_refused)
{
	for (int n = 0; n < 10; n++) {
		on_thread(make_orphan, NULL);
		on_thread(refused_in_thread, &orphan);
		refused_here(&orphan);
	}
}

static pthread_key_t later;

static void use_contexts(void *arg)
{
	struct tuck_ctx ctx;

	ended(&ctx, SLOT);
	fini(&ctx);
	(void)arg;
}

static void *with_destructor(void *arg)
{
	CHECK_EQ(pthread_setspecific(later, arg), 0);
	use_contexts(arg);
	return NULL;
}

TEST(destructors_of_a_thread_may_use_contexts)
{
	CHECK_EQ(pthread_key_create(&later, use_contexts), 0);
	on_thread(with_destructor, &later);
}
