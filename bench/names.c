/* SPDX-License-Identifier: MIT */
/*
 * Lookups of h0.test, h1.test and so on: Tuck's, getaddrinfo(3) on threads of
 * the pool, or c-ares' with a loop of its own. bench/names.py sees to it that
 * somebody knows those names.
 *
 *	bench_names_WHO all N		milliseconds for N lookups at once
 *	bench_names_WHO all-cpu N	and of the CPU, all threads
 *	bench_names_WHO window N	64 at a time (Tuck: as above)
 *	bench_names_WHO window-cpu N
 *	bench_names_WHO one N		microseconds of a lookup, one at a time
 */
#if TUCK_SIDE
#include <tuck.h>
#else
#include <ares.h>
#include <netdb.h>
#include <sys/select.h>
#endif

#include "bench.h"

#define WINDOW 64

static long asked, known;

#if TUCK_SIDE

static void ask(void *arg)
{
	struct tuck_addr addr[8];
	char text[32];

	snprintf(text, sizeof(text), "h%ld.test:80", (long)(intptr_t)arg);
	BENCH_CHECK(tuck_resolve(text, NULL, addr, 8, TUCK_FOREVER) == 1);
	known++;
}

static void look_up(long n, long at_once)
{
	(void)at_once;		/* the pool has its own bound */
	for (asked = 0; asked < n; asked++)
		BENCH_CHECK(tuck_go(ask, (void *)(intptr_t)asked) > 0);
	tuck_run(0);
	while (known < n)
		tuck_sleep(tuck_after(TUCK_US(50)));
}

static void look_up_one_by_one(long n)
{
	for (asked = 0; asked < n; asked++)
		ask((void *)(intptr_t)asked);
}

#else

static ares_channel channel;

static void answered(void *arg, int status, int timeouts,
		     struct ares_addrinfo *result)
{
	(void)arg;
	(void)timeouts;
	BENCH_CHECK(status == ARES_SUCCESS && result->nodes);
	ares_freeaddrinfo(result);
	known++;
}

static void ask_next(void)
{
	static const struct ares_addrinfo_hints hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM
	};
	char name[32];

	snprintf(name, sizeof(name), "h%ld.test", asked++);
	ares_getaddrinfo(channel, name, "80", &hints, answered, NULL);
}

static void look_up(long n, long at_once)
{
	BENCH_CHECK(ares_init(&channel) == ARES_SUCCESS);
	while (known < n) {
		struct timeval most = { 1, 0 }, tv;
		fd_set in, out;
		int fds;

		while (asked < n && asked - known < at_once)
			ask_next();
		FD_ZERO(&in);
		FD_ZERO(&out);
		fds = ares_fds(channel, &in, &out);
		if (fds)
			select(fds, &in, &out, NULL,
			       ares_timeout(channel, &most, &tv));
		ares_process(channel, &in, &out);
	}
	ares_destroy(channel);
}

static void look_up_one_by_one(long n)
{
	look_up(n, 1);
}

#endif

static double took(long n, long at_once, clockid_t clock)
{
	int64_t t = bench_clock_ns(clock);

	look_up(n, at_once);
	BENCH_CHECK(known == n);
	return (double)(bench_clock_ns(clock) - t) / 1e6;
}

static double all(long n)
{
	return took(n, n, CLOCK_MONOTONIC);
}

static double all_cpu(long n)
{
	return took(n, n, CLOCK_PROCESS_CPUTIME_ID);
}

static double window(long n)
{
	return took(n, WINDOW, CLOCK_MONOTONIC);
}

static double window_cpu(long n)
{
	return took(n, WINDOW, CLOCK_PROCESS_CPUTIME_ID);
}

static double one(long n)
{
	int64_t t = bench_clock_ns(CLOCK_MONOTONIC);

	look_up_one_by_one(n);
	t = bench_clock_ns(CLOCK_MONOTONIC) - t;
	return (double)t / 1e3 / (double)n;
}

int main(int argc, char **argv)
{
	static const struct bench_work work[] = {
		{ "all", 1000, all },	    { "all-cpu", 1000, all_cpu },
		{ "window", 1000, window }, { "window-cpu", 1000, window_cpu },
		{ "one", 1000, one },	    { NULL, 0, NULL },
	};

	return bench_main(argc, argv, work);
}
