/* SPDX-License-Identifier: MIT */
/* Unix sockets of all kinds, descriptors that are passed on, and who it is. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <tuck.h>

#include "peer.h"

static char dir[64], path[128], text[160];

/* "unix:" and a path in a directory of its own. */
static const char *fresh(void)
{
	strcpy(dir, "/tmp/tuck-unix-XXXXXX");
	CHECK(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	snprintf(text, sizeof(text), "unix:%s", path);
	return text;
}

static void sweep(void)
{
	unlink(path);
	CHECK_EQ(rmdir(dir), 0);
}

static void talk(int a, int b)
{
	char buf[8];

	CHECK_EQ(tuck_write(a, "ping", 4, patience()), 4);
	CHECK_EQ(tuck_read(b, buf, 8, patience()), 4);
	CHECK_MEM(buf, "ping", 4);
	CHECK_EQ(tuck_write(b, "pong!", 5, patience()), 5);
	CHECK_EQ(tuck_read(a, buf, 8, patience()), 5);
	CHECK_MEM(buf, "pong!", 5);
}

static void connect_and_talk(const char *addr, int kind)
{
	struct tuck_socket_attr attr = { .kind = kind };
	char peer[TUCK_ADDR_TEXT], own[TUCK_ADDR_TEXT];
	int listener = tuck_listen(addr, &attr), client, server;
	struct tuck_addr from;

	CHECK(listener >= 0);
	client = tuck_connect(local_text(listener, own), &attr, patience());
	CHECK(client >= 0);
	server = tuck_accept(listener, &from, patience());
	CHECK(server >= 0);
	CHECK_STR(tuck_addr_format(&from, peer, sizeof(peer)), "unix:");
	CHECK(fcntl(client, F_GETFD) & fcntl(server, F_GETFD) & FD_CLOEXEC);
	CHECK(fcntl(client, F_GETFL) & fcntl(server, F_GETFL) & O_NONBLOCK);
	talk(client, server);
	CHECK_EQ(tuck_fd_close(client), 0);
	CHECK_EQ(tuck_read(server, peer, 8, patience()), 0);
	CHECK_EQ(tuck_fd_close(server), 0);
	CHECK_EQ(tuck_fd_close(listener), 0);
}

TEST(streams_and_packets)
{
	char name[TUCK_ADDR_TEXT];

	connect_and_talk(fresh(), SOCK_STREAM);
	sweep();
	connect_and_talk(fresh(), SOCK_SEQPACKET);
	sweep();
	snprintf(name, sizeof(name), "unix:@tuck-test-%d", (int)getpid());
	connect_and_talk(name, SOCK_STREAM);
	connect_and_talk("unix:", SOCK_SEQPACKET);	/* the kernel chooses */
}

TEST(packets_have_bounds)
{
	char buf[8] = "";
	int fd[2];

	CHECK_EQ(tuck_unix_pair(SOCK_SEQPACKET, fd), 0);
	CHECK_EQ(tuck_write(fd[0], "one", 3, patience()), 3);
	CHECK_EQ(tuck_write(fd[0], "three", 5, patience()), 5);
	CHECK_EQ(tuck_recv_from(fd[1], buf, 8, NULL, patience()), 3);
	CHECK_EQ(tuck_recv_from(fd[1], buf, 4, NULL, patience()), -EMSGSIZE);
	CHECK_EQ(tuck_fd_close(fd[0]), 0);
	CHECK_EQ(tuck_recv_from(fd[1], buf, 4, NULL, patience()), 0);
}

/* As writev(2), but not write(2): else the other end took it for the end. */
TEST(a_writev_of_nothing_is_no_packet)
{
	struct iovec iov[2] = { { NULL, 0 }, { NULL, 0 } };
	int fd[2];
	char c;

	CHECK_EQ(tuck_unix_pair(SOCK_SEQPACKET, fd), 0);
	CHECK_EQ(tuck_writev(fd[0], iov, 2, patience()), 0);
	CHECK_EQ(tuck_writev(fd[0], NULL, 0, patience()), 0);
	CHECK_EQ(tuck_read(fd[1], &c, 1, TUCK_NOWAIT), -EAGAIN);
}

TEST(datagrams_with_names)
{
	struct tuck_socket_attr attr = { .kind = SOCK_DGRAM };
	char a[TUCK_ADDR_TEXT], b[TUCK_ADDR_TEXT], buf[8];
	struct tuck_addr from;
	int fd = tuck_bind("unix:", NULL), client;

	attr.local = "unix:";
	client = tuck_connect(local_text(fd, a), &attr, patience());
	CHECK(client >= 0);
	CHECK_EQ(tuck_send_to(client, "hello", 5, NULL, patience()), 5);
	CHECK_EQ(tuck_recv_from(fd, buf, 8, &from, patience()), 5);
	CHECK_STR(tuck_addr_format(&from, b, sizeof(b)), local_text(client, a));
	CHECK_EQ(tuck_send_to(fd, "you", 3, &from, patience()), 3);
	CHECK_EQ(tuck_recv_from(client, buf, 8, NULL, patience()), 3);
	attr.local = NULL;		/* and without a name */
	client = tuck_connect(local_text(fd, a), &attr, patience());
	CHECK_EQ(tuck_send_to(client, "x", 1, NULL, patience()), 1);
	CHECK_EQ(tuck_recv_from(fd, buf, 8, &from, patience()), 1);
	CHECK_STR(tuck_addr_format(&from, b, sizeof(b)), "?");
}

/* -- addresses that are in use -- */

TEST(a_path_that_exists)
{
	struct tuck_socket_attr replace = { .replace = 1 };
	int fd = tuck_listen(fresh(), NULL), again, fds;

	fds = count_fds();
	CHECK(fd >= 0);
	CHECK_EQ(tuck_listen(text, NULL), -EADDRINUSE);
	CHECK_EQ(tuck_listen(text, &replace), -EADDRINUSE);	/* it lives */
	CHECK_EQ(count_fds(), fds);
	CHECK_EQ(tuck_fd_close(fd), 0);
	CHECK_EQ(tuck_listen(text, NULL), -EADDRINUSE);
	CHECK_EQ(tuck_connect(text, NULL, patience()), -ECONNREFUSED);
	again = tuck_listen(text, &replace);
	CHECK(again >= 0);
	CHECK(tuck_connect(text, NULL, patience()) >= 0);
	sweep();
	CHECK_EQ(tuck_connect(text, NULL, patience()), -ENOENT);
}

/* That nobody can connect to it now does not say that it is dead. */
TEST(a_busy_listener_is_not_replaced)
{
	struct tuck_socket_attr busy = { .backlog = 1 };
	struct tuck_socket_attr replace = { .replace = 1 };
	struct tuck_socket_attr other = { .replace = 1,
					  .kind = SOCK_SEQPACKET };
	int fd = tuck_listen(fresh(), &busy);

	CHECK(fd >= 0);
	CHECK_EQ(tuck_listen(text, &other), -EADDRINUSE);
	while (tuck_connect(text, NULL, TUCK_NOWAIT) >= 0)
		;
	CHECK_EQ(tuck_listen(text, &replace), -EADDRINUSE);
	CHECK(tuck_accept(fd, NULL, patience()) >= 0);
	CHECK(tuck_connect(text, NULL, patience()) >= 0);
	sweep();
}

TEST(a_file_is_not_replaced)
{
	struct tuck_socket_attr replace = { .replace = 1 };
	struct stat st;
	int fd;

	fresh();
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(tuck_listen(text, &replace), -EADDRINUSE);
	CHECK_EQ(lstat(path, &st), 0);
	CHECK(S_ISREG(st.st_mode));
	sweep();
}

TEST(what_unix_sockets_cannot)
{
	struct tuck_socket_attr attr = { .reuse_port = 1 };
	int fds, fd[2];

	CHECK_EQ(tuck_unix_pair(SOCK_STREAM, fd), 0);	/* makes the poller */
	fds = count_fds();
	CHECK_EQ(tuck_listen("unix:", &attr), -EOPNOTSUPP);
	CHECK_EQ(tuck_tcp_listen("unix:", 0), -EINVAL);
	CHECK_EQ(tuck_tcp_connect("unix:@x", patience()), -EINVAL);
	CHECK_EQ(tuck_connect("unix:@nobody-has-this", NULL, patience()),
		 -ECONNREFUSED);
	attr = (struct tuck_socket_attr){ .kind = SOCK_DGRAM };
	CHECK_EQ(tuck_listen("unix:", &attr), -EINVAL);
	attr = (struct tuck_socket_attr){ .backlog = -1 };
	CHECK_EQ(tuck_listen("unix:", &attr), -EINVAL);
	attr = (struct tuck_socket_attr){ .kind = 77 };
	CHECK_EQ(tuck_connect("unix:@x", &attr, patience()), -EINVAL);
	CHECK_EQ(tuck_unix_pair(77, fd), -EINVAL);
	CHECK_EQ(tuck_unix_pair(SOCK_STREAM, NULL), -EINVAL);
	CHECK_EQ(count_fds(), fds);
}

/* -- a full one -- */

struct client {
	char where[TUCK_ADDR_TEXT];
	int got;
};

static const char *own_end;

static void connect_to(void *arg)
{
	struct client *c = arg;

	c->got = tuck_connect(c->where, NULL, patience());
}

TEST(a_full_backlog_is_waited_for)
{
	struct tuck_socket_attr attr = { .backlog = 1 };
	struct client c[5];
	int fd = tuck_listen("unix:", &attr), n = 0;

	local_text(fd, c[0].where);
	while (tuck_connect(c[0].where, NULL, TUCK_NOWAIT) >= 0)
		n++;
	CHECK(n > 0);
	for (int i = 0; i < 5; i++) {
		c[i] = c[0];
		c[i].got = -1;
		CHECK(tuck_go(connect_to, &c[i]) > 0);
	}
	settle();
	for (int i = 0; i < 5; i++)
		CHECK_EQ(c[i].got, -1);
	for (int i = 0; i < n + 5; i++)
		CHECK(tuck_accept(fd, NULL, patience()) >= 0);
	for (int i = 0; i < 5; i++)
		WAIT_FOR(c[i].got >= 0);
}

static void connect_from(void *arg)
{
	struct tuck_socket_attr attr = { .local = own_end };
	struct client *c = arg;

	c->got = tuck_connect(c->where, &attr, patience());
}

static bool exists(const char *where)
{
	return access(where + strlen("unix:"), F_OK) == 0;
}

static void be_replaced(const char *where)
{
	const struct tuck_socket_attr attr = { .replace = 1 };

	CHECK(tuck_listen(where, &attr) >= 0);
}

TEST(a_connection_that_fails_leaves_no_path)
{
	struct tuck_socket_attr attr = { .backlog = 1 }, from = { 0 };
	struct client c = { .got = -1 };
	int fd = tuck_listen("unix:", &attr);
	tuck_id id;

	from.local = own_end = fresh();
	CHECK_EQ(tuck_connect("unix:@nobody-has-this", &from, patience()),
		 -ECONNREFUSED);
	CHECK(!exists(own_end));
	local_text(fd, c.where);
	while (tuck_connect(c.where, NULL, TUCK_NOWAIT) >= 0)
		;
	CHECK_EQ(tuck_connect(c.where, &from, TUCK_NOWAIT), -EAGAIN);
	CHECK(!exists(own_end));
	for (int i = 0; i < 3; i++) {
		id = tuck_go(connect_from, &c);
		settle();
		CHECK(exists(own_end));
		if (i == 2)	/* whom all take for dead */
			be_replaced(own_end);
		CHECK_EQ(i == 0 ? tuck_kill(id) : tuck_cancel(id), 0);
		finish(id);
		CHECK_EQ(exists(own_end), i == 2);
	}
	sweep();
}

static struct tuck_addr to;
static int sent;

static void send_named(void *arg)
{
	for (int i = 0; i < 50; i++) {
		CHECK_EQ(tuck_send_to((int)(intptr_t)arg, "x", 1, &to,
				      patience()),
			 1);
		sent++;
	}
}

/* The kernel has no event for it. */
TEST(a_full_name_is_waited_for)
{
	int from = tuck_bind("unix:", NULL), fd = tuck_bind("unix:", NULL);
	tuck_id id;
	char c;

	CHECK_EQ(tuck_addr_local(fd, &to), 0);
	id = tuck_go(send_named, (void *)(intptr_t)from);
	settle();
	CHECK(sent < 50);
	for (int i = 0; i < 50; i++)
		CHECK_EQ(tuck_recv_from(fd, &c, 1, NULL, patience()), 1);
	finish(id);
	CHECK_EQ(sent, 50);
}

/* -- descriptors that are passed on -- */

static int same_file(int a, int b)
{
	struct stat x, y;

	CHECK_EQ(fstat(a, &x), 0);
	CHECK_EQ(fstat(b, &y), 0);
	return x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

static const int kinds[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

TEST(pairs_are_as_all_of_ours)
{
	for (int kind = 0; kind < 3; kind++) {
		int fd[2];

		CHECK_EQ(tuck_unix_pair(kinds[kind], fd), 0);
		for (int i = 0; i < 2; i++) {
			CHECK(fcntl(fd[i], F_GETFL) & O_NONBLOCK);
			CHECK(fcntl(fd[i], F_GETFD) & FD_CLOEXEC);
		}
	}
}

TEST(descriptors_arrive)
{
	for (int kind = 0; kind < 3; kind++) {
		int fd[2], pipes[2], got[4], n = 4;
		char buf[8];

		CHECK_EQ(tuck_unix_pair(kinds[kind], fd), 0);
		pipe_pair(pipes);
		CHECK_EQ(tuck_unix_send(fd[0], "take", 4, pipes, 2, patience()),
			 4);
		CHECK_EQ(tuck_unix_recv(fd[1], buf, 8, got, &n, patience()), 4);
		CHECK_MEM(buf, "take", 4);
		CHECK_EQ(n, 2);
		for (int i = 0; i < 2; i++) {
			CHECK(same_file(got[i], pipes[i]));
			CHECK(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
			CHECK_EQ(tuck_fd_close(pipes[i]), 0);
		}
		raw_write(got[1], "through", 7);
		CHECK_EQ(tuck_read(got[0], buf, 8, patience()), 7);
		n = 4;
		CHECK_EQ(tuck_unix_send(fd[0], "none", 4, NULL, 0, patience()),
			 4);
		CHECK_EQ(tuck_unix_recv(fd[1], buf, 8, got, &n, patience()), 4);
		CHECK_EQ(n, 0);
	}
}

struct taker {
	int fd, n, fds[8];
	ssize_t got;
	char buf[4000];
};

static void take(void *arg)
{
	struct taker *t = arg;

	t->got = tuck_unix_recv(t->fd, t->buf, sizeof(t->buf), t->fds, &t->n,
				patience());
}

/* In control data that the caller reads itself, of one message or many. */
TEST(descriptors_in_control_data_close_on_exec)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char byte;
	struct iovec iov = { &byte, 1 };
	int fd[2], got;

	CHECK_EQ(tuck_unix_pair(SOCK_DGRAM, fd), 0);
	for (int many = 0; many < 2; many++) {
		struct mmsghdr m = { .msg_hdr = {
					     .msg_iov = &iov,
					     .msg_iovlen = 1,
					     .msg_control = control,
					     .msg_controllen = sizeof(control),
				     } };

		CHECK_EQ(tuck_unix_send(fd[0], "x", 1, &(int){ 2 }, 1,
					patience()),
			 1);
		if (many)
			CHECK_EQ(tuck_recvmmsg(fd[1], &m, 1, 0, patience()), 1);
		else
			CHECK_EQ(tuck_recvmsg(fd[1], &m.msg_hdr, 0, patience()),
				 1);
		CHECK(CMSG_FIRSTHDR(&m.msg_hdr));
		memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m.msg_hdr)), sizeof(got));
		CHECK(same_file(got, 2));
		CHECK(fcntl(got, F_GETFD) & FD_CLOEXEC);
		CHECK_EQ(tuck_fd_close(got), 0);
	}
}

