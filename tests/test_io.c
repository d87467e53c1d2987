/* SPDX-License-Identifier: MIT */
/* Read and write: what each call says, its errors, its deadlines; the hole. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/un.h>
#include <tuck.h>

#include "sockets.h"

/* -- reading -- */

static void (*const pairs[])(int fd[2]) = { tcp_pair, stream_pair, pipe_pair };

/* A tasklet that reads fd, n bytes at a time, to its end. */
struct reader {
	int fd;
	size_t n;
	char got[256];
	size_t bytes, reads;
	ssize_t last;
	int done;
};

static void read_to_end(void *arg)
{
	struct reader *r = arg;

	while (r->n <= sizeof(r->got) - r->bytes) {
		r->last = tuck_read(r->fd, r->got + r->bytes, r->n,
				    TUCK_FOREVER);
		if (r->last <= 0)
			break;
		r->bytes += (size_t)r->last;
		r->reads++;
	}
	r->done = 1;
}

TEST(read_waits_for_the_first_byte_on_any_kind)
{
	for (size_t i = 0; i < 3; i++) {
		struct reader r = { .n = 100 };
		int fd[2];

		pairs[i](fd);
		r.fd = fd[0];
		CHECK(tuck_go(read_to_end, &r) > 0);
		settle();
		CHECK_EQ(r.reads, 0);
		raw_write(fd[1], "hello", 5);
		WAIT_FOR(r.bytes == 5);
		raw_write(fd[1], " you", 4);
		WAIT_FOR(r.bytes == 9);
		CHECK_EQ(r.done, 0);
		close(fd[1]);
		WAIT_FOR(r.done);
		CHECK_EQ(r.last, 0);
		CHECK_MEM(r.got, "hello you", 9);
		CHECK_EQ(tuck_fd_close(fd[0]), 0);
	}
}

TEST(read_gives_at_most_what_was_asked)
{
	for (size_t i = 0; i < 3; i++) {
		char buf[8] = "-------";
		int fd[2];

		pairs[i](fd);
		raw_write(fd[1], "abcdefg", 7);
		CHECK_EQ(tuck_read(fd[0], buf, 3, TUCK_FOREVER), 3);
		CHECK_MEM(buf, "abc----", 8);
		CHECK_EQ(tuck_read(fd[0], buf, 3, TUCK_FOREVER), 3);
		CHECK_MEM(buf, "def----", 8);
		CHECK_EQ(tuck_read(fd[0], buf, 3, TUCK_FOREVER), 1);
		CHECK_EQ(buf[0], 'g');
		CHECK_EQ(tuck_read(fd[0], buf, 3, TUCK_NOWAIT), -EAGAIN);
	}
}

TEST(read_leaves_a_blocking_descriptor_blocking)
{
	for (size_t i = 0; i < 3; i++) {
		char c;
		int fd[2];

		pairs[i](fd);
		CHECK(!(fcntl(fd[0], F_GETFL) & O_NONBLOCK));
		CHECK_EQ(tuck_read(fd[0], &c, 1, TUCK_NOWAIT), -EAGAIN);
		CHECK(!(fcntl(fd[0], F_GETFL) & O_NONBLOCK));
	}
}

/* A descriptor whose last read was short is known to be empty. */
static void shorten(int fd[2])
{
	struct reader r = { .n = 100 };
	tuck_id id;

	tcp_pair(fd);
	r.fd = fd[0];
	id = tuck_go(read_to_end, &r);
	settle();
	raw_write(fd[1], "x", 1);
	WAIT_FOR(r.bytes == 1);
	CHECK_EQ(tuck_drop(id), 0);
}

TEST(read_of_no_bytes_does_not_wait)
{
	struct iovec iov = { NULL, 0 };
	tuck_ns soon = tuck_after(TUCK_MS(500));
	char c;
	int fd[2];

	shorten(fd);
	CHECK_EQ(tuck_read(fd[0], &c, 0, soon), 0);
	CHECK_EQ(tuck_read_full(fd[0], &c, 0, soon), 0);
	CHECK_EQ(tuck_read_full(fd[0], NULL, 0, soon), 0);
	CHECK_EQ(tuck_readv(fd[0], &iov, 1, soon), 0);
	CHECK_EQ(tuck_write(fd[0], &c, 0, soon), 0);
	CHECK_EQ(tuck_write_full(fd[0], &c, 0, soon), 0);
	CHECK_EQ(tuck_write_full(fd[0], NULL, 0, soon), 0);
}

