/* SPDX-License-Identifier: MIT */
/*
 * Connections. Those to a name are tried with each address of it in turn, until
 * one will do. What all have in vain, the first one says, for it is the best.
 * They go to both families alternately, as RFC 8305 has it: a machine whose
 * IPv6 leads nowhere has many such addresses, and should not try them all
 * first.
 *
 * Why not otherwise: Happy Eyeballs (RFC 8305) has the second address begin
 * 250 ms after the first, and keeps who is first. That is two descriptors and
 * a second tasklet for each connect; here an address that does not answer at
 * all costs its share of the deadline.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/socket.h"
#include "io/try.h"

static const struct tuck_socket_attr usual;

/* -- one address -- */

/* The outcome of a connect(2) that was under way. */
static int outcome(int fd)
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

/* 0, -EINPROGRESS, -EAGAIN: *ret_fd is open; else an error. */
static tuck__noinline int start(const struct tuck_addr *addr,
				const struct tuck_socket_attr *a, int *ret_fd)
{
	int fd = open_from(addr, a->kind ? a->kind : SOCK_STREAM, a), r;

	if (fd < 0)
		return fd;
	r = try_connect(fd, addr);
	if (r < 0 && r != -EINPROGRESS && r != -EAGAIN)
		return tuck__close_with(fd, r);
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
	return r < 0 ? r : start(&addr, attr, ret_fd);
}

/* A Unix listener had no room: once more. */
static tuck__noinline int connect_again(int fd, const char *text)
{
	struct tuck_addr addr;
	int r = tuck_addr_parse(&addr, text);

	return r < 0 ? r : try_connect(fd, &addr);
}

static void close_pending(const int *fd)
{
	if (*fd >= 0)
		tuck_fd_close(*fd);
}

/* The end of a connect that gave r. */
static int connected(int pending, int r, const char *text, tuck_ns deadline)
{
	int fd __attribute__((__cleanup__(close_pending))) = pending;

	while (tuck__would_block(r, deadline)) {
		r = tuck__fd_park_named(tuck__tls, fd, deadline);
		if (r >= 0)
			r = connect_again(fd, text);
	}
	if (r == -EINPROGRESS)
		r = tuck_fd_wait(fd, TUCK_WRITABLE, deadline);
	if (r > 0)
		r = outcome(fd);
	if (r < 0)
		return r;
	fd = -1;
	return pending;
}

static int connect_to(const struct tuck_addr *addr,
		      const struct tuck_socket_attr *attr, tuck_ns deadline)
{
	int fd = -1, r = start(addr, attr, &fd);

	if (r == -EAGAIN)		/* no Unix listener's */
		return tuck__close_with(fd, r);
	return fd < 0 || r == 0 ? (r < 0 ? r : fd) :
				  connected(fd, r, "", deadline);
}

/* -- a name -- */

static void free_addrs(struct tuck__addrs **addrs)
{
	tuck__free(*addrs);
}

/* The next address to try: of the other family than the last, if there is. */
static tuck__noinline void alternate(struct tuck__addrs *addrs, int next)
{
	struct tuck_addr *a = addrs->addr, found;
	int i = next;

	while (i < addrs->n && a[i].sa.ss_family == a[next - 1].sa.ss_family)
		i++;
	if (i == addrs->n)
		return;
	found = a[i];
	memmove(&a[next + 1], &a[next], (size_t)(i - next) * sizeof(*a));
	a[next] = found;
}

/* The same for each of those that are left. */
static tuck_ns share(tuck_ns deadline, int left)
{
	tuck_ns now = tuck_now();

	if (deadline == TUCK_FOREVER || deadline <= now)
		return deadline;
	return now + (deadline - now + left - 1) / left;
}

/* Whether others need not be tried. */
static bool final(int r, tuck_ns deadline)
{
	return r >= 0 || r == -ECANCELED || r == -ETIME ||
	       (r == -ETIMEDOUT && tuck_now() >= deadline);
}

/*
 * Of the local address's family, for others cannot be connected from there; a
 * text that is no address comes to light with the first one.
 */
static tuck__noinline int family_of(const struct tuck_socket_attr *attr)
{
	struct tuck_addr local;

	if (!attr->local || tuck__addr_of(&local, attr->local) < 0)
		return 0;
	return local.sa.ss_family == AF_INET || local.sa.ss_family == AF_INET6 ?
		       local.sa.ss_family :
		       0;
}

static int connect_named(const char *text, const struct tuck_socket_attr *attr,
			 tuck_ns deadline)
{
	struct tuck__addrs *addrs
		__attribute__((__cleanup__(free_addrs))) = NULL;
	const struct tuck_resolve_attr want = { .family = family_of(attr),
						.kind = attr->kind };
	int first = 0, r;

	r = tuck__addrs_of(&addrs, text, &want, deadline);
	if (r < 0)
		return r;
	for (int i = 0; i < addrs->n; i++) {
		if (i > 0)
			alternate(addrs, i);
		r = connect_to(&addrs->addr[i], attr,
			       share(deadline, addrs->n - i));
		if (final(r, deadline))
			return r;
		if (i == 0)
			first = r;
	}
	return first;
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
		return connect_named(addr, attr, deadline);
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
