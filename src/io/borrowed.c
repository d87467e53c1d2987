/* SPDX-License-Identifier: MIT */
/*
 * Borrowed descriptors: those that came here blocking, as standard input does,
 * or that a child was given.
 * O_NONBLOCK is a flag of the open file description, which the shell and all
 * other programs of a terminal or a pipeline have, too; their reads would then
 * fail with EAGAIN, long after this process. So it is not set: RWF_NOWAIT says
 * the same for one call, and where the kernel has none for a descriptor
 * (terminals; pipes before Linux 6.5), poll(2) is asked first.
 *
 * Invariants:
 * 1. Where poll(2) is asked, output is no longer than what is certain not to
 *    block when it says that there is room: PIPE_BUF for a pipe. A terminal
 *    has no such number; of TTY_ROOM bytes the last may wait for it to be
 *    read.
 * 2. If another process takes the input between poll(2) and the read, the
 *    read waits for more. Two procs that read the same terminal are the same.
 *
 * Why not otherwise: to set the flag and put it back at the end leaves it set
 * while others run, and for good after a SIGKILL. A description of our own,
 * by opening the descriptor's name in /proc, keeps a pipe from its end when
 * the program closes the number it knows, and cannot be had for a terminal of
 * another user's. What one read of 8 bytes of a pipe that was written to costs,
 * the write included: O_NONBLOCK 730 ns, RWF_NOWAIT 840, poll first 1,020.
 */
#include <fcntl.h>
#include <unistd.h>

#include "io/try.h"

#define TTY_ROOM 256

static bool lacks_nowait(ssize_t r)
{
	return r < 0 && (errno == EOPNOTSUPP || errno == ENOSYS);
}

/* Else what would be waited for never comes. */
static int check_open_for(int fd, int events)
{
	int mode = fcntl(fd, F_GETFL) & O_ACCMODE;

	return mode == (events == TUCK_READABLE ? O_WRONLY : O_RDONLY) ?
		       -EBADF :
		       -EAGAIN;
}

bool tuck__borrowed_ready(int fd, int events)
{
	int r = tuck__ready_events(fd, events);

	if (r == -EAGAIN)
		r = check_open_for(fd, events);
	if (r < 0)
		errno = -r;
	return r > 0;
}

ssize_t tuck__borrowed_readv(int fd, struct tuck__fd *f,
			     const struct iovec *iov, int n)
{
	ssize_t r;

	if (!(f->bits & TUCK__FD_POLLED)) {
		r = preadv2(fd, iov, n, -1, RWF_NOWAIT);
		if (!lacks_nowait(r))
			return r;
		f->bits |= TUCK__FD_POLLED;
	}
	return tuck__borrowed_ready(fd, TUCK_READABLE) ? readv(fd, iov, n) : -1;
}

static ssize_t write_little(int fd, const struct iovec *iov, int n)
{
	size_t most = isatty(fd) ? TTY_ROOM : PIPE_BUF;

	if (tuck__total(iov, (size_t)n) <= most)
		return writev(fd, iov, n);
	while (iov->iov_len == 0)
		iov++;
	return write(fd, iov->iov_base,
		     iov->iov_len < most ? iov->iov_len : most);
}

ssize_t tuck__borrowed_writev(int fd, struct tuck__fd *f,
			      const struct iovec *iov, int n)
{
	ssize_t r;

	if (!(f->bits & TUCK__FD_POLLED)) {
		r = pwritev2(fd, iov, n, -1, RWF_NOWAIT);
		if (!lacks_nowait(r))
			return r;
		f->bits |= TUCK__FD_POLLED;
	}
	return tuck__borrowed_ready(fd, TUCK_WRITABLE) ?
		       write_little(fd, iov, n) :
		       -1;
}
