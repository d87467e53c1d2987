/* SPDX-License-Identifier: MIT */
/* Libc's sleeps, joins and questions for names: each waits alone. */
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <threads.h>
#include <time.h>

#include "alone.h"
#include "offloads.h"

/* -- sleeps -- */

static void by_sleep(void)
{
	CHECK(sleep((unsigned)check_limit_s() / 2) > 0);
}

static void by_usleep(void)
{
	CHECK_EQ(usleep((useconds_t)check_limit_s() * 500000), -1);
	CHECK_EQ(errno, ECANCELED);
}

static void by_nanosleep(void)
{
	struct timespec t = long_time(), left = { 0, 0 };

	CHECK_EQ(nanosleep(&t, &left), -1);
	CHECK_EQ(errno, ECANCELED);
	CHECK(left.tv_sec > 0 || left.tv_nsec > 0);
}

static void by_clock_nanosleep(void)
{
	struct timespec t = long_time();

	CHECK_EQ(clock_nanosleep(CLOCK_BOOTTIME, 0, &t, NULL), ECANCELED);
}

static void until_clock_nanosleep(void)
{
	struct timespec t = late(CLOCK_REALTIME);

	CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL),
		 ECANCELED);
}

static void by_thrd_sleep(void)
{
	struct timespec t = long_time(), left = { 0, 0 };

	CHECK_EQ(thrd_sleep(&t, &left), -2);
	CHECK(left.tv_sec > 0 || left.tv_nsec > 0);
}

HOOKED_TEST(sleeps)
{
	static const struct call calls[] = {
		{ "sleep", NULL, by_sleep, NULL },
		{ "usleep", NULL, by_usleep, NULL },
		{ "nanosleep", NULL, by_nanosleep, NULL },
		{ "clock_nanosleep", NULL, by_clock_nanosleep, NULL },
		{ "clock_nanosleep until", NULL, until_clock_nanosleep, NULL },
		{ "thrd_sleep", NULL, by_thrd_sleep, NULL },
	};

	CHECK_ALONE(calls);
}

HOOKED_TEST(thrd_sleep_says_what_libc_says)
{
	struct timespec bad = { 0, 1000000000 }, t = { 0, 1000000 };

	CHECK_EQ(thrd_sleep(&bad, NULL), -2);
	CHECK_EQ(thrd_sleep(&t, NULL), 0);
}

/* -- joins -- */

static pthread_t thread;
static atomic_int go_on;

static void *end_when_told(void *arg)
{
	tuck_ns end = patience();

	while (!atomic_load(&go_on) && tuck_now() < end)
		usleep(200);
	return arg;
}

static void start_thread(void)
{
	atomic_store(&go_on, 0);
	CHECK_EQ(pthread_create(&thread, NULL, end_when_told, &go_on), 0);
}

static void end_thread(void)
{
	atomic_store(&go_on, 1);
}

static void by_join(void)
{
	void *ret;

	CHECK_EQ(pthread_join(thread, &ret), 0);
	CHECK(ret == &go_on);
}

static void by_timedjoin(void)
{
	struct timespec t = late(CLOCK_REALTIME);
	void *ret;

	CHECK_EQ(pthread_timedjoin_np(thread, &ret, &t), 0);
	CHECK(ret == &go_on);
}

static void by_clockjoin(void)
{
	struct timespec t = late(CLOCK_MONOTONIC);
	void *ret;

	CHECK_EQ(pthread_clockjoin_np(thread, &ret, CLOCK_MONOTONIC, &t), 0);
	CHECK(ret == &go_on);
}

HOOKED_TEST(joins)
{
	static const struct call calls[] = {
		{ "pthread_join", start_thread, by_join, end_thread },
		{ "pthread_timedjoin_np", start_thread, by_timedjoin,
		  end_thread },
		{ "pthread_clockjoin_np", start_thread, by_clockjoin,
		  end_thread },
	};

	CHECK_ALONE(calls);
}

/* -- names: the threads that ask are busy -- */

static char host_buf[4096];
static struct hostent host, *found;
static int host_err;

static void go_far(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_offload_remote(NULL, wait_at_gate, NULL, 0, TUCK_FOREVER),
		 7);
}

static void stop_asking(void)
{
	no_call_is_left();
	atomic_store(&gate_open, 0);
	atomic_store(&at_gate, 0);
	go(go_far, NULL);
	WAIT_FOR(atomic_load(&at_gate) == 1);
}

static void check_host(const struct hostent *h)
{
	CHECK(h);
	CHECK_STR(h->h_name, "localhost");
	CHECK_EQ(h->h_addrtype, AF_INET);
	CHECK_MEM(h->h_addr_list[0], "\177\0\0\1", 4);
}

static void by_getaddrinfo(void)
{
	struct addrinfo *list;

	CHECK_EQ(getaddrinfo("localhost", "80", NULL, &list), 0);
	freeaddrinfo(list);
}

static void by_getnameinfo(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQ(getnameinfo((struct sockaddr *)&sin, sizeof(sin), host_buf,
			     sizeof(host_buf), NULL, 0, 0),
		 0);
	CHECK_STR(host_buf, "localhost");
}

static void by_gethostbyname(void)
{
	check_host(gethostbyname("localhost"));
}

static void by_gethostbyname2(void)
{
	check_host(gethostbyname2("localhost", AF_INET));
}

static void by_gethostbyaddr(void)
{
	check_host(gethostbyaddr("\177\0\0\1", 4, AF_INET));
}

static void by_gethostbyname_r(void)
{
	CHECK_EQ(gethostbyname_r("localhost", &host, host_buf, sizeof(host_buf),
				 &found, &host_err),
		 0);
	check_host(found);
}

static void by_gethostbyname2_r(void)
{
	CHECK_EQ(gethostbyname2_r("localhost", AF_INET, &host, host_buf,
				  sizeof(host_buf), &found, &host_err),
		 0);
	check_host(found);
}

static void by_gethostbyaddr_r(void)
{
	CHECK_EQ(gethostbyaddr_r("\177\0\0\1", 4, AF_INET, &host, host_buf,
				 sizeof(host_buf), &found, &host_err),
		 0);
	check_host(found);
}

HOOKED_TEST(names)
{
	static const struct call calls[] = {
		{ "getaddrinfo", stop_asking, by_getaddrinfo, open_gate },
		{ "getnameinfo", stop_asking, by_getnameinfo, open_gate },
		{ "gethostbyname", stop_asking, by_gethostbyname, open_gate },
		{ "gethostbyname2", stop_asking, by_gethostbyname2, open_gate },
		{ "gethostbyaddr", stop_asking, by_gethostbyaddr, open_gate },
		{ "gethostbyname_r", stop_asking, by_gethostbyname_r,
		  open_gate },
		{ "gethostbyname2_r", stop_asking, by_gethostbyname2_r,
		  open_gate },
		{ "gethostbyaddr_r", stop_asking, by_gethostbyaddr_r,
		  open_gate },
	};

	CHECK_EQ(tuck_offload_limit(2, 0), 0);	/* so one for names */
	CHECK_ALONE(calls);
}
