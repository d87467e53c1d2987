/* SPDX-License-Identifier: MIT */
/*
 * Libc's calls on descriptors from tasklets: each waits as a tasklet, and says
 * what POSIX has it say. Nothing here calls Tuck's own.
 */
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "hooked.h"

#define LARGE (1 << 20)

static char large[LARGE], back[LARGE];

static void set_nonblock(int fd, int on)
{
	CHECK_EQ(ioctl(fd, FIONBIO, &on), 0);
}

static bool blocks(int fd)
{
	return !(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

/* A limit that a busy machine does not reach where it should not. */
static void set_limit(int fd, int name, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	CHECK_EQ(setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv)), 0);
}

/* -- readers -- */

typedef ssize_t input_fn(int fd, void *buf, size_t n);
ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags,
		       struct sockaddr *addr, socklen_t *len);

static ssize_t by_readv(int fd, void *buf, size_t n)
{
	struct iovec iov[] = { { buf, 1 }, { (char *)buf + 1, n - 1 } };

	return readv(fd, iov, 2);
}

static ssize_t by_recv(int fd, void *buf, size_t n)
{
	return recv(fd, buf, n, 0);
}

static ssize_t by_recvfrom(int fd, void *buf, size_t n)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);

	return recvfrom(fd, buf, n, 0, (struct sockaddr *)&from, &len);
}

