/* SPDX-License-Identifier: MIT */
/* TCP: listen, accept, connect. */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <tuck/io.h>
#include <tuck/net.h>
#include <unistd.h>

#include "io/poller.h"

#define ROOM_WAIT	TUCK_MS(10)
#define STREAM		(TUCK__FD_SOCKET | TUCK__FD_STREAM)

static const int on = 1;

/* A TCP socket that the poller knows, or a negative error. */
static int open_socket(struct tuck__sched *s, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = tuck__fd_adopt(s, fd, STREAM);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

static int close_with(int fd, int err)
{
	tuck_fd_close(fd);
	return err;
}

int tuck_tcp_listen(const char *text, int backlog)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck_addr addr;
	int fd;

	TUCK__REQUIRE(backlog >= 0 && tuck_addr_parse(&addr, text) == 0,
		      -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	fd = open_socket(s, addr.sa.ss_family);
	if (fd < 0)
		return fd;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&addr.sa, addr.len) < 0 ||
	    listen(fd, backlog ? backlog : INT_MAX) < 0)
		return close_with(fd, -errno);
	return fd;
}

int tuck_addr_local(int fd, struct tuck_addr *ret_addr)
{
	struct tuck_addr addr;

	memset(&addr, 0, sizeof(addr));
	addr.len = sizeof(addr.sa);
	if (getsockname(fd, (struct sockaddr *)&addr.sa, &addr.len) < 0)
		return -errno;
	*ret_addr = addr;
	return 0;
}

/* -- accept -- */

/*
 * The connection, not the listener, is at fault: accept(2), "Notes". Of the
 * errors there, EOPNOTSUPP can also be the listener's own.
 */
static bool connection_gone(int err)
{
	switch (err) {
	case ECONNABORTED:
	case EINTR:
	case ENETDOWN:
	case EPROTO:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case ENETUNREACH: return true;
	default: return false;
	}
}

static bool no_room(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM;
}

/* The next connection: one that was left over, or a new one. */
static int next_connection(struct tuck__stray *stray, int listener,
			   struct tuck_addr *ret_addr)
{
	struct sockaddr *sa = (struct sockaddr *)&ret_addr->sa;
	int fd = stray->fd - 1;

	ret_addr->len = sizeof(ret_addr->sa);
	if (stray->fd && stray->listener == listener) {
		stray->fd = 0;
		if (getpeername(fd, sa, &ret_addr->len) < 0)
			ret_addr->len = 0;
		return fd;
	}
	do
		fd = accept4(listener, sa, &ret_addr->len,
			     SOCK_NONBLOCK | SOCK_CLOEXEC);
	while (fd < 0 && connection_gone(errno));
	return fd < 0 ? -errno : fd;
}

/* Without memory for it, the connection is kept for the next call. */
static int adopt_accepted(struct tuck__sched *s, struct tuck__stray *stray,
			  int listener, int fd, uint32_t bits)
{
	int r = tuck__fd_adopt(s, fd, bits);

	if (r < 0 && !stray->fd)
		*stray = (struct tuck__stray){ listener, fd + 1 };
	else if (r < 0)
		close(fd);
	if (r < 0)
		return r;
	if (bits & TUCK__FD_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static tuck__noinline int try_accept(int fd, struct tuck_addr *ret_addr,
				     tuck_ns deadline, int woken)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck__stray *stray;
	struct tuck_addr addr;
	struct tuck__fd *f;
	int r;

	TUCK__REQUIRE(deadline >= 0, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	r = tuck__fd_get_again(s, fd, woken, &f);
	if (r < 0)
		return r;
	stray = tuck__fd_stray(s);
	r = next_connection(stray, fd, &addr);
	if (r < 0)
		return r;
	r = adopt_accepted(s, stray, fd, r, f->bits & STREAM);
	if (r >= 0 && ret_addr)
		*ret_addr = addr;
	return r;
}

/* Leave the others time to give something back. */
static tuck__noinline void wait_for_room(tuck_ns deadline)
{
	struct tuck__sched *s = tuck__tls;
	tuck_ns at = tuck_after(ROOM_WAIT);

	if (s && s->io)
		tuck__fd_room(s, at < deadline ? at : deadline);
}

int tuck_accept(int fd, struct tuck_addr *ret_addr, tuck_ns deadline)
{
	int r = TUCK__FD_FIRST;

	do
		r = try_accept(fd, ret_addr, deadline, r);
	while (r == -EAGAIN && deadline != TUCK_NOWAIT &&
	       (r = tuck__fd_park(tuck__tls, fd, TUCK_READABLE, deadline)) >=
		       0);
	if (no_room(r) && deadline != TUCK_NOWAIT)
		wait_for_room(deadline);
	return (int)tuck__breathe(r);
}

/* -- connect -- */

/* The outcome of a connect(2) that was under way. */
static int outcome(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	return -err;
}

/* 0, -EINPROGRESS, or an error; *ret_fd is open in the first two cases. */
static tuck__noinline int start_connect(const char *text, tuck_ns deadline,
					int *ret_fd)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck_addr addr;
	int fd;

	TUCK__REQUIRE(deadline >= 0 && tuck_addr_parse(&addr, text) == 0,
		      -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	fd = open_socket(s, addr.sa.ss_family);
	if (fd < 0)
		return fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&addr.sa, addr.len) < 0 &&
	    errno != EINPROGRESS && errno != EINTR)
		return close_with(fd, -errno);
	*ret_fd = fd;
	return -EINPROGRESS;
}

/* The caller failed, or was killed, before it could give fd away. */
static void close_pending(const int *fd)
{
	if (*fd >= 0)
		tuck_fd_close(*fd);
}

static int connected(int pending, tuck_ns deadline)
{
	int fd __attribute__((__cleanup__(close_pending))) = pending;
	int r = tuck_fd_wait(fd, TUCK_WRITABLE, deadline);

	if (r > 0)
		r = outcome(fd);
	if (r < 0)
		return r;
	fd = -1;
	return pending;
}

int tuck_tcp_connect(const char *addr, tuck_ns deadline)
{
	int fd, r = start_connect(addr, deadline, &fd);

	if (r == -EINPROGRESS)
		r = connected(fd, deadline);
	return (int)tuck__breathe(r);
}