TEST(descriptors_are_waited_for)
{
	struct taker t = { .n = 8, .got = -1 };
	int fd[2];
	tuck_id id;

	CHECK_EQ(tuck_unix_pair(SOCK_STREAM, fd), 0);
	t.fd = fd[1];
	id = tuck_go(take, &t);
	settle();
	CHECK_EQ(t.got, -1);
	CHECK_EQ(tuck_unix_send(fd[0], "x", 1, fd, 1, patience()), 1);
	finish(id);
	CHECK_EQ(t.got, 1);
	CHECK_EQ(t.n, 1);
	CHECK(same_file(t.fds[0], fd[0]));
}

static struct giver {
	int fd, fds[2], gave;
} giver;

static void give(void *arg)
{
	(void)arg;
	giver.gave = (int)tuck_unix_send(giver.fd, "x", 1, giver.fds, 2,
					 patience());
}

/* A number that is another's when there is room is not passed on. */
TEST(a_descriptor_that_was_closed_before_there_was_room)
{
	int fd[2], passed[2], other[2];
	tuck_id id;
	char c;

	CHECK_EQ(tuck_unix_pair(SOCK_DGRAM, fd), 0);
	pipe_pair(passed);
	pipe_pair(other);
	for (int i = 0; i < 2; i++) {
		while (send(fd[0], "y", 1, MSG_DONTWAIT) == 1)
			;
		giver = (struct giver){ fd[0], { other[1], passed[1] }, -1 };
		id = tuck_go(give, NULL);
		settle();
		CHECK_EQ(giver.gave, -1);
		if (i == 0) {
			CHECK_EQ(tuck_fd_close(passed[1]), 0);
			CHECK_EQ(dup2(other[1], passed[1]), passed[1]);
		}
		while (recv(fd[1], &c, 1, MSG_DONTWAIT) == 1)
			;
		finish(id);
		CHECK_EQ(giver.gave, i == 0 ? -EBADF : 1);
	}
}

