/* SPDX-License-Identifier: MIT */
/* Between the queues of calls (calls.c) and the threads that run them. */
#ifndef TUCK__WORKERS_H
#define TUCK__WORKERS_H

#include "io/calls.h"

/* Of the procs that share a descriptor table. */
struct tuck__crew {
	struct tuck__crew *next;
	uint32_t fd_table;
	int users;			/* lanes */
	int workers;
	int remote;			/* calls of that kind that run */
	bool arriving;			/* one of them is on its way to work */
	struct tuck__link lanes;	/* that have calls */
	struct tuck__link idle;		/* workers, the last one first */
};

/* What all pools have in common, all of it under the lock. */
struct tuck__offloads {
	pthread_mutex_t lock;
	tuck_ns idle_max;		/* then a worker ends */
	struct tuck_offload_stats stats;
};

extern struct tuck__offloads tuck__offloads;

static inline void tuck__offloads_lock(void)
{
	pthread_mutex_lock(&tuck__offloads.lock);
}

static inline void tuck__offloads_unlock(void)
{
	pthread_mutex_unlock(&tuck__offloads.lock);
}

/* -- calls.c; with the lock, but for tuck__call_tell() -- */

/* Whether there is one that may begin. */
bool tuck__call_waits(const struct tuck__crew *pool);

/* The next one, to be run; or NULL. */
struct tuck__call *tuck__call_take(struct tuck__crew *pool);

/* What is to be done when a call has ended, and the lock is given up. */
struct tuck__call_end {
	struct tuck__call *left;		/* free it; NULL: */
	tuck_id id;			/* wake this one */
	int fd;				/* close it, if it is not -1 */
};

struct tuck__call_end tuck__call_end(struct tuck__crew *pool,
				     struct tuck__call *call, int result);
void tuck__call_tell(struct tuck__call_end end);

/* Free it, if it has neither users nor workers any more. */
void tuck__crew_left(struct tuck__crew *pool);

/* After a change of the figures: whether something is going to come of us. */
void tuck__offloads_count(void);

/* -- workers.c; with the lock, but for the second one -- */

struct tuck__worker;

/*
 * Have a worker for what is queued, if there may be one more: 0, -ENOMEM or
 * -EAGAIN. If *ret_called is not NULL then, it is to be signalled.
 */
int tuck__worker_provide(struct tuck__crew *pool,
			 struct tuck__worker **ret_called);
void tuck__worker_signal(struct tuck__worker *w);

/* The idle ones look whether they are still wanted. */
void tuck__workers_look(struct tuck__crew *pool);

/* In a forked child there are none. */
void tuck__workers_forget(void);

/* Whether the calling thread is the one that runs it. */
bool tuck__worker_runs(const struct tuck__call *call);

#endif
