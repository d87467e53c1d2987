/* SPDX-License-Identifier: MIT */
/*
 * Edges: nothing that happens on a descriptor is missed, whenever it comes;
 * and a number that is used again has nothing to do with what it was before.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <tuck.h>

#include "sockets.h"

/*
 * A reader that has read dry: its last read was short. It goes on to the
 * next read when told to, so that a test can let things happen in between.
 */
struct dry {
	int fd, peer;
	tuck_id id;
	int told;		/* reads it may still do */
	char got[64];
	size_t n;
	ssize_t last;
};

static void read_when_told(void *arg)
{
	struct dry *d = arg;

	do {
		while (d->told == 0)
			tuck_block(TUCK_FOREVER);
		d->told--;
		d->last = tuck_read(d->fd, d->got + d->n, 16, patience());
		if (d->last > 0)
			d->n += (size_t)d->last;
	} while (d->last > 0);
}

static void tell(struct dry *d, int reads)
{
	d->told += reads;
	tuck_unblock(d->id);
}

static void start_dry(struct dry *d)
{
	int fd[2];

	tcp_pair(fd);
	*d = (struct dry){ .fd = fd[0], .peer = fd[1] };
	d->id = tuck_go(read_when_told, d);
	tell(d, 1);
	settle();
	raw_write(d->peer, "1", 1);
	WAIT_FOR(d->n == 1);
}

/* In the meantime the poller has looked, or has not. */
static void between(int looked)
{
	if (looked)
		settle();
}

static void end_dry(struct dry *d, const char *text, ssize_t last)
{
	finish(d->id);
	CHECK_EQ(d->last, last);
	d->got[d->n] = 0;
	CHECK_STR(d->got, text);
	tuck_fd_close(d->fd);
	if (d->peer >= 0)
		close(d->peer);
}

static void hang_up(struct dry *d)
{
	CHECK_EQ(close(d->peer), 0);
	d->peer = -1;
}

