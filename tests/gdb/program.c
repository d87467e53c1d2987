/* SPDX-License-Identifier: MIT */
/*
 * Two tasklets with different frames, then contexts on each kind of stack, for
 * gdb to look at; see steps.py.
 */
#include <stdlib.h>
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

static struct tuck_ctx *in_context(void *home)
{
	for (;;) {
		stop_here();
		tuck_ctx_switch(home, NULL, NULL);
	}
	return home;
}

/* Two on each: one is tucked away when the other runs. */
static __attribute__((noinline)) void run_contexts(struct tuck_stack *stack)
{
	static struct tuck_ctx one, other;
	struct tuck_ctx *home = tuck_ctx_self();

	tuck_ctx_init(&one, stack, NULL);
	tuck_ctx_init(&other, stack, NULL);
	tuck_ctx_start(&one, in_context, home, NULL);
	tuck_ctx_start(&other, in_context, home, NULL);
	tuck_ctx_switch(&one, NULL, NULL);
	tuck_ctx_fini(&one);
	tuck_ctx_fini(&other);
}

static __attribute__((noinline)) void contexts(void)
{
	const size_t bytes = 65536;

	run_contexts(NULL);
	run_contexts(tuck_stack_native());
	run_contexts(tuck_stack_new(bytes));
	run_contexts(tuck_stack_from(malloc(bytes), bytes));
}

int main(void)
{
	tuck_id a = tuck_go(first, NULL), b = tuck_go(second, NULL);

	tuck_join(a, TUCK_FOREVER);
	tuck_join(b, TUCK_FOREVER);
	contexts();
	return 0;
}