static ssize_t by_recvmsg(int fd, void *buf, size_t n)
{
	struct iovec iov = { buf, n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return recvmsg(fd, &msg, 0);
}

static ssize_t by_recvmmsg(int fd, void *buf, size_t n)
{
	struct iovec iov = { buf, n };
	struct mmsghdr msg = { .msg_hdr = { .msg_iov = &iov,
					    .msg_iovlen = 1 } };
	int r = recvmmsg(fd, &msg, 1, 0, NULL);

	return r == 1 ? (ssize_t)msg.msg_len : r;
}

static ssize_t by_read_chk(int fd, void *buf, size_t n)
{
	return __read_chk(fd, buf, n, n);
}

static ssize_t by_recv_chk(int fd, void *buf, size_t n)
{
	return __recv_chk(fd, buf, n, n, 0);
}

static ssize_t by_recvfrom_chk(int fd, void *buf, size_t n)
{
	return __recvfrom_chk(fd, buf, n, n, 0, NULL, NULL);
}

static input_fn *const inputs[] = { by_recv,	 by_recvfrom, by_recvmsg,
				    by_recvmmsg, by_recv_chk, by_recvfrom_chk,
				    read,	 by_readv,    by_read_chk };

enum { INPUTS = 9, OF_SOCKETS = 6 };

static struct {
	int fd, err, ended;
	input_fn *input;
	ssize_t r;
	char buf[64];
} in;

static void take_input(void *arg)
{
	(void)arg;
	in.r = in.input(in.fd, in.buf, sizeof(in.buf));
	in.err = errno;
	in.ended++;
}

static tuck_id start_input(input_fn *input, int fd)
{
	tuck_id id;

	memset(&in, 0, sizeof(in));
	in.fd = fd;
	in.input = input;
	id = go(take_input, NULL);
	settle();
	return id;
}

static void check_input_waits(void (*pair)(int fd[2]), input_fn *input)
{
	int fd[2];

	pair(fd);
	start_input(input, fd[0]);
	CHECK_EQ(in.ended, 0);
	CHECK(blocks(fd[0]));
	raw_write(fd[1], "hello", 5);
	WAIT_FOR(in.ended);
	CHECK_EQ(in.r, 5);
	CHECK_MEM(in.buf, "hello", 5);
	CHECK(blocks(fd[0]));
	close(fd[1]);
	start_input(input, fd[0]);
	WAIT_FOR(in.ended);
	CHECK_EQ(in.r, 0);
	close(fd[0]);
}

HOOKED_TEST(each_read_waits_alone_for_a_unix_socket)
{
	for (int i = 0; i < INPUTS; i++)
		check_input_waits(stream_pair, inputs[i]);
}

HOOKED_TEST(each_read_waits_alone_for_tcp)
{
	for (int i = 0; i < INPUTS; i++)
		check_input_waits(tcp_pair, inputs[i]);
}

HOOKED_TEST(reads_of_pipes_wait_alone)
{
	for (int i = OF_SOCKETS; i < INPUTS; i++)
		check_input_waits(pipe_pair, inputs[i]);
}

HOOKED_TEST(what_does_not_block_still_does_not)
{
	int fd[2];

	for (int i = 0; i < INPUTS; i++) {
		stream_pair(fd);
		set_nonblock(fd[0], 1);
		CHECK_EQ(inputs[i](fd[0], in.buf, 1), -1);
		CHECK_EQ(errno, EAGAIN);
		close(fd[0]);
		close(fd[1]);
	}
	pipe_pair(fd);
	set_nonblock(fd[0], 1);
	CHECK_EQ(read(fd[0], in.buf, 1), -1);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(recv(fd[0], in.buf, 1, MSG_DONTWAIT), -1);
	CHECK_EQ(errno, ENOTSOCK);
}

/* The flag is of what is open, however the number came to be. */
HOOKED_TEST(a_duplicate_and_a_passed_flag_are_known)
{
	int fd[2], copy;

	stream_pair(fd);
	copy = dup(fd[0]);
	CHECK_EQ(fcntl(copy, F_SETFL, O_NONBLOCK), 0);
	CHECK_EQ(read(fd[0], in.buf, 1), -1);
	CHECK_EQ(errno, EAGAIN);
	set_nonblock(fd[0], 0);
	start_input(read, copy);
	CHECK_EQ(in.ended, 0);
	raw_write(fd[1], "x", 1);
	WAIT_FOR(in.ended);
	CHECK_EQ(in.r, 1);
}

HOOKED_TEST(a_read_ends_when_its_time_is_over)
{
	tuck_ns start = tuck_now();
	int fd[2];

	for (int i = 0; i < INPUTS; i++) {
		stream_pair(fd);
		set_limit(fd[0], SO_RCVTIMEO, 20);
		start = tuck_now();
		CHECK_EQ(inputs[i](fd[0], in.buf, 1), -1);
		CHECK_EQ(errno, EAGAIN);
		CHECK(tuck_now() - start >= TUCK_MS(20));
		close(fd[0]);
		close(fd[1]);
	}
}

HOOKED_TEST(errors_are_those_of_libc)
{
	static const struct iovec none[IOV_MAX + 1];
	int fd[2], closed;

	pipe_pair(fd);
	CHECK_EQ(read(fd[1], in.buf, 1), -1);
	CHECK_EQ(errno, EBADF);
	CHECK_EQ(write(fd[0], in.buf, 1), -1);
	CHECK_EQ(errno, EBADF);
	CHECK_EQ(readv(fd[0], none, IOV_MAX + 1), -1);
	CHECK_EQ(errno, EINVAL);
	closed = fd[0];
	close(fd[0]);
	CHECK_EQ(read(closed, in.buf, 1), -1);
	CHECK_EQ(errno, EBADF);
	CHECK_EQ(close(closed), -1);
	CHECK_EQ(errno, EBADF);
	CHECK_EQ(writev(fd[1], none, IOV_MAX + 1), -1);
	CHECK_EQ(errno, EINVAL);
	stream_pair(fd);
	CHECK_EQ(read(fd[0], in.buf, 0), 0);
	CHECK_EQ(write(fd[0], in.buf, 0), 0);
}

HOOKED_TEST(files_are_read_and_written)
{
	FILE *f = tmpfile();
	int fd = fileno(f);

	fill(large, LARGE, 0, 1);
	CHECK_EQ(write(fd, large, LARGE), LARGE);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(read(fd, back, LARGE), LARGE);
	check_filled(back, LARGE, 0, 1);
	CHECK_EQ(read(fd, back, 1), 0);
}

HOOKED_TEST(msg_waitall_waits_for_all)
{
	int fd[2];

	for (int i = 0; i < 2; i++) {
		i ? tcp_pair(fd) : stream_pair(fd);
		raw_write(fd[1], "ab", 2);
		arrives(fd[0]);
		CHECK_EQ(recv(fd[0], in.buf, 9, MSG_WAITALL | MSG_DONTWAIT), 2);
		set_limit(fd[0], SO_RCVTIMEO, 20);
		raw_write(fd[1], "abc", 3);
		arrives(fd[0]);
		CHECK_EQ(recv(fd[0], in.buf, 9, MSG_WAITALL), 3);
		raw_write(fd[1], "abc", 3);
		arrives(fd[0]);
		close(fd[1]);
		CHECK_EQ(recv(fd[0], in.buf, 9, MSG_WAITALL), 3);
		close(fd[0]);
	}
}

static ssize_t all_by_recv(int fd, void *buf, size_t n)
{
	return recv(fd, buf, n, MSG_WAITALL);
}

static ssize_t all_by_recvmsg(int fd, void *buf, size_t n)
{
	struct iovec iov[] = { { buf, 3 }, { (char *)buf + 3, n - 3 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	return recvmsg(fd, &msg, MSG_WAITALL);
}

HOOKED_TEST(msg_waitall_collects_the_parts)
{
	input_fn *const fns[] = { all_by_recv, all_by_recvmsg };
	int fd[2];

	for (int i = 0; i < 2; i++) {
		stream_pair(fd);
		start_input(fns[i], fd[0]);
		for (int at = 0; at < 64; at += 2) {
			CHECK_EQ(in.ended, 0);
			fill(back, 2, (size_t)at, 7);
			raw_write(fd[1], back, 2);
			tuck_yield();
			settle();
		}
		WAIT_FOR(in.ended);
		CHECK_EQ(in.r, 64);
		check_filled(in.buf, 64, 0, 7);
	}
}

/* -- writers -- */

typedef ssize_t output_fn(int fd, const void *buf, size_t n);

static ssize_t by_writev(int fd, const void *buf, size_t n)
{
	char *p = (char *)(uintptr_t)buf;
	struct iovec iov[] = { { p, 7 },
			       { p + 7, n / 2 },
			       { p + 7 + n / 2, n - 7 - n / 2 } };

	return writev(fd, iov, 3);
}

static ssize_t by_send(int fd, const void *buf, size_t n)
{
	return send(fd, buf, n, MSG_NOSIGNAL);
}

static ssize_t by_sendmsg(int fd, const void *buf, size_t n)
{
	char *p = (char *)(uintptr_t)buf;
	struct iovec iov[] = { { p, n - 9 }, { p + n - 9, 9 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	return sendmsg(fd, &msg, 0);
}

static ssize_t by_sendmmsg(int fd, const void *buf, size_t n)
{
	struct iovec iov = { (void *)(uintptr_t)buf, n };
	struct mmsghdr msg = { .msg_hdr = { .msg_iov = &iov,
					    .msg_iovlen = 1 } };
	int r = sendmmsg(fd, &msg, 1, 0);

	return r == 1 ? (ssize_t)msg.msg_len : r;
}

static ssize_t by_sendfile(int fd, const void *buf, size_t n)
{
	FILE *f = tmpfile();
	off_t at = 0;
	ssize_t r;

	CHECK_EQ(fwrite(buf, 1, n, f), n);
	CHECK_EQ(fflush(f), 0);
	r = sendfile(fd, fileno(f), &at, n);
	CHECK_EQ(at, r);
	fclose(f);
	return r;
}

static output_fn *const outputs[] = { by_send,	   by_sendmsg, by_sendmmsg,
				      by_sendfile, write,      by_writev };

enum { OUTPUTS = 6, FOR_SOCKETS = 4 };

static struct {
	int fd, ended;
	output_fn *output;
	ssize_t r;
} out;

static void give_output(void *arg)
{
	(void)arg;
	out.r = out.output(out.fd, large, LARGE);
	out.ended++;
}

/* As a blocking call has it: all of it, in order. */
static void check_output_waits(void (*pair)(int fd[2]), output_fn *output,
			       int from, int to)
{
	size_t done = 0;
	ssize_t r;
	int fd[2];

	pair(fd);
	fill(large, LARGE, 0, 3);
	out.fd = fd[to];
	out.output = output;
	out.ended = 0;
	go(give_output, NULL);
	settle();
	CHECK_EQ(out.ended, 0);
	while (done < LARGE) {
		r = read(fd[from], back + done, LARGE - done);
		CHECK(r > 0);
		done += (size_t)r;
	}
	WAIT_FOR(out.ended);
	CHECK_EQ(out.r, LARGE);
	check_filled(back, LARGE, 0, 3);
	CHECK(blocks(fd[to]));
	close(fd[0]);
	close(fd[1]);
}

HOOKED_TEST(each_write_to_a_unix_socket_is_whole)
{
	for (int i = 0; i < OUTPUTS; i++)
		check_output_waits(stream_pair, outputs[i], 1, 0);
}

static void small_tcp_pair(int fd[2])
{
	const int n = 65536;

	tcp_pair(fd);
	setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &n, sizeof(n));
	setsockopt(fd[1], SOL_SOCKET, SO_RCVBUF, &n, sizeof(n));
}

HOOKED_TEST(each_write_to_tcp_is_whole)
{
	for (int i = 0; i < OUTPUTS; i++)
		check_output_waits(small_tcp_pair, outputs[i], 1, 0);
}

HOOKED_TEST(writes_to_pipes_are_whole)
{
	for (int i = FOR_SOCKETS - 1; i < OUTPUTS; i++)
		check_output_waits(pipe_pair, outputs[i], 0, 1);
}

HOOKED_TEST(a_write_that_does_not_block_is_as_long_as_there_is_room)
{
	ssize_t r;
	int fd[2];

	stream_pair(fd);
	set_nonblock(fd[0], 1);
	r = write(fd[0], large, LARGE);
	CHECK(r > 0 && r < LARGE);
	CHECK_EQ(by_writev(fd[0], large, LARGE), -1);
	CHECK_EQ(errno, EAGAIN);
	pipe_pair(fd);
	set_nonblock(fd[1], 1);
	r = write(fd[1], large, LARGE);
	CHECK(r > PIPE_BUF && r < LARGE);
}

HOOKED_TEST(a_write_whose_time_is_over_says_how_much_went)
{
	ssize_t r;
	int fd[2];

	stream_pair(fd);
	set_limit(fd[0], SO_SNDTIMEO, 20);
	r = write(fd[0], large, LARGE);
	CHECK(r > 0 && r < LARGE);
	CHECK_EQ(write(fd[0], large, LARGE), -1);
	CHECK_EQ(errno, EAGAIN);
}

static volatile sig_atomic_t pipes_broken;

static void count_sigpipe(int sig)
{
	(void)sig;
	pipes_broken++;
}

HOOKED_TEST(sigpipe_comes_with_epipe)
{
	int fd[2];

	signal(SIGPIPE, count_sigpipe);
	stream_pair(fd);
	close(fd[1]);
	CHECK_EQ(write(fd[0], "x", 1), -1);
	CHECK_EQ(errno, EPIPE);
	CHECK_EQ(pipes_broken, 1);
	CHECK_EQ(send(fd[0], "x", 1, MSG_NOSIGNAL), -1);
	CHECK_EQ(errno, EPIPE);
	CHECK_EQ(pipes_broken, 1);
	pipe_pair(fd);
	close(fd[0]);
	CHECK_EQ(write(fd[1], "x", 1), -1);
	CHECK_EQ(errno, EPIPE);
	CHECK_EQ(pipes_broken, 2);
}

/* -- datagrams -- */

static void datagram_pair(int fd[2])
{
	CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, fd), 0);
}

HOOKED_TEST(datagrams_keep_their_bounds)
{
	struct iovec iov[3] = { { in.buf, 8 },
				{ in.buf + 8, 8 },
				{ in.buf + 16, 8 } };
	struct mmsghdr msgs[3] = {
		{ { .msg_iov = &iov[0], .msg_iovlen = 1 }, 0 },
		{ { .msg_iov = &iov[1], .msg_iovlen = 1 }, 0 },
		{ { .msg_iov = &iov[2], .msg_iovlen = 1 }, 0 }
	};
	int fd[2];

	datagram_pair(fd);
	raw_write(fd[1], "abc", 3);
	raw_write(fd[1], "de", 2);
	CHECK_EQ(recv(fd[0], in.buf, 9, MSG_WAITALL), 3);
	CHECK_EQ(read(fd[0], in.buf, 1), 1);
	CHECK_EQ(sendmmsg(fd[1], msgs, 2, 0), 2);
	CHECK_EQ(recvmmsg(fd[0], msgs, 3, MSG_WAITFORONE, NULL), 2);
	CHECK_EQ(sendmmsg(fd[1], msgs, 2, 0), 2);
	set_limit(fd[0], SO_RCVTIMEO, 20);
	CHECK_EQ(recvmmsg(fd[0], msgs, 3, 0, NULL), 2);
}

static void send_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++)
		CHECK_EQ(out.output(out.fd, &i, sizeof(i)), sizeof(i));
	out.ended++;
}

