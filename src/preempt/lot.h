/* SPDX-License-Identifier: MIT */
/*
 * A parking lot: tasklets that wait for objects which are not Tuck's own, by
 * their addresses; lot.c tells how it works.
 */
#ifndef TUCK__LOT_H
#define TUCK__LOT_H

#include <errno.h>
#include <time.h>
#include <tuck/sync.h>

#include "base/list.h"
#include "preempt/preempt.h"

/* How often those look for themselves whom nobody may tell. */
#define TUCK__LOT_POLL TUCK_MS(10)

/* A tasklet that waits for an object. */
struct tuck__parked {
	struct tuck__link link;
	const void *at;
	tuck_id of;
	bool in, settled;	/* in the lot; out, with nothing to pass on */
	struct tuck_sem sem;
};

/* NULL without memory. */
struct tuck__parked *tuck__lot_enter(const void *at);

/*
 * Out of it, and freed; a call that let it go in vain goes to another one.
 * False if there is none.
 */
bool tuck__lot_leave(struct tuck__parked *p);

/*
 * What tuck_sem_wait() and tuck_sleep() say, or 0 if it was let go just then.
 * They wait on when the tasklet is cancelled, of which POSIX has no way to
 * tell; the next wait that has one is told.
 */
int tuck__lot_wait(struct tuck__parked *p, tuck_ns deadline);
int tuck__lot_sleep(tuck_ns deadline);

/* Let the first go that waits for it, or all: whether there was one. */
bool tuck__lot_wake(const void *at, bool all);

/*
 * Try until attempt() says other than EBUSY, or ETIMEDOUT. What it says is 0
 * or a positive error. EINVAL if it would have to wait for a negative deadline.
 */
typedef int tuck__attempt(void *object);
int tuck__lot_acquire(void *object, tuck__attempt *attempt, tuck_ns deadline);

/* -- who owns what the system takes for the thread's -- */

/*
 * Have the calling tasklet own an object, if take(object) is 0 or NULL. EBUSY
 * if another one owns it, EDEADLK if it does itself and deep is false, EAGAIN
 * without memory, or what take() says: after EOWNERDEAD it owns it, too.
 */
int tuck__lot_own(void *object, tuck__attempt *take, bool deep);

/* Once less: 0, EPERM if another one owns it. Nobody does: 0. */
int tuck__lot_disown(void *object);

/* On the clock of tuck_now(). -EINVAL for what is no time of such a clock. */
tuck_ns tuck__lot_deadline(clockid_t clock, const struct timespec *until);

#endif