TEST(as_many_as_go_with_one_message)
{
	int fd[2], fds[TUCK_FDS_MAX + 1], got[TUCK_FDS_MAX + 1];
	int n = TUCK_FDS_MAX + 1, before;
	char c;

	for (int i = 0; i <= TUCK_FDS_MAX; i++)
		fds[i] = 2;
	CHECK_EQ(tuck_unix_pair(SOCK_DGRAM, fd), 0);
	before = count_fds();
	CHECK_EQ(tuck_unix_send(fd[0], "x", 1, fds, n, patience()), -EINVAL);
	CHECK_EQ(tuck_unix_send(fd[0], "x", 1, fds, n - 1, patience()), 1);
	CHECK_EQ(tuck_unix_recv(fd[1], &c, 1, got, &n, patience()), 1);
	CHECK_EQ(n, TUCK_FDS_MAX);
	CHECK_EQ(count_fds(), before + n);
}

TEST(more_descriptors_than_wanted_do_not_leak)
{
	int fd[2], fds[3] = { 2, 2, 2 }, got[3] = { 77, 77, 77 };
	char c;

	CHECK_EQ(tuck_unix_pair(SOCK_SEQPACKET, fd), 0);
	for (int want = 0; want < 3; want++) {
		int before = count_fds(), n = want;

		CHECK_EQ(tuck_unix_send(fd[0], "x", 1, fds, 3, patience()), 1);
		CHECK_EQ(tuck_unix_recv(fd[1], &c, 1, got, &n, patience()),
			 -EMSGSIZE);
		CHECK_EQ(n, want);
		CHECK_EQ(got[0], 77);
		CHECK_EQ(count_fds(), before);
	}
}

