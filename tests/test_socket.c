/* SPDX-License-Identifier: MIT */
/* Attributes and options of sockets, half-close, splice, accept's ends. */
#include <errno.h>
#include <linux/net_tstamp.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <tuck.h>

#include "peer.h"

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	CHECK_EQ(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void connection(int fd[2])
{
	char text[TUCK_ADDR_TEXT];
	int listener = tuck_tcp_listen("127.0.0.1:0", 0);

	fd[0] = tuck_tcp_connect(local_text(listener, text), patience());
	fd[1] = tuck_accept(listener, NULL, patience());
	CHECK(fd[0] >= 0 && fd[1] >= 0);
	CHECK_EQ(tuck_fd_close(listener), 0);
}

/* -- attributes -- */

TEST(a_port_that_is_shared)
{
	struct tuck_socket_attr attr = { .reuse_port = 1 };
	char text[TUCK_ADDR_TEXT];
	int fd = tuck_listen("127.0.0.1:0", &attr);

	CHECK(fd >= 0);
	CHECK_EQ(tuck_tcp_listen(local_text(fd, text), 0), -EADDRINUSE);
	CHECK(tuck_listen(text, &attr) >= 0);
	CHECK(tuck_tcp_connect(text, patience()) >= 0);
}

static int port_of(const char *text)
{
	return atoi(strrchr(text, ':') + 1);
}

TEST(one_family_or_both)
{
	struct tuck_socket_attr attr = { .v6_only = 1 };
	char text[TUCK_ADDR_TEXT], v4[TUCK_ADDR_TEXT];
	int fd = tuck_listen("[::]:0", NULL);

	if (fd < 0)
		SKIP("no IPv6");
	snprintf(v4, sizeof(v4), "127.0.0.1:%d", port_of(local_text(fd, text)));
	CHECK(tuck_tcp_connect(v4, patience()) >= 0);
	CHECK_EQ(tuck_fd_close(fd), 0);
	fd = tuck_listen("[::]:0", &attr);
	snprintf(v4, sizeof(v4), "127.0.0.1:%d", port_of(local_text(fd, text)));
	CHECK_EQ(tuck_tcp_connect(v4, patience()), -ECONNREFUSED);
}

TEST(a_connection_from_a_certain_address)
{
	struct tuck_socket_attr attr = { .local = "127.0.0.3:0" };
	char text[TUCK_ADDR_TEXT];
	int fd = tuck_tcp_listen("127.0.0.1:0", 0), fds = count_fds(), client;
	struct tuck_addr peer;

	client = tuck_connect(local_text(fd, text), &attr, patience());
	CHECK(client >= 0);
	CHECK(tuck_accept(fd, &peer, patience()) >= 0);
	tuck_addr_format(&peer, text, sizeof(text));
	CHECK_EQ(strncmp(text, "127.0.0.3:", 10), 0);
	fds = count_fds();
	attr.local = "192.0.2.7:0";
	CHECK_EQ(tuck_connect(local_text(fd, text), &attr, patience()),
		 -EADDRNOTAVAIL);
	CHECK_EQ(count_fds(), fds);
}

/* -- options -- */

TEST(keep_alive)
{
	int fd[2];

	connection(fd);
	CHECK_EQ(option(fd[0], SOL_SOCKET, SO_KEEPALIVE), 0);
	CHECK_EQ(tuck_keepalive_set(fd[0], TUCK_MS(30001), TUCK_SEC(7), 4), 0);
	CHECK_EQ(option(fd[0], SOL_SOCKET, SO_KEEPALIVE), 1);
	CHECK_EQ(option(fd[0], IPPROTO_TCP, TCP_KEEPIDLE), 31);
	CHECK_EQ(option(fd[0], IPPROTO_TCP, TCP_KEEPINTVL), 7);
	CHECK_EQ(option(fd[0], IPPROTO_TCP, TCP_KEEPCNT), 4);
	CHECK_EQ(tuck_keepalive_set(fd[0], TUCK_SEC(9), 0, 0), 0);
	CHECK_EQ(option(fd[0], IPPROTO_TCP, TCP_KEEPIDLE), 9);
	CHECK_EQ(option(fd[0], IPPROTO_TCP, TCP_KEEPINTVL), 7);
	CHECK_EQ(tuck_keepalive_set(fd[0], 0, 0, 0), 0);
	CHECK_EQ(option(fd[0], SOL_SOCKET, SO_KEEPALIVE), 0);
	CHECK_EQ(tuck_keepalive_set(fd[0], -1, 0, 0), -EINVAL);
	CHECK_EQ(tuck_keepalive_set(fd[0], 1, -1, 0), -EINVAL);
	CHECK_EQ(tuck_keepalive_set(fd[0], 1, 0, 128), -EINVAL);
	CHECK_EQ(tuck_keepalive_set(fd[0], TUCK_SEC(40000), 0, 0), -EINVAL);
	CHECK_EQ(tuck_keepalive_set(-1, 1, 0, 0), -EBADF);
}

TEST(no_delay)
{
	char text[TUCK_ADDR_TEXT];
	struct sockaddr_in addr;
	int fd[2], listener = tuck_tcp_listen("127.0.0.1:0", 0);

	connection(fd);
	CHECK(option(fd[0], IPPROTO_TCP, TCP_NODELAY));
	CHECK(option(fd[1], IPPROTO_TCP, TCP_NODELAY));
	CHECK_EQ(tuck_nodelay_set(fd[0], 0), 0);
	CHECK_EQ(option(fd[0], IPPROTO_TCP, TCP_NODELAY), 0);
	CHECK_EQ(tuck_nodelay_set(-1, 0), -EBADF);
	/* What is accepted has it as its listener has. */
	CHECK_EQ(tuck_nodelay_set(listener, 0), 0);
	CHECK(tuck_tcp_connect(local_text(listener, text), patience()) >= 0);
	fd[1] = tuck_accept(listener, NULL, patience());
	CHECK_EQ(option(fd[1], IPPROTO_TCP, TCP_NODELAY), 0);
	/* A listener of others' does not know. */
	listener = raw_listen(&addr);
	CHECK(tuck_tcp_connect(local_text(listener, text), patience()) >= 0);
	fd[1] = tuck_accept(listener, NULL, patience());
	CHECK(option(fd[1], IPPROTO_TCP, TCP_NODELAY));
}

/* -- half-close -- */

static int fd[2];
static ssize_t got;

static void read_it(void *arg)
{
	char c;

	(void)arg;
	got = tuck_read(fd[0], &c, 1, patience());
}

TEST(half_close)
{
	char buf[8];

	connection(fd);
	CHECK_EQ(tuck_write(fd[0], "ask", 3, patience()), 3);
	CHECK_EQ(tuck_shutdown(fd[0], SHUT_WR), 0);
	CHECK_EQ(tuck_read_full(fd[1], buf, 8, patience()), 3);
	CHECK_EQ(tuck_write(fd[1], "answer", 6, patience()), 6);
	CHECK_EQ(tuck_read_full(fd[0], buf, 6, patience()), 6);
	CHECK_EQ(tuck_write(fd[0], "x", 1, patience()), -EPIPE);
	CHECK_EQ(tuck_shutdown(fd[0], 99), -EINVAL);
	CHECK_EQ(tuck_shutdown(-1, SHUT_RD), -EBADF);
}

TEST(shutdown_wakes_who_reads)
{
	tuck_id id;

	connection(fd);
	got = -1;
	id = tuck_go(read_it, NULL);
	settle();
	CHECK_EQ(got, -1);
	CHECK_EQ(tuck_shutdown(fd[0], SHUT_RD), 0);
	finish(id);
	CHECK_EQ(got, 0);
}

/* -- splice -- */

struct copy {
	int from, to;
	size_t n;
	ssize_t end;
};

static void copy(void *arg)
{
	struct copy *c = arg;
	ssize_t r;

	while ((r = tuck_splice(c->from, c->to, 1 << 16, patience())) > 0)
		c->n += (size_t)r;
	c->end = r;
	tuck_shutdown(c->to, SHUT_WR);
	if (fcntl(c->to, F_GETPIPE_SZ) > 0)
		tuck_fd_close(c->to);
}

static void write_all(void *arg)
{
	static char all[3000000];

	(void)arg;
	fill(all, sizeof(all), 0, 5);
	CHECK_EQ(tuck_write_full(fd[0], all, sizeof(all), patience()),
		 sizeof(all));
	CHECK_EQ(tuck_shutdown(fd[0], SHUT_WR), 0);
}

/* Through a pipe from one connection to the next, as a proxy does. */
TEST(splice_moves_all)
{
	static char back[3000000];
	int next[2], pipes[2];
	struct copy in = { 0 }, out = { 0 };

	connection(fd);
	connection(next);
	pipe_pair(pipes);
	in = (struct copy){ .from = fd[1], .to = pipes[1], .end = -1 };
	out = (struct copy){ .from = pipes[0], .to = next[0], .end = -1 };
	CHECK(tuck_go(write_all, NULL) > 0);
	CHECK(tuck_go(copy, &in) > 0);
	CHECK(tuck_go(copy, &out) > 0);
	CHECK_EQ(tuck_read_full(next[1], back, sizeof(back), patience()),
		 sizeof(back));
	check_filled(back, sizeof(back), 0, 5);
	WAIT_FOR(out.end == 0);
	CHECK_EQ(in.n, sizeof(back));
	CHECK_EQ(out.n, sizeof(back));
}

static void splice_once(void *arg)
{
	struct copy *c = arg;

	c->end = tuck_splice(c->from, c->to, 100, patience());
}

/* The output's number is a stranger's when input comes. */
TEST(splice_to_what_was_closed_meanwhile)
{
	int pipes[2], next[2];
	struct copy c;
	tuck_id id;

	pipe_pair(pipes);
	connection(next);
	c = (struct copy){ .from = pipes[0], .to = next[0], .end = -1 };
	id = tuck_go(splice_once, &c);
	settle();
	CHECK_EQ(tuck_fd_close(next[0]), 0);
	CHECK_EQ(dup2(next[1], next[0]), next[0]);
	raw_write(pipes[1], "x", 1);
	finish(id);
	CHECK_EQ(c.end, -EBADF);
}

/* Notes of what was sent lie there, which poll(2) takes for an error. */
static void splice_beside_notes(void (*make)(int fd[2]))
{
	int on = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
	int pipes[2];
	struct pollfd p = { .events = 0 };

	make(fd);
	pipe_pair(pipes);
	p.fd = fd[1];
	if (setsockopt(fd[1], SOL_SOCKET, SO_TIMESTAMPING, &on, sizeof(on)) < 0)
		SKIP("no notes of times");
	raw_write(fd[1], "x", 1);
	arrives(fd[0]);
	if (poll(&p, 1, 1000) != 1)
		SKIP("no note has come");
	CHECK_EQ(p.revents, POLLERR);
	CHECK_EQ(tuck_splice(fd[1], pipes[1], 10, tuck_after(TUCK_MS(5))),
		 -ETIMEDOUT);
	raw_write(fd[0], "y", 1);
	CHECK_EQ(tuck_splice(fd[1], pipes[1], 10, patience()), 1);
}

TEST(splice_beside_notes_keeps_to_its_deadline)
{
	splice_beside_notes(connection);
	splice_beside_notes(tcp_pair);		/* which block */
}

TEST(splice_without_a_pipe_or_a_reader)
{
	int pipes[2], next[2];

	connection(fd);
	connection(next);
	raw_write(fd[0], "x", 1);
	CHECK_EQ(tuck_splice(fd[1], next[0], 10, patience()), -EINVAL);
	pipe_pair(pipes);
	CHECK_EQ(tuck_splice(fd[1], pipes[1], 10, patience()), 1);
	CHECK_EQ(tuck_splice(fd[1], pipes[1], 0, patience()), 0);
	CHECK_EQ(tuck_shutdown(next[0], SHUT_WR), 0);
	CHECK_EQ(tuck_splice(pipes[0], next[0], 10, patience()), -EPIPE);
}

/* -- accept -- */

static int listener, spare;

static void accept_one(void *arg)
{
	(void)arg;
	got = tuck_accept(listener, NULL, TUCK_FOREVER);
}

/* A connection waits, and there is no descriptor for it. */
static void no_room(void)
{
	char text[TUCK_ADDR_TEXT];
	struct rlimit limit;

	listener = tuck_tcp_listen("127.0.0.1:0", 0);
	CHECK(tuck_tcp_connect(local_text(listener, text), patience()) >= 0);
	arrives(listener);
	spare = dup(2);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = (rlim_t)spare + 1;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* LeakSanitizer needs some at the end. */
static void room_again(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* A listener that came here blocking would stop the proc. */
TEST(accept_at_a_listener_of_others)
{
	struct sockaddr_in addr;
	char text[TUCK_ADDR_TEXT];
	tuck_id id;

	listener = raw_listen(&addr);
	CHECK_EQ(tuck_accept(listener, NULL, TUCK_NOWAIT), -EAGAIN);
	got = -1;
	id = tuck_go(accept_one, NULL);
	settle();
	CHECK(tuck_tcp_connect(local_text(listener, text), patience()) >= 0);
	finish(id);
	CHECK(got >= 0);
}

/* In the pause, that is; a machine that is slow may let it pass. */
TEST(accept_is_cancelled_while_there_is_no_room)
{
	int tries = 200;

	no_room();
	do {
		tuck_id id = tuck_go(accept_one, NULL);

		CHECK(id > 0);
		got = -1;
		for (int i = 0; i < 3; i++)
			tuck_yield();
		tuck_cancel(id);
		finish(id);
		CHECK(got == -ECANCELED || got == -EMFILE);
	} while (got != -ECANCELED && --tries > 0);
	CHECK(tries > 0);
	room_again();
}

/* 64 calls in a row that need not wait let others run: not after the last. */
static void accept_many(void *arg)
{
	int *n = arg;

	for (;;) {
		int r = tuck_accept(listener, NULL, TUCK_FOREVER);

		CHECK(r >= 0);
		++*n;
		tuck_fd_close(r);
	}
}

TEST(a_kill_finds_no_descriptor_that_is_nobodys)
{
	static int client[300];
	char text[TUCK_ADDR_TEXT];
	int fds, n = 0;
	tuck_id id;

	listener = tuck_tcp_listen("127.0.0.1:0", 0);
	local_text(listener, text);
	for (int i = 0; i < 300; i++)
		client[i] = tuck_tcp_connect(text, patience());
	CHECK(client[299] >= 0);
	fds = count_fds();
	id = tuck_go(accept_many, &n);
	while (n < 1)
		tuck_yield();
	CHECK(n < 300);
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_EQ(count_fds(), fds);
}

/* -- what lives on elsewhere -- */

/*
 * The tfd lines of /proc/self/fdinfo: descriptions that some epoll watches.
 */
static int watched(void)
{
	char path[64], line[256];
	int n = 0;

	for (int i = 0; i < 200; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", i);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f))
			n += strncmp(line, "tfd:", 4) == 0;
		if (f)
			fclose(f);
	}
	return n;
}

static void send_on(int to, int passed)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = { (char[]){ 'x' }, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &passed, sizeof(int));
	CHECK_EQ(tuck_sendmsg(to, &msg, 0, patience()), 1);
}

TEST(a_duplicate_that_lives_on_is_not_watched)
{
	int pair[2], copy_of, before;
	char c;

	pipe_pair(pair);
	CHECK_EQ(tuck_read(pair[0], &c, 1, 1), -ETIMEDOUT);
	before = watched();
	if (before == 0)
		SKIP("no /proc");
	copy_of = dup(pair[0]);
	CHECK(copy_of >= 0);
	CHECK_EQ(tuck_fd_close(pair[0]), 0);
	CHECK_EQ(watched(), before - 1);
	/* One of ours, that was sent to somebody. */
	CHECK_EQ(tuck_unix_pair(SOCK_STREAM, fd), 0);
	connection(pair);
	CHECK_EQ(tuck_read(pair[0], &c, 1, 1), -ETIMEDOUT);
	CHECK_EQ(watched(), before);
	CHECK_EQ(tuck_unix_send(fd[0], "x", 1, pair, 1, patience()), 1);
	CHECK_EQ(tuck_fd_close(pair[0]), 0);
	CHECK_EQ(watched(), before - 1);
	/* The same with control data of the program's. */
	connection(pair);
	CHECK_EQ(tuck_read(pair[0], &c, 1, 1), -ETIMEDOUT);
	CHECK_EQ(watched(), before);
	send_on(fd[0], pair[0]);
	CHECK_EQ(tuck_fd_close(pair[0]), 0);
	CHECK_EQ(watched(), before - 1);
}

/* One of ours that waits, and is watched: how many are. */
static int watched_one(int pair[2])
{
	char c;

	connection(pair);
	CHECK_EQ(tuck_read(pair[0], &c, 1, 1), -ETIMEDOUT);
	return watched();
}

static void check_unwatched(const struct tuck_process_attr *attr, int end,
			    int before)
{
	struct tuck_process *p;

	CHECK_EQ(tuck_process_spawn(&p, attr,
				    (char *[]){ "sleep", "30", NULL }),
		 0);
	CHECK_EQ(tuck_fd_close(end), 0);
	CHECK_EQ(watched(), before - 1);
	tuck_process_free(p);
}

TEST(what_a_child_has_is_not_watched)
{
	struct tuck_process_attr attr = { .out = TUCK_NULL };
	int pair[2], before;

	if (UNDER_VALGRIND)
		SKIP("it knows no pidfd");
	before = watched_one(pair);
	if (before == 0)
		SKIP("no /proc");
	attr.in = pair[0];
	check_unwatched(&attr, pair[0], before);
	attr = (struct tuck_process_attr){ .fds = pair, .n_fds = 1 };
	CHECK_EQ(watched_one(pair), before);
	check_unwatched(&attr, pair[0], before);
}

static void wait_to_be_told(void *arg)
{
	CHECK_EQ(tuck_block(patience()), -ECANCELED);
	CHECK_EQ(tuck_fd_close(*(int *)arg), 0);
}

TEST(what_a_proc_with_its_own_table_has_is_not_watched)
{
	int pair[2], before = watched_one(pair), proc, fd_of_proc = pair[0];
	struct tuck_proc_attr attr = { .own_fds = 1, .fds = pair, .n_fds = 1 };

	if (before == 0)
		SKIP("no /proc");
	NOT_UNDER_TSAN("it takes tables for one");
	proc = tuck_proc_start(&attr, wait_to_be_told, &fd_of_proc);
	CHECK(proc >= 0);
	CHECK_EQ(tuck_fd_close(pair[0]), 0);
	CHECK_EQ(watched(), before - 1);
	CHECK_EQ(tuck_proc_cancel(proc), 0);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
}
