/* SPDX-License-Identifier: MIT */
/* Libc's calls on two descriptors at once, and odd ones: each waits alone. */
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>

#include "alone.h"

int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *limit,
		const sigset_t *mask, size_t room);

static int in[2], out[2];
static char much[1 << 16];

static void write_in(void)
{
	raw_write(in[1], "abc", 3);
}

static void by_ppoll_chk(void)
{
	struct pollfd p = { .fd = in[0], .events = POLLIN };
	struct timespec t = long_time();

	CHECK_EQ(__ppoll_chk(&p, 1, &t, NULL, sizeof(p)), 1);
	CHECK_EQ(p.revents, POLLIN);
}

/* Until nothing goes in. */
static void stuff_out(void)
{
	CHECK_EQ(fcntl(out[1], F_SETFL, O_NONBLOCK), 0);
	while (write(out[1], much, sizeof(much)) > 0)
		;
	CHECK_EQ(fcntl(out[1], F_SETFL, 0), 0);
}

static void drain_out(void)
{
	CHECK_EQ(fcntl(out[0], F_SETFL, O_NONBLOCK), 0);
	while (read(out[0], much, sizeof(much)) > 0)
		;
	CHECK_EQ(fcntl(out[0], F_SETFL, 0), 0);
}

static void pairs(bool in_is_socket, bool out_is_socket)
{
	in_is_socket ? stream_pair(in) : pipe_pair(in);
	out_is_socket ? stream_pair(out) : pipe_pair(out);
}

static void pipe_to_pipe(void)
{
	pairs(false, false);
}

static void pipe_to_socket(void)
{
	pairs(false, true);
}

static void socket_to_pipe(void)
{
	pairs(true, false);
}

static void pipe_to_full_pipe(void)
{
	pairs(false, false);
	write_in();
	stuff_out();
}

static void pipe_to_full_socket(void)
{
	pairs(false, true);
	write_in();
	stuff_out();
}

static void by_splice(void)
{
	CHECK_EQ(splice(in[0], NULL, out[1], NULL, 100, 0), 3);
	CHECK(!(fcntl(in[0], F_GETFL) & O_NONBLOCK));
	CHECK(!(fcntl(out[1], F_GETFL) & O_NONBLOCK));
	drain_out();
	CHECK_MEM(much, "abc", 3);
}

static void by_splice_after_much(void)
{
	CHECK_EQ(splice(in[0], NULL, out[1], NULL, 100, 0), 3);
	drain_out();
}

static void by_sendfile64(void)
{
	FILE *f = tmpfile();

	CHECK_EQ(fwrite("abc", 1, 3, f), 3);
	CHECK_EQ(fflush(f), 0);
	CHECK_EQ(lseek(fileno(f), 0, SEEK_SET), 0);
	CHECK_EQ(sendfile64(out[1], fileno(f), NULL, 3), 3);
	fclose(f);
}

static const eventfd_t most = UINT64_MAX - 1;
static int counter;

static void empty_counter(void)
{
	counter = eventfd(0, 0);
	CHECK(counter >= 0);
}

static void full_counter(void)
{
	empty_counter();
	CHECK_EQ(eventfd_write(counter, most), 0);
}

static void count_three(void)
{
	CHECK_EQ(eventfd_write(counter, 3), 0);
}

static void take_most(void)
{
	eventfd_t value;

	CHECK_EQ(eventfd_read(counter, &value), 0);
	CHECK(value == most);
}

static void by_eventfd_read(void)
{
	eventfd_t value;

	CHECK_EQ(eventfd_read(counter, &value), 0);
	CHECK_EQ(value, 3);
	close(counter);
}

static void by_eventfd_write(void)
{
	count_three();
	by_eventfd_read();
}

HOOKED_TEST(descriptors)
{
	static const struct call calls[] = {
		{ "__ppoll_chk", pipe_to_pipe, by_ppoll_chk, write_in },
		{ "splice", pipe_to_pipe, by_splice, write_in },
		{ "splice to a socket", pipe_to_socket, by_splice, write_in },
		{ "splice from a socket", socket_to_pipe, by_splice, write_in },
		{ "splice to a full pipe", pipe_to_full_pipe,
		  by_splice_after_much, drain_out },
		{ "splice to a full socket", pipe_to_full_socket,
		  by_splice_after_much, drain_out },
		{ "sendfile64", pipe_to_full_socket, by_sendfile64, drain_out },
		{ "eventfd_read", empty_counter, by_eventfd_read, count_three },
		{ "eventfd_write", full_counter, by_eventfd_write, take_most },
	};

	CHECK_ALONE(calls);
}

static void check_splice(int err)
{
	CHECK_EQ(splice(in[0], NULL, out[1], NULL, 9, 0), -1);
	CHECK_EQ(errno, err);
}

HOOKED_TEST(splice_says_what_the_kernel_says)
{
	struct timeval tv = { 0, 20000 };
	int spare[2];

	pairs(false, false);
	CHECK_EQ(splice(in[0], NULL, out[1], NULL, 9, SPLICE_F_NONBLOCK), -1);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(splice(in[0], NULL, out[1], NULL, 0, 0), 0);
	CHECK_EQ(fcntl(out[1], F_SETFL, O_NONBLOCK), 0);
	check_splice(EAGAIN);
	CHECK_EQ(fcntl(out[1], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	close(in[1]);
	CHECK_EQ(splice(in[0], NULL, out[1], NULL, 9, 0), 0);
	pairs(true, true);
	check_splice(EINVAL);
	pairs(true, false);
	CHECK_EQ(setsockopt(in[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)),
		 0);
	check_splice(EAGAIN);
	CHECK_EQ(fcntl(in[0], F_SETFL, O_NONBLOCK), 0);
	check_splice(EAGAIN);
	pipe_pair(spare);
	close(in[0]);
	check_splice(EBADF);
}

static void wait_for_close(void)
{
	char c;

	CHECK_EQ(read(in[0], &c, 1), -1);
	CHECK_EQ(errno, EBADF);
}

static void move_up(void)
{
	int top = fcntl(in[0], F_DUPFD, 900);

	CHECK(top >= 900);
	close(in[0]);
	in[0] = top;
}

static void close_all_from(void)
{
	closefrom(in[0]);
	CHECK_EQ(fcntl(in[0], F_GETFD), -1);
}

static void pair_far_up(void)
{
	pairs(true, true);
	move_up();
}

HOOKED_TEST(closefrom_ends_waits)
{
	static const struct call calls[] = {
		{ "read", pair_far_up, wait_for_close, close_all_from },
	};

	CHECK_ALONE(calls);
}
