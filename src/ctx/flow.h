/* SPDX-License-Identifier: MIT */
/* The contexts of ctx.h: what is in a struct tuck_ctx, and its thread. */
#ifndef TUCK__FLOW_H
#define TUCK__FLOW_H

#include <tuck/ctx.h>

#include "ctx/ctx.h"

/* In the caller's struct tuck_ctx. */
struct tuck__flow {
	struct tuck__ctx ctx;
	struct tuck__thread *owner;	/* only if it is the thread number */
	uint64_t number;
	uint64_t alive;			/* number, from start to end; or 0 */
	void **ret_value;		/* where it wants what it gets */
	struct tuck__stack *stack;	/* NULL: a slot */
	char *base;			/* as it was asked for */
	tuck_ctx_fn *fn;
	void *arg;
	const char *name;
	void (*call)(void *);		/* made before it goes on, */
	void *call_arg;			/* if its context is flagged so */
	uint64_t since;			/* points kept before it started */
};

_Static_assert(sizeof(struct tuck__flow) <= sizeof(struct tuck_ctx),
	       "ctx.h leaves room for it");

/* A thread that uses contexts. */
struct tuck__thread {
	struct tuck__cache cache;
	struct tuck__flow *running;
	struct tuck__flow main;
	struct tuck__link stacks;	/* that the program has made, */
	struct tuck__link freed;	/* and given back, the last one last */
	uint32_t freed_n;
	uint64_t number;		/* never another thread's */
	bool sigmask;			/* travels: ucontext.h */
	uint64_t points;		/* kept so far */
};

static inline struct tuck__flow *tuck__flow(const struct tuck_ctx *ctx)
{
	return (struct tuck__flow *)(uintptr_t)ctx;
}

static inline struct tuck_ctx *tuck__public(struct tuck__flow *f)
{
	return (struct tuck_ctx *)(void *)f;
}

/* Whether its bytes may lie anywhere, and nobody moves them. */
static inline bool tuck__segmented(const struct tuck__flow *f)
{
	return f->stack && f->stack->kind == TUCK__STACK_SEGMENTED;
}

/* The calling thread's; NULL without memory. */
struct tuck__thread *tuck__thread(void);

/* Whether ctx is one of the calling thread's: 0 or a negative error. */
int tuck__flow_check(const struct tuck_ctx *ctx);

/* The same, and it is suspended. */
int tuck__flow_check_suspended(const struct tuck_ctx *ctx);

/* Let f, which is not alive, begin with fn(arg) when it is switched to. */
int tuck__flow_admit(struct tuck__flow *f, tuck_ctx_fn *fn, void *arg);

/* The same, and go there; a failure leaves it as it was. */
int tuck__flow_start(struct tuck__flow *f, tuck_ctx_fn *fn, void *arg,
		     void **ret_value);

/* Suspend the running one and go on with f, which is alive. */
int tuck__flow_go(struct tuck__thread *th, struct tuck__flow *f, void *value,
		  void **ret_value);

#endif
