/* SPDX-License-Identifier: MIT */
/* Corners of libc's calls where the kernel says more than the usual. */
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

#include "hooked.h"

#define LARGE (1 << 20)

ssize_t __read_chk(int fd, void *p, size_t n, size_t room);
ssize_t __recv_chk(int fd, void *p, size_t n, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *p, size_t n, size_t room, int flags,
		       struct sockaddr *from, socklen_t *len);

static int fds[2];
static char large[LARGE];

static void set_limit(int fd, int name, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	CHECK_EQ(setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv)), 0);
}

/* -- writing -- */

static volatile sig_atomic_t pipes_broken;
static ssize_t written;
static int ended;

static void count_sigpipe(int sig)
{
	(void)sig;
	pipes_broken++;
}

static void write_all(void *arg)
{
	struct iovec iov[2] = { { large, LARGE / 2 }, { large, LARGE / 2 } };

	written = arg ? writev(fds[0], iov, 2) : write(fds[0], large, LARGE);
	ended = 1;
}

HOOKED_TEST(what_went_in_part_is_no_broken_pipe)
{
	signal(SIGPIPE, count_sigpipe);
	for (int i = 0; i < 2; i++) {
		stream_pair(fds);
		ended = 0;
		go(write_all, i ? &ended : NULL);
		settle();
		CHECK_EQ(ended, 0);
		close(fds[1]);
		WAIT_FOR(ended);
		CHECK(written > 0 && written < LARGE);
		CHECK_EQ(pipes_broken, i);
		write_all(i ? &ended : NULL);
		CHECK_EQ(written, -1);
		CHECK_EQ(pipes_broken, i + 1);
	}
}

/* Full but for a page. */
static void leave_a_page(int fd[2])
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	CHECK(page <= LARGE);
	pipe_pair(fd);
	CHECK_EQ(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
	while (write(fd[1], large, page) > 0)
		;
	CHECK_EQ(fcntl(fd[1], F_SETFL, 0), 0);
	CHECK_EQ(read(fd[0], large, page), (ssize_t)page);
}

static void write_two_parts(void *arg)
{
	struct iovec iov[2] = { { large, PIPE_BUF / 2 },
				{ large, PIPE_BUF / 2 } };

	(void)arg;
	written = writev(fds[1], iov, 2);
	ended++;
}

/* Else the second part would wait for more room, and others come between. */
HOOKED_TEST(what_a_pipe_takes_at_once_is_written_in_one_piece)
{
	leave_a_page(fds);
	go(write_two_parts, NULL);
	WAIT_FOR(ended == 1);
	CHECK_EQ(written, PIPE_BUF);
}

/* As _FORTIFY_SOURCE has it. */
TEST(a_read_beyond_its_buffer_ends_the_program)
{
	char buf[9];

	needs_hook();
	stream_pair(fds);
	raw_write(fds[1], "too long", 9);
	CHECK_DIES(-SIGABRT, "buffer overflow", {
		CHECK(tuck_self() > 0);
		CHECK_EQ(__read_chk(fds[0], buf, 9, 3), 0);
	});
	CHECK_DIES(-SIGABRT, "buffer overflow", {
		CHECK(tuck_self() > 0);
		CHECK_EQ(__recv_chk(fds[0], buf, 9, 3, 0), 0);
	});
	CHECK_DIES(-SIGABRT, "buffer overflow", {
		CHECK(tuck_self() > 0);
		CHECK_EQ(__recvfrom_chk(fds[0], buf, 9, 3, 0, NULL, NULL), 0);
	});
}

