/* SPDX-License-Identifier: MIT */
/*
 * Contexts on shared stacks: the layer's contract for those above it.
 * ctx.c tells how it works and states the rules S1 to S10.
 */
#ifndef TUCK__CTX_H
#define TUCK__CTX_H

#include <stddef.h>
#include <stdint.h>
#include <tuck/base.h>

#include "arch/arch.h"
#include "base/check.h"
#include "base/list.h"
#include "ctx/annotate.h"
#include "ctx/pool.h"

enum {
	TUCK__CTX_ABSENT = 1,	/* not on top of its stack's chain */
	TUCK__CTX_SHARED = 2,	/* others live on its stack: reserve */
	TUCK__CTX_NEW = 4,	/* has not started */
	TUCK__CTX_LOW = 8,	/* base is chosen when it starts: as low */
				/* as what lies on its stack then */
	TUCK__CTX_PROMISED = 16, /* gets a slot when it starts */
	TUCK__CTX_CALL = 32,	/* calls host->called first when it runs; */
				/* ABSENT too, so that switches see it */
	TUCK__CTX_ATOMIC = 64,	/* the owner's, not used here */
	TUCK__CTX_TICKED = 128	/* the owner's too */
};

/*
 * A suspended flow of control. Fields of a switch between residents come
 * first; the task layer puts 24 bytes before them to fill a cache line.
 */
struct tuck__ctx {
	union {
		void *sp;		/* while suspended */
		void (*fn)(void *);	/* before it starts */
	};
	uint8_t flags;
	uint8_t mark;			/* the owner's, not used here */
	uint16_t pages;			/* of stack below base; 65535: any */
	int32_t err;			/* errno while suspended */
	char *base;			/* its bytes are [sp, base) */
	struct tuck__stack *stack;	/* NULL: a slot, when it starts */
	union {
		char *slice;		/* block for its bytes, or NULL */
		void *arg;		/* before it starts */
	};
	struct tuck__ctx *above;	/* next in the chain: larger base */
	uint32_t tucked;		/* bytes from sp up that lie in slice */
	uint32_t slice_class;
	uint16_t hole_from, hole_to;	/* below base, in units of 16 bytes */
	uint32_t note;			/* the owner's, not used here */
	struct tuck__annotated annotated;
};

enum tuck__stack_kind {
	TUCK__STACK_NATIVE,	/* the thread's own */
	TUCK__STACK_SLOT,	/* of the pool */
	TUCK__STACK_OWN,	/* goes with the one context that has it */
	TUCK__STACK_FREE,	/* the program's to give back */
	TUCK__STACK_BORROWED,	/* in the program's memory */
	TUCK__STACK_SEGMENTED,	/* the same, and goes on elsewhere */
};

#define TUCK__STACK_MIN 1024u	/* bytes of stack below a base */
#define TUCK__STACK_PAD 512u	/* above each base: unwinders look there */

/* A stretch of memory that contexts run on, from base downwards. */
struct tuck__stack {
	char *limit, *base;
	struct tuck__ctx *top;	/* chain of those with bytes here, */
				/* smallest base first */
	char *reach;		/* largest base of those who came second */
				/* or later: others are tucked up to here */
	uint32_t users;		/* contexts that have their addresses here */
	uint32_t place;		/* in cache.open, from 1; 0: not open */
	uint32_t traffic;	/* how often a slice moved, fading */
	enum tuck__stack_kind kind;
	size_t guard;		/* bytes below limit that fault */
	union {
		struct tuck__stack *next_vacant;
		struct tuck__link of_thread;	/* those of ctx.h */
	};
	struct tuck__cache *owner;
	uint32_t holders;	/* contexts of ctx.h made for it */
	struct tuck__annotated_stack annotated;
};

struct tuck__cache;

/*
 * What the owner of the contexts does for this layer: the host hook.
 * - stay: from could not be tucked away for want of memory, so it runs on
 *   instead of to; returns what its switch returns.
 * - ended: the running context's fn has returned; it must leave.
 * - called: runs as if called from where ctx waits, on its stack; when it
 *   returns, ctx goes on. It may unwind ctx instead, or throw.
 * - switching: ctx is about to be suspended; called where cache.watched.
 * - running: the context that runs, and who that is, for a message; called
 *   from a signal handler.
 */
