/* SPDX-License-Identifier: MIT */
/* What the tests of descriptors and procs share: sockets and known bytes. */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <tuck/base.h>
#include <tuck/task.h>
#include <unistd.h>

#include "check.h"

#define SANITIZED (UNDER_ASAN || UNDER_TSAN || UNDER_MSAN)

/* Let the others run until it is so. */
#define WAIT_FOR(cond) do {						\
	tuck_ns wait_end = tuck_after(TUCK_SEC(10));			\
	while (!(cond)) {						\
		if (tuck_now() > wait_end)				\
			check_fail(CHECK_AT, "never: %s", #cond);	\
		tuck_sleep(tuck_after(TUCK_MS(1)));			\
	}								\
} while (0)

/* Until the others wait, and the poller has been asked. */
static inline void settle(void)
{
	for (int i = 0; i < 50; i++)	/* all who are ready, in any order */
		tuck_yield();
	tuck_sleep(tuck_after(TUCK_MS(3)));
}

/* Wait for the end of a tasklet, which may have come already. */
static inline void finish(tuck_id id)
{
	int r = tuck_join(id, tuck_after(TUCK_SEC(10)));

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

#endif