/* A FIFO that nobody writes to is at its end, whatever poll() says. */
HOOKED_TEST(a_fifo_without_a_writer_is_at_its_end)
{
	char dir[] = "/tmp/tuck-XXXXXX", path[64], c;
	struct iovec iov = { &c, 1 };
	int fd, err;

	CHECK(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	CHECK_EQ(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	err = unlink(path) | rmdir(dir);
	CHECK_EQ(err, 0);
	CHECK(fd >= 0);
	CHECK_EQ(read(fd, &c, 1), 0);
	CHECK_EQ(readv(fd, &iov, 1), 0);
}

HOOKED_TEST(sendfile_of_nothing_looks_all_the_same)
{
	CHECK_EQ(sendfile(-1, -1, NULL, 0), -1);
	CHECK_EQ(errno, EBADF);
}

/* -- connect -- */

HOOKED_TEST(who_was_refused_may_try_again)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int listener = socket(AF_INET, SOCK_STREAM, 0),
	    fd = socket(AF_INET, SOCK_STREAM, 0);
	const struct sockaddr *to = (const void *)&addr;
	socklen_t len = sizeof(addr);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQ(bind(listener, to, len), 0);
	CHECK_EQ(getsockname(listener, (void *)&addr, &len), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(connect(fd, to, len), -1);
		CHECK_EQ(errno, ECONNREFUSED);
	}
	CHECK_EQ(listen(listener, 1), 0);
	CHECK_EQ(connect(fd, to, len), 0);
	CHECK_EQ(connect(fd, to, len), -1);
	CHECK_EQ(errno, EISCONN);
}

static struct sockaddr_in far;		/* where no connection is answered */
static int connected;

static void connect_far(void *fd)
{
	CHECK_EQ(connect((int)(intptr_t)fd, (void *)&far, sizeof(far)), 0);
	connected = 1;
}

/* The kernel asks again after a second or more. */
HOOKED_TEST(a_connection_that_is_not_answered_waits_alone)
{
	int listener = raw_listen(&far), fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[TUCK_ADDR_TEXT];
	struct tuck_addr addr;

	CHECK_EQ(tuck_addr_local(listener, &addr), 0);
	CHECK_EQ(listen(listener, 1), 0);
	fill_backlog(listener, tuck_addr_format(&addr, text, sizeof(text)));
	set_limit(fd, SO_SNDTIMEO, 20);
	CHECK_EQ(connect(fd, (void *)&far, sizeof(far)), -1);
	CHECK_EQ(errno, EINPROGRESS);
	set_limit(fd, SO_SNDTIMEO, 0);
	go(connect_far, (void *)(intptr_t)fd);
	settle();
	CHECK_EQ(connected, 0);
	CHECK_EQ(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
	WAIT_FOR((accept(listener, NULL, NULL), connected));
	CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
}

static atomic_bool enough;

static void do_nothing(int sig)
{
	(void)sig;
}

static void *interrupt_often(void *thread)
{
	while (!atomic_load(&enough)) {
		usleep(2000);
		pthread_kill(*(pthread_t *)thread, SIGUSR1);
	}
	return NULL;
}

/* Where no event would tell, and it is tried again and again. */
HOOKED_TEST(a_signal_interrupts_what_is_tried_again)
{
	struct sigaction action = { .sa_handler = do_nothing };
	struct sockaddr_un box = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), r;
	pthread_t thread, self = pthread_self();

	snprintf(box.sun_path + 1, sizeof(box.sun_path) - 1, "tuck-posix-%d",
		 (int)getpid());
	CHECK_EQ(bind(listener, (struct sockaddr *)&box, sizeof(box)), 0);
	CHECK_EQ(listen(listener, 0), 0);
	CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	CHECK_EQ(pthread_create(&thread, NULL, interrupt_often, &self), 0);
	do
		r = connect(socket(AF_UNIX, SOCK_STREAM, 0),
			    (struct sockaddr *)&box, sizeof(box));
	while (r == 0);
	CHECK_EQ(errno, EINTR);
	atomic_store(&enough, true);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* -- select and its like -- */

static void write_one(void *arg)
{
	(void)arg;
	raw_write(fds[1], "x", 1);
}

/* More than the set has bits, as getdtablesize() may be. */
HOOKED_TEST(select_looks_no_further_than_the_kernel)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fd_set *in;

	CHECK(pages != MAP_FAILED);
	CHECK_EQ(mprotect(pages + page, page, PROT_NONE), 0);
	in = (fd_set *)(void *)(pages + page - sizeof(*in));
	stream_pair(fds);
	go(write_one, NULL);
	FD_SET(fds[0], in);
	CHECK_EQ(select(1 << 20, in, NULL, NULL, NULL), 1);
	CHECK(FD_ISSET(fds[0], in));
	CHECK_EQ(select(INT_MAX, in, NULL, NULL, NULL), 1);
}

static int epoll_fd;
static const struct timespec no_time;

static int ask_poll(void)
{
	struct pollfd p = { .fd = fds[0], .events = POLLIN };

	return poll(&p, 1, 0);
}

static int ask_ppoll(void)
{
	struct pollfd p = { .fd = fds[0], .events = POLLIN };

	return ppoll(&p, 1, &no_time, NULL);
}

static int ask_select(void)
{
	struct timeval t = { 0, 0 };
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fds[0], &in);
	return select(fds[0] + 1, &in, NULL, NULL, &t);
}

