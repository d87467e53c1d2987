/* SPDX-License-Identifier: MIT */
/*
 * Calls that block, made by threads of a pool while only the calling tasklet
 * waits: files, getaddrinfo(3), a library that knows of no tasklets. Threads
 * are started when a call finds none idle, up to a bound, and end when they
 * have been idle for a while. Calls are taken in the order they came, but of
 * several procs in turn, one each: a proc with many does not starve another.
 *
 * The threads have names ("tuck-offload"), stacks as large as a slot
 * (tuck_config) and at least 256 KiB, and all signals blocked but those of
 * faults. Procs that share a descriptor table share a pool; who has one of its
 * own (tuck_proc_attr) has its own pool, whose calls see the same descriptors
 * as itself. A thread that was not started by tuck_proc_start() counts as one
 * with the table of main.
 *
 * After fork(2) the child has no such thread. What its tasklets had asked for
 * returns -ECANCELED there; new calls start new threads. A function that forks
 * on a thread of the pool must exec or _exit(2) in the child.
 *
 * Libuv's uv_queue_work and Go's threads in system calls do the same.
 */
#ifndef TUCK_OFFLOAD_H
#define TUCK_OFFLOAD_H

#include <tuck/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Run fn on another thread and return what it returned. It gets a copy of the
 * arg_bytes at arg, which so may lie on the caller's stack, and what it leaves
 * in the copy is put back when it has ended; but what *that* points to must
 * not lie on a tasklet's stack. With arg_bytes 0 fn gets arg itself, which
 * then must live until fn has ended, whatever becomes of the caller.
 *
 * A call that has not begun when its caller is late, cancelled, killed or
 * dropped never runs. One that has begun runs on to its end, for nobody; so it
 * does after -ENOMEM, if there was no memory to tuck the caller away. One that
 * ends before its caller goes on is not late.
 *
 * fn may call what does not wait, such as tuck_unblock(). If it calls what
 * makes its thread a proc, that ends being one with fn, and has the caller's
 * descriptor table. It should return 0, a positive number, or a negative errno
 * value, and no value of this list that it cannot tell from ours.
 * pthread_exit(3) in it counts as -ECANCELED.
 * Switches: always, unless an error came before fn could run.
 * Errors: what fn returned; -ETIMEDOUT; -EAGAIN for TUCK_NOWAIT, or when not
 * even one thread can be started; -EINVAL for a null fn, a negative deadline,
 * or bytes at NULL; -EFAULT for arg_bytes 0 and an arg on the stack of the
 * calling tasklet; -ENOMEM.
 */
int tuck_offload(int (*fn)(void *arg), void *arg, size_t arg_bytes,
		 tuck_ns deadline);

/*
 * The same for a call that owns something: what arg points to, the descriptor
 * or the memory that fn brings. Whenever this call does not return what fn
 * did, discard(arg, result) is called once, now or later: with the copy as fn
 * has left it and what fn returned, or if fn never ran, as it was passed and
 * -ECANCELED. So the caller frees nothing after an error; that it was fn's
 * own, a mark that fn leaves in arg tells. discard must not call Tuck, for any
 * thread may run it. It is not called in a child of fork(2), where a call may
 * be in the middle of what it does. NULL: nothing is called.
 * Switches: as tuck_offload(). Errors: the same.
 */
int tuck_offload_with(void (*discard)(void *arg, int result),
		      int (*fn)(void *arg), void *arg, size_t arg_bytes,
		      tuck_ns deadline);

/*
 * The same for a call that waits for another machine, such as a name server.
 * At most half of the threads that a pool may have, rounded up, run such calls
 * at a time, so those of machines that do not answer leave the other half to
 * files. discard may be NULL.
 * Switches: as tuck_offload(). Errors: the same.
 */
int tuck_offload_remote(void (*discard)(void *arg, int result),
			int (*fn)(void *arg), void *arg, size_t arg_bytes,
			tuck_ns deadline);

/*
 * Set how many threads a pool may have, at most 1,024, and how long they may
 * be idle; 0 leaves what was. At first it is what tuck_config and the
 * environment say (64), and 10 seconds. Fewer than there are end as they
 * become idle. Calls that wait for a pool whose threads wait for such calls
 * wait for ever: then the bound is too low.
 * Switches: no. Errors: -EINVAL for a number or a time that cannot be.
 */
int tuck_offload_limit(int workers, tuck_ns idle);

/* Figures of all pools of the process. */
struct tuck_offload_stats {
	uint64_t workers;	/* threads, */
	uint64_t idle;		/* and those without a call */
	uint64_t queued;	/* calls that have not begun, */
	uint64_t running;	/* that have, */
	uint64_t ended;		/* that ended, since the process began, */
	uint64_t withdrawn;	/* and that never ran */
	int workers_max;	/* the bound of a pool */
};

/*
 * Fill in those figures.
 * Switches: no. Errors: -EINVAL for NULL.
 */
int tuck_offload_stats(struct tuck_offload_stats *ret_stats);

#ifdef __cplusplus
}
#endif

#endif
