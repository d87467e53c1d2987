/* SPDX-License-Identifier: MIT */
/* Looking in: who is there, what they wait on, what it costs. */
#ifndef TUCK_DEBUG_H
#define TUCK_DEBUG_H

#include <tuck/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Figures of the calling proc. */
struct tuck_stats {
	uint64_t tasklets;	/* alive, the main one included */
	uint64_t ready;		/* of those, ready to run */
	uint64_t started;	/* tasklets that ever ran */
	uint64_t switches;	/* since the proc began */
	uint64_t switches_copied; /* of those, ones that moved bytes */
	uint64_t copied_bytes;	/* moved by switches, both ways */
	uint64_t slices;	/* tasklets that are tucked away now */
	uint64_t slice_bytes;	/* of stack that those slices hold */
	uint64_t slice_bytes_max; /* of the largest of them */
	uint64_t slice_pool_bytes; /* memory that the slice pool holds */
	uint64_t slots;		/* stacks in use */
};

/*
 * Fill in the calling proc's figures. It looks at every tasklet, so it
 * takes time in proportion to their number.
 * Switches: no. Errors: -EINVAL for NULL.
 */
int tuck_stats(struct tuck_stats *ret_stats);

/*
 * Write a line for each tasklet of the calling proc: id, name, state, what
 * it waits on and since when.
 * Switches: no. Errors: those of write(2).
 */
int tuck_dump(int fd);

/* What tuck_each() tells of a tasklet. */
struct tuck_task_info {
	tuck_id id;
	tuck_id main;		/* its proc's main tasklet */
	char name[32];
	const char *state;	/* "runs", "is ready", or what it waits for */
	tuck_ns since;		/* when that wait began; 0: it does not wait */
	uint64_t switches;	/* how often it has stopped running, */
	tuck_ns cpu;		/* and how long it ran, by tuck_account() */
};

/*
 * Call fn(info, arg) for each tasklet of the calling proc (other procs run on
 * meanwhile, so each can tell of its own alone), until one call returns other
 * than 0. fn may start, end and kill tasklets, and may wait:
 * those who are there all the time are told of once.
 * Switches: no; but fn may. Errors: -EINVAL for a null fn; else what fn
 * returned last, or 0.
 */
int tuck_each(int (*fn)(const struct tuck_task_info *info, void *arg),
	      void *arg);

/*
 * Count the switches and the CPU time of each tasklet of the calling proc from
 * now on; 0 ends that, and keeps what was counted. Where it is off it costs
 * nothing; on, each switch asks the system for the thread's CPU time: see
 * docs/performance.md. Returns whether it was on.
 * Switches: no. Errors: none.
 */
int tuck_account(int on);

/*
 * Set what is called when every proc waits for ever: nothing is ready, no
 * timer runs and no descriptor is waited for. It runs in the proc that
 * noticed and must call nothing that may switch: a wait in there ends the
 * process with a message. It replaces the default, which writes a dump of all
 * procs to standard error. After it, the wait of that proc's main tasklet
 * returns -EDEADLK, unless it ended that wait. NULL brings the default back.
 * Switches: no. Errors: none, returns 0.
 */
int tuck_on_deadlock(void (*fn)(void));

#ifdef __cplusplus
}
#endif

#endif
