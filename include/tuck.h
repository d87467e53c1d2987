/* SPDX-License-Identifier: MIT */
/*
 * Tuck: microthreads ("tasklets") that share a few C stacks.
 *
 * This header takes in every layer. Conventions that hold for all of them:
 *
 * - A call that can fail returns 0 or a positive value, or a negative errno
 *   value; errno itself is not how errors travel, and is kept per tasklet.
 * - A call that can wait takes a deadline last: an absolute time on the clock
 *   of tuck_now(). TUCK_NOWAIT never waits (-EAGAIN), but for the first use
 *   of another proc's channel (chan.h); TUCK_FOREVER has no end; past the
 *   deadline the call returns -ETIMEDOUT.
 * - Outputs are named ret_* and are untouched on failure.
 * - "Switches:" says whether other tasklets may run before the call returns:
 *   no, may or always. "Errors:" lists what the call itself can return; a
 *   call that waits may return -ENOMEM besides, having done nothing, when
 *   there is no memory to wait with, -ECANCELED after tuck_cancel(), and
 *   -ETIME past the deadline of the caller's group; any first call in a
 *   thread -ENOMEM, or -EAGAIN when there are 512 procs; and any wait of a
 *   main tasklet -EDEADLK when nothing can end it.
 * - Any OS thread that calls Tuck becomes a proc, and its own flow is that
 *   proc's main tasklet. There is no init call. When such a thread returns
 *   from its function, or main() returns, its other tasklets are forgotten
 *   as by tuck_drop(); tuck_exit() lets them end first. A tasklet must not
 *   call pthread_exit(3), nor longjmp(3) out of its own stack.
 */
#ifndef TUCK_H
#define TUCK_H

#include <tuck/base.h>
#include <tuck/ctx.h>
#include <tuck/task.h>
#include <tuck/policy.h>
#include <tuck/group.h>
#include <tuck/preempt.h>
#include <tuck/chan.h>
#include <tuck/sync.h>
#include <tuck/io.h>
#include <tuck/offload.h>
#include <tuck/file.h>
#include <tuck/net.h>
#include <tuck/messages.h>
#include <tuck/event.h>
#include <tuck/process.h>
#include <tuck/proc.h>
#include <tuck/debug.h>

#endif