static struct sockaddr_un box;

static ssize_t to_the_box(int fd, const void *buf, size_t n)
{
	return sendto(fd, buf, n, 0, (struct sockaddr *)&box, sizeof(box));
}

static void check_many(int from)
{
	int got;

	out.ended = 0;
	go(send_many, NULL);
	settle();
	CHECK_EQ(out.ended, 0);
	for (int i = 0; i < 1000; i++) {
		CHECK_EQ(read(from, &got, sizeof(got)), sizeof(got));
		CHECK_EQ(got, i);
	}
	WAIT_FOR(out.ended);
}

HOOKED_TEST(datagrams_wait_for_room)
{
	int fd[2];

	datagram_pair(fd);
	out.fd = fd[1];
	out.output = write;
	check_many(fd[0]);
	/* Where a wait for room to send would end at once. */
	fd[0] = socket(AF_UNIX, SOCK_DGRAM, 0);
	box.sun_family = AF_UNIX;
	snprintf(box.sun_path + 1, sizeof(box.sun_path) - 1, "tuck-hook-%d",
		 (int)getpid());
	CHECK_EQ(bind(fd[0], (struct sockaddr *)&box, sizeof(box)), 0);
	out.fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	out.output = to_the_box;
	check_many(fd[0]);
}

/* -- connections -- */

