/* SPDX-License-Identifier: MIT */
/*
 * The write family. A call on a descriptor that blocks takes all it is given,
 * as POSIX has it, unless an error or SO_SNDTIMEO comes between. A pipe takes
 * PIPE_BUF at a time, which does not block where poll() sees room; only what
 * is longer than that may mix with what others write, as ever.
 */
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hook/hook.h"

static ssize_t so_far(size_t done)
{
	return done ? (ssize_t)done : -1;
}

/*
 * To whom a datagram goes has no room, which a wait for room here would not
 * tell.
 */
static bool again(int fd, bool to_another, tuck_ns *until)
{
	return to_another ? tuck__hook_later(fd, POLLOUT, until) :
			    tuck__hook_again(fd, POLLOUT, until);
}

/* SIGPIPE comes with EPIPE alone, not where some has gone. */
static ssize_t send_until(int fd, const char *buf, size_t n, int flags,
			  const struct sockaddr *addr, socklen_t len,
			  tuck_ns *until)
{
	size_t done = 0;
	ssize_t r;

	for (;;) {
		r = __real_sendto(fd, buf, n - done, flags | MSG_DONTWAIT, addr,
				  len);
		if (r >= 0) {
			done += (size_t)r;
			if (done >= n)
				return (ssize_t)done;
			buf += r;
			errno = EAGAIN;
			flags |= MSG_NOSIGNAL;
		}
		if (!again(fd, addr != NULL, until))
			return so_far(done);
	}
}

static ssize_t send_all(int fd, const char *buf, size_t n, int flags,
			const struct sockaddr *addr, socklen_t len)
{
	tuck_ns until = 0;

	return send_until(fd, buf, n, flags, addr, len, &until);
}

ssize_t __wrap_sendto(int fd, const void *buf, size_t n, int flags,
		      const struct sockaddr *addr, socklen_t len)
{
	if (!tuck__hook_on() || flags & MSG_DONTWAIT)
		return __real_sendto(fd, buf, n, flags, addr, len);
	return send_all(fd, buf, n, flags, addr, len);
}

ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags)
{
	return __wrap_sendto(fd, buf, n, flags, NULL, 0);
}

/* -- what is no socket -- */

static ssize_t write_pipe(int fd, const char *buf, size_t n)
{
	tuck_ns until = 0;
	size_t done = 0, part;
	ssize_t r;

	while (done < n) {
		part = n - done < PIPE_BUF ? n - done : PIPE_BUF;
		if (tuck__hook_would_block(fd, POLLOUT, O_RDONLY)) {
			errno = EAGAIN;
			if (!tuck__hook_again(fd, POLLOUT, &until))
				return so_far(done);
			continue;
		}
		r = __real_write(fd, buf + done, part);
		if (r < 0)
			return so_far(done);
		done += (size_t)r;
	}
	return (ssize_t)done;
}

/* Files and terminals are libc's; so is what does not block. */
static tuck__noinline bool has_room_later(int fd, bool *ret_pipe)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) ||
	    S_ISCHR(st.st_mode) || !tuck__hook_blocks(fd))
		return false;
	*ret_pipe = S_ISFIFO(st.st_mode);
	return true;
}

static bool wait_for_room(int fd)
{
	tuck_ns until = 0;

	while (tuck__hook_would_block(fd, POLLOUT, O_RDONLY)) {
		errno = EAGAIN;
		if (!tuck__hook_again(fd, POLLOUT, &until))
			return false;
	}
	return true;
}

static ssize_t write_other(int fd, const void *buf, size_t n)
{
	bool pipe = false;

	if (!has_room_later(fd, &pipe))
		return __real_write(fd, buf, n);
	if (pipe)
		return write_pipe(fd, buf, n);
	return wait_for_room(fd) ? __real_write(fd, buf, n) : -1;
}

ssize_t __wrap_write(int fd, const void *buf, size_t n)
{
	ssize_t r;

	if (!tuck__hook_on() || n == 0)
		return __real_write(fd, buf, n);
	r = send_all(fd, buf, n, 0, NULL, 0);
	return r < 0 && errno == ENOTSOCK ? write_other(fd, buf, n) : r;
}

int __wrap_eventfd_write(int fd, eventfd_t value)
{
	if (!tuck__hook_on())
		return __real_eventfd_write(fd, value);
	return __wrap_write(fd, &value, sizeof(value)) == sizeof(value) ? 0 :
									  -1;
}

/* -- several buffers -- */

