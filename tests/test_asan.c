/* SPDX-License-Identifier: MIT */
/*
 * AddressSanitizer still finds real bugs on a stack that was tucked away and
 * put back (rule S10): each of these is planted, and must end the process.
 * LeakSanitizer, which comes with it, looks into slices.
 */
#include <stdlib.h>
#include <string.h>
#include <tuck.h>

#include "planted.h"

static void other(void *arg)
{
	(void)arg;
	for (;;)
		tuck_yield();
}

static void overflow_after_resume(void *arg)
{
	char buf[32], *p = opaque(buf);

	tuck_yield();		/* tucked away and back, shadow and all */
	p[(intptr_t)arg] = 1;
}

static void overflow_in_fresh_frame(void *arg)
{
	char buf[32];

	tuck_yield();
	opaque(buf)[(intptr_t)arg] = 1;
}

static void use_after_scope(void *arg)
{
	volatile char *p = NULL;

	if (arg) {
		volatile char inner[32];

		inner[0] = 1;
		p = inner;
	}
	tuck_yield();
	*p = 2;
}

/* Rule S1 broken: from the next tasklet the address leads elsewhere. */
static char *lent;

static void lend(void *arg)
{
	char buf[4096];

	lent = opaque(buf);
	(void)arg;
	tuck_yield();
}

static void use_lent(void *arg)
{
	char a[32], b[32], c[32];

	(void)arg;
	opaque(a);
	opaque(b);
	opaque(c);
	memset(lent, 1, 4096);
}

static __attribute__((noinline)) void scrub(void)
{
	char pad[8192];

	memset(opaque(pad), 1, sizeof(pad));
}

static void scrub_for_ever(void *arg)
{
	(void)arg;
	for (;;) {
		scrub();
		tuck_yield();
	}
}

/* A block whose address nobody else has, until the process ends. */
static void hold_block(void *arg)
{
	char *volatile block = malloc(100);

	if (arg)
		block = NULL;
	for (;;) {
		opaque(block);
		tuck_yield();
	}
}

static void share_a_slot_with(void (*fn)(void *), void *arg,
			      void (*others)(void *))
{
	const struct tuck_config one_slot = { .stack_slots = 1 };
	tuck_id id;

	tuck_config_set(&one_slot);
	id = tuck_go(fn, arg);
	tuck_go(others, NULL);
	tuck_join(id, tuck_after(TUCK_MS(500)));
	exit(0);
}

static void share_a_slot(void (*fn)(void *), void *arg)
{
	share_a_slot_with(fn, arg, other);
}

TEST(no_false_report)
{
	needs_asan();
	CHECK_DIES(0, "", {
		share_a_slot(overflow_after_resume, (void *)(intptr_t)31);
	});
}

TEST(overflow_of_a_resumed_frame_is_found)
{
	needs_asan();
	CHECK_DIES(1, "stack-buffer-overflow", {
		share_a_slot(overflow_after_resume, (void *)(intptr_t)32);
	});
}

TEST(overflow_of_a_fresh_frame_is_found)
{
	needs_asan();
	CHECK_DIES(1, "stack-buffer-overflow", {
		share_a_slot(overflow_in_fresh_frame, (void *)(intptr_t)32);
	});
}

TEST(use_after_scope_is_found)
{
	needs_asan();
	CHECK_DIES(1, "stack-use-after-scope",
		   { share_a_slot(use_after_scope, (void *)(intptr_t)1); });
}

TEST(use_of_another_tasklets_stack_is_found)
{
	needs_real_stack();
	if (getenv("TUCK_SEED") || getenv("TUCK_POLICY"))
		SKIP("the order is a policy's");
	CHECK_DIES(1, "AddressSanitizer: stack-buffer-",
		   { share_a_slot_with(lend, NULL, use_lent); });
}

TEST(a_block_that_a_tucked_stack_refers_to_is_no_leak)
{
	needs_real_stack();
	CHECK_DIES(0, "",
		   { share_a_slot_with(hold_block, NULL, scrub_for_ever); });
}

TEST(a_block_that_nobody_refers_to_is_a_leak)
{
	needs_real_stack();
	CHECK_DIES(1, "detected memory leaks", {
		share_a_slot_with(hold_block, (void *)(intptr_t)1,
				  scrub_for_ever);
	});
}
