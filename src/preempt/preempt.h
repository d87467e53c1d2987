/* SPDX-License-Identifier: MIT */
/*
 * What the files of libtuck-preempt share. It is a library of its own, linked
 * into programs that have Tuck as a shared one, so of Tuck it uses public
 * calls only.
 */
#ifndef TUCK__PREEMPT_H
#define TUCK__PREEMPT_H

#include <errno.h>
#include <tuck/preempt.h>

#include "base/check.h"

/*
 * Whether the calling thread is inside a signal handler on the stack of the
 * tasklet that it interrupted. Known of handlers that the program set through
 * what signal.c wraps; those on a stack of their own need not be known.
 */
bool tuck__in_handler(void);

/* Whether the thread is inside any such handler. */
bool tuck__handling(void);

/* Called after each handler, unless NULL, and inside it as to what it may. */
typedef void tuck__handled_fn(bool restarts);
extern _Atomic(tuck__handled_fn *) tuck__handled;

/* Not 0: the thread is where no tasklet of it may wait. */
extern __thread int tuck__hold_waits;

/* Whether nobody has the id any more. Makes a proc of the thread. */
static inline bool tuck__ended(tuck_id id)
{
	char name[1];

	return tuck_name_get(id, name, sizeof(name)) == -ESRCH;
}

/* Whether the tasklet may wait here; if not, the thread does. */
static inline bool tuck__may_wait(void)
{
	return tuck_can_switch() && !tuck__hold_waits && !tuck__in_handler();
}

#endif
