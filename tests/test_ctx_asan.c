/* SPDX-License-Identifier: MIT */
/*
 * AddressSanitizer still finds real bugs in the contexts of ctx.h, on each
 * kind of stack, tucked away and put back (rule S10): each of these is
 * planted, and must end the process. LeakSanitizer looks into slices.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "planted.h"
#include "stacks.h"

static struct tuck_ctx *home;
static struct tuck_ctx user, other;

static void go_home(void)
{
	pass(home, NULL);
}

/* -- bugs -- */

static size_t at;	/* where they write */

static __attribute__((noinline)) void write_after_resume(void)
{
	char buf[32], *p = opaque(buf);

	go_home();		/* tucked away and back, shadow and all */
	p[at] = 1;
}

static struct tuck_ctx *overflow_after_resume(void *arg)
{
	write_after_resume();
	return arg;
}

static struct tuck_ctx *overflow_in_fresh_frame(void *arg)
{
	char buf[32];

	go_home();
	opaque(buf)[at] = 1;
	write_after_resume();
	return arg;
}

static struct tuck_ctx *use_after_scope(void *arg)
{
	volatile char *p = NULL;

	if (arg) {
		volatile char inner[32];

		inner[0] = 1;
		p = inner;
		go_home();
	}
	go_home();
	*p = 2;
	return arg;
}

/* Rule S1 broken: from the next context the address leads elsewhere. */
static char *lent;

static struct tuck_ctx *lend(void *arg)
{
	char buf[4096];

	lent = opaque(buf);
	go_home();
	return arg;
}

static struct tuck_ctx *use_lent(void *arg)
{
	char a[32], b[32], c[32];

	opaque(a);
	opaque(b);
	opaque(c);
	memset(lent, 1, 4096);
	return arg;
}

/* -- and none -- */

/* Also over what a call has left below. */
static struct tuck_ctx *write_all(void *arg)
{
	char large[8192], small[10];

	for (;;) {
		memset(opaque(large), 1, sizeof(large));
		memset(opaque(small), 2, sizeof(small));
		go_home();
	}
	return arg;
}

/* For all that compilers know it returns: else they clear the poison. */
static void (*volatile leave)(struct tuck_ctx *, void *) = tuck_ctx_leave;

static struct tuck_ctx *leave_from_frame(void *arg)
{
	char buf[32];

	opaque(buf);
	leave(arg, NULL);
	return arg;
}

/* Its address is on this context's stack only. */
static bool lose;

static struct tuck_ctx *hold_block(void *arg)
{
	char *volatile block = malloc(100);

	if (lose)
		block = NULL;
	for (;;) {
		opaque(block);
		go_home();
	}
	return arg;
}

/* -- who runs them -- */

/* The other one lies where the user of that kind lay. */
static __attribute__((noinline)) void run_on(enum kind kind, tuck_ctx_fn *fn,
					     tuck_ctx_fn *of_other)
{
	const struct tuck_config one = { .stack_slots = 1 };

	tuck_config_set(&one);
	home = tuck_ctx_self();
	init(&user, kind);
	init(&other, kind);
	start(&user, fn, home);
	start(&other, of_other, home);
	CHECK_EQ(state_of(&user), TUCK_CTX_TUCKED);
	for (int i = 0; i < 3; i++) {
		if (suspended(&user))
			pass(&user, NULL);
		if (suspended(&other))
			pass(&other, NULL);
	}
}

/* The other one begins where the user's frames were, which are gone. */
static void run_after(enum kind kind, tuck_ctx_fn *fn)
{
	home = tuck_ctx_self();
	for (int i = 0; i < 3; i++) {
		init(&user, kind);
		init(&other, kind);
		start(&user, fn, home);
		fini(&user);
		start(&other, write_all, home);
		pass(&other, NULL);
		fini(&other);
	}
}

/* Each kind in a child of its own. */
static void finds(const char *bug, tuck_ctx_fn *fn, tuck_ctx_fn *of_other)
{
	for (enum kind kind = 0; kind < KINDS; kind++)
		CHECK_DIES(1, bug, run_on(kind, fn, of_other););
}

static void finds_nothing(tuck_ctx_fn *fn, tuck_ctx_fn *of_other)
{
	for (enum kind kind = 0; kind < KINDS; kind++)
		CHECK_DIES(0, "", run_on(kind, fn, of_other););
}

TEST(no_false_report)
{
	needs_asan();
	at = 31;
	finds_nothing(overflow_after_resume, write_all);
	finds_nothing(overflow_in_fresh_frame, write_all);
	finds_nothing(write_all, overflow_in_fresh_frame);
	finds_nothing(write_all, write_all);
}

TEST(no_false_report_where_frames_were)
{
	needs_asan();
	for (enum kind kind = 0; kind < KINDS; kind++) {
		CHECK_DIES(0, "", run_after(kind, lend););
		CHECK_DIES(0, "", run_after(kind, leave_from_frame););
	}
}

#define OVERFLOW "AddressSanitizer: stack-buffer-overflow"

TEST(overflow_of_a_resumed_frame_is_found)
{
	needs_asan();
	at = 32;
	finds(OVERFLOW, overflow_after_resume, write_all);
}

TEST(overflow_of_a_fresh_frame_is_found)
{
	needs_asan();
	at = 32;
	finds(OVERFLOW, overflow_in_fresh_frame, write_all);
}

TEST(use_after_scope_is_found)
{
	needs_asan();
	finds("AddressSanitizer: stack-use-after-scope", use_after_scope,
	      write_all);
}

TEST(use_of_a_tucked_contexts_stack_is_found)
{
	needs_real_stack();
	finds("AddressSanitizer: stack-buffer-", lend, use_lent);
}

TEST(a_block_that_a_tucked_stack_refers_to_is_no_leak)
{
	needs_real_stack();
	finds_nothing(hold_block, write_all);
}

TEST(a_block_that_nobody_refers_to_is_a_leak)
{
	needs_real_stack();
	lose = true;
	finds("detected memory leaks", hold_block, write_all);
}
