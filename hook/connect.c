/* SPDX-License-Identifier: MIT */
/*
 * connect, accept: their calls have no flag, so a descriptor that blocks does
 * not do so for the time of the call, in which nobody of this thread runs.
 * Another process that shares a listener and calls accept just then sees
 * EAGAIN; without that, all but one of those who are woken by a connection
 * would stop their threads.
 */
#include <fcntl.h>
#include <stddef.h>

#include "hook/hook.h"

static tuck__noinline int try_connect(int fd, const struct sockaddr *addr,
				      socklen_t len, bool *ret_blocks)
{
	int flags = tuck__hook_unblock(fd);
	int r = __real_connect(fd, addr, len);

	tuck__hook_block(fd, flags);
	*ret_blocks = flags >= 0;
	return r;
}

/* It had begun, now or before. */
static tuck__noinline int result_of(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return -1;
	if (err == 0)
		return 0;
	errno = err;
	return -1;
}

/* As the kernel says when SO_SNDTIMEO is over: it goes on. */
static int finish(int fd)
{
	tuck_ns until = 0;

	do {
		if (!tuck__hook_would_block(fd, POLLOUT, O_PATH))
			return result_of(fd);
		errno = EAGAIN;
	} while (tuck__hook_again(fd, POLLOUT, &until));
	if (errno == EAGAIN)
		errno = EINPROGRESS;
	return -1;
}

/* A Unix socket's backlog is full, of which no poll() knows. */
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	tuck_ns until = 0;
	bool blocks;
	int r;

	if (!tuck__hook_on())
		return __real_connect(fd, addr, len);
	do
		r = try_connect(fd, addr, len, &blocks);
	while (r < 0 && blocks && errno == EAGAIN &&
	       tuck__hook_later(fd, POLLOUT, &until));
	if (r < 0 && blocks && (errno == EINPROGRESS || errno == EALREADY))
		return finish(fd);
	return r;
}

static tuck__noinline int try_accept(int fd, struct sockaddr *addr,
				     socklen_t *len, int flags)
{
	int was = tuck__hook_unblock(fd);
	int r = __real_accept4(fd, addr, len, flags);

	tuck__hook_block(fd, was);
	return r;
}

int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	tuck_ns until = 0;
	int r;

	if (!tuck__hook_on())
		return __real_accept4(fd, addr, len, flags);
	do
		r = try_accept(fd, addr, len, flags);
	while (r < 0 && tuck__hook_again(fd, POLLIN, &until));
	return r;
}

int __wrap_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	if (!tuck__hook_on())
		return __real_accept(fd, addr, len);
	return __wrap_accept4(fd, addr, len, 0);
}
