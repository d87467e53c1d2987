/* SPDX-License-Identifier: MIT */
/*
 * Files that are open: read, write, sync, truncate.
 *
 * Data crosses in the block of an offloaded call, a piece at a time, so no
 * worker ever has a buffer of the caller's (rule S3). What is in the page
 * cache is read without a worker: the call cannot block then. A transfer of
 * more than a piece ends where the number is closed between two of them: it
 * may be another file's.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <tuck/file.h>
#include <unistd.h>

#include "io/offload.h"
#include "io/try.h"

#define PIECE		((size_t)256 * 1024)
#define NO_OFFSET	((int64_t)-1)	/* the descriptor's own */

struct transfer {
	int fd;
	int64_t offset;
	size_t n;
	char data[];
};

static size_t piece_of(size_t n)
{
	return n < PIECE ? n : PIECE;
}

/* -- on a worker -- */

static int do_read(void *block)
{
	struct transfer *t = block;
	ssize_t r = t->offset == NO_OFFSET ?
			    read(t->fd, t->data, t->n) :
			    pread(t->fd, t->data, t->n, t->offset);

	if (r < 0)
		return -errno;
	tuck__call_of(block)->out_bytes = (size_t)r;
	return (int)r;
}

static int do_write(void *block)
{
	const struct transfer *t = block;
	ssize_t r = t->offset == NO_OFFSET ?
			    write(t->fd, t->data, t->n) :
			    pwrite(t->fd, t->data, t->n, t->offset);

	return r < 0 ? -errno : (int)r;
}

static struct tuck__call *transfer_new(int (*fn)(void *), int fd, size_t n,
				       int64_t offset)
{
	struct tuck__call *call;
	struct transfer *t;

	call = tuck__call_new(fn, sizeof(*t) + n);
	if (!call)
		return NULL;
	t = (void *)call->block;
	*t = (struct transfer){ fd, offset, n };
	call->fd = fd;
	return call;
}

/* -- read -- */

/* What the page cache has; 0, an error: ask a worker. */
static tuck__noinline ssize_t read_cached(int fd, void *buf, size_t n,
					  int64_t offset, tuck_ns deadline)
{
#ifdef RWF_NOWAIT
	struct iovec iov = { buf, n };

	if (deadline >= TUCK_NOWAIT)
		return preadv2(fd, &iov, 1, offset, RWF_NOWAIT);
#endif
	(void)fd, (void)buf, (void)n, (void)offset, (void)deadline;
	return -1;
}

static tuck__noinline struct tuck__call *read_job(int fd, void *buf, size_t n,
						  int64_t offset)
{
	struct tuck__call *call = transfer_new(do_read, fd, n, offset);
	struct tuck__sched *s = tuck__sched();

	if (!call)
		return NULL;
	call->user = buf;
	call->out = ((struct transfer *)(void *)call->block)->data;
	if (s)
		tuck__ctx_hole(&s->current->ctx, buf, n);
	return call;
}

/* The hole ends with the call that made it. */
static tuck__noinline ssize_t read_done(size_t done, ssize_t r)
{
	if (tuck__likely(tuck__tls != NULL))
		tuck__ctx_unhole(&tuck__tls->current->ctx);
	return tuck__breathe(done ? (ssize_t)done : r);
}

static int64_t moved(int64_t offset, size_t done)
{
	return offset == NO_OFFSET ? offset : offset + (int64_t)done;
}

static inline ssize_t read_all(int fd, void *buf, size_t n, int64_t offset,
			       tuck_ns deadline)
{
	size_t done = 0, piece;
	int closing = TUCK__FD_FIRST;
	ssize_t r = 0;

	TUCK__REQUIRE(buf || !n, -EFAULT);
	do {
		if (n > PIECE)
			r = closing = tuck__fd_closing(fd, closing);
		if (r < 0)
			break;
		r = read_cached(fd, tuck__rest(buf, done), n - done,
				moved(offset, done), deadline);
		if (r > 0)
			done += (size_t)r;
		if ((r >= 0 && done == n) || (r > 0 && offset == NO_OFFSET))
			break;
		piece = piece_of(n - done);
		r = tuck__call_do(read_job(fd, tuck__rest(buf, done), piece,
					   moved(offset, done)),
				  deadline);
		if (r > 0)
			done += (size_t)r;
	} while (r == (ssize_t)piece && done < n);
	return read_done(done, r);
}

ssize_t tuck_file_read(int fd, void *buf, size_t n, tuck_ns deadline)
{
	return read_all(fd, buf, n, NO_OFFSET, deadline);
}

ssize_t tuck_file_pread(int fd, void *buf, size_t n, int64_t offset,
			tuck_ns deadline)
{
	TUCK__REQUIRE(offset >= 0, -EINVAL);
	return read_all(fd, buf, n, offset, deadline);
}

/* -- write -- */

static tuck__noinline struct tuck__call *write_job(int fd, const void *buf,
						   size_t n, int64_t offset)
{
	struct tuck__call *call = transfer_new(do_write, fd, n, offset);

	if (call && n)
		memcpy(((struct transfer *)(void *)call->block)->data, buf, n);
	return call;
}

static inline ssize_t write_all(int fd, const void *buf, size_t n,
				int64_t offset, tuck_ns deadline)
{
	size_t done = 0, piece;
	int closing = TUCK__FD_FIRST;
	ssize_t r = 0;

	TUCK__REQUIRE(buf || !n, -EFAULT);
	do {
		if (n > PIECE)
			r = closing = tuck__fd_closing(fd, closing);
		if (r < 0)
			break;
		piece = piece_of(n - done);
		r = tuck__call_do(write_job(fd, tuck__rest(buf, done), piece,
					    moved(offset, done)),
				  deadline);
		if (r > 0)
			done += (size_t)r;
	} while (r == (ssize_t)piece && done < n);
	return done ? (ssize_t)done : r;
}

ssize_t tuck_file_write(int fd, const void *buf, size_t n, tuck_ns deadline)
{
	return write_all(fd, buf, n, NO_OFFSET, deadline);
}

ssize_t tuck_file_pwrite(int fd, const void *buf, size_t n, int64_t offset,
			 tuck_ns deadline)
{
	TUCK__REQUIRE(offset >= 0, -EINVAL);
	return write_all(fd, buf, n, offset, deadline);
}

/* -- sync and truncate -- */

static int do_fsync(void *block)
{
	const struct transfer *t = block;

	return fsync(t->fd) < 0 ? -errno : 0;
}

static int do_fdatasync(void *block)
{
	const struct transfer *t = block;

	return fdatasync(t->fd) < 0 ? -errno : 0;
}

static int do_truncate(void *block)
{
	const struct transfer *t = block;

	return ftruncate(t->fd, t->offset) < 0 ? -errno : 0;
}

int tuck_file_fsync(int fd, tuck_ns deadline)
{
	return tuck__call_do(transfer_new(do_fsync, fd, 0, 0), deadline);
}

int tuck_file_fdatasync(int fd, tuck_ns deadline)
{
	return tuck__call_do(transfer_new(do_fdatasync, fd, 0, 0), deadline);
}

int tuck_file_truncate(int fd, int64_t size, tuck_ns deadline)
{
	return tuck__call_do(transfer_new(do_truncate, fd, 0, size), deadline);
}