static int listener, accepted, connected;

static void accept_one(void *how)
{
	int r = how ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) :
		      accept(listener, NULL, NULL);

	CHECK(r >= 0);
	CHECK(blocks(r));
	accepted++;
	close(r);
}

HOOKED_TEST(accept_waits_alone)
{
	struct sockaddr_in addr;
	int fd;

	listener = raw_listen(&addr);
	go(accept_one, NULL);
	go(accept_one, &listener);
	settle();
	CHECK_EQ(accepted, 0);
	for (int i = 1; i <= 2; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		CHECK_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
		CHECK(blocks(fd));
		WAIT_FOR(accepted == i);
	}
	CHECK(blocks(listener));
	set_limit(listener, SO_RCVTIMEO, 20);
	CHECK_EQ(accept(listener, NULL, NULL), -1);
	CHECK_EQ(errno, EAGAIN);
	set_nonblock(listener, 1);
	CHECK_EQ(accept(listener, NULL, NULL), -1);
	CHECK_EQ(errno, EAGAIN);
}

static atomic_int taken, ticks;

static void accept_ten(void *arg)
{
	int fd;

	(void)arg;
	for (int i = 0; i < 10; i++) {
		fd = accept(listener, NULL, NULL);
		CHECK(fd >= 0);
		close(fd);
		atomic_fetch_add(&taken, 1);
	}
}

