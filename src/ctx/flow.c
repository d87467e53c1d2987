/* SPDX-License-Identifier: MIT */
/*
 * Contexts without a scheduler: the calls of ctx.h that make them, run them
 * and end them.
 *
 * Invariants:
 * 1. Of a thread's contexts one is thread->running; each other that is alive
 *    is suspended.
 * 2. A flow is admitted to its stack by its start and retired by its end; in
 *    between it can be neither. So starting it may fail, and nothing else.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "base/mem.h"
#include "ctx/flow.h"

/* This many freed stacks are told from others before one is used again. */
#define FREED_MIN 16u

static __thread struct tuck__thread *here
	__attribute__((__tls_model__("initial-exec")));

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_ends;
static bool have_key;
static atomic_uint_fast64_t threads;

/* -- the host -- */

static struct tuck__flow *flow_of(const struct tuck__ctx *ctx)
{
	return (struct tuck__flow *)(uintptr_t)ctx;
}

static int stay(struct tuck__ctx *from, struct tuck__ctx *to)
{
	(void)to;
	here->running = flow_of(from);
	return -ENOMEM;
}

static void ended(void)
{
	tuck__fatal("a context's function was left without a successor");
}

static const struct tuck__ctx *running(const struct tuck__cache *c, char *who,
				       size_t n)
{
	const struct tuck__flow *f = here->running;

	(void)c;
	snprintf(who, n, "context %p \"%s\"", (const void *)f,
		 f->name	  ? f->name :
		 f == &here->main ? "main" :
				    "");
	return &f->ctx;
}

static void called(struct tuck__ctx *ctx)
{
	const struct tuck__flow *f = flow_of(ctx);

	f->call(f->call_arg);
}

static const struct tuck__host host = {
	.stay = stay, .ended = ended, .called = called, .running = running
};

/* -- threads -- */

static struct tuck__stack *first_of(const struct tuck__link *list)
{
	return tuck__container(list->next, struct tuck__stack, of_thread);
}

/* Its struct is kept, so that who names it later is told. */
static void free_stack(struct tuck__thread *th, struct tuck__stack *s)
{
	if (s->kind == TUCK__STACK_FREE)
		tuck__stack_unmap(s);
	else
		tuck__note_no_stack(&s->annotated);
	s->owner = NULL;
	tuck__link_remove(&s->of_thread);
	tuck__link_before(&th->freed, &s->of_thread);
	th->freed_n++;
}

static struct tuck__stack *make_stack(struct tuck__thread *th)
{
	struct tuck__stack *s;

	if (th->freed_n < FREED_MIN)
		return tuck__alloc(sizeof(*s));
	s = first_of(&th->freed);
	tuck__link_remove(&s->of_thread);
	th->freed_n--;
	return s;
}

static void on_thread_end(void *arg)
{
	struct tuck__thread *th = arg;

	while (!tuck__list_empty(&th->stacks))
		free_stack(th, first_of(&th->stacks));
	while (!tuck__list_empty(&th->freed)) {
		struct tuck__stack *s = first_of(&th->freed);

		tuck__link_remove(&s->of_thread);
		tuck__free(s);
	}
	tuck__cache_fini(&th->cache);
	here = NULL;
	tuck__free(th);
}

static void make_key(void)
{
	have_key = pthread_key_create(&thread_ends, on_thread_end) == 0;
}

static tuck__noinline struct tuck__thread *make_thread(void)
{
	struct tuck__thread *th = tuck__alloc(sizeof(*th));
	struct tuck_config config;

	pthread_once(&once, make_key);
	if (!th || !have_key || pthread_setspecific(thread_ends, th) != 0) {
		tuck__free(th);
		return NULL;
	}
	tuck__config_get(&config);
	tuck__cache_init(&th->cache, &host, &config);
	th->number = atomic_fetch_add(&threads, 1) + 1;
	tuck__link_init(&th->stacks);
	tuck__link_init(&th->freed);
	th->main.owner = th;
	th->main.number = th->main.alive = th->number;
	th->main.stack = &th->cache.native;
	th->running = &th->main;
	here = th;
	tuck__ctx_init_native(&th->cache, &th->main.ctx);
	return th;
}

struct tuck__thread *tuck__thread(void)
{
	return tuck__likely(here != NULL) ? here : make_thread();
}

struct tuck_ctx *tuck_ctx_self(void)
{
	struct tuck__thread *th = tuck__thread();

	return th ? tuck__public(th->running) : NULL;
}

int tuck__flow_check(const struct tuck_ctx *ctx)
{
	if (!ctx)
		return -EINVAL;
	return here && tuck__flow(ctx)->number == here->number ? 0 : -EXDEV;
}

int tuck__flow_check_suspended(const struct tuck_ctx *ctx)
{
	int r = tuck__flow_check(ctx);

	if (r < 0)
		return r;
	return tuck__flow(ctx)->alive && tuck__flow(ctx) != here->running ?
		       0 :
		       -EBUSY;
}

/* -- stacks -- */

static struct tuck_stack *public_stack(struct tuck__stack *s)
{
	return (struct tuck_stack *)(void *)s;
}

