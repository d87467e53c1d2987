/* SPDX-License-Identifier: MIT */
/*
 * Procs: OS threads, each with a scheduler, a poller and stacks of its own.
 * The two levels of Plan 9's libthread and of Alef: procs run in parallel,
 * the tasklets of a proc one at a time.
 */
#ifndef TUCK_PROC_H
#define TUCK_PROC_H

#include <tuck/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TUCK_PROCS_MAX 128	/* alive, or not yet joined */

struct tuck_proc_attr {
	const char *name;	/* of the thread; the first 15 bytes */
	int cpu;		/* above 0: runs only on CPU number cpu - 1 */
	/*
	 * Not 0: the proc gets a descriptor table of its own (Linux's
	 * unshare(2) with CLONE_FILES), since many systems hold a hard limit
	 * per table. It starts with 0, 1, 2, the n_fds descriptors fds, and
	 * 128 that procs wake each other with, as every table has from the
	 * first such proc on.
	 */
	int own_fds;
	const int *fds;
	int n_fds;
};

/*
 * Start a proc with fn(arg) as its main tasklet. It ends when fn has
 * returned and its last tasklet has ended. attr is read before the call
 * returns and may be NULL. Returns the proc's number, which is not used
 * again before tuck_proc_join() has taken it.
 * Switches: no; waits until the thread is set up.
 * Errors: -EINVAL for a null fn or bad attributes, -EBADF for a closed
 * descriptor among them, -EAGAIN for too many
 * procs or threads (those that call Tuck of their own accord count too while
 * there are own tables), -ENOMEM, -EMFILE, and those of unshare(2).
 */
int tuck_proc_start(const struct tuck_proc_attr *attr, void (*fn)(void *),
		    void *arg);

/*
 * Wait until a proc has ended and release its number; exactly one call
 * takes it. Only the calling tasklet waits.
 * Switches: may.
 * Errors: -ESRCH for a number that tuck_proc_start() did not give or that
 * was joined, -EBUSY while another tasklet joins it, -EDEADLK for the
 * caller's own proc, -ETIMEDOUT, -EAGAIN for TUCK_NOWAIT, -EINVAL for a
 * negative deadline.
 */
int tuck_proc_join(int proc, tuck_ns deadline);

#ifdef __cplusplus
}
#endif

#endif
