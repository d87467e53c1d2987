/* SPDX-License-Identifier: MIT */
/*
 * Pre-emption by ticks, for tasklets that compute and do not yield. A tick is
 * whatever the program counts with tuck_tick(), like an opcode of its
 * interpreter. Or it is a basic block of the object files that are compiled
 * with a flag of the compiler's and linked with libtuck-preempt:
 * docs/preemption.md has the flags, and what such code must not do.
 */
#ifndef TUCK_PREEMPT_H
#define TUCK_PREEMPT_H

#include <tuck/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * From now on a tasklet of the caller's proc that has counted so many ticks
 * since it was last switched to yields. 0, as it is at first: none does.
 * Switches: no. Errors: -EINVAL for a negative number.
 */
int tuck_quantum_set(int64_t ticks);

/*
 * With on not 0 the calling tasklet is not pre-empted until it turns that
 * off; it may wait all the same, and the others are pre-empted meanwhile.
 * Returns what was before, 0 or 1, to be put back at the end of a section. A
 * pre-emption that became due inside comes with the first tick after it.
 * Switches: no. Errors: none.
 */
int tuck_atomic(int on);

/*
 * Let the others of the proc run until none of them is ready: 0. Or, if ticks
 * is not 0, until one has counted that many since it was last switched to:
 * its id. It is paused then: tuck_unblock() makes it ready again, tuck_kill()
 * ends it. The caller runs at once. Meanwhile ticks takes the place of the
 * quantum, so who waits or yields in time starts anew. Stackless' watchdog.
 * Switches: may.
 * Errors: -EINVAL for a negative number, -EBUSY while another tasklet of the
 * proc is in this call.
 */
tuck_id tuck_run(int64_t ticks);

/*
 * Count n ticks for the caller, who is pre-empted if that uses up what it has.
 * It is not inside tuck_atomic(), on any stack but its own (as in a signal
 * handler with one), nor in what Tuck calls, like a policy's functions.
 * Switches: may. Errors: none; a negative n counts as 0.
 */
void tuck_tick(int64_t n);

/*
 * Whether a call that waits may be made here. Not in a thread that is no
 * proc, nor where tuck_tick() does not pre-empt but for tuck_atomic().
 * Switches: no. Errors: none.
 */
int tuck_can_switch(void);

/*
 * What the calling thread counts with, for those who count fast: if *switches
 * is seen and left is above 1, it is enough to take 1 from left. Otherwise
 * call tuck_tick(1).
 */
struct tuck_ticks {
	int64_t left;			/* of the running tasklet's */
	uint64_t seen;			/* *switches when left was set */
	const volatile uint64_t *switches;
};

/*
 * The calling thread's; it stays there until the thread ends.
 * Switches: no. Errors: none.
 */
struct tuck_ticks *tuck_ticks(void);

#ifdef __cplusplus
}
#endif

#endif
