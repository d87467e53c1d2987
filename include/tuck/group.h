/* SPDX-License-Identifier: MIT */
/*
 * Groups of tasklets that belong together: started into one scope, waited
 * for, cancelled and killed as one, bounded by one deadline. A tasklet does
 * not outlive its group. After Sústrik's "structured concurrency" (libdill)
 * and the nurseries of Smith's trio.
 */
#ifndef TUCK_GROUP_H
#define TUCK_GROUP_H

#include <tuck/task.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tuck_group;

/*
 * Make a group. Past the deadline, each wait of its tasklets returns -ETIME,
 * except in their cleanups at their end; one that is past the wait's own
 * deadline returns -ETIMEDOUT as ever. A group made by a member of another one
 * has the earlier of the two deadlines; tuck_group_expired() tells whose an
 * -ETIME was. Members are those of tuck_group_go() alone: what one starts by
 * tuck_go() has no deadline of the group's and may outlive it.
 * Switches: no. Errors: -EINVAL for a negative deadline, -ENOMEM;
 * *ret_group is untouched then.
 */
int tuck_group_new(struct tuck_group **ret_group, tuck_ns deadline);

/*
 * Make a tasklet in the group, which runs fn(arg). A negative value that fn
 * returns is an error of the group, and so is -ECANCELED of one that does not
 * return: killed, by itself too, or dropped. One that ends by tuck_exit()
 * counts as 0. The first error is kept; after tuck_group_cancel() or
 * tuck_group_kill() none is any more.
 * Switches: no. Errors: -EINVAL, -ENOMEM, -ECANCELED when the group was
 * cancelled or killed, -EXDEV on another proc than the one that made it.
 */
tuck_id tuck_group_go(struct tuck_group *group, int (*fn)(void *), void *arg);

enum tuck_group_wait {
	TUCK_GROUP_ALL,		/* until all tasklets have ended */
	TUCK_GROUP_ERROR	/* or until one has ended with an error */
};

/*
 * Wait for the tasklets of the group. Returns the group's first error, or 0.
 * Of a tasklet that was cancelled alone, what fn returns counts.
 * Switches: may. Errors: those, and -ETIMEDOUT, -EAGAIN for TUCK_NOWAIT,
 * -EINVAL, -EXDEV, -EDEADLK for a member of the group.
 */
int tuck_group_wait(struct tuck_group *group, enum tuck_group_wait until,
		    tuck_ns deadline);

/*
 * tuck_cancel() each tasklet of the group; no others can be started.
 * Switches: no. Errors: -EINVAL, -EXDEV.
 */
int tuck_group_cancel(struct tuck_group *group);

/*
 * tuck_kill() each tasklet of the group; no others can be started. A member
 * that kills its group does not return.
 * Switches: no. Errors: -EINVAL, -EXDEV.
 */
int tuck_group_kill(struct tuck_group *group);

/*
 * How many tasklets of the group have not ended.
 * Switches: no. Errors: -EINVAL, -EXDEV.
 */
int tuck_group_count(const struct tuck_group *group);

/*
 * Whether the deadline that the group was made with has passed: 1 or 0. While
 * it has not, an -ETIME of its members is an outer group's.
 * Switches: no. Errors: -EINVAL, -EXDEV.
 */
int tuck_group_expired(const struct tuck_group *group);

/*
 * Kill the tasklets of the group, wait until all have ended, whatever the
 * caller's own state is, and give the group back; NULL is ignored. Returns
 * its first error, or 0. A caller that is cancelled or killed meanwhile waits
 * on. It is what a cleanup of tuck_defer() is for.
 * Switches: may. Errors: those, and -EXDEV, -EDEADLK for a member or when
 * nothing can end the wait, -ENOMEM where the caller could not be suspended:
 * the group is still there then.
 */
int tuck_group_free(struct tuck_group *group);

#ifdef __cplusplus
}
#endif

#endif
