/* SPDX-License-Identifier: MIT */
/*
 * Mutex, rwlock, cond, sem, waitgroup, once, event and barrier, for tasklets
 * of all procs. Any OS thread may call what does not wait; a signal handler
 * may call nothing of this.
 *
 * An object lies in the caller's memory: with its ..._INIT, or after its
 * tuck_..._init(), it is ready for use, and it is done with after its
 * tuck_..._fini(), which holds nothing back but checks that it is unused. It
 * must stay where it is, so it may lie on a stack only if that is never
 * tucked: a main tasklet's, or one of its own (stack_bytes). On another one,
 * tuck_..._init() says -EINVAL, and a wait ends the process with a message.
 * Memory may be given back once every call on it has returned; for a mutex,
 * rwlock, sem, waitgroup and event, already by whoever was let go by the last
 * one.
 *
 * All serve in the order of coming: who lets somebody go gives it what it
 * waits for, so nobody can come in between. Whoever is let go is appended to
 * its proc's run queue; the caller goes on. If it is killed or dropped before
 * it runs, the next one gets it.
 */
#ifndef TUCK_SYNC_H
#define TUCK_SYNC_H

#include <tuck/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of no concern to the caller. */
#if defined(__GNUC__)
typedef int64_t tuck__word __attribute__((__aligned__(8)));
#else
typedef int64_t tuck__word;
#endif

/* -- mutex -- */

struct tuck_mutex {
	tuck__word tuck__opaque[7];
};

#define TUCK_MUTEX_INIT { { 0 } }

/*
 * Make an unlocked mutex.
 * Switches: no. Errors: -EINVAL for NULL.
 */
int tuck_mutex_init(struct tuck_mutex *mutex);

/*
 * Be done with a mutex.
 * Switches: no. Errors: -EINVAL for NULL, -EBUSY while it is locked.
 */
int tuck_mutex_fini(struct tuck_mutex *mutex);

/*
 * Lock it: the caller owns it. If its last owner ended without unlocking,
 * the call returns -EOWNERDEAD and the caller owns it just the same: what it
 * protects may be half done. It is as good as new once unlocked.
 * Switches: may.
 * Errors: -EOWNERDEAD; -EDEADLK if the caller owns it, or if its wait, for
 * ever, would close a cycle of such waits (each for a mutex, or the first
 * run of a once, that the next one holds): the cycle is then written to
 * standard error, or the function of tuck_on_deadlock() called; -ETIMEDOUT,
 * -EAGAIN for TUCK_NOWAIT, -EINVAL for NULL or a negative deadline.
 */
int tuck_mutex_lock(struct tuck_mutex *mutex, tuck_ns deadline);

/*
 * Unlock it; the first who waits owns it then.
 * Switches: no. Errors: -EINVAL for NULL, -EPERM if the caller is not its
 * owner.
 */
int tuck_mutex_unlock(struct tuck_mutex *mutex);

/* -- rwlock -- */

struct tuck_rwlock {
	tuck__word tuck__opaque[5];
};

#define TUCK_RWLOCK_INIT { { 0 } }

/*
 * Make an unlocked lock for one writer or many readers.
 * Switches: no. Errors: -EINVAL for NULL.
 */
int tuck_rwlock_init(struct tuck_rwlock *rwlock);

/*
 * Be done with it.
 * Switches: no. Errors: -EINVAL for NULL, -EBUSY while it is locked.
 */
int tuck_rwlock_fini(struct tuck_rwlock *rwlock);

/*
 * Lock it for reading. Who comes while others wait, waits behind them, so a
 * tasklet must not take it twice. A tasklet that ends does not unlock it.
 * Switches: may.
 * Errors: -EDEADLK if the caller has it for writing, -ETIMEDOUT, -EAGAIN for
 * TUCK_NOWAIT, -EINVAL for NULL or a negative deadline.
 */
int tuck_rwlock_rdlock(struct tuck_rwlock *rwlock, tuck_ns deadline);

