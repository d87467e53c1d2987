/* SPDX-License-Identifier: MIT */
/* What all parts do about a fork(2), in the order of fork.h. */
#include "base/fork.h"

struct tuck__at_fork tuck__at_fork[TUCK__FORK_PARTS];
uint32_t tuck__forks;

static void call(void (*fn)(void))
{
	if (fn)
		fn();
}

static void before(void)
{
	for (int i = 0; i < TUCK__FORK_PARTS; i++)
		call(tuck__at_fork[i].lock);
}

static void in_parent(void)
{
	for (int i = TUCK__FORK_PARTS - 1; i >= 0; i--)
		call(tuck__at_fork[i].unlock);
}

static void in_child(void)
{
	tuck__forks++;
	for (int i = TUCK__FORK_PARTS - 1; i >= 0; i--) {
		call(tuck__at_fork[i].in_child);
		call(tuck__at_fork[i].unlock);
	}
}

/* Where there is no memory for it at the program's start, it is left out. */
__attribute__((__constructor__)) static void watch(void)
{
	pthread_atfork(before, in_parent, in_child);
}
