/* SPDX-License-Identifier: MIT */
/*
 * AddressSanitizer still finds real bugs on a stack that was tucked away and
 * put back (rule S10): each of these is planted, and must end the process.
 */
#include <stdlib.h>
#include <tuck.h>

#include "base/sanitize.h"
#include "check.h"

static void other(void *arg)
{
	(void)arg;
	for (;;)
		tuck_yield();
}

/* So that no compiler, and no check of array bounds, sees the bug. */
static char *opaque(char *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
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

static void share_a_slot(void (*fn)(void *), void *arg)
{
	const struct tuck_config one_slot = { .stack_slots = 1 };
	tuck_id id;

	tuck_config_set(&one_slot);
	id = tuck_go(fn, arg);
	tuck_go(other, NULL);
	tuck_join(id, tuck_after(TUCK_SEC(5)));
	exit(0);
}

static void needs_asan(void)
{
	if (!TUCK__ASAN)
		SKIP("not built with AddressSanitizer");
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