static void write_pieces(void *arg)
{
	const int *fd = arg;

	for (int i = 0; i < 10; i++) {
		raw_write(*fd, &"0123456789"[i], 1);
		tuck_sleep(tuck_after(TUCK_MS(1)));
	}
	close(*fd);
}

TEST(read_full_gathers)
{
	for (size_t i = 0; i < 3; i++) {
		char buf[8];
		int fd[2];

		pairs[i](fd);
		CHECK(tuck_go(write_pieces, &fd[1]) > 0);
		CHECK_EQ(tuck_read_full(fd[0], buf, 7, TUCK_FOREVER), 7);
		CHECK_MEM(buf, "0123456", 7);
		CHECK_EQ(tuck_read_full(fd[0], buf, 7, TUCK_FOREVER), 3);
		CHECK_MEM(buf, "789", 3);
		CHECK_EQ(tuck_read_full(fd[0], buf, 7, TUCK_FOREVER), 0);
	}
}

TEST(read_full_keeps_to_its_deadline)
{
	char buf[8];
	int fd[2];

	tcp_pair(fd);
	raw_write(fd[1], "abc", 3);
	arrives(fd[0]);
	CHECK_EQ(tuck_read_full(fd[0], buf, 7, tuck_after(TUCK_MS(5))),
		 -ETIMEDOUT);
	raw_write(fd[1], "def", 3);
	arrives(fd[0]);
	CHECK_EQ(tuck_read_full(fd[0], buf, 4, TUCK_NOWAIT), -EAGAIN);
}

TEST(readv_scatters)
{
	char a[3], b[1], c[10];
	struct iovec iov[] = { { a, 3 }, { NULL, 0 }, { b, 1 }, { c, 10 } };
	int fd[2];

	for (size_t i = 0; i < 3; i++) {
		pairs[i](fd);
		raw_write(fd[1], "abcdef", 6);
		CHECK_EQ(tuck_readv(fd[0], iov, 4, TUCK_FOREVER), 6);
		CHECK_MEM(a, "abc", 3);
		CHECK_MEM(b, "d", 1);
		CHECK_MEM(c, "ef", 2);
		CHECK_EQ(tuck_readv(fd[0], iov, 4, TUCK_NOWAIT), -EAGAIN);
		CHECK_EQ(tuck_readv(fd[0], iov, -1, TUCK_NOWAIT), -EINVAL);
		close(fd[1]);
		CHECK_EQ(tuck_readv(fd[0], iov, 4, TUCK_FOREVER), 0);
	}
}

/* The buffers lie on the stack of a tasklet that is tucked meanwhile. */
static void readv_on_stack(void *arg)
{
	char a[1000], b[1000];
	struct iovec iov[] = { { a, 1000 }, { b, 1000 } };
	const int *fd = arg;

	for (size_t at = 0; at < 100000; at += 2000) {
		CHECK_EQ(tuck_readv(*fd, iov, 2, TUCK_FOREVER), 2000);
		check_filled(a, 1000, at, 3);
		check_filled(b, 1000, at + 1000, 3);
	}
}

static void scribble(void *arg)
{
	volatile char junk[100000];

	(void)arg;
	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (char)0xee;
}

TEST(readv_into_a_tucked_stack)
{
	char buf[2000];
	tuck_id id;
	int fd[2];

	share_slots(1);
	stream_pair(fd);
	id = tuck_go(readv_on_stack, &fd[0]);
	for (size_t at = 0; at < 100000; at += 2000) {
		settle();
		tuck_go(scribble, NULL);
		settle();
		fill(buf, 2000, at, 3);
		raw_write(fd[1], buf, 2000);
	}
	finish(id);
}

/* -- files and the like -- */

