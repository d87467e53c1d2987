/* SPDX-License-Identifier: MIT */
/*
 * fork(2): the child keeps the proc that called it, with all its tasklets. The
 * others are gone, as threads are, and nobody can be waited for there.
 *
 * A thread may have been anywhere when its process was copied without it: it
 * may have set a flag in an id and not have pushed the tasklet, or taken a
 * wait and not have woken who waits. So the child looks at all its tasklets,
 * and puts those into its inbox that have something coming.
 * What gone procs held in their hands, a channel's lock or that of a wait
 * queue, stays held, as with locks of pthread.h: nobody knows how far they
 * had come.
 */
#include <unistd.h>

#include "task/task.h"

void tuck__tasklets_fork(void)
{
	struct tuck__sched *s = tuck__tls;

	tuck__registry_fork(s);
	if (!s)
		return;
	s->thread = gettid();
	tuck__sched_fork(s);
	tuck__inbox_fork(s);
}
