/* SPDX-License-Identifier: MIT */
/*
 * A fault in the guard of the running context's stack is a stack overflow:
 * say whose. Then it goes, as any other fault does at once, to whoever handled
 * it before, and the process ends as it would have.
 *
 * Invariant: the handler runs on a stack of its own, which each thread with
 * contexts has.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "ctx/ctx.h"

#define HANDLER_STACK 65536

static struct sigaction before[2];	/* SIGSEGV, SIGBUS */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static __thread void *handler_stack;
static __thread struct tuck__cache *caches;	/* of this thread */

static struct sigaction *previous(int sig)
{
	return &before[sig == SIGBUS];
}

/* Whether a context of c has run into its guard; then say so. */
static bool tell(const struct tuck__cache *c, const char *fault)
{
	char who[128], line[384];
	const struct tuck__ctx *ctx = c->host->running(c, who, sizeof(who));
	const struct tuck__stack *stack = ctx->stack;
	int n, written;

	if (!tuck__ctx_in_guard(ctx, fault))
		return false;
	n = snprintf(line, sizeof(line),
		     "tuck: stack overflow in %s: fault at %p, "
		     "%zu of %zu bytes used; larger are slots by slot_bytes in "
		     "tuck_config_set(), or a stack of its own\n",
		     who, (const void *)fault, (size_t)(stack->base - fault),
		     (size_t)(stack->base - stack->limit));
	written = (int)write(STDERR_FILENO, line, (size_t)n);
	(void)written;	/* a warning where it is thrown away at once */
	return true;
}

static void pass_on(int sig, siginfo_t *info, void *context)
{
	const struct sigaction *next = previous(sig);

	if (next->sa_flags & SA_SIGINFO) {
		next->sa_sigaction(sig, info, context);
	} else if (next->sa_handler == SIG_DFL || next->sa_handler == SIG_IGN) {
		signal(sig, SIG_DFL);
		if (info->si_code <= 0)
			raise(sig);	/* sent: it does not repeat */
	} else {
		next->sa_handler(sig);
	}
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	for (const struct tuck__cache *c = caches; c; c = c->next_here)
		if (tell(c, info->si_addr)) {
			signal(sig, SIG_DFL);	/* it repeats and ends us */
			break;
		}
	pass_on(sig, info, context);
}

bool tuck__ctx_in_guard(const struct tuck__ctx *ctx, const void *p)
{
	const struct tuck__stack *s = ctx->stack;
	uintptr_t at = (uintptr_t)p, limit;

	if (!s || !s->guard)
		return false;
	limit = (uintptr_t)s->limit;
	return at < limit && at >= limit - s->guard;
}

static void install(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_fault;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
	sigemptyset(&action.sa_mask);
	sigaction(SIGSEGV, &action, previous(SIGSEGV));
	sigaction(SIGBUS, &action, previous(SIGBUS));
}

static void have_handler_stack(void)
{
	stack_t now, own = { .ss_size = HANDLER_STACK };

	if (sigaltstack(NULL, &now) != 0 || !(now.ss_flags & SS_DISABLE))
		return;
	own.ss_sp = handler_stack = tuck__map(HANDLER_STACK);
	if (own.ss_sp && sigaltstack(&own, NULL) != 0) {
		tuck__unmap(handler_stack, HANDLER_STACK);
		handler_stack = NULL;
	}
}

void tuck__overflow_watch(struct tuck__cache *c)
{
	pthread_once(&once, install);
	if (!caches)
		have_handler_stack();
	c->next_here = caches;
	caches = c;
}

void tuck__overflow_unwatch(struct tuck__cache *c)
{
	stack_t now, none = { .ss_flags = SS_DISABLE };
	struct tuck__cache **at = &caches;

	while (*at && *at != c)
		at = &(*at)->next_here;
	if (*at)
		*at = c->next_here;
	if (caches || !handler_stack)
		return;
	/* The program may have put another in its place since. */
	if (sigaltstack(NULL, &now) == 0 && now.ss_sp == handler_stack)
		sigaltstack(&none, NULL);
	tuck__unmap(handler_stack, HANDLER_STACK);
	handler_stack = NULL;
}
