/* SPDX-License-Identifier: MIT */
/* POSIX's names for the calls of ucontext.h, with glibc's header after it. */
#include <errno.h>
#define TUCK_UCONTEXT_NAMES
#include <tuck/ucontext.h>
#include <ucontext.h>

#include "check.h"

static char stack[65536] __attribute__((aligned(16)));
static struct ucontext_t here;	/* by the tag, too */
static ucontext_t there, never;
static int steps;

static void step(void)
{
	steps++;
	CHECK_EQ(swapcontext(&there, &here), 0);
	steps++;
}

static void make(size_t bytes)
{
	CHECK_EQ(getcontext(&there), 0);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = bytes;
	there.uc_link = &here;
	makecontext(&there, step, 0);
}

TEST(the_names_are_those_of_tuck)
{
	make(sizeof(stack));
	errno = 0;
	CHECK_EQ(swapcontext(&here, &there), 0);
	CHECK_EQ(steps, 1);
	CHECK_EQ(swapcontext(&here, &there), 0);
	CHECK_EQ(steps, 2);
	CHECK_EQ(errno, 0);
}

TEST(names_are_functions)
{
	int (*swap)(ucontext_t *, const ucontext_t *) = swapcontext;
	struct {
		int (*setcontext)(const ucontext_t *);
	} ops = { .setcontext = setcontext };

	make(sizeof(stack));
	CHECK_EQ(swap(&here, &there), 0);
	CHECK_EQ(steps, 1);
	CHECK_EQ(ops.setcontext(&never), -1);
}

TEST(failures_are_told_as_posix_wants)
{
	errno = 0;
	CHECK_EQ(setcontext(&never), -1);
	CHECK_EQ(errno, EINVAL);
	make(16);
	errno = 0;
	CHECK_EQ(swapcontext(&here, &there), -1);
	CHECK_EQ(errno, EINVAL);
	errno = 0;
	CHECK_EQ(getcontext(NULL), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(steps, 0);
}