/* It would stop if its thread waited for a connection that another has. */
static void tick(void *arg)
{
	(void)arg;
	while (atomic_load(&taken) < 40) {
		CHECK_EQ(usleep(100), 0);
		atomic_fetch_add(&ticks, 1);
	}
}

static void accept_in_proc(void *arg)
{
	go(tick, NULL);
	go(accept_ten, NULL);
	accept_ten(arg);
}

/* One connection wakes all who wait, and one of them gets it. */
HOOKED_TEST(procs_share_a_listener)
{
	struct sockaddr_in addr;
	int proc[2], fd, seen;

	listener = raw_listen(&addr);
	for (int i = 0; i < 2; i++) {
		proc[i] = tuck_proc_start(NULL, accept_in_proc, NULL);
		CHECK(proc[i] >= 0);
	}
	for (int i = 1; i <= 40; i++) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		CHECK_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
		WAIT_FOR(atomic_load(&taken) == i);
		seen = atomic_load(&ticks);
		WAIT_FOR(i == 40 || atomic_load(&ticks) > seen);
		close(fd);
	}
	for (int i = 0; i < 2; i++)
		CHECK_EQ(tuck_proc_join(proc[i], patience()), 0);
}

/* Its turn comes when the other one waits. */
static void tell_waiting(void *arg)
{
	(void)arg;
	atomic_store(&ticks, 1);
}

static void accept_until_closed(void *arg)
{
	go(tell_waiting, arg);
	CHECK_EQ(accept(listener, NULL, NULL), -1);
	CHECK_EQ(errno, EBADF);
}

/* Whichever thread closes it. */
HOOKED_TEST(closing_ends_the_waits_of_other_procs)
{
	struct sockaddr_in addr;
	int proc;

	listener = raw_listen(&addr);
	proc = tuck_proc_start(NULL, accept_until_closed, NULL);
	CHECK(proc >= 0);
	WAIT_FOR(atomic_load(&ticks) > 0);
	settle();
	close(listener);
	CHECK_EQ(tuck_proc_join(proc, patience()), 0);
}

HOOKED_TEST(a_connection_is_refused)
{
	struct sockaddr_in addr;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	close(raw_listen(&addr));
	CHECK_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), -1);
	CHECK_EQ(errno, ECONNREFUSED);
	CHECK_EQ(connect(-1, (struct sockaddr *)&addr, sizeof(addr)), -1);
	CHECK_EQ(errno, EBADF);
}