TEST(file_never_waits)
{
	struct iovec iov;
	char buf[16];
	int fd = memfd_create("file", 0);

	CHECK_EQ(tuck_write(fd, "0123456789", 10, TUCK_NOWAIT), 10);
	CHECK_EQ(tuck_write_full(fd, "abcdef", 6, TUCK_FOREVER), 6);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(tuck_fd_wait(fd, TUCK_READABLE, TUCK_NOWAIT), TUCK_READABLE);
	CHECK_EQ(tuck_fd_wait(fd, TUCK_READABLE | TUCK_WRITABLE, 1),
		 TUCK_READABLE | TUCK_WRITABLE);
	CHECK_EQ(tuck_read(fd, buf, 4, TUCK_FOREVER), 4);
	CHECK_MEM(buf, "0123", 4);
	CHECK_EQ(tuck_read_full(fd, buf, 16, TUCK_FOREVER), 12);
	CHECK_MEM(buf, "456789abcdef", 12);
	CHECK_EQ(tuck_read(fd, buf, 4, TUCK_FOREVER), 0);
	iov = (struct iovec){ buf, 2 };
	CHECK_EQ(tuck_writev(fd, &iov, 1, TUCK_FOREVER), 2);
	CHECK_EQ(lseek(fd, 14, SEEK_SET), 14);
	iov.iov_len = 16;
	CHECK_EQ(tuck_readv(fd, &iov, 1, TUCK_FOREVER), 4);
	CHECK_EQ(tuck_fd_close(fd), 0);
}

TEST(stdin_of_any_kind)
{
	int fd[2], null = open("/dev/null", O_RDWR);
	char c;

	CHECK_EQ(dup2(null, 0), 0);
	CHECK_EQ(tuck_read(0, &c, 1, TUCK_FOREVER), 0);
	CHECK_EQ(tuck_write(0, "x", 1, TUCK_FOREVER), 1);
	CHECK_EQ(tuck_fd_close(0), 0);
	CHECK_EQ(tuck_read(0, &c, 1, TUCK_FOREVER), -EBADF);
	pipe_pair(fd);		/* the reading end is descriptor 0 */
	CHECK_EQ(fd[0], 0);
	CHECK_EQ(tuck_read(0, &c, 1, tuck_after(TUCK_MS(2))), -ETIMEDOUT);
	raw_write(fd[1], "x", 1);
	CHECK_EQ(tuck_read(0, &c, 1, TUCK_FOREVER), 1);
}

/* -- writing -- */

