/* SPDX-License-Identifier: MIT */
/*
 * One of every kind of wait, with nothing that would end it but a deadline: to
 * be killed in, cancelled in, or late in.
 */
#ifndef WAITS_H
#define WAITS_H

#include <tuck.h>

#include "sockets.h"
#include "trace.h"

static struct {
	struct tuck_chan *meet, *full, *other;
	int idle, idle_peer, stuffed, listener, file, proc;
	int never[2];			/* a pipe without input */
	char busy[TUCK_ADDR_TEXT];	/* answers no connection */
	tuck_id partner, proc_main;
	struct tuck_group *group;
	struct tuck_pool *pool;
	tuck_id in_pool;
	struct tuck_process *child;
} at;

static int wait_sleep(tuck_ns deadline)
{
	return tuck_sleep(deadline);
}

static int wait_block(tuck_ns deadline)
{
	return tuck_block(deadline);
}

static int wait_join(tuck_ns deadline)
{
	return tuck_join(at.partner, deadline);
}

static int wait_join_far(tuck_ns deadline)
{
	return tuck_join(at.proc_main, deadline);
}

static int wait_send(tuck_ns deadline)
{
	return tuck_chan_send(at.meet, &(long){ 1 }, deadline);
}

static int wait_room(tuck_ns deadline)
{
	return tuck_chan_send(at.full, &(long){ 1 }, deadline);
}

static int wait_recv(tuck_ns deadline)
{
	long elem;

	return tuck_chan_recv(at.other, &elem, deadline);
}

static int wait_select(tuck_ns deadline)
{
	long elem = 1;
	struct tuck_case cases[] = {
		{ .chan = at.meet, .op = TUCK_SEND, .elem = &elem },
		{ .chan = at.other, .op = TUCK_RECV, .elem = &elem },
		{ .chan = at.full, .op = TUCK_SEND, .elem = &elem },
	};

	return tuck_select(cases, 3, deadline);
}

static int wait_read(tuck_ns deadline)
{
	char buf[4096];

	return (int)tuck_read(at.idle, buf, sizeof(buf), deadline);
}

static int wait_read_full(tuck_ns deadline)
{
	char buf[300];

	return (int)tuck_read_full(at.idle, buf, sizeof(buf), deadline);
}

static int wait_readv(tuck_ns deadline)
{
	char byte;
	struct iovec iov = { &byte, 1 };

	return (int)tuck_readv(at.idle, &iov, 1, deadline);
}

static int wait_write(tuck_ns deadline)
{
	return (int)tuck_write(at.stuffed, "x", 1, deadline);
}

static int wait_write_full(tuck_ns deadline)
{
	return (int)tuck_write_full(at.stuffed, "xy", 2, deadline);
}

static int wait_writev(tuck_ns deadline)
{
	struct iovec iov = { (void *)(uintptr_t) "x", 1 };

	return (int)tuck_writev(at.stuffed, &iov, 1, deadline);
}

static int wait_sendfile(tuck_ns deadline)
{
	return (int)tuck_sendfile(at.stuffed, at.file, NULL, 100, deadline);
}

static int wait_readable(tuck_ns deadline)
{
	return tuck_fd_wait(at.idle, TUCK_READABLE, deadline);
}

static int wait_writable(tuck_ns deadline)
{
	return tuck_fd_wait(at.stuffed, TUCK_WRITABLE, deadline);
}

static int wait_accept(tuck_ns deadline)
{
	return tuck_accept(at.listener, NULL, deadline);
}

static int wait_connect(tuck_ns deadline)
{
	return tuck_tcp_connect(at.busy, deadline);
}

static int wait_proc(tuck_ns deadline)
{
	return tuck_proc_join(at.proc, deadline);
}

static int wait_pool(tuck_ns deadline)
{
	return tuck_pool_wait(at.pool, deadline);
}

static int read_never(void *fd)
{
	char byte;

	return (int)read(*(int *)fd, &byte, 1);
}

static int wait_offload(tuck_ns deadline)
{
	int fd = at.never[0];

	return tuck_offload(read_never, &fd, sizeof(fd), deadline);
}

static int wait_process(tuck_ns deadline)
{
	return tuck_process_wait(at.child, NULL, deadline);
}

static int wait_run(tuck_ns deadline)
{
	struct tuck_process_result result;

	return tuck_process_run(NULL, (char *[]){ "sleep", "1000", NULL }, "x",
				1, &result, deadline);
}

static int wait_group(tuck_ns deadline)
{
	return tuck_group_wait(at.group, TUCK_GROUP_ALL, deadline);
}

static int wait_group_error(tuck_ns deadline)
{
	return tuck_group_wait(at.group, TUCK_GROUP_ERROR, deadline);
}

/* It has no deadline of its own. */
static int wait_transfer(tuck_ns deadline)
{
	(void)deadline;
	return tuck_transfer(at.partner);
}

/* Until all others wait; no other may yield for ever. */
static inline void calm(void)
{
	struct tuck_stats stats;

	do {
		settle();
		CHECK_EQ(tuck_stats(&stats), 0);
	} while (stats.ready > 0);
}

typedef int wait_fn(tuck_ns deadline);

