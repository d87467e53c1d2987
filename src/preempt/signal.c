/* SPDX-License-Identifier: MIT */
/*
 * sigaction() and both kinds of signal(), so that it is known when a handler
 * runs: a tasklet that were switched away from inside one would leave the
 * signal blocked for all others (rule S7).
 *
 * Invariant: while no_switch.sp is set, the tasklet is still no_switch.self and
 * the proc's switches, where they are counted, are still no_switch.switches,
 * whatever runs below sp was called by a handler. One that
 * is left by siglongjmp() thus holds pre-emption back until the stack pointer
 * is seen above, or the tasklet waits by itself.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#include "preempt/preempt.h"

typedef void simple_fn(int sig);
typedef void info_fn(int sig, siginfo_t *info, void *context);

static struct program_handler {
	_Atomic(simple_fn *) simple;	/* one of them is set */
	_Atomic(info_fn *) info;
	atomic_bool restarts;		/* SA_RESTART */
} handlers[NSIG];

struct no_switch {
	uintptr_t sp;
	tuck_id self;
	uint64_t switches;
};

_Atomic(tuck__handled_fn *) tuck__handled;

static __thread struct no_switch no_switch;
__thread int tuck__hold_waits;
static __thread int depth;	/* too large after a siglongjmp() */

bool tuck__in_handler(void)
{
	if (tuck__likely(!no_switch.sp))
		return false;
	if (no_switch.self == tuck_self() &&
	    no_switch.switches == *tuck_ticks()->switches &&
	    (uintptr_t)__builtin_frame_address(0) < no_switch.sp)
		return true;
	no_switch.sp = 0;
	return false;
}

/* Where a tasklet may switch, and no handler runs below it, none does. */
bool tuck__handling(void)
{
	if (depth > 0 && tuck_can_switch() && !tuck__in_handler())
		depth = 0;
	return depth > 0;
}

/* What the kernel calls. */
static void handle(int sig, siginfo_t *info, void *context)
{
	info_fn *with_info = atomic_load(&handlers[sig].info);
	simple_fn *simple = atomic_load(&handlers[sig].simple);
	tuck__handled_fn *handled = atomic_load(&tuck__handled);
	bool inside = tuck__in_handler();	/* forgets one that was left */
	struct no_switch before = no_switch;

	if (!inside && tuck_can_switch())
		no_switch = (struct no_switch){
			(uintptr_t)__builtin_frame_address(0),
			tuck_self(),
			*tuck_ticks()->switches,
		};
	depth++;
	if (with_info)
		with_info(sig, info, context);
	else if (simple)
		simple(sig);
	if (handled)
		handled(atomic_load(&handlers[sig].restarts));
	depth--;
	no_switch = before;
}

/* In action, what the program set in place of what the kernel has. */
static void show(int sig, struct sigaction *action)
{
	info_fn *info = atomic_load(&handlers[sig].info);

	if (!(action->sa_flags & SA_SIGINFO) || action->sa_sigaction != handle)
		return;
	if (info) {
		action->sa_sigaction = info;
		return;
	}
	action->sa_flags &= ~SA_SIGINFO;
	action->sa_handler = atomic_load(&handlers[sig].simple);
}

/* The kernel looks for these two whatever the flags say. */
static bool calls(const struct sigaction *action)
{
	return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

int __real_sigaction(int sig, const struct sigaction *action,
		     struct sigaction *ret_old);
int __wrap_sigaction(int sig, const struct sigaction *action,
		     struct sigaction *ret_old);
simple_fn *__wrap_signal(int sig, simple_fn *handler);
simple_fn *__wrap___sysv_signal(int sig, simple_fn *handler);

int __wrap_sigaction(int sig, const struct sigaction *action,
		     struct sigaction *ret_old)
{
	struct sigaction ours, old;
	struct program_handler *h;

	if (sig <= 0 || sig >= NSIG)
		return __real_sigaction(sig, action, ret_old);
	if (__real_sigaction(sig, NULL, &old) != 0)
		return -1;
	show(sig, &old);
	if (action && calls(action)) {
		h = &handlers[sig];
		ours = *action;
		atomic_store(&h->restarts, action->sa_flags & SA_RESTART);
		ours.sa_flags |= SA_SIGINFO;
		ours.sa_sigaction = handle;
		if (action->sa_flags & SA_SIGINFO) {
			atomic_store(&h->info, action->sa_sigaction);
		} else {
			atomic_store(&h->simple, action->sa_handler);
			atomic_store(&h->info, NULL);
		}
		action = &ours;
	}
	if (action && __real_sigaction(sig, action, NULL) != 0)
		return -1;
	if (ret_old)
		*ret_old = old;
	return 0;
}

static simple_fn *set(int sig, simple_fn *handler, int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
	struct sigaction old;

	if (__wrap_sigaction(sig, &action, &old) != 0)
		return SIG_ERR;
	return old.sa_handler;
}

/* As BSD's and glibc's. */
simple_fn *__wrap_signal(int sig, simple_fn *handler)
{
	return set(sig, handler, SA_RESTART);
}

/* What signal() is where a program asks for POSIX alone. */
simple_fn *__wrap___sysv_signal(int sig, simple_fn *handler)
{
	return set(sig, handler, (int)SA_RESETHAND | SA_NODEFER);
}
