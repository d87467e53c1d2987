/* SPDX-License-Identifier: MIT */
/*
 * The peer glibc ucontext: swapcontext(3), bare and under the least
 * scheduler there is (flows.h). Each switch is a system call, for the
 * signal mask.
 */
#include <stddef.h>
#include <ucontext.h>

typedef ucontext_t flow_ctx;

static void flow_entry(void);

static inline void ctx_switch(flow_ctx *from, flow_ctx *to)
{
	swapcontext(from, to);
}

static inline void ctx_make(flow_ctx *ctx, char *stack, size_t bytes)
{
	getcontext(ctx);
	ctx->uc_stack.ss_sp = stack;
	ctx->uc_stack.ss_size = bytes;
	ctx->uc_link = NULL;
	makecontext(ctx, flow_entry, 0);
}

#include "flows.h"

int main(int argc, char **argv)
{
	return bench_main(argc, argv, flow_works);
}
