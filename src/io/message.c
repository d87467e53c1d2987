/* SPDX-License-Identifier: MIT */
/* Messages: recvmsg, sendmsg, one or many, and what is made of them. */
#include <string.h>

#include "io/message.h"
#include "io/try.h"

#define RECV_FLAGS (MSG_PEEK | MSG_TRUNC | MSG_OOB | MSG_ERRQUEUE | \
		    MSG_CMSG_CLOEXEC | MSG_DONTWAIT)
#define SEND_FLAGS (MSG_MORE | MSG_EOR | MSG_OOB | MSG_CONFIRM | \
		    MSG_DONTROUTE | MSG_NOSIGNAL | MSG_DONTWAIT)
#define MANY_MAX 1024

/* Whether a stream that gave less than was asked for is empty. */
static inline bool reads(int flags)
{
	return !(flags & (MSG_PEEK | MSG_TRUNC | MSG_OOB | MSG_ERRQUEUE));
}

/* -- descriptors that come or go with them -- */

static void come(struct tuck__sched *s, int fd)
{
	tuck__fd_adopt(s, fd, 0);
}

static tuck__noinline void each_fd(const struct msghdr *of,
				   void (*fn)(struct tuck__sched *s, int fd))
{
	struct msghdr *msg = (struct msghdr *)(uintptr_t)of;
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);

	for (; c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fd;

		if (!tuck__has_fds(c))
			continue;
		for (size_t i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			fn(tuck__tls, fd);
		}
	}
}

static inline void came(const struct msghdr *msg)
{
	if (tuck__unlikely(msg->msg_controllen > 0))
		each_fd(msg, come);
}

/* Closing ours will not be the end of them. */
static inline void went(const struct msghdr *msg)
{
	if (tuck__unlikely(msg->msg_controllen > 0))
		each_fd(msg, tuck__fd_share);
}

/* -- one try -- */