struct tuck__host {
	int (*stay)(struct tuck__ctx *from, struct tuck__ctx *to);
	void (*ended)(void);
	void (*called)(struct tuck__ctx *ctx);
	void (*switching)(struct tuck__ctx *ctx);
	const struct tuck__ctx *(*running)(const struct tuck__cache *c,
					   char *ret_who, size_t n);
};

/* C++ keeps these per thread: Itanium ABI, section 2.2.2. */
struct tuck__eh {
	void *caught;
	unsigned int uncaught;
#if defined(__arm__)
	void *propagating;	/* of its own unwinder's ABI */
#endif
};

/* cxx.c: the calling thread's; NULL without a C++ runtime. */
struct tuck__eh *tuck__cxx_globals(void);

/* One OS thread's stacks and slices: a cache of stacks. */
struct tuck__cache {
	int *err;			/* the thread's errno */
	struct tuck__eh *eh;		/* its C++ exception globals */
	struct tuck__eh no_cxx;		/* in their place, always zero */
	const struct tuck__host *host;
	bool watched;			/* its switches, by the host */
	struct tuck__ctx *leaving;	/* in a slow switch: who leaves, */
	int value;			/* and what the other one gets */
	void *dead_sp;			/* of the context that ended last */
	char *dead_base;
	struct tuck__stack *doomed;	/* not a slot, and its user ended */
	struct tuck__stack native;	/* the thread's own stack */
	struct tuck__cache *next_here;	/* of this thread */

	char *region;			/* of all slots; NULL: none yet */
	size_t region_bytes;
	size_t slot_bytes, guard_bytes;
	struct tuck__stack *slots;
	uint32_t slots_made, slots_max;
	uint32_t vacant;		/* slots nobody lives on */
	uint32_t promised;		/* admitted contexts without a stack */
	struct tuck__stack *vacant_list;
	uint32_t *open;			/* slots that take further users */
	uint32_t open_n;
	uint32_t hand, dice;
	struct tuck__slice_pool slices;
	struct tuck__fibers fibers;

	uint64_t started, copied_switches, copied_bytes;
};

void tuck__cache_init(struct tuck__cache *c, const struct tuck__host *host,
		      const struct tuck_config *config);
void tuck__cache_fini(struct tuck__cache *c);

/* The flow that runs now, on the thread's own stack. */
void tuck__ctx_init_native(struct tuck__cache *c, struct tuck__ctx *ctx);

/* One that never runs, and holds nothing. */
void tuck__ctx_init_none(struct tuck__ctx *ctx);

/*
 * A context that will run fn(arg), then after(), on a slot. Admitting it may
 * fail with -ENOMEM; starting it cannot, because whoever has to make room
 * then has a block reserved. running is the context that runs now.
 */
int tuck__ctx_admit(struct tuck__cache *c, struct tuck__ctx *ctx,
		    struct tuck__ctx *running, void (*fn)(void *), void *arg);

/* The same on a stack of its own. */
int tuck__ctx_admit_own(struct tuck__cache *c, struct tuck__ctx *ctx,
			size_t stack_bytes, void (*fn)(void *), void *arg);

/*
 * The same on a stack that others may share, below base; NULL: below what
 * lies there when it starts.
 */
int tuck__ctx_admit_on(struct tuck__cache *c, struct tuck__ctx *ctx,
		       struct tuck__ctx *running, struct tuck__stack *stack,
		       char *base, void (*fn)(void *), void *arg);

/* Give back all that a context holds; it must not be running. */
void tuck__ctx_retire(struct tuck__cache *c, struct tuck__ctx *ctx);

/*
 * Give pages of stacks back to the system, when there is time for it: tuck
 * away whoever lies on an open slot, and drop what is below the bytes of the
 * others. running is spared.
 */
void tuck__cache_trim(struct tuck__cache *c, struct tuck__ctx *running);

/*
 * Where the byte at address p of its stack lies now (rule S1); NULL for one
 * in the hole of a tucked context. Reading there gives zeros, writing does
 * nothing.
 */
char *tuck__ctx_addr(const struct tuck__ctx *ctx, const void *p);

/* Copy from or to memory as a suspended context would see it. */
void tuck__ctx_read(const struct tuck__ctx *ctx, void *to, const void *from,
		    size_t n);
void tuck__ctx_write(const struct tuck__ctx *ctx, void *to, const void *from,
		     size_t n);