/*
 * Lock it for writing.
 * Switches: may. Errors: as tuck_rwlock_rdlock().
 */
int tuck_rwlock_wrlock(struct tuck_rwlock *rwlock, tuck_ns deadline);

/*
 * Unlock what the caller locked, in whichever way. When it is free the first
 * writer gets it, or all readers up to the next writer.
 * Switches: no. Errors: -EINVAL for NULL, -EPERM if it is not locked, or for
 * writing by another tasklet.
 */
int tuck_rwlock_unlock(struct tuck_rwlock *rwlock);

/* -- cond -- */

struct tuck_cond {
	tuck__word tuck__opaque[5];
};

#define TUCK_COND_INIT { { 0 } }

/*
 * Make a condition.
 * Switches: no. Errors: -EINVAL for NULL.
 */
int tuck_cond_init(struct tuck_cond *cond);

/*
 * Be done with it.
 * Switches: no. Errors: -EINVAL for NULL, -EBUSY while somebody waits.
 */
int tuck_cond_fini(struct tuck_cond *cond);

/*
 * Unlock the mutex and wait for a signal, as one step; lock it again before
 * the call returns, whatever it returns, and however long that takes. A
 * tasklet that is killed here locks it again too, before its cleanups run;
 * one that is dropped does not. No wake-up without a signal.
 * Switches: may.
 * Errors: -EPERM if the caller does not own the mutex; -ENOTRECOVERABLE if
 * it could not be locked again, for want of memory or in a cycle: only then
 * it is not; -EOWNERDEAD as tuck_mutex_lock(); -ETIMEDOUT, -EAGAIN for
 * TUCK_NOWAIT (it was not unlocked), -EINVAL.
 */
int tuck_cond_wait(struct tuck_cond *cond, struct tuck_mutex *mutex,
		   tuck_ns deadline);

/*
 * Let the first who waits go; nothing if nobody does.
 * Switches: no. Errors: -EINVAL for NULL.
 */
int tuck_cond_signal(struct tuck_cond *cond);

/*
 * Let all who wait go.
 * Switches: no. Errors: -EINVAL for NULL.
 */
int tuck_cond_broadcast(struct tuck_cond *cond);

/* -- sem -- */

struct tuck_sem {
	tuck__word tuck__opaque[5];
};

#define TUCK_SEM_INIT(value) { { (int64_t)(value) } }

/*
 * Make a semaphore of that value.
 * Switches: no. Errors: -EINVAL for NULL or a negative value.
 */
int tuck_sem_init(struct tuck_sem *sem, int value);

/*
 * Be done with it.
 * Switches: no. Errors: -EINVAL for NULL, -EBUSY while somebody waits.
 */
int tuck_sem_fini(struct tuck_sem *sem);

/*
 * Take one from its value; wait while it is 0. Dijkstra's P.
 * Switches: may.
 * Errors: -ETIMEDOUT, -EAGAIN for TUCK_NOWAIT, -EINVAL for NULL or a
 * negative deadline.
 */
int tuck_sem_wait(struct tuck_sem *sem, tuck_ns deadline);

/*
 * Give one to the first who waits, or add it to its value. Dijkstra's V.
 * Switches: no. Errors: -EINVAL for NULL, -EOVERFLOW above INT32_MAX.
 */
int tuck_sem_post(struct tuck_sem *sem);

/* -- waitgroup -- */

struct tuck_waitgroup {
	tuck__word tuck__opaque[5];
};

#define TUCK_WAITGROUP_INIT { { 0 } }

/*
 * Make a waitgroup with nothing to wait for.
 * Switches: no. Errors: -EINVAL for NULL.
 */
int tuck_waitgroup_init(struct tuck_waitgroup *group);

/*
 * Be done with it.
 * Switches: no. Errors: -EINVAL for NULL, -EBUSY while somebody waits.
 */
int tuck_waitgroup_fini(struct tuck_waitgroup *group);

