/* SPDX-License-Identifier: MIT */
/* Messages: what descriptors that are passed on need of them. */
#ifndef TUCK__MESSAGE_H
#define TUCK__MESSAGE_H

#include <stdbool.h>
#include <tuck/messages.h>

#define TUCK__SCM_PIDFD 4	/* which libc may not know */

static inline bool tuck__has_fds(const struct cmsghdr *c)
{
	return c->cmsg_level == SOL_SOCKET &&
	       (c->cmsg_type == SCM_RIGHTS || c->cmsg_type == TUCK__SCM_PIDFD);
}

/*
 * One try, as the tasklet goes on: the result, or a negative error. What is
 * known of the descriptors that came or went with it is right then.
 */
ssize_t tuck__try_recvmsg(int fd, struct msghdr *msg, int flags,
			  tuck_ns deadline, int woken);
ssize_t tuck__try_sendmsg(int fd, const struct msghdr *msg, int flags,
			  tuck_ns deadline, int woken);

/* Until there is room for who has that name, or at the other end. */
int tuck__wait_named(int fd, const void *name, tuck_ns deadline);

/* tuck__input_done() of a call after which no others may run. */
ssize_t tuck__input_kept(ssize_t r);

#endif
