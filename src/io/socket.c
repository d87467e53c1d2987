/* SPDX-License-Identifier: MIT */
/*
 * Sockets of all families and kinds: listen, bind, pairs. What
 * differs between families is in their addresses; what differs between calls,
 * in the attributes.
 *
 * Invariant: a descriptor is closed by whoever failed, or was killed, before
 * it could give it away.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/socket.h"

static const struct tuck_socket_attr usual;

static int set(int fd, int level, int option, int value)
{
	int r = setsockopt(fd, level, option, &value, sizeof(value));

	return r < 0 ? -errno : 0;
}

int tuck__open_socket(int family, int kind)
{
	struct tuck__sched *s = tuck__sched();
	struct tuck__poller *p;
	int r, fd;

	TUCK__REQUIRE(s, tuck__sched_error());
	r = tuck__poller(s, &p);
	if (r < 0)
		return r;
	fd = socket(family, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	tuck__fd_adopt(s, fd, tuck__socket_bits(family, kind) | TUCK__FD_NEW);
	if (family != AF_UNIX && kind == SOCK_STREAM)
		set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return fd;
}

/* -- bind and listen -- */

/* Whether a path is a socket's whose owner does not live any more. */
static bool abandoned(const struct sockaddr_un *sun, socklen_t len, int kind)
{
	int fd = socket(AF_UNIX, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct stat st;
	bool dead;

	if (fd < 0)
		return false;
	dead = connect(fd, (const void *)sun, len) < 0 &&
	       errno == ECONNREFUSED && lstat(sun->sun_path, &st) == 0 &&
	       S_ISSOCK(st.st_mode);
	close(fd);
	return dead;
}

static int bind_to(int fd, const struct tuck_addr *addr, int kind, bool replace)
{
	const struct sockaddr_un *sun = (const void *)&addr->sa;

	if (bind(fd, (const void *)&addr->sa, addr->len) == 0)
		return 0;
	if (errno != EADDRINUSE || !replace || sun->sun_family != AF_UNIX ||
	    !sun->sun_path[0])
		return -errno;
	if (!abandoned(sun, addr->len, kind) || unlink(sun->sun_path) < 0)
		return -EADDRINUSE;
	return bind(fd, (const void *)&addr->sa, addr->len) < 0 ? -errno : 0;
}

/* What must be set before an address is taken. */
static int prepare(int fd, int family, int kind,
		   const struct tuck_socket_attr *attr)
{
	int r = 0;

	if (family == AF_UNIX)
		return attr->reuse_port ? -EOPNOTSUPP : 0;
	if (kind == SOCK_STREAM)
		r = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0 && attr->reuse_port)
		r = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0 && family == AF_INET6)
		r = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, attr->v6_only != 0);
	return r;
}

int tuck__open_to(const struct tuck_addr *addr, int kind,
		  const struct tuck_socket_attr *attr)
{
	int fd = tuck__open_socket(addr->sa.ss_family, kind), r;

	if (fd < 0)
		return fd;
	r = prepare(fd, addr->sa.ss_family, kind, attr);
	if (r == 0)
		r = bind_to(fd, addr, kind, attr->replace);
	return r < 0 ? tuck__close_with(fd, r) : fd;
}

static tuck__noinline int open_numeric(const char *text, int kind,
				       const struct tuck_socket_attr *attr)
{
	struct tuck_addr addr;
	int r = tuck__addr_of(&addr, text);

	return r < 0 ? r : tuck__open_to(&addr, kind, attr);
}

static void free_addrs(struct tuck__addrs **addrs)
{
	tuck__free(*addrs);
}

/* The first address that will do; if none, what the first one says. */
static int open_named(const char *text, int kind,
		      const struct tuck_socket_attr *attr)
{
	struct tuck__addrs *addrs
		__attribute__((__cleanup__(free_addrs))) = NULL;
	const struct tuck_resolve_attr want = { .kind = kind };
	int first = 0, r;

	r = tuck__addrs_of(&addrs, text, &want, TUCK_FOREVER);
	if (r < 0)
		return r;
	for (int i = 0; i < addrs->n; i++) {
		r = tuck__open_to(&addrs->addr[i], kind, attr);
		if (r >= 0)
			return r;
		if (i == 0)
			first = r;
	}
	return first;
}

static int open_at(const char *text, int kind,
		   const struct tuck_socket_attr *attr)
{
	int fd = open_numeric(text, kind, attr);

	return fd == TUCK__A_NAME ? open_named(text, kind, attr) : fd;
}

int tuck_listen(const char *addr, const struct tuck_socket_attr *attr)
{
	const struct tuck_socket_attr *a = attr ? attr : &usual;
	int kind = a->kind ? a->kind : SOCK_STREAM, fd;

	TUCK__REQUIRE(a->backlog >= 0, -EINVAL);
	TUCK__REQUIRE(kind == SOCK_STREAM || kind == SOCK_SEQPACKET, -EINVAL);
	fd = open_at(addr, kind, a);
	if (fd >= 0 && listen(fd, a->backlog ? a->backlog : INT_MAX) < 0)
		return tuck__close_with(fd, -errno);
	return fd;
}

int tuck_tcp_listen(const char *addr, int backlog)
{
	const struct tuck_socket_attr attr = { .backlog = backlog };

	return tuck__is_unix(addr) ? -EINVAL : tuck_listen(addr, &attr);
}

int tuck_bind(const char *addr, const struct tuck_socket_attr *attr)
{
	const struct tuck_socket_attr *a = attr ? attr : &usual;

	TUCK__REQUIRE(!a->kind || a->kind == SOCK_DGRAM, -EINVAL);
	return open_at(addr, SOCK_DGRAM, a);
}

int tuck_udp_bind(const char *addr)
{
	return tuck__is_unix(addr) ? -EINVAL : tuck_bind(addr, NULL);
}

/* -- pairs, options -- */

int tuck_unix_pair(int kind, int ret_fd[2])
{
	struct tuck__sched *s = tuck__sched();
	struct tuck__poller *p;
	uint32_t bits = tuck__socket_bits(AF_UNIX, kind) | TUCK__FD_NEW;
	int fd[2], r;

	TUCK__REQUIRE(ret_fd, -EINVAL);
	TUCK__REQUIRE(s, tuck__sched_error());
	r = tuck__poller(s, &p);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		tuck__fd_adopt(s, fd[i], bits);
		ret_fd[i] = fd[i];
	}
	return 0;
}

int tuck_shutdown(int fd, int how)
{
	return shutdown(fd, how) < 0 ? -errno : 0;
}

int tuck_nodelay_set(int fd, int on)
{
	return set(fd, IPPROTO_TCP, TCP_NODELAY, on != 0);
}

static int seconds(tuck_ns span)
{
	return (int)((span + TUCK_SEC(1) - 1) / TUCK_SEC(1));
}

int tuck_keepalive_set(int fd, tuck_ns idle, tuck_ns interval, int probes)
{
	const tuck_ns most = TUCK_SEC(32767);
	int r = 0;

	TUCK__REQUIRE(idle >= 0 && idle <= most && interval >= 0 &&
			      interval <= most && probes >= 0 && probes <= 127,
		      -EINVAL);
	if (idle)
		r = set(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds(idle));
	if (r == 0 && idle && interval)
		r = set(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds(interval));
	if (r == 0 && idle && probes)
		r = set(fd, IPPROTO_TCP, TCP_KEEPCNT, probes);
	return r < 0 ? r : set(fd, SOL_SOCKET, SO_KEEPALIVE, idle != 0);
}
