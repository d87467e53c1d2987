/* SPDX-License-Identifier: MIT */
/*
 * Contexts whose stacks grow by segments: code compiled with -fsplit-stack
 * compares the stack pointer with a limit in each function's prologue, and
 * has libgcc give it another segment where it is too low. libgcc keeps the
 * limit and the list of segments per thread; here they travel with contexts.
 *
 * In a program with such code the calls below take the place of
 * tuck_ctx_start() and tuck_ctx_switch(), for contexts of every kind. One
 * whose stack does not grow calls tuck_split_none() first, the main context
 * too: libgcc has it grow after 16,000 bytes, and it must not switch there.
 *
 * All is in this header, since libgcc's part is linked into the program and
 * not into the library: compile with -fsplit-stack, link with it and with
 * -z now, since to find a shared library's function takes more stack than may
 * be left. What libgcc cannot do: it ends the process when there is no memory
 * for a segment. A function that calls others compiled without -fsplit-stack
 * has only 3.3 KB for them, unless gold links the program (-fuse-ld=gold),
 * which makes such functions ask for a megabyte. For x86 only, and neither
 * with sanitizers nor with link-time optimisation, which would split all of
 * the program. docs/contexts.md says what it costs.
 */
#ifndef TUCK_SPLIT_H
#define TUCK_SPLIT_H

#include <errno.h>
#include <stddef.h>
#include <tuck/ctx.h>

#ifdef __cplusplus
extern "C" {
#endif

/* libgcc's; no header has them. */
void *__splitstack_makecontext(size_t bytes, void *state[10],
			       size_t *ret_bytes);
void __splitstack_releasecontext(void *state[10]);
void __splitstack_getcontext(void *state[10]);
void __splitstack_setcontext(void *state[10]);

/* What a context on a growing stack has besides, in the caller's memory. */
struct tuck_split {
	void *state[10];		/* libgcc's account, at the start */
	struct tuck_stack *stack;
	tuck_ctx_fn *fn;
	void *arg;
};

/*
 * Not inlined, lest gold has the caller ask for a megabyte. TUCK_SPLIT_BARE:
 * nor does it itself, being called where that is not wanted or the limit is
 * another stack's.
 */
#define TUCK_SPLIT_CALL __attribute__((__noinline__, __unused__))
#define TUCK_SPLIT_BARE TUCK_SPLIT_CALL __attribute__((__no_split_stack__))

/*
 * Make a context with a stack of one segment of at least bytes; libgcc takes
 * no less than 16 KB. A failure leaves ctx untouched.
 * Switches: no. Errors: -ENOMEM.
 */
static int tuck_split_init(struct tuck_ctx *ctx, struct tuck_split *split,
			   size_t bytes) TUCK_SPLIT_CALL;

/*
 * Give back what such a context holds, all of its segments too.
 * Switches: no. Errors: as tuck_ctx_fini().
 */
static int tuck_split_fini(struct tuck_ctx *ctx,
			   struct tuck_split *split) TUCK_SPLIT_CALL;

/*
 * As tuck_ctx_start(), with split NULL for a context that was not made by
 * tuck_split_init().
 * Switches: always. Errors: as tuck_ctx_start().
 */
static int tuck_split_start(struct tuck_ctx *ctx, struct tuck_split *split,
			    tuck_ctx_fn *fn, void *arg,
			    void **ret_value) TUCK_SPLIT_CALL;

/*
 * As tuck_ctx_switch(), to any context.
 * Switches: always. Errors: as tuck_ctx_switch().
 */
static int tuck_split_switch(struct tuck_ctx *to, void *value,
			     void **ret_value) TUCK_SPLIT_BARE;

/*
 * From now on the running context's stack does not grow: code runs there as
 * if it were not compiled for it, and overflows end in the stack's guard. The
 * function that calls this, first of all, is compiled without -fsplit-stack
 * or has the attribute no_split_stack.
 * Switches: no. Errors: none.
 */
static void tuck_split_none(void) TUCK_SPLIT_BARE;

/* -- the implementation -- */

static int tuck_split_init(struct tuck_ctx *ctx, struct tuck_split *split,
			   size_t bytes)
{
	size_t got;
	void *segment = __splitstack_makecontext(bytes, split->state, &got);

	split->stack = tuck_stack_segmented(segment, got);
	if (split->stack && tuck_ctx_init(ctx, split->stack, NULL) == 0)
		return 0;
	tuck_stack_free(split->stack);
	__splitstack_releasecontext(split->state);
	return -ENOMEM;
}

static int tuck_split_fini(struct tuck_ctx *ctx, struct tuck_split *split)
{
	int r = tuck_ctx_fini(ctx);

	if (r < 0)
		return r;
	tuck_stack_free(split->stack);
	__splitstack_releasecontext(split->state);
	return 0;
}

/* Where a context begins whose stack grows. */
static struct tuck_ctx *tuck__split_enter(void *arg) TUCK_SPLIT_BARE;

static struct tuck_ctx *tuck__split_enter(void *arg)
{
	struct tuck_split *split = (struct tuck_split *)arg;

	__splitstack_setcontext(split->state);
	return split->fn(split->arg);
}

static int tuck_split_start(struct tuck_ctx *ctx, struct tuck_split *split,
			    tuck_ctx_fn *fn, void *arg, void **ret_value)
{
	void *mine[10];
	int r;

	if (split && fn) {
		split->fn = fn;
		split->arg = arg;
		fn = tuck__split_enter;
		arg = split;
	}
	__splitstack_getcontext(mine);
	r = tuck_ctx_start(ctx, fn, arg, ret_value);
	__splitstack_setcontext(mine);
	return r;
}

static int tuck_split_switch(struct tuck_ctx *to, void *value, void **ret_value)
{
	void *mine[10];
	int r;

	__splitstack_getcontext(mine);
	r = tuck_ctx_switch(to, value, ret_value);
	__splitstack_setcontext(mine);
	return r;
}

static void tuck_split_none(void)
{
	void *state[10] = { NULL };	/* no segments, and the limit 0 */

	__splitstack_setcontext(state);
}

#ifdef __cplusplus
}
#endif

#endif
