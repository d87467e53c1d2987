/* SPDX-License-Identifier: MIT */
/* What locks, and is compiled so that it is pre-empted meanwhile. */
#ifndef LOCKS_H
#define LOCKS_H

#include <pthread.h>
#include <semaphore.h>

struct locked {
	void *lock;
	void (*take)(void *lock), (*give)(void *lock);
	int rounds;
	long sum;		/* rounds of all who added */
	int inside, most;	/* how many were inside at once */
	int done;		/* those who have finished; atomic */
};

/* Take the lock, add to sum slowly, give it; so many times. */
void add_slowly(void *locked);

/* What pthread_once() runs. */
extern int once_runs;
void slow_once(void);

#endif
