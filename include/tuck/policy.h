/* SPDX-License-Identifier: MIT */
/*
 * Policies: who of a proc's ready tasklets runs next. A proc without one
 * takes the first that came; a policy is a table of functions, of the
 * program's or one of those below.
 */
#ifndef TUCK_POLICY_H
#define TUCK_POLICY_H

#include <tuck/task.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TUCK_PRIORITY_MAX	127	/* and -127 is the least */
#define TUCK_WEIGHT_DEFAULT	100
#define TUCK_WEIGHT_MAX		1000000

/*
 * A tasklet as a policy sees it. The links and words are the policy's own;
 * they are zero when it first sees the tasklet.
 */
struct tuck_entity {
	tuck_id id;
	tuck_ns due;		/* TUCK_FOREVER: not said */
	int priority;		/* the greater, the more urgent */
	uint32_t weight;
	struct tuck_entity *links[3];
	uint64_t words[2];
};

/*
 * What a policy has to do. The functions run one at a time, on the stack of
 * the tasklet that stops; of Tuck they may call only tuck_now() and
 * tuck_after().
 * - init: make the state, from what tuck_policy_set() was given; 0, or the
 *   negative error that it returns (-EINVAL for a positive result). NULL:
 *   there is no state.
 * - fini: the last call. NULL: nothing to do.
 * - ready: this tasklet may be chosen from now on.
 * - next: choose: the id of one that is ready and from now on no more. Called
 *   only while there is one.
 * - removed: this tasklet is no more ready, without having been chosen: it
 *   was dropped, somebody transfers to it, or its attributes change.
 *
 * The scheduler tells of all who became ready right before it asks for the
 * next, in their order. When a tasklet has not been chosen for very long, it
 * takes out all by next and tells of them anew, to see that none was lost.
 */
struct tuck_policy {
	const char *name;
	int (*init)(void **ret_state, const void *arg);
	void (*fini)(void *state);
	void (*ready)(void *state, struct tuck_entity *entity);
	tuck_id (*next)(void *state);
	void (*removed)(void *state, struct tuck_entity *entity);
};

/*
 * Let a policy decide for the calling proc from the next switch on; NULL for
 * first in, first out. The policy must stay in memory; arg is for its init.
 * Those who are ready are handed over in the order in which they became so.
 * A policy that chooses one who is not ready, nobody though there are some,
 * or that switches or drops a tasklet, ends the process with a line that
 * names it.
 * Switches: no. Errors: -EINVAL for a policy without name, ready, next or
 * removed, -EBUSY inside a policy's function, -ENOMEM, those of init; the old
 * policy stays then.
 */
int tuck_policy_set(const struct tuck_policy *policy, const void *arg);

/*
 * Change what tuck_go_with() gave a tasklet of the same proc: its priority
 * (-127 to 127, by default 0), its weight (1 to 1,000,000, by default 100),
 * or the time at which its work is due. One that is ready takes its place
 * anew.
 * Switches: no. Errors: -EINVAL, -ESRCH for an ended tasklet, -EXDEV for one
 * on another proc, -EBUSY inside a policy's function, -ENOMEM.
 */
int tuck_priority_set(tuck_id id, int priority);

/*
 * As tuck_priority_set().
 * Switches: no. Errors: as there.
 */
int tuck_weight_set(tuck_id id, uint32_t weight);

/*
 * As tuck_priority_set(); a time of tuck_now(), or TUCK_FOREVER.
 * Switches: no. Errors: as there.
 */
int tuck_due_set(tuck_id id, tuck_ns due);

/*
 * The greatest priority first, of equals who waits longest. Nobody starves:
 * each aging switches that a tasklet is ready count as a priority greater by
 * one. arg: const uint32_t *, aging, at most 4,096, by default 128; 0: strict
 * priorities, and whoever is outranked for ever never runs.
 * Switches: no. Errors: none; a bad arg is -EINVAL of tuck_policy_set().
 */
const struct tuck_policy *tuck_policy_priority(void);

/*
 * The earliest due first (Liu and Layland, 1973), of equals who waits
 * longest. arg: not used.
 * Switches: no. Errors: none.
 */
const struct tuck_policy *tuck_policy_deadline(void);

/*
 * Turns in proportion to weights: stride scheduling (Waldspurger, 1995). Who
 * was not ready has no claim to the turns that it missed. arg: not used.
 * Switches: no. Errors: none.
 */
const struct tuck_policy *tuck_policy_stride(void);

/*
 * For tests: any of the 64 who wait longest, each as likely as the others;
 * the same seed gives the same order. arg: const uint64_t *, the seed.
 * Switches: no. Errors: none.
 */
const struct tuck_policy *tuck_policy_random(void);

#define TUCK_PCT_DEPTH_MAX	16

struct tuck_pct {
	uint64_t seed;
	uint32_t depth;		/* 0 means 3 */
	uint32_t steps;		/* 0 means 1,000 */
};

/*
 * For tests: random priorities, and depth - 1 random times in each steps
 * switches at which whoever would run falls behind all others. An error that
 * depth orderings of n tasklets bring about, in a run of at most steps
 * switches, is found with a probability of at least 1 / (n * steps ^
 * (depth - 1)): PCT (Burckhardt et al., 2010). One that polls falls behind
 * after steps switches at the latest. arg: const struct tuck_pct *.
 * Switches: no. Errors: none; a depth above TUCK_PCT_DEPTH_MAX is -EINVAL
 * of tuck_policy_set().
 */
const struct tuck_policy *tuck_policy_pct(void);

#ifdef __cplusplus
}
#endif

#endif
