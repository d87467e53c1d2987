/* SPDX-License-Identifier: MIT */
/* TCP: addresses, listen, accept and connect; many connections at once. */
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <tuck.h>

#include "sockets.h"

/* -- addresses -- */

TEST(addresses_that_are_read_and_written)
{
	static const char *const pairs[][2] = {
		{ "127.0.0.1:80", "127.0.0.1:80" },
		{ "0.0.0.0:0", "0.0.0.0:0" },
		{ "255.255.255.255:65535", "255.255.255.255:65535" },
		{ "1.2.3.4:00080", "1.2.3.4:80" },
		{ "[::1]:80", "[::1]:80" },
		{ "[::]:0", "[::]:0" },
		{ "[0:0:0:0:0:0:0:1]:65535", "[::1]:65535" },
		{ "[2001:DB8::A]:1", "[2001:db8::a]:1" },
		{ "[::ffff:1.2.3.4]:5", "[::ffff:1.2.3.4]:5" },
		{ "[1234:5678:9abc:def0:1234:5678:9abc:def0]:65535",
		  "[1234:5678:9abc:def0:1234:5678:9abc:def0]:65535" },
		{ "[0000:0000:0000:0000:0000:ffff:255.255.255.255]:1",
		  "[::ffff:255.255.255.255]:1" },
		{ ":80", "0.0.0.0:80" },
		{ ":0", "0.0.0.0:0" },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct tuck_addr addr, again;
		char text[TUCK_ADDR_TEXT];

		CHECK_EQ(tuck_addr_parse(&addr, pairs[i][0]), 0);
		CHECK(tuck_addr_format(&addr, text, sizeof(text)) == text);
		CHECK_STR(text, pairs[i][1]);
		CHECK_EQ(tuck_addr_parse(&again, text), 0);
		CHECK_EQ(again.len, addr.len);
		CHECK_MEM(&again.sa, &addr.sa, sizeof(addr.sa));
	}
}

static const char *const bad_addresses[] = {
	NULL,
	"",
	":",
	"80",
	"127.0.0.1",
	"127.0.0.1:",
	"127.0.0.1:/x",
	"127.0.0.1:80x",
	"127.0.0.1: 80",
	"127.0.0.1:80 ",
	"127.0.0.1:+80",
	"127.0.0.1:-1",
	"127.0.0.1:65536",
	"127.0.0.1:4294967376",
	"127.0.0.1:18446744073709551696",
	"127.0.0.1:0x50",
	"127.0.0:80",
	"127.1:80",
	"256.0.0.1:80",
	"1.2.3.4.5:80",
	" 1.2.3.4:80",
	"1.2.3.4 :80",
	"a localhost:80",
	"example org:80",
	"::1:80",
	"::1",
	"[::1]",
	"[::1]80",
	"[::1]:",
	"[::1:80",
	"::1]:80",
	"[]:80",
	"[:80",
	"]:80",
	"[[::1]]:80",
	"[::g]:80",
	"[1.2.3.4]:80",
	"[::1]:65536",
	"[::1] :80",
	"[1:2:3:4:5:6:7:8:9]:80",
	"[::1]:80:90",
	"1.2.3.4:80:90",
	"99999999999999999999999999999999999999999999999999999999999999:80",
	"[1234:5678:9abc:def0:1234:5678:9abc:def0:1234:5678:9abc:def0]:1",
};
#define BAD (sizeof(bad_addresses) / sizeof(bad_addresses[0]))

TEST(malformed_addresses)
{
	struct tuck_addr addr, before;

	memset(&before, 0x5a, sizeof(before));
	addr = before;
	for (size_t i = 0; i < BAD; i++) {
		if (tuck_addr_parse(&addr, bad_addresses[i]) != -EINVAL)
			check_fail(CHECK_AT, "taken: %s", bad_addresses[i]);
		CHECK_MEM(&addr, &before, sizeof(addr));
	}
	CHECK_EQ(tuck_addr_parse(&addr, "localhost:80"), -EINVAL);
	CHECK_EQ(tuck_addr_parse(&addr, "127.0.0.1:http"), -EINVAL);
	CHECK_MEM(&addr, &before, sizeof(addr));
	CHECK_EQ(tuck_addr_parse(NULL, "127.0.0.1:80"), -EINVAL);
}

