/* SPDX-License-Identifier: MIT */
/* Two tasklets with different frames, for gdb to look at; see steps.py. */
#include <tuck.h>

/* The asm keeps a last call from becoming a jump. */
#define KEEP_FRAME() __asm__ volatile("")

static __attribute__((noinline)) void stop_here(void)
{
	KEEP_FRAME();
}

static __attribute__((noinline)) void inner(int rounds)
{
	while (rounds-- > 0) {
		stop_here();
		tuck_yield();
	}
	KEEP_FRAME();
}

static __attribute__((noinline)) void outer(int rounds)
{
	inner(rounds);
	KEEP_FRAME();
}

static void first(void *arg)
{
	(void)arg;
	outer(4);
	KEEP_FRAME();
}

static void second(void *arg)
{
	(void)arg;
	inner(4);
	KEEP_FRAME();
}

int main(void)
{
	tuck_id a = tuck_go(first, NULL), b = tuck_go(second, NULL);

	tuck_join(a, TUCK_FOREVER);
	tuck_join(b, TUCK_FOREVER);
	return 0;
}
