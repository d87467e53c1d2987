/* SPDX-License-Identifier: MIT */
/*
 * The other side of the echo benchmark: plain C and epoll, the same for
 * every server.
 *
 * "load PORT PID CONNS REQUESTS" keeps a request of 64 bytes in flight on
 * each connection, checks every byte that comes back, and prints requests
 * per second. It sends the server SIGUSR1 before the requests that count
 * and SIGTERM after them.
 *
 * "idle PORT PID CONNS" opens connections, makes one request on each, and
 * prints how many bytes of the server's own memory each one takes.
 */
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include "echo.h"

enum { MESSAGE = 64, EVENTS_MAX = 1024, SETTLE_US = 300000 };

struct conn {
	int fd;
	unsigned got;		/* bytes of the request in flight */
	uint64_t seq;
	char echoed[MESSAGE];
};

static struct conn *conns;
static long n_conns;

static void fail(const char *what)
{
	fprintf(stderr, "echo_client: %s\n", what);
	exit(1);
}

/* The text of a connection's request; no two are alike. */
static void request_text(const struct conn *c, char text[MESSAGE])
{
	uint64_t words[MESSAGE / 8];
	uint64_t x = (uint64_t)(c - conns) << 40 ^ c->seq << 3;

	for (int i = 0; i < MESSAGE / 8; i++)
		words[i] = (x + (uint64_t)i) * UINT64_C(0x9E3779B97F4A7C15);
	memcpy(text, words, MESSAGE);
}

static void request(struct conn *c)
{
	char text[MESSAGE];

	c->seq++;
	c->got = 0;
	request_text(c, text);
	if (send(c->fd, text, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
		fail("cannot send a request");
}

/* Read what is there; returns 1 when the whole echo has come, as sent. */
static int response(struct conn *c)
{
	char text[MESSAGE];
	ssize_t n = recv(c->fd, c->echoed + c->got, MESSAGE - c->got, 0);

	if (n <= 0)
		fail("the server closed a connection");
	c->got += (unsigned)n;
	if (c->got < MESSAGE)
		return 0;
	request_text(c, text);
	if (memcmp(text, c->echoed, MESSAGE))
		fail("an echo differs from its request");
	return 1;
}

static void round_trip(struct conn *c)
{
	request(c);
	while (!response(c))
		;
}

/* Closing resets, so that no port is left waiting. */
static void open_conn(struct conn *c, int port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sa.sin_port = htons((uint16_t)port);
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)))
		fail("cannot connect");
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	echo_nodelay(c->fd);
	round_trip(c);
}

static void open_conns(int port)
{
	for (long i = 0; i < n_conns; i++)
		open_conn(&conns[i], port);
}

static void add_conns(int ep)
{
	struct epoll_event ev = { .events = EPOLLIN };

	for (long i = 0; i < n_conns; i++) {
		ev.data.ptr = &conns[i];
		if (epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd, &ev))
			fail("cannot poll a connection");
	}
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Returns requests per second. */
static double load(long n_requests)
{
	static struct epoll_event evs[EVENTS_MAX];
	long begun = n_conns < n_requests ? n_conns : n_requests;
	double t = seconds();
	int n, ep = epoll_create1(0);

	add_conns(ep);
	for (long i = 0; i < begun; i++)
		request(&conns[i]);
	for (long ended = 0; ended < n_requests;) {
		n = epoll_wait(ep, evs, EVENTS_MAX, -1);
		for (int i = 0; i < n; i++) {
			if (!response(evs[i].data.ptr))
				continue;
			ended++;
			if (begun < n_requests) {
				begun++;
				request(evs[i].data.ptr);
			}
		}
	}
	return (double)n_requests / (seconds() - t);
}

/* Bytes that belong to the process alone: no code, no files, no kernel. */
static double own_memory(int pid)
{
	char line[128];
	double kb = 0;
	FILE *f;

	snprintf(line, sizeof(line), "/proc/%d/status", pid);
	f = fopen(line, "r");
	if (!f)
		fail("cannot see the server's memory");
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "RssAnon:", 8) ||
		    !strncmp(line, "RssShmem:", 9))
			kb += strtod(strchr(line, ':') + 1, NULL);
	fclose(f);
	return kb * 1024;
}

static double idle(int port, int pid)
{
	double before = own_memory(pid);

	open_conns(port);
	usleep(SETTLE_US);
	return (own_memory(pid) - before) / (double)n_conns;
}

int main(int argc, char **argv)
{
	int is_load = argc == 6 && !strcmp(argv[1], "load");
	int port, pid;
	double figure;

	if (!is_load && (argc != 5 || strcmp(argv[1], "idle")))
		fail("usage: load PORT PID CONNS REQUESTS, "
		     "or idle PORT PID CONNS");
	echo_begin();
	signal(SIGTERM, SIG_DFL);
	port = atoi(argv[2]);
	pid = atoi(argv[3]);
	n_conns = atol(argv[4]);
	if (n_conns < 1 || pid < 2)
		fail("bad number");
	conns = calloc((size_t)n_conns, sizeof(*conns));
	if (!conns)
		fail("no memory");
	if (is_load) {
		open_conns(port);
		kill(pid, SIGUSR1);
		figure = load(atol(argv[5]));
	} else {
		figure = idle(port, pid);
	}
	kill(pid, SIGTERM);
	printf("%.6g\n", figure);
	return 0;
}
