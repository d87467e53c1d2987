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

static bool has_begun(int r)
{
	return r < 0 && (errno == EINPROGRESS || errno == EALREADY);
}

static bool wait_for_end(int fd, tuck_ns *until)
{
	bool blocks = tuck__hook_would_block(fd, POLLOUT, O_PATH);

	errno = EAGAIN;
	return blocks ? tuck__hook_again(fd, POLLOUT, until) :
			tuck__hook_later(fd, POLLOUT, until);
}

/*
 * It had begun, now or before. How it ended another call says, after which
 * the socket is what it would have been after one: SO_ERROR would tell, but
 * the next connect() say ECONNABORTED. When SO_SNDTIMEO is over, it goes on.
 */
static int finish(int fd, const struct sockaddr *addr, socklen_t len)
{
	tuck_ns until = 0;
	bool blocks;
	int r = -1;

	do {
		if (!tuck__hook_would_block(fd, POLLOUT, O_PATH))
			r = try_connect(fd, addr, len, &blocks);
		else
			errno = EINPROGRESS;
		if (!has_begun(r))
			return r < 0 && errno == EISCONN ? 0 : r;
	} while (wait_for_end(fd, &until));
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
	return blocks && has_begun(r) ? finish(fd, addr, len) : r;
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
