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

#include "sockets.h"

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

static int late_result;

static void accept_late(void *listener)
{
	late_result = 1;
	late_result = tuck_accept(*(int *)listener, NULL, TUCK_FOREVER);
}

/* Nothing is closed meanwhile. Who sleeps for longer wakes up later. */
TEST(a_lack_of_room_is_not_waited_out_for_long)
{
	static int listener;
	int client;

	listener = listen_with_client(&client);
	fail_with = EMFILE;
	fail_times = 1;
	CHECK(tuck_go(accept_late, &listener) > 0);
	WAIT_FOR(fail_times == 0);
	CHECK_EQ(tuck_sleep(tuck_after(TUCK_MS(300))), 0);
	settle();
	CHECK_EQ(late_result, -EMFILE);
	CHECK(tuck_accept(listener, NULL, TUCK_NOWAIT) >= 0);
}

/* -- shed load -- */

static void connect_many(int listener, int *clients, int n)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	CHECK_EQ(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	for (int i = 0; i < n; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM, 0);
		CHECK_EQ(connect(clients[i], (struct sockaddr *)&addr, len), 0);
	}
}

static void leave_no_room(void)
{
	struct rlimit limit;
	int fd = dup(2);

	close(fd);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = (rlim_t)fd;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void make_room(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Whoever arrives while there is no descriptor learns so at once. */
TEST(load_is_shed)
{
	int listener = tuck_tcp_listen("127.0.0.1:0", 0), spare = -1;
	int clients[20], shed = 0, fds;
	char c;

	connect_many(listener, clients, 20);
	CHECK_EQ(tuck_shed(listener, &spare), 0);
	CHECK(spare >= 0 && (fcntl(spare, F_GETFD) & FD_CLOEXEC));
	fds = count_fds();
	leave_no_room();
	while (shed < 20) {
		int r;

		arrives(listener);
		CHECK_EQ(tuck_accept(listener, NULL, TUCK_NOWAIT), -EMFILE);
		r = tuck_shed(listener, &spare);
		CHECK(r > 0);
		shed += r;
		CHECK(spare >= 0);
	}
	CHECK_EQ(shed, 20);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(read(clients[i], &c, 1), 0);
	CHECK_EQ(tuck_shed(listener, &spare), 0);
	CHECK_EQ(count_fds(), fds);
	make_room();
	connect_many(listener, clients, 1);
	CHECK(tuck_accept(listener, NULL, patience()) >= 0);
}

TEST(shedding_has_a_bound)
{
	static int clients[300];
	int listener = tuck_tcp_listen("127.0.0.1:0", 0), spare = -1, shed = 0;

	make_room();
	if (backlog_of(listener) < 300)
		SKIP("a short backlog");
	CHECK_EQ(tuck_shed(listener, &spare), 0);
	connect_many(listener, clients, 300);
	while (shed < 300) {
		int r = tuck_shed(listener, &spare);

		CHECK(r >= 0 && r <= 256);
		shed += r;
	}
}

TEST(shedding_without_a_spare_one)
{
	int listener = tuck_tcp_listen("127.0.0.1:0", 0), client, spare = -1;

	connect_many(listener, &client, 1);
	arrives(listener);
	leave_no_room();
	CHECK_EQ(tuck_shed(listener, &spare), -EMFILE);
	CHECK_EQ(spare, -1);
	make_room();
	CHECK_EQ(tuck_shed(listener, &spare), 0);
	CHECK_EQ(tuck_shed(listener, NULL), -EINVAL);
	CHECK_EQ(tuck_shed(-1, &spare), -EBADF);
	CHECK_EQ(tuck_shed(client, &spare), -EINVAL);
	CHECK(spare >= 0);
	CHECK_EQ(tuck_shed(listener, &spare), 1);
	fail_with = EMFILE;		/* somebody was faster */
	fail_times = 1;
	CHECK_EQ(tuck_shed(listener, &spare), -EMFILE);
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
