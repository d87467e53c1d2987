/* SPDX-License-Identifier: MIT */
/*
 * What holds for every call that waits for a socket or a pipe: deadlines,
 * cancel, kill, close, and that nothing is left open.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/un.h>
#include <tuck.h>

#include "sockets.h"

static int fd[2], other[2];
static struct tuck_addr full;		/* has no room for a datagram */
static char name[TUCK_ADDR_TEXT];
static char byte[1];
static struct iovec iov = { byte, 1 };
static struct mmsghdr one;		/* byte, from or to anybody */

/* -- how it comes that a call must wait -- */

static void empty_pair(void)
{
	CHECK_EQ(tuck_unix_pair(SOCK_DGRAM, fd), 0);
}

static void full_pair(void)
{
	empty_pair();
	while (send(fd[0], byte, 1, MSG_DONTWAIT) == 1)
		;
	CHECK_EQ(errno, EAGAIN);
}

static void empty_udp(void)
{
	fd[0] = tuck_udp_bind("127.0.0.1:0");
	fd[1] = tuck_udp_bind("127.0.0.1:0");
	CHECK(fd[0] >= 0 && fd[1] >= 0);
}

/* fd[0] is connected to nobody, fd[1] takes no more. */
static void full_name(void)
{
	fd[0] = tuck_bind("unix:", NULL);
	fd[1] = tuck_bind("unix:", NULL);
	CHECK(fd[0] >= 0 && fd[1] >= 0);
	CHECK_EQ(tuck_addr_local(fd[1], &full), 0);
	while (sendto(fd[0], byte, 1, MSG_DONTWAIT, (void *)&full.sa,
		      full.len) == 1)
		;
	CHECK_EQ(errno, EAGAIN);
}

static void nobody_connects(void)
{
	fd[0] = tuck_listen("unix:", NULL);
	fd[1] = dup(2);
	CHECK(fd[0] >= 0);
}

/* Nobody accepts, and the backlog is full. */
static void full_listener(void)
{
	struct tuck_socket_attr attr = { .backlog = 1 };
	struct tuck_addr addr;
	int r;

	fd[0] = tuck_listen("unix:", &attr);
	fd[1] = dup(2);
	CHECK_EQ(tuck_addr_local(fd[0], &addr), 0);
	tuck_addr_format(&addr, name, sizeof(name));
	while ((r = tuck_connect(name, NULL, TUCK_NOWAIT)) >= 0)
		;
	CHECK_EQ(r, -EAGAIN);
}

static void empty_pipe(void)
{
	CHECK_EQ(pipe(fd), 0);
	CHECK_EQ(tuck_unix_pair(SOCK_STREAM, other), 0);
}

static void full_stream(void)
{
	CHECK_EQ(tuck_unix_pair(SOCK_STREAM, fd), 0);
	CHECK_EQ(pipe(other), 0);
	stuff(fd[0]);
	raw_write(other[1], "x", 1);
}

/* -- the calls -- */

static ssize_t recv_from(tuck_ns deadline)
{
	struct tuck_addr from;

	return tuck_recv_from(fd[0], byte, 1, &from, deadline);
}

static ssize_t receive(tuck_ns deadline)
{
	return tuck_recvmsg(fd[0], &one.msg_hdr, 0, deadline);
}

static ssize_t receive_many(tuck_ns deadline)
{
	return tuck_recvmmsg(fd[0], &one, 1, 0, deadline);
}

static ssize_t receive_fds(tuck_ns deadline)
{
	int fds[3], n = 3;

	return tuck_unix_recv(fd[0], byte, 1, fds, &n, deadline);
}

static ssize_t send_to_peer(tuck_ns deadline)
{
	return tuck_send_to(fd[0], byte, 1, NULL, deadline);
}

static ssize_t send_to_name(tuck_ns deadline)
{
	return tuck_send_to(fd[0], byte, 1, &full, deadline);
}

static ssize_t send_one(tuck_ns deadline)
{
	return tuck_sendmsg(fd[0], &one.msg_hdr, 0, deadline);
}

static ssize_t send_many(tuck_ns deadline)
{
	return tuck_sendmmsg(fd[0], &one, 1, 0, deadline);
}

static ssize_t send_fds(tuck_ns deadline)
{
	return tuck_unix_send(fd[0], byte, 1, &fd[0], 1, deadline);
}

static ssize_t accept_it(tuck_ns deadline)
{
	return tuck_accept(fd[0], NULL, deadline);
}

static ssize_t connect_it(tuck_ns deadline)
{
	return tuck_connect(name, NULL, deadline);
}

static ssize_t splice_from(tuck_ns deadline)
{
	return tuck_splice(fd[0], other[0], 100, deadline);
}

static ssize_t splice_to(tuck_ns deadline)
{
	return tuck_splice(other[0], fd[0], 100, deadline);
}

