/* SPDX-License-Identifier: MIT */
/*
 * The read family. A socket is asked with MSG_DONTWAIT; what is none, like a
 * pipe, is asked by poll() first. Old contents of buffers are kept until
 * input comes, as POSIX has it: no hole.
 *
 * Two who read one pipe or terminal at once in two threads may still both see
 * input where there is some for one: the other's thread waits.
 */
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "hook/hook.h"

/* These do not wait, or not in a way that poll() would know of. */
#define AT_ONCE (MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB)

/*
 * Whether libc's own call is the one to make: it will not block for long. What
 * never blocks says itself what it has: poll() is silent of a FIFO that nobody
 * has opened to write yet, whose read is 0.
 */
static tuck__noinline bool not_a_socket(int fd)
{
	if (errno != ENOTSOCK)
		return false;
	if (!tuck__hook_would_block(fd, POLLIN, O_WRONLY) ||
	    !tuck__hook_blocks(fd))
		return true;
	errno = EAGAIN;
	return false;
}

static tuck__noinline ssize_t try_read(int fd, void *buf, size_t n)
{
	ssize_t r = __real_recv(fd, buf, n, MSG_DONTWAIT);

	return r < 0 && not_a_socket(fd) ? __real_read(fd, buf, n) : r;
}

ssize_t __wrap_read(int fd, void *buf, size_t n)
{
	tuck_ns until = 0;
	ssize_t r;

	if (!tuck__hook_on() || n == 0)
		return __real_read(fd, buf, n);
	do
		r = try_read(fd, buf, n);
	while (r < 0 && tuck__hook_again(fd, POLLIN, &until));
	return r;
}

static tuck__noinline ssize_t try_readv(int fd, const struct iovec *iov, int n)
{
	struct msghdr msg = {
		.msg_iov = (struct iovec *)(uintptr_t)iov,
		.msg_iovlen = (size_t)n,
	};
	ssize_t r = __real_recvmsg(fd, &msg, MSG_DONTWAIT);

	return r < 0 && not_a_socket(fd) ? __real_readv(fd, iov, n) : r;
}

static bool empty(const struct iovec *iov, int n)
{
	for (int i = 0; i < n; i++)
		if (iov[i].iov_len > 0)
			return false;
	return true;
}

ssize_t __wrap_readv(int fd, const struct iovec *iov, int n)
{
	tuck_ns until = 0;
	ssize_t r;

	if (!tuck__hook_on() || n > IOV_MAX || !iov || empty(iov, n))
		return __real_readv(fd, iov, n);
	do
		r = try_readv(fd, iov, n);
	while (r < 0 && tuck__hook_again(fd, POLLIN, &until));
	return r;
}

static int option(int fd, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -1 : value;
}

/* Whether MSG_WAITALL has a meaning there. */
static tuck__noinline bool waits_for_all(int fd, int flags)
{
	return flags & MSG_WAITALL && !(flags & MSG_PEEK) &&
	       option(fd, SO_TYPE) == SOCK_STREAM;
}

static tuck__noinline bool grows(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	return option(fd, SO_PROTOCOL) == IPPROTO_TCP &&
	       __real_poll(&p, 1, 0) == 0;
}

/*
 * After a look ahead at r of n bytes: a TCP socket's waits for all, as the
 * kernel has it, and no event tells when they are there.
 */
static bool look_again(int fd, int flags, ssize_t r, size_t n, tuck_ns *until)
{
	const int both = MSG_PEEK | MSG_WAITALL;

	if ((flags & both) != both || r <= 0 || (size_t)r >= n || !grows(fd))
		return false;
	errno = EAGAIN;
	return tuck__hook_later(fd, POLLIN, until);
}

/* One of MSG_WAITALL, after its first part. */
struct receiving {
	int fd, flags;
	struct msghdr *msg;	/* with room for what comes along; or NULL */
	size_t room;
	tuck_ns until;
};

/* Bytes of the next message are not put behind descriptors, nor lose theirs. */
static bool has_descriptors(struct msghdr *msg)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			return true;
	return false;
}

static tuck__noinline ssize_t recv_part(const struct receiving *v, void *buf,
					size_t n)
{
	struct iovec iov = { buf, n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t r;

	if (!v->msg)
		return __real_recv(v->fd, buf, n, v->flags);
	msg.msg_control = v->msg->msg_control;
	msg.msg_controllen = v->room;
	r = __real_recvmsg(v->fd, &msg, v->flags);
	if (r > 0 && msg.msg_controllen > 0) {
		v->msg->msg_controllen = msg.msg_controllen;
		v->msg->msg_flags |= msg.msg_flags;
	}
	return r;
}

static bool goes_on(const struct receiving *v)
{
	return !v->msg || !has_descriptors(v->msg);
}

/* Until all is there, the stream ends, or the time is over. */
static ssize_t recv_all(struct receiving *v, char *buf, size_t n, size_t done)
{
	ssize_t r;

	while (done < n && goes_on(v)) {
		r = recv_part(v, buf + done, n - done);
		if (r > 0)
			done += (size_t)r;
		else if (r == 0 || !tuck__hook_again(v->fd, POLLIN, &v->until))
			return done || r == 0 ? (ssize_t)done : -1;
	}
	return (ssize_t)done;
}

ssize_t __wrap_recvfrom(int fd, void *buf, size_t n, int flags,
			struct sockaddr *addr, socklen_t *len)
{
	struct receiving v = { .fd = fd, .flags = flags | MSG_DONTWAIT };
	ssize_t r;

	if (!tuck__hook_on() || flags & AT_ONCE)
		return __real_recvfrom(fd, buf, n, flags, addr, len);
	do
		r = __real_recvfrom(fd, buf, n, v.flags, addr, len);
	while ((r < 0 && tuck__hook_again(fd, POLLIN, &v.until)) ||
	       look_again(fd, flags, r, n, &v.until));
	if (r > 0 && (size_t)r < n && waits_for_all(fd, flags))
		return recv_all(&v, buf, n, (size_t)r);
	return r;
}

ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags)
{
	return __wrap_recvfrom(fd, buf, n, flags, NULL, NULL);
}

