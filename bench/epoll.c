/* SPDX-License-Identifier: MIT */
/* The peers of signals as events: a self-pipe, or a signalfd, and epoll. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "interrupt.h"

static int epoll, fd[2];

static void write_to_self(int signum)
{
	int err = errno;

	(void)signum;
	if (write(fd[1], "x", 1) != 1)
		abort();
	errno = err;
}

static void read_event(void)
{
	struct epoll_event event;
	char buf[sizeof(struct signalfd_siginfo)];
	int n;

	do
		n = epoll_wait(epoll, &event, 1, -1);
	while (n < 0 && errno == EINTR);
	BENCH_CHECK(n == 1 && read(fd[0], buf, sizeof(buf)) > 0);
	signal_seen();
}

static void watch(void)
{
	struct epoll_event event = { .events = EPOLLIN };

	epoll = epoll_create1(0);
	BENCH_CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd[0], &event) == 0);
}

static void begin_pipe(void)
{
	BENCH_CHECK(pipe(fd) == 0);
	watch();
	signal_handle(write_to_self);
}

static void begin_signalfd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	BENCH_CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	fd[0] = signalfd(-1, &set, 0);
	watch();
}

static void raise_batch(long n)
{
	while (n--) {
		raise(SIGUSR1);
		read_event();
	}
}

static double work_signal(long n)
{
	(void)n;
	begin_pipe();
	return bench_per_op(raise_batch, 1);
}

static double work_signal_wake(long n)
{
	begin_pipe();
	return signal_wake(n, read_event);
}

static double work_signalfd(long n)
{
	(void)n;
	begin_signalfd();
	return bench_per_op(raise_batch, 1);
}

static double work_signalfd_wake(long n)
{
	begin_signalfd();
	return signal_wake(n, read_event);
}

static const struct bench_work works[] = {
	{ "signal", 1, work_signal },
	{ "signal-wake", 2000, work_signal_wake },
	{ "signalfd", 1, work_signalfd },
	{ "signalfd-wake", 2000, work_signalfd_wake },
	{ NULL, 0, NULL },
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, works);
}