static void check_cut(const char *whole)
{
	char text[TUCK_ADDR_TEXT + 1];
	struct tuck_addr addr;

	CHECK_EQ(tuck_addr_parse(&addr, whole), 0);
	for (size_t n = 1; n <= TUCK_ADDR_TEXT; n++) {
		memset(text, 'x', sizeof(text));
		tuck_addr_format(&addr, text, n);
		CHECK_EQ(text[n], 'x');
		if (n > strlen(whole))
			CHECK_STR(text, whole);
		else
			CHECK(text[0] == 0 || strcmp(text, "?") == 0);
	}
}

/* Half an address would be taken for a whole one. */
TEST(address_that_does_not_fit_is_not_cut)
{
	check_cut("192.168.100.200:8080");
	check_cut("[2001:db8::1]:443");
}

TEST(address_that_is_no_internet_one)
{
	struct tuck_addr addr = { .len = sizeof(struct sockaddr_un) };
	char text[TUCK_ADDR_TEXT] = "untouched";

	addr.sa.ss_family = AF_UNIX;
	tuck_addr_format(&addr, text, sizeof(text));
	CHECK(text[0] == 0 || strcmp(text, "?") == 0);
	CHECK(tuck_addr_format(&addr, text, 1) == text);
	CHECK_EQ(text[0], 0);
}

/* -- listen -- */

/* Listen at a port that the kernel chooses; its address as text. */
static int listen_any(const char *addr, char text[TUCK_ADDR_TEXT])
{
	struct tuck_addr local;
	int fd = tuck_tcp_listen(addr, 0);

	if (fd < 0)
		return fd;
	CHECK_EQ(tuck_addr_local(fd, &local), 0);
	tuck_addr_format(&local, text, TUCK_ADDR_TEXT);
	return fd;
}

static void check_flags(int fd)
{
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

TEST(listen_at_a_free_port)
{
	char text[TUCK_ADDR_TEXT];
	int fd = listen_any("127.0.0.1:0", text), on = 0;
	socklen_t len = sizeof(on);

	CHECK(fd >= 0);
	CHECK(strncmp(text, "127.0.0.1:", 10) == 0 && atoi(text + 10) > 0);
	check_flags(fd);
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, &len), 0);
	CHECK(on);
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len), 0);
	CHECK(on);
	CHECK_EQ(tuck_fd_close(fd), 0);
}

TEST(listen_errors)
{
	char text[TUCK_ADDR_TEXT];
	int fd = listen_any("127.0.0.1:0", text), fds;

	fds = count_fds();
	CHECK_EQ(tuck_tcp_listen(text, 0), -EADDRINUSE);
	CHECK_EQ(tuck_tcp_listen("192.0.2.1:0", 0), -EADDRNOTAVAIL);
	CHECK_EQ(tuck_tcp_listen("127.0.0.1:0", -1), -EINVAL);
	for (size_t i = 0; i < BAD; i++)
		CHECK_EQ(tuck_tcp_listen(bad_addresses[i], 0), -EINVAL);
	CHECK_EQ(count_fds(), fds);
	CHECK_EQ(tuck_fd_close(fd), 0);
	fd = tuck_tcp_listen(text, 0);	/* at once again: SO_REUSEADDR */
	CHECK(fd >= 0);
}

TEST(local_address_errors)
{
	struct tuck_addr addr, before;
	int fd[2];

	memset(&before, 0x5a, sizeof(before));
	addr = before;
	pipe_pair(fd);
	CHECK_EQ(tuck_addr_local(fd[0], &addr), -ENOTSOCK);
	CHECK_EQ(tuck_addr_local(-1, &addr), -EBADF);
	CHECK_MEM(&addr, &before, sizeof(addr));
}

/* -- accept -- */

