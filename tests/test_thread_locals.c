/* SPDX-License-Identifier: MIT */
/*
 * A program whose libraries have more thread-locals than a small stack holds:
 * libc takes them from the stack of each thread, also of those that Tuck makes.
 */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <tuck.h>

#include "sockets.h"

static __thread volatile char locals[256 * 1024];

static int use_both(void *arg)
{
	char stack[230 * 1024];	/* of 256 */

	(void)arg;
	memset(stack, 1, sizeof(stack));
	KEEP(stack);
	for (size_t i = 0; i < sizeof(locals); i += 512)
		locals[i]++;
	return locals[512] == 1 ? stack[100] : -EILSEQ;
}

TEST(offloaded_calls_have_their_stack)
{
	unsetenv("TUCK_SLOT_BYTES");
	locals[512] = 7;
	CHECK_EQ(tuck_offload(use_both, NULL, 0, TUCK_FOREVER), 1);
}

/*
 * Another process that traces pid: then pid's end is not told to its parent
 * before the tracer has gone, which it does when the pipe is closed.
 */
static pid_t trace(pid_t pid, int ret_pipe[2])
{
	char seized = 0;
	int told[2];
	pid_t tracer;

	CHECK_EQ(pipe(ret_pipe), 0);
	CHECK_EQ(pipe(told), 0);
	tracer = fork();
	CHECK(tracer >= 0);
	if (tracer == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ret_pipe[1]);
		seized = ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0;
		if (write(told[1], &seized, 1) == 1)
			while (read(ret_pipe[0], &seized, 1) < 0)
				;
		_exit(0);
	}
	CHECK_EQ(read(told[0], &seized, 1), 1);
	if (!seized)
		SKIP("nobody may be traced here");
	return tracer;
}

TEST(nobody_waits_for_the_end_of_a_child_that_was_freed)
{
	char *const argv[] = { "sleep", "1000", NULL };
	struct tuck_process *p;
	pid_t pid, tracer;
	int until[2];

	locals[0] = 1;
	CHECK_EQ(tuck_process_spawn(&p, NULL, argv), 0);
	pid = tuck_process_pid(p);
	tracer = trace(pid, until);
	tuck_process_free(p);
	CHECK_EQ(kill(pid, 0), 0);	/* a zombie yet */
	close(until[1]);
	CHECK_EQ(waitpid(tracer, NULL, 0), tracer);
	WAIT_FOR(kill(pid, 0) < 0);
}
