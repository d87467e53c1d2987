/* SPDX-License-Identifier: MIT */
/* What tests of contexts have in common: a stack of each kind. */
#ifndef STACKS_H
#define STACKS_H

#include <pthread.h>
#include <stdint.h>
#include <tuck/base.h>
#include <tuck/ctx.h>

#include "check.h"

enum kind { SLOT, NATIVE, NEW, FROM, KINDS };

#define STACK_BYTES ((size_t)1 << 20)

/* As unwinders give it. */
#ifdef __thumb__
#define PC_BITS (~(uintptr_t)1)		/* unwinders leave Thumb's out */
#else
#define PC_BITS (~(uintptr_t)0)
#endif
#define RETURN_ADDRESS() \
	((void *)((uintptr_t)__builtin_return_address(0) & PC_BITS))

static struct tuck_stack *new_stack;	/* all of a kind share one */
static struct tuck_stack *from_stack;
static char *from_memory;

static inline struct tuck_stack *stack_of(enum kind kind)
{
	if (kind == NEW && !new_stack)
		CHECK((new_stack = tuck_stack_new(STACK_BYTES)) != NULL);
	if (kind == FROM && !from_stack) {
		from_memory = (char *)malloc(STACK_BYTES);
		CHECK(from_memory);
		from_stack = tuck_stack_from(from_memory, STACK_BYTES);
		CHECK(from_stack);
	}
	return kind == NATIVE ? tuck_stack_native() :
	       kind == NEW    ? new_stack :
	       kind == FROM   ? from_stack :
				NULL;
}

/* Nobody holds them any more. */
static inline void free_stacks(void)
{
	CHECK_EQ(tuck_stack_free(new_stack), 0);
	CHECK_EQ(tuck_stack_free(from_stack), 0);
	free(from_memory);
	new_stack = from_stack = NULL;
	from_memory = NULL;
}

static inline void init(struct tuck_ctx *ctx, enum kind kind)
{
	CHECK_EQ(tuck_ctx_init(ctx, stack_of(kind), NULL), 0);
}

static inline void start(struct tuck_ctx *ctx, tuck_ctx_fn *fn, void *arg)
{
	CHECK_EQ(tuck_ctx_start(ctx, fn, arg, NULL), 0);
}

static inline void fini(struct tuck_ctx *ctx)
{
	CHECK_EQ(tuck_ctx_fini(ctx), 0);
}

/* What the switch back brings. */
static inline void *pass(struct tuck_ctx *to, void *value)
{
	void *got = &got;

	CHECK_EQ(tuck_ctx_switch(to, value, &got), 0);
	return got;
}

static inline struct tuck_ctx_info info_of(const struct tuck_ctx *ctx)
{
	struct tuck_ctx_info info;

	CHECK_EQ(tuck_ctx_info(ctx, &info), 0);
	return info;
}

static inline enum tuck_ctx_state state_of(const struct tuck_ctx *ctx)
{
	return info_of(ctx).state;
}

static inline int suspended(const struct tuck_ctx *ctx)
{
	return state_of(ctx) == TUCK_CTX_RESIDENT ||
	       state_of(ctx) == TUCK_CTX_TUCKED;
}

static inline void on_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, fn, arg), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static inline unsigned char byte_of(uint32_t seed, size_t i)
{
	return (unsigned char)(seed * 31 + i * 7 + (i >> 8));
}

static inline void fill(volatile unsigned char *p, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = byte_of(seed, i);
}

static inline void verify(const volatile unsigned char *p, size_t n,
			  uint32_t seed)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != byte_of(seed, i))
			check_fail(CHECK_AT, "byte %zu of %zu: seed %u", i, n,
				   seed);
}

#endif
