/* SPDX-License-Identifier: MIT */
/* Tasklets: start, wait, wake, end. docs/scheduling.md says who runs next. */
#ifndef TUCK_TASK_H
#define TUCK_TASK_H

#include <tuck/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Names a tasklet: > 0, never used again in the process. */
typedef int64_t tuck_id;

struct tuck_attr {
	const char *name;	/* for dumps; the first 31 bytes are copied */
	size_t stack_bytes;	/* not 0: a stack of its own, never copied */
	int paused;		/* not 0: starts at the first tuck_unblock() */
	/* For policies, see tuck/policy.h; 0 means the default. */
	int priority;
	uint32_t weight;
	tuck_ns due;
};

/*
 * Make a tasklet that runs fn(arg) and ends when fn returns. It takes its
 * place at the end of the run queue, and its stack when it first runs.
 * Switches: no. Errors: -EINVAL for a null fn, -ENOMEM.
 */
tuck_id tuck_go(void (*fn)(void *), void *arg);

/*
 * The same with attributes; attr is read before the call returns and may be
 * NULL.
 * Switches: no. Errors: -EINVAL for a null fn, a stack_bytes above 0 and
 * below 16 KiB, or a priority, weight or due that cannot be; -ENOMEM.
 */
tuck_id tuck_go_with(const struct tuck_attr *attr, void (*fn)(void *),
		     void *arg);

/*
 * The caller's own name.
 * Switches: no. Errors: none.
 */
tuck_id tuck_self(void);

/*
 * Take a place at the end of the run queue and let its head run. Returns at
 * once when nobody else is ready.
 * Switches: may. Errors: none.
 */
void tuck_yield(void);

/*
 * Wait until the deadline.
 * Switches: may; a deadline that has passed already only yields.
 * Errors: -EINVAL for a negative deadline, -EDEADLK for a sleep until
 * TUCK_FOREVER that nothing can end.
 */
int tuck_sleep(tuck_ns deadline);

/*
 * Wait for tuck_unblock() or tuck_transfer() to name the caller. An unblock
 * that came before the wait is not lost: the call then returns at once. At
 * most one is remembered.
 * Switches: may.
 * Errors: -ETIMEDOUT, -EAGAIN for TUCK_NOWAIT, -EINVAL for a negative
 * deadline, -EDEADLK in the main tasklet when nothing can wake it.
 */
int tuck_block(tuck_ns deadline);

/*
 * End the wait of a tasklet in tuck_block(), or start a paused one: it goes
 * to the end of its proc's run queue. Any proc may call this. A tasklet that
 * is not waiting so remembers one unblock for its next tuck_block().
 * Switches: no. Errors: -ESRCH for an id whose tasklet has ended.
 */
int tuck_unblock(tuck_id id);

/*
 * tuck_unblock() for signal handlers, of any thread, whether it is a proc or
 * not: takes no lock, allocates nothing, keeps errno. So a routine is attached
 * to an interrupt, after Stackless. A tasklet of a busy proc is made ready
 * when that looks, after 128 switches at most. A wait for ever that only a
 * handler will end counts as a deadlock: give it a deadline, TUCK_FOREVER - 1
 * will do.
 * Switches: no. Errors: -ESRCH for an id whose tasklet has ended.
 */
int tuck_post(tuck_id id);

/*
 * Unblock a tasklet, block the caller and run that tasklet now, before all
 * that are ready. Returns when somebody unblocks the caller or transfers to
 * it. The symmetric coroutine transfer of Wirth's Modula-2.
 * Switches: always, unless an error is returned or an unblock for the
 * caller was remembered: then 0 at once, and the target is only unblocked.
 * Errors: -ESRCH for an ended tasklet; -EINVAL for the caller itself or one
 * that waits for something else; -EXDEV for one on another proc; -EDEADLK as
 * tuck_block().
 */
int tuck_transfer(tuck_id id);

/*
 * Wait until a tasklet has ended, which may be of any proc; a main tasklet has
 * when its proc has. For one of another proc that is told when both procs
 * look, after 128 switches at most.
 * Switches: may.
 * Errors: -ESRCH when it has ended already, -EDEADLK for the caller itself
 * or when nothing can end the wait, -ENOMEM, -ETIMEDOUT, -EAGAIN for
 * TUCK_NOWAIT, -EINVAL for a negative deadline.
 */
int tuck_join(tuck_id id, tuck_ns deadline);