static const struct wait {
	const char *name;
	wait_fn *fn;
} waits[] = {
	{ "sleep", wait_sleep },
	{ "block", wait_block },
	{ "join", wait_join },
	{ "join of another proc", wait_join_far },
	{ "send", wait_send },
	{ "send to a full buffer", wait_room },
	{ "recv", wait_recv },
	{ "select", wait_select },
	{ "read", wait_read },
	{ "read_full", wait_read_full },
	{ "readv", wait_readv },
	{ "write", wait_write },
	{ "write_full", wait_write_full },
	{ "writev", wait_writev },
	{ "sendfile", wait_sendfile },
	{ "fd_wait for input", wait_readable },
	{ "fd_wait for output", wait_writable },
	{ "accept", wait_accept },
	{ "connect", wait_connect },
	{ "proc_join", wait_proc },
	{ "pool_wait", wait_pool },
	{ "offload", wait_offload },
	{ "process_wait", wait_process },
	{ "process_run", wait_run },
	{ "group_wait", wait_group },
	{ "group_wait for an error", wait_group_error },
	{ "transfer", wait_transfer },
};

#define WAITS (sizeof(waits) / sizeof(waits[0]))

/* -- what they wait for -- */

/* Whoever transfers to it waits until it is unblocked. */
static void block_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		tuck_block(TUCK_FOREVER);
}

static int member_of_waits(void *arg)
{
	block_for_ever(arg);
	return 0;
}

static void idle_proc(void *arg)
{
	__atomic_store_n((tuck_id *)arg, tuck_self(), __ATOMIC_RELEASE);
	tuck_block(TUCK_FOREVER);
}

static void stuff_listener(void)
{
	struct sockaddr_in addr;
	int fd = raw_listen(&addr);

	CHECK_EQ(listen(fd, 0), 0);
	snprintf(at.busy, sizeof(at.busy), "127.0.0.1:%d",
		 ntohs(addr.sin_port));
	fill_backlog(fd, at.busy);
}

static void stuff_socket(void)
{
	static char junk[4096];
	int fds[2];

	stream_pair(fds);
	while (send(fds[0], junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
	while (send(fds[0], junk, 1, MSG_DONTWAIT) > 0)
		;
	at.stuffed = fds[0];
}

static inline void set_up_waits(void)
{
	int fds[2];

	stream_pair(fds);
	at.idle = fds[0];
	at.idle_peer = fds[1];
	stuff_socket();
	stuff_listener();
	at.listener = tuck_tcp_listen("127.0.0.1:0", 0);
	CHECK(at.listener >= 0);
	at.file = open("/proc/self/exe", O_RDONLY);
	CHECK(at.file >= 0);
	at.meet = chan_new(sizeof(long), 0);
	at.other = chan_new(sizeof(long), 0);
	at.full = chan_new(sizeof(long), 1);
	CHECK_EQ(tuck_chan_send(at.full, &(long){ 1 }, TUCK_NOWAIT), 0);
	at.partner = go(block_for_ever, NULL);
	CHECK_EQ(tuck_group_new(&at.group, TUCK_FOREVER), 0);
	CHECK(tuck_group_go(at.group, member_of_waits, NULL) > 0);
	at.proc = tuck_proc_start(NULL, idle_proc, &at.proc_main);
	CHECK(at.proc >= 0);
	WAIT_FOR(__atomic_load_n(&at.proc_main, __ATOMIC_ACQUIRE));
	CHECK_EQ(tuck_pool_new(&at.pool, 1), 0);
	CHECK(tuck_pool_go(at.pool, idle_proc, &at.in_pool) > 0);
	WAIT_FOR(__atomic_load_n(&at.in_pool, __ATOMIC_ACQUIRE));
	CHECK_EQ(pipe(at.never), 0);
	CHECK_EQ(tuck_process_spawn(&at.child, NULL,
				    (char *[]){ "sleep", "1000", NULL }),
		 0);
	calm();
}

/* Nothing is left of those who waited, and all that they used still works. */
static inline void tear_down_waits(void)
{
	CHECK_EQ(tuck_chan_balance(at.meet), 0);
	CHECK_EQ(tuck_chan_balance(at.other), 0);
	CHECK_EQ(tuck_chan_balance(at.full), 0);
	tuck_chan_free(at.meet);
	tuck_chan_free(at.other);
	tuck_chan_free(at.full);
	CHECK_EQ(tuck_group_count(at.group), 1);
	CHECK_EQ(tuck_group_free(at.group), 0);
	CHECK_EQ(tuck_drop(at.partner), 0);
	CHECK_EQ(tuck_unblock(__atomic_load_n(&at.proc_main, __ATOMIC_ACQUIRE)),
		 0);
	CHECK_EQ(tuck_proc_join(at.proc, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_unblock(__atomic_load_n(&at.in_pool, __ATOMIC_ACQUIRE)),
		 0);
	CHECK_EQ(tuck_pool_free(at.pool, TUCK_FOREVER), 0);
	close(at.never[1]);		/* all who read on see the end */
	tuck_process_free(at.child);
	raw_write(at.idle_peer, "y", 1);
	CHECK_EQ(tuck_read(at.idle, &(char){ 0 }, 1, TUCK_FOREVER), 1);
}

#endif
