/* SPDX-License-Identifier: MIT */
/* UDP, one message and many, and what comes with them. */
#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <tuck.h>

#include "peer.h"

/* fd[0] is bound, fd[1] connected to it. */
static void udp_pair(int fd[2])
{
	char text[TUCK_ADDR_TEXT];

	fd[0] = tuck_udp_bind("127.0.0.1:0");
	CHECK(fd[0] >= 0);
	fd[1] = tuck_udp_connect(local_text(fd[0], text));
	CHECK(fd[1] >= 0);
}

TEST(descriptors_are_as_all_of_ours)
{
	int fd[2], value;
	socklen_t len = sizeof(value);

	udp_pair(fd);
	for (int i = 0; i < 2; i++) {
		CHECK(fcntl(fd[i], F_GETFL) & O_NONBLOCK);
		CHECK(fcntl(fd[i], F_GETFD) & FD_CLOEXEC);
		CHECK_EQ(getsockopt(fd[i], SOL_SOCKET, SO_TYPE, &value, &len),
			 0);
		CHECK_EQ(value, SOCK_DGRAM);
	}
}

TEST(bad_addresses_and_attributes)
{
	struct tuck_socket_attr stream = { .kind = SOCK_STREAM };
	struct tuck_socket_attr from = { .kind = SOCK_DGRAM,
					 .local = "[::1]:0" };
	char text[TUCK_ADDR_TEXT];
	int fd = tuck_udp_bind("127.0.0.1:0"), fds = count_fds();

	CHECK_EQ(tuck_udp_bind(local_text(fd, text)), -EADDRINUSE);
	CHECK_EQ(tuck_udp_bind("192.0.2.1:0"), -EADDRNOTAVAIL);
	CHECK_EQ(tuck_udp_bind("a host:80"), -EINVAL);
	CHECK_EQ(tuck_udp_bind("unix:@x"), -EINVAL);
	CHECK_EQ(tuck_udp_bind(NULL), -EINVAL);
	CHECK_EQ(tuck_udp_connect("a host:80"), -EINVAL);
	CHECK_EQ(tuck_udp_connect("unix:@x"), -EINVAL);
	CHECK_EQ(tuck_udp_connect(NULL), -EINVAL);
	CHECK_EQ(tuck_bind("127.0.0.1:0", &stream), -EINVAL);
	CHECK_EQ(tuck_connect(text, &from, patience()), -EINVAL);
	from.local = "nonsense";
	CHECK_EQ(tuck_connect(text, &from, patience()), -EINVAL);
	CHECK_EQ(count_fds(), fds);
}

TEST(a_question_and_its_answer)
{
	char buf[16], a[TUCK_ADDR_TEXT], b[TUCK_ADDR_TEXT];
	struct tuck_addr from;
	int fd[2];

	udp_pair(fd);
	CHECK_EQ(tuck_send_to(fd[1], "question", 8, NULL, patience()), 8);
	CHECK_EQ(tuck_recv_from(fd[0], buf, 16, &from, patience()), 8);
	CHECK_MEM(buf, "question", 8);
	CHECK_STR(tuck_addr_format(&from, a, sizeof(a)), local_text(fd[1], b));
	CHECK_EQ(tuck_send_to(fd[0], "answer", 6, &from, patience()), 6);
	CHECK_EQ(tuck_recv_from(fd[1], buf, 16, NULL, patience()), 6);
	CHECK_MEM(buf, "answer", 6);
	CHECK_EQ(tuck_write(fd[1], "", 0, patience()), 0);
	CHECK_EQ(tuck_recv_from(fd[0], buf, 16, NULL, patience()), 0);
	CHECK_EQ(tuck_send_to(fd[0], "x", 1, NULL, patience()), -EDESTADDRREQ);
}

TEST(from_a_certain_address)
{
	struct tuck_socket_attr attr = { .kind = SOCK_DGRAM };
	char text[TUCK_ADDR_TEXT];
	struct tuck_addr addr;
	int fd[2];

	udp_pair(fd);
	attr.local = "127.0.0.2:0";
	fd[1] = tuck_connect(local_text(fd[0], text), &attr, patience());
	CHECK(fd[1] >= 0);
	CHECK_EQ(tuck_addr_local(fd[1], &addr), 0);
	tuck_addr_format(&addr, text, sizeof(text));
	CHECK_EQ(strncmp(text, "127.0.0.2:", 10), 0);
}

