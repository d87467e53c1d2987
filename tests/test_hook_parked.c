/* SPDX-License-Identifier: MIT */
/*
 * What a tasklet keeps of its stack while it waits in a call of libc's: rule
 * S5. Its buffer belongs to that, for POSIX knows of no hole.
 */
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/un.h>
#include <threads.h>
#include <tuck.h>

#include "sockets.h"
#include "trace.h"

/* clang inlines more of what waits into one frame. */
#ifdef __clang__
#define FRAMES 2
#else
#define FRAMES 1
#endif

static int fd[2], stuffed[2], ends[2], listener, epoll_fd;
static char junk[1 << 16];

static void wait_read(void *arg)
{
	CHECK_EQ(read(fd[0], arg, 1), 1);
}

static void wait_read_pipe(void *arg)
{
	CHECK_EQ(read(ends[0], arg, 1), 1);
}

static void wait_recv(void *arg)
{
	CHECK_EQ(recv(fd[0], arg, 1, 0), 1);
}

static void wait_write(void *arg)
{
	CHECK_EQ(write(stuffed[0], arg, sizeof(junk)), sizeof(junk));
}

static void wait_splice(void *arg)
{
	(void)arg;
	CHECK_EQ(splice(ends[0], NULL, fd[1], NULL, 1, 0), 1);
}

static void wait_accept(void *arg)
{
	(void)arg;
	CHECK(accept(listener, NULL, NULL) >= 0);
}

static void wait_poll(void *arg)
{
	struct pollfd p = { .fd = fd[0], .events = POLLIN };

	(void)arg;
	CHECK_EQ(poll(&p, 1, -1), 1);
}

static void wait_select(void *arg)
{
	static fd_set in;

	(void)arg;
	FD_ZERO(&in);
	FD_SET(fd[0], &in);
	CHECK_EQ(select(fd[0] + 1, &in, NULL, NULL, NULL), 1);
}

static void wait_epoll(void *arg)
{
	static struct epoll_event e;

	(void)arg;
	CHECK_EQ(epoll_wait(epoll_fd, &e, 1, -1), 1);
}

static void wait_sleep(void *arg)
{
	(void)arg;
	sleep(1000);
}

static void wait_thrd_sleep(void *arg)
{
	static const struct timespec t = { 1000, 0 };

	(void)arg;
	thrd_sleep(&t, NULL);
}

static void wait_block(void *arg)
{
	(void)arg;
	tuck_block(TUCK_FOREVER);
}

/* The largest slice: the waiting one's, the pump's, or the other one's. */
static size_t parked_bytes(void (*fn)(void *))
{
	struct tuck_stats stats;
	tuck_id id = go(fn, junk), other;

	let_others_wait();
	other = go(wait_block, NULL);	/* takes the only slot */
	let_others_wait();
	CHECK_EQ(tuck_stats(&stats), 0);
	CHECK(stats.slices >= 1);
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_EQ(tuck_drop(other), 0);
	return stats.slice_bytes_max;
}

static void set_up(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	struct sockaddr_in addr;

	if (has_policy())
		SKIP("the order is a policy's");
	needs_usual_frames();
	share_slots(1);
	stream_pair(fd);
	stream_pair(stuffed);
	pipe_pair(ends);
	while (send(stuffed[0], junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
	listener = raw_listen(&addr);
	epoll_fd = epoll_create1(0);
	CHECK_EQ(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd[0], &e), 0);
}

TEST(waits_of_libc_keep_little)
{
	static const struct {
		const char *name;
		void (*fn)(void *);
		size_t most;
	} waits[] = {
		{ "read", wait_read, 384 },
		{ "read of a pipe", wait_read_pipe, 384 },
		{ "recv", wait_recv, 400 },
		{ "write", wait_write, 480 },
		{ "accept", wait_accept, 384 },
		{ "poll", wait_poll, 352 },
		{ "select", wait_select, 448 },
		{ "epoll_wait", wait_epoll, 352 },
		{ "sleep", wait_sleep, 144 },
		{ "splice", wait_splice, 400 },
		{ "thrd_sleep", wait_thrd_sleep, 144 },
	};

	set_up();
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		size_t n = parked_bytes(waits[i].fn);

		if (n > waits[i].most * FRAMES)
			check_fail(CHECK_AT, "%s: %zu bytes", waits[i].name, n);
	}
}