static void connect_to_box(void *arg)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)arg;
	CHECK_EQ(connect(fd, (struct sockaddr *)&box, sizeof(box)), 0);
	CHECK(blocks(fd));
	connected++;
}

HOOKED_TEST(connect_waits_for_a_full_backlog)
{
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	box.sun_family = AF_UNIX;
	snprintf(box.sun_path + 1, sizeof(box.sun_path) - 1, "tuck-hook-%d",
		 (int)getpid());
	CHECK_EQ(bind(listener, (struct sockaddr *)&box, sizeof(box)), 0);
	CHECK_EQ(listen(listener, 0), 0);
	for (int i = 0; i < 5; i++)
		go(connect_to_box, NULL);
	settle();
	CHECK(connected < 5);
	for (int i = 0; i < 5; i++)
		CHECK(accept(listener, NULL, NULL) >= 0);
	WAIT_FOR(connected == 5);
}

/* -- closing -- */

static void *close_fd(void *fd)
{
	CHECK_EQ(close(*(int *)fd), 0);
	return NULL;
}

HOOKED_TEST(closing_ends_a_wait)
{
	int fd[2], other[2];

	stream_pair(fd);
	stream_pair(other);
	start_input(read, fd[0]);
	CHECK_EQ(in.ended, 0);
	close(fd[0]);
	WAIT_FOR(in.ended);
	CHECK_EQ(in.r, -1);
	CHECK_EQ(in.err, EBADF);
	stream_pair(fd);
	start_input(read, fd[0]);
	on_thread(close_fd, &fd[0]);
	WAIT_FOR(in.ended);
	CHECK_EQ(in.err, EBADF);
	stream_pair(fd);
	start_input(read, fd[0]);
	CHECK_EQ(dup2(-1, fd[0]), -1);
	CHECK_EQ(dup3(other[0], fd[0], O_CLOEXEC), fd[0]);
	WAIT_FOR(in.ended);
	CHECK_EQ(in.err, EBADF);
	start_input(read, fd[0]);
	CHECK_EQ(dup2(other[0], fd[0]), fd[0]);
	WAIT_FOR(in.ended);
	start_input(read, fd[0]);
	CHECK_EQ(close_range((unsigned)fd[0], (unsigned)fd[0], 0), 0);
	WAIT_FOR(in.ended);
	CHECK_EQ(in.err, EBADF);
}

/* As fclose() does, and whatever else is not hooked. */
HOOKED_TEST(a_number_that_was_closed_unseen_is_used_again)
{
	int fd[2], again[2];

	for (int i = 0; i < 3; i++) {
		i == 1 ? pipe_pair(fd) : stream_pair(fd);
		start_input(read, fd[0]);
		raw_write(fd[1], "x", 1);
		WAIT_FOR(in.ended);
		start_input(read, fd[0]);
		raw_write(fd[1], "x", 1);
		WAIT_FOR(in.ended);
		CHECK_EQ(syscall(SYS_close, fd[0]), 0);
		CHECK_EQ(syscall(SYS_close, fd[1]), 0);
		stream_pair(again);
		CHECK_EQ(again[0], fd[0]);
		start_input(read, again[0]);
		CHECK_EQ(in.ended, 0);
		raw_write(again[1], "y", 1);
		WAIT_FOR(in.ended);
		CHECK_EQ(in.r, 1);
		close(again[0]);
		close(again[1]);
	}
}

/* The old one lives on elsewhere, and is still in the kernel's set. */
HOOKED_TEST(a_number_whose_first_owner_has_a_duplicate_is_used_again)
{
	int fd[2], again[2], copy;

	stream_pair(fd);
	copy = dup(fd[0]);
	start_input(read, fd[0]);
	close(fd[0]);
	WAIT_FOR(in.ended);
	stream_pair(again);
	CHECK_EQ(again[0], fd[0]);
	start_input(read, again[0]);
	raw_write(fd[1], "old", 3);
	settle();
	CHECK_EQ(in.ended, 0);
	raw_write(again[1], "x", 1);
	WAIT_FOR(in.ended);
	CHECK_EQ(in.r, 1);
	CHECK_EQ(read(copy, in.buf, 9), 3);
}

/* -- several on one descriptor -- */

static int rw[2], readers_done, writers_done;

static void read_byte(void *arg)
{
	char c;

	(void)arg;
	CHECK_EQ(read(rw[0], &c, 1), 1);
	readers_done++;
}