/*
 * Raise TaskletExit in a tasklet, which ends it: its wait is over, it takes
 * its place at the end of the run queue (one that is ready keeps its place),
 * and when it runs, its stack is unwound from where it was, as
 * pthread_cancel(3) does. What tuck_defer() registered runs, C++ destructors
 * and the cleanup attributes of C compiled with -fexceptions, all from the
 * innermost frame outwards; docs/scheduling.md has the details. Cleanups may
 * wait, and are not killed. A catch (...) must rethrow, and a frame that is
 * noexcept, as destructors are, must not wait: that ends the process. One
 * that has not started yet just ends. To kill oneself is tuck_exit(), but
 * that a group counts it as -ECANCELED. Tismer's plan of 2002.
 * Switches: no; for the caller itself always, and it does not return.
 * Errors: -ESRCH for an ended tasklet, -EALREADY for one that was killed or
 * is in its last cleanups, -EINVAL for a main tasklet. For a tasklet of
 * another proc only the first and the third are told.
 */
int tuck_kill(tuck_id id);

/*
 * Ask a tasklet to end: its wait, and each that it begins until
 * tuck_uncancel(), returns -ECANCELED at once. Calls that need not wait work
 * as ever, and so do its cleanups at its end. A paused one stays paused.
 * Switches: no. Errors: -ESRCH for an ended tasklet.
 */
int tuck_cancel(tuck_id id);

/*
 * Let the calling tasklet wait again. Returns whether it had been cancelled.
 * Switches: no. Errors: none.
 */
int tuck_uncancel(void);

/*
 * With its arguments in registers on i386 too, the call of tuck_defer() shows
 * where its caller's frame ends, and so when its cleanups are due.
 */
#if defined(__i386__)
#define TUCK_NO_PUSH __attribute__((__regparm__(2)))
#else
#define TUCK_NO_PUSH
#endif

/*
 * Register a cleanup: fn(arg) runs when the calling tasklet ends, in
 * whichever way but tuck_drop(), or when tuck_undefer(1) is called. Last in,
 * first out. A main tasklet ends with its proc's function, its thread's, or
 * tuck_exit(), but not by exit(3).
 * Switches: no. Errors: -EINVAL for a null fn, -ENOMEM.
 */
TUCK_NO_PUSH int tuck_defer(void (*fn)(void *), void *arg);

/*
 * Take the caller's last cleanup back, and run it if run is not 0. A caller
 * without one is left in peace.
 * Switches: no; but the cleanup may. Errors: none.
 */
void tuck_undefer(int run);

/*
 * A variable of which each tasklet has its own: static or global, since what
 * it is found by is never given back. NULL in each tasklet at first. end,
 * unless NULL, is called for a value other than NULL when its tasklet ends,
 * in whichever way but tuck_drop(), after the cleanups of tuck_defer(). It may
 * wait, and set others, whose ends are called then, three times over.
 */
struct tuck_local {
	void (*end)(void *value);
	unsigned place;		/* Tuck's; 0 at first */
};

/*
 * The caller's value.
 * Switches: no. Errors: none; NULL where none was set.
 */
void *tuck_local_get(const struct tuck_local *local);

/*
 * Set the caller's value. The one before is forgotten, not ended.
 * Switches: no. Errors: -EINVAL for NULL, -ENOMEM, -EAGAIN for the 1,025th
 * variable of the process.
 */
int tuck_local_set(struct tuck_local *local, void *value);

/*
 * Name a tasklet for dumps; the first 31 bytes are copied, and "" takes the
 * name back.
 * Switches: no. Errors: -EINVAL for NULL, -ESRCH for an ended tasklet, -EXDEV
 * for one on another proc, -ENOMEM.
 */
int tuck_name_set(tuck_id id, const char *name);

/*
 * Copy a tasklet's name, up to n - 1 bytes of it and a 0. One without a name
 * has "", a main tasklet without one has "main".
 * Switches: no. Errors: -EINVAL for NULL or n 0, -ESRCH, -EXDEV as above.
 */
int tuck_name_get(tuck_id id, char *ret_name, size_t n);

/*
 * Forget a tasklet: it never runs again, nothing on its stack is unwound or
 * freed, its memory comes back. Those who join it are woken.
 * Switches: no.
 * Errors: -ESRCH for an ended tasklet, -EINVAL for the caller itself or a
 * main tasklet, -EXDEV for one on another proc.
 */
int tuck_drop(tuck_id id);

/*
 * End the calling tasklet as tuck_kill() does, at once. In a main tasklet:
 * let the others run until the last one has ended, then end the OS thread as
 * pthread_exit(3) does.
 * Others that nothing can wake any more are reported as a deadlock and then
 * forgotten.
 * Switches: always; does not return. Errors: none.
 */
#if defined(__GNUC__)
__attribute__((__noreturn__))
#endif
void tuck_exit(void);

#ifdef __cplusplus
}
#endif

#endif
