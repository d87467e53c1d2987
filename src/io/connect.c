/* SPDX-License-Identifier: MIT */
/*
 * Connections to one address; those to names are races of several: named.c.
 *
 * Invariant: a tasklet holds the descriptor that it waits for, so that it is
 * closed in whichever way the call ends but by a connection. The path that it
 * was bound to goes with it, unless another one is there by then.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/socket.h"
#include "io/try.h"

struct pending {
	struct tuck__held held;
	int fd;				/* -1: it is the caller's */
	dev_t dev;			/* of its path; */
	ino_t ino;			/* 0: none */
};

static const struct tuck_socket_attr usual;

/* -- the path of its own end -- */

/* NULL: fd is bound to none. */
static const char *path_of(int fd, struct tuck_addr *own)
{
	const struct sockaddr_un *sun = (const void *)&own->sa;

	*own = (struct tuck_addr){ .len = 0 };
	if (tuck_addr_local(fd, own) < 0 || sun->sun_family != AF_UNIX ||
	    !sun->sun_path[0])
		return NULL;
	return sun->sun_path;
}

static void note_path(struct pending *p)
{
	struct tuck_addr own;
	const char *path = path_of(p->fd, &own);
	struct stat st;

	if (!path || lstat(path, &st) < 0)
		return;
	p->dev = st.st_dev;
	p->ino = st.st_ino;
}

static void remove_path(const struct pending *p)
{
	struct tuck_addr own;
	const char *path = path_of(p->fd, &own);
	struct stat st;

	if (path && lstat(path, &st) == 0 && st.st_dev == p->dev &&
	    st.st_ino == p->ino)
		unlink(path);
}

/* One that nobody has waited for. */
static int close_bound(int fd, int err)
{
	struct tuck_addr own;
	const char *path = path_of(fd, &own);

	if (path)
		unlink(path);
	return tuck__close_with(fd, err);
}

/* -- one that waits -- */

static void release(struct tuck__held *held)
{
	struct pending *p = tuck__container(held, struct pending, held);

	if (p->fd >= 0 && p->ino)
		remove_path(p);
	if (p->fd >= 0)
		tuck_fd_close(p->fd);
	tuck__free(p);
}

/* Of a descriptor that is its own then; held. NULL without memory. */
static tuck__noinline struct pending *pending_new(int fd, const char *text)
{
	struct pending *p = tuck__alloc(sizeof(*p));

	if (p)
		p->held.release = release;
	if (!p || tuck__hold(tuck__tls, &p->held) < 0) {
		tuck__free(p);
		close_bound(fd, 0);
		return NULL;
	}
	p->fd = fd;
	if (tuck__is_unix(text))
		note_path(p);
	return p;
}

/* As its call returns, or is killed. */
static void leave(struct pending **pending)
{
	if (*pending)
		tuck__let_go(tuck__tls->current->extra);
}

/* -- attempts -- */

int tuck__connect_outcome(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	return -err;
}

static int try_connect(int fd, const struct tuck_addr *addr)
{
	if (connect(fd, (const void *)&addr->sa, addr->len) == 0)
		return 0;
	return errno == EINTR ? -EINPROGRESS : -errno;
}

/* The socket of a connection, at its own end. */
static int open_from(const struct tuck_addr *addr, int kind,
		     const struct tuck_socket_attr *attr)
{
	struct tuck_addr local;
	int r;

	if (!attr->local)
		return tuck__open_socket(addr->sa.ss_family, kind);
	r = tuck__addr_of(&local, attr->local);
	if (r < 0)
		return r == TUCK__A_NAME ? -EINVAL : r;
	TUCK__REQUIRE(local.sa.ss_family == addr->sa.ss_family, -EINVAL);
	return tuck__open_to(&local, kind, attr);
}

tuck__noinline int tuck__connect_start(const struct tuck_addr *addr,
				       const struct tuck_socket_attr *a,
				       int *ret_fd)
{
	int fd = open_from(addr, a->kind ? a->kind : SOCK_STREAM, a), r;

	if (fd < 0)
		return fd;
	r = try_connect(fd, addr);
	if (r < 0 && r != -EINPROGRESS && r != -EAGAIN)
		return close_bound(fd, r);
	*ret_fd = fd;
	return r;
}

static tuck__noinline int start_numeric(const char *text,
					const struct tuck_socket_attr *attr,
					tuck_ns deadline, int *ret_fd)
{
	struct tuck_addr addr;
	int r;

	TUCK__REQUIRE(deadline >= 0, -EINVAL);
	r = tuck__addr_of(&addr, text);
	return r < 0 ? r : tuck__connect_start(&addr, attr, ret_fd);
}

/* It may not be known yet: where it was opened, there was no memory. */
static tuck__noinline int look_up(int fd)
{
	struct tuck__fd *f;

	return tuck__fd_get_again(tuck__tls, fd, TUCK__FD_FIRST, &f);
}

/* A Unix listener had no room: once more. */
static tuck__noinline int connect_again(int fd, const char *text)
{
	struct tuck_addr addr;
	int r = tuck_addr_parse(&addr, text);

	return r < 0 ? r : try_connect(fd, &addr);
}

/* The end of a connect that gave r. */
static int connected(int fd, int r, const char *text, tuck_ns deadline)
{
	struct pending *pending
		__attribute__((__cleanup__(leave))) = pending_new(fd, text);

	if (!pending)
		return -ENOMEM;
	while (tuck__would_block(r, deadline)) {
		r = look_up(fd);
		if (r == 0)
			r = tuck__fd_park_named(tuck__tls, fd, deadline);
		if (r >= 0)
			r = connect_again(fd, text);
	}
	if (r == -EINPROGRESS)
		r = tuck_fd_wait(fd, TUCK_WRITABLE, deadline);
	if (r > 0)
		r = tuck__connect_outcome(fd);
	if (r < 0)
		return r;
	pending->fd = -1;
	return fd;
}

/* -- calls -- */

int tuck_connect(const char *addr, const struct tuck_socket_attr *attr,
		 tuck_ns deadline)
{
	int fd = -1, r;

	if (!attr)
		attr = &usual;
	tuck__breathe(0);
	r = start_numeric(addr, attr, deadline, &fd);
	if (r == TUCK__A_NAME)
		return tuck__connect_named(addr, attr, deadline);
	return fd < 0 || r == 0 ? (r < 0 ? r : fd) :
				  connected(fd, r, addr, deadline);
}

int tuck_tcp_connect(const char *addr, tuck_ns deadline)
{
	return tuck__is_unix(addr) ? -EINVAL :
				     tuck_connect(addr, NULL, deadline);
}

int tuck_udp_connect(const char *addr)
{
	static const struct tuck_socket_attr attr = { .kind = SOCK_DGRAM };

	return tuck__is_unix(addr) ? -EINVAL :
				     tuck_connect(addr, &attr, TUCK_FOREVER);
}