static void write_much(void *arg)
{
	(void)arg;
	CHECK_EQ(write(rw[0], large, LARGE), LARGE);
	writers_done++;
}

HOOKED_TEST(readers_and_a_writer_share_a_descriptor)
{
	size_t left = LARGE;

	stream_pair(rw);
	go(read_byte, NULL);
	go(write_much, NULL);
	go(read_byte, NULL);
	settle();
	raw_write(rw[1], "x", 1);
	WAIT_FOR(readers_done == 1);
	settle();
	CHECK_EQ(readers_done, 1);
	while (left > 0) {
		ssize_t r = read(rw[1], back, left);

		CHECK(r > 0);
		left -= (size_t)r;
	}
	WAIT_FOR(writers_done);
	CHECK_EQ(readers_done, 1);
	raw_write(rw[1], "x", 1);
	WAIT_FOR(readers_done == 2);
}

/* -- the ends of tasklets -- */

HOOKED_TEST(a_killed_reader_leaves_nothing)
{
	tuck_id id;
	int fd[2];

	stream_pair(fd);
	id = start_input(read, fd[0]);
	CHECK_EQ(tuck_kill(id), 0);
	finish(id);
	CHECK_EQ(in.ended, 0);
	start_input(read, fd[0]);
	raw_write(fd[1], "x", 1);
	WAIT_FOR(in.ended);
	CHECK_EQ(in.r, 1);
}

HOOKED_TEST(a_cancelled_reader_is_told)
{
	tuck_id id;
	int fd[2];

	stream_pair(fd);
	id = start_input(read, fd[0]);
	CHECK_EQ(tuck_cancel(id), 0);
	WAIT_FOR(in.ended);
	CHECK_EQ(in.r, -1);
	CHECK_EQ(in.err, ECANCELED);
}

static int kill_fds[2];

static int kill_if_hook(const struct tuck_task_info *info, void *arg)
{
	if (strcmp(info->name, "hook") == 0)
		*(int *)arg += tuck_kill(info->id) == 0;
	return 0;
}

/* Whoever ends all it finds ends that one, too. */
HOOKED_TEST(the_next_wait_has_a_pump_again)
{
	int killed = 0;

	stream_pair(kill_fds);
	start_input(read, kill_fds[0]);
	tuck_each(kill_if_hook, &killed);
	CHECK_EQ(killed, 1);
	settle();
	CHECK_EQ(in.ended, 0);
	raw_write(kill_fds[1], "x", 1);
	CHECK_EQ(poll(&(struct pollfd){ .fd = kill_fds[1], .events = POLLIN },
		      1, 20),
		 0);
	WAIT_FOR(in.ended);
	CHECK_EQ(in.r, 1);
}

static int late_fds[2];
static atomic_int reading_late, read_late;

static void read_another(void *arg)
{
	char c;

	(void)arg;
	atomic_store(&reading_late, 1);
	atomic_store(&read_late, (int)read(late_fds[0], &c, 1));
}

static void read_till_killed(void *arg)
{
	char c;

	(void)arg;
	CHECK_EQ(tuck_defer(read_another, NULL), 0);
	CHECK_EQ(read(kill_fds[0], &c, 1), 1);
	CHECK(false);
}

static int see_hook(const struct tuck_task_info *info, void *arg)
{
	*(bool *)arg |= strcmp(info->name, "hook") == 0;
	return 0;
}

/* All there are at once: the pump, too, and who needs it once more. */
static void kill_with_its_pump(bool pump_has_run)
{
	bool pump = false;
	int killed = 0;
	tuck_id id;

	stream_pair(kill_fds);
	stream_pair(late_fds);
	id = go(read_till_killed, NULL);
	while (!pump) {
		tuck_yield();
		tuck_each(see_hook, &pump);
	}
	if (pump_has_run)
		settle();
	CHECK_EQ(tuck_kill(id), 0);
	tuck_each(kill_if_hook, &killed);
	CHECK_EQ(killed, 1);
	settle();
	CHECK_EQ(reading_late, 1);
	raw_write(late_fds[1], "x", 1);
	finish(id);
	CHECK_EQ(read_late, 1);
}

HOOKED_TEST(cleanups_wait_when_the_pump_was_killed_too)
{
	kill_with_its_pump(true);
}

HOOKED_TEST(a_pump_that_was_killed_before_it_ran_is_replaced)
{
	kill_with_its_pump(false);
}

static void check_alone(void)
{
	struct tuck_stats stats;

	settle();
	CHECK_EQ(tuck_stats(&stats), 0);
	CHECK_EQ(stats.tasklets, 1);
}

