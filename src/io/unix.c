/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that are passed on between processes, and who the other is.
 *
 * Invariants:
 * 1. From the recvmsg(2) that made descriptors to the caller's return nobody
 *    else runs, so a kill finds either none made, or the caller's own.
 * 2. There is room for as many as one message can bring. So control data that
 *    was cut means that this process could have no more descriptors.
 */
#include <string.h>
#include <tuck/messages.h>
#include <unistd.h>

#include "io/message.h"
#include "io/try.h"

#define FD_BYTES	CMSG_SPACE(TUCK_FDS_MAX * sizeof(int))
#define OTHER_BYTES	512	/* credentials, a label, if those are on */

/* -- send -- */

static void lay(struct msghdr *msg, char *control, const int *fds, int n)
{
	struct cmsghdr *c;

	msg->msg_control = control;
	msg->msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, (size_t)n * sizeof(int));
}

/*
 * Which closings of all their numbers were the last: the sum, which only grows
 * while the tasklet waits.
 */
static int closings(const int *fds, int n_fds, unsigned *ret_sum)
{
	unsigned sum = 0;

	for (int i = 0; i < n_fds; i++) {
		int r = tuck__fd_closing(fds[i], TUCK__FD_FIRST);

		if (r < 0)
			return r;
		sum += (unsigned)r;
	}
	*ret_sum = sum;
	return 0;
}

/* After a wait: none of the numbers may be a stranger's. */
static int look_at_fds(const int *fds, int n_fds, unsigned seen)
{
	unsigned sum;
	int r = closings(fds, n_fds, &sum);

	return r == 0 && sum != seen ? -EBADF : r;
}

static tuck__noinline ssize_t try_send(int fd, const struct iovec *iov,
				       const int *fds, int n_fds,
				       unsigned *seen, tuck_ns deadline,
				       int woken)
{
	_Alignas(struct cmsghdr) char control[FD_BYTES] = { 0 };
	struct msghdr msg = {
		.msg_iov = (struct iovec *)(uintptr_t)iov,
		.msg_iovlen = 1,
	};
	ssize_t r = 0;
	int err;

	TUCK__REQUIRE(n_fds >= 0 && n_fds <= TUCK_FDS_MAX, -EINVAL);
	TUCK__REQUIRE(n_fds == 0 || (fds && iov->iov_len > 0), -EINVAL);
	if (woken != TUCK__FD_FIRST)
		r = look_at_fds(fds, n_fds, *seen);
	if (r < 0)
		return r;
	if (n_fds)
		lay(&msg, control, fds, n_fds);
	r = tuck__try_sendmsg(fd, &msg, 0, deadline, woken);
	if (!tuck__would_block(r, deadline))
		return r;
	err = closings(fds, n_fds, seen);
	return err < 0 ? err : r;
}

ssize_t tuck_unix_send(int fd, const void *buf, size_t n, const int *fds,
		       int n_fds, tuck_ns deadline)
{
	const struct iovec iov = { (void *)(uintptr_t)buf, n };
	ssize_t r = TUCK__FD_FIRST;
	unsigned seen;

	do
		r = try_send(fd, &iov, fds, n_fds, &seen, deadline, (int)r);
	while (tuck__would_block(r, deadline) &&
	       (r = tuck__wait_output(fd, deadline)) >= 0);
	return tuck__breathe(r);
}

/* -- receive -- */

/* All descriptors in msg: their number. A pidfd has no place to go to. */
static int descriptors(struct msghdr *msg, int fds[])
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int n = 0;

	for (; c; c = CMSG_NXTHDR(msg, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (!tuck__has_fds(c))
			continue;
		memcpy(&fds[n], CMSG_DATA(c), bytes);
		if (c->cmsg_type == TUCK__SCM_PIDFD)
			close(fds[n]);
		else
			n += (int)(bytes / sizeof(int));
	}
	return n;
}

static ssize_t refuse(const int *fds, int n, int err)
{
	for (int i = 0; i < n; i++)
		close(fds[i]);
	return err;
}

/* Hand over what came with r bytes, or nothing of it. */
static ssize_t unpack(struct msghdr *msg, ssize_t r, int *ret_fds, int *n_fds)
{
	int fds[(FD_BYTES + OTHER_BYTES) / sizeof(int)];
	int n = descriptors(msg, fds);

	if (msg->msg_flags & MSG_CTRUNC)
		return refuse(fds, n, -EMFILE);
	if (n > *n_fds || msg->msg_flags & MSG_TRUNC)
		return refuse(fds, n, -EMSGSIZE);
	if (n > 0)
		memcpy(ret_fds, fds, (size_t)n * sizeof(int));
	*n_fds = n;
	return r;
}

static tuck__noinline ssize_t try_recv(int fd, const struct iovec *iov,
				       int *ret_fds, int *n_fds,
				       tuck_ns deadline, int woken)
{
	_Alignas(struct cmsghdr) char control[FD_BYTES + OTHER_BYTES];
	struct msghdr msg = {
		.msg_iov = (struct iovec *)(uintptr_t)iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t r;

	TUCK__REQUIRE(n_fds && *n_fds >= 0 && (ret_fds || *n_fds == 0),
		      -EINVAL);
	r = tuck__try_recvmsg(fd, &msg, 0, deadline, woken);
	return r < 0 ? r : unpack(&msg, r, ret_fds, n_fds);
}

ssize_t tuck_unix_recv(int fd, void *buf, size_t n, int *ret_fds, int *n_fds,
		       tuck_ns deadline)
{
	const struct iovec iov = { buf, n };
	ssize_t r = TUCK__FD_FIRST;

	tuck__breathe(0);
	do
		r = try_recv(fd, &iov, ret_fds, n_fds, deadline, (int)r);
	while (tuck__would_block(r, deadline) &&
	       (r = tuck__wait_input(fd, buf, n, deadline)) >= 0);
	return tuck__input_kept(r);
}

/* -- who it is -- */

int tuck_unix_cred(int fd, struct tuck_unix_cred *ret_cred)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	TUCK__REQUIRE(ret_cred, -EINVAL);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*ret_cred = (struct tuck_unix_cred){ cred.pid, cred.uid, cred.gid };
	return 0;
}