/*
 * Declare that nobody needs the contents of [p, p + n) until the context
 * runs again: its slice leaves them out. Ends with tuck__ctx_unhole().
 */
void tuck__ctx_hole(struct tuck__ctx *ctx, const void *p, size_t n);

static inline void tuck__ctx_unhole(struct tuck__ctx *ctx)
{
	ctx->hole_from = ctx->hole_to = 0;
}

/*
 * Have a suspended context call host->called() before it goes on. Nothing is
 * allocated: the call is laid on its stack when it is resident.
 */
static inline void tuck__ctx_call(struct tuck__ctx *ctx)
{
	ctx->flags |= TUCK__CTX_CALL | TUCK__CTX_ABSENT;
}

/* Take that back, for the context that runs. */
static inline void tuck__ctx_uncall(struct tuck__ctx *ctx)
{
	if (ctx->flags & TUCK__CTX_CALL)
		ctx->flags &= (uint8_t) ~(TUCK__CTX_CALL | TUCK__CTX_ABSENT);
}

static inline bool tuck__ctx_started(const struct tuck__ctx *ctx)
{
	return !(ctx->flags & TUCK__CTX_NEW);
}

/* Whether ctx, which runs, is where its bytes are, as far as is known. */
static inline bool tuck__ctx_in_place(const struct tuck__ctx *ctx)
{
	uintptr_t sp = tuck__arch_sp();

	return sp >= (uintptr_t)ctx->stack->limit && sp <= (uintptr_t)ctx->base;
}

/* The same of one that is not: its stack may go on elsewhere, or have grown. */
bool tuck__ctx_has_moved(const struct tuck__ctx *ctx);

/*
 * End the process unless ctx, which runs, does so on its own stack: a signal
 * handler on an alternate stack must not switch (rule S7).
 */
void tuck__ctx_check_place(const struct tuck__ctx *ctx);

/* What a switch checks ctx for; again when cache.watched has changed. */
void tuck__ctx_watch(struct tuck__ctx *ctx);

/* Bytes of stack that a tucked context's slice holds. */
size_t tuck__ctx_slice_bytes(const struct tuck__ctx *ctx);

/* The slot or stack of ctx whose guard holds address p. */
bool tuck__ctx_in_guard(const struct tuck__ctx *ctx, const void *p);

int tuck__ctx_switch_slow(struct tuck__cache *c, struct tuck__ctx *from,
			  struct tuck__ctx *to, int value);

/*
 * Suspend from and run to, whose own call of this returns value. Returns
 * what is passed when from runs again; or, at once, what host->stay() says
 * if from had to be tucked and could not.
 */
static inline int tuck__ctx_switch(struct tuck__cache *c,
				   struct tuck__ctx *from, struct tuck__ctx *to,
				   int value)
{
#if TUCK__CTX_PLAIN
	uintptr_t deep = ((uintptr_t)from->base - tuck__arch_sp()) >> 12;

	if (tuck__likely(!((from->flags & TUCK__CTX_SHARED) |
			   (to->flags & TUCK__CTX_ABSENT)) &&
			 deep < from->pages &&
			 !((uintptr_t)c->eh->caught | c->eh->uncaught))) {
		from->err = *c->err;
		*c->err = to->err;
		return tuck__arch_switch(&from->sp, to->sp, value);
	}
#endif
	return tuck__ctx_switch_slow(c, from, to, value);
}

/*
 * Run to and never come back to the running context, which was retired and
 * had this stack and base.
 */
tuck__noreturn void tuck__ctx_leave(struct tuck__cache *c,
				    struct tuck__stack *stack, char *base,
				    struct tuck__ctx *to, int value);

/* -- stacks.c -- */

void tuck__stack_find_native(struct tuck__cache *c);

/* NULL without memory. */
struct tuck__stack *tuck__stack_new(struct tuck__cache *c, size_t bytes);
void tuck__stack_free(struct tuck__stack *s);

/* The same for one that s describes: 0 or -ENOMEM. */
int tuck__stack_map(struct tuck__cache *c, struct tuck__stack *s, size_t bytes);
void tuck__stack_unmap(struct tuck__stack *s);

/* -- overflow.c -- */

/* Name the running context of c when the thread overflows its stack. */
void tuck__overflow_watch(struct tuck__cache *c);
void tuck__overflow_unwatch(struct tuck__cache *c);

#endif
