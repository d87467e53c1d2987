/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that came here blocking, and that others have as well: standard
 * input and output. Nobody finds O_NONBLOCK set on them, and the proc does not
 * wait all the same.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <tuck.h>

#include "sockets.h"

static int blocking(int fd)
{
	return !(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

/* A terminal: fd[0] is what a program has, fd[1] the user. */
static void tty_pair(int fd[2])
{
	struct termios t;

	fd[1] = posix_openpt(O_RDWR | O_NOCTTY);
	CHECK(fd[1] >= 0);
	CHECK_EQ(grantpt(fd[1]), 0);
	CHECK_EQ(unlockpt(fd[1]), 0);
	fd[0] = open(ptsname(fd[1]), O_RDWR | O_NOCTTY);
	CHECK(fd[0] >= 0);
	CHECK_EQ(tcgetattr(fd[0], &t), 0);
	t.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
	t.c_oflag &= (tcflag_t)~OPOST;
	CHECK_EQ(tcsetattr(fd[0], TCSANOW, &t), 0);
}

static void (*const pairs[])(int fd[2]) = { pipe_pair, stream_pair, tcp_pair,
					    tty_pair };
#define PAIRS (sizeof(pairs) / sizeof(pairs[0]))

struct reader {
	int fd;
	ssize_t got;
	char buf[16];
};

static void read_some(void *arg)
{
	struct reader *r = arg;

	r->got = tuck_read(r->fd, r->buf, sizeof(r->buf), patience());
}

static void readv_some(void *arg)
{
	struct reader *r = arg;
	struct iovec iov[2] = { { r->buf, 1 }, { r->buf + 1, 15 } };

	r->got = tuck_readv(r->fd, iov, 2, patience());
}

TEST(input_that_is_waited_for)
{
	for (size_t i = 0; i < 2 * PAIRS; i++) {
		struct reader r = { .got = -1 };
		int fd[2];
		tuck_id id;

		pairs[i / 2](fd);
		r.fd = fd[0];
		CHECK_EQ(tuck_read(fd[0], r.buf, 1, TUCK_NOWAIT), -EAGAIN);
		CHECK_EQ(tuck_read(fd[0], r.buf, 1, 1), -ETIMEDOUT);
		id = tuck_go(i & 1 ? read_some : readv_some, &r);
		settle();
		CHECK_EQ(r.got, -1);
		raw_write(fd[1], "abc", 3);
		finish(id);
		CHECK_EQ(r.got, 3);
		CHECK_MEM(r.buf, "abc", 3);
		CHECK(blocking(fd[0]));
		CHECK_EQ(tuck_fd_close(fd[0]), 0);
		close(fd[1]);
	}
}

TEST(end_of_input)
{
	for (size_t i = 0; i < 3; i++) {
		int fd[2];
		char c;

		pairs[i](fd);
		close(fd[1]);
		CHECK_EQ(tuck_read(fd[0], &c, 1, patience()), 0);
		CHECK(blocking(fd[0]));
		CHECK_EQ(tuck_fd_close(fd[0]), 0);
	}
}

static void write_much(void *arg)
{
	static char much[300000];
	struct reader *w = arg;

	fill(much, sizeof(much), 0, 7);
	w->got = tuck_write_full(w->fd, much, sizeof(much), patience());
}

static void writev_much(void *arg)
{
	static char much[300000];
	struct reader *w = arg;
	size_t done = 0;

	fill(much, sizeof(much), 0, 7);
	while (done < sizeof(much)) {
		struct iovec iov[3] = { { NULL, 0 },
					{ much + done, 1 },
					{ much + done + 1,
					  sizeof(much) - done - 1 } };
		ssize_t r = tuck_writev(w->fd, iov, 3, patience());

		CHECK(r > 0);
		done += (size_t)r;
	}
	w->got = (ssize_t)done;
}

/* From where *offset says, or the file does. */
static void send_much(struct reader *w, int file, int64_t *offset)
{
	ssize_t r, done = 0;

	do {
		r = tuck_sendfile(w->fd, file, offset, 300000, patience());
		CHECK(r >= 0);
		done += r;
		if (offset)
			CHECK_EQ(*offset, 7 + done);
		else
			CHECK_EQ(lseek(file, 0, SEEK_CUR), 7 + done);
	} while (r > 0);
	w->got = done;
}

static void sendfile_much(void *arg)
{
	static char much[300000];
	static int64_t offset;
	static int turn;
	int file = memfd_create("much", MFD_CLOEXEC);

	fill(much, sizeof(much), 0, 7);
	CHECK(file >= 0);
	CHECK_EQ(pwrite(file, much, sizeof(much), 7), sizeof(much));
	CHECK_EQ(lseek(file, 7, SEEK_SET), 7);
	offset = 7;
	send_much(arg, file, turn++ % 2 ? &offset : NULL);
	close(file);
}

static void (*const writers[])(void *arg) = { write_much, writev_much,
					      sendfile_much, sendfile_much };
#define WRITERS (sizeof(writers) / sizeof(writers[0]))

/* More than the kernel takes at once: the proc goes on all the while. */
TEST(output_that_is_waited_for)
{
	static char in[300000];
	const int small = 8192;		/* of sockets */

	for (size_t i = 0; i < WRITERS * PAIRS; i++) {
		struct reader w = { .got = -1 };
		int fd[2], out, way;
		size_t n = 0;
		tuck_id id;

		pairs[i / WRITERS](fd);
		/* Of a pipe, only one end is written. */
		out = pairs[i / WRITERS] == pipe_pair ? fd[1] : fd[0];
		way = out == fd[0] ? fd[1] : fd[0];
		w.fd = out;
		setsockopt(out, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
		setsockopt(way, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		id = tuck_go(writers[i % WRITERS], &w);
		settle();
		CHECK_EQ(w.got, -1);
		while (n < sizeof(in)) {
			ssize_t r = tuck_read(way, in + n, sizeof(in) - n,
					      patience());

			CHECK(r > 0);
			n += (size_t)r;
		}
		finish(id);
		CHECK_EQ(w.got, sizeof(in));
		check_filled(in, sizeof(in), 0, 7);
		CHECK(blocking(out));
		CHECK_EQ(tuck_fd_close(out), 0);
		CHECK_EQ(tuck_fd_close(way), 0);
	}
}

/* poll(2) would never say that it is ready. */
TEST(a_terminal_that_is_open_for_the_other_way)
{
	int fd[2], only;
	char c = 0;

	tty_pair(fd);
	only = open(ptsname(fd[1]), O_WRONLY | O_NOCTTY);
	CHECK(only >= 0);
	CHECK_EQ(tuck_read(only, &c, 1, TUCK_FOREVER), -EBADF);
	CHECK_EQ(tuck_write(only, &c, 1, patience()), 1);
	only = open(ptsname(fd[1]), O_RDONLY | O_NOCTTY);
	CHECK_EQ(tuck_write(only, &c, 1, TUCK_FOREVER), -EBADF);
}

TEST(nobody_reads_any_more)
{
	int fd[2];

	signal(SIGPIPE, SIG_IGN);
	pipe_pair(fd);
	close(fd[0]);
	CHECK_EQ(tuck_write(fd[1], "x", 1, patience()), -EPIPE);
	CHECK(blocking(fd[1]));
}

/* One of them finds that the other was first, and waits on. */
TEST(two_readers)
{
	for (size_t i = 0; i < PAIRS; i++) {
		struct reader r[2] = { { .got = -1 }, { .got = -1 } };
		int fd[2];

		pairs[i](fd);
		r[0].fd = r[1].fd = fd[0];
		CHECK(tuck_go(read_some, &r[0]) > 0);
		CHECK(tuck_go(read_some, &r[1]) > 0);
		settle();
		raw_write(fd[1], "a", 1);
		WAIT_FOR(r[0].got + r[1].got == 0);
		raw_write(fd[1], "b", 1);
		WAIT_FOR(r[0].got + r[1].got == 2);
		CHECK(blocking(fd[0]));
		tuck_fd_close(fd[0]);
		close(fd[1]);
	}
}

struct move {
	int from, to;
	ssize_t moved;
};

static void move_some(void *arg)
{
	struct move *m = arg;

	m->moved = tuck_splice(m->from, m->to, 100000, patience());
}

/* Of both ends, but for an output that is no pipe: splice(2) has no flag. */
TEST(what_is_spliced_stays_as_it_is)
{
	for (size_t i = 0; i < PAIRS; i++) {
		struct move m = { .moved = -1 };
		int fd[2], to[2];
		char buf[8];
		tuck_id id;

		pairs[i](fd);
		pipe_pair(to);
		m.from = fd[0];
		m.to = to[1];
		CHECK_EQ(tuck_splice(m.from, m.to, 10, TUCK_NOWAIT), -EAGAIN);
		id = tuck_go(move_some, &m);
		settle();
		CHECK_EQ(m.moved, -1);
		raw_write(fd[1], "abc", 3);
		finish(id);
		CHECK_EQ(m.moved, 3);
		CHECK_EQ(read(to[0], buf, sizeof(buf)), 3);
		CHECK_MEM(buf, "abc", 3);
		CHECK(blocking(m.from) && blocking(m.to));
		CHECK_EQ(tuck_fd_close(fd[0]), 0);
		CHECK_EQ(tuck_fd_close(to[1]), 0);
		close(fd[1]);
		close(to[0]);
	}
}

/* A pipe that is full, and has room again. */
TEST(splicing_waits_for_room)
{
	struct move m = { .moved = -1 };
	int from[2], to[2];
	char buf[4096] = "";
	tuck_id id;

	pipe_pair(from);
	pipe_pair(to);
	m.from = from[0];
	m.to = to[1];
	raw_write(from[1], "abc", 3);
	while (tuck_write(to[1], buf, sizeof(buf), TUCK_NOWAIT) > 0)
		;
	id = tuck_go(move_some, &m);
	settle();
	CHECK_EQ(m.moved, -1);
	while (tuck_read(to[0], buf, sizeof(buf), TUCK_NOWAIT) > 0)
		;
	finish(id);
	CHECK_EQ(m.moved, 3);
	CHECK(blocking(m.from) && blocking(m.to));
}

TEST(files_and_devices)
{
	char path[] = "/tmp/tuck-borrowed-XXXXXX", buf[8];
	int fd = mkstemp(path), zero = open("/dev/zero", O_RDWR);

	CHECK(fd >= 0);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(tuck_write_full(fd, "hello", 5, TUCK_FOREVER), 5);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(tuck_read_full(fd, buf, 8, TUCK_FOREVER), 5);
	CHECK_EQ(tuck_read(fd, buf, 8, TUCK_FOREVER), 0);
	CHECK(blocking(fd));
	CHECK_EQ(tuck_read(zero, buf, 8, TUCK_FOREVER), 8);
	CHECK_EQ(tuck_write(zero, buf, 8, TUCK_FOREVER), 8);
	CHECK(blocking(zero));
}

/* A program of one's own that shares the descriptor with us. */
TEST(another_process_reads_on)
{
	struct reader r = { .got = -1 };
	int fd[2], status;
	pid_t pid;

	for (size_t i = 0; i < PAIRS; i += 3) {
		pairs[i](fd);
		r.fd = fd[0];
		raw_write(fd[1], "1", 1);
		read_some(&r);
		CHECK_EQ(r.got, 1);
		pid = fork();
		if (pid == 0) {
			char c = 0;

			_exit(read(fd[0], &c, 1) == 1 && c == '2' ? 0 : 1);
		}
		settle();
		CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);	/* it waits */
		raw_write(fd[1], "2", 1);
		WAIT_FOR(waitpid(pid, &status, WNOHANG) == pid);
		CHECK_EQ(status, 0);
		tuck_fd_close(fd[0]);
		close(fd[1]);
	}
}
