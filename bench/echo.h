/* SPDX-License-Identifier: MIT */
/*
 * What the echo servers share. A server listens on 127.0.0.1, prints its
 * port, and echoes. SIGUSR1 makes it note the CPU time it has used; SIGTERM
 * makes it print the microseconds used since, and end. It ends by itself
 * after two minutes.
 */
#ifndef ECHO_H
#define ECHO_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ECHO_BUFFER = 16384, ECHO_BACKLOG = 4096, ECHO_SECONDS_MAX = 120 };

static int64_t echo_cpu_noted;

static inline int64_t echo_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* Only calls that a signal handler may make. */
static inline void echo_on_signal(int signum)
{
	char text[32], *p = text + sizeof(text);
	int64_t us;

	if (signum == SIGUSR1) {
		echo_cpu_noted = echo_cpu_ns();
		return;
	}
	us = (echo_cpu_ns() - echo_cpu_noted) / 1000;
	*--p = '\n';
	do
		*--p = (char)('0' + us % 10);
	while (us /= 10);
	_exit(write(1, p, (size_t)(text + sizeof(text) - p)) < 0);
}

static inline void echo_begin(void)
{
	struct sigaction sa;
	struct rlimit fds;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = echo_on_signal;
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	alarm(ECHO_SECONDS_MAX);
	if (!getrlimit(RLIMIT_NOFILE, &fds)) {
		fds.rlim_cur = fds.rlim_max;
		setrlimit(RLIMIT_NOFILE, &fds);
	}
}

static inline void echo_fail(const char *what)
{
	perror(what);
	exit(1);
}

/* To be called when the server listens. */
static inline void echo_announce(const struct sockaddr_in *sa)
{
	printf("%d\n", ntohs(sa->sin_port));
	fflush(stdout);
}

/* For the servers whose library has no such call. */
static inline int echo_listen(void)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	memset(&sa, 0, sizeof(sa));
	sa.sin_family = AF_INET;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) ||
	    listen(fd, ECHO_BACKLOG) ||
	    getsockname(fd, (struct sockaddr *)&sa, &len))
		echo_fail("listen");
	echo_announce(&sa);
	return fd;
}

static inline void echo_nodelay(int fd)
{
	const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

#endif