TEST(accept_tells_who_connected)
{
	char text[TUCK_ADDR_TEXT], a[TUCK_ADDR_TEXT], b[TUCK_ADDR_TEXT];
	int fd = listen_any("127.0.0.1:0", text), on;
	socklen_t len = sizeof(on);

	for (int i = 0; i < 3; i++) {
		struct tuck_addr peer, local;
		int client = tuck_tcp_connect(text, TUCK_FOREVER), server;

		CHECK(client >= 0);
		server = tuck_accept(fd, i ? &peer : NULL, TUCK_FOREVER);
		CHECK(server >= 0);
		check_flags(client);
		check_flags(server);
		getsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, &len);
		CHECK(on);
		getsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, &len);
		CHECK(on);
		CHECK_EQ(tuck_addr_local(client, &local), 0);
		if (i)
			CHECK_STR(tuck_addr_format(&peer, a, sizeof(a)),
				  tuck_addr_format(&local, b, sizeof(b)));
		CHECK_EQ(tuck_addr_local(server, &local), 0);
		CHECK_STR(tuck_addr_format(&local, b, sizeof(b)), text);
	}
}

struct server {
	int fd, got, n;
};

static void accept_some(void *arg)
{
	struct server *s = arg;

	while (s->n > 0 &&
	       (s->got = tuck_accept(s->fd, NULL, TUCK_FOREVER)) >= 0) {
		s->n--;
		CHECK_EQ(tuck_write_full(s->got, "hello", 5, TUCK_FOREVER), 5);
		CHECK_EQ(tuck_fd_close(s->got), 0);
	}
}

TEST(accept_waits)
{
	char text[TUCK_ADDR_TEXT], buf[8];
	struct server s = { .n = 20 };

	s.fd = listen_any("127.0.0.1:0", text);
	CHECK(tuck_go(accept_some, &s) > 0);
	settle();
	for (int i = 0; i < 20; i++) {
		int fd = tuck_tcp_connect(text, patience());

		CHECK(fd >= 0);
		CHECK_EQ(tuck_read_full(fd, buf, 8, TUCK_FOREVER), 5);
		CHECK_MEM(buf, "hello", 5);
		CHECK_EQ(tuck_fd_close(fd), 0);
	}
	CHECK_EQ(s.n, 0);
}

TEST(accept_keeps_to_its_deadline)
{
	char text[TUCK_ADDR_TEXT];
	struct tuck_addr addr, before;
	int fd = listen_any("127.0.0.1:0", text);
	tuck_ns soon = tuck_after(TUCK_MS(20));

	memset(&before, 0x5a, sizeof(before));
	addr = before;
	CHECK_EQ(tuck_accept(fd, &addr, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_accept(fd, &addr, 1), -ETIMEDOUT);
	CHECK_EQ(tuck_accept(fd, &addr, soon), -ETIMEDOUT);
	CHECK(tuck_now() >= soon);
	CHECK_EQ(tuck_accept(fd, &addr, -1), -EINVAL);
	CHECK_MEM(&addr, &before, sizeof(addr));
	CHECK(tuck_tcp_connect(text, TUCK_FOREVER) >= 0);
	arrives(fd);
	CHECK(tuck_accept(fd, &addr, TUCK_NOWAIT) >= 0);
}

TEST_LIMIT(accept_on_what_does_not_listen, 5)
{
	int fd[2], udp = socket(AF_INET, SOCK_DGRAM, 0);
	int tcp = socket(AF_INET, SOCK_STREAM, 0);

	pipe_pair(fd);
	CHECK_EQ(tuck_accept(-1, NULL, TUCK_FOREVER), -EBADF);
	CHECK_EQ(tuck_accept(fd[0], NULL, TUCK_FOREVER), -ENOTSOCK);
	CHECK_EQ(tuck_accept(tcp, NULL, TUCK_FOREVER), -EINVAL);
	CHECK_EQ(tuck_accept(udp, NULL, TUCK_FOREVER), -EOPNOTSUPP);
}

TEST(close_wakes_all_who_accept)
{
	char text[TUCK_ADDR_TEXT];
	struct server s[3];
	int fd = listen_any("127.0.0.1:0", text);

	for (int i = 0; i < 3; i++) {
		s[i] = (struct server){ .fd = fd, .n = 1 };
		CHECK(tuck_go(accept_some, &s[i]) > 0);
	}
	settle();
	CHECK_EQ(tuck_fd_close(fd), 0);
	settle();
	for (int i = 0; i < 3; i++)
		CHECK_EQ(s[i].got, -EBADF);
	CHECK_EQ(tuck_tcp_connect(text, TUCK_FOREVER), -ECONNREFUSED);
}

static void close_listener(void *arg)
{
	struct server *s = arg;
	struct sockaddr_in addr;
	char c;

	CHECK_EQ(tuck_read(s->got, &c, 1, TUCK_FOREVER), 1);
	CHECK_EQ(tuck_fd_close(s->fd), 0);
	CHECK_EQ(raw_listen(&addr), s->fd);
}

/* Without a switch. */
static void raw_connect(const char *text)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct tuck_addr addr;

	CHECK_EQ(tuck_addr_parse(&addr, text), 0);
	CHECK_EQ(connect(fd, (const void *)&addr.sa, addr.len), 0);
}

