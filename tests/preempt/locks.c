/* SPDX-License-Identifier: MIT */
/* Critical sections that are long enough to be pre-empted. */
#include "locks.h"

static __attribute__((__noinline__)) void dawdle(int n)
{
	for (volatile int i = 0; i < n; i++)
		;
}

static __attribute__((__noinline__)) void once_more(volatile long *sum)
{
	long before = *sum;

	dawdle(200);
	*sum = before + 1;
}

void add_slowly(void *arg)
{
	struct locked *l = arg;

	for (int i = 0; i < l->rounds; i++) {
		l->take(l->lock);
		l->inside++;
		if (l->most < l->inside)
			l->most = l->inside;
		once_more(&l->sum);
		l->inside--;
		l->give(l->lock);
		dawdle(i % 7);
	}
	__atomic_fetch_add(&l->done, 1, __ATOMIC_ACQ_REL);
}

int once_runs;

void slow_once(void)
{
	dawdle(10000);
	once_runs++;
}
