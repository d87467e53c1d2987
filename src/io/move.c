/* SPDX-License-Identifier: MIT */
/* What moves bytes without a buffer of the program's: sendfile, splice. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io/try.h"

#define COPY_MAX 16384
#define SOON TUCK_US(50)

/* One end: its number, and what its last look gave for the next. */
struct end {
	int fd, seen;
};

/* sendfile(2), splice(2) and writev(2) have no MSG_NOSIGNAL. */
static sigset_t sigpipe(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	return set;
}

static void block_sigpipe(sigset_t *ret_was)
{
	const sigset_t set = sigpipe();

	pthread_sigmask(SIG_BLOCK, &set, ret_was);
}

/*
 * What a call gave that was to move n bytes: the signal also comes when the
 * connection ended after the first of them.
 */
static void unblock_sigpipe(const sigset_t *was, ssize_t r, size_t n)
{
	const struct timespec now = { 0, 0 };
	const sigset_t set = sigpipe();
	bool may = r == -EPIPE || (r > 0 && (size_t)r < n);

	if (may && !sigismember(was, SIGPIPE))
		sigtimedwait(&set, NULL, &now);
	pthread_sigmask(SIG_SETMASK, was, NULL);
}

ssize_t tuck__writev_quietly(int fd, struct tuck__fd *f,
			     const struct iovec *iov, int n)
{
	sigset_t was;
	ssize_t r;
	int err;

	block_sigpipe(&was);
	r = f->bits & TUCK__FD_BLOCKS ? tuck__borrowed_writev(fd, f, iov, n) :
					writev(fd, iov, n);
	err = errno;
	unblock_sigpipe(&was, r < 0 ? -err : 0, 0);
	errno = err;
	return r;
}

/*
 * The same for one that stays as it is. sendfile(2) has no flag for a single
 * call: so the bytes go through a buffer, from where they can be written.
 */
static tuck__noinline ssize_t copy_file(int fd, struct tuck__fd *f, int file_fd,
					int64_t *offset, size_t n)
{
	char buf[COPY_MAX];
	off_t at = offset ? *offset : lseek(file_fd, 0, SEEK_CUR);
	struct iovec iov = { buf, n < sizeof(buf) ? n : sizeof(buf) };
	ssize_t r = at < 0 ? -1 : pread(file_fd, buf, iov.iov_len, at);

	if (r <= 0)
		return r;
	iov.iov_len = (size_t)r;
	if (f->bits & TUCK__FD_SOCKET)
		r = send(fd, buf, iov.iov_len, TUCK__SEND_FLAGS);
	else
		r = tuck__borrowed_writev(fd, f, &iov, 1);
	if (r > 0 && offset)
		*offset = at + r;
	else if (r > 0)
		lseek(file_fd, at + r, SEEK_SET);
	return r;
}

/* Its number may be a stranger's after a wait for the other end. */
static int look_at_file(struct end *e)
{
	int r = tuck__fd_closing(e->fd, e->seen);

	if (r < 0)
		return r;
	e->seen = r;
	return 0;
}

static tuck__noinline ssize_t try_sendfile(int fd, struct end *file,
					   int64_t *offset, size_t n,
					   tuck_ns deadline, int woken)
{
	struct tuck__fd *f;
	ssize_t r = tuck__try(fd, deadline, woken, &f);
	sigset_t was;

	if (r == 0)
		r = look_at_file(file);
	if (r < 0)
		return r;
	block_sigpipe(&was);
	do
		r = f->bits & TUCK__FD_BLOCKS ?
			    copy_file(fd, f, file->fd, offset, n) :
			    sendfile(fd, file->fd, offset, n);
	while (r < 0 && errno == EINTR);
	r = r < 0 ? -errno : r;
	unblock_sigpipe(&was, r, n);
	return r;
}

ssize_t tuck_sendfile(int fd, int file_fd, int64_t *offset, size_t n,
		      tuck_ns deadline)
{
	struct end file = { file_fd, TUCK__FD_FIRST };
	ssize_t r = TUCK__FD_FIRST;

	do
		r = try_sendfile(fd, &file, offset, n, deadline, (int)r);
	while (tuck__would_block(r, deadline) &&
	       (r = tuck__wait_output(fd, deadline)) >= 0);
	return tuck__breathe(r);
}

/* -- splice -- */

/* -EAGAIN: to splice from it would block. */
static int look_for_input(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/*
 * SPLICE_F_NONBLOCK is about pipes. What comes from elsewhere is there when
 * poll(2) says so, but of a socket that may be about its error queue; how much
 * an output takes, poll(2) does not say.
 */
static int see_to_borrowed(int fd, struct tuck__fd *f, int events)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode))
		return 0;
	if (events == TUCK_WRITABLE)
		return tuck__fd_unblock(fd, f);
	if (f->bits & TUCK__FD_SOCKET)
		return look_for_input(fd);
	return tuck__borrowed_ready(fd, events) ? 0 : -errno;
}

/* It is as it was, and does not block: 0 or an error. */
static int look_at(struct end *e, int events, tuck_ns deadline)
{
	struct tuck__fd *f;
	int r = tuck__try(e->fd, deadline, e->seen, &f);

	if (r < 0)
		return r;
	e->seen = tuck__fd_seen(f);
	if (tuck__likely(!(f->bits & TUCK__FD_BLOCKS)))
		return 0;
	return see_to_borrowed(e->fd, f, events);
}

static ssize_t splice_once(int from, int to, size_t n)
{
	sigset_t was;
	ssize_t r;

	block_sigpipe(&was);
	do
		r = splice(from, NULL, to, NULL, n,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (r < 0 && errno == EINTR);
	r = r < 0 ? -errno : r;
	unblock_sigpipe(&was, r, n);
	return r;
}

static tuck__noinline ssize_t try_splice(struct end *from, struct end *to,
					 size_t n, tuck_ns deadline)
{
	int r = look_at(from, TUCK_READABLE, deadline);

	if (r == 0)
		r = look_at(to, TUCK_WRITABLE, deadline);
	return r < 0 ? r : splice_once(from->fd, to->fd, n);
}

/* An error that splice(2) does not tell lies in a socket's error queue. */
static bool lacks(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, 0) == 0 || p.revents == POLLERR;
}

/* splice(2) does not say which end was not ready. */
static tuck__noinline int wait_for_either(const struct end *from,
					  const struct end *to,
					  tuck_ns deadline)
{
	if (lacks(from->fd, POLLIN | POLLRDHUP))
		return tuck__fd_park(tuck__tls, from->fd, TUCK_READABLE,
				     deadline);
	if (lacks(to->fd, POLLOUT))
		return tuck__fd_park(tuck__tls, to->fd, TUCK_WRITABLE,
				     deadline);
	if (deadline <= tuck_now())
		return -ETIMEDOUT;
	return tuck_sleep(tuck_after(SOON));	/* both are, by now */
}

ssize_t tuck_splice(int from_fd, int to_fd, size_t n, tuck_ns deadline)
{
	struct end from = { from_fd, TUCK__FD_FIRST };
	struct end to = { to_fd, TUCK__FD_FIRST };
	ssize_t r;

	do
		r = try_splice(&from, &to, n, deadline);
	while (tuck__would_block(r, deadline) &&
	       (r = wait_for_either(&from, &to, deadline)) >= 0);
	return tuck__breathe(r);
}
