/* SPDX-License-Identifier: MIT */
/*
 * What accept(2) can answer and a loopback connection does not provoke: this
 * program's own accept4() takes the place of libc's.
 */
#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <tuck.h>
#include <unistd.h>

#include "check.h"

static int fail_with, fail_times;

int accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	if (fail_times > 0) {
		fail_times--;
		errno = fail_with;
		return -1;
	}
	return (int)syscall(SYS_accept4, fd, sa, len, flags);
}

static int listen_with_client(int *ret_client)
{
	int listener = tuck_tcp_listen("127.0.0.1:0", 0);
	char text[TUCK_ADDR_TEXT];
	struct tuck_addr addr;

	CHECK(listener >= 0);
	CHECK_EQ(tuck_addr_local(listener, &addr), 0);
	tuck_addr_format(&addr, text, sizeof(text));
	*ret_client = tuck_tcp_connect(text, tuck_after(TUCK_SEC(5)));
	CHECK(*ret_client >= 0);
	return listener;
}

TEST(lack_of_room_is_told_and_loses_no_connection)
{
	static const int lack[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM };

	for (int i = 0; i < 4; i++) {
		int client, listener = listen_with_client(&client), fd;
		tuck_ns begin = tuck_now();

		fail_with = lack[i];
		fail_times = 1;
		CHECK_EQ(tuck_accept(listener, NULL, TUCK_FOREVER), -lack[i]);
		CHECK(tuck_now() - begin >= TUCK_MS(9));
		fd = tuck_accept(listener, NULL, TUCK_NOWAIT);
		CHECK(fd >= 0);
		CHECK_EQ(tuck_fd_close(fd), 0);
		CHECK_EQ(tuck_fd_close(client), 0);
		CHECK_EQ(tuck_fd_close(listener), 0);
	}
}

TEST(connections_that_are_gone_are_skipped)
{
	static const int gone[] = { ECONNABORTED, EPROTO,      ENETDOWN,
				    ENOPROTOOPT,  EHOSTDOWN,   ENONET,
				    EHOSTUNREACH, ENETUNREACH, EINTR };
	int listener = tuck_tcp_listen("127.0.0.1:0", 0);

	CHECK(listener >= 0);
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		fail_with = gone[i];
		fail_times = 3;
		CHECK_EQ(tuck_accept(listener, NULL, TUCK_NOWAIT), -EAGAIN);
		CHECK_EQ(fail_times, 0);
	}
}

TEST(numbers_of_buffers_have_bounds)
{
	static struct iovec iov[IOV_MAX + 1];
	static char byte[IOV_MAX + 1];
	int fd[2];

	for (int i = 0; i <= IOV_MAX; i++)
		iov[i] = (struct iovec){ &byte[i], 1 };
	for (int kind = 0; kind < 2; kind++) {
		if (kind)
			CHECK_EQ(pipe(fd), 0);
		else
			CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
		CHECK_EQ(tuck_readv(fd[0], iov, -1, TUCK_NOWAIT), -EINVAL);
		CHECK_EQ(tuck_writev(fd[1], iov, -1, TUCK_NOWAIT), -EINVAL);
		CHECK_EQ(tuck_readv(fd[0], iov, IOV_MAX + 1, TUCK_NOWAIT),
			 -EINVAL);
		CHECK_EQ(tuck_writev(fd[1], iov, IOV_MAX + 1, TUCK_NOWAIT),
			 -EINVAL);
		CHECK_EQ(tuck_writev(fd[1], iov, IOV_MAX, TUCK_NOWAIT),
			 IOV_MAX);
		CHECK_EQ(tuck_readv(fd[0], iov, IOV_MAX, TUCK_NOWAIT), IOV_MAX);
	}
}