TEST(descriptors_of_a_message_that_was_cut_do_not_leak)
{
	int fd[2], fds[2] = { 2, 2 }, got[2], n = 2, before = 0;
	char c;

	CHECK_EQ(tuck_unix_pair(SOCK_DGRAM, fd), 0);
	before = count_fds();
	CHECK_EQ(tuck_unix_send(fd[0], "xyz", 3, fds, 2, patience()), 3);
	CHECK_EQ(tuck_unix_recv(fd[1], &c, 1, got, &n, patience()), -EMSGSIZE);
	CHECK_EQ(count_fds(), before);
}

TEST(no_room_for_the_descriptors)
{
	int fd[2], fds[4] = { 2, 2, 2, 2 }, got[4], n = 4, before, spare;
	struct rlimit limit;
	char c;

	CHECK_EQ(tuck_unix_pair(SOCK_STREAM, fd), 0);
	CHECK_EQ(tuck_unix_send(fd[0], "x", 1, fds, 4, patience()), 1);
	CHECK_EQ(tuck_unix_send(fd[0], "y", 1, NULL, 0, patience()), 1);
	before = count_fds();
	spare = dup(2);
	close(spare);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = (rlim_t)spare + 2;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	CHECK_EQ(tuck_unix_recv(fd[1], &c, 1, got, &n, patience()), -EMFILE);
	CHECK_EQ(n, 4);
	CHECK_EQ(count_fds(), before);
	CHECK_EQ(tuck_unix_recv(fd[1], &c, 1, got, &n, patience()), 1);
	CHECK_EQ(c, 'y');
	CHECK_EQ(n, 0);
}

