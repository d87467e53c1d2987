/* SPDX-License-Identifier: MIT */
/* Accept connections, of any kind. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>

#include "io/socket.h"
#include "io/try.h"

#define ROOM_WAIT	TUCK_MS(10)
#define SHED_MAX	256

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

static int next_connection(int listener, struct tuck_addr *ret_addr)
{
	struct sockaddr *sa = (struct sockaddr *)&ret_addr->sa;
	int fd;

	do {
		ret_addr->len = sizeof(ret_addr->sa);
		fd = accept4(listener, sa, &ret_addr->len,
			     SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (fd < 0 && connection_gone(errno));
	return fd < 0 ? -errno : fd;
}

/* It is open from here on, so nothing that follows may fail. */
static void accepted(struct tuck__sched *s, int fd, uint32_t listeners_bits)
{
	const uint32_t kind = TUCK__FD_SOCKET | TUCK__FD_STREAM | TUCK__FD_DEAF;
	static const int on = 1;

	tuck__fd_adopt(s, fd, (listeners_bits & kind) | TUCK__FD_NEW);
	/* Our own listeners have it, and it is passed on. */
	if ((listeners_bits & (TUCK__FD_STREAM | TUCK__FD_OURS)) ==
	    TUCK__FD_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static tuck__noinline int try_accept(int fd, struct tuck_addr *ret_addr,
				     tuck_ns deadline, int woken)
{
	struct tuck_addr addr = { .len = 0 };
	struct tuck__fd *f;
	uint32_t bits;
	int r = tuck__try(fd, deadline, woken, &f);

	if (r == 0)
		r = tuck__fd_unblock(fd, f);
	if (r < 0)
		return r;
	bits = f->bits;
	r = next_connection(fd, &addr);
	if (r < 0)
		return r;
	accepted(tuck__tls, r, bits);
	if (ret_addr)
		*ret_addr = addr;
	return r;
}

/* Leave the others time to give something back, then say what was lacking. */
static tuck__noinline int wait_for_room(int err, tuck_ns deadline)
{
	struct tuck__sched *s = tuck__tls;
	tuck_ns at = tuck_after(ROOM_WAIT);
	int r;

	if (!s || !s->io)
		return err;
	r = tuck__fd_room(s, at < deadline ? at : deadline);
	return r == -ECANCELED || r == -ETIME ? r : err;
}

int tuck_accept(int fd, struct tuck_addr *ret_addr, tuck_ns deadline)
{
	int r = TUCK__FD_FIRST;

	tuck__breathe(0);
	do
		r = try_accept(fd, ret_addr, deadline, r);
	while (tuck__would_block(r, deadline) &&
	       (r = tuck__fd_park(tuck__tls, fd, TUCK_READABLE, deadline)) >=
		       0);
	if (no_room(r) && deadline != TUCK_NOWAIT)
		return wait_for_room(r, deadline);
	return r;
}

/* -- shed load -- */

static int make_spare(int *spare)
{
	*spare = eventfd(0, EFD_CLOEXEC);
	return *spare < 0 ? -errno : 0;
}

/* Nothing that waits for a descriptor is told of those that are closed here. */
static int close_waiting(int listener)
{
	struct tuck_addr addr;
	int n = 0, r;

	do {
		r = next_connection(listener, &addr);
		if (r >= 0)
			close(r);
	} while (r >= 0 && ++n < SHED_MAX);
	return n > 0 || r == -EAGAIN ? n : r;
}

int tuck_shed(int fd, int *spare)
{
	struct tuck__fd *f;
	int r = tuck__try(fd, TUCK_NOWAIT, TUCK__FD_FIRST, &f);

	TUCK__REQUIRE(spare, -EINVAL);
	if (r == 0)
		r = tuck__fd_unblock(fd, f);
	if (r < 0)
		return r;
	if (*spare < 0)
		return make_spare(spare);
	close(*spare);
	r = close_waiting(fd);
	make_spare(spare);
	return r;
}
