/* SPDX-License-Identifier: MIT */
/* What recv() and its like say, and how long they wait, beyond the usual. */
#include <sys/uio.h>

#include "hooked.h"

static int fds[2];

static void set_limit(int fd, int name, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	CHECK_EQ(setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv)), 0);
}

/* -- the time limit of a socket -- */

static struct {
	int ms, n, stop;
} drips;

static void drip(void *arg)
{
	(void)arg;
	for (int i = 0; i < drips.n && !drips.stop; i++) {
		CHECK_EQ(usleep((useconds_t)drips.ms * 1000), 0);
		raw_write(fds[1], "x", 1);
	}
}

static void start_drips(int ms, int n)
{
	drips.ms = ms;
	drips.n = n;
	drips.stop = 0;
	go(drip, NULL);
}

/* However many parts it has. */
HOOKED_TEST(a_receive_for_all_has_one_limit)
{
	char buf[64];
	struct iovec iov[64];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 64 };
	ssize_t r;

	for (int i = 0; i < 64; i++)
		iov[i] = (struct iovec){ buf + i, 1 };
	stream_pair(fds);
	set_limit(fds[0], SO_RCVTIMEO, 200);
	start_drips(20, 200);
	r = recvmsg(fds[0], &msg, MSG_WAITALL);
	drips.stop = 1;
	CHECK(r < 64);
}

/* Each message has it anew. */
HOOKED_TEST(each_message_of_several_has_its_limit)
{
	char buf[9];
	struct iovec iov = { buf, 9 };
	struct mmsghdr msgs[3];

	for (int i = 0; i < 3; i++)
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov,
						   .msg_iovlen = 1 };
	CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	set_limit(fds[0], SO_RCVTIMEO, 2000);
	start_drips(1050, 3);
	CHECK_EQ(recvmmsg(fds[0], msgs, 3, 0, NULL), 3);
}

/* -- looking ahead -- */

HOOKED_TEST(a_look_ahead_at_all_waits_for_all)
{
	const int flags = MSG_PEEK | MSG_WAITALL;
	char buf[9];
	struct iovec iov[2] = { { buf, 4 }, { buf + 4, 5 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	tcp_pair(fds);
	start_drips(1, 4);
	CHECK_EQ(recv(fds[0], buf, 4, flags), 4);
	CHECK_EQ(recv(fds[0], buf, 4, MSG_WAITALL), 4);
	start_drips(1, 9);
	CHECK_EQ(recvmsg(fds[0], &msg, flags), 9);
	CHECK_EQ(recv(fds[0], buf, 9, MSG_WAITALL), 9);
	raw_write(fds[1], "xyz", 3);
	arrives(fds[0]);
	set_limit(fds[0], SO_RCVTIMEO, 20);
	CHECK_EQ(recv(fds[0], buf, 9, flags), 3);
	set_limit(fds[0], SO_RCVTIMEO, 0);
	CHECK_EQ(recv(fds[0], buf, 9, flags | MSG_DONTWAIT), 3);
	close(fds[1]);
	CHECK_EQ(recv(fds[0], buf, 9, flags), 3);
}

/* -- descriptors that come along -- */

static void send_with(const char *text, int passed)
{
	struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = room,
			      .msg_controllen = sizeof(room) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &passed, sizeof(int));
	CHECK_EQ(sendmsg(fds[1], &msg, 0), strlen(text));
}

/* Whose message ends there, however much is to come. */
static void check_passed(ssize_t n)
{
	char buf[9];
	struct iovec iov = { buf, sizeof(buf) };
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))];
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = room,
			      .msg_controllen = sizeof(room) };

	CHECK_EQ(recvmsg(fds[0], &msg, MSG_WAITALL), n);
	CHECK_EQ(msg.msg_controllen, sizeof(room));
	CHECK_EQ(CMSG_FIRSTHDR(&msg)->cmsg_type, SCM_RIGHTS);
}

static void send_late(void *arg)
{
	(void)arg;
	send_with("bc", 1);
}

HOOKED_TEST(a_receive_for_all_loses_no_descriptor)
{
	stream_pair(fds);
	send_with("a", 1);
	send_with("bc", 1);
	check_passed(1);
	check_passed(2);
	raw_write(fds[1], "a", 1);
	go(send_late, NULL);
	check_passed(3);
}

HOOKED_TEST(a_limit_that_is_no_time_is_refused)
{
	const struct timespec bad[] = { { 0, TUCK_SEC(1) },
					{ 0, -1 },
					{ -1, 0 } };
	struct mmsghdr m = { .msg_len = 0 };

	stream_pair(fds);
	raw_write(fds[1], "a", 1);
	for (int i = 0; i < 3; i++) {
		struct timespec limit = bad[i];

		CHECK_EQ(recvmmsg(fds[0], &m, 1, 0, &limit), -1);
		CHECK_EQ(errno, EINVAL);
	}
}

HOOKED_TEST(a_message_that_is_none_is_a_bad_address)
{
	stream_pair(fds);
	CHECK_EQ(recvmsg(fds[0], NULL, 0), -1);
	CHECK_EQ(errno, EFAULT);
}