static void reset(struct dry *d)
{
	struct linger now = { 1, 0 };

	setsockopt(d->peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	hang_up(d);
}

/* -- streams that were read dry -- */

TEST(data_after_a_short_read)
{
	struct dry d;

	for (int looked = 0; looked < 2; looked++) {
		start_dry(&d);
		raw_write(d.peer, "23", 2);
		between(looked);
		tell(&d, 1);
		WAIT_FOR(d.n == 3);
		tell(&d, 1);
		settle();
		hang_up(&d);
		end_dry(&d, "123", 0);
	}
}

TEST(end_after_a_short_read)
{
	struct dry d;

	for (int looked = 0; looked < 2; looked++) {
		start_dry(&d);
		hang_up(&d);
		between(looked);
		tell(&d, 1);
		end_dry(&d, "1", 0);
	}
}

TEST(end_while_waiting)
{
	struct dry d;

	start_dry(&d);
	tell(&d, 1);
	settle();
	hang_up(&d);
	end_dry(&d, "1", 0);
}

TEST(data_and_end_together)
{
	struct dry d;

	for (int how = 0; how < 4; how++) {
		start_dry(&d);
		if (how & 1)
			tell(&d, 9);
		if (how & 1)
			settle();
		raw_write(d.peer, "23", 2);
		hang_up(&d);
		between(how & 2);
		tell(&d, 9);
		end_dry(&d, "123", 0);
	}
}

/* The end arrives after the data was seen, before it was read. */
TEST(end_between_event_and_read)
{
	struct dry d;

	start_dry(&d);
	raw_write(d.peer, "23", 2);
	settle();
	hang_up(&d);
	tell(&d, 9);
	end_dry(&d, "123", 0);
}

TEST(half_close_and_go_on)
{
	char reply[8];
	struct dry d;

	for (int looked = 0; looked < 2; looked++) {
		start_dry(&d);
		raw_write(d.peer, "23", 2);
		CHECK_EQ(shutdown(d.peer, SHUT_WR), 0);
		between(looked);
		tell(&d, 9);
		finish(d.id);
		CHECK_EQ(d.last, 0);
		CHECK_EQ(tuck_write_full(d.fd, "reply", 5, TUCK_FOREVER), 5);
		CHECK_EQ(read(d.peer, reply, 8), 5);
		end_dry(&d, "123", 0);
	}
}

/* Our side says that it writes no more, and reads on. */
TEST(shutdown_for_output_and_read_on)
{
	char c;
	struct dry d;

	start_dry(&d);
	CHECK_EQ(shutdown(d.fd, SHUT_WR), 0);
	CHECK_EQ(read(d.peer, &c, 1), 0);
	CHECK_EQ(tuck_write(d.fd, "x", 1, TUCK_FOREVER), -EPIPE);
	tell(&d, 9);
	settle();
	for (int i = 2; i < 6; i++) {
		raw_write(d.peer, &"012345"[i], 1);
		settle();
	}
	hang_up(&d);
	end_dry(&d, "12345", 0);
}

TEST(shutdown_for_input_wakes)
{
	struct dry d;

	for (int waits = 0; waits < 2; waits++) {
		start_dry(&d);
		if (waits)
			tell(&d, 1);
		settle();
		CHECK_EQ(shutdown(d.fd, SHUT_RD), 0);
		tell(&d, 1);
		end_dry(&d, "1", 0);
	}
}

TEST(reset_is_an_error)
{
	struct dry d;

	for (int how = 0; how < 4; how++) {
		start_dry(&d);
		if (how & 1)
			tell(&d, 1);
		settle();
		reset(&d);
		between(how & 2);
		tell(&d, 1);
		end_dry(&d, "1", -ECONNRESET);
	}
}

/* A read stops at the urgent mark, so a short one says nothing. */
TEST(urgent_data_in_the_middle)
{
	struct dry d;

	for (int how = 0; how < 4; how++) {
		start_dry(&d);
		if (how & 1)
			tell(&d, 9);
		if (how & 1)
			settle();
		raw_write(d.peer, "23", 2);
		CHECK_EQ(send(d.peer, "!", 1, MSG_OOB), 1);
		raw_write(d.peer, "45", 2);
		between(how & 2);
		tell(&d, 9);
		WAIT_FOR(d.n == 5);
		raw_write(d.peer, "6", 1);
		WAIT_FOR(d.n == 6);
		hang_up(&d);
		end_dry(&d, "123456", 0);
	}
}

TEST(urgent_data_inline)
{
	struct dry d;
	int on = 1;

	start_dry(&d);
	setsockopt(d.fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
	raw_write(d.peer, "23", 2);
	CHECK_EQ(send(d.peer, "!", 1, MSG_OOB), 1);
	raw_write(d.peer, "45", 2);
	tell(&d, 9);
	WAIT_FOR(d.n == 6);
	hang_up(&d);
	end_dry(&d, "123!45", 0);
}

TEST(urgent_data_alone_is_no_input)
{
	struct dry d;

	start_dry(&d);
	tell(&d, 9);
	settle();
	CHECK_EQ(send(d.peer, "!", 1, MSG_OOB), 1);
	settle();
	CHECK_EQ(d.n, 1);
	raw_write(d.peer, "2", 1);
	WAIT_FOR(d.n == 2);
	hang_up(&d);
	end_dry(&d, "12", 0);
}

/* -- short reads of what is no stream -- */

static void read_messages(void *arg)
{
	struct dry *d = arg;

	for (int i = 0; i < 5; i++)
		if (d->last >= 0) {
			d->last = tuck_read(d->fd, d->got, sizeof(d->got),
					    patience());
			d->n += (size_t)d->last;
		}
}

/* Each message is a short read, and the next one is there already. */
static void check_messages(int fd, int peer)
{
	struct dry d = { .fd = fd };
	tuck_id id = tuck_go(read_messages, &d);

	settle();
	raw_write(peer, "a", 1);
	raw_write(peer, "bb", 2);
	raw_write(peer, "ccc", 3);
	WAIT_FOR(d.n == 6);
	raw_write(peer, "dddd", 4);
	raw_write(peer, "eeeee", 5);
	finish(id);
	CHECK_EQ(d.n, 15);
	CHECK_MEM(d.got, "eeeee", 5);
}

TEST(messages_one_by_one)
{
	int fd[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	check_messages(fd[0], fd[1]);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, fd), 0);
	check_messages(fd[0], fd[1]);
	CHECK_EQ(pipe2(fd, O_DIRECT), 0);
	check_messages(fd[0], fd[1]);
}

TEST(datagrams_one_by_one)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int in = socket(AF_INET, SOCK_DGRAM, 0);
	int out = socket(AF_INET, SOCK_DGRAM, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQ(bind(in, (struct sockaddr *)&addr, len), 0);
	CHECK_EQ(getsockname(in, (struct sockaddr *)&addr, &len), 0);
	CHECK_EQ(connect(out, (struct sockaddr *)&addr, len), 0);
	check_messages(in, out);
}

TEST(accepted_seqpacket_connection_keeps_its_messages)
{
	struct sockaddr addr = { .sa_family = AF_UNIX };
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	int out = socket(AF_UNIX, SOCK_SEQPACKET, 0), in;

	CHECK_EQ(bind(listener, &addr, sizeof(sa_family_t)), 0);
	CHECK_EQ(listen(listener, 4), 0);
	CHECK_EQ(getsockname(listener, (struct sockaddr *)&name, &len), 0);
	CHECK_EQ(connect(out, (struct sockaddr *)&name, len), 0);
	in = tuck_accept(listener, NULL, TUCK_FOREVER);
	CHECK(in >= 0);
	check_messages(in, out);
}

/* Its protocol is TCP's number, but it is no stream. */
TEST(raw_socket_of_protocol_tcp_is_no_stream)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int in = socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
	int out = socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
	struct dry d = { .fd = in };
	char junk[40] = { 0 };
	tuck_id id;

	if (in < 0 || out < 0)
		SKIP("raw sockets are not allowed");
	/* A loopback address that no other test uses at the same time. */
	addr.sin_addr.s_addr = htonl(0x7f640000u | (getpid() & 0xffff));
	CHECK_EQ(bind(in, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CHECK_EQ(connect(out, (struct sockaddr *)&addr, sizeof(addr)), 0);
	/* Before it was bound, it took the packets of everybody. */
	while (recv(in, junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
	memset(junk, 0, sizeof(junk));
	id = tuck_go(read_messages, &d);
	settle();
	for (int i = 0; i < 5; i++)
		raw_write(out, junk, sizeof(junk));
	finish(id);
	CHECK_EQ(d.last, 60);
	CHECK_EQ(d.n, 5 * 60);
}

/* -- a peer that runs at the same time -- */

struct peer {
	int fd;
	unsigned seed;
	size_t bytes;
};

static void *send_at_random(void *arg)
{
	struct peer *p = arg;
	char buf[3000];
	unsigned random = p->seed;

	for (size_t at = 0, n; at < p->bytes; at += n) {
		random = random * 1103515245 + 12345;
		n = 1 + (random >> 8) % (random & 1 ? 3000 : 30);
		if (n > p->bytes - at)
			n = p->bytes - at;
		fill(buf, n, at, p->seed);
		raw_write(p->fd, buf, n);
		if (random & 64)
			usleep(random >> 20 & 63);
	}
	close(p->fd);
	return NULL;
}

TEST(nothing_is_missed_of_a_peer_that_runs_at_the_same_time)
{
	char buf[1000];

	for (unsigned i = 0; i < 150; i++) {
		struct peer p = { .seed = i, .bytes = i * 397 % 30000 };
		size_t at = 0, n;
		pthread_t thread;
		ssize_t r;
		int fd[2];

		tcp_pair(fd);
		p.fd = fd[1];
		CHECK_EQ(pthread_create(&thread, NULL, send_at_random, &p), 0);
		for (;; at += (size_t)r) {
			n = 1 + (at * 7 + i) % sizeof(buf);
			r = tuck_read(fd[0], buf, n, patience());
			if (r <= 0)
				break;
			check_filled(buf, (size_t)r, at, i);
		}
		CHECK_EQ(r, 0);
		CHECK_EQ((long long)at, (long long)p.bytes);
		CHECK_EQ(tuck_fd_close(fd[0]), 0);
		pthread_join(thread, NULL);
	}
}

/* -- closing -- */

struct user {
	int fd, events;
	int result;
};

static void use_read(void *arg)
{
	struct user *u = arg;
	char c;

	u->result = (int)tuck_read(u->fd, &c, 1, TUCK_FOREVER);
}

static void use_readv(void *arg)
{
	struct user *u = arg;
	char c;
	struct iovec iov = { &c, 1 };

	u->result = (int)tuck_readv(u->fd, &iov, 1, TUCK_FOREVER);
}

static char junk[1 << 20];

static void use_write(void *arg)
{
	struct user *u = arg;

	u->result = (int)tuck_write_full(u->fd, junk, sizeof(junk),
					 TUCK_FOREVER);
}

static void use_wait(void *arg)
{
	struct user *u = arg;

	u->result = tuck_fd_wait(u->fd, u->events, TUCK_FOREVER);
}

TEST(close_wakes_all_who_wait)
{
	static void (*const use[])(void *) = { use_read, use_readv, use_write,
					       use_wait, use_wait,  use_wait };

	for (int kind = 0; kind < 2; kind++) {
		struct user users[12];
		int fd[2];

		kind ? stream_pair(fd) : tcp_pair(fd);
		stuff(fd[0]);
		for (int i = 0; i < 12; i++) {
			users[i] = (struct user){ fd[0], i % 6 - 2, 1 };
			CHECK(tuck_go(use[i % 6], &users[i]) > 0);
		}
		settle();
		for (int i = 0; i < 12; i++)
			CHECK_EQ(users[i].result, 1);
		CHECK_EQ(tuck_fd_close(fd[0]), 0);
		settle();
		for (int i = 0; i < 12; i++)
			CHECK_EQ(users[i].result, -EBADF);
		close(fd[1]);
	}
}

TEST(close_of_an_unknown_descriptor)
{
	int fd[2];

	stream_pair(fd);
	CHECK_EQ(tuck_fd_close(fd[0]), 0);
	CHECK_EQ(fcntl(fd[0], F_GETFD), -1);
	CHECK_EQ(tuck_fd_close(fd[0]), -EBADF);
}

/* A new connection takes the number before the reader has noticed. */
struct thief {
	int trigger, victim;
	int fd[2];
};

static void close_and_use_again(void *arg)
{
	struct thief *t = arg;
	char c;

	CHECK_EQ(tuck_read(t->trigger, &c, 1, TUCK_FOREVER), 1);
	CHECK_EQ(tuck_fd_close(t->victim), 0);
	stream_pair(t->fd);
	CHECK(t->fd[0] == t->victim);
	raw_write(t->fd[1], "N", 1);
}

static void steal(void (*use)(void *), int right)
{
	int trigger[2], victim[2];
	struct user u = { .events = TUCK_READABLE, .result = 99 };
	struct thief t;
	char c = 0;

	stream_pair(victim);
	stream_pair(trigger);
	u.fd = victim[0];
	t = (struct thief){ .trigger = trigger[0], .victim = victim[0] };
	tuck_go(close_and_use_again, &t);
	tuck_go(use, &u);
	settle();
	raw_write(trigger[1], "x", 1);
	raw_write(victim[1], "O", 1);
	settle();
	/* In a random order the reader may have come first. */
	CHECK(u.result == -EBADF || (seeded() && u.result == right));
	CHECK_EQ(tuck_read(t.fd[0], &c, 1, TUCK_NOWAIT), 1);
	CHECK_EQ(c, 'N');
}

TEST(closed_after_the_event_before_the_read)
{
	steal(use_read, 1);
}

TEST(closed_after_the_event_before_the_readv)
{
	steal(use_readv, 1);
}

TEST(closed_after_the_event_before_the_wait_returns)
{
	steal(use_wait, TUCK_READABLE);
}

/* One who always finds data yields now and then: inside of a read. */
struct busy {
	int fd, stop;
	ssize_t last;
	char c;
};

static void read_without_pause(void *arg)
{
	struct busy *b = arg;

	do
		b->last = tuck_read(b->fd, &b->c, 1, TUCK_FOREVER);
	while (b->last == 1 && b->c == 'O' && !b->stop);
}

TEST(closed_while_a_busy_reader_lets_others_run)
{
	struct busy b;
	tuck_id id;
	int fd[2], next[2];

	memset(junk, 'O', 10000);
	stream_pair(fd);
	raw_write(fd[1], junk, 10000);
	b = (struct busy){ .fd = fd[0] };
	id = tuck_go(read_without_pause, &b);
	while (b.last != 1)
		tuck_yield();
	CHECK_EQ(tuck_fd_close(fd[0]), 0);
	b.stop = 1;
	stream_pair(next);
	CHECK_EQ(next[0], fd[0]);
	raw_write(next[1], "N", 1);
	finish(id);
	CHECK(b.last == -EBADF || b.c == 'O');
	CHECK_EQ(tuck_read(next[0], &b.c, 1, TUCK_NOWAIT), 1);
}

#define NUMBER 100

static void use_number(int i)
{
	struct user u = { .fd = NUMBER, .result = 99 };
	int fd[2], copy = -1, data = i % 5 != 0, closes = i % 3 == 0 || !data;
	tuck_id id;

	i % 2 ? tcp_pair(fd) : stream_pair(fd);
	CHECK_EQ(dup2(fd[0], NUMBER), NUMBER);
	close(fd[0]);
	id = tuck_go(i % 7 ? use_read : use_readv, &u);
	if (i % 8 == 0)
		settle();
	else
		tuck_yield();
	if (i % 4 == 0)
		copy = dup(NUMBER);	/* its registration lives on */
	if (data)
		raw_write(fd[1], "x", 1);
	if (closes)
		CHECK_EQ(tuck_fd_close(NUMBER), 0);
	finish(id);
	CHECK_EQ(u.result, closes ? -EBADF : 1);
	if (!closes)
		CHECK_EQ(tuck_fd_close(NUMBER), 0);
	close(copy);
	close(fd[1]);
}

TEST(number_used_again_a_thousand_times)
{
	int fds = count_fds();

	settle();
	for (int i = 0; i < 1000; i++)
		use_number(i);
	CHECK(count_fds() <= fds + 2);	/* the poller's own */
}

/* -- several on one descriptor -- */

static struct shared {
	int fd[2];
	int seen[1000];
	int ends;
} shared;

static void read_shared(void *arg)
{
	unsigned char two[2];

	(void)arg;
	while (tuck_read_full(shared.fd[0], two, 2, TUCK_FOREVER) == 2)
		shared.seen[two[0] * 4 + two[1]]++;
	shared.ends++;
}

TEST(readers_of_one_descriptor_share_what_comes)
{
	for (int kind = 0; kind < 2; kind++) {
		shared = (struct shared){ .ends = 0 };
		kind ? stream_pair(shared.fd) : tcp_pair(shared.fd);
		for (int i = 0; i < 4; i++)
			CHECK(tuck_go(read_shared, NULL) > 0);
		settle();
		for (int i = 0; i < 1000; i++) {
			raw_write(shared.fd[1],
				  (unsigned char[]){ i / 4, i % 4 }, 2);
			if (i % 10 == 0)
				tuck_yield();
			if (i % 100 == 0)
				settle();
		}
		close(shared.fd[1]);
		WAIT_FOR(shared.ends == 4);
		for (int i = 0; i < 1000; i++)
			CHECK_EQ(shared.seen[i], 1);
		tuck_fd_close(shared.fd[0]);
	}
}

static void read_a_mega(void *arg)
{
	const int *fd = arg;
	char buf[5000];

	for (size_t at = 0, n; at < 1 << 20; at += n) {
		n = 1 + at % sizeof(buf);
		if (n > (1 << 20) - at)
			n = (1 << 20) - at;
		CHECK_EQ(tuck_read_full(*fd, buf, n, TUCK_FOREVER), (ssize_t)n);
		check_filled(buf, n, at, 3);
	}
}

static void write_a_mega(void *arg)
{
	const int *fd = arg;

	CHECK_EQ(tuck_write_full(*fd, junk, 1 << 20, TUCK_FOREVER), 1 << 20);
}

TEST(reader_and_writer_on_one_descriptor)
{
	int fd[2], on = 1;
	tuck_id id[4];

	fill(junk, sizeof(junk), 0, 3);
	for (int kind = 0; kind < 2; kind++) {
		kind ? stream_pair(fd) : tcp_pair(fd);
		for (int i = 0; i < 2; i++) {
			setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &on,
				   sizeof(on));
			id[i] = tuck_go(read_a_mega, &fd[i]);
			id[i + 2] = tuck_go(write_a_mega, &fd[i]);
		}
		for (int i = 0; i < 4; i++)
			finish(id[i]);
		tuck_fd_close(fd[0]);
		tuck_fd_close(fd[1]);
	}
}

/* -- tuck_fd_wait -- */

TEST(wait_tells_what_it_is_ready_for)
{
	int fd[2], both = TUCK_READABLE | TUCK_WRITABLE;

	stream_pair(fd);
	CHECK_EQ(tuck_fd_wait(fd[0], TUCK_READABLE, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_fd_wait(fd[0], both, TUCK_NOWAIT), TUCK_WRITABLE);
	CHECK_EQ(tuck_fd_wait(fd[0], TUCK_WRITABLE, TUCK_FOREVER),
		 TUCK_WRITABLE);
	raw_write(fd[1], "x", 1);
	CHECK_EQ(tuck_fd_wait(fd[0], TUCK_READABLE, TUCK_NOWAIT),
		 TUCK_READABLE);
	CHECK_EQ(tuck_fd_wait(fd[0], both, TUCK_FOREVER), both);
	stuff(fd[0]);
	CHECK_EQ(tuck_fd_wait(fd[0], both, TUCK_FOREVER), TUCK_READABLE);
	close(fd[1]);
	CHECK_EQ(tuck_fd_wait(fd[0], TUCK_READABLE, TUCK_NOWAIT),
		 TUCK_READABLE);
	CHECK_EQ(tuck_fd_wait(fd[0], TUCK_WRITABLE, TUCK_NOWAIT),
		 TUCK_WRITABLE);
	CHECK_EQ(tuck_fd_wait(fd[0], both, TUCK_NOWAIT), both);
}

TEST(wait_counts_a_hang_up_as_both)
{
	int fd[2], end[2], both = TUCK_READABLE | TUCK_WRITABLE;

	pipe_pair(fd);
	pipe_pair(end);
	close(fd[1]);
	close(end[0]);
	CHECK_EQ(tuck_fd_wait(fd[0], TUCK_READABLE, TUCK_NOWAIT),
		 TUCK_READABLE);
	CHECK_EQ(tuck_fd_wait(fd[0], both, TUCK_NOWAIT), both);
	CHECK_EQ(tuck_fd_wait(end[1], TUCK_READABLE, TUCK_NOWAIT),
		 TUCK_READABLE);
	CHECK_EQ(tuck_fd_wait(end[1], both, TUCK_NOWAIT), both);
}

TEST(hang_up_wakes_a_writer)
{
	struct user write = { .result = 99 };
	struct user wait = { .events = TUCK_WRITABLE, .result = 99 };
	int fd[2];

	signal(SIGPIPE, SIG_IGN);
	pipe_pair(fd);
	write.fd = wait.fd = fd[1];
	CHECK(tuck_go(use_write, &write) > 0);
	settle();		/* it fills the pipe first */
	CHECK(tuck_go(use_wait, &wait) > 0);
	settle();
	CHECK_EQ(wait.result, 99);
	close(fd[0]);
	settle();
	CHECK_EQ(write.result, -EPIPE);
	CHECK_EQ(wait.result, TUCK_WRITABLE);
}

TEST(wait_counts_a_half_close_as_input_only)
{
	int fd[2];

	tcp_pair(fd);
	CHECK_EQ(tuck_fd_wait(fd[0], TUCK_READABLE, 1), -ETIMEDOUT);
	stuff(fd[0]);
	shutdown(fd[1], SHUT_WR);
	CHECK_EQ(tuck_fd_wait(fd[0], TUCK_READABLE | TUCK_WRITABLE, patience()),
		 TUCK_READABLE);
}

/* Waits for both; wakes by the one that comes. */
static void check_both(int output)
{
	struct user u = { .events = TUCK_READABLE | TUCK_WRITABLE };
	tuck_id id;
	int fd[2];

	tcp_pair(fd);
	stuff(fd[0]);
	u.fd = fd[0];
	id = tuck_go(use_wait, &u);
	settle();
	CHECK_EQ(u.result, 0);
	while (output && u.result == 0)
		tuck_read(fd[1], junk, sizeof(junk), tuck_after(TUCK_MS(1)));
	if (!output)
		raw_write(fd[1], "x", 1);
	WAIT_FOR(u.result != 0);
	CHECK_EQ(u.result, output ? TUCK_WRITABLE : TUCK_READABLE);
	finish(id);
}

TEST(wait_for_both_ends_by_input)
{
	check_both(0);
}

TEST(wait_for_both_ends_by_output)
{
	check_both(1);
}

TEST(waits_of_all_kinds_on_one_descriptor)
{
	struct user u[6];
	int fd[2];

	tcp_pair(fd);
	stuff(fd[0]);
	for (int i = 0; i < 6; i++) {
		u[i] = (struct user){ fd[0], 1 + i % 3, 0 };
		tuck_go(use_wait, &u[i]);
	}
	settle();
	raw_write(fd[1], "x", 1);
	for (int i = 0; i < 6; i++)
		if (i % 3 != 1)
			WAIT_FOR(u[i].result == TUCK_READABLE);
	for (int i = 1; i < 6; i += 3)
		CHECK_EQ(u[i].result, 0);
	while (!u[1].result || !u[4].result)
		tuck_read(fd[1], junk, sizeof(junk), tuck_after(TUCK_MS(1)));
	for (int i = 1; i < 6; i += 3)
		CHECK_EQ(u[i].result, TUCK_WRITABLE);
}

/* -- fairness -- */

static int stop;

static void always_find_data(void *arg)
{
	long *count = arg;
	char c = 'x';
	int fd[2];

	stream_pair(fd);
	for (; !stop; ++*count) {
		CHECK_EQ(tuck_write(fd[0], &c, 1, TUCK_FOREVER), 1);
		CHECK_EQ(tuck_read(fd[1], &c, 1, TUCK_FOREVER), 1);
	}
}

static void count_yields(void *arg)
{
	long *count = arg;

	for (; !stop; ++*count)
		tuck_yield();
}

static void *write_later(void *arg)
{
	const int *fd = arg;

	for (int i = 0; i < 20; i++) {
		usleep(5000);
		raw_write(*fd, "x", 1);
	}
	return NULL;
}

/* 20 bytes that come at 5 ms each, and 20 sleeps of 5 ms. */
static void live_among_the_busy(void)
{
	tuck_ns start = tuck_now();
	pthread_t thread;
	int fd[2];
	char c;

	pipe_pair(fd);
	CHECK_EQ(pthread_create(&thread, NULL, write_later, &fd[1]), 0);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(tuck_read(fd[0], &c, 1, TUCK_FOREVER), 1);
	for (int i = 0; i < 20; i++)
		tuck_sleep(tuck_after(TUCK_MS(5)));
	CHECK(tuck_now() - start < TUCK_SEC(20));
	stop = 1;
	pthread_join(thread, NULL);
}

TEST(one_who_always_finds_data_does_not_starve_others)
{
	long busy = 0, yields = 0;

	tuck_go(always_find_data, &busy);
	tuck_go(count_yields, &yields);
	live_among_the_busy();
	CHECK(busy > 100 && yields > busy / 200);
}

TEST(those_who_always_yield_do_not_starve_io_and_timers)
{
	long yields[3] = { 0 };

	for (int i = 0; i < 3; i++)
		tuck_go(count_yields, &yields[i]);
	live_among_the_busy();
	for (int i = 0; i < 3; i++)
		CHECK(yields[i] > 100);
}

/* -- when the kernel refuses -- */

static void refuse(long call, int err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { 4, code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		SKIP("no seccomp");
}

static void read_refused(void *arg)
{
	const int *fd = arg;
	char buf[1000];

	CHECK_EQ(tuck_read(*fd, buf, sizeof(buf), TUCK_FOREVER), -ENOSPC);
	/* The buffer is the caller's again: it is kept from now on. */
	fill(buf, sizeof(buf), 0, 4);
	for (int i = 0; i < 3; i++)
		tuck_yield();
	check_filled(buf, sizeof(buf), 0, 4);
}

static void scribble(void *arg)
{
	volatile char deep[20000];

	(void)arg;
	for (size_t i = 0; i < sizeof(deep); i++)
		deep[i] = (char)0xee;
}

TEST(refused_registration_is_an_error)
{
	tuck_id id;
	int fd[2], other[2];
	char c;

	share_slots(1);
	stream_pair(fd);
	stream_pair(other);
	CHECK_EQ(tuck_read(other[0], &c, 1, 1), -ETIMEDOUT);
	refuse(SYS_epoll_ctl, ENOSPC);
	id = tuck_go(read_refused, &fd[0]);
	for (int i = 0; i < 3; i++)
		tuck_go(scribble, NULL);
	finish(id);
	CHECK_EQ(tuck_fd_wait(fd[0], TUCK_READABLE, TUCK_FOREVER), -ENOSPC);
	raw_write(fd[1], "x", 1);
	CHECK_EQ(tuck_read(fd[0], &c, 1, TUCK_FOREVER), 1);
	CHECK_EQ(tuck_fd_close(fd[0]), 0);
	raw_write(other[1], "y", 1);
	CHECK_EQ(tuck_read(other[0], &c, 1, TUCK_FOREVER), 1);
}

/* Old kernels, and filters that are older than the kernel. */
TEST(a_wait_without_the_latest_call)
{
	const int errors[] = { ENOSYS, EPERM };
	int fd[2];
	char c;

	pipe_pair(fd);
	for (int i = 0; i < 2; i++) {
		refuse(SYS_epoll_pwait2, errors[i]);
		CHECK_EQ(tuck_read(fd[0], &c, 1, tuck_after(TUCK_US(10))),
			 -ETIMEDOUT);
		raw_write(fd[1], "x", 1);
		CHECK_EQ(tuck_fd_wait(fd[0], TUCK_READABLE, patience()),
			 TUCK_READABLE);
		CHECK_EQ(tuck_read(fd[0], &c, 1, patience()), 1);
	}
}
