/* SPDX-License-Identifier: MIT */
/*
 * What all calls that read or write have in common: look up the descriptor,
 * try, and where that would block, wait for an edge and try again.
 *
 * Each call is tried in a function of its own, whose frame is gone while the
 * tasklet waits (rule S5). A call that makes descriptors lets others run
 * before its first try, not after its last: it might be killed there, and
 * nobody would close them.
 */
#ifndef TUCK__TRY_H
#define TUCK__TRY_H

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <tuck/io.h>

#include "io/poller.h"

#define TUCK__SEND_FLAGS (MSG_NOSIGNAL | MSG_DONTWAIT)

/*
 * Before a try: the descriptor's entry, or why there will be none. woken is
 * TUCK__FD_FIRST, or what the last wait gave.
 */
static inline int tuck__try(int fd, tuck_ns deadline, int woken,
			    struct tuck__fd **ret_fd)
{
	struct tuck__sched *s = tuck__sched();

	TUCK__REQUIRE(deadline >= 0, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	return tuck__fd_get_again(s, fd, woken, ret_fd);
}

/* Whether the next input is certain to come with an edge. */
static inline bool tuck__must_wait(const struct tuck__fd *f, size_t asked,
				   tuck_ns deadline)
{
	return (f->bits & TUCK__FD_EMPTY) && asked && deadline != TUCK_NOWAIT;
}

/* What a try gave. Who asked for nothing got all of it. */
static inline ssize_t tuck__input_came(struct tuck__fd *f, ssize_t r,
				       size_t asked)
{
	const uint32_t sure = TUCK__FD_STREAM | TUCK__FD_ADDED;

	if (r < 0)
		return errno == EAGAIN && asked == 0 ? 0 : -errno;
	if (r > 0 && (size_t)r < asked &&
	    (f->bits & (sure | TUCK__FD_HUNG)) == sure)
		f->bits |= TUCK__FD_EMPTY;
	return r;
}

static inline bool tuck__would_block(ssize_t r, tuck_ns deadline)
{
	return r == -EAGAIN && deadline != TUCK_NOWAIT;
}

/* buf + done, also of NULL, where C has no sum but calls take no bytes. */
static inline void *tuck__rest(const void *buf, size_t done)
{
	return (void *)((uintptr_t)buf + done);
}

static inline bool tuck__buffers_valid(const struct iovec *iov, int n)
{
	return n >= 0 && n <= IOV_MAX && (iov || n == 0);
}

static inline size_t tuck__total(const struct iovec *iov, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* -- rw.c -- */

/* Until the read has happened, [buf, buf + n) is dead: no need to keep it. */
int tuck__wait_input(int fd, const void *buf, size_t n, tuck_ns deadline);
int tuck__wait_output(int fd, tuck_ns deadline);

/* The hole ends with the call that made it. */
ssize_t tuck__input_done(ssize_t r);

/* Which of events are there now, as poll(2) has it; -EAGAIN, or an error. */
int tuck__ready_events(int fd, int events);

/* -- borrowed.c: descriptors with TUCK__FD_BLOCKS -- */

/*
 * Of no sockets: as readv(2) and writev(2), errno and all, if they did not
 * block.
 */
ssize_t tuck__borrowed_readv(int fd, struct tuck__fd *f,
			     const struct iovec *iov, int n);
ssize_t tuck__borrowed_writev(int fd, struct tuck__fd *f,
			      const struct iovec *iov, int n);

/* Which poll(2) finds ready for that; errno says why not. */
bool tuck__borrowed_ready(int fd, int events);

/* As writev(2), or tuck__borrowed_writev() of what blocks, without SIGPIPE. */
ssize_t tuck__writev_quietly(int fd, struct tuck__fd *f,
			     const struct iovec *iov, int n);

#endif