/* The number is a new listener's when the one who waited runs. */
TEST(closed_after_the_event_before_the_accept)
{
	char old[TUCK_ADDR_TEXT];
	struct server s = { .n = 1 }, closer;
	int trigger[2];

	if (seeded())
		SKIP("needs the fair order");
	stream_pair(trigger);
	closer.got = trigger[0];
	closer.fd = s.fd = listen_any("127.0.0.1:0", old);
	s.got = 0;
	tuck_go(close_listener, &closer);
	tuck_go(accept_some, &s);
	settle();
	raw_write(trigger[1], "x", 1);
	raw_connect(old);
	arrives(s.fd);
	settle();
	CHECK_EQ(s.got, -EBADF);
}

TEST(accepters_of_one_listener_share_what_comes)
{
	char text[TUCK_ADDR_TEXT], buf[8];
	struct server s[4];
	int fd = listen_any("127.0.0.1:0", text), left = 0;

	for (int i = 0; i < 4; i++) {
		s[i] = (struct server){ .fd = fd, .n = 100 };
		CHECK(tuck_go(accept_some, &s[i]) > 0);
	}
	for (int i = 0; i < 100; i++) {
		int client = tuck_tcp_connect(text, TUCK_FOREVER);

		CHECK_EQ(tuck_read_full(client, buf, 8, TUCK_FOREVER), 5);
		tuck_fd_close(client);
	}
	tuck_fd_close(fd);
	settle();
	for (int i = 0; i < 4; i++)
		left += s[i].n;
	CHECK_EQ(left, 300);
}

/* -- no descriptor left for accept -- */

#define ROOM 4		/* connections that the server has descriptors for */
#define CLIENTS 12

static void client_echo(int fd, int i)
{
	char out = (char)('a' + i), in = 0;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (write(fd, &out, 1) != 1 || poll(&p, 1, 20000) != 1 ||
	    read(fd, &in, 1) != 1 || in != out)
		_exit(10 + i);
}

/*
 * In a process of its own: the first connections are served while the rest
 * wait in the backlog; each one closed makes room for the next.
 */
static void be_clients(const struct sockaddr_in *addr)
{
	int fd[CLIENTS];

	for (int i = 0; i < CLIENTS; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fd[i], (const void *)addr, sizeof(*addr)) < 0)
			_exit(2);
	}
	for (int round = 0; round < 60; round++) {
		usleep(5000);
		for (int i = 0; i < ROOM; i++)
			client_echo(fd[i], i);
	}
	for (int i = 0; i < CLIENTS; i++) {
		client_echo(fd[i], i);
		close(fd[i]);
	}
	_exit(0);
}

static void echo(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[4000];
	ssize_t r;

	while ((r = tuck_read(fd, buf, sizeof(buf), TUCK_FOREVER)) > 0)
		if (tuck_write_full(fd, buf, (size_t)r, TUCK_FOREVER) != r)
			break;
	CHECK_EQ(tuck_fd_close(fd), 0);
}

static int lowest_free(void)
{
	int fd = dup(2);

	close(fd);
	return fd;
}