struct tuck_stack *tuck_stack_native(void)
{
	struct tuck__thread *th = tuck__thread();

	return th ? public_stack(&th->cache.native) : NULL;
}

struct tuck_stack *tuck_stack_new(size_t bytes)
{
	struct tuck__thread *th = tuck__thread();
	struct tuck__stack *s = th ? make_stack(th) : NULL;

	if (!s)
		return NULL;
	if (tuck__stack_map(&th->cache, s, bytes) < 0) {
		tuck__free(s);
		return NULL;
	}
	s->kind = TUCK__STACK_FREE;
	tuck__link_before(&th->stacks, &s->of_thread);
	return public_stack(s);
}

static struct tuck_stack *borrow(void *memory, size_t bytes,
				 enum tuck__stack_kind kind)
{
	struct tuck__thread *th = tuck__thread();
	uintptr_t base = (uintptr_t)memory + bytes;
	struct tuck__stack *s;

	TUCK__REQUIRE(memory && bytes >= TUCK__STACK_MIN, NULL);
	s = th ? make_stack(th) : NULL;
	if (!s)
		return NULL;
	*s = (struct tuck__stack){
		.owner = &th->cache,
		.kind = kind,
		.limit = memory,
		.base = (char *)(base & -(uintptr_t)TUCK__ARCH_ALIGN),
	};
	tuck__link_before(&th->stacks, &s->of_thread);
	tuck__note_stack(&s->annotated, s->limit, (char *)memory + bytes);
	return public_stack(s);
}

struct tuck_stack *tuck_stack_from(void *memory, size_t bytes)
{
	return borrow(memory, bytes, TUCK__STACK_BORROWED);
}

struct tuck_stack *tuck_stack_segmented(void *memory, size_t bytes)
{
	return borrow(memory, bytes, TUCK__STACK_SEGMENTED);
}

int tuck_stack_free(struct tuck_stack *stack)
{
	struct tuck__stack *s = (struct tuck__stack *)(void *)stack;

	if (!s)
		return 0;
	if (!here || s->owner != &here->cache)
		return -EXDEV;
	if (s->kind == TUCK__STACK_NATIVE)
		return -EINVAL;
	if (s->holders)
		return -EBUSY;
	free_stack(here, s);
	return 0;
}

/* -- making and ending contexts -- */

/* At the end of the native one lies what is not the program's. */
static bool base_valid(const struct tuck__stack *s, const char *base)
{
	return !base || (s && base >= s->limit + TUCK__STACK_MIN &&
			 base <= s->base - (s->kind == TUCK__STACK_NATIVE));
}

/* The base that is meant by one on s; NULL: to be found at the start. */
static char *base_on(const struct tuck__stack *s, char *base)
{
	if (s && !base && s->kind != TUCK__STACK_NATIVE)
		base = s->base;
	return (char *)((uintptr_t)base & -(uintptr_t)TUCK__ARCH_ALIGN);
}

/* On a stack that is no context's: it is a tasklet's, not the main one's. */
static bool in_tasklet(const struct tuck__thread *th)
{
	const struct tuck__ctx *self = &th->running->ctx;

	return !tuck__ctx_in_place(self) && !tuck__ctx_has_moved(self);
}

int tuck_ctx_init(struct tuck_ctx *ctx, struct tuck_stack *stack, void *base)
{
	struct tuck__thread *th = tuck__thread();
	struct tuck__stack *s = (struct tuck__stack *)(void *)stack;
	struct tuck__flow *f = tuck__flow(ctx);

	TUCK__REQUIRE(ctx, -EINVAL);
	if (!th)
		return -ENOMEM;
	if (s && s->owner != &th->cache)
		return -EXDEV;
	if (!base_valid(s, base))
		return -EINVAL;
	if (in_tasklet(th))
		return -EPERM;
	*f = (struct tuck__flow){ .owner = th,
				  .number = th->number,
				  .stack = s };
	f->base = base_on(s, base);
	f->ctx.flags = TUCK__CTX_NEW;
	if (s)
		s->holders++;
	return 0;
}

int tuck_ctx_set_base(struct tuck_ctx *ctx, void *base)
{
	struct tuck__flow *f = tuck__flow(ctx);
	int r = tuck__flow_check(ctx);

	if (r < 0)
		return r;
	if (f->alive)
		return -EBUSY;
	if (!base_valid(f->stack, base))
		return -EINVAL;
	f->base = base_on(f->stack, base);
	return 0;
}

int tuck_ctx_fini(struct tuck_ctx *ctx)
{
	struct tuck__flow *f = tuck__flow(ctx);
	int r;

	if (!ctx)
		return 0;
	r = tuck__flow_check(ctx);
	if (r < 0)
		return r;
	if (f == here->running || f == &here->main)
		return -EBUSY;
	if (f->alive)
		tuck__ctx_retire(&here->cache, &f->ctx);
	if (f->stack)
		f->stack->holders--;
	f->owner = NULL;
	f->number = f->alive = 0;
	return 0;
}

