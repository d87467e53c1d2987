/* SPDX-License-Identifier: MIT */
/*
 * Procs: OS threads, each with a scheduler, a poller and stacks of its own.
 * The two levels of Plan 9's libthread and of Alef: procs run in parallel,
 * the tasklets of a proc one at a time. After fork(2) the child has the calling
 * proc alone; what is asked of others returns -ESRCH there.
 */
#ifndef TUCK_PROC_H
#define TUCK_PROC_H

#include <tuck/task.h>

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
	/* n_cpus not 0: runs only on the CPUs of these numbers. */
	const int *cpus;
	int n_cpus;
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
 * Its OS thread ends right after; destructors of thread-local data may run yet.
 * Switches: may.
 * Errors: -ESRCH for a number that tuck_proc_start() did not give, that was
 * joined, or whose proc fork(2) left behind; -EBUSY while another tasklet joins
 * it, -EDEADLK for the caller's own proc, -ETIMEDOUT, -EAGAIN for TUCK_NOWAIT,
 * -EINVAL for a negative deadline.
 */
int tuck_proc_join(int proc, tuck_ns deadline);

/*
 * tuck_kill() each tasklet that the proc has now, and tuck_cancel() its main
 * one, which cannot be killed: its waits return -ECANCELED, and when its
 * function returns and the cleanups of the others are through, the proc ends.
 * Tasklets that are started meanwhile live on, and the proc with them. Any
 * thread may call it; a tasklet of the proc itself is killed last.
 * Switches: no, but does not return if it kills the caller.
 * Errors: -ESRCH for a number that is no proc's, or of one that has ended.
 */
int tuck_proc_kill(int proc);

/*
 * tuck_cancel() each tasklet that the proc has now, its main one too.
 * Switches: no. Errors: -ESRCH as tuck_proc_kill().
 */
int tuck_proc_cancel(int proc);

/* -- pools -- */

/*
 * Procs that share tasklets out: one that has nothing to do takes tasklets that
 * have not started from another. After Blumofe and Leiserson, 1999: the newest
 * at home, the oldest elsewhere.
 */
struct tuck_pool;

struct tuck_pool_attr {
	const char *name;	/* of the threads, before their number */
	/* The CPUs on which they may run; n_cpus 0: all of the caller's. */
	const int *cpus;
	int n_cpus;
	int pin;		/* not 0: each on one of these, in turn */
};

/*
 * Make a pool of n_procs procs, or of as many as the caller may use CPUs for 0.
 * The caller frees it by tuck_pool_free(). ret_pool is untouched on failure.
 * Switches: no; waits until the threads are set up. But where only some of them
 * can be started it may: until these have ended, unless it is cancelled.
 * Errors: -EINVAL for NULL, or n_procs that cannot be; -ENOMEM; those of
 * tuck_proc_start().
 */
int tuck_pool_new(struct tuck_pool **ret_pool, int n_procs);

/*
 * The same with attributes; attr is read before the call returns and may be
 * NULL.
 * Switches: as tuck_pool_new(). Errors: the same, -EINVAL for bad attributes.
 */
int tuck_pool_new_with(struct tuck_pool **ret_pool, int n_procs,
		       const struct tuck_pool_attr *attr);

/*
 * Make a tasklet that runs fn(arg) on one of the pool's procs. The caller may
 * be of any proc. The id joins, kills, cancels and unblocks it wherever it
 * comes to run; on another proc than the caller's it has another tuck_self(),
 * tuck_drop() returns -EXDEV, and a name, a priority or the like that the id
 * was given does not go there with it. A caller of no proc of the pool keeps a
 * tasklet for it until it has ended: so a proc that tuck_proc_start() made
 * ends no sooner; if another thread does, it is run all the same. If all procs
 * of the pool end by pthread_exit(), it ends as one killed before its start.
 * Switches: no. Errors: -EINVAL for NULL, -ENOMEM, -ECANCELED when the pool is
 * being freed, -ESRCH when all its procs have ended, by pthread_exit() or in
 * a fork's child.
 */
tuck_id tuck_pool_go(struct tuck_pool *pool, void (*fn)(void *), void *arg);

/*
 * Wait until all tasklets on the pool's procs have ended, those started by
 * tuck_go() there too, and none waits for a proc.
 * Switches: may. Errors: -EINVAL for NULL or a negative deadline, -EDEADLK on
 * one of its procs or when nothing can end the wait, -ESRCH as above,
 * -ETIMEDOUT, -EAGAIN for TUCK_NOWAIT.
 */
int tuck_pool_wait(struct tuck_pool *pool, tuck_ns deadline);

/*
 * Wait as tuck_pool_wait(), then end the procs and free the pool. After an
 * error it is as before. NULL is let be. If the caller is cancelled or killed
 * while it waits for the procs' ends, they end by themselves.
 * Switches: may. Errors: as tuck_pool_wait(), -EBUSY while another call frees
 * it.
 */
int tuck_pool_free(struct tuck_pool *pool, tuck_ns deadline);

/*
 * How many procs of it are alive.
 * Switches: no. Errors: -EINVAL for NULL.
 */
int tuck_pool_procs(const struct tuck_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
