/* SPDX-License-Identifier: MIT */
/* Libc's poll, select, epoll and sleeps from tasklets. */
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

#include "hooked.h"

static int a[2], b[2], epoll_fd;

static const struct timespec a_while = { 0, 20000000 };

static int long_ms(void)
{
	return check_limit_s() * 500;
}

static struct timespec long_time(void)
{
	return (struct timespec){ check_limit_s() / 2, 0 };
}

/* -- each kind of wait for a[0] or b[0]; which is ready, 0 none, or -1 -- */

typedef int wait_fn(bool briefly);

static int which(const struct pollfd *p)
{
	return (p[0].revents & POLLIN ? 1 : 0) |
	       (p[1].revents & POLLIN ? 2 : 0);
}

static int by_poll(bool briefly)
{
	struct pollfd p[2] = { { a[0], POLLIN, 0 }, { b[0], POLLIN, 0 } };
	int r = poll(p, 2, briefly ? 20 : long_ms());

	return r > 0 ? which(p) : r;
}

int __poll_chk(struct pollfd *fds, nfds_t n, int ms, size_t room);

static int by_poll_chk(bool briefly)
{
	struct pollfd p[2] = { { a[0], POLLIN, 0 }, { b[0], POLLIN, 0 } };
	int r = __poll_chk(p, 2, briefly ? 20 : -1, sizeof(p));

	return r > 0 ? which(p) : r;
}

static int by_ppoll(bool briefly)
{
	struct pollfd p[2] = { { a[0], POLLIN, 0 }, { b[0], POLLIN, 0 } };
	struct timespec t = briefly ? a_while : long_time();
	sigset_t none;
	int r;

	sigemptyset(&none);
	r = ppoll(p, 2, &t, &none);
	return r > 0 ? which(p) : r;
}

static int of_sets(int r, const fd_set *in)
{
	if (r <= 0)
		return r;
	return (FD_ISSET(a[0], in) ? 1 : 0) | (FD_ISSET(b[0], in) ? 2 : 0);
}

static void both(fd_set *in)
{
	FD_ZERO(in);
	FD_SET(a[0], in);
	FD_SET(b[0], in);
}

static int by_select(bool briefly)
{
	const int most_s = check_limit_s() / 2;
	struct timeval t = { briefly ? 0 : most_s, briefly ? 20000 : 0 };
	fd_set in;
	int r;

	both(&in);
	r = select(b[1] + 1, &in, NULL, NULL, &t);
	if (r == 0)
		CHECK(t.tv_sec == 0 && t.tv_usec == 0);
	else
		CHECK(t.tv_sec < most_s && (t.tv_sec || t.tv_usec));
	return of_sets(r, &in);
}

static int by_pselect(bool briefly)
{
	struct timespec t = briefly ? a_while : long_time();
	fd_set in, out, urgent;

	both(&in);
	FD_ZERO(&out);
	both(&urgent);
	return of_sets(pselect(b[1] + 1, &in, &out, &urgent, &t, NULL), &in);
}

static int of_events(int r, const struct epoll_event *e)
{
	int bits = 0;

	for (int i = 0; i < r; i++)
		bits |= e[i].data.fd == a[0] ? 1 : 2;
	return r < 0 ? r : bits;
}

static int by_epoll(bool briefly)
{
	struct epoll_event e[4];
	int r = epoll_wait(epoll_fd, e, 4, briefly ? 20 : -1);

	return of_events(r, e);
}

static int by_epoll_pwait(bool briefly)
{
	struct epoll_event e[4];
	sigset_t none;

	sigemptyset(&none);
	return of_events(epoll_pwait(epoll_fd, e, 4, briefly ? 20 : long_ms(),
				     &none),
			 e);
}

static int by_epoll_pwait2(bool briefly)
{
	struct timespec t = briefly ? a_while : long_time();
	struct epoll_event e[4];

	return of_events(epoll_pwait2(epoll_fd, e, 4, &t, NULL), e);
}

static wait_fn *const waits[] = { by_poll,	  by_poll_chk,	  by_ppoll,
				  by_select,	  by_pselect,	  by_epoll,
				  by_epoll_pwait, by_epoll_pwait2 };

enum { WAITS = 8 };

static void set_up(void)
{
	struct epoll_event e = { .events = EPOLLIN };

	stream_pair(a);
	pipe_pair(b);
	epoll_fd = epoll_create1(0);
	e.data.fd = a[0];
	CHECK_EQ(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, a[0], &e), 0);
	e.data.fd = b[0];
	CHECK_EQ(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, b[0], &e), 0);
}

static int result, ended;

static void wait_long(void *fn)
{
	result = (*(wait_fn *const *)fn)(false);
	ended++;
}

HOOKED_TEST(each_waits_alone_for_either)
{
	char c;

	set_up();
	for (int i = 0; i < 2 * WAITS; i++) {
		ended = 0;
		go(wait_long, (void *)(uintptr_t)&waits[i / 2]);
		settle();
		CHECK_EQ(ended, 0);
		raw_write(i % 2 ? a[1] : b[1], "x", 1);
		WAIT_FOR(ended);
		CHECK_EQ(result, i % 2 ? 1 : 2);
		CHECK_EQ(read(i % 2 ? a[0] : b[0], &c, 1), 1);
	}
}