int tuck_ctx_set_name(struct tuck_ctx *ctx, const char *name)
{
	int r = tuck__flow_check(ctx);

	if (r == 0)
		tuck__flow(ctx)->name = name;
	return r;
}

/* -- running -- */

/* Why a switch to ctx cannot be. */
static tuck__noinline int refuse(const struct tuck_ctx *ctx)
{
	int r = tuck__flow_check(ctx);

	return r < 0 ? r : -ESRCH;
}

/*
 * The context that gets a value waits for it on its own stack, so it is put
 * there before the switch: then nothing is left to do after it, and the
 * switch returns straight to whoever called tuck_ctx_switch(). A return from
 * a function in between would be mispredicted, each time.
 */
static inline void deliver(struct tuck__flow *f, void *value)
{
	if (!f->ret_value)
		return;
	if (tuck__unlikely(f->ctx.flags & TUCK__CTX_ABSENT))
		tuck__ctx_write(&f->ctx, f->ret_value, &value, sizeof(value));
	else
		*f->ret_value = value;
}

/* Apart, for it needs a frame. */
static tuck__noinline int go_absent(struct tuck__thread *th,
				    struct tuck__flow *f, void *value)
{
	struct tuck__flow *self = th->running;

	deliver(f, value);
	th->running = f;
	return tuck__ctx_switch_slow(&th->cache, &self->ctx, &f->ctx, 0);
}

static inline int go(struct tuck__thread *th, struct tuck__flow *f, void *value,
		     void **ret_value)
{
	struct tuck__flow *self = th->running;

	self->ret_value = ret_value;
	if (tuck__unlikely(f->ctx.flags & TUCK__CTX_ABSENT))
		return go_absent(th, f, value);
	deliver(f, value);
	if (tuck__unlikely(f == self))
		return 0;
	th->running = f;
	return tuck__ctx_switch(&th->cache, &self->ctx, &f->ctx, 0);
}

int tuck__flow_go(struct tuck__thread *th, struct tuck__flow *f, void *value,
		  void **ret_value)
{
	return go(th, f, value, ret_value);
}

int tuck_ctx_switch(struct tuck_ctx *to, void *value, void **ret_value)
{
	struct tuck__thread *th = here;
	struct tuck__flow *f = tuck__flow(to);

	if (tuck__unlikely(!to || !th || f->alive != th->number))
		return refuse(to);
	return go(th, f, value, ret_value);
}

/* The first function of every context. */
static void run(void *arg)
{
	struct tuck__flow *self = arg;

	tuck_ctx_leave(self->fn(self->arg), NULL);
}

int tuck__flow_admit(struct tuck__flow *f, tuck_ctx_fn *fn, void *arg)
{
	struct tuck__cache *c = &here->cache;
	struct tuck__ctx *running = &here->running->ctx;
	int r;

	if (tuck__segmented(f) && f->stack->users)
		return -EBUSY;
	if (f->stack)
		r = tuck__ctx_admit_on(c, &f->ctx, running, f->stack, f->base,
				       run, f);
	else
		r = tuck__ctx_admit(c, &f->ctx, running, run, f);
	if (r < 0)
		return r;
	f->fn = fn;
	f->arg = arg;
	f->ret_value = NULL;
	f->since = here->points;
	f->alive = here->number;
	return 0;
}

int tuck__flow_start(struct tuck__flow *f, tuck_ctx_fn *fn, void *arg,
		     void **ret_value)
{
	tuck_ctx_fn *before = f->fn;
	int r = tuck__flow_admit(f, fn, arg);

	if (r < 0)
		return r;
	r = tuck__flow_go(here, f, NULL, ret_value);
	if (r < 0) {
		f->alive = 0;
		f->fn = before;
		tuck__ctx_retire(&here->cache, &f->ctx);
	}
	return r;
}

int tuck_ctx_start(struct tuck_ctx *ctx, tuck_ctx_fn *fn, void *arg,
		   void **ret_value)
{
	struct tuck__flow *f = tuck__flow(ctx);
	int r = tuck__flow_check(ctx);

	if (r < 0)
		return r;
	TUCK__REQUIRE(fn, -EINVAL);
	if (f->alive)
		return -EBUSY;
	return tuck__flow_start(f, fn, arg, ret_value);
}

void tuck_ctx_leave(struct tuck_ctx *to, void *value)
{
	struct tuck__thread *th = here;
	struct tuck__flow *self, *f = tuck__flow(to);
	struct tuck__stack *stack;
	char *base;

	if (!th || (self = th->running) == &th->main)
		tuck__fatal("a main context cannot be left for good");
	if (!to || f->alive != th->number || f == self)
		tuck__fatal("a context ended without a successor that waits: "
			    "it is NULL, itself, not started, ended, or "
			    "another thread's");
	stack = self->ctx.stack;
	base = self->ctx.base;
	self->alive = 0;
	th->running = f;
	deliver(f, value);
	tuck__ctx_retire(&th->cache, &self->ctx);
	tuck__ctx_leave(&th->cache, stack, base, &f->ctx, 0);
}
