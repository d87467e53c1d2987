/* SPDX-License-Identifier: MIT */
/*
 * The peer Boost.Context: its fcontext switch, bare and under the least
 * scheduler there is (flows.h).
 */
#include <stddef.h>

/* As in boost/context/detail/fcontext.hpp, which is C++. */
struct transfer {
	void *fctx;
	void *data;
};

struct transfer jump_fcontext(void *to, void *data);
void *make_fcontext(void *top, size_t bytes, void (*fn)(struct transfer));

typedef void *flow_ctx;

static void flow_entry(void);

static inline void ctx_switch(flow_ctx *from, flow_ctx *to)
{
	struct transfer t = jump_fcontext(*to, from);

	*(flow_ctx *)t.data = t.fctx;
}

static void ctx_entry(struct transfer t)
{
	*(flow_ctx *)t.data = t.fctx;
	flow_entry();
}

static inline void ctx_make(flow_ctx *ctx, char *stack, size_t bytes)
{
	*ctx = make_fcontext(stack + bytes, bytes, ctx_entry);
}

#include "flows.h"

/*
 * Copying as libaco does it: coroutines share one stack, each yield goes to
 * the main context, and this puts the bytes of the last one aside and those
 * of the next one back, with memcpy(), before it goes there.
 */
enum { COPIER_FRAMES = 112 };

struct copier {
	flow_ctx ctx;		/* and the lowest of its bytes */
	char *kept;
};

static struct {
	char stack[65536] __attribute__((__aligned__(16)));
	flow_ctx main;
	struct copier two[2];
	struct copier *owner, *running;
	size_t bytes;
} shared;

static char *shared_end(void)
{
	return shared.stack + sizeof(shared.stack);
}

static void copier_run(struct transfer t)
{
	char *live = __builtin_alloca(shared.bytes - COPIER_FRAMES);

	shared.main = t.fctx;
	memset(live, 1, shared.bytes - COPIER_FRAMES);
	for (;;) {
		ctx_switch(&shared.running->ctx, &shared.main);
		__asm__ volatile("" : : "r"(live) : "memory");
	}
}

static size_t copier_live(const struct copier *c)
{
	return (size_t)(shared_end() - (char *)c->ctx);
}

static void copier_resume(struct copier *c)
{
	struct copier *last = shared.owner;

	if (last != c) {
		memcpy(last->kept, last->ctx, copier_live(last));
		memcpy(c->ctx, c->kept, copier_live(c));
		shared.owner = c;
	}
	shared.running = c;
	ctx_switch(&shared.main, &c->ctx);
}

static void copier_start(struct copier *c)
{
	char *top = shared_end();

	c->kept = malloc(sizeof(shared.stack));
	BENCH_CHECK(c->kept);
	c->ctx = make_fcontext(top, sizeof(shared.stack), copier_run);
	shared.owner = shared.running = c;
	ctx_switch(&shared.main, &c->ctx);
	BENCH_CHECK(labs((long)copier_live(c) - (long)shared.bytes) <= 32);
	memcpy(c->kept, c->ctx, copier_live(c));
}

static void copied_batch(long n)
{
	for (long i = 0; i < n; i++)
		copier_resume(&shared.two[i % 2]);
}

static double work_copied(long n)
{
	shared.bytes = (size_t)n;
	copier_start(&shared.two[0]);
	copier_start(&shared.two[1]);
	return bench_per_op(copied_batch, 1);
}

static const struct bench_work copying[] = {
	{ "copied", 1024, work_copied },
	{ NULL, 0, NULL },
};

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], copying[0].name))
		return bench_main(argc, argv, copying);
	return bench_main(argc, argv, flow_works);
}
