/* SPDX-License-Identifier: MIT */
/*
 * On a CPU that keeps return addresses on a shadow stack, a thread is refused
 * before anything is tucked away. Few machines have one, so the file that
 * looks for it is compiled here with a CPU that says so.
 */
#include "arch/arch.h"
#include "check.h"

static bool has_shadow_stack;

#define tuck__arch_has_shadow_stack() (has_shadow_stack)
#include "ctx/ctx.c"

#include <tuck.h>

static void go_nowhere(void *arg)
{
	(void)arg;
}

#define WHY "shadow stack, which cannot be tucked away"

TEST(a_shadow_stack_is_refused)
{
	has_shadow_stack = true;
	CHECK_DIES(-SIGABRT, WHY, tuck_ctx_self(););
	CHECK_DIES(-SIGABRT, WHY, tuck_stack_native(););
	CHECK_DIES(-SIGABRT, WHY, tuck_go(go_nowhere, NULL););
}

TEST(without_one_contexts_and_tasklets_run)
{
	CHECK(tuck_ctx_self());
	CHECK_EQ(tuck_join(tuck_go(go_nowhere, NULL), TUCK_FOREVER), 0);
}