/* The kernel's largest, or -1. */
static int most_backlog(void)
{
	FILE *f = fopen("/proc/sys/net/core/somaxconn", "r");
	int n = -1;

	if (f) {
		CHECK_EQ(fscanf(f, "%d", &n), 1);
		fclose(f);
	}
	return n;
}

TEST(the_backlog_is_the_one_asked_for)
{
	static const int asked[] = { 1, 0, 7, INT_MAX, 2 };
	int most = most_backlog();

	if (most < 7)
		SKIP("the largest backlog is not known, or small");
	for (int i = 0; i < 5; i++) {
		struct tuck_socket_attr attr = { .backlog = asked[i] };
		int want = asked[i] && asked[i] < most ? asked[i] : most;
		int fd = tuck_listen("127.0.0.1:0", &attr), n = backlog_of(fd);

		if (n < 0)
			SKIP("the kernel does not tell a backlog");
		CHECK_EQ(n, want);
		CHECK_EQ(tuck_fd_close(fd), 0);
		fd = tuck_tcp_listen("127.0.0.1:0", asked[i]);
		CHECK_EQ(backlog_of(fd), want);
		CHECK_EQ(tuck_fd_close(fd), 0);
	}
}

TEST(accept_without_descriptors_tells_and_does_not_spin)
{
	char text[TUCK_ADDR_TEXT];
	int fd = listen_any("127.0.0.1:0", text), served = 0, told = 0, status;
	struct tuck_addr addr;
	tuck_ns start;
	pid_t pid;

	CHECK_EQ(tuck_accept(fd, NULL, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_addr_local(fd, &addr), 0);
	pid = fork();
	if (pid == 0)
		be_clients((const void *)&addr.sa);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ lowest_free() + ROOM,
						   lowest_free() + ROOM });
	start = tuck_now();
	while (served < CLIENTS) {
		int r = tuck_accept(fd, NULL, tuck_after(TUCK_SEC(10)));

		CHECK(r >= 0 || r == -EMFILE);
		told += r < 0;
		if (r >= 0 && ++served)
			CHECK(tuck_go(echo, (void *)(intptr_t)r) > 0);
	}
	CHECK(told > 0);
	CHECK(told <= (tuck_now() - start) / TUCK_MS(10) + CLIENTS + 1);
	CHECK_EQ(tuck_fd_close(fd), 0);
	WAIT_FOR(waitpid(pid, &status, WNOHANG) == pid);
	CHECK_EQ(status, 0);
}

static tuck_ns time_of_accept(int fd, tuck_ns span)
{
	tuck_ns start = tuck_now();
	tuck_ns deadline = span ? start + span : TUCK_NOWAIT;

	CHECK_EQ(tuck_accept(fd, NULL, deadline), -EMFILE);
	return tuck_now() - start;
}

/* A busy machine may stop one at any time, but not each of many. */
static void accept_within(tuck_ns limit, int fd, tuck_ns span)
{
	int tries = 100;

	while (time_of_accept(fd, span) >= limit)
		CHECK(--tries > 0);
}

static void close_later(void *arg)
{
	tuck_sleep(tuck_after(TUCK_MS(2)));
	CHECK_EQ(tuck_fd_close((int)(intptr_t)arg), 0);
}

static tuck_ns time_until_closed(int fd, int spare)
{
	tuck_id id = tuck_go(close_later, (void *)(intptr_t)spare);
	tuck_ns start = tuck_now(), span;

	CHECK(id > 0);
	CHECK_EQ(tuck_accept(fd, NULL, TUCK_FOREVER), -EMFILE);
	span = tuck_now() - start;
	finish(id);
	return span;
}