TEST(passing_what_cannot_be_passed)
{
	int fd[2], tcp[2], bad[2] = { 2, -1 }, n = 1;
	char c;

	CHECK_EQ(tuck_unix_pair(SOCK_STREAM, fd), 0);
	tcp_pair(tcp);
	CHECK_EQ(tuck_unix_send(fd[0], "x", 1, bad, 2, patience()), -EBADF);
	CHECK_EQ(tuck_unix_send(fd[0], "", 0, bad, 1, patience()), -EINVAL);
	CHECK_EQ(tuck_unix_send(fd[0], "x", 1, NULL, 1, patience()), -EINVAL);
	CHECK_EQ(tuck_unix_send(fd[0], "x", 1, bad, -1, patience()), -EINVAL);
	CHECK_EQ(tuck_unix_recv(fd[1], &c, 1, NULL, &n, TUCK_NOWAIT), -EINVAL);
	CHECK_EQ(tuck_unix_recv(fd[1], &c, 1, bad, NULL, TUCK_NOWAIT), -EINVAL);
	n = -1;
	CHECK_EQ(tuck_unix_recv(fd[1], &c, 1, bad, &n, TUCK_NOWAIT), -EINVAL);
	n = 0;
	CHECK_EQ(tuck_unix_recv(fd[1], &c, 1, NULL, &n, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_fd_close(fd[1]), 0);
	CHECK_EQ(tuck_unix_send(fd[0], "x", 1, bad, 1, patience()), -EPIPE);
}

static ssize_t late;

static void read_late(void *arg)
{
	char c;

	late = tuck_read((int)(intptr_t)arg, &c, 1, patience());
}

/* A number that was closed behind our back comes again with a message. */
TEST(a_descriptor_with_an_old_number)
{
	int fd[2], old[2], tcp[2], got, n = 1;
	tuck_id id;
	char c;

	CHECK_EQ(tuck_unix_pair(SOCK_STREAM, fd), 0);
	CHECK_EQ(tuck_unix_pair(SOCK_STREAM, old), 0);
	tcp_pair(tcp);
	CHECK_EQ(tuck_read(old[0], &c, 1, 1), -ETIMEDOUT);
	CHECK_EQ(tuck_unix_send(fd[0], "x", 1, tcp, 1, patience()), 1);
	close(old[0]);
	CHECK_EQ(tuck_unix_recv(fd[1], &c, 1, &got, &n, patience()), 1);
	CHECK_EQ(got, old[0]);
	id = tuck_go(read_late, (void *)(intptr_t)got);
	settle();
	raw_write(tcp[1], "y", 1);
	finish(id);
	CHECK_EQ(late, 1);
}

/* The same with control data, which the program reads itself. */
TEST(control_data_with_an_old_number)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	int fd[2], old[2], pipes[2], got;
	char c;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };

	CHECK_EQ(tuck_unix_pair(SOCK_STREAM, fd), 0);
	CHECK_EQ(tuck_unix_pair(SOCK_STREAM, old), 0);
	pipe_pair(pipes);
	CHECK_EQ(tuck_read(old[0], &c, 1, 1), -ETIMEDOUT);
	CHECK_EQ(tuck_unix_send(fd[0], "x", 1, pipes, 1, patience()), 1);
	close(old[0]);
	CHECK_EQ(tuck_recvmsg(fd[1], &msg, 0, patience()), 1);
	CHECK_EQ(CMSG_FIRSTHDR(&msg)->cmsg_type, SCM_RIGHTS);
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(got));
	CHECK_EQ(got, old[0]);
	raw_write(pipes[1], "y", 1);
	CHECK_EQ(tuck_read(got, &c, 1, patience()), 1);
}