TEST(datagrams_that_are_too_long)
{
	static char big[70000];
	char buf[5] = "----";
	struct tuck_addr from = { .len = 99 };
	struct iovec iov = { buf, 4 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fd[2];

	udp_pair(fd);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_write(fd[1], "abcdef", 6, patience()), 6);
	CHECK_EQ(tuck_recv_from(fd[0], buf, 4, &from, patience()), -EMSGSIZE);
	CHECK_STR(buf, "abcd");
	CHECK_EQ(from.len, 99);
	CHECK_EQ(tuck_recvmsg(fd[0], &msg, 0, patience()), 4);
	CHECK(msg.msg_flags & MSG_TRUNC);
	CHECK_EQ(tuck_recvmsg(fd[0], &msg, MSG_TRUNC, patience()), 6);
	CHECK_EQ(tuck_recvmsg(fd[0], &msg, 0, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_send_to(fd[1], big, sizeof(big), NULL, patience()),
		 -EMSGSIZE);
}

TEST(nobody_is_there)
{
	char text[TUCK_ADDR_TEXT], c;
	int fd[2];

	udp_pair(fd);
	local_text(fd[0], text);
	CHECK_EQ(tuck_fd_close(fd[0]), 0);
	CHECK_EQ(tuck_send_to(fd[1], "x", 1, NULL, patience()), 1);
	CHECK_EQ(tuck_recv_from(fd[1], &c, 1, NULL, patience()), -ECONNREFUSED);
}

/* -- waits -- */

static int received;
static ssize_t sum;

static void receive(void *arg)
{
	char buf[4000];		/* a hole while it waits */
	ssize_t r;

	while ((r = tuck_recv_from((int)(intptr_t)arg, buf, sizeof(buf), NULL,
				   patience())) > 0) {
		check_filled(buf, (size_t)r, 0, (unsigned)r);
		sum += r;
		received++;
	}
}

TEST(many_wait_on_one_socket)
{
	char buf[3000];
	ssize_t want = 0;
	int fd[2];

	share_slots(2);
	udp_pair(fd);
	for (int i = 0; i < 10; i++)
		CHECK(tuck_go(receive, (void *)(intptr_t)fd[0]) > 0);
	settle();
	for (int i = 1; i <= 100; i++) {
		fill(buf, (size_t)i * 25, 0, (unsigned)i * 25);
		CHECK_EQ(tuck_write(fd[1], buf, (size_t)i * 25, patience()),
			 i * 25);
		want += i * 25;
		if (i % 10 == 0)
			WAIT_FOR(received == i);
	}
	CHECK_EQ(sum, want);
}

/* -- many at once -- */

#define MANY 20

static struct mmsghdr out[MANY], in[MANY];
static struct iovec out_iov[MANY], in_iov[MANY];
static char out_buf[MANY][64], in_buf[MANY][64];

static void prepare_many(void)
{
	for (int i = 0; i < MANY; i++) {
		fill(out_buf[i], 64, 0, (unsigned)i);
		out_iov[i] = (struct iovec){ out_buf[i], 10 + (size_t)i };
		in_iov[i] = (struct iovec){ in_buf[i], 64 };
		out[i].msg_hdr = (struct msghdr){ .msg_iov = &out_iov[i],
						  .msg_iovlen = 1 };
		in[i].msg_hdr = (struct msghdr){ .msg_iov = &in_iov[i],
						 .msg_iovlen = 1 };
	}
}

TEST(many_messages_in_one_call)
{
	int fd[2], got = 0, r;

	udp_pair(fd);
	prepare_many();
	CHECK_EQ(tuck_sendmmsg(fd[1], out, MANY, 0, patience()), MANY);
	while (got < MANY) {
		r = tuck_recvmmsg(fd[0], in + got, MANY - got, 0, patience());
		CHECK(r > 0);
		got += r;
	}
	for (int i = 0; i < MANY; i++) {
		CHECK_EQ(out[i].msg_len, 10 + i);
		CHECK_EQ(in[i].msg_len, 10 + i);
		check_filled(in_buf[i], 10 + (size_t)i, 0, (unsigned)i);
	}
	CHECK_EQ(tuck_recvmmsg(fd[0], in, MANY, 0, TUCK_NOWAIT), -EAGAIN);
}

/* All that are there; the kernel may take its time until they are. */
TEST(one_call_takes_many_messages)
{
	tuck_ns end = patience();
	int fd[2], most, got, r;

	udp_pair(fd);
	prepare_many();
	do {
		CHECK(tuck_now() < end);
		CHECK_EQ(tuck_sendmmsg(fd[1], out, MANY, 0, patience()), MANY);
		arrives(fd[0]);
		settle();
		for (got = most = 0; got < MANY; got += r) {
			r = tuck_recvmmsg(fd[0], in, MANY, 0, patience());
			CHECK(r > 0);
			most = r > most ? r : most;
		}
	} while (most < MANY);
	CHECK_EQ(got, MANY);
}

static int came;

static void receive_many(void *arg)
{
	came = tuck_recvmmsg((int)(intptr_t)arg, in, MANY, 0, patience());
}

TEST(many_messages_do_not_wait_for_the_last)
{
	int fd[2];
	tuck_id id;

	udp_pair(fd);
	prepare_many();
	id = tuck_go(receive_many, (void *)(intptr_t)fd[0]);
	settle();
	CHECK_EQ(tuck_sendmmsg(fd[1], out, 1, 0, patience()), 1);
	finish(id);
	CHECK_EQ(came, 1);
	CHECK_EQ(in[0].msg_len, 10);
}

TEST(an_error_of_a_later_message)
{
	int fd[2];

	udp_pair(fd);
	prepare_many();
	out_iov[2].iov_base = NULL;
	CHECK_EQ(tuck_sendmmsg(fd[1], out, 5, 0, patience()), 2);
	CHECK_EQ(tuck_sendmmsg(fd[1], out + 2, 3, 0, patience()), -EFAULT);
}

TEST(numbers_and_flags_that_are_refused)
{
	struct msghdr bad = { .msg_iovlen = 1 };
	int fd[2];

	udp_pair(fd);
	prepare_many();
	CHECK_EQ(tuck_sendmmsg(fd[1], out, 0, 0, patience()), -EINVAL);
	CHECK_EQ(tuck_sendmmsg(fd[1], out, -1, 0, patience()), -EINVAL);
	CHECK_EQ(tuck_sendmmsg(fd[1], NULL, 1, 0, patience()), -EINVAL);
	CHECK_EQ(tuck_sendmmsg(fd[1], out, 1, MSG_ZEROCOPY, patience()),
		 -EINVAL);
	CHECK_EQ(tuck_recvmmsg(fd[0], in, 0, 0, patience()), -EINVAL);
	CHECK_EQ(tuck_recvmmsg(fd[0], in, INT32_MIN, 0, patience()), -EINVAL);
	CHECK_EQ(tuck_recvmmsg(fd[0], NULL, 1, 0, patience()), -EINVAL);
	CHECK_EQ(tuck_recvmmsg(fd[0], in, 1, MSG_WAITALL, patience()), -EINVAL);
	CHECK_EQ(tuck_sendmsg(fd[1], NULL, 0, patience()), -EINVAL);
	CHECK_EQ(tuck_sendmsg(fd[1], &out->msg_hdr, MSG_ZEROCOPY, patience()),
		 -EINVAL);
	CHECK_EQ(tuck_recvmsg(fd[0], NULL, 0, patience()), -EINVAL);
	CHECK_EQ(tuck_recvmsg(fd[0], &bad, 0, patience()), -EINVAL);
	CHECK_EQ(tuck_recvmsg(fd[0], &in->msg_hdr, MSG_WAITALL, patience()),
		 -EINVAL);
	CHECK_EQ(tuck_recvmsg(fd[0], &in->msg_hdr, 0, TUCK_NOWAIT), -EAGAIN);
}

/* -- what comes with a message -- */

/* Where it was sent to, which a server with many addresses answers from. */
TEST(control_data)
{
	const int on = 1;
	_Alignas(struct cmsghdr) char control[256];
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct in_pktinfo info = { 0 };
	const struct cmsghdr *c;
	int fd[2];

	udp_pair(fd);
	CHECK_EQ(setsockopt(fd[0], IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)), 0);
	CHECK_EQ(tuck_write(fd[1], "x", 1, patience()), 1);
	CHECK_EQ(tuck_recvmsg(fd[0], &msg, MSG_PEEK, patience()), 1);
	msg.msg_controllen = sizeof(control);
	CHECK_EQ(tuck_recvmsg(fd[0], &msg, 0, patience()), 1);
	CHECK_EQ(byte, 'x');
	c = CMSG_FIRSTHDR(&msg);
	CHECK(c && c->cmsg_type == IP_PKTINFO);
	memcpy(&info, CMSG_DATA(c), sizeof(info));
	CHECK_EQ(info.ipi_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(tuck_write(fd[1], "x", 1, patience()), 1);
	msg.msg_controllen = 4;
	CHECK_EQ(tuck_recvmsg(fd[0], &msg, 0, patience()), 1);
	CHECK(msg.msg_flags & MSG_CTRUNC);
}

/* A stream, whose short reads say that it is empty, but not those peeks. */
TEST(peeks_at_a_stream)
{
	char buf[8], text[TUCK_ADDR_TEXT];
	int listener = tuck_tcp_listen("127.0.0.1:0", 0), fd, server;
	struct iovec iov = { buf, 8 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	fd = tuck_tcp_connect(local_text(listener, text), patience());
	server = tuck_accept(listener, NULL, patience());
	CHECK_EQ(tuck_recvmsg(fd, &msg, 0, 1), -ETIMEDOUT);
	CHECK_EQ(tuck_write(server, "abc", 3, patience()), 3);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_recvmsg(fd, &msg, MSG_PEEK, patience()), 3);
	CHECK_EQ(tuck_recvmsg(fd, &msg, 0, patience()), 3);
	CHECK_MEM(buf, "abc", 3);
	CHECK_EQ(tuck_fd_close(server), 0);
	CHECK_EQ(tuck_recvmsg(fd, &msg, 0, patience()), 0);
}

TEST(ipv6)
{
	struct tuck_socket_attr attr = { .v6_only = 1 };
	int fd = tuck_bind("[::1]:0", &attr), client, on = 0;
	char text[TUCK_ADDR_TEXT], c;
	socklen_t len = sizeof(on);

	if (fd < 0)
		SKIP("no IPv6 on the loopback");
	CHECK_EQ(getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, &len), 0);
	CHECK(on);
	client = tuck_udp_connect(local_text(fd, text));
	CHECK_EQ(tuck_write(client, "6", 1, patience()), 1);
	CHECK_EQ(tuck_recv_from(fd, &c, 1, NULL, patience()), 1);
	CHECK_EQ(c, '6');
}

