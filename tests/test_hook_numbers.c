/* SPDX-License-Identifier: MIT */
/*
 * Numbers of descriptors that mean another file before a call has tried again:
 * it is told EBADF, and leaves what came next alone.
 */
#include <sys/sendfile.h>
#include <sys/un.h>

#include "hooked.h"

static int fds[2], next[2];

/* What fds[0] was is next[0] now. */
static void use_again(void)
{
	CHECK_EQ(close(fds[0]), 0);
	CHECK_EQ(fcntl(next[0], F_DUPFD, fds[0]), fds[0]);
}

/* -- one who was woken, and has not had its turn -- */

static int readers;

/* Both are woken for one byte; the first has it, and closes. */
static void read_one(void *arg)
{
	char c = 0;
	ssize_t r = read(fds[0], &c, 1);

	(void)arg;
	if (readers++ == 0) {
		CHECK_EQ(r, 1);
		use_again();
	} else {
		CHECK_EQ(r, -1);
		CHECK_EQ(errno, EBADF);
	}
}

HOOKED_TEST(who_was_woken_does_not_read_from_the_next_file)
{
	tuck_id ids[2];
	char c;

	stream_pair(fds);
	stream_pair(next);
	raw_write(next[1], "n", 1);
	for (int i = 0; i < 2; i++)
		ids[i] = go(read_one, NULL);
	settle();
	raw_write(fds[1], "x", 1);
	for (int i = 0; i < 2; i++)
		finish(ids[i]);
	CHECK_EQ(recv(next[0], &c, 1, MSG_DONTWAIT), 1);
	CHECK_EQ(c, 'n');
}

/* -- a call of two descriptors, which waits for the other one -- */

static int ends[2];

static void splice_in_vain(void *arg)
{
	(void)arg;
	CHECK_EQ(splice(ends[0], NULL, fds[0], NULL, 1, 0), -1);
	CHECK_EQ(errno, EBADF);
}

HOOKED_TEST(splice_does_not_write_to_the_next_file)
{
	tuck_id id;
	char c;

	stream_pair(fds);
	stream_pair(next);
	pipe_pair(ends);
	id = go(splice_in_vain, NULL);
	settle();
	use_again();
	raw_write(ends[1], "x", 1);
	finish(id);
	CHECK_EQ(recv(next[1], &c, 1, MSG_DONTWAIT), -1);
}

static int out[2];

static void send_in_vain(void *arg)
{
	(void)arg;
	CHECK_EQ(sendfile(out[0], fds[0], NULL, 1), -1);
	CHECK_EQ(errno, EBADF);
}

static int file_of(const char *text)
{
	FILE *f = tmpfile();

	CHECK(f);
	CHECK(fputs(text, f) >= 0);
	rewind(f);
	return fileno(f);
}

HOOKED_TEST(sendfile_does_not_read_the_next_file)
{
	tuck_id id;

	stream_pair(out);
	fds[0] = file_of("old");
	next[0] = file_of("new");
	stuff(out[0]);
	id = go(send_in_vain, NULL);
	settle();
	use_again();
	finish(id);
}

/* -- no event would tell: it looks again soon -- */

static struct sockaddr_un full = { .sun_family = AF_UNIX };
static socklen_t full_len;
static int full_fd;

static int datagrams(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	CHECK(fd >= 0);
	return fd;
}

/* A name of the abstract kind, which the kernel chooses. */
static void fill_up(void)
{
	socklen_t len = sizeof(full.sun_family);
	int fd = datagrams();

	full_fd = datagrams();
	CHECK_EQ(bind(full_fd, (struct sockaddr *)&full, len), 0);
	full_len = sizeof(full);
	CHECK_EQ(getsockname(full_fd, (struct sockaddr *)&full, &full_len), 0);
	while (sendto(fd, "f", 1, MSG_DONTWAIT, (struct sockaddr *)&full,
		      full_len) == 1)
		;
}

static void send_to_full(void *arg)
{
	(void)arg;
	CHECK_EQ(sendto(fds[0], "x", 1, 0, (struct sockaddr *)&full, full_len),
		 -1);
	CHECK_EQ(errno, EBADF);
}

HOOKED_TEST(sendto_does_not_go_on_with_the_next_file)
{
	tuck_id id;
	char c = 'f';

	fill_up();
	fds[0] = datagrams();
	next[0] = datagrams();
	id = go(send_to_full, NULL);
	settle();
	use_again();
	while (c == 'f' && recv(full_fd, &c, 1, MSG_DONTWAIT) == 1)
		;
	finish(id);
	CHECK_EQ(c, 'f');
}
