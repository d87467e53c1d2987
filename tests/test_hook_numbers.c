/* SPDX-License-Identifier: MIT */
/*
 * Numbers of descriptors that mean another file before a call has tried again:
 * it is told EBADF, and leaves what came next alone.
 */
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
