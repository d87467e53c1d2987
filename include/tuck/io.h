/* SPDX-License-Identifier: MIT */
/*
 * Descriptors: read and write as if they blocked. Only the calling tasklet
 * waits; its proc goes on. A descriptor that blocks when it first comes here,
 * as standard input does, stays so for all others who have it: each call says
 * for itself that it must not. Where the kernel has no word for that (of
 * terminals; of pipes before Linux 6.5), the proc waits if another process
 * takes the input first, or if a terminal takes no more output.
 *
 * The first call that waits registers a descriptor, once, with the proc's
 * poller; so close it with tuck_fd_close(), in the proc that used it: a proc
 * does not learn that another one closed a descriptor, and a number that was
 * closed otherwise and given again is taken for the old one. A TCP socket with
 * the kernel's TLS (TCP_ULP) is not for these calls, for its reads end early.
 */
#ifndef TUCK_IO_H
#define TUCK_IO_H

#include <sys/types.h>
#include <sys/uio.h>
#include <tuck/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TUCK_READABLE = 1, TUCK_WRITABLE = 2 };

/*
 * Wait until a descriptor is ready for one of events (TUCK_READABLE |
 * TUCK_WRITABLE) and return those that it is ready for. An error or hang-up
 * counts as both.
 * Switches: may.
 * Errors: -EBADF (also when it is closed meanwhile), -EINVAL for other
 * events or a negative deadline, -ETIMEDOUT, -EAGAIN for TUCK_NOWAIT.
 */
int tuck_fd_wait(int fd, int events, tuck_ns deadline);

/*
 * Close a descriptor and wake those of this proc who wait on it, with
 * -EBADF. For a descriptor that was not made here, or was given on, it is one
 * system call more, so that a duplicate which lives on causes no events here.
 * While a call of file.h that was begun still uses it, as one may whose caller
 * was late or killed, the number stays taken; the last such call closes it.
 * One that waits for a thread ends with -EBADF.
 * Switches: no. Errors: those of close(2); the descriptor is gone all the
 * same.
 */
int tuck_fd_close(int fd);

/*
 * Read up to n bytes, waiting for the first. 0 is the end of the stream.
 * What buf held before is not kept if the call waits; afterwards only the
 * bytes read are defined. That is why an idle reader costs no buffer.
 * Switches: may.
 * Errors: those of read(2), -EBADF also when closed meanwhile, -ETIMEDOUT,
 * -EAGAIN for TUCK_NOWAIT, -EINVAL for a negative deadline.
 */
ssize_t tuck_read(int fd, void *buf, size_t n, tuck_ns deadline);

/*
 * Write up to n bytes, waiting until at least one is taken. No SIGPIPE for
 * a socket.
 * Switches: may. Errors: those of write(2), and as tuck_read().
 */
ssize_t tuck_write(int fd, const void *buf, size_t n, tuck_ns deadline);

/*
 * Read until n bytes are there or the stream ends; returns how many. After
 * an error with some bytes read, these are lost to the caller.
 * Switches: may. Errors: as tuck_read().
 */
ssize_t tuck_read_full(int fd, void *buf, size_t n, tuck_ns deadline);

/*
 * Write all n bytes; returns n. After an error some may have been written.
 * Switches: may. Errors: as tuck_write().
 */
ssize_t tuck_write_full(int fd, const void *buf, size_t n, tuck_ns deadline);

/*
 * tuck_read() into several buffers, as readv(2). The array is read again
 * after a wait, so it must not change meanwhile. At most 1,024 buffers.
 * Switches: may. Errors: as tuck_read().
 */
ssize_t tuck_readv(int fd, const struct iovec *iov, int n, tuck_ns deadline);

/*
 * tuck_write() from at most 1,024 buffers, as writev(2). No SIGPIPE for a
 * socket.
 * Switches: may. Errors: as tuck_write().
 */
ssize_t tuck_writev(int fd, const struct iovec *iov, int n, tuck_ns deadline);

/*
 * Send up to n bytes of a file from *offset on, as sendfile(2); *offset
 * moves by what was sent. 0 is the end of the file. An fd that came here
 * blocking stays so, and the bytes are copied, at most 16,384 by each call, as
 * sendfile(2) has no flag for one call.
 * Switches: may. Errors: those of sendfile(2), and as tuck_write().
 */
ssize_t tuck_sendfile(int fd, int file_fd, int64_t *offset, size_t n,
		      tuck_ns deadline);

/*
 * Move up to n bytes from one descriptor to the other, one of which must be a
 * pipe, without a copy, as splice(2); waits for either until a byte has moved.
 * 0 is the end of the input. An end that came here blocking stays so, but for
 * an output that is no pipe: it is made non-blocking, since splice(2) has no
 * flag for it, and poll(2) does not tell how much it takes.
 * Switches: may. Errors: those of splice(2), and as tuck_read().
 */
ssize_t tuck_splice(int from, int to, size_t n, tuck_ns deadline);

#ifdef __cplusplus
}
#endif

#endif