HOOKED_TEST(no_tasklet_is_left_when_nobody_waits)
{
	int fd[2];

	stream_pair(fd);
	set_limit(fd[0], SO_RCVTIMEO, 5);
	CHECK_EQ(read(fd[0], in.buf, 1), -1);
	check_alone();
	set_limit(fd[0], SO_RCVTIMEO, 0);
	start_input(read, fd[0]);
	raw_write(fd[1], "x", 1);
	WAIT_FOR(in.ended);
	check_alone();
	start_input(read, fd[0]);
	close(fd[0]);
	WAIT_FOR(in.ended);
	check_alone();
}

static void *wait_in_proc(void *arg)
{
	(void)arg;
	tuck_self();
	start_input(read, kill_fds[0]);
	CHECK_EQ(in.ended, 0);
	raw_write(kill_fds[1], "x", 1);
	WAIT_FOR(in.ended);
	return NULL;
}

HOOKED_TEST(the_end_of_a_proc_leaves_nothing_open)
{
	int n;

	stream_pair(kill_fds);
	tuck_self();
	n = count_fds();
	on_thread(wait_in_proc, NULL);
	WAIT_FOR(count_fds() <= n + 1);	/* the wake-up of its number stays */
}

/* -- others than tasklets -- */

static atomic_int thread_reads;

static void *read_as_thread(void *arg)
{
	char c;

	CHECK_EQ(read(*(int *)arg, &c, 1), 1);
	atomic_fetch_add(&thread_reads, 1);
	CHECK_EQ(read(*(int *)arg, &c, 1), 1);
	return NULL;
}

HOOKED_TEST(a_thread_that_is_no_proc_is_left_alone)
{
	pthread_t thread;
	int fd[2];

	stream_pair(fd);
	CHECK_EQ(pthread_create(&thread, NULL, read_as_thread, &fd[0]), 0);
	raw_write(fd[1], "x", 1);
	WAIT_FOR(atomic_load(&thread_reads));
	raw_write(fd[1], "x", 1);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	if (!UNDER_TSAN)	/* clang's ends a program that tries that */
		CHECK_EQ(pthread_join(pthread_self(), NULL), EDEADLK);
}

static int handler_fds[2], handled, others_ran;

static void read_in_handler(int sig)
{
	char c;

	(void)sig;
	CHECK_EQ(read(handler_fds[0], &c, 1), 1);
	CHECK_EQ(others_ran, 0);
	handled++;
}

static void count_run(void *arg)
{
	(void)arg;
	others_ran++;
}

static void *write_late(void *arg)
{
	(void)arg;
	usleep(20000);
	raw_write(handler_fds[1], "x", 1);
	return NULL;
}

static void raise_it(void *arg)
{
	(void)arg;
	raise(SIGUSR1);
}

/* Rule S7: what must not switch waits as the thread. */
HOOKED_TEST(a_signal_handler_does_not_switch)
{
	pthread_t thread;

	needs_fifo();
	stream_pair(handler_fds);
	signal(SIGUSR1, read_in_handler);
	tuck_self();
	CHECK_EQ(pthread_create(&thread, NULL, write_late, NULL), 0);
	go(raise_it, NULL);
	go(count_run, NULL);
	WAIT_FOR(others_ran);
	CHECK_EQ(handled, 1);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

HOOKED_TEST(the_child_of_a_tasklet_has_libcs_own)
{
	int fd[2], status;
	pid_t pid;
	char c;

	stream_pair(fd);
	start_input(read, fd[0]);
	pid = fork();
	if (pid == 0) {
		in.ended = 9;
		c = 'x';
		if (write(fd[1], &c, 1) != 1 || in.ended != 9)
			_exit(1);
		close(fd[1]);
		close(fd[0]);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	WAIT_FOR(in.ended);
	CHECK_EQ(in.r, 1);
}

/* Which has our memory, but a table of descriptors of its own. */
HOOKED_TEST(what_a_child_of_vfork_closes_is_still_open)
{
	int fd[2], status;
	pid_t pid;

	stream_pair(fd);
	start_input(read, fd[0]);
	pid = vfork();
	if (pid == 0) {
		close(fd[0]);
		dup2(2, fd[0]);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	settle();
	CHECK_EQ(in.ended, 0);
	raw_write(fd[1], "x", 1);
	WAIT_FOR(in.ended);
	CHECK_EQ(in.r, 1);
}