static int ask_epoll(void)
{
	struct epoll_event e;

	return epoll_wait(epoll_fd, &e, 1, 0);
}

static int ask_epoll_pwait(void)
{
	struct epoll_event e;
	sigset_t none;

	sigemptyset(&none);
	return epoll_pwait(epoll_fd, &e, 1, 0, &none);
}

static int tasklets(void)
{
	struct tuck_stats stats;

	CHECK_EQ(tuck_stats(&stats), 0);
	return (int)stats.tasklets;
}

/* And costs no more than that. */
HOOKED_TEST(who_asks_in_a_loop_lets_others_run)
{
	static int (*const asks[])(void) = { ask_poll, ask_ppoll, ask_select,
					     ask_epoll, ask_epoll_pwait };
	struct epoll_event e = { .events = EPOLLIN };
	tuck_ns end = patience();
	char c;

	stream_pair(fds);
	epoll_fd = epoll_create1(0);
	CHECK_EQ(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[0], &e), 0);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(asks[i](), 0);
		CHECK_EQ(tasklets(), 1);
		go(write_one, NULL);
		while (asks[i]() == 0)
			CHECK(tuck_now() < end);
		CHECK_EQ(read(fds[0], &c, 1), 1);
	}
}

/* -- splice -- */

HOOKED_TEST(splice_from_a_unix_socket_heeds_its_flag)
{
	int ends[2];

	stream_pair(fds);
	pipe_pair(ends);
	set_limit(fds[0], SO_RCVTIMEO, 20);
	for (int i = 0; i < 2; i++) {
		tuck_ns start = tuck_now();

		CHECK_EQ(splice(fds[0], NULL, ends[1], NULL, 9,
				i ? SPLICE_F_NONBLOCK : 0),
			 -1);
		CHECK_EQ(errno, EAGAIN);
		if (i == 0)
			CHECK(tuck_now() - start >= TUCK_MS(20));
	}
	set_limit(fds[0], SO_RCVTIMEO, 0);
	CHECK_EQ(splice(fds[0], NULL, ends[1], NULL, 9, SPLICE_F_NONBLOCK), -1);
	CHECK_EQ(errno, EAGAIN);
}

/* -- handlers that are left by a jump -- */

static sigjmp_buf jump;
static int ran, ran_inside = -1;

static void leave_handler(int sig)
{
	(void)sig;
	siglongjmp(jump, 1);
}

static void yield_in_handler(int sig)
{
	(void)sig;
	sched_yield();
	ran_inside = ran;
}

/* With a frame that is larger than what is above it later. */
static __attribute__((__noinline__)) void raise_deep(int sig)
{
	char frame[8192];

	fill(frame, sizeof(frame), 0, 1);
	raise(sig);
	check_filled(frame, sizeof(frame), 0, 1);
}

static void leave_one(void)
{
	signal(SIGUSR2, yield_in_handler);
	signal(SIGUSR1, leave_handler);
	if (sigsetjmp(jump, 1) == 0)
		raise_deep(SIGUSR1);
}

static void run(void *arg)
{
	(void)arg;
	ran = 1;
}

HOOKED_TEST(nobody_switches_in_a_handler_after_one_that_was_left)
{
	go(run, NULL);
	leave_one();
	raise(SIGUSR2);
	CHECK_EQ(ran_inside, 0);
	sched_yield();
	WAIT_FOR(ran == 1);
}

static void read_closed(void *arg)
{
	char c;

	(void)arg;
	CHECK_EQ(read(fds[0], &c, 1), -1);
	CHECK_EQ(errno, EBADF);
}

HOOKED_TEST(a_close_is_told_after_a_handler_that_was_left)
{
	tuck_id id;

	stream_pair(fds);
	leave_one();
	id = go(read_closed, NULL);
	settle();
	CHECK_EQ(close(fds[0]), 0);
	finish(id);
}