static const struct call {
	const char *name;
	void (*setup)(void);
	ssize_t (*go)(tuck_ns deadline);
	int unclosed;		/* none waits on fd[0] itself */
} calls[] = {
	{ "recv_from", empty_udp, recv_from, 0 },
	{ "recvmsg", empty_udp, receive, 0 },
	{ "recvmmsg", empty_udp, receive_many, 0 },
	{ "recv_from, Unix", empty_pair, recv_from, 0 },
	{ "unix_recv", empty_pair, receive_fds, 0 },
	{ "send_to", full_pair, send_to_peer, 0 },
	{ "send_to a name", full_name, send_to_name, 0 },
	{ "sendmsg", full_pair, send_one, 0 },
	{ "sendmmsg", full_pair, send_many, 0 },
	{ "unix_send", full_pair, send_fds, 0 },
	{ "accept", nobody_connects, accept_it, 0 },
	{ "connect", full_listener, connect_it, 1 },
	{ "splice from", empty_pipe, splice_from, 0 },
	{ "splice to", full_stream, splice_to, 0 },
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

static void set_up(const struct call *c)
{
	one.msg_hdr = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 };
	other[0] = other[1] = -1;
	c->setup();
}

static void tear_down(void)
{
	for (int i = 0; i < 2; i++) {
		tuck_fd_close(fd[i]);
		tuck_fd_close(other[i]);
	}
}

static void check_gave(const struct call *c, ssize_t r, ssize_t want)
{
	if (r != want)
		check_fail(CHECK_AT, "%s: %zd, not %zd", c->name, r, want);
}

TEST(each_keeps_to_its_deadline)
{
	for (size_t i = 0; i < CALLS; i++) {
		const struct call *c = &calls[i];
		tuck_ns soon;

		set_up(c);
		check_gave(c, c->go(TUCK_NOWAIT), -EAGAIN);
		check_gave(c, c->go(1), -ETIMEDOUT);
		check_gave(c, c->go(-1), -EINVAL);
		check_gave(c, c->go(INT64_MIN), -EINVAL);
		soon = tuck_after(TUCK_MS(7));
		check_gave(c, c->go(soon), -ETIMEDOUT);
		CHECK(tuck_now() >= soon);
		tear_down();
	}
}

static struct {
	const struct call *call;
	ssize_t gave;
	int open;		/* before it began */
} waiter;

static void wait_in_it(void *arg)
{
	(void)arg;
	waiter.gave = waiter.call->go(TUCK_FOREVER);
}

static tuck_id begin(const struct call *c)
{
	tuck_id id;

	set_up(c);
	waiter.open = count_fds();
	waiter.call = c;
	waiter.gave = 12345;
	id = tuck_go(wait_in_it, NULL);
	CHECK(id > 0);
	settle();
	check_gave(c, waiter.gave, 12345);
	return id;
}

TEST(each_can_be_cancelled)
{
	for (size_t i = 0; i < CALLS; i++) {
		tuck_id id = begin(&calls[i]);

		CHECK_EQ(tuck_cancel(id), 0);
		finish(id);
		check_gave(&calls[i], waiter.gave, -ECANCELED);
		tear_down();
	}
}

TEST(each_can_be_killed_and_leaves_nothing_open)
{
	for (size_t i = 0; i < CALLS; i++) {
		tuck_id id = begin(&calls[i]);

		CHECK_EQ(tuck_kill(id), 0);
		finish(id);
		check_gave(&calls[i], waiter.gave, 12345);
		check_gave(&calls[i], count_fds(), waiter.open);
		tear_down();
	}
}

TEST(close_ends_each)
{
	for (size_t i = 0; i < CALLS; i++) {
		tuck_id id;

		if (calls[i].unclosed)
			continue;
		id = begin(&calls[i]);
		CHECK_EQ(tuck_fd_close(fd[0]), 0);
		finish(id);
		check_gave(&calls[i], waiter.gave, -EBADF);
		tear_down();
	}
}

TEST(each_tells_what_is_no_descriptor)
{
	for (size_t i = 0; i < CALLS; i++) {
		if (calls[i].unclosed)
			continue;
		set_up(&calls[i]);
		tear_down();
		check_gave(&calls[i], calls[i].go(TUCK_FOREVER), -EBADF);
	}
}

/* Two of a kind on one descriptor, and one of the other kind. */
static int came;

static void take_one(void *arg)
{
	char c;

	(void)arg;
	CHECK_EQ(tuck_recv_from(fd[0], &c, 1, NULL, patience()), 1);
	came++;
}

static void give_one(void *arg)
{
	(void)arg;
	CHECK_EQ(tuck_send_to(fd[0], "x", 1, NULL, patience()), 1);
	came++;
}

TEST(readers_and_writers_share_a_descriptor)
{
	full_pair();
	for (int i = 0; i < 2; i++) {
		CHECK(tuck_go(take_one, NULL) > 0);
		CHECK(tuck_go(give_one, NULL) > 0);
	}
	settle();
	CHECK_EQ(came, 0);
	raw_write(fd[1], "y", 1);
	WAIT_FOR(came == 1);
	while (recv(fd[1], byte, 1, MSG_DONTWAIT) == 1)
		;
	WAIT_FOR(came == 3);
	raw_write(fd[1], "z", 1);
	WAIT_FOR(came == 4);
}

/* A descriptor that is in no table at all until the call asks for it. */
static void *in_a_thread_of_its_own(void *arg)
{
	const struct call *c = arg;

	check_gave(c, c->go(TUCK_NOWAIT), -EAGAIN);
	return NULL;
}

TEST(each_may_be_the_first_call_of_a_proc)
{
	pthread_t thread;

	for (size_t i = 0; i < CALLS; i++) {
		set_up(&calls[i]);
		CHECK_EQ(pthread_create(&thread, NULL, in_a_thread_of_its_own,
					(void *)(uintptr_t)&calls[i]),
			 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		tear_down();
	}
}