TEST(accept_without_descriptors_keeps_to_its_deadline)
{
	char text[TUCK_ADDR_TEXT];
	int fd = listen_any("127.0.0.1:0", text), client, spare, tries = 100;
	tuck_ns start;

	client = tuck_tcp_connect(text, TUCK_FOREVER);
	spare = dup(2);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ spare + 1, spare + 1 });
	arrives(fd);
	accept_within(TUCK_MS(5), fd, 0);
	start = tuck_now();
	CHECK_EQ(tuck_accept(fd, NULL, TUCK_FOREVER), -EMFILE);
	CHECK(tuck_now() - start >= TUCK_MS(10));
	accept_within(TUCK_MS(8), fd, TUCK_MS(1));
	/* A descriptor that is closed ends the pause. */
	while (time_until_closed(fd, spare) >= TUCK_MS(9)) {
		CHECK(--tries > 0);
		CHECK_EQ(dup(2), spare);
	}
	CHECK_EQ(tuck_accept(fd, NULL, TUCK_FOREVER), spare);
	CHECK_EQ(tuck_fd_close(client), 0);
}

/* -- connect -- */

TEST(connect_refused)
{
	char text[TUCK_ADDR_TEXT];
	int fd = listen_any("127.0.0.1:0", text), fds;

	CHECK_EQ(tuck_fd_close(fd), 0);
	fds = count_fds();
	CHECK_EQ(tuck_tcp_connect(text, TUCK_FOREVER), -ECONNREFUSED);
	CHECK_EQ(tuck_tcp_connect(text, patience()), -ECONNREFUSED);
	CHECK(tuck_tcp_connect(text, TUCK_NOWAIT) < 0);
	CHECK_EQ(count_fds(), fds);
}

TEST(connect_to_bad_addresses)
{
	char text[TUCK_ADDR_TEXT];
	int fd = listen_any("127.0.0.1:0", text), fds = count_fds();

	CHECK_EQ(tuck_tcp_connect(text, -1), -EINVAL);
	CHECK_EQ(tuck_tcp_connect(text, INT64_MIN), -EINVAL);
	for (size_t i = 0; i < BAD; i++)
		CHECK_EQ(tuck_tcp_connect(bad_addresses[i], TUCK_FOREVER),
			 -EINVAL);
	CHECK(tuck_tcp_connect("255.255.255.255:1", TUCK_FOREVER) < 0);
	CHECK_EQ(count_fds(), fds);
	CHECK_EQ(tuck_fd_close(fd), 0);
}

static int full_backlog(char text[TUCK_ADDR_TEXT])
{
	int fd = tuck_tcp_listen("127.0.0.1:0", 1);
	struct tuck_addr addr;

	CHECK_EQ(tuck_addr_local(fd, &addr), 0);
	tuck_addr_format(&addr, text, TUCK_ADDR_TEXT);
	fill_backlog(fd, text);
	return fd;
}

