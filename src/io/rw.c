/* SPDX-License-Identifier: MIT */
/*
 * Read and write: try the call, and where it would block, wait for the edge
 * and try again.
 *
 * A stream that gave less than was asked for is empty: the next read waits
 * without asking the kernel first. So a request and its answer cost two
 * system calls, as in a hand-written server.
 *
 * Each call is tried in a function of its own, whose frame is gone while the
 * tasklet waits (rule S5).
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <tuck/io.h>
#include <unistd.h>

#include "io/poller.h"

#define SEND_FLAGS (MSG_NOSIGNAL | MSG_DONTWAIT)

/*
 * Before a try: the descriptor's entry, or why there will be none. woken is
 * TUCK__FD_FIRST, or what the last wait gave.
 */
static inline int begin(int fd, tuck_ns deadline, int woken,
			struct tuck__fd **ret_fd)
{
	struct tuck__sched *s = tuck__sched();

	TUCK__REQUIRE(deadline >= 0, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	return tuck__fd_get_again(s, fd, woken, ret_fd);
}

/* Whether the next input is certain to come with an edge. */
static inline bool must_wait(const struct tuck__fd *f, size_t asked,
			     tuck_ns deadline)
{
	return (f->bits & TUCK__FD_EMPTY) && asked && deadline != TUCK_NOWAIT;
}

/* What a try gave. Who asked for nothing got all of it. */
static inline ssize_t input_came(struct tuck__fd *f, ssize_t r, size_t asked)
{
	const uint32_t sure = TUCK__FD_STREAM | TUCK__FD_ADDED;

	if (r < 0)
		return errno == EAGAIN && asked == 0 ? 0 : -errno;
	if (r > 0 && (size_t)r < asked &&
	    (f->bits & (sure | TUCK__FD_HUNG)) == sure)
		f->bits |= TUCK__FD_EMPTY;
	return r;
}

static tuck__noinline ssize_t try_read(int fd, void *buf, size_t n,
				       tuck_ns deadline, int woken)
{
	struct tuck__fd *f;
	ssize_t r = begin(fd, deadline, woken, &f);

	if (r < 0)
		return r;
	if (must_wait(f, n, deadline))
		return -EAGAIN;
	do
		r = n && f->bits & TUCK__FD_SOCKET ?
			    recv(fd, buf, n, MSG_DONTWAIT) :
			    read(fd, buf, n);
	while (r < 0 && errno == EINTR);
	return input_came(f, r, n);
}

static inline bool buffers_valid(const struct iovec *iov, int n)
{
	return n >= 0 && n <= IOV_MAX && (iov || n == 0);
}

static size_t total(const struct iovec *iov, int n)
{
	size_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

static tuck__noinline ssize_t try_readv(int fd, const struct iovec *iov, int n,
					tuck_ns deadline, int woken)
{
	struct tuck__fd *f;
	size_t asked;
	ssize_t r = begin(fd, deadline, woken, &f);

	if (r < 0)
		return r;
	TUCK__REQUIRE(buffers_valid(iov, n), -EINVAL);
	asked = total(iov, n);
	if (must_wait(f, asked, deadline))
		return -EAGAIN;
	do
		r = readv(fd, iov, n);
	while (r < 0 && errno == EINTR);
	return input_came(f, r, asked);
}

static tuck__noinline ssize_t try_write(int fd, const void *buf, size_t n,
					tuck_ns deadline, int woken)
{
	struct tuck__fd *f;
	ssize_t r = begin(fd, deadline, woken, &f);

	if (r < 0)
		return r;
	do
		r = f->bits & TUCK__FD_SOCKET ? send(fd, buf, n, SEND_FLAGS) :
						write(fd, buf, n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static tuck__noinline ssize_t try_writev(int fd, const struct iovec *iov, int n,
					 tuck_ns deadline, int woken)
{
	struct msghdr msg = {
		.msg_iov = (struct iovec *)(uintptr_t)iov,
		.msg_iovlen = (size_t)n,
	};
	struct tuck__fd *f;
	ssize_t r = begin(fd, deadline, woken, &f);

	if (r < 0)
		return r;
	TUCK__REQUIRE(buffers_valid(iov, n), -EINVAL);
	do
		r = f->bits & TUCK__FD_SOCKET ? sendmsg(fd, &msg, SEND_FLAGS) :
						writev(fd, iov, n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* sendfile(2) has no MSG_NOSIGNAL. */
static sigset_t sigpipe(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	return set;
}

static void block_sigpipe(sigset_t *ret_was)
{
	const sigset_t set = sigpipe();

	pthread_sigmask(SIG_BLOCK, &set, ret_was);
}

static void unblock_sigpipe(const sigset_t *was, bool came)
{
	const struct timespec now = { 0, 0 };
	const sigset_t set = sigpipe();

	if (came && !sigismember(was, SIGPIPE))
		sigtimedwait(&set, NULL, &now);
	pthread_sigmask(SIG_SETMASK, was, NULL);
}

static tuck__noinline ssize_t try_sendfile(int fd, int file_fd, int64_t *offset,
					   size_t n, tuck_ns deadline,
					   int woken)
{
	struct tuck__fd *f;
	ssize_t r = begin(fd, deadline, woken, &f);
	sigset_t was;

	if (r < 0)
		return r;
	block_sigpipe(&was);
	do
		r = sendfile(fd, file_fd, offset, n);
	while (r < 0 && errno == EINTR);
	r = r < 0 ? -errno : r;
	unblock_sigpipe(&was, r == -EPIPE);
	return r;
}

/* Until the read has happened, [buf, buf + n) is dead: no need to keep it. */
static tuck__noinline int wait_input(int fd, const void *buf, size_t n,
				     tuck_ns deadline)
{
	struct tuck__sched *s = tuck__tls;

	tuck__ctx_hole(&s->current->ctx, buf, n);
	return tuck__fd_park(s, fd, TUCK_READABLE, deadline);
}

/* The hole ends with the call that made it. */
static tuck__noinline ssize_t input_done(ssize_t r)
{
	if (tuck__likely(tuck__tls != NULL))
		tuck__ctx_unhole(&tuck__tls->current->ctx);
	return tuck__breathe(r);
}

static tuck__noinline int wait_output(int fd, tuck_ns deadline)
{
	return tuck__fd_park(tuck__tls, fd, TUCK_WRITABLE, deadline);
}

static inline bool would_block(ssize_t r, tuck_ns deadline)
{
	return r == -EAGAIN && deadline != TUCK_NOWAIT;
}

/* Without a chance for others between one try and the next. */
static inline ssize_t read_some(int fd, void *buf, size_t n, tuck_ns deadline)
{
	ssize_t r = TUCK__FD_FIRST;

	do
		r = try_read(fd, buf, n, deadline, (int)r);
	while (would_block(r, deadline) &&
	       (r = wait_input(fd, buf, n, deadline)) >= 0);
	return r;
}

static inline ssize_t write_some(int fd, const void *buf, size_t n,
				 tuck_ns deadline)
{
	ssize_t r = TUCK__FD_FIRST;

	do
		r = try_write(fd, buf, n, deadline, (int)r);
	while (would_block(r, deadline) &&
	       (r = wait_output(fd, deadline)) >= 0);
	return r;
}

ssize_t tuck_read(int fd, void *buf, size_t n, tuck_ns deadline)
{
	return input_done(read_some(fd, buf, n, deadline));
}

ssize_t tuck_readv(int fd, const struct iovec *iov, int n, tuck_ns deadline)
{
	ssize_t r = TUCK__FD_FIRST;

	do
		r = try_readv(fd, iov, n, deadline, (int)r);
	while (would_block(r, deadline) &&
	       (r = wait_input(fd, NULL, 0, deadline)) >= 0);
	return input_done(r);
}

ssize_t tuck_write(int fd, const void *buf, size_t n, tuck_ns deadline)
{
	return tuck__breathe(write_some(fd, buf, n, deadline));
}

ssize_t tuck_writev(int fd, const struct iovec *iov, int n, tuck_ns deadline)
{
	ssize_t r = TUCK__FD_FIRST;

	do
		r = try_writev(fd, iov, n, deadline, (int)r);
	while (would_block(r, deadline) &&
	       (r = wait_output(fd, deadline)) >= 0);
	return tuck__breathe(r);
}

ssize_t tuck_sendfile(int fd, int file_fd, int64_t *offset, size_t n,
		      tuck_ns deadline)
{
	ssize_t r = TUCK__FD_FIRST;

	do
		r = try_sendfile(fd, file_fd, offset, n, deadline, (int)r);
	while (would_block(r, deadline) &&
	       (r = wait_output(fd, deadline)) >= 0);
	return tuck__breathe(r);
}

/*
 * The parts of a whole follow one another without a chance for others, who
 * might close the descriptor and give its number to a stranger.
 */
ssize_t tuck_read_full(int fd, void *buf, size_t n, tuck_ns deadline)
{
	size_t done = 0;
	ssize_t r;

	do {
		r = read_some(fd, (char *)buf + done, n - done, deadline);
		if (r < 0)
			return input_done(r);
		done += (size_t)r;
	} while (r > 0 && done < n);
	return input_done((ssize_t)done);
}

ssize_t tuck_write_full(int fd, const void *buf, size_t n, tuck_ns deadline)
{
	size_t done = 0;
	ssize_t r;

	do {
		r = write_some(fd, (const char *)buf + done, n - done,
			       deadline);
		if (r < 0)
			return tuck__breathe(r);
		done += (size_t)r;
	} while (done < n);
	return tuck__breathe((ssize_t)done);
}

static tuck__noinline int ready_events(int fd, int events)
{
	struct pollfd p = { .fd = fd };
	int r;

	if (events & TUCK_READABLE)
		p.events |= POLLIN | POLLRDHUP;
	if (events & TUCK_WRITABLE)
		p.events |= POLLOUT;
	do
		r = poll(&p, 1, 0);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (p.revents & POLLNVAL)
		return -EBADF;
	if (p.revents & (POLLERR | POLLHUP))
		return events;
	r = p.revents & (POLLIN | POLLRDHUP) ? TUCK_READABLE : 0;
	r |= p.revents & POLLOUT ? TUCK_WRITABLE : 0;
	return r ? r : -EAGAIN;
}

static tuck__noinline int try_ready(int fd, int events, tuck_ns deadline,
				    int woken)
{
	struct tuck__fd *f;
	int r;

	TUCK__REQUIRE(events > 0 && events <= (TUCK_READABLE | TUCK_WRITABLE),
		      -EINVAL);
	r = begin(fd, deadline, woken, &f);
	return r < 0 ? r : ready_events(fd, events);
}

int tuck_fd_wait(int fd, int events, tuck_ns deadline)
{
	int r = TUCK__FD_FIRST;

	do
		r = try_ready(fd, events, deadline, r);
	while (would_block(r, deadline) &&
	       (r = tuck__fd_park(tuck__tls, fd, events, deadline)) >= 0);
	return (int)tuck__breathe(r);
}