HOOKED_TEST(each_says_at_once_what_is_ready)
{
	set_up();
	raw_write(a[1], "x", 1);
	raw_write(b[1], "x", 1);
	for (int i = 0; i < WAITS; i++)
		CHECK_EQ(waits[i](false), 3);
}

HOOKED_TEST(each_ends_when_its_time_is_over)
{
	tuck_ns start;

	set_up();
	for (int i = 0; i < WAITS; i++) {
		start = tuck_now();
		CHECK_EQ(waits[i](true), 0);
		CHECK(tuck_now() - start >= TUCK_MS(20));
	}
}

HOOKED_TEST(all_kinds_wait_for_one_descriptor)
{
	set_up();
	for (int i = 0; i < WAITS; i++)
		go(wait_long, (void *)(uintptr_t)&waits[i]);
	settle();
	CHECK_EQ(ended, 0);
	raw_write(a[1], "x", 1);
	WAIT_FOR(ended == WAITS);
}

/* -- what is odd -- */

HOOKED_TEST(arguments_that_cannot_be_are_libcs_affair)
{
	struct timespec bad = { 0, 1000000000 };
	struct epoll_event e;

	set_up();
	CHECK_EQ(ppoll(NULL, 0, &bad, NULL), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(select(-1, NULL, NULL, NULL, NULL), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(epoll_wait(epoll_fd, &e, 0, -1), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(epoll_wait(a[0], &e, 1, -1), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(epoll_wait(-1, &e, 1, -1), -1);
	CHECK_EQ(errno, EBADF);
	CHECK_EQ(nanosleep(&bad, NULL), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &bad, NULL), EINVAL);
}

HOOKED_TEST(a_file_that_is_not_ready_does_not_spin)
{
	struct tuck_stats before, after;
	FILE *f = tmpfile();
	struct pollfd p[2] = { { fileno(f), POLLPRI, 0 }, { -1, POLLIN, 0 } };

	tuck_stats(&before);
	CHECK_EQ(poll(p, 2, 50), 0);
	tuck_stats(&after);
	CHECK(after.switches - before.switches < 10);
	p[0].events = POLLIN;
	CHECK_EQ(poll(p, 2, -1), 1);
}

HOOKED_TEST(a_closed_descriptor_is_told)
{
	struct pollfd p = { .events = POLLIN };

	set_up();
	p.fd = a[0];
	close(a[0]);
	CHECK_EQ(poll(&p, 1, -1), 1);
	CHECK_EQ(p.revents, POLLNVAL);
}

HOOKED_TEST(poll_of_nothing_sleeps)
{
	tuck_ns start = tuck_now();

	CHECK_EQ(poll(NULL, 0, 20), 0);
	CHECK_EQ(select(0, NULL, NULL, NULL, &(struct timeval){ 0, 20000 }), 0);
	CHECK(tuck_now() - start >= TUCK_MS(40));
}

static int signals;

static void count_signal(int sig)
{
	(void)sig;
	signals++;
}

static void *signal_later(void *thread)
{
	usleep(20000);
	pthread_kill(*(pthread_t *)thread, SIGUSR1);
	return NULL;
}

/* What the mask lets in interrupts the wait, as POSIX has it. */
HOOKED_TEST(a_mask_lets_its_signals_in)
{
	const struct timespec t = long_time();
	pthread_t thread, self = pthread_self();
	struct epoll_event e;
	sigset_t usr1, none;

	set_up();
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &usr1, NULL), 0);
	signal(SIGUSR1, count_signal);
	raise(SIGUSR1);
	CHECK_EQ(signals, 0);
	CHECK_EQ(ppoll(NULL, 0, &t, &none), -1);
	CHECK_EQ(errno, EINTR);
	WAIT_FOR(signals == 1);
	raise(SIGUSR1);
	CHECK_EQ(pselect(0, NULL, NULL, NULL, &t, &none), -1);
	CHECK_EQ(errno, EINTR);
	WAIT_FOR(signals == 2);
	raise(SIGUSR1);
	CHECK_EQ(epoll_pwait(epoll_fd, &e, 1, long_ms(), &none), -1);
	CHECK_EQ(errno, EINTR);
	WAIT_FOR(signals == 3);
	CHECK_EQ(pthread_create(&thread, NULL, signal_later, &self), 0);
	CHECK_EQ(ppoll(NULL, 0, NULL, &none), -1);
	CHECK_EQ(errno, EINTR);
	WAIT_FOR(signals == 4);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* Who calls again after a failure has asked for what he asked for before. */
static void select_in_vain(void *arg)
{
	fd_set in, urgent;

	(void)arg;
	both(&in);
	both(&urgent);
	CHECK_EQ(select(b[1] + 1, &in, NULL, &urgent, NULL), -1);
	CHECK_EQ(errno, ECANCELED);
	CHECK(FD_ISSET(a[0], &in) && FD_ISSET(b[0], &in));
	CHECK(FD_ISSET(a[0], &urgent) && FD_ISSET(b[0], &urgent));
}

HOOKED_TEST(sets_outlive_a_failure)
{
	tuck_id id;

	set_up();
	id = go(select_in_vain, NULL);
	settle();
	CHECK_EQ(tuck_cancel(id), 0);
	finish(id);
}

/* -- interrupts -- */

static atomic_int interrupts;
static atomic_bool enough;
static pthread_t main_thread;

static void note_signal(int sig)
{
	(void)sig;
	atomic_fetch_add(&interrupts, 1);
}

static void *interrupt_often(void *arg)
{
	while (!atomic_load(&enough)) {
		usleep(2000);
		pthread_kill(main_thread, SIGUSR1);
		if (arg && atomic_load(&interrupts) >= 5) {
			raw_write(*(int *)arg, "x", 1);
			arg = NULL;
		}
	}
	return NULL;
}

static void handle_usr1(int flags)
{
	struct sigaction action = { .sa_handler = note_signal,
				    .sa_flags = flags };

	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	main_thread = pthread_self();
	atomic_store(&interrupts, 0);
	atomic_store(&enough, false);
}

static void read_uninterrupted(void *arg)
{
	char c;

	(void)arg;
	CHECK_EQ(read(b[0], &c, 1), 1);
	ended++;
}

HOOKED_TEST(a_signal_interrupts_what_main_waits_in)
{
	struct timespec t = long_time(), left = { 0, 0 };
	pthread_t thread;
	char c;

	set_up();
	go(read_uninterrupted, NULL);
	settle();
	handle_usr1(0);
	CHECK_EQ(pthread_create(&thread, NULL, interrupt_often, NULL), 0);
	for (int i = 0; i < WAITS; i++) {
		CHECK_EQ(waits[i](false), -1);
		CHECK_EQ(errno, EINTR);
	}
	CHECK_EQ(read(a[0], &c, 1), -1);
	CHECK_EQ(errno, EINTR);
	CHECK_EQ(nanosleep(&t, &left), -1);
	CHECK_EQ(errno, EINTR);
	CHECK(left.tv_sec > 0 || left.tv_nsec > 0);
	CHECK(left.tv_sec <= t.tv_sec);
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL), EINTR);
	CHECK(sleep(1000) > 0);
	atomic_store(&enough, true);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(ended, 0);
	raw_write(b[1], "x", 1);
	WAIT_FOR(ended);
}

