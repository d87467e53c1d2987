/* SPDX-License-Identifier: MIT */
/*
 * A fault in the guard of the running tasklet's stack is a stack overflow:
 * say whose, and let the process end as it would have. Any other fault goes
 * to whoever handled it before.
 *
 * Invariant: the handler runs on a stack of its own, which each proc has.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "task/task.h"

#define HANDLER_STACK 65536

static struct sigaction before[2];	/* SIGSEGV, SIGBUS */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static __thread void *handler_stack;

static struct sigaction *previous(int sig)
{
	return &before[sig == SIGBUS];
}

static void tell(const struct tuck__sched *s, const char *fault)
{
	const struct tuck__tasklet *t = s->current;
	const struct tuck__stack *stack = t->ctx.stack;
	size_t room = (size_t)(stack->base - stack->limit);
	char line[256];
	int n;

	n = snprintf(line, sizeof(line),
		     "tuck: stack overflow in tasklet "
		     "%lld \"%s\": fault at %p, %zu of %zu bytes used\n",
		     (long long)tuck__id(t), tuck__name(s, t),
		     (const void *)fault, (size_t)(stack->base - fault), room);
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	const struct sigaction *next = previous(sig);
	struct tuck__sched *s = tuck__tls;

	if (s && tuck__ctx_in_guard(&s->current->ctx, info->si_addr)) {
		tell(s, info->si_addr);
		signal(sig, SIG_DFL);	/* the fault repeats and ends us */
	} else if (next->sa_flags & SA_SIGINFO) {
		next->sa_sigaction(sig, info, context);
	} else if (next->sa_handler == SIG_DFL || next->sa_handler == SIG_IGN) {
		signal(sig, SIG_DFL);
		if (info->si_code <= 0)
			raise(sig);	/* sent: it does not repeat */
	} else {
		next->sa_handler(sig);
	}
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

void tuck__overflow_watch(void)
{
	stack_t now, own = { .ss_size = HANDLER_STACK };

	pthread_once(&once, install);
	if (sigaltstack(NULL, &now) != 0 || !(now.ss_flags & SS_DISABLE))
		return;
	own.ss_sp = handler_stack = tuck__map(HANDLER_STACK);
	if (own.ss_sp && sigaltstack(&own, NULL) != 0) {
		tuck__unmap(handler_stack, HANDLER_STACK);
		handler_stack = NULL;
	}
}

void tuck__overflow_unwatch(void)
{
	stack_t none = { .ss_flags = SS_DISABLE };

	if (!handler_stack)
		return;
	sigaltstack(&none, NULL);
	tuck__unmap(handler_stack, HANDLER_STACK);
	handler_stack = NULL;
}