TEST(a_port_that_is_shared)
{
	struct tuck_socket_attr attr = { .reuse_port = 1 };
	char text[TUCK_ADDR_TEXT];
	int fd = tuck_bind("127.0.0.1:0", &attr);

	CHECK(fd >= 0);
	CHECK_EQ(tuck_udp_bind(local_text(fd, text)), -EADDRINUSE);
	CHECK(tuck_bind(text, &attr) >= 0);
}

TEST(python_echoes)
{
	static const char program[] =
		"import socket, sys\n"
		"host, port = sys.argv[1].split(':')\n"
		"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
		"s.settimeout(25)\n"
		"s.sendto(b'hello', (host, int(port)))\n"
		"for i in range(10):\n"
		"    data, who = s.recvfrom(65536)\n"
		"    s.sendto(data[::-1], who)\n";
	char text[TUCK_ADDR_TEXT], out_text[2000], in_text[2000];
	struct tuck_addr peer;
	int fd = tuck_udp_bind("127.0.0.1:0");
	pid_t pid = python(program, local_text(fd, text));

	CHECK_EQ(tuck_recv_from(fd, in_text, 2000, &peer, patience()), 5);
	CHECK_MEM(in_text, "hello", 5);
	for (int i = 0; i < 10; i++) {
		size_t n = 1 + (size_t)i * 200;

		fill(out_text, n, 0, (unsigned)i);
		CHECK_EQ(tuck_send_to(fd, out_text, n, &peer, patience()), n);
		CHECK_EQ(tuck_recv_from(fd, in_text, 2000, NULL, patience()),
			 n);
		for (size_t j = 0; j < n; j++)
			CHECK_EQ(in_text[j], out_text[n - 1 - j]);
	}
	ends_well(pid);
}
