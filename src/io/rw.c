/* SPDX-License-Identifier: MIT */
/*
 * Read and write: try the call, and where it would block, wait for the edge
 * and try again.
 *
 * A stream that gave less than was asked for is empty: the next read waits
 * without asking the kernel first. So a request and its answer cost two
 * system calls, as in a hand-written server.
 */
#include <poll.h>
#include <unistd.h>

#include "io/try.h"

/* What may wait for others, though O_NONBLOCK is not set: borrowed.c. */
static inline bool borrowed(const struct tuck__fd *f)
{
	return tuck__unlikely((f->bits & TUCK__FD_BLOCKS) &&
			      !(f->bits & TUCK__FD_SOCKET));
}

static tuck__noinline ssize_t read_borrowed(int fd, struct tuck__fd *f,
					    void *buf, size_t n)
{
	const struct iovec iov = { buf, n };

	return tuck__borrowed_readv(fd, f, &iov, 1);
}

static tuck__noinline ssize_t try_read(int fd, void *buf, size_t n,
				       tuck_ns deadline, int woken)
{
	struct tuck__fd *f;
	ssize_t r = tuck__try(fd, deadline, woken, &f);

	if (r < 0)
		return r;
	if (tuck__must_wait(f, n, deadline))
		return -EAGAIN;
	do
		if (n && f->bits & TUCK__FD_SOCKET)
			r = recv(fd, buf, n, MSG_DONTWAIT);
		else if (n && borrowed(f))
			r = read_borrowed(fd, f, buf, n);
		else
			r = read(fd, buf, n);
	while (r < 0 && errno == EINTR);
	return tuck__input_came(f, r, n);
}

/* Of a socket: without O_NONBLOCK readv(2) would block. */
static ssize_t recv_into(int fd, const struct iovec *iov, int n)
{
	struct msghdr msg = {
		.msg_iov = (struct iovec *)(uintptr_t)iov,
		.msg_iovlen = (size_t)n,
	};

	return recvmsg(fd, &msg, MSG_DONTWAIT);
}

static tuck__noinline ssize_t try_readv(int fd, const struct iovec *iov, int n,
					tuck_ns deadline, int woken)
{
	struct tuck__fd *f;
	size_t asked;
	ssize_t r = tuck__try(fd, deadline, woken, &f);

	if (r < 0)
		return r;
	TUCK__REQUIRE(tuck__buffers_valid(iov, n), -EINVAL);
	asked = tuck__total(iov, (size_t)n);
	if (tuck__must_wait(f, asked, deadline))
		return -EAGAIN;
	do
		if (asked && f->bits & TUCK__FD_SOCKET)
			r = recv_into(fd, iov, n);
		else if (asked && borrowed(f))
			r = tuck__borrowed_readv(fd, f, iov, n);
		else
			r = readv(fd, iov, n);
	while (r < 0 && errno == EINTR);
	return tuck__input_came(f, r, asked);
}

static tuck__noinline ssize_t write_borrowed(int fd, struct tuck__fd *f,
					     const void *buf, size_t n)
{
	const struct iovec iov = { (void *)(uintptr_t)buf, n };

	return tuck__borrowed_writev(fd, f, &iov, 1);
}

static tuck__noinline ssize_t write_quietly(int fd, struct tuck__fd *f,
					    const void *buf, size_t n)
{
	const struct iovec iov = { (void *)(uintptr_t)buf, n };

	return tuck__writev_quietly(fd, f, &iov, 1);
}

