/* SPDX-License-Identifier: MIT */
/*
 * The peer of the echo benchmark without a library: one thread, edge-
 * triggered epoll, one registration a connection, and two system calls a
 * request. All connections share one buffer; one of its own is made for
 * what the kernel would not take at once.
 */
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include "echo.h"

enum { EVENTS_MAX = 1024 };

/* What a connection still has to send: text[sent..len). */
struct rest {
	char *text;
	size_t len;
	size_t sent;
};

static struct rest *rests;	/* by descriptor */
static int n_rests;
static int ep;

static void add(int fd)
{
	struct epoll_event ev = { .data.fd = fd };

	ev.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev))
		echo_fail("epoll_ctl");
}

static void accept_all(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		if (fd >= n_rests) {
			close(fd);
			continue;
		}
		echo_nodelay(fd);
		add(fd);
	}
}

static void drop(int fd)
{
	free(rests[fd].text);
	rests[fd] = (struct rest){ 0 };
	close(fd);
}

/* Returns -1 when the connection is broken, 1 when something is left. */
static int flush(int fd)
{
	struct rest *r = &rests[fd];
	ssize_t n;

	while (r->sent < r->len) {
		n = send(fd, r->text + r->sent, r->len - r->sent, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN ? 1 : -1;
		r->sent += (size_t)n;
	}
	free(r->text);
	*r = (struct rest){ 0 };
	return 0;
}

static int keep_rest(int fd, const char *text, size_t n)
{
	char *copy = malloc(n);

	if (!copy)
		return -1;
	memcpy(copy, text, n);
	rests[fd] = (struct rest){ copy, n, 0 };
	return flush(fd);
}

/*
 * Returns -1 when the connection is to be closed. A read that does not fill
 * the buffer has emptied the socket: what comes later is a new edge.
 */
static int echo(int fd)
{
	static char buf[ECHO_BUFFER];
	ssize_t n, sent;
	int left = rests[fd].text ? flush(fd) : 0;

	while (!left) {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n <= 0)
			return n < 0 && errno == EAGAIN ? 0 : -1;
		sent = send(fd, buf, (size_t)n, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return -1;
		if (sent < 0)
			sent = 0;
		if (sent < n)
			left = keep_rest(fd, buf + sent, (size_t)(n - sent));
		else if (n < (ssize_t)sizeof(buf))
			return 0;
	}
	return left < 0 ? -1 : 0;
}

/* A closed connection gives no edge after the last read, so read again. */
static void on_event(const struct epoll_event *ev)
{
	int fd = ev->data.fd;

	if (echo(fd) < 0 ||
	    (ev->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) && echo(fd) < 0))
		drop(fd);
}

int main(void)
{
	static struct epoll_event evs[EVENTS_MAX];
	int listener, n;

	echo_begin();
	n_rests = (int)sysconf(_SC_OPEN_MAX);
	rests = calloc((size_t)n_rests, sizeof(*rests));
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (!rests || ep < 0)
		echo_fail("epoll_create1");
	listener = echo_listen();
	add(listener);
	for (;;) {
		n = epoll_wait(ep, evs, EVENTS_MAX, -1);
		for (int i = 0; i < n; i++)
			if (evs[i].data.fd == listener)
				accept_all(listener);
			else if (evs[i].events != EPOLLOUT)
				on_event(&evs[i]);
			else if (rests[evs[i].data.fd].text)
				on_event(&evs[i]);
	}
}
