/* SPDX-License-Identifier: MIT */
/*
 * What closes descriptors: those who wait for one get EBADF, instead of
 * waiting for what the number will mean next. Tuck's poller forgets what it
 * knew of it.
 */
#include <fcntl.h>
#include <tuck/io.h>
#include <unistd.h>

#include "hook/hook.h"

static int as_libc(int r)
{
	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}

int __wrap_close(int fd)
{
	if (fd >= 0 && !tuck__hook_closing((unsigned)fd, (unsigned)fd)) {
		errno = EBADF;
		return -1;
	}
	return tuck__hook_on() && tuck__hook_ours() ?
		       as_libc(tuck_fd_close(fd)) :
		       __real_close(fd);
}

/* Before it is done: afterwards the number may be somebody else's. */
static void replaced(int fd, int as)
{
	if (as >= 0 && as != fd && fcntl(fd, F_GETFD) >= 0)
		tuck__hook_closing((unsigned)as, (unsigned)as);
}

int __wrap_dup2(int fd, int as)
{
	replaced(fd, as);
	return __real_dup2(fd, as);
}

int __wrap_dup3(int fd, int as, int flags)
{
	replaced(fd, as);
	return __real_dup3(fd, as, flags);
}

void __wrap_closefrom(int first)
{
	tuck__hook_closing(first < 0 ? 0 : (unsigned)first, ~0u);
	__real_closefrom(first);
}

int __wrap_close_range(unsigned first, unsigned last, int flags)
{
	if (first <= last && !(flags & CLOSE_RANGE_CLOEXEC))
		tuck__hook_closing(first, last);
	return __real_close_range(first, last, flags);
}
