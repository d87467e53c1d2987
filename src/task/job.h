/* SPDX-License-Identifier: MIT */
/*
 * Jobs: tasklets that have not started, and may do so on another proc than the
 * one that made them.
 */
#ifndef TUCK__JOB_H
#define TUCK__JOB_H

#include "task/task.h"

/* What waits for its start, the newest last. Any proc takes from it. */
struct tuck__jobs {
	atomic_int lock;
	atomic_uint n;
	struct tuck__link list;
	bool adrift;		/* of no proc: nobody starts them at home */
	bool ended;		/* under the lock: nobody takes any more */
};

void tuck__jobs_init(struct tuck__jobs *jobs, bool adrift);

/*
 * Nobody takes from it any more: what waits in it ends without having started,
 * and no more can come. How many there were, with those taken back.
 */
int tuck__jobs_end(struct tuck__jobs *jobs);

/* The end of the queue, of which nobody else knows any more. */
void tuck__jobs_fini(struct tuck__jobs *jobs);

static inline bool tuck__jobs_any(const struct tuck__jobs *jobs)
{
	return atomic_load(&jobs->n) > 0;
}

/*
 * Make a tasklet that runs fn(arg) and put it at the queue's end. Until it
 * starts, it waits; if another proc takes it, it waits for what that makes in
 * its place. Its id, -ENOMEM, or -ESRCH if the queue has ended.
 */
tuck_id tuck__job_new(struct tuck__sched *s, struct tuck__jobs *jobs,
		      void (*fn)(void *), void *arg);

/* Make one of s's own ready: false if there is none. */
bool tuck__jobs_start(struct tuck__sched *s, struct tuck__jobs *jobs,
		      bool newest);

/*
 * Take the oldest over from elsewhere: 1, 0 if there is none, or -ENOMEM. Adds
 * to *ret_dead how many it came across that had been taken back.
 */
int tuck__jobs_steal(struct tuck__sched *s, struct tuck__jobs *jobs,
		     int *ret_dead);

#endif
