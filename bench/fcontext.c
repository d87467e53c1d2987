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

int main(int argc, char **argv)
{
	return bench_main(argc, argv, flow_works);
}