/*
 * Add n, which may be negative, to what is still to be done; at 0 all who
 * wait go.
 * Switches: no. Errors: -EINVAL for NULL or below 0, -EOVERFLOW above
 * INT32_MAX; then nothing was added.
 */
int tuck_waitgroup_add(struct tuck_waitgroup *group, int n);

/*
 * Add -1.
 * Switches: no. Errors: as tuck_waitgroup_add().
 */
int tuck_waitgroup_done(struct tuck_waitgroup *group);

/*
 * Wait until nothing is to be done.
 * Switches: may. Errors: as tuck_sem_wait().
 */
int tuck_waitgroup_wait(struct tuck_waitgroup *group, tuck_ns deadline);

/* -- once -- */

struct tuck_once {
	tuck__word tuck__opaque[7];
};

#define TUCK_ONCE_INIT { { 0 } }

/*
 * Make one that has not run.
 * Switches: no. Errors: -EINVAL for NULL.
 */
int tuck_once_init(struct tuck_once *once);

/*
 * Be done with it.
 * Switches: no. Errors: -EINVAL for NULL, -EBUSY while its function runs.
 */
int tuck_once_fini(struct tuck_once *once);

/*
 * Run fn(arg), unless that was done before by such a call on this once; wait
 * while it is being done. If fn does not return, for it was left by a kill,
 * a drop or a C++ exception, the next caller runs its own.
 * Switches: may.
 * Errors: -EDEADLK from inside fn, or for a cycle as tuck_mutex_lock();
 * -ETIMEDOUT, -EAGAIN for TUCK_NOWAIT while another one runs it, -EINVAL for
 * NULL or a negative deadline. The deadline is not fn's.
 */
int tuck_once(struct tuck_once *once, void (*fn)(void *), void *arg,
	      tuck_ns deadline);

/* -- event -- */

struct tuck_event {
	tuck__word tuck__opaque[5];
};

#define TUCK_EVENT_INIT		{ { 0 } }
#define TUCK_EVENT_AUTO_INIT	{ { 2 } }

/*
 * Make an event that is not set. With auto_reset not 0 each set lets one
 * waiter go and is used up by that.
 * Switches: no. Errors: -EINVAL for NULL.
 */
int tuck_event_init(struct tuck_event *event, int auto_reset);

/*
 * Be done with it.
 * Switches: no. Errors: -EINVAL for NULL, -EBUSY while somebody waits.
 */
int tuck_event_fini(struct tuck_event *event);

/*
 * Set it: all who wait go, and all who come until it is reset; or one.
 * Switches: no. Errors: -EINVAL for NULL.
 */
int tuck_event_set(struct tuck_event *event);

/*
 * Make it unset.
 * Switches: no. Errors: -EINVAL for NULL.
 */
int tuck_event_reset(struct tuck_event *event);

/*
 * Wait until it is set.
 * Switches: may. Errors: as tuck_sem_wait().
 */
int tuck_event_wait(struct tuck_event *event, tuck_ns deadline);

/* -- barrier -- */

struct tuck_barrier {
	tuck__word tuck__opaque[5];
};

#define TUCK_BARRIER_INIT(n) { { (int64_t)(n) } }

/*
 * Make a barrier for n tasklets.
 * Switches: no. Errors: -EINVAL for NULL or an n below 1.
 */
int tuck_barrier_init(struct tuck_barrier *barrier, int n);

/*
 * Be done with it.
 * Switches: no. Errors: -EINVAL for NULL, -EBUSY while somebody waits.
 */
int tuck_barrier_fini(struct tuck_barrier *barrier);

/*
 * Wait until n tasklets have come. The last one lets the others go and does
 * not wait: it gets 1, they get 0. The barrier is then as before. Who gives
 * up does not count any more.
 * Switches: may. Errors: as tuck_sem_wait().
 */
int tuck_barrier_wait(struct tuck_barrier *barrier, tuck_ns deadline);

#ifdef __cplusplus
}
#endif

#endif