TEST(connect_that_nobody_answers_keeps_to_its_deadline)
{
	char text[TUCK_ADDR_TEXT];
	tuck_ns start, soon;
	int fd = full_backlog(text), fds = count_fds();

	start = tuck_now();
	soon = start + TUCK_MS(30);
	CHECK_EQ(tuck_tcp_connect(text, soon), -ETIMEDOUT);
	CHECK(tuck_now() >= soon && tuck_now() < start + TUCK_SEC(20));
	CHECK_EQ(tuck_tcp_connect(text, 1), -ETIMEDOUT);
	CHECK_EQ(tuck_tcp_connect(text, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(count_fds(), fds);
	CHECK_EQ(tuck_fd_close(fd), 0);
}

static void connect_patiently(void *arg)
{
	struct server *s = arg;

	s->got = tuck_tcp_connect((const char *)(s + 1),
				  tuck_after(TUCK_SEC(8)));
	s->n = 1;
}

TEST(connect_that_is_answered_late)
{
	struct {
		struct server s;
		char text[TUCK_ADDR_TEXT];
	} late = { .s.n = 0 };
	int fd = full_backlog(late.text);

	CHECK(tuck_go(connect_patiently, &late.s) > 0);
	settle();
	CHECK_EQ(late.s.n, 0);
	while (!late.s.n) {		/* the kernel tries again in 1 s */
		int r = tuck_accept(fd, NULL, tuck_after(TUCK_MS(20)));

		CHECK(r >= 0 || r == -ETIMEDOUT);
	}
	CHECK(late.s.got >= 0);
}

TEST(ipv6)
{
	char text[TUCK_ADDR_TEXT], buf[8];
	struct server s = { .n = 1 };
	int fd;

	s.fd = listen_any("[::1]:0", text);
	if (s.fd < 0)
		SKIP("no IPv6 on the loopback");
	CHECK(strncmp(text, "[::1]:", 6) == 0);
	CHECK(tuck_go(accept_some, &s) > 0);
	fd = tuck_tcp_connect(text, patience());
	CHECK(fd >= 0);
	CHECK_EQ(tuck_read_full(fd, buf, 8, TUCK_FOREVER), 5);
	CHECK_EQ(tuck_tcp_listen(text, 0), -EADDRINUSE);
}

/* An address without a host is every address of the machine. */
TEST(listen_at_every_address)
{
	char text[TUCK_ADDR_TEXT], port[16];
	int fd = listen_any(":0", text);

	CHECK(fd >= 0);
	snprintf(port, sizeof(port), "%s", strrchr(text, ':'));
	snprintf(text, sizeof(text), "127.0.0.1%s", port);
	CHECK(tuck_tcp_connect(text, patience()) >= 0);
	snprintf(text, sizeof(text), "127.0.0.2%s", port);
	CHECK(tuck_tcp_connect(text, patience()) >= 0);
}

/* -- many connections -- */

#define MANY (UNDER_TSAN ? 500 : 2000)
#define ROUNDS 3

static struct {
	char text[TUCK_ADDR_TEXT];
	int connected, finished;
	tuck_id all_there;
} many;

static size_t length_of(int i, int round)
{
	return (size_t)(1 + (i * 131 + round * 977) % 3000);
}

static void be_client(void *arg)
{
	int i = (int)(intptr_t)arg, fd;
	char out[3000], in[3000];

	fd = tuck_tcp_connect(many.text, TUCK_FOREVER);
	CHECK(fd >= 0);
	if (++many.connected == MANY)
		tuck_unblock(many.all_there);
	while (many.connected < MANY)
		tuck_block(TUCK_FOREVER);
	for (int round = 0; round < ROUNDS; round++) {
		ssize_t n = (ssize_t)length_of(i, round);

		fill(out, (size_t)n, 0, (unsigned)(i * ROUNDS + round));
		CHECK_EQ(tuck_write_full(fd, out, (size_t)n, TUCK_FOREVER), n);
		CHECK_EQ(tuck_read_full(fd, in, (size_t)n, TUCK_FOREVER), n);
		check_filled(in, (size_t)n, 0, (unsigned)(i * ROUNDS + round));
	}
	CHECK_EQ(tuck_fd_close(fd), 0);
	many.finished++;
}

static void be_server(void *arg)
{
	int fd = (int)(intptr_t)arg, r;

	while ((r = tuck_accept(fd, NULL, TUCK_FOREVER)) >= 0)
		CHECK(tuck_go(echo, (void *)(intptr_t)r) > 0);
	CHECK_EQ(r, -EBADF);
}

static void allow_descriptors(rlim_t n)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < n)
		SKIP("too few descriptors are allowed");
	if (limit.rlim_cur < n)
		limit.rlim_cur = n;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

TEST_LIMIT(two_thousand_connections_on_sixteen_stacks, 60)
{
	static tuck_id client[MANY];
	struct tuck_stats stats;
	int fd;

	allow_descriptors(2 * MANY + 100);
	share_slots(16);
	fd = listen_any("127.0.0.1:0", many.text);
	many.all_there = tuck_self();
	CHECK(tuck_go(be_server, (void *)(intptr_t)fd) > 0);
	for (int i = 0; i < MANY; i++) {
		client[i] = tuck_go(be_client, (void *)(intptr_t)i);
		CHECK(client[i] > 0);
	}
	CHECK_EQ(tuck_block(TUCK_FOREVER), 0);
	CHECK_EQ(tuck_stats(&stats), 0);
	CHECK(stats.slots <= 16);
	CHECK(stats.tasklets >= MANY + 2);
	for (int i = 0; i < MANY; i++)
		tuck_unblock(client[i]);
	WAIT_FOR(many.finished == MANY);
	CHECK_EQ(tuck_fd_close(fd), 0);
}
