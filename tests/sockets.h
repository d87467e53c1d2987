/* SPDX-License-Identifier: MIT */
/* What the tests of descriptors and procs share: sockets and known bytes. */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <tuck.h>
#include <unistd.h>

#include "check.h"

#define SANITIZED (UNDER_ASAN || UNDER_TSAN || UNDER_MSAN)

/* Shorter than the test's limit, to tell what was waited for in vain. */
static inline tuck_ns patience(void)
{
	return tuck_after(TUCK_SEC(check_limit_s()) / 2);
}

/* Let the others run until it is so. */
#define WAIT_FOR(cond) do {						\
	tuck_ns wait_end = patience();					\
	while (!(cond)) {						\
		if (tuck_now() > wait_end)				\
			check_fail(CHECK_AT, "never: %s", #cond);	\
		tuck_sleep(tuck_after(TUCK_MS(1)));			\
	}								\
} while (0)

/*
 * Until the others wait, and the poller has been asked. Where some never wait
 * it ends all the same.
 */
static inline void settle(void)
{
	struct tuck_stats stats;

	for (int tries = 0; tries < 20; tries++) {
		for (int i = 0; i < 50; i++)	/* in any order */
			tuck_yield();
		tuck_sleep(tuck_after(TUCK_MS(3)));
		CHECK_EQ(tuck_stats(&stats), 0);
		if (stats.ready == 0)
			break;
	}
}

/* Wait for the end of a tasklet, which may have come already. */
static inline void finish(tuck_id id)
{
	int r = tuck_join(id, patience());

	CHECK(r == 0 || r == -ESRCH);
}

static inline int seeded(void)
{
	return getenv("TUCK_SEED") || getenv("TUCK_POLICY");
}

/* Tasklets share this many stacks; before the first call of Tuck. */
static inline void share_slots(size_t n)
{
	struct tuck_config config = { .stack_slots = n };

	unsetenv("TUCK_STACK_SLOTS");
	CHECK_EQ(tuck_config_set(&config), 0);
}

static inline unsigned char byte_at(size_t i, unsigned seed)
{
	return (unsigned char)((((uint32_t)i + seed) * 2654435761u) >> 24);
}

/* Bytes from place at on of the endless sequence that seed names. */
static inline void fill(void *buf, size_t n, size_t at, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		((unsigned char *)buf)[i] = byte_at(at + i, seed);
}

static inline void check_filled(const void *buf, size_t n, size_t at,
				unsigned seed)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < n; i++)
		if (p[i] != byte_at(at + i, seed))
			check_fail(CHECK_AT, "byte %zu of %zu: %d, not %d", i,
				   n, p[i], byte_at(at + i, seed));
}

static inline int count_fds(void)
{
	struct rlimit limit;
	int n = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	for (int fd = 0; fd < 65536 && fd < (int)limit.rlim_max; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static inline int raw_listen(struct sockaddr_in *ret_addr)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(fd >= 0);
	CHECK_EQ(bind(fd, (struct sockaddr *)&addr, len), 0);
	CHECK_EQ(listen(fd, 16), 0);
	CHECK_EQ(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*ret_addr = addr;
	return fd;
}

/* The backlog that a TCP listener has by the kernel's word, or -1: no word. */
static inline int backlog_of(int listener)
{
	struct tcp_info info = { .tcpi_state = 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
	    info.tcpi_state != TCP_LISTEN)
		return -1;
	return (int)info.tcpi_sacked;
}

/* Until the backlog, a short one, is full: the kernel answers nobody then. */
static inline void fill_backlog(int listener, const char *text)
{
	for (int i = 0, late = 0; i < 20; i++) {
		int r = tuck_tcp_connect(text, tuck_after(TUCK_MS(50)));

		CHECK(r >= 0 || r == -ETIMEDOUT);
		late = r < 0 ? late + 1 : 0;
		if (late == 2)	/* one may be a busy machine's fault */
			return;
	}
	if (backlog_of(listener) >= 0)
		check_fail(CHECK_AT, "the backlog is %d", backlog_of(listener));
	SKIP("a backlog without end");
}

/* A TCP connection made without Tuck: neither end is known, both block. */
static inline void tcp_pair(int fd[2])
{
	struct sockaddr_in addr;
	int listener = raw_listen(&addr);

	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(connect(fd[0], (struct sockaddr *)&addr, sizeof(addr)), 0);
	fd[1] = accept(listener, NULL, NULL);
	CHECK(fd[1] >= 0);
	close(listener);
}

static inline void stream_pair(int fd[2])
{
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
}

/* A pipe: fd[0] reads, fd[1] writes. */
static inline void pipe_pair(int fd[2])
{
	CHECK_EQ(pipe(fd), 0);
}

static inline void raw_write(int fd, const void *buf, size_t n)
{
	CHECK_EQ(write(fd, buf, n), (ssize_t)n);
}

/*
 * Until there is input, without Tuck: what was written to a socket of TCP
 * arrives when the kernel finds the time.
 */
static inline void arrives(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	CHECK_EQ(poll(&p, 1, check_limit_s() * 500), 1);
}

/* Sent, but not acknowledged, which may come 40 ms later. */
static inline int under_way(int fd)
{
	int queued = 0, unsent = 0;	/* MSan does not see them set */

	return ioctl(fd, SIOCOUTQNSD, &unsent) == 0 &&	/* else it is no TCP */
	       ioctl(fd, SIOCOUTQ, &queued) == 0 && queued > unsent;
}

/*
 * Write until nothing goes in, nor will before the peer reads: each
 * acknowledgement makes room. Returns the number of bytes that went in.
 */
static inline size_t stuff(int fd)
{
	static char junk[65536];
	size_t sum = 0;
	ssize_t r;

	do {
		while (under_way(fd))
			usleep(1000);
		r = tuck_write(fd, junk, sizeof(junk), TUCK_NOWAIT);
		if (r > 0)
			sum += (size_t)r;
	} while (r > 0 || under_way(fd));
	CHECK_EQ(r, -EAGAIN);
	return sum;
}

#endif