/* The parts of a message that the first r bytes have not filled. */
static ssize_t recv_rest(struct receiving *v, const struct msghdr *msg,
			 size_t r)
{
	size_t before = 0, n;
	ssize_t got;

	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		n = msg->msg_iov[i].iov_len;
		if (before + n > r) {
			got = recv_all(v, msg->msg_iov[i].iov_base, n,
				       r - before);
			if (got < 0)
				break;
			r = before + (size_t)got;
			if ((size_t)got < n)
				break;
		}
		before += n;
	}
	return (ssize_t)r;
}

static size_t room_of(const struct msghdr *msg)
{
	size_t sum = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++)
		sum += msg->msg_iov[i].iov_len;
	return sum;
}

static ssize_t recv_msg(struct receiving *v, struct msghdr *msg, int flags)
{
	const socklen_t name_room = msg->msg_namelen;
	ssize_t r;

	do {
		msg->msg_controllen = v->room;
		msg->msg_namelen = name_room;
		r = __real_recvmsg(v->fd, msg, v->flags);
	} while ((r < 0 && tuck__hook_again(v->fd, POLLIN, &v->until)) ||
		 look_again(v->fd, flags, r, room_of(msg), &v->until));
	if (r > 0 && waits_for_all(v->fd, flags))
		return recv_rest(v, msg, (size_t)r);
	return r;
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct receiving v = { .fd = fd, .flags = flags | MSG_DONTWAIT };

	if (!tuck__hook_on() || flags & AT_ONCE || !msg)
		return __real_recvmsg(fd, msg, flags);
	v.room = msg->msg_controllen;
	v.msg = v.room ? msg : NULL;
	return recv_msg(&v, msg, flags);
}

/*
 * As the kernel: the limit is looked at after each message that came, and
 * SO_RCVTIMEO is each one's.
 */
int __wrap_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags,
		    struct timespec *limit)
{
	tuck_ns until = 0, deadline;
	unsigned done = 0;
	int r;

	if (!tuck__hook_on() || flags & AT_ONCE || n == 0)
		return __real_recvmmsg(fd, msgs, n, flags, limit);
	if (limit && (limit->tv_sec < 0 || limit->tv_nsec < 0 ||
		      limit->tv_nsec >= TUCK_SEC(1))) {
		errno = EINVAL;
		return -1;
	}
	deadline = tuck__hook_deadline(limit);
	while (done < n) {
		r = __real_recvmmsg(fd, msgs + done, n - done,
				    flags | MSG_DONTWAIT, NULL);
		if (r > 0) {
			done += (unsigned)r;
			until = 0;
		}
		if (r > 0 && (flags & MSG_WAITFORONE || tuck_now() > deadline))
			break;
		if (r < 0 && !tuck__hook_again(fd, POLLIN, &until))
			return done ? (int)done : -1;
	}
	return (int)done;
}

/* Libc's own does not call the read() that others see. */
int __wrap_eventfd_read(int fd, eventfd_t *value)
{
	if (!tuck__hook_on())
		return __real_eventfd_read(fd, value);
	return __wrap_read(fd, value, sizeof(*value)) == sizeof(*value) ? 0 :
									  -1;
}

/* -- as _FORTIFY_SOURCE calls them; a call that is too large is libc's -- */

ssize_t __wrap___read_chk(int fd, void *buf, size_t n, size_t room)
{
	return n > room ? __real___read_chk(fd, buf, n, room) :
			  __wrap_read(fd, buf, n);
}

ssize_t __wrap___recv_chk(int fd, void *buf, size_t n, size_t room, int flags)
{
	return n > room ? __real___recv_chk(fd, buf, n, room, flags) :
			  __wrap_recv(fd, buf, n, flags);
}

ssize_t __wrap___recvfrom_chk(int fd, void *buf, size_t n, size_t room,
			      int flags, struct sockaddr *addr, socklen_t *len)
{
	return n > room ? __real___recvfrom_chk(fd, buf, n, room, flags, addr,
						len) :
			  __wrap_recvfrom(fd, buf, n, flags, addr, len);
}