HOOKED_TEST(a_read_goes_on_after_a_handler_that_has_it_restarted)
{
	pthread_t thread;
	char c = 0;

	set_up();
	handle_usr1(SA_RESTART);
	CHECK_EQ(pthread_create(&thread, NULL, interrupt_often, &a[1]), 0);
	CHECK_EQ(read(a[0], &c, 1), 1);
	CHECK(atomic_load(&interrupts) >= 5);
	CHECK_EQ(poll(NULL, 0, -1), -1);
	CHECK_EQ(errno, EINTR);
	atomic_store(&enough, true);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static sigjmp_buf back;

static void jump_back(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

HOOKED_TEST(a_jump_out_of_a_handler_is_no_handler)
{
	set_up();
	signal(SIGUSR1, jump_back);
	if (sigsetjmp(back, 1) == 0)
		raise(SIGUSR1);
	go(read_uninterrupted, NULL);
	settle();
	CHECK_EQ(ended, 0);
	raw_write(b[1], "x", 1);
	WAIT_FOR(ended);
}

/* -- sleeps -- */

static int in_order[3], slept;

static void sleep_by(void *ms)
{
	int *n = ms;
	const struct timespec t = { 0, *n * 1000000 };

	if (*n == 1)
		CHECK_EQ(usleep(1000), 0);
	else
		CHECK_EQ(nanosleep(&t, NULL), 0);
	in_order[slept++] = *n;
}

HOOKED_TEST(sleeps_wait_alone)
{
	static int ms[3] = { 200, 1, 100 };
	struct timespec t;
	tuck_ns start = tuck_now();

	for (int i = 0; i < 3; i++)
		go(sleep_by, &ms[i]);
	CHECK_EQ(slept, 0);
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &a_while, NULL), 0);
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += 20000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL), 0);
	CHECK(tuck_now() - start >= TUCK_MS(40));
	CHECK_EQ(sleep(1), 0);
	CHECK(tuck_now() - start >= TUCK_MS(1040));
	WAIT_FOR(slept == 3);
	if (has_policy())	/* several may be over at once */
		return;
	CHECK_EQ(in_order[0], 1);
	CHECK_EQ(in_order[2], 200);
}

static int spinning;

static void stop_spin(void *arg)
{
	(void)arg;
	spinning = 0;
}

HOOKED_TEST(sched_yield_lets_tasklets_run)
{
	spinning = 1;
	go(stop_spin, NULL);
	while (*(volatile int *)&spinning)
		sched_yield();
}
