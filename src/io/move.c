/* SPDX-License-Identifier: MIT */
/* What moves bytes without a buffer of the program's: sendfile, splice. */
#include <fcntl.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <time.h>

#include "io/try.h"

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

static void unblock_sigpipe(const sigset_t *was, bool came)
{
	const struct timespec now = { 0, 0 };
	const sigset_t set = sigpipe();

	if (came && !sigismember(was, SIGPIPE))
		sigtimedwait(&set, NULL, &now);
	pthread_sigmask(SIG_SETMASK, was, NULL);
}

ssize_t tuck__writev_quietly(int fd, const struct iovec *iov, int n)
{
	sigset_t was;
	ssize_t r;
	int err;

	block_sigpipe(&was);
	r = writev(fd, iov, n);
	err = errno;
	unblock_sigpipe(&was, r < 0 && err == EPIPE);
	errno = err;
	return r;
}

static tuck__noinline ssize_t try_sendfile(int fd, int file_fd, int64_t *offset,
					   size_t n, tuck_ns deadline,
					   int woken)
{
	struct tuck__fd *f;
	ssize_t r = tuck__try(fd, deadline, woken, &f);
	sigset_t was;

	if (r == 0)
		r = tuck__fd_unblock(fd, f);
	if (r < 0)
		return r;
	block_sigpipe(&was);
	do
		r = sendfile(fd, file_fd, offset, n);
	while (r < 0 && errno == EINTR);
	r = r < 0 ? -errno : r;
	unblock_sigpipe(&was, r == -EPIPE);
	return r;
}

ssize_t tuck_sendfile(int fd, int file_fd, int64_t *offset, size_t n,
		      tuck_ns deadline)
{
	ssize_t r = TUCK__FD_FIRST;

	do
		r = try_sendfile(fd, file_fd, offset, n, deadline, (int)r);
	while (tuck__would_block(r, deadline) &&
	       (r = tuck__wait_output(fd, deadline)) >= 0);
	return tuck__breathe(r);
}

/* -- splice -- */

/* One end: its number, and what its last look gave for the next. */
struct end {
	int fd, seen;
};

/* It is as it was, and does not block: 0 or an error. */
static int look_at(struct end *e, tuck_ns deadline)
{
	struct tuck__fd *f;
	int r = tuck__try(e->fd, deadline, e->seen, &f);

	if (r < 0)
		return r;
	e->seen = tuck__fd_seen(f);
	return tuck__fd_unblock(e->fd, f);
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
	unblock_sigpipe(&was, r == -EPIPE);
	return r;
}

static tuck__noinline ssize_t try_splice(struct end *from, struct end *to,
					 size_t n, tuck_ns deadline)
{
	int r = look_at(from, deadline);

	if (r == 0)
		r = look_at(to, deadline);
	return r < 0 ? r : splice_once(from->fd, to->fd, n);
}

/* splice(2) does not say which end was not ready. */
static tuck__noinline int wait_for_either(const struct end *from,
					  const struct end *to,
					  tuck_ns deadline)
{
	if (tuck__ready_events(from->fd, TUCK_READABLE) == -EAGAIN)
		return tuck__fd_park(tuck__tls, from->fd, TUCK_READABLE,
				     deadline);
	if (tuck__ready_events(to->fd, TUCK_WRITABLE) == -EAGAIN)
		return tuck__fd_park(tuck__tls, to->fd, TUCK_WRITABLE,
				     deadline);
	tuck_yield();		/* both are, by now */
	return 0;
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