static size_t total(const struct iovec *iov, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* What is left of the buffers after the first done bytes, one by one. */
static ssize_t send_rest(int fd, const struct msghdr *msg, int flags,
			 size_t done, tuck_ns *until)
{
	size_t before = 0, n, from;
	ssize_t r;

	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		n = msg->msg_iov[i].iov_len;
		if (before + n > done) {
			from = done - before;
			r = send_until(fd,
				       (char *)msg->msg_iov[i].iov_base + from,
				       n - from, flags, NULL, 0, until);
			if (r < 0)
				break;
			done += (size_t)r;
			if ((size_t)r < n - from)
				break;
		}
		before += n;
	}
	return (ssize_t)done;
}

static ssize_t send_msg(int fd, const struct msghdr *msg, int flags)
{
	tuck_ns until = 0;
	ssize_t r;

	do
		r = __real_sendmsg(fd, msg, flags | MSG_DONTWAIT);
	while (r < 0 && again(fd, msg->msg_name != NULL, &until));
	if (r > 0 && (size_t)r < total(msg->msg_iov, msg->msg_iovlen))
		return send_rest(fd, msg, flags | MSG_NOSIGNAL, (size_t)r,
				 &until);
	return r;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	if (!tuck__hook_on() || flags & MSG_DONTWAIT)
		return __real_sendmsg(fd, msg, flags);
	return send_msg(fd, msg, flags);
}

int __wrap_sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
	unsigned done = 0;
	ssize_t r;

	if (!tuck__hook_on() || flags & MSG_DONTWAIT)
		return __real_sendmmsg(fd, msgs, n, flags);
	for (; done < n; done++) {
		r = send_msg(fd, &msgs[done].msg_hdr, flags);
		if (r < 0)
			return (int)so_far(done);
		msgs[done].msg_len = (unsigned)r;
	}
	return (int)done;
}

static ssize_t writev_pipe(int fd, const struct iovec *iov, int n)
{
	size_t done = 0;
	ssize_t r;

	if (total(iov, (size_t)n) <= PIPE_BUF)	/* in one piece */
		return wait_for_room(fd) ? __real_writev(fd, iov, n) : -1;
	for (int i = 0; i < n; i++) {
		r = write_pipe(fd, iov[i].iov_base, iov[i].iov_len);
		if (r < 0)
			return so_far(done);
		done += (size_t)r;
		if ((size_t)r < iov[i].iov_len)
			break;
	}
	return (ssize_t)done;
}

static ssize_t writev_other(int fd, const struct iovec *iov, int n)
{
	bool pipe = false;

	if (!has_room_later(fd, &pipe))
		return __real_writev(fd, iov, n);
	if (pipe)
		return writev_pipe(fd, iov, n);
	return wait_for_room(fd) ? __real_writev(fd, iov, n) : -1;
}

ssize_t __wrap_writev(int fd, const struct iovec *iov, int n)
{
	struct msghdr msg = {
		.msg_iov = (struct iovec *)(uintptr_t)iov,
		.msg_iovlen = (size_t)n,
	};
	ssize_t r;

	if (!tuck__hook_on() || n <= 0 || n > IOV_MAX || !iov ||
	    total(iov, (size_t)n) == 0)
		return __real_writev(fd, iov, n);
	r = send_msg(fd, &msg, 0);
	return r < 0 && errno == ENOTSOCK ? writev_other(fd, iov, n) : r;
}

/* -- sendfile, which has no flag -- */

static tuck__noinline ssize_t try_sendfile(int fd, int file, off_t *offset,
					   size_t n, bool *ret_blocks)
{
	int flags = tuck__hook_unblock(fd);
	ssize_t r = __real_sendfile(fd, file, offset, n);

	tuck__hook_block(fd, flags);
	*ret_blocks |= flags >= 0;
	return r;
}

ssize_t __wrap_sendfile(int fd, int file, off_t *offset, size_t n)
{
	tuck_ns until = 0;
	size_t done = 0;
	bool blocks = false;
	ssize_t r;

	if (!tuck__hook_on() || n == 0)
		return __real_sendfile(fd, file, offset, n);
	while (done < n) {
		r = try_sendfile(fd, file, offset, n - done, &blocks);
		if (r > 0)
			done += (size_t)r;
		else if (r == 0 || !blocks ||
			 !tuck__hook_again_with(fd, POLLOUT, file, &until))
			return r == 0 ? (ssize_t)done : so_far(done);
	}
	return (ssize_t)done;
}

ssize_t __wrap_sendfile64(int fd, int file, off_t *offset, size_t n)
{
	return __wrap_sendfile(fd, file, offset, n);
}