/* -- who it is -- */

TEST(credentials)
{
	struct tuck_unix_cred cred = { .pid = 1 };
	int fd[2], tcp[2];

	CHECK_EQ(tuck_unix_pair(SOCK_STREAM, fd), 0);
	CHECK_EQ(tuck_unix_cred(fd[0], &cred), 0);
	CHECK_EQ(cred.pid, getpid());
	CHECK_EQ(cred.uid, getuid());
	CHECK_EQ(cred.gid, getgid());
	CHECK_EQ(tuck_unix_cred(fd[0], NULL), -EINVAL);
	pipe_pair(tcp);
	CHECK_EQ(tuck_unix_cred(tcp[0], &cred), -ENOTSOCK);
	CHECK_EQ(cred.pid, getpid());
}

/* With every message, whether descriptors come with it or not. */
TEST(credentials_and_descriptors_together)
{
	const int on = 1;
	int fd[2], fds[TUCK_FDS_MAX], got[TUCK_FDS_MAX], n = TUCK_FDS_MAX;
	char c;

	CHECK_EQ(tuck_unix_pair(SOCK_DGRAM, fd), 0);
	for (int i = 0; i < n; i++)
		fds[i] = fd[i & 1];
	CHECK_EQ(setsockopt(fd[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)),
		 0);
	CHECK_EQ(tuck_unix_send(fd[0], "x", 1, fds, n, patience()), 1);
	CHECK_EQ(tuck_unix_recv(fd[1], &c, 1, got, &n, patience()), 1);
	CHECK_EQ(n, TUCK_FDS_MAX);
	CHECK(same_file(got[1], fd[1]));
}

