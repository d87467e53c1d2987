/* SPDX-License-Identifier: MIT */
/*
 * What a call asks about its descriptor, and only when it would block: so
 * there is nothing to keep right when the descriptor is duplicated, passed on,
 * or changed by somebody who is not hooked.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "hook/hook.h"

#define SOON TUCK_MS(1)

/* While a call has it, a descriptor may not be what the program made it. */
static pthread_mutex_t flags_lock = PTHREAD_MUTEX_INITIALIZER;

bool tuck__hook_blocks(int fd)
{
	int flags;

	__real_pthread_mutex_lock(&flags_lock);
	flags = fcntl(fd, F_GETFL);
	__real_pthread_mutex_unlock(&flags_lock);
	return flags >= 0 && !(flags & O_NONBLOCK);
}

bool tuck__hook_would_block(int fd, short events, int wrong_mode)
{
	struct pollfd p = { .fd = fd, .events = events };
	int flags;

	if (__real_poll(&p, 1, 0) != 0)
		return false;
	flags = fcntl(fd, F_GETFL);
	return flags >= 0 && (flags & O_ACCMODE) != wrong_mode;
}

int tuck__hook_unblock(int fd)
{
	int flags;

	__real_pthread_mutex_lock(&flags_lock);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || flags & O_NONBLOCK ||
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -1;
	return flags;
}

void tuck__hook_block(int fd, int flags)
{
	int err = errno;

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags);
	__real_pthread_mutex_unlock(&flags_lock);
	errno = err;
}

void tuck__hook_flags_in_child(void)
{
	flags_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

tuck_ns tuck__hook_deadline(const struct timespec *from_now)
{
	if (!from_now || from_now->tv_sec > INT64_MAX / TUCK_SEC(2))
		return TUCK_FOREVER;
	return tuck_after(TUCK_SEC((tuck_ns)from_now->tv_sec) +
			  from_now->tv_nsec);
}

static tuck_ns time_limit(int fd, short events)
{
	int name = events & POLLOUT ? SO_SNDTIMEO : SO_RCVTIMEO;
	struct timeval tv;
	socklen_t len = sizeof(tv);
	struct timespec ts;

	if (getsockopt(fd, SOL_SOCKET, name, &tv, &len) < 0 ||
	    (tv.tv_sec == 0 && tv.tv_usec == 0))
		return TUCK_FOREVER;
	ts = (struct timespec){ tv.tv_sec, tv.tv_usec * 1000 };
	return tuck__hook_deadline(&ts);
}

/* Whether to wait: the call would block, and should. */
static tuck__noinline bool begin(int fd, short events, tuck_ns *until)
{
	if (errno != EAGAIN)
		return false;
	if (*until)
		return true;
	if (!tuck__hook_blocks(fd)) {
		errno = EAGAIN;
		return false;
	}
	*until = time_limit(fd, events);
	return true;
}

/* With a time limit of its own a call is not begun again: signal(7). */
static bool ended(int r, tuck_ns until)
{
	if (r == 0 ||
	    (r == -EINTR && until == TUCK_FOREVER && tuck__hook_restarts()))
		return true;
	errno = r == -ETIMEDOUT ? EAGAIN : -r;
	return false;
}

bool tuck__hook_again(int fd, short events, tuck_ns *until)
{
	return tuck__hook_again_with(fd, events, -1, until);
}

bool tuck__hook_again_with(int fd, short events, int other, tuck_ns *until)
{
	const struct pollfd p[2] = {
		{ .fd = fd, .events = events },
		{ .fd = other, .revents = TUCK__HOOK_HELD },
	};

	return begin(fd, events, until) &&
	       ended(tuck__hook_wait(p, other < 0 ? 1 : 2, *until), *until);
}

bool tuck__hook_later(int fd, short events, tuck_ns *until)
{
	return tuck__hook_later_with(fd, events, -1, until);
}

bool tuck__hook_later_with(int fd, short events, int other, tuck_ns *until)
{
	const struct pollfd p[2] = {
		{ .fd = fd, .revents = TUCK__HOOK_HELD },
		{ .fd = other, .revents = TUCK__HOOK_HELD },
	};
	tuck_ns soon = tuck_after(SOON);
	int r;

	if (!begin(fd, events, until))
		return false;
	if (soon > *until)
		return ended(-ETIMEDOUT, *until);
	r = tuck__hook_wait(p, other < 0 ? 1 : 2, soon);
	return ended(r == -ETIMEDOUT ? 0 : r, *until);
}
