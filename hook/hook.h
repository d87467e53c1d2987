/* SPDX-License-Identifier: MIT */
/*
 * What the files of libtuck-hook share. Each __wrap_NAME stands in for libc's
 * NAME, which is __real_NAME here: the linker's --wrap has it so, and real.c
 * for the library that is preloaded.
 *
 * Invariants:
 * 1. Where tuck__hook_on() is false a call is libc's own, unchanged.
 * 2. Nothing that libc knows of a descriptor is changed but for the time of a
 *    call that does not switch: whether it blocks is its own O_NONBLOCK.
 * 3. Nobody else looks at what the caller passed: before each wait the call
 *    was tried and has said that it would block (rule S3).
 */
#ifndef TUCK__HOOK_H
#define TUCK__HOOK_H

#include <errno.h>
#include <poll.h>
#include <tuck/task.h>

#include "hook/names.h"
#include "preempt/preempt.h"

/* Whether the caller is a tasklet that may wait here. */
static inline bool tuck__hook_on(void)
{
	return tuck__may_wait();
}

/*
 * Wait until one of these may be ready: 0, so look again; -ETIMEDOUT, -EBADF
 * if one was closed by close(), -EINTR, -ECANCELED, -ENOMEM, or an error of
 * epoll_ctl(2).
 */
int tuck__hook_wait(const struct pollfd *fds, nfds_t n, tuck_ns deadline);

/*
 * For one of these in its revents: no event of it is waited for, but its close
 * ends the wait, for the call is going to use it again.
 */
#define TUCK__HOOK_HELD POLLNVAL

/*
 * Whether the caller is one whose waits signals interrupt: the proc's main
 * tasklet; and whether the handler of the last one had SA_RESTART.
 */
bool tuck__hook_interruptible(void);
bool tuck__hook_restarts(void);

/*
 * After a call that was not to block has failed: wait, if it was for want of
 * input (POLLIN) or room (POLLOUT) and the program's own idea of the
 * descriptor is that it blocks. True: try again; false: errno says why not.
 * *until is 0 at first, then when SO_RCVTIMEO or SO_SNDTIMEO is over.
 */
bool tuck__hook_again(int fd, short events, tuck_ns *until);

/* The same in a call that has another descriptor, which is held meanwhile. */
bool tuck__hook_again_with(int fd, short events, int other, tuck_ns *until);

/* The same where a wait for events would not tell: look again soon. */
bool tuck__hook_later(int fd, short events, tuck_ns *until);
bool tuck__hook_later_with(int fd, short events, int other, tuck_ns *until);

/* Until the deadline: 0; -EINTR, -ECANCELED. */
int tuck__hook_rest(tuck_ns deadline);

/* Whether it blocks, as far as the program knows. */
bool tuck__hook_blocks(int fd);

/*
 * Whether a call would block on what is no socket. One that was opened for
 * the wrong direction does not: it fails.
 */
bool tuck__hook_would_block(int fd, short events, int wrong_mode);

/*
 * Make a descriptor not block for one call, with no other thread's hook in
 * between: what to give back, in any case, right after it.
 */
int tuck__hook_unblock(int fd);
void tuck__hook_block(int fd, int flags);
void tuck__hook_flags_in_child(void);

/*
 * Those of all procs that wait for descriptors first to last are told. False
 * if that is the one the waits themselves need.
 */
bool tuck__hook_closing(unsigned first, unsigned last);

/* Whether this is not a child of vfork(2), which has our memory. */
bool tuck__hook_ours(void);

/* For a time of the kernel's; NULL is for ever. */
tuck_ns tuck__hook_deadline(const struct timespec *from_now);

#endif