/* -- others at the other end -- */

TEST(python_passes_a_pipe)
{
	static const char program[] =
		"import socket, array, os, sys\n"
		"s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)\n"
		"s.settimeout(25)\n"
		"s.connect(sys.argv[1])\n"
		"r, w = os.pipe()\n"
		"socket.send_fds(s, [b'pipe'], [r])\n"
		"os.close(r)\n"
		"os.write(w, b'from python')\n"
		"m, fds, _, _ = socket.recv_fds(s, 9, 4)\n"
		"assert m == b'back' and len(fds) == 1, (m, fds)\n"
		"os.write(fds[0], b'thanks')\n";
	struct tuck_addr addr;
	struct tuck_unix_cred cred;
	int listener, fd, got[2], n = 2, pipes[2];
	char buf[32];
	pid_t pid;

	listener = tuck_listen(fresh(), NULL);
	pid = python(program, path);
	fd = tuck_accept(listener, &addr, patience());
	CHECK(fd >= 0);
	CHECK_EQ(tuck_unix_cred(fd, &cred), 0);
	CHECK_EQ(cred.pid, pid);
	CHECK_EQ(tuck_unix_recv(fd, buf, 32, got, &n, patience()), 4);
	CHECK_EQ(n, 1);
	CHECK_EQ(tuck_read_full(got[0], buf, 11, patience()), 11);
	CHECK_MEM(buf, "from python", 11);
	pipe_pair(pipes);
	CHECK_EQ(tuck_unix_send(fd, "back", 4, &pipes[1], 1, patience()), 4);
	CHECK_EQ(tuck_fd_close(pipes[1]), 0);
	CHECK_EQ(tuck_read_full(pipes[0], buf, 7, patience()), 6);
	CHECK_MEM(buf, "thanks", 6);
	ends_well(pid);
	sweep();
}
