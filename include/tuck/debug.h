/* SPDX-License-Identifier: MIT */
/* Looking in: who is there, what they wait on, what it costs. */
#ifndef TUCK_DEBUG_H
#define TUCK_DEBUG_H

#include <tuck/base.h>

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

/*
 * Set what is called when every proc waits for ever: nothing is ready, no
 * timer runs and no descriptor is waited for. It runs in the proc that
 * noticed and must call nothing that may switch. It replaces the default,
 * which writes a dump of all procs to standard error. After it, the wait of
 * that proc's main tasklet returns -EDEADLK, unless it ended that wait. NULL
 * brings the default back.
 * Switches: no. Errors: none, returns 0.
 */
int tuck_on_deadlock(void (*fn)(void));

#ifdef __cplusplus
}
#endif

#endif