/* Only the sender's: a receiver's that shrinks later drops segments. */
static void shrink(int fd[2])
{
	int bytes = 16384, on = 1;

	setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	setsockopt(fd[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

TEST(write_takes_what_there_is_room_for)
{
	for (size_t i = 0; i < 3; i++) {
		static char mega[1 << 20];
		ssize_t r;
		int fd[2];

		pairs[i](fd);
		shrink(fd);
		r = tuck_write(fd[1], mega, sizeof(mega), TUCK_FOREVER);
		CHECK(r > 0 && r < (ssize_t)sizeof(mega));
		stuff(fd[1]);
		CHECK_EQ(tuck_write(fd[1], mega, 1, TUCK_NOWAIT), -EAGAIN);
		CHECK_EQ(tuck_write(fd[1], mega, 1, 1), -ETIMEDOUT);
	}
}

#define MEGA ((size_t)3 << 20)

struct slow {
	int fd;
	unsigned seed;
	size_t got;
};

/* Takes its time, and looks at each byte. */
static void read_slowly(void *arg)
{
	struct slow *s = arg;
	char buf[20000];
	ssize_t r;

	while ((r = tuck_read(s->fd, buf, 1 + s->got % sizeof(buf),
			      TUCK_FOREVER)) > 0) {
		check_filled(buf, (size_t)r, s->got, s->seed);
		s->got += (size_t)r;
		if (s->got % 7 == 0)
			tuck_sleep(tuck_after(TUCK_US(100)));
		else if (s->got % 3)
			tuck_yield();
	}
	CHECK_EQ(r, 0);
	CHECK_EQ(tuck_fd_close(s->fd), 0);
}

TEST(write_full_of_megabytes_to_a_slow_reader)
{
	char *mega = malloc(MEGA);

	for (unsigned i = 0; i < 3; i++) {
		struct slow s = { .seed = i };
		tuck_id id;
		int fd[2];

		pairs[i](fd);
		shrink(fd);
		s.fd = fd[0];
		fill(mega, MEGA, 0, i);
		id = tuck_go(read_slowly, &s);
		CHECK_EQ(tuck_write_full(fd[1], mega, MEGA, TUCK_FOREVER),
			 (ssize_t)MEGA);
		CHECK_EQ(tuck_fd_close(fd[1]), 0);
		finish(id);
		CHECK_EQ((long long)s.got, (long long)MEGA);
	}
	free(mega);
}

/* The rest of two buffers after done bytes of them. */
static int rest(struct iovec iov[2], char *mega, size_t done)
{
	size_t half = MEGA / 3;

	if (done >= half) {
		iov[0] = (struct iovec){ mega + done, MEGA - done };
		return 1;
	}
	iov[0] = (struct iovec){ mega + done, half - done };
	iov[1] = (struct iovec){ mega + half, MEGA - half };
	return 2;
}

TEST(writev_of_megabytes_to_a_slow_reader)
{
	char *mega = malloc(MEGA);
	int partial = 0;

	fill(mega, MEGA, 0, 9);
	for (size_t i = 0; i < 3; i++) {
		struct slow s = { .seed = 9 };
		struct iovec iov[2];
		ssize_t r;
		int fd[2];

		pairs[i](fd);
		shrink(fd);
		s.fd = fd[0];
		CHECK(tuck_go(read_slowly, &s) > 0);
		for (size_t done = 0; done < MEGA; done += (size_t)r) {
			r = tuck_writev(fd[1], iov, rest(iov, mega, done),
					TUCK_FOREVER);
			CHECK(r > 0);
			partial += done + (size_t)r < MEGA;
		}
		CHECK_EQ(tuck_writev(fd[1], iov, -1, TUCK_FOREVER), -EINVAL);
		tuck_fd_close(fd[1]);
		WAIT_FOR(s.got == MEGA);
	}
	CHECK(partial > 3);
	free(mega);
}

static int mega_file(unsigned seed)
{
	char *mega = malloc(MEGA);
	int fd = memfd_create("mega", 0);

	fill(mega, MEGA, 0, seed);
	CHECK_EQ(write(fd, mega, MEGA), (ssize_t)MEGA);
	free(mega);
	return fd;
}

TEST(sendfile_to_a_slow_reader)
{
	int file = mega_file(5);

	for (size_t i = 0; i < 2; i++) {
		struct slow s = { .seed = 5 };
		off_t at = 0, before = 0;
		ssize_t r;
		int fd[2];

		pairs[i](fd);
		shrink(fd);
		s.fd = fd[0];
		CHECK(tuck_go(read_slowly, &s) > 0);
		while ((r = tuck_sendfile(fd[1], file, &at, MEGA,
					  TUCK_FOREVER)) > 0) {
			CHECK_EQ(at, before + r);
			before = at;
		}
		CHECK_EQ(r, 0);
		CHECK_EQ(at, (long long)MEGA);
		tuck_fd_close(fd[1]);
		WAIT_FOR(s.got == MEGA);
	}
}

/* Without a copy through a buffer, which takes 16,384 at a time. */
TEST(sendfile_is_the_kernels_own)
{
	int fd[2], file = mega_file(5);
	int64_t at = 0;

	CHECK_EQ(tuck_unix_pair(SOCK_STREAM, fd), 0);
	CHECK(tuck_sendfile(fd[0], file, &at, MEGA, TUCK_NOWAIT) > 16384);
}

TEST(sendfile_from_an_offset)
{
	int fd[2], file = mega_file(5);
	off_t at = 1000;
	char buf[64];

	tcp_pair(fd);
	CHECK_EQ(tuck_sendfile(fd[1], file, &at, 10, TUCK_NOWAIT), 10);
	CHECK_EQ(at, 1010);
	CHECK_EQ(tuck_read_full(fd[0], buf, 10, TUCK_FOREVER), 10);
	check_filled(buf, 10, 1000, 5);
	at = 2 * MEGA;
	CHECK_EQ(tuck_sendfile(fd[1], file, &at, 10, TUCK_FOREVER), 0);
	CHECK_EQ(at, 2 * MEGA);
	CHECK_EQ(tuck_sendfile(fd[1], -1, &at, 10, TUCK_FOREVER), -EBADF);
	CHECK_EQ(tuck_sendfile(-1, file, &at, 10, TUCK_FOREVER), -EBADF);
	CHECK_EQ(tuck_sendfile(fd[1], file, &at, 10, -1), -EINVAL);
	at = 0;
	stuff(fd[1]);
	CHECK_EQ(tuck_sendfile(fd[1], file, &at, 10, TUCK_NOWAIT), -EAGAIN);
	CHECK_EQ(tuck_sendfile(fd[1], file, &at, 10, 1), -ETIMEDOUT);
	CHECK_EQ(at, 0);
}

struct sending {
	int to, file;
	ssize_t r;
};

static void send_file(void *arg)
{
	struct sending *s = arg;
	off_t at = 0;

	s->r = tuck_sendfile(s->to, s->file, &at, MEGA, patience());
}

/* The file's number is a stranger's when there is room. */
TEST(sendfile_of_what_was_closed_meanwhile)
{
	static char buf[65536];
	struct sending s = { .file = mega_file(5) };
	int fd[2], secret = mega_file(6);
	tuck_id id;

	stream_pair(fd);
	CHECK_EQ(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
	CHECK_EQ(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
	stuff(fd[1]);
	s.to = fd[1];
	id = tuck_go(send_file, &s);
	settle();
	CHECK_EQ(tuck_fd_close(s.file), 0);
	CHECK_EQ(dup2(secret, s.file), s.file);
	while (tuck_read(fd[0], buf, sizeof(buf), TUCK_NOWAIT) > 0)
		;
	finish(id);
	CHECK_EQ(s.r, -EBADF);
}

/* -- errors -- */

static volatile sig_atomic_t pipe_signals;

static void on_sigpipe(int sig)
{
	(void)sig;
	pipe_signals++;
}

static void broken(int fd[2])
{
	struct linger now = { 1, 0 };
	struct pollfd p = { .events = POLLIN };

	tcp_pair(fd);
	setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd[0]);
	p.fd = fd[1];
	CHECK_EQ(poll(&p, 1, 20000), 1);
	CHECK_EQ(tuck_write(fd[1], "x", 1, TUCK_FOREVER), -ECONNRESET);
}

TEST(write_to_a_closed_socket_is_epipe_without_signal)
{
	struct iovec iov = { (char[]){ 'x' }, 1 };
	int fd[2];

	signal(SIGPIPE, on_sigpipe);
	broken(fd);
	CHECK_EQ(tuck_write(fd[1], "x", 1, TUCK_FOREVER), -EPIPE);
	CHECK_EQ(tuck_write_full(fd[1], "x", 1, TUCK_FOREVER), -EPIPE);
	CHECK_EQ(tuck_writev(fd[1], &iov, 1, TUCK_FOREVER), -EPIPE);
	stream_pair(fd);
	close(fd[0]);
	CHECK_EQ(tuck_write(fd[1], "x", 1, TUCK_FOREVER), -EPIPE);
	CHECK_EQ(tuck_writev(fd[1], &iov, 1, TUCK_FOREVER), -EPIPE);
	CHECK_EQ(pipe_signals, 0);
}

TEST(sendfile_to_a_closed_socket_is_epipe_without_signal)
{
	int fd[2], file = mega_file(1);
	off_t at = 0;

	signal(SIGPIPE, on_sigpipe);
	broken(fd);
	CHECK_EQ(tuck_sendfile(fd[1], file, &at, 1, TUCK_FOREVER), -EPIPE);
	CHECK_EQ(at, 0);
	CHECK_EQ(pipe_signals, 0);
}

/* The first bytes of a call go out, and what comes of them ends the call. */
TEST(a_connection_that_ends_within_a_sendfile_raises_no_signal)
{
	int fd[2], file = mega_file(1);
	off_t at = 0;
	ssize_t r;

	signal(SIGPIPE, on_sigpipe);
	for (int i = 0; i < 20; i++) {
		tcp_pair(fd);
		CHECK_EQ(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
		close(fd[0]);
		arrives(fd[1]);
		at = 0;
		do
			r = tuck_sendfile(fd[1], file, &at, MEGA, patience());
		while (r > 0);
		CHECK(r == -EPIPE || r == -ECONNRESET);
		CHECK_EQ(pipe_signals, 0);
		tuck_fd_close(fd[1]);
	}
}

TEST(write_to_a_closed_pipe_is_epipe)
{
	int fd[2];

	signal(SIGPIPE, SIG_IGN);
	pipe_pair(fd);
	close(fd[0]);
	CHECK_EQ(tuck_write(fd[1], "x", 1, TUCK_FOREVER), -EPIPE);
}

static void all_fail(int fd, tuck_ns deadline, int err)
{
	char c = 0;
	struct iovec iov = { &c, 1 };
	off_t at = 0;

	CHECK_EQ(tuck_read(fd, &c, 1, deadline), err);
	CHECK_EQ(tuck_read_full(fd, &c, 1, deadline), err);
	CHECK_EQ(tuck_readv(fd, &iov, 1, deadline), err);
	CHECK_EQ(tuck_write(fd, &c, 1, deadline), err);
	CHECK_EQ(tuck_write_full(fd, &c, 1, deadline), err);
	CHECK_EQ(tuck_writev(fd, &iov, 1, deadline), err);
	CHECK_EQ(tuck_sendfile(fd, fd, &at, 1, deadline), err);
	CHECK_EQ(tuck_fd_wait(fd, TUCK_READABLE, deadline), err);
}

TEST(bad_descriptors)
{
	int fd[2];

	pipe_pair(fd);		/* and the poller, which takes numbers */
	all_fail(-1, TUCK_FOREVER, -EBADF);
	CHECK_EQ(tuck_fd_wait(fd[0], TUCK_READABLE, 1), -ETIMEDOUT);
	close(fd[0]);
	close(fd[1]);
	all_fail(INT_MIN, TUCK_FOREVER, -EBADF);
	all_fail(fd[0], TUCK_FOREVER, -EBADF);
	all_fail(fd[1], TUCK_NOWAIT, -EBADF);
	CHECK_EQ(tuck_fd_close(-1), -EBADF);
	CHECK_EQ(tuck_fd_close(fd[0]), -EBADF);
	CHECK_EQ(tuck_fd_close(INT_MAX), -EBADF);
}

static long resident_pages(void)
{
	long size, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK(f && fscanf(f, "%ld %ld", &size, &resident) == 2);
	fclose(f);
	return resident;
}

TEST(large_bad_descriptor_costs_no_memory)
{
	long before;

	all_fail(-1, TUCK_FOREVER, -EBADF);
	before = resident_pages();
	all_fail(INT_MAX, TUCK_FOREVER, -EBADF);
	CHECK((resident_pages() - before) * 4096 < 16 << 20);
}

TEST(negative_deadline)
{
	int fd[2];

	stream_pair(fd);
	all_fail(fd[0], -1, -EINVAL);
	all_fail(fd[0], INT64_MIN, -EINVAL);
	CHECK(!(fcntl(fd[0], F_GETFL) & O_NONBLOCK));
}

TEST(wrong_kind_of_descriptor)
{
	int fd[2], dir = open("/", O_RDONLY | O_DIRECTORY);
	char c;

	CHECK_EQ(tuck_read(dir, &c, 1, TUCK_FOREVER), -EISDIR);
	pipe_pair(fd);
	CHECK_EQ(tuck_read(fd[1], &c, 1, TUCK_FOREVER), -EBADF);
	CHECK_EQ(tuck_write(fd[0], &c, 1, TUCK_FOREVER), -EBADF);
	raw_write(fd[1], "x", 1);
	CHECK_EQ(tuck_read(fd[0], NULL, 1, TUCK_FOREVER), -EFAULT);
	CHECK_EQ(tuck_read(fd[0], &c, 1, TUCK_FOREVER), 1);
}

TEST(wait_for_wrong_events)
{
	int fd[2];

	stream_pair(fd);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(tuck_fd_wait(fd[0], (int[]){ 0, 4, -1 }[i],
				      TUCK_FOREVER),
			 -EINVAL);
}

/* -- deadlines -- */

TEST(reads_keep_to_their_deadline)
{
	char c;
	struct iovec iov = { &c, 1 };

	for (size_t i = 0; i < 3; i++) {
		tuck_ns start, soon;
		int fd[2];

		pairs[i](fd);
		CHECK_EQ(tuck_read(fd[0], &c, 1, TUCK_NOWAIT), -EAGAIN);
		CHECK_EQ(tuck_read(fd[0], &c, 1, 1), -ETIMEDOUT);
		CHECK_EQ(tuck_readv(fd[0], &iov, 1, TUCK_NOWAIT), -EAGAIN);
		CHECK_EQ(tuck_readv(fd[0], &iov, 1, 1), -ETIMEDOUT);
		CHECK_EQ(tuck_fd_wait(fd[0], TUCK_READABLE, TUCK_NOWAIT),
			 -EAGAIN);
		CHECK_EQ(tuck_fd_wait(fd[0], TUCK_READABLE, 1), -ETIMEDOUT);
		start = tuck_now();
		soon = start + TUCK_MS(20);
		CHECK_EQ(tuck_read(fd[0], &c, 1, soon), -ETIMEDOUT);
		CHECK(tuck_now() >= soon && tuck_now() < start + TUCK_SEC(20));
		raw_write(fd[1], "abc", 3);
		arrives(fd[0]);
		CHECK_EQ(tuck_read(fd[0], &c, 1, TUCK_NOWAIT), 1);
		CHECK_EQ(tuck_read(fd[0], &c, 1, 1), 1);
		CHECK_EQ(tuck_read(fd[0], &c, 1, TUCK_FOREVER), 1);
		CHECK_EQ(c, 'c');
	}
}

TEST(writes_keep_to_their_deadline)
{
	char c = 'x';
	struct iovec iov = { &c, 1 };

	for (size_t i = 0; i < 3; i++) {
		tuck_ns start, soon;
		int fd[2];

		pairs[i](fd);
		shrink(fd);
		stuff(fd[1]);
		CHECK_EQ(tuck_writev(fd[1], &iov, 1, TUCK_NOWAIT), -EAGAIN);
		CHECK_EQ(tuck_writev(fd[1], &iov, 1, 1), -ETIMEDOUT);
		CHECK_EQ(tuck_fd_wait(fd[1], TUCK_WRITABLE, TUCK_NOWAIT),
			 -EAGAIN);
		start = tuck_now();
		soon = start + TUCK_MS(20);
		CHECK_EQ(tuck_write_full(fd[1], &c, 1, soon), -ETIMEDOUT);
		CHECK(tuck_now() >= soon && tuck_now() < start + TUCK_SEC(20));
		soon = tuck_after(TUCK_MS(5));
		CHECK_EQ(tuck_fd_wait(fd[1], TUCK_WRITABLE, soon), -ETIMEDOUT);
	}
}

/* What came in time is not refused because the deadline passed since. */
TEST(past_deadline_does_not_hide_what_is_there)
{
	char buf[8];
	int fd[2];

	shorten(fd);
	raw_write(fd[1], "abc", 3);
	CHECK_EQ(tuck_fd_wait(fd[0], TUCK_READABLE, TUCK_FOREVER),
		 TUCK_READABLE);
	CHECK_EQ(tuck_read(fd[0], buf, 8, 1), 3);
}

/* -- the hole -- */

#define HOLE_BUF 16384
#if SANITIZED || !defined(__OPTIMIZE__)
#define IDLE_BYTES 1200
#else
#define IDLE_BYTES 600
#endif

static void echo_once(void *arg)
{
	const int *fd = arg;
	char buf[HOLE_BUF];
	ssize_t r = tuck_read(*fd, buf, sizeof(buf), TUCK_FOREVER);

	CHECK_EQ(tuck_write_full(*fd, buf, (size_t)r, TUCK_FOREVER), r);
}

TEST(idle_reader_with_a_large_buffer_has_a_small_slice)
{
	int fd[100][2];
	struct tuck_stats stats;
	static char sent[HOLE_BUF], got[HOLE_BUF];

	share_slots(1);
	for (int i = 0; i < 100; i++) {
		stream_pair(fd[i]);
		CHECK(tuck_go(echo_once, &fd[i][0]) > 0);
	}
	settle();
	CHECK_EQ(tuck_stats(&stats), 0);
	CHECK(stats.slices >= 99);
	CHECK(stats.slice_bytes_max < IDLE_BYTES);
	CHECK(stats.slice_bytes < 100 * IDLE_BYTES);
	for (unsigned i = 0; i < 100; i++) {
		fill(sent, sizeof(sent), 0, i);
		raw_write(fd[i][1], sent, sizeof(sent));
	}
	for (unsigned i = 0; i < 100; i++) {
		CHECK_EQ(tuck_read_full(fd[i][1], got, HOLE_BUF, TUCK_FOREVER),
			 HOLE_BUF);
		check_filled(got, HOLE_BUF, 0, i);
	}
}

#define SIDE 300

struct hole {
	int fd;
	size_t lead, n;		/* of the buffer in the arena */
	unsigned seed;
	size_t expected;
	int full;
	tuck_ns deadline;
	ssize_t result;
};

/* What lies around the buffer is kept, and what was read is right. */
static void check_arena(const struct hole *h, const char *arena)
{
	size_t end = SIDE + h->lead + h->n;

	check_filled(arena, SIDE + h->lead, 0, 77);
	check_filled(arena + end, SIDE, end, 77);
	if (h->result > 0)
		check_filled(arena + SIDE + h->lead, (size_t)h->result, 0,
			     h->seed);
}

static void read_in_arena(void *arg)
{
	struct hole *h = arg;
	char arena[65536 + 32 + 2 * SIDE];
	char *buf = arena + SIDE + h->lead;

	fill(arena, sizeof(arena), 0, 77);
	if (h->full)
		h->result = tuck_read_full(h->fd, buf, h->n, h->deadline);
	else
		h->result = tuck_read(h->fd, buf, h->n, h->deadline);
	check_arena(h, arena);
	/* Now it is no hole any more: a switch keeps all of it. */
	fill(buf, h->n, 0, h->seed);
	h->result = (ssize_t)h->n;
	tuck_go(scribble, NULL);
	tuck_yield();
	tuck_yield();
	check_arena(h, arena);
	h->seed = 0;
}

static void try_hole(struct hole *h, int peer, size_t n_sent)
{
	static char sent[65536];
	tuck_id id = tuck_go(read_in_arena, h);

	fill(sent, n_sent, 0, h->seed);
	tuck_yield();			/* it parks, unless by random order */
	tuck_go(scribble, NULL);
	tuck_yield();
	for (size_t half = n_sent / 2; h->full && half; half = 0) {
		raw_write(peer, sent, half);
		settle();
		tuck_go(scribble, NULL);
		settle();
		raw_write(peer, sent + half, n_sent - half);
		n_sent = 0;
	}
	if (n_sent)
		raw_write(peer, sent, n_sent);
	finish(id);
	CHECK_EQ(h->seed, 0);
}

TEST(hole_of_every_size_and_alignment)
{
	static const size_t sizes[] = { 1,     2,     15,   16,	  17,	63,
					64,    65,    79,   80,	  81,	95,
					96,    97,    1000, 4095, 4096, 4097,
					16384, 65535, 65536 };
	struct hole h = { .deadline = TUCK_FOREVER };
	int fd[2];

	share_slots(1);
	stream_pair(fd);
	h.fd = fd[0];
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (h.lead = 0; h.lead < 18; h.lead++) {
			h.n = sizes[i];
			h.seed = (unsigned)(i * 18 + h.lead) + 100;
			try_hole(&h, fd[1], h.lead % 3 ? h.n : (h.n + 1) / 2);
		}
	}
}

TEST(hole_of_read_full_keeps_what_came_first)
{
	static const size_t sizes[] = { 20, 200, 2000, 20000, 65536 };
	struct hole h = { .deadline = TUCK_FOREVER, .full = 1 };
	int fd[2];

	share_slots(1);
	for (size_t i = 0; i < 5; i++) {
		stream_pair(fd);
		h.fd = fd[0];
		h.n = sizes[i];
		h.lead = i * 3;
		h.seed = (unsigned)i + 1;
		try_hole(&h, fd[1], h.n);
		tuck_fd_close(fd[0]);
		close(fd[1]);
	}
}

TEST(hole_ends_with_an_error_too)
{
	struct hole h = { .n = 16384, .lead = 5 };
	int fd[2];

	share_slots(1);
	stream_pair(fd);
	h.fd = fd[0];
	for (unsigned i = 0; i < 10; i++) {
		h.seed = i + 1;
		h.deadline = tuck_after(TUCK_MS(2));
		try_hole(&h, fd[1], 0);
	}
}

static void read_with_own_stack(void *arg)
{
	read_in_arena(arg);
}

TEST(hole_on_a_stack_of_its_own)
{
	struct tuck_attr attr = { .stack_bytes = 200000 };
	struct hole h = { .n = 5000, .seed = 8, .deadline = TUCK_FOREVER };
	char sent[5000];
	tuck_id id;
	int fd[2];

	stream_pair(fd);
	h.fd = fd[0];
	id = tuck_go_with(&attr, read_with_own_stack, &h);
	settle();
	fill(sent, sizeof(sent), 0, 8);
	raw_write(fd[1], sent, sizeof(sent));
	finish(id);
	CHECK_EQ(h.seed, 0);
}