tuck__noinline ssize_t tuck__try_recvmsg(int fd, struct msghdr *msg, int flags,
					 tuck_ns deadline, int woken)
{
	struct tuck__fd *f;
	size_t asked;
	ssize_t r;

	TUCK__REQUIRE(msg && !(flags & ~RECV_FLAGS), -EINVAL);
	TUCK__REQUIRE(msg->msg_iovlen <= IOV_MAX &&
			      (msg->msg_iov || !msg->msg_iovlen),
		      -EINVAL);
	r = tuck__try(fd, deadline, woken, &f);
	if (r < 0)
		return r;
	asked = reads(flags) ? tuck__total(msg->msg_iov, msg->msg_iovlen) : 0;
	if (tuck__must_wait(f, asked, deadline))
		return -EAGAIN;
	do
		r = recvmsg(fd, msg, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	came(msg);
	return tuck__input_came(f, r, asked);
}

tuck__noinline ssize_t tuck__try_sendmsg(int fd, const struct msghdr *msg,
					 int flags, tuck_ns deadline, int woken)
{
	struct tuck__fd *f;
	ssize_t r;

	TUCK__REQUIRE(msg && !(flags & ~SEND_FLAGS), -EINVAL);
	r = tuck__try(fd, deadline, woken, &f);
	if (r < 0)
		return r;
	do
		r = sendmsg(fd, msg, flags | TUCK__SEND_FLAGS);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	went(msg);
	return r;
}

tuck__noinline int tuck__wait_named(int fd, const void *name, tuck_ns deadline)
{
	return name ? tuck__fd_park_named(tuck__tls, fd, deadline) :
		      tuck__fd_park(tuck__tls, fd, TUCK_WRITABLE, deadline);
}

/* -- one -- */

static tuck__noinline int wait_recvmsg(int fd, const struct msghdr *msg,
				       tuck_ns deadline)
{
	const struct iovec *iov = msg->msg_iov;

	return msg->msg_iovlen == 1 ? tuck__wait_input(fd, iov->iov_base,
						       iov->iov_len, deadline) :
				      tuck__wait_input(fd, NULL, 0, deadline);
}

tuck__noinline ssize_t tuck__input_kept(ssize_t r)
{
	if (tuck__likely(tuck__tls != NULL))
		tuck__ctx_unhole(&tuck__tls->current->ctx);
	return r;
}

/* There may be descriptors in what came: no others run after it. */
ssize_t tuck_recvmsg(int fd, struct msghdr *msg, int flags, tuck_ns deadline)
{
	ssize_t r = TUCK__FD_FIRST;

	tuck__breathe(0);
	do
		r = tuck__try_recvmsg(fd, msg, flags, deadline, (int)r);
	while (tuck__would_block(r, deadline) &&
	       (r = wait_recvmsg(fd, msg, deadline)) >= 0);
	return tuck__input_kept(r);
}

ssize_t tuck_sendmsg(int fd, const struct msghdr *msg, int flags,
		     tuck_ns deadline)
{
	ssize_t r = TUCK__FD_FIRST;

	do
		r = tuck__try_sendmsg(fd, msg, flags, deadline, (int)r);
	while (tuck__would_block(r, deadline) &&
	       (r = tuck__wait_named(fd, msg->msg_name, deadline)) >= 0);
	return tuck__breathe(r);
}

static tuck__noinline ssize_t try_recv_from(int fd, void *buf, size_t n,
					    struct tuck_addr *ret_from,
					    tuck_ns deadline, int woken)
{
	struct tuck_addr from = { .len = 0 };
	struct iovec iov = { buf, n };
	struct msghdr msg = {
		.msg_name = ret_from ? &from.sa : NULL,
		.msg_namelen = ret_from ? sizeof(from.sa) : 0,
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t r = tuck__try_recvmsg(fd, &msg, 0, deadline, woken);

	if (r >= 0 && msg.msg_flags & MSG_TRUNC)
		return -EMSGSIZE;
	if (r >= 0 && ret_from) {
		from.len = msg.msg_namelen;
		*ret_from = from;
	}
	return r;
}

ssize_t tuck_recv_from(int fd, void *buf, size_t n, struct tuck_addr *ret_from,
		       tuck_ns deadline)
{
	ssize_t r = TUCK__FD_FIRST;

	do
		r = try_recv_from(fd, buf, n, ret_from, deadline, (int)r);
	while (tuck__would_block(r, deadline) &&
	       (r = tuck__wait_input(fd, buf, n, deadline)) >= 0);
	return tuck__input_done(r);
}

static tuck__noinline ssize_t try_send_to(int fd, const void *buf, size_t n,
					  const struct tuck_addr *to,
					  tuck_ns deadline, int woken)
{
	struct iovec iov = { (void *)(uintptr_t)buf, n };
	struct msghdr msg = {
		.msg_name = to ? (void *)(uintptr_t)&to->sa : NULL,
		.msg_namelen = to ? to->len : 0,
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};

	return tuck__try_sendmsg(fd, &msg, 0, deadline, woken);
}

ssize_t tuck_send_to(int fd, const void *buf, size_t n,
		     const struct tuck_addr *to, tuck_ns deadline)
{
	ssize_t r = TUCK__FD_FIRST;

	do
		r = try_send_to(fd, buf, n, to, deadline, (int)r);
	while (tuck__would_block(r, deadline) &&
	       (r = tuck__wait_named(fd, to, deadline)) >= 0);
	return tuck__breathe(r);
}

/* -- many -- */

static inline unsigned at_most(int n)
{
	return n < MANY_MAX ? (unsigned)n : MANY_MAX;
}

static tuck__noinline int try_recvmmsg(int fd, struct mmsghdr *msgs, int n,
				       int flags, tuck_ns deadline, int woken)
{
	struct tuck__fd *f;
	int r;

	TUCK__REQUIRE(msgs && n > 0 && !(flags & ~RECV_FLAGS), -EINVAL);
	r = tuck__try(fd, deadline, woken, &f);
	if (r < 0)
		return r;
	do
		r = recvmmsg(fd, msgs, at_most(n),
			     flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
	while (r < 0 && errno == EINTR);
	for (int i = 0; i < r; i++)
		came(&msgs[i].msg_hdr);
	return r < 0 ? -errno : r;
}

int tuck_recvmmsg(int fd, struct mmsghdr *msgs, int n, int flags,
		  tuck_ns deadline)
{
	int r = TUCK__FD_FIRST;

	tuck__breathe(0);
	do
		r = try_recvmmsg(fd, msgs, n, flags, deadline, r);
	while (tuck__would_block(r, deadline) &&
	       (r = tuck__fd_park(tuck__tls, fd, TUCK_READABLE, deadline)) >=
		       0);
	return r;
}

static tuck__noinline int try_sendmmsg(int fd, struct mmsghdr *msgs, int n,
				       int flags, tuck_ns deadline, int woken)
{
	struct tuck__fd *f;
	int r;

	TUCK__REQUIRE(msgs && n > 0 && !(flags & ~SEND_FLAGS), -EINVAL);
	r = tuck__try(fd, deadline, woken, &f);
	if (r < 0)
		return r;
	do
		r = sendmmsg(fd, msgs, at_most(n), flags | TUCK__SEND_FLAGS);
	while (r < 0 && errno == EINTR);
	for (int i = 0; i < r; i++)
		went(&msgs[i].msg_hdr);
	return r < 0 ? -errno : r;
}

int tuck_sendmmsg(int fd, struct mmsghdr *msgs, int n, int flags,
		  tuck_ns deadline)
{
	int r = TUCK__FD_FIRST;

	do
		r = try_sendmmsg(fd, msgs, n, flags, deadline, r);
	while (tuck__would_block(r, deadline) &&
	       (r = tuck__wait_named(fd, msgs->msg_hdr.msg_name, deadline)) >=
		       0);
	return (int)tuck__breathe(r);
}