static tuck__noinline ssize_t try_write(int fd, const void *buf, size_t n,
					tuck_ns deadline, int woken)
{
	struct tuck__fd *f;
	ssize_t r = tuck__try(fd, deadline, woken, &f);

	if (r < 0)
		return r;
	do
		if (f->bits & TUCK__FD_SOCKET)
			r = send(fd, buf, n, TUCK__SEND_FLAGS);
		else if (f->bits & TUCK__FD_PIPE)
			r = write_quietly(fd, f, buf, n);
		else if (borrowed(f))
			r = write_borrowed(fd, f, buf, n);
		else
			r = write(fd, buf, n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static ssize_t send_from(int fd, const struct iovec *iov, int n)
{
	struct msghdr msg = {
		.msg_iov = (struct iovec *)(uintptr_t)iov,
		.msg_iovlen = (size_t)n,
	};

	return sendmsg(fd, &msg, TUCK__SEND_FLAGS);
}

static tuck__noinline ssize_t try_writev(int fd, const struct iovec *iov, int n,
					 tuck_ns deadline, int woken)
{
	struct tuck__fd *f;
	ssize_t r = tuck__try(fd, deadline, woken, &f);

	if (r < 0)
		return r;
	TUCK__REQUIRE(tuck__buffers_valid(iov, n), -EINVAL);
	do
		if (f->bits & TUCK__FD_SOCKET && tuck__total(iov, (size_t)n))
			r = send_from(fd, iov, n);
		else if (f->bits & TUCK__FD_PIPE)
			r = tuck__writev_quietly(fd, f, iov, n);
		else if (borrowed(f))
			r = tuck__borrowed_writev(fd, f, iov, n);
		else
			r = writev(fd, iov, n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

tuck__noinline int tuck__wait_input(int fd, const void *buf, size_t n,
				    tuck_ns deadline)
{
	struct tuck__sched *s = tuck__tls;

	tuck__ctx_hole(&s->current->ctx, buf, n);
	return tuck__fd_park(s, fd, TUCK_READABLE, deadline);
}

tuck__noinline ssize_t tuck__input_done(ssize_t r)
{
	if (tuck__likely(tuck__tls != NULL))
		tuck__ctx_unhole(&tuck__tls->current->ctx);
	return tuck__breathe(r);
}

tuck__noinline int tuck__wait_output(int fd, tuck_ns deadline)
{
	return tuck__fd_park(tuck__tls, fd, TUCK_WRITABLE, deadline);
}

/* Without a chance for others between one try and the next. */
static inline ssize_t read_some(int fd, void *buf, size_t n, tuck_ns deadline)
{
	ssize_t r = TUCK__FD_FIRST;

	do
		r = try_read(fd, buf, n, deadline, (int)r);
	while (tuck__would_block(r, deadline) &&
	       (r = tuck__wait_input(fd, buf, n, deadline)) >= 0);
	return r;
}

static inline ssize_t write_some(int fd, const void *buf, size_t n,
				 tuck_ns deadline)
{
	ssize_t r = TUCK__FD_FIRST;

	do
		r = try_write(fd, buf, n, deadline, (int)r);
	while (tuck__would_block(r, deadline) &&
	       (r = tuck__wait_output(fd, deadline)) >= 0);
	return r;
}

ssize_t tuck_read(int fd, void *buf, size_t n, tuck_ns deadline)
{
	return tuck__input_done(read_some(fd, buf, n, deadline));
}

ssize_t tuck_readv(int fd, const struct iovec *iov, int n, tuck_ns deadline)
{
	ssize_t r = TUCK__FD_FIRST;

	do
		r = try_readv(fd, iov, n, deadline, (int)r);
	while (tuck__would_block(r, deadline) &&
	       (r = tuck__wait_input(fd, NULL, 0, deadline)) >= 0);
	return tuck__input_done(r);
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
	while (tuck__would_block(r, deadline) &&
	       (r = tuck__wait_output(fd, deadline)) >= 0);
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
		r = read_some(fd, tuck__rest(buf, done), n - done, deadline);
		if (r < 0)
			return tuck__input_done(r);
		done += (size_t)r;
	} while (r > 0 && done < n);
	return tuck__input_done((ssize_t)done);
}

ssize_t tuck_write_full(int fd, const void *buf, size_t n, tuck_ns deadline)
{
	size_t done = 0;
	ssize_t r;

	do {
		r = write_some(fd, tuck__rest(buf, done), n - done, deadline);
		if (r < 0)
			return tuck__breathe(r);
		done += (size_t)r;
	} while (done < n);
	return tuck__breathe((ssize_t)done);
}

tuck__noinline int tuck__ready_events(int fd, int events)
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
	r = tuck__try(fd, deadline, woken, &f);
	return r < 0 ? r : tuck__ready_events(fd, events);
}

int tuck_fd_wait(int fd, int events, tuck_ns deadline)
{
	int r = TUCK__FD_FIRST;

	do
		r = try_ready(fd, events, deadline, r);
	while (tuck__would_block(r, deadline) &&
	       (r = tuck__fd_park(tuck__tls, fd, events, deadline)) >= 0);
	return (int)tuck__breathe(r);
}
